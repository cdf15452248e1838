"""The time until which a worker is certainly a member of its group.

After its session has expired, another worker has the partitions of one that was frozen (SIGSTOP, a
closed lid, a moved virtual machine). The broker restarts the session when it receives a heartbeat,
which is not before it was sent. A lease shorter than a session, from the time of sending, therefore
ends in time without the broker.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

from streams.engine.wall_clock import elapsed

PART_OF_SESSION = 0.8
"""The part of a session that is used; four heartbeats may be late before anything waits."""


class Moment(NamedTuple):
    """A moment by two clocks."""

    running: float
    """Seconds, including the time that the machine sleeps."""
    wall: float
    """The time of day in seconds; corrected after a virtual machine was paused."""

    def since(self, earlier: "Moment") -> float:
        """Return how many seconds have passed, by whichever clock says more."""
        return max(self.running - earlier.running, self.wall - earlier.wall)


def moment() -> Moment:
    """Return this moment."""
    return Moment(elapsed(), time.time())


class Lease:
    """One member's lease; the coordinator renews it."""

    def __init__(self, session_seconds: float, now: Callable[[], Moment] = moment) -> None:
        self._seconds = PART_OF_SESSION * session_seconds
        self._now = now
        self._from: Moment | None = None

    def now(self) -> Moment:
        """Return the moment to pass to ``renew`` after the response."""
        return self._now()

    def renew(self, sent: Moment) -> None:
        """Record that a heartbeat that was sent at this moment was confirmed."""
        self._from = sent

    def end(self) -> None:
        """End the lease: the broker no longer knows this member."""
        self._from = None

    def holds(self) -> bool:
        """Return whether no other worker can own this member's partitions yet."""
        begun = self._from
        return begun is not None and self._now().since(begun) < self._seconds
