"""The partition of a key by Kafka's default partitioner, and rows that lie on another one."""

from collections.abc import Callable
from functools import lru_cache
from struct import Struct

ALWAYS_LOOKED_AT = 200
ONE_IN = 32
"""The first rows of a partition are all checked, then one in 32: a hash costs more than applying a
row."""


_FACTOR, _MASK, _SEED = 0x5BD1E995, 0xFFFFFFFF, 0x9747B28C


@lru_cache(maxsize=256)
def _words(count: int) -> Callable[[bytes], tuple[int, ...]]:
    return Struct(f"<{count}I").unpack_from


def murmur2(key: bytes) -> int:
    """Return MurmurHash2 as Kafka has it, in 32 bits without a sign.

    aiokafka's own takes byte by byte, which costs as much as reading a whole event.
    """
    count, rest = divmod(len(key), 4)
    found = _SEED ^ len(key)
    for word in _words(count)(key):
        mixed = word * _FACTOR & _MASK
        found = (found * _FACTOR & _MASK) ^ ((mixed ^ mixed >> 24) * _FACTOR & _MASK)
    if rest:
        found = (found ^ int.from_bytes(key[-rest:], "little")) * _FACTOR & _MASK
    found = (found ^ found >> 13) * _FACTOR & _MASK
    return found ^ found >> 15


def home_of(key: bytes, partitions: int) -> int:
    """Return the partition of this key by Kafka's default partitioner (murmur2)."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


_MOST_PARTITIONS = 1 << 20
"""More than any topic has."""


class NewestPlaces:
    """Which record of a key counts where records of it lie on several partitions: the newest.

    Where partitions were added, a key's old row stays on its old partition for ever; partitions are
    read side by side, so the old row may be read last. On one partition the log's order counts.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, int] = {}
        """Key → Kafka time and partition in one number, which takes half of a tuple's memory."""

    def admit(self, partition: int, key: bytes, kafka_ms: int) -> bool:
        """Record the next record of a partition; return whether it counts."""
        known = self._known.get(key)
        if known is not None:
            ms, at = divmod(known, _MOST_PARTITIONS)
            if at != partition and ms > kafka_ms:
                return False
        self._known[key] = kafka_ms * _MOST_PARTITIONS + partition
        return True


class Strays:
    """Keys of rows on other partitions than their visitors' events, among those checked."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._looked_at: dict[int, int] = {}
        self._found: dict[int, set[bytes]] = {}

    def record(self, partition: int, key: bytes, *, is_row: bool) -> bool:
        """Record a row or tombstone; return whether it is the first stray row."""
        found = self._found.setdefault(partition, set())
        if not is_row:
            found.discard(key)
            return False
        seen = self._looked_at[partition] = self._looked_at.get(partition, -1) + 1
        if seen >= ALWAYS_LOOKED_AT and seen % ONE_IN:
            return False
        if home_of(key, self._partitions) == partition:
            return False
        is_first = not len(self)
        found.add(key)
        return is_first

    def forget(self, partition: int) -> None:
        """Forget a partition that now belongs to another worker."""
        self._looked_at.pop(partition, None)
        self._found.pop(partition, None)

    def __len__(self) -> int:
        return sum(map(len, self._found.values()))
