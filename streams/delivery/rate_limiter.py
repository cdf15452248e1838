"""Delays requests to keep a vendor's rate limit, in the order of the lanes."""

import asyncio
from collections import deque
from collections.abc import Callable

from streams.delivery.lanes import Lane, Turns
from streams.delivery.rate_limit import RateLimit

CATCH_UP_SECONDS = 0.05
"""A timer that fires this late costs no turn; turns missed in a longer standstill are lost."""


class RateLimiter:
    """Requests that wait for their turn, by lane."""

    def __init__(
        self, rate_limit: RateLimit, clock: Callable[[], float], may_pass: Callable[[], bool]
    ) -> None:
        """``may_pass``: whether requests may be sent at all."""
        self._rate_limit = rate_limit
        self._clock = clock
        self._may_pass = may_pass
        self._turns = Turns()
        self._waiting: dict[Lane, deque[asyncio.Future[bool]]] = {lane: deque() for lane in Lane}
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    async def acquire(self, lane: Lane) -> bool:
        """Wait for a turn; return False at once, without one, while nothing may be sent."""
        if not self._may_pass():
            return False
        now = self._clock()
        if self._timer is None and self._rate_limit.backlog_seconds(now) <= 0:
            self._turns.record(lane, (lane,))
            self._rate_limit.reserve(now)
            return True
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting[lane].append(turn)
        self._set_timer(now)
        return await turn

    def release(self) -> None:
        """Return False to all waiting requests."""
        for waiting in self._waiting.values():
            for turn in waiting:
                if not turn.done():
                    turn.set_result(False)
            waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self, now: float) -> None:
        if self._timer is None:
            wait = self._rate_limit.backlog_seconds(now)
            self._due = now + wait
            self._timer = asyncio.get_running_loop().call_later(wait, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if not self._may_pass():
            self.release()
            return
        lanes = [lane for lane, waiting in self._waiting.items() if _has_any(waiting)]
        if not lanes:
            return
        lane = self._turns.next(lanes)
        self._turns.record(lane, lanes)
        now = self._clock()
        self._rate_limit.reserve(self._due if now - self._due <= CATCH_UP_SECONDS else now)
        self._waiting[lane].popleft().set_result(True)
        if len(lanes) > 1 or self._waiting[lane]:
            self._set_timer(now)


def _has_any(waiting: "deque[asyncio.Future[bool]]") -> bool:
    """Return whether a request waits; cancelled ones are removed."""
    while waiting and waiting[0].done():
        waiting.popleft()
    return bool(waiting)
