"""Records of one partition that were deleted unread: totals and places, stored in its commits.

A gap counts from the first commit behind it on. A worker that starts below it finds it again.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from faust.types import TP

ALL = "*"
"""The count of all records of the gaps."""

MAX_GAPS = 8
"""Gaps whose places are stored: the metadata of a commit is limited."""


class Gap(NamedTuple):
    """Offsets from ``first`` to ``end`` - 1, of which ``records`` expired."""

    first: int
    end: int
    records: int


class ExpiredRecords:
    """Counts by name (one is ``ALL``) over all gaps, and the places of the newest gaps.

    Of more than ``MAX_GAPS`` gaps the two closest are merged. The count of the merged gap is exact;
    its place includes the records between the two.
    """

    def __init__(self, known: Mapping[str, int], gaps: Iterable[Sequence[int]] = ()) -> None:
        """Continue from the last commit."""
        self._passed = Counter(known)
        self._gaps = [Gap(*gap) for gap in gaps]
        self._ahead: deque[tuple[Gap, Counter[str]]] = deque()

    def record(self, first: int, end: int, counts: Mapping[str, int]) -> None:
        """Record the next gap, with the number of lost records by name."""
        self._ahead.append((Gap(first, end, counts.get(ALL, 0)), Counter(counts)))

    def below(self, offset: int) -> dict[str, int]:
        """Return the totals for a commit of this offset; offsets never decrease."""
        while self._ahead and self._ahead[0][0].end <= offset:
            gap, counts = self._ahead.popleft()
            self._passed.update(counts)
            if gap.records:
                self._gaps = _bounded([*self._gaps, gap])
        return {name: count for name, count in self._passed.items() if count}

    def gaps_below(self, offset: int) -> list[Gap]:
        """Return the places for a commit of this offset, in order."""
        self.below(offset)
        return list(self._gaps)

    @property
    def total(self) -> int:
        """All records of all gaps, including gaps that no commit has passed yet."""
        return self._passed[ALL] + sum(counts[ALL] for _, counts in self._ahead)


def _bounded(gaps: list[Gap]) -> list[Gap]:
    """Merge the closest gaps to at most ``MAX_GAPS``; adjacent ones always."""
    while len(gaps) > 1:
        distance, index = min((b.first - a.end, i) for i, (a, b) in enumerate(pairwise(gaps)))
        if distance > 0 and len(gaps) <= MAX_GAPS:
            break
        one, other = gaps[index : index + 2]
        gaps[index : index + 2] = [Gap(one.first, other.end, one.records + other.records)]
    return gaps


def total_by_topic(partitions: Mapping[TP, ExpiredRecords]) -> dict[str, int]:
    """Return the totals by topic; topics without any are left out."""
    totals: Counter[str] = Counter()
    for tp, expired in partitions.items():
        totals[tp.topic] += expired.total
    return {topic: count for topic, count in totals.items() if count}
