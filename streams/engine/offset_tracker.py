"""Tracks the open chunks of a partition: what may be committed, and what may be handed out.

The tracker holds the chunk objects that were handed out. A rebalance removes them, so a late ack
commits nothing. Gaps in the log need no special case.

How much may be handed out depends on the open records. Settled records behind an open one take
little memory, so their number has a much higher limit. The cost of each step does not depend on the
number of chunks.
"""

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from streams.engine.chunks import Chunk
from streams.engine.stash import Batch

FULL_PARTITIONS = 6
"""With more partitions in a worker, each may hold less."""
KEPT_BYTES = 4 * 2**20
"""Size of the records that are kept here to show the oldest open one."""


class OpenRecord(NamedTuple):
    """A record that is not settled."""

    offset: int
    timestamp: int
    """Kafka time in ms."""
    value: bytes | None
    """None: it has no value, or the value is not kept."""


@dataclass(frozen=True, slots=True)
class Credit:
    """How many records of one partition may be open."""

    records: int = 2_000
    """Open records, at most."""
    size: int = 16 * 2**20
    """Bytes of open records, at most; one record may be larger."""
    span: int = 100_000
    """Records from the oldest open one to the newest, settled ones included, at most."""

    def among(self, partitions: int) -> "Credit":
        """Return the credit of each of so many partitions with open records.

        Their bytes and spans together are no more than those of ``FULL_PARTITIONS``. The number of
        open records is at most halved, because one that waits must not hold up a whole chunk.
        """
        if partitions <= FULL_PARTITIONS:
            return self
        records = self.records if partitions <= 2 * FULL_PARTITIONS else self.records // 2
        size, span = (n * FULL_PARTITIONS // partitions for n in (self.size, self.span))
        return Credit(records, size, max(span, 2 * records))


class Room(NamedTuple):
    """How much more may be handed out."""

    records: int
    size: int


@dataclass(slots=True, eq=False)
class _Entry:
    """One chunk."""

    chunk: Chunk
    number: int
    offsets: "array[int]"
    timestamps: "array[int]"
    size: int
    records: Sequence[Any]
    """Empty: not kept."""
    is_ahead: bool = False
    """It counts as settled."""


class OffsetTracker:
    """One partition's chunks in the order in which they were handed out."""

    def __init__(self) -> None:
        self._entries: deque[_Entry] = deque()
        self._open: dict[Chunk, _Entry] = {}
        self._safe: int | None = None
        self._number = 0
        self._records = 0
        self._size = 0
        self._acked_ahead = 0
        """Records of acked chunks behind one that is not."""
        self._told_ahead = 0
        """Settled records behind an open one, as the stage reported them."""
        self._largest: deque[tuple[int, int]] = deque()
        """(chunk number, size of its largest record), with decreasing sizes from the head on."""

    def __len__(self) -> int:
        """Return the number of chunks from the first open one on."""
        self._advance()
        return len(self._entries)

    def hand_out(self, chunk: Chunk, batch: Batch | None = None) -> None:
        """Track a chunk before it is handed out; ``batch`` has its size."""
        records = chunk.value
        size, largest = (batch.size, batch.largest) if batch is not None else (0, 0)
        self._number += 1
        entry = _Entry(
            chunk,
            self._number,
            array("q", [record.offset for record in records]),
            array("q", [record.timestamp for record in records]),
            size,
            records if self._size < KEPT_BYTES else (),
        )
        self._entries.append(entry)
        self._open[chunk] = entry
        self._records += len(records)
        self._size += size
        while self._largest and self._largest[-1][1] <= largest:
            self._largest.pop()
        self._largest.append((self._number, largest))

    def settle_below(self, offset: int, ahead: int = 0) -> Iterable[Chunk]:
        """Mark all records below ``offset`` as settled; return the chunks that are now complete.

        ``ahead``: how many records above it are settled, too.
        """
        self._advance()
        self._told_ahead = ahead
        ended = []
        for entry in self._entries:
            chunk = entry.chunk
            if chunk.offset < offset:
                if not chunk.acked:
                    ended.append(chunk)
            else:
                chunk.settled_below = max(chunk.settled_below, offset)
                break
        return ended

    def record_ack(self, chunk: Chunk) -> None:
        """Count a chunk as settled; a chunk that is not tracked is ignored."""
        entry = self._open.get(chunk)
        if entry is not None and not entry.is_ahead:
            entry.is_ahead = True
            self._acked_ahead += len(entry.offsets)

    def __contains__(self, chunk: object) -> bool:
        """Return whether this chunk was handed out here and is not settled yet."""
        return chunk in self._open

    def committable(self) -> int | None:
        """Return the offset below which all handed-out records are settled; None: nothing new."""
        self._advance()
        if self._entries:
            head = self._entries[0].chunk.settled_below
            if self._safe is None or head > self._safe:
                return head
        return self._safe

    def oldest_open(self) -> OpenRecord | None:
        """Return the oldest open record, or None."""
        self._advance()
        if not self._entries:
            return None
        head = self._entries[0]
        at = min(self._settled_in(head), len(head.offsets) - 1)
        value = head.records[at].value if head.records else None
        return OpenRecord(head.offsets[at], head.timestamps[at], value)

    @property
    def open_records(self) -> int:
        """How many records are handed out and not settled."""
        self._advance()
        if not self._entries:
            return 0
        settled = self._settled_in(self._entries[0]) + self._acked_ahead + self._told_ahead
        return max(0, self._records - settled)

    def room(self, credit: Credit) -> Room:
        """Return how much more may be handed out; zero or less: nothing."""
        open_records = self.open_records
        largest = self._largest[0][1] if self._largest else 0
        # An upper bound: it is not known which of the open records are large.
        open_size = min(self._size, open_records * largest)
        return Room(
            min(credit.records - open_records, credit.span - self._records),
            credit.size - open_size,
        )

    @staticmethod
    def _settled_in(entry: _Entry) -> int:
        return bisect_left(entry.offsets, entry.chunk.settled_below)

    def _advance(self) -> None:
        while self._entries and self._entries[0].chunk.acked:
            entry = self._entries.popleft()
            self._safe = entry.chunk.offset + 1
            del self._open[entry.chunk]
            self._records -= len(entry.offsets)
            self._size -= entry.size
            if entry.is_ahead:
                self._acked_ahead -= len(entry.offsets)
            if self._largest and self._largest[0][0] == entry.number:
                self._largest.popleft()
