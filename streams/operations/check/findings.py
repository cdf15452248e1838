"""What ``streams check`` says: findings, each with what is wrong and what to do."""

from dataclasses import asdict, dataclass
from enum import StrEnum


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    WARNING = "warning"
    """It works, but not as it should, or not yet."""
    PROBLEM = "problem"
    """Something cannot work as it is."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    subject: str
    """``settings``, ``broker``, ``topics``, ``workers`` or a vendor's key."""
    text: str
    """What is the case, one sentence."""
    remedy: str = ""
    """What to do about it, one sentence; empty where nothing is to be done."""

    def to_json(self) -> dict[str, str]:
        """The finding as a JSON object; ``remedy`` is left out where there is none."""
        return {name: str(value) for name, value in asdict(self).items() if value}


def ok(subject: str, text: str) -> Finding:
    """Return that something is as it must be."""
    return Finding(Level.OK, subject, text)


def warning(subject: str, text: str, remedy: str = "") -> Finding:
    """Return that something is not as it should be."""
    return Finding(Level.WARNING, subject, text, remedy)


def problem(subject: str, text: str, remedy: str = "") -> Finding:
    """Return that something cannot work."""
    return Finding(Level.PROBLEM, subject, text, remedy)
