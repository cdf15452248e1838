"""The sentences of the dashboard: what is wrong, since when, and what to do. Pure.

A sentence is a list of texts and moments: the page shows a moment in the zone of who looks at it.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

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


def count(number: float, noun: str = "", plural: str = "") -> str:
    """Return a whole number with separators, and its noun where one is given."""
    shown = f"{number:,.0f}"
    if not noun:
        return shown
    return f"{shown} {noun}" if number == 1 else f"{shown} {plural or noun + 's'}"


def rate(per_second: float) -> str:
    """Return a rate without its unit: ``0``, ``0.4``, ``52``, ``1,204``."""
    if per_second <= 0:
        return "0"
    if per_second < 0.05:
        return "< 0.1"
    return f"{per_second:.1f}" if per_second < 9.95 else f"{per_second:,.0f}"


def span(seconds: float) -> str:
    """Return a length of time in its two largest units at most."""
    if seconds < 1:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes and hours < 10 else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days:,} d {hours} h" if hours and days < 10 else f"{days:,} d"


def size(amount: int) -> str:
    """Return bytes in MB, GB above that."""
    return f"{amount / 1e9:,.1f} GB" if amount >= 1e9 else f"{amount / 1e6:,.0f} MB"


def percent(part: float, whole: float) -> str:
    """Return a share of something; a hyphen where there is nothing."""
    if whole <= 0:
        return "-"
    share = 100 * part / whole
    if 0 < share < 0.1:
        return "< 0.1 %"
    if 99.9 < share < 100:
        return "> 99.9 %"
    return f"{share:.1f} %" if share < 10 and share else f"{share:.0f} %"


def listing(names: Sequence[str]) -> str:
    """Return names as people list them: ``A, B and C``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


_STATUS = re.compile(r"(?:HTTP )?(\d{3})\b[:,]?\s*(.*)", re.DOTALL)


def cause(name: str, reason: str) -> str:
    """Return why a vendor is not served, from what its gate says, as one sentence."""
    found = _STATUS.match(reason)
    if found is None:
        return _sentence(reason)
    status, said = int(found[1]), found[2].strip()
    if status == 401:
        return f"{name} refuses the key (401)."
    if status == 403:
        return f"{name} refuses access (403)."
    if status in {408, 425, 429}:
        return f"{name} asks to slow down ({status})."
    if status >= 500 and status != 501:
        return f"{name} has a fault of its own ({status})."
    return _sentence(f"{name} answers {status}{f': {said}' if said else ''}")


def _sentence(text: str) -> str:
    text = text.strip()
    if not text or text[-1] in ".!?…":
        return text
    return f"{text}."


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
