"""A finding: one thing that is so, how much it matters, and what to do about it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import Any

import msgspec


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    WARNING = "warning"
    """It works, but not as it should, or not yet."""
    PROBLEM = "problem"
    """Something does not work, or cannot work as it is."""


class FindingKind(StrEnum):
    """What ``judge`` can find."""

    KAFKA_AWAY = "kafka_away"
    NO_WORKER = "no_worker"
    SILENT_WORKER = "silent_worker"
    STARTING = "starting"
    REGISTRY_AWAY = "registry_away"
    CRASH_LOOP = "crash_loop"
    RESTARTED = "restarted"
    PARKED = "parked"
    PAUSED = "paused"
    THROTTLED = "throttled"
    DEGRADED = "degraded"
    ASKING = "asking_after_restart"
    EXPIRED = "expired"
    DEAD_LETTERS = "new_dead_letters"
    NOTHING_ACCEPTED = "nothing_accepted"
    SKIP_JUMP = "skip_reason_jumped"
    FALLING_BEHIND = "falling_behind"
    MALFORMED_ROWS = "malformed_rows"
    DRIFT = "drift"
    WARNED = "warned"
    NOTHING_CONFIGURED = "no_vendor"
    WELL = "all_well"


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
    """A ``FindingKind``; empty for what only ``check`` looks at."""
    since: int | None = None
    """When it began, in ms since the epoch; None: not known, or of no interest."""
    cause: str = ""
    """Why, and what it means for the events: whole sentences."""

    def parts(self) -> list[str | dict[str, int]]:
        """Return it as text, with each moment as ``{"at": ms}`` for who knows the reader's zone."""
        if self.since is None:
            return [" ".join(filter(None, (self.text, self.cause, self.remedy)))]
        rest = " ".join(filter(None, (self.cause, self.remedy)))
        after = f": {rest}" if rest else "."
        return [f"{self.text.removesuffix('.')} since ", {"at": self.since}, after]

    def sentence(self) -> str:
        """Return it as text, with its moment in UTC."""
        return "".join(p if isinstance(p, str) else _clock(p["at"]) for p in self.parts())

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object; what is empty is left out."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return {name: value for name, value in fields.items() if value not in ("", None)}


def _clock(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%H:%M UTC")


ok = partial(Finding, Level.OK)
"""Something is as it must be."""
warning = partial(Finding, Level.WARNING)
"""Something is not as it should be."""
problem = partial(Finding, Level.PROBLEM)
"""Something cannot work."""
