"""The time of day, for what is written down or shown; the pure part is handed it."""

import time

from streams.core.times import utc_text


def now_ms() -> int:
    """Return the milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def now_text() -> str:
    """Return the time as it stands in records: RFC 3339 UTC, milliseconds, ``Z``."""
    return utc_text(now_ms())
