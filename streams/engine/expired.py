"""What retention deleted unread of one partition: a running total that travels with its commits.

A gap counts in the commit that has passed it, and in none before: whoever starts again below it
finds the same gap again.
"""

from collections import Counter, deque
from collections.abc import Mapping

from faust.types import TP

ALL = "*"
"""The count of all records of the gaps, whoever they were for."""


class Expired:
    """Counts by name, of which ``ALL`` is one, over all gaps ever found in this partition."""

    def __init__(self, known: Mapping[str, int]) -> None:
        """Go on from what the last commit said."""
        self._passed = Counter(known)
        self._ahead: deque[tuple[int, Counter[str]]] = deque()

    def note(self, end: int, counts: Mapping[str, int]) -> None:
        """Take the next gap, which ends before offset ``end``."""
        self._ahead.append((end, Counter(counts)))

    def below(self, offset: int) -> dict[str, int]:
        """Return what a commit of this offset says; offsets never fall."""
        while self._ahead and self._ahead[0][0] <= offset:
            self._passed.update(self._ahead.popleft()[1])
        return {name: count for name, count in self._passed.items() if count}

    @property
    def total(self) -> int:
        """All records of all gaps, those not yet passed by a commit included."""
        return self._passed[ALL] + sum(counts[ALL] for _, counts in self._ahead)


def total_by_topic(partitions: Mapping[TP, Expired]) -> dict[str, int]:
    """Return the totals of these partitions, by topic; topics without any are left out."""
    totals: Counter[str] = Counter()
    for tp, expired in partitions.items():
        totals[tp.topic] += expired.total
    return {topic: count for topic, count in totals.items() if count}
