"""A finding: one thing that is so, how much it matters, and what to do about it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    WARNING = "warning"
    """It works, but not as it should, or not yet."""
    PROBLEM = "problem"
    """Something does not work, or cannot work as it is."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. Page, terminal, metrics and log show it as it is."""

    level: Level
    subject: str
    """``settings``, ``broker``, ``topics``, ``workers``, ``enrich`` or a vendor's key."""
    text: str
    """What is the case, one sentence."""
    remedy: str = ""
    """What to do about it; empty where nothing is to be done."""
    kind: str = ""
    """One of ``operations.status.judge.KINDS``; empty for what only ``check`` looks at."""
    since: int | None = None
    """When it began, in ms since the epoch; None: not known, or of no interest."""
    cause: str = ""
    """Why, and what it means for the events: whole sentences."""

    def parts(self) -> list[str | dict[str, int]]:
        """Return it as text, with each moment as ``{"at": ms}`` for who knows the reader's zone."""
        if self.since is None:
            return [" ".join(filter(None, (self.text, self.cause, self.remedy)))]
        rest = " ".join(filter(None, (self.cause, self.remedy)))
        return [f"{self.text.removesuffix('.')} since ", {"at": self.since}, _after(rest)]

    def sentence(self, moment: Callable[[int], str] | None = None) -> str:
        """Return it as text; ``moment`` writes a time (ms), in UTC by default."""
        write = moment or _clock
        return "".join(p if isinstance(p, str) else write(p["at"]) for p in self.parts())

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object; what is empty is left out."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return {name: value for name, value in fields.items() if value not in ("", None)}


def _after(rest: str) -> str:
    return f": {rest}" if rest else "."


def _clock(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%H:%M UTC")


def ok(subject: str, text: str) -> Finding:
    """Return that something is as it must be."""
    return Finding(Level.OK, subject, text)


def warning(subject: str, text: str, remedy: str = "") -> Finding:
    """Return that something is not as it should be."""
    return Finding(Level.WARNING, subject, text, remedy)


def problem(subject: str, text: str, remedy: str = "") -> Finding:
    """Return that something cannot work."""
    return Finding(Level.PROBLEM, subject, text, remedy)
