"""Sentences with moments, as the dashboard shows them. Pure.

A sentence is a list of texts and moments: the page shows a moment in the zone of who looks at it.
"""

from typing import Any

from streams.core.quantities import span

Words = list[Any]
"""Strings, and moments as ``at`` makes them."""

NEVER = "never at this rate"


def at(ms: int) -> dict[str, int]:
    """Return a moment, in ms since the epoch, as a part of a sentence."""
    return {"at": ms}


def drained(waiting_events: int, settled_rate: float, shrinking_rate: float | None) -> str:
    """Return how long what waits will take at today's speed.

    ``shrinking_rate``: by how many a second the waiting have become fewer lately, negative where
    they grow; None: not known yet.
    """
    if waiting_events <= 0:
        return "all caught up"
    if settled_rate > 0 and waiting_events <= 2 * settled_rate:
        return "a moment"
    if settled_rate <= 0:
        return NEVER
    pace = settled_rate if shrinking_rate is None else shrinking_rate
    if pace <= 0.01 * settled_rate:
        return NEVER
    return f"about {span(waiting_events / pace)}"
