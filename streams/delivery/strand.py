"""A strand: events that must stay in order, so at most one of its requests is unanswered.

Pure: time comes in as an argument.
"""

from collections import deque
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from streams.core.batching import Batcher, MicroBatch, halves, without


@dataclass(slots=True, eq=False)
class Item:
    """One vendor record on its way."""

    partition: int
    position: int
    event_id: str
    source: str
    timestamp: str
    """When it happened in the shop: RFC 3339."""
    record: bytes
    """The vendor record as it lies on its topic, for a dead letter."""
    raw_ms: int
    """Kafka time of the raw record."""
    key: bytes | None = None
    """The vendor record's key."""
    tag: Any = None
    """The sink's own: what the outcome is settled in."""
    attempts: int = 0
    unclear: bool = False
    """An earlier request with it may have been stored although no answer came."""


class Strand:
    """What waits, what goes again first, and since when it may."""

    def __init__(self, partition: int, batcher: Batcher[Item]) -> None:
        self.partition = partition
        self.under_way = False
        self.closed = False
        self.failures = 0
        self.not_before = 0.0
        self._batcher = batcher
        self._again: deque[MicroBatch[Item]] = deque()

    def __len__(self) -> int:
        return len(self._batcher) + sum(map(len, self._again))

    def add(self, item: Item, payload: bytes, now: float) -> None:
        """Append an event behind all others."""
        self._batcher.add(item, payload, now)

    def due_at(self) -> float | None:
        """Return when the strand may have a request to make; None: when something is added."""
        if self._again:
            return self.not_before
        due = self._batcher.due_at()
        return None if due is None else max(due, self.not_before)

    def next_batch(self, now: float) -> MicroBatch[Item] | None:
        """Return the next request's events and mark the strand as under way, if it is time."""
        if self.under_way or self.closed or now < self.not_before:
            return None
        if self._again:
            self.under_way = True
            return self._again.popleft()
        cause = self._batcher.ready(now)
        if cause is None:
            return None
        self.under_way = True
        return self._batcher.take(cause)

    def answered(self) -> None:
        """Note that the vendor has judged the request: the next one may go."""
        self.under_way = False
        self.failures = 0
        self.not_before = 0.0

    def again(self, batch: MicroBatch[Item], not_before: float) -> None:
        """Put the same request back to the front, to go no earlier than this."""
        self.under_way = False
        self.failures += 1
        self.not_before = not_before
        self._again.appendleft(batch)

    def put_back(self, batch: MicroBatch[Item]) -> None:
        """Put a request that was not made, or not to its end, back to the front."""
        self.under_way = False
        self._again.appendleft(batch)

    def rest(self, batch: MicroBatch[Item], refused: set[int]) -> None:
        """Put what was not refused back to the front, to go at once."""
        left = without(batch, refused)
        if len(left):
            self._again.appendleft(left)

    def split(self, batch: MicroBatch[Item]) -> None:
        """Put a request whose refused events are not named back to the front, halved."""
        first, second = halves(batch)
        self._again.extendleft((second, first))


def strand_number(key: str, strands: int) -> int:
    """Return which of a partition's strands a key belongs to, the same in every process."""
    return 0 if strands == 1 else crc32(key.encode()) % strands
