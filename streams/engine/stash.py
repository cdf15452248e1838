"""Fetched records of one partition that wait to be handed out, limited in number and bytes."""

from collections import deque
from collections.abc import Iterable
from itertools import islice
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
        self._sizes: deque[int] = deque()
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
        added = list(records)
        sizes = list(map(record_size, added))
        self._records += added
        self._sizes += sizes
        self.size += sum(sizes)

    def pop(self, most_records: int, most_bytes: int) -> Batch:
        """Remove and return the oldest records within both limits, but at least one."""
        sizes = list(islice(self._sizes, most_records))
        total = sum(sizes)
        while total > most_bytes and len(sizes) > 1:
            total -= sizes.pop()
        next_record, next_size = self._records.popleft, self._sizes.popleft
        taken = []
        for _ in sizes:
            taken.append(next_record())
            next_size()
        self.size -= total
        return Batch(taken, total, max(sizes, default=0))


def record_size(record: Record) -> int:
    """Return about how many bytes a record takes."""
    size = RECORD_BYTES + len(record.value or b"") + len(record.key or b"")
    for name, value in record.headers:
        size += len(name) + (len(value) if value else 0)
    return size
