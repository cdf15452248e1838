"""What an audit knows of the partitions it reads: a few bytes for each raw record and vendor.

So that five million raw records fit into memory, a record is a place in arrays, not an object.
"""

from array import array
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from streams.operations.audit.decode import ALL, OnRanges

CLOCK_SKEW_MS = 60 * 60 * 1000
"""How far the clocks of producers, workers and brokers may be apart."""

# What is known of a raw record itself.
PRESENT, OUTSIDE_WINDOW, GIVEN_UP = 1, 2, 4
# Its trace at one vendor.
ACCEPTED, DEAD, SKIPPED, LIVE_RECEIPT = 1, 2, 4, 8
DEAD_DUE = 16  # a dead_lettered receipt below the commit: its letter must be there
RECORD, RECORD_PASSED = 32, 64  # passed: the first vendor record lies below the commit
LETTER, ENRICH_LETTER = 128, 256
ANY_RECEIPT = ACCEPTED | DEAD | SKIPPED


class NoSuchRecordError(Exception):
    """Something speaks of a record that does not exist; the message says which."""


@dataclass(slots=True)
class RawLog:
    """One partition of a raw topic at the moment of the audit."""

    log_start: int
    """The first offset that retention has left."""
    start: int
    """The first offset of the audit's window."""
    end: int
    """Offsets from here on are not audited."""
    later_end: int
    """The end after all other ends were taken: downstream may know records up to here."""
    committed: int | None
    """Enrichment's committed offset."""
    on: OnRanges | None = None
    """When each vendor was on; None: nobody knows, so that none is taken to have been off."""
    told: Mapping[str, int] = field(default_factory=dict)
    """Records that expired below the commit, as it says itself: by vendor, and ``ALL``."""

    def expired(self, name: str = ALL) -> int:
        """Return how many offsets retention deleted before enrichment read them.

        ``name``: a vendor, for those that it would have got; counted by offsets, of which
        transactions and compaction may have left some without a record.
        """
        # Without a commit nothing was owed yet: a new relay on an old topic lost nothing.
        unread = 0 if self.committed is None else max(0, self.log_start - self.committed)
        if name != ALL and self.on is not None:
            ranges = self.on.ranges.get(name) or [(0, 0)]
            unread = unread if ranges[-1][1] is None else 0
        return self.told.get(name, 0) + unread


@dataclass(slots=True)
class VendorLog:
    """One partition of a vendor's events topic at the moment of the audit."""

    log_start: int
    start: int
    """The first position that is read."""
    end: int
    later_end: int
    """The end after the receipts' end was taken: receipts may know positions up to here."""
    committed: int | None
    """The sink's committed offset."""
    redelivery_committed: int | None = None
    """The same on the redelivery topic's partition."""
    told: int = 0
    """Positions that expired below the commit, as it says itself: all that ever did."""
    gaps: Sequence[tuple[int, int, int]] = ()
    """Where the newest of these lay: (first, end, how many expired), in order."""


class RawPart:
    """One raw partition with a byte for each offset of the window."""

    def __init__(self, index: int, topic: str, partition: int, log: RawLog) -> None:
        self.index, self.topic, self.partition, self.log = index, topic, partition, log
        self.flags = bytearray(max(0, log.end - log.start))
        self.gone_below = log.log_start
        """What was not read below this offset has been deleted meanwhile."""
        self.oldest_ms: int | None = None
        """The Kafka time of the oldest record that was read."""

    def where(self, offset: int) -> str:
        """Return the text form of a record's place."""
        return f"{self.topic}/{self.partition}/{offset}"

    def place(self, offset: int) -> int | None:
        """Return the index of an offset, None where it is not audited; raises NoSuchRecordError."""
        if offset < 0 or offset >= self.log.later_end:
            raise NoSuchRecordError(f"{self.where(offset)} is beyond the end of its topic")
        place = offset - self.log.start
        if offset < self.log.log_start or not 0 <= place < len(self.flags):
            return None
        if self.flags[place] & PRESENT:
            return place
        if self.flags[place] & OUTSIDE_WINDOW or offset < self.gone_below:
            return None
        raise NoSuchRecordError(f"{self.where(offset)} does not exist")

    def code(self, offset: int) -> int:
        """Return a number that stands for this record in a VendorPartition."""
        return offset << 16 | self.index


class LogTraces:
    """What one vendor knows of the records of one raw partition, by their place."""

    def __init__(self, size: int) -> None:
        self.state = array("H", bytes(2 * size))
        self.skip = bytearray(size)
        """Number of the skip reason; 0: none."""
        self.dead = bytearray(size)
        """Number of the dead-letter reason; 0: none."""


@dataclass(slots=True)
class ExpiredSpan:
    """Raw records of which some have no trace since their vendor records expired unsent."""

    expired: int
    """How many vendor records. Written twice after a crash, one of them stands for no raw record.
    """
    raw: dict[int, list[tuple[int, int]]]
    """Index of the raw partition → where in it, (first offset, end) each, in order."""


_NOTHING, _DELETED = -1, -2
_FORMER = 1 << 15
"""In a code: the raw record lay on a topic that was recreated since."""


class VendorPartition:
    """One partition of a vendor's events: which raw record the record at a position is about.

    And which raw records those may have been about that expired unsent. Vendor records are written
    in the order of their raw records, so these lie between what was written before the gap and
    what was written after it, as the vendor records and receipts around it tell.
    """

    def __init__(self, log: VendorLog) -> None:
        self.log = log
        self._settled_ahead: set[int] = set()
        self._codes = array("q", [_NOTHING]) * max(0, log.end - log.start)
        self._gaps = sorted(log.gaps)
        self._ahead = max(0, log.log_start - (log.committed or 0))
        """Positions that expired above the commit."""
        if self._ahead:
            self._gaps.append((log.committed or 0, log.log_start, self._ahead))
        self._ends = [end for _, end, _ in self._gaps]
        self._between: list[dict[int, tuple[int, int]]] = [{} for _ in range(len(self._gaps) + 1)]
        """Before, between and behind the gaps: raw index → lowest and highest raw offset."""

    def settled(self, position: int) -> None:
        """Note that there is a receipt of this position."""
        if (self.log.committed or 0) <= position < self.log.log_start:
            self._settled_ahead.add(position)

    @property
    def expired(self) -> int:
        """Positions that retention deleted before they had an outcome."""
        return self.log.told + self._ahead - len(self._settled_ahead)

    def seen(self, position: int, raw_index: int, offset: int) -> None:
        """Note that the record at this position is or was about this raw record."""
        if not self._gaps:
            return
        index = bisect_right(self._ends, position)
        if index < len(self._gaps) and position >= self._gaps[index][0]:
            return  # within the gap: it was settled out of order
        lowest, highest = self._between[index].get(raw_index, (offset, offset))
        self._between[index][raw_index] = min(lowest, offset), max(highest, offset)

    def spans(self, raw: Mapping[int, int]) -> list[ExpiredSpan]:
        """Return what the gaps may explain; ``raw``: index of each raw partition → its end."""
        spans: list[ExpiredSpan] = []
        for index, (_, _, expired) in enumerate(self._gaps):
            is_ahead = index == len(self.log.gaps)
            span = ExpiredSpan(expired - (len(self._settled_ahead) if is_ahead else 0), {})
            for part, end in raw.items():
                before = [known[part][1] for known in self._between[: index + 1] if part in known]
                behind = [known[part][0] for known in self._between[index + 1 :] if part in known]
                first = max(before, default=-1) + 1
                last = min(behind, default=end)
                span.raw[part] = [(first, last)] if first < last else []
            if spans and any(set(spans[-1].raw[part]) & set(span.raw[part]) for part in raw):
                # Nothing of this topic was seen between the two: they cannot be told apart.
                spans[-1].expired += span.expired
                for part in raw:
                    spans[-1].raw[part] = sorted({*spans[-1].raw[part], *span.raw[part]})
            elif span.expired:
                spans.append(span)
        return spans

    def hold(self, position: int, code: int, *, is_former: bool) -> None:
        """Note what the record at a position is about."""
        self._codes[position - self.log.start] = code | (_FORMER if is_former else 0)

    def is_former(self, position: int) -> bool:
        """Return whether the vendor record there is about a record of a topic that is gone."""
        code = self._code(position)
        return code is not None and code >= 0 and bool(code & _FORMER)

    def trimmed(self, log_start: int) -> None:
        """Note where the log starts after it was read: what was not read below may have existed."""
        for place in range(min(len(self._codes), max(0, log_start - self.log.start))):
            if self._codes[place] == _NOTHING:
                self._codes[place] = _DELETED

    def check(self, position: int, code: int) -> None:
        """Raise NoSuchRecordError unless the record there is, or may be, about ``code``."""
        if position < 0 or position >= self.log.later_end:
            raise NoSuchRecordError(f"its vendor record {position} is beyond the end of the topic")
        if self._code(position) not in (None, code, code | _FORMER, _DELETED):
            raise NoSuchRecordError(f"the vendor record {position} is not about its source")

    def _code(self, position: int) -> int | None:
        place = position - self.log.start
        return self._codes[place] if 0 <= place < len(self._codes) else None
