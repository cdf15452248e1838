"""What retention deleted unread of one partition: totals and places that travel with its commits.

A gap counts in the commit that has passed it, and in none before: whoever starts again below it
finds the same gap again.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from faust.types import TP

ALL = "*"
"""The count of all records of the gaps, whoever they were for."""

MAX_GAPS = 8
"""Gaps whose places are kept: a commit's metadata is bounded."""


class Gap(NamedTuple):
    """Offsets from ``first`` to ``end`` - 1, of which ``records`` expired."""

    first: int
    end: int
    records: int


class ExpiredRecords:
    """Counts by name, of which ``ALL`` is one, over all gaps ever found; the newest gaps' places.

    Of more than ``MAX_GAPS`` gaps the two that lie closest together become one. Its ``records``
    are still exact; its place takes in what lies between them.
    """

    def __init__(self, known: Mapping[str, int], gaps: Iterable[Sequence[int]] = ()) -> None:
        """Go on from what the last commit said."""
        self._passed = Counter(known)
        self._gaps = [Gap(*gap) for gap in gaps]
        self._ahead: deque[tuple[Gap, Counter[str]]] = deque()

    def record(self, first: int, end: int, counts: Mapping[str, int]) -> None:
        """Take the next gap: what each name, of which ``ALL`` is one, lost in it."""
        self._ahead.append((Gap(first, end, counts.get(ALL, 0)), Counter(counts)))

    def below(self, offset: int) -> dict[str, int]:
        """Return the totals that a commit of this offset says; offsets never fall."""
        while self._ahead and self._ahead[0][0].end <= offset:
            gap, counts = self._ahead.popleft()
            self._passed.update(counts)
            if gap.records:
                self._gaps = _bounded([*self._gaps, gap])
        return {name: count for name, count in self._passed.items() if count}

    def gaps_below(self, offset: int) -> list[Gap]:
        """Return the places that a commit of this offset says, in order."""
        self.below(offset)
        return list(self._gaps)

    @property
    def total(self) -> int:
        """All records of all gaps, those not yet passed by a commit included."""
        return self._passed[ALL] + sum(counts[ALL] for _, counts in self._ahead)


def _bounded(gaps: list[Gap]) -> list[Gap]:
    """Return at most ``MAX_GAPS`` gaps, the closest neighbours as one; adjacent ones always."""
    while len(gaps) > 1:
        distance, index = min((b.first - a.end, i) for i, (a, b) in enumerate(pairwise(gaps)))
        if distance > 0 and len(gaps) <= MAX_GAPS:
            break
        one, other = gaps[index : index + 2]
        gaps[index : index + 2] = [Gap(one.first, other.end, one.records + other.records)]
    return gaps


def total_by_topic(partitions: Mapping[TP, ExpiredRecords]) -> dict[str, int]:
    """Return the totals of these partitions, by topic; topics without any are left out."""
    totals: Counter[str] = Counter()
    for tp, expired in partitions.items():
        totals[tp.topic] += expired.total
    return {topic: count for topic, count in totals.items() if count}
