"""Micro-batching: when a batch is full, and how a batch is split.

Pure: time comes in as an argument.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

P = TypeVar("P")


class BatchCause(StrEnum):
    """Why a micro-batch was flushed."""

    COUNT = "count"
    BYTES = "bytes"
    AGE = "age"


@dataclass(frozen=True, slots=True)
class MicroBatch(Generic[P]):
    """Events for one request, in order."""

    positions: tuple[P, ...]
    payloads: tuple[bytes, ...]
    cause: BatchCause

    def __len__(self) -> int:
        return len(self.positions)


class Batcher(Generic[P]):
    """Collects the (position, payload) pairs of one queue into micro-batches, in order.

    A batch has at most ``max_records`` events and ``max_bytes``: payloads, and one byte between two
    of them. Only a single payload above the limit is sent alone, oversized.
    """

    def __init__(self, max_records: int, max_bytes: int, linger_seconds: float) -> None:
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._linger_seconds = linger_seconds
        self._waiting: deque[tuple[P, bytes, float]] = deque()
        # Each payload counts one byte more, for its separator; the first of a batch has none.
        self._bytes = 0

    def __len__(self) -> int:
        """The number of events that wait."""
        return len(self._waiting)

    def add(self, position: P, payload: bytes, now: float) -> None:
        """Append an event; ``now`` in seconds, of any clock that only grows."""
        self._waiting.append((position, payload, now))
        self._bytes += len(payload) + 1

    def due_at(self) -> float | None:
        """Return when the oldest event has waited long enough; None: none waits."""
        return self._waiting[0][2] + self._linger_seconds if self._waiting else None

    def ready(self, now: float) -> BatchCause | None:
        """Return why a batch should be flushed now, or None."""
        if not self._waiting:
            return None
        if len(self._waiting) >= self._max_records:
            return BatchCause.COUNT
        if self._bytes - 1 >= self._max_bytes:
            return BatchCause.BYTES
        if now >= self._waiting[0][2] + self._linger_seconds:
            return BatchCause.AGE
        return None

    def next_batch(self, cause: BatchCause) -> MicroBatch[P]:
        """Remove and return the oldest events that fit one request; IndexError if none waits."""
        positions: list[P] = []
        payloads: list[bytes] = []
        size = -1
        position, payload, _ = self._waiting[0]
        while True:
            positions.append(position)
            payloads.append(payload)
            size += len(payload) + 1
            self._waiting.popleft()
            if not self._waiting or len(positions) == self._max_records:
                break
            position, payload, _ = self._waiting[0]
            if size + 1 + len(payload) > self._max_bytes:
                break
        self._bytes -= size + 1
        return MicroBatch(tuple(positions), tuple(payloads), cause)

    def fits_beside(self, records: int, size: int) -> bool:
        """Return whether all waiting events fit into a request with this much already in it.

        ``size``: bytes of its payloads, and one byte for each of them.
        """
        return (
            records + len(self._waiting) <= self._max_records
            and size + self._bytes - 1 <= self._max_bytes
        )

    def waiting(self) -> Iterator[P]:
        """Yield the positions of waiting events, the oldest first."""
        return (position for position, _, _ in self._waiting)

    def remove(self, is_wanted: Callable[[P], bool]) -> list[tuple[P, bytes, float]]:
        """Remove and return the events for which this is true, as they were added, in order."""
        taken = [waiting for waiting in self._waiting if is_wanted(waiting[0])]
        if taken:
            kept = [waiting for waiting in self._waiting if not is_wanted(waiting[0])]
            self._waiting = deque(kept)
            self._bytes = sum(len(payload) + 1 for _, payload, _ in kept)
        return taken


def halves(batch: MicroBatch[P]) -> tuple[MicroBatch[P], MicroBatch[P]]:
    """Split a batch in two, in order; raises ValueError if it has fewer than two events."""
    if len(batch) < 2:
        raise ValueError("a micro-batch of one event cannot be split")
    middle = len(batch) // 2
    return (
        MicroBatch(batch.positions[:middle], batch.payloads[:middle], batch.cause),
        MicroBatch(batch.positions[middle:], batch.payloads[middle:], batch.cause),
    )


def joined(front: MicroBatch[P], back: MicroBatch[P]) -> MicroBatch[P]:
    """Return both as one batch, in order."""
    return MicroBatch(front.positions + back.positions, front.payloads + back.payloads, front.cause)


def without(batch: MicroBatch[P], refused: Collection[int]) -> MicroBatch[P]:
    """Return the batch without the events of these indexes, order kept; it may be empty."""
    kept: Sequence[int] = [index for index in range(len(batch)) if index not in refused]
    return MicroBatch(
        tuple(batch.positions[index] for index in kept),
        tuple(batch.payloads[index] for index in kept),
        batch.cause,
    )
