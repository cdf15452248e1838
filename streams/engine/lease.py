"""Until when the group surely counts a worker as its member.

A worker that was frozen (SIGSTOP, a closed lid, a moved virtual machine) must not go on as if
nothing had been: after its session another one has its partitions. The broker begins the session
anew when it takes a heartbeat, so not earlier than that was sent; a lease of less than a session
from then on needs no word of the broker's to end.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

PART_OF_SESSION = 0.8
"""So much of it is relied on; four heartbeats may be late before anything waits."""
_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while the machine sleeps, where there is such a clock."""


class Moment(NamedTuple):
    """A moment by two clocks."""

    running: float
    """Seconds, counted while the machine sleeps, too."""
    wall: float
    """The time of day in seconds: set right after a virtual machine stood still."""

    def since(self, earlier: "Moment") -> float:
        """Return how many seconds have passed, by whichever clock says more."""
        return max(self.running - earlier.running, self.wall - earlier.wall)


def moment() -> Moment:
    """Return this moment."""
    return Moment(time.clock_gettime(_BOOT_CLOCK), time.time())


class Lease:
    """One member's. Renewed by the group's coordinator, looked at by all."""

    def __init__(self, session_seconds: float, now: Callable[[], Moment] = moment) -> None:
        self._seconds = PART_OF_SESSION * session_seconds
        self._now = now
        self._from: Moment | None = None

    def now(self) -> Moment:
        """Return the moment to give to ``renew`` once the answer is there."""
        return self._now()

    def renew(self, sent: Moment) -> None:
        """Note that a heartbeat that was sent at this moment was answered: a member."""
        self._from = sent

    def end(self) -> None:
        """Note that the broker does not know this member any more."""
        self._from = None

    def holds(self) -> bool:
        """Return whether nobody else can have this member's partitions yet."""
        begun = self._from
        return begun is not None and self._now().since(begun) < self._seconds
