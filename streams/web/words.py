"""The sentences of the dashboard: what is wrong, since when, and what to do. Pure.

A sentence is a list of texts and moments: the page shows a moment in the zone of who looks at it.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from streams.core.quantities import count, listing, percent, rate, size, span
from streams.operations.status.causes import cause

__all__ = [
    "KINDS",
    "NEVER",
    "Words",
    "at",
    "cause",
    "count",
    "drained",
    "listing",
    "percent",
    "plain",
    "rate",
    "size",
    "span",
    "waiting",
]

Words = list[Any]
"""Strings, and moments as ``at`` makes them."""

NEVER = "never at this rate"


def at(ms: int) -> dict[str, int]:
    """Return a moment, in ms since the epoch, as a part of a sentence."""
    return {"at": ms}


def plain(words: Iterable[Any]) -> str:
    """Return a sentence as one text, its moments in UTC."""
    return "".join(part if isinstance(part, str) else _clock(part["at"]) for part in words)


def _clock(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%H:%M UTC")


KINDS = {"click": "click", "add_to_cart": "add-to-cart"}


def waiting(events: int, oldest_ms: int | None, oldest_type: str) -> Words:
    """Return how many events wait and since when the oldest does, as one sentence."""
    if events <= 0:
        return ["Nothing waits."]
    begin = f"{count(events, 'event')} {'waits' if events == 1 else 'wait'}"
    if oldest_ms is None:
        return [f"{begin}."]
    kind = KINDS.get(oldest_type, "")
    if events == 1:
        return [
            f"{begin}{f', an {kind}' if kind == 'add-to-cart' else ''}, since ",
            at(oldest_ms),
            ".",
        ]
    what = f"the oldest {kind}".strip() if kind else "the oldest"
    return [f"{begin}, {what} since ", at(oldest_ms), "."]


def drained(waiting_events: int, settled_rate: float, shrinking_rate: float | None) -> str:
    """Return how long what waits will take at today's speed.

    ``shrinking_rate``: by how many a second the waiting have become fewer lately, negative where
    they grow; None: not known yet.
    """
    if waiting_events <= 0:
        return "0 s"
    if settled_rate > 0 and waiting_events <= 2 * settled_rate:
        return "a moment"
    if settled_rate <= 0:
        return NEVER
    pace = settled_rate if shrinking_rate is None else shrinking_rate
    if pace <= 0.01 * settled_rate:
        return NEVER
    return f"about {span(waiting_events / pace)}"
