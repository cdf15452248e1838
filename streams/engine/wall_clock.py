"""The clocks: the time of day, and a clock that is never set. Pure code gets times as arguments."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from math import inf


def now_ms() -> int:
    """Return the milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def now_text() -> str:
    """Return the time as it is written in records: RFC 3339 UTC, milliseconds, ``Z``."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def elapsed() -> float:
    """Return seconds of a clock that is never set and runs while the machine sleeps."""
    # Linux's monotonic clock stops while the machine sleeps.
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class ForwardTime:
    """The time of day without steps back: if the clock is set back, this one continues."""

    def __init__(
        self, wall_ms: Callable[[], int] = now_ms, clock: Callable[[], float] = elapsed
    ) -> None:
        self._wall_ms = wall_ms
        self._clock = clock
        self._began_ms = -inf

    def now_ms(self) -> int:
        """Return the milliseconds since the epoch."""
        passed_ms = self._clock() * 1000
        self._began_ms = max(self._began_ms, self._wall_ms() - passed_ms)
        return round(self._began_ms + passed_ms)
