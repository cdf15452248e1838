"""Lanes: in which order live events, retries and redeliveries share a vendor's quota and slots.

Pure. Live events go first, retries next, redeliveries and then suspects last; a lane that waits
is still given its least share of the turns, so that retries and replays end however busy the shop
is.
"""

from collections.abc import Collection, Mapping
from enum import IntEnum


class Lane(IntEnum):
    """What a request is about; smaller ones go first."""

    LIVE = 0
    RETRY = 1
    """A live event that goes again after a failure."""
    REDELIVERY = 2
    """Replays and resent dead letters, their retries included."""
    SUSPECT = 3
    """A live event that has failed again and again, and waits apart from all others."""


LEAST_PERCENT: Mapping[Lane, int] = {
    Lane.LIVE: 0,
    Lane.RETRY: 20,
    Lane.REDELIVERY: 5,
    Lane.SUSPECT: 5,
}
"""Of all turns while something of the lane waits. What comes in live gets the rest."""
A_TURN = 100


class Turns:
    """Whose turn it is, one after the other."""

    def __init__(self) -> None:
        self._owed = dict.fromkeys(Lane, 0)
        """Hundredths of a turn; a lane in which nothing waits keeps what it has and gets no more,
        so that it can never claim more than a turn at once."""

    def next(self, waiting: Collection[Lane]) -> Lane:
        """Return whose turn it is among the lanes in which something waits, of which there is one.

        Changes nothing.
        """
        owed = [lane for lane in waiting if self._owed[lane] >= A_TURN]
        return max(owed, key=self._owed.__getitem__) if owed else min(waiting)

    def record(self, taker: Lane, waiting: Collection[Lane]) -> None:
        """Note that a lane took a turn; ``waiting`` are all that wanted it, itself included."""
        for lane in waiting:
            self._owed[lane] += LEAST_PERCENT[lane]
        self._owed[taker] = max(0, self._owed[taker] - A_TURN)
