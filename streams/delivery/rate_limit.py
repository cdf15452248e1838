"""The rate limit of one worker at a vendor that limits requests per second.

Pure: time comes in as an argument, in seconds of a clock that only grows. Requests are spaced
evenly, without bursts: the vendor counts the requests of all workers within any second.
"""

from collections.abc import Callable
from weakref import WeakValueDictionary

HEADROOM = 0.95
"""Timers fire some milliseconds late, which brings the next request closer."""
HALVE_AGAIN_SECONDS = 5.0
"""Requests in flight get a 429, too: that is one warning, not many."""
RECOVER_SECONDS = 120.0
"""Time to recover from zero to the full limit; after halving it takes half of this."""
MIN_FACTOR = 1 / 64
MIN_PER_SECOND = 0.1
"""The rate of a worker without partitions, for its probes."""


class RateLimit:
    """One worker's share of a vendor's limit; every request reserves a turn."""

    def __init__(self, requests_per_second: float, now: float, share: float = 1.0) -> None:
        """Start without a burst. Raises ValueError if the limit is not positive."""
        if not requests_per_second > 0:
            raise ValueError("a rate limit needs a positive number of requests per second")
        self.limit = requests_per_second
        """Of all workers together."""
        self.taken = 0
        """Turns taken so far."""
        self.throttled_times = 0
        """How often the rate was halved."""
        self._share = 1.0
        self._factor = 1.0
        self._factor_at = now
        self._halved_at = float("-inf")
        self._next = now
        self.set_share(share, now)

    def set_share(self, share: float, now: float) -> None:
        """Set the share of the limit, from 0 to 1: live partitions / all partitions.

        Turns that are already reserved do not change.
        """
        self._factor, self._factor_at = self._factor_now(now), now
        self._share = min(max(share, 0.0), 1.0)

    def reserve(self, now: float) -> float:
        """Reserve the next turn and return the seconds to wait for it, 0 or more.

        Turns come in the order in which they are reserved; an unused one is lost.
        """
        turn = max(self._next, now)
        self._next = turn + 1 / (HEADROOM * self.per_second(now))
        self.taken += 1
        return turn - now

    def halve(self, now: float) -> None:
        """Halve the rate, once for all 429 responses within a few seconds."""
        if now - self._halved_at < HALVE_AGAIN_SECONDS:
            return
        self._factor = max(self._factor_now(now) / 2, MIN_FACTOR)
        self._factor_at = self._halved_at = now
        self.throttled_times += 1

    def per_second(self, now: float) -> float:
        """Return the requests a second that this worker may make now; never above its share."""
        least = min(MIN_PER_SECOND, self.limit)
        return max(self.limit * self._share * self._factor_now(now), least)

    def backlog_seconds(self, now: float) -> float:
        """Return how long a turn that is reserved now has to wait."""
        return max(0.0, self._next - now)

    def _factor_now(self, now: float) -> float:
        return min(1.0, self._factor + max(0.0, now - self._factor_at) / RECOVER_SECONDS)


Clock = Callable[[], float]
_IN_USE: "WeakValueDictionary[tuple[Clock, tuple[str, ...]], RateLimit]" = WeakValueDictionary()


def share_rate_limit(clock: Clock, account: tuple[str, ...], rate_limit: RateLimit) -> None:
    """Let the clients of this process share a sink's limit, as long as the sink keeps it."""
    _IN_USE[clock, account] = rate_limit


def shared_rate_limit(
    clock: Clock, account: tuple[str, ...], requests_per_second: float
) -> RateLimit:
    """Return the limit that this process has for an account; who asks first makes it, and keeps it.

    ``account``: by what the vendor counts requests; limits of different clocks are not shared.
    """
    found = _IN_USE.get((clock, account))
    if found is None:
        found = _IN_USE[clock, account] = RateLimit(requests_per_second, clock())
    return found
