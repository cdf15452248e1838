"""Fetched records of one partition that wait to be handed out, limited in number and bytes."""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from streams.engine.chunks import Record

RECORD_BYTES = 200
"""About the size of a record without key, value and headers."""


class Batch(NamedTuple):
    """Records that are handed out together."""

    records: list[Record]
    size: int
    """In bytes, of all records."""
    largest: int
    """In bytes, of the largest record."""


class Stash:
    """A queue of records with its size in bytes."""

    def __init__(self) -> None:
        self._records: deque[Record] = deque()
        self.size = 0
        """In bytes."""

    def __len__(self) -> int:
        return len(self._records)

    @property
    def first(self) -> Record | None:
        """The oldest record."""
        return self._records[0] if self._records else None

    def extend(self, records: Iterable[Record]) -> None:
        """Append fetched records."""
        for record in records:
            self._records.append(record)
            self.size += record_size(record)

    def pop(self, most_records: int, most_bytes: int) -> Batch:
        """Remove and return the oldest records within both limits, but at least one."""
        taken: list[Record] = []
        total = largest = 0
        waiting = self._records
        while waiting and len(taken) < most_records:
            size = record_size(waiting[0])
            if taken and total + size > most_bytes:
                break
            taken.append(waiting.popleft())
            total += size
            largest = max(largest, size)
        self.size -= total
        return Batch(taken, total, largest)


def record_size(record: Record) -> int:
    """Return about how many bytes a record takes."""
    size = RECORD_BYTES + len(record.value or b"") + len(record.key or b"")
    for name, value in record.headers:
        size += len(name) + len(value or b"")
    return size
