"""Lanes: how live events, retries and redeliveries share a vendor's rate limit and request slots.

Pure. Live events go first, then retries, redeliveries and suspects. Each waiting lane still gets a
minimum share of the turns, so that retries and replays end however busy the shop is.
"""

from collections.abc import Collection, Mapping
from enum import IntEnum


class Lane(IntEnum):
    """The kind of a request; smaller values go first."""

    LIVE = 0
    RETRY = 1
    """A live event that is retried after a failure."""
    REDELIVERY = 2
    """Replays and resent dead letters, their retries included."""
    SUSPECT = 3
    """A live event that failed repeatedly and waits apart from all others."""


LEAST_PERCENT: Mapping[Lane, int] = {
    Lane.LIVE: 0,
    Lane.RETRY: 20,
    Lane.REDELIVERY: 5,
    Lane.SUSPECT: 5,
}
"""The minimum share of a lane in which something waits. Live events get the rest."""
A_TURN = 100


class Turns:
    """Decides which lane has the next turn."""

    def __init__(self) -> None:
        self._owed = dict.fromkeys(Lane, 0)
        """In hundredths of a turn. A lane in which nothing waits gets none, so that it never has
        more than one turn at once."""

    def next(self, waiting: Collection[Lane]) -> Lane:
        """Return which of these lanes has the next turn; there must be at least one.

        Changes nothing.
        """
        owed = [lane for lane in waiting if self._owed[lane] >= A_TURN]
        return max(owed, key=self._owed.__getitem__) if owed else min(waiting)

    def record(self, taker: Lane, waiting: Collection[Lane]) -> None:
        """Record that a lane had a turn; ``waiting``: all lanes that wanted it, with this one."""
        for lane in waiting:
            self._owed[lane] += LEAST_PERCENT[lane]
        self._owed[taker] = max(0, self._owed[taker] - A_TURN)
