"""The quota: how many requests a second one worker may make of a vendor that counts them.

Pure: time comes in as an argument, in seconds of a clock that only grows. Requests are spaced
evenly, never sent in bursts: the vendor counts what all workers send within any one second.
"""

HEADROOM = 0.95
"""Timers ring late by some milliseconds, which draws the next request closer to the late one."""
HALVE_AGAIN_SECONDS = 5.0
"""Requests already on their way are answered 429, too: that is one warning, not many."""
RECOVER_SECONDS = 120.0
"""So long from nothing to the whole limit; a halved one is whole again after half of it."""
MIN_FACTOR = 1 / 64
MIN_PER_SECOND = 0.1
"""What a worker without partitions may make: its probes."""


class RateLimit:
    """One worker's share of a vendor's limit; every single request takes its turn here."""

    def __init__(self, requests_per_second: float, now: float, share: float = 1.0) -> None:
        """Begin with nothing saved up. Raises ValueError for a limit that is not positive."""
        if not requests_per_second > 0:
            raise ValueError("a quota needs a positive number of requests per second")
        self.limit = requests_per_second
        """Of all workers together."""
        self.taken = 0
        """Turns taken so far."""
        self.throttled_times = 0
        """How often the quota was halved."""
        self._share = 1.0
        self._factor = 1.0
        self._factor_at = now
        self._halved_at = float("-inf")
        self._next = now
        self.set_share(share, now)

    def set_share(self, share: float, now: float) -> None:
        """Take this part, from 0 to 1, of the limit: live partitions / all partitions.

        Turns that were taken before stay as they are.
        """
        self._factor, self._factor_at = self._factor_now(now), now
        self._share = min(max(share, 0.0), 1.0)

    def reserve(self, now: float) -> float:
        """Take the next turn and return the seconds to wait for it, 0 or more.

        Turns come in the order in which they are taken; one that is not used is lost.
        """
        turn = max(self._next, now)
        self._next = turn + 1 / (HEADROOM * self.per_second(now))
        self.taken += 1
        return turn - now

    def halve(self, now: float) -> None:
        """Halve the rate, once for all that is answered 429 within a few seconds."""
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
        """Return how long a turn that is taken now has to wait."""
        return max(0.0, self._next - now)

    def _factor_now(self, now: float) -> float:
        return min(1.0, self._factor + max(0.0, now - self._factor_at) / RECOVER_SECONDS)
