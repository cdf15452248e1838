"""The partition of a key by Kafka's default partitioner; topics that grow, vanish or come back."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from struct import Struct
from typing import Any

from aiokafka.errors import KafkaError

from streams.engine.errors import BrokersUnavailableError
from streams.engine.failure import DO_NOT_RESTART, RESTART, leave

LOOK_SECONDS = 5.0
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


class NewestPlaces:
    """Which record of a key counts where records of it lie on several partitions: the newest.

    Where partitions were added, a key's old row stays on its old partition for ever; partitions are
    read side by side, so the old row may be read last. On one partition the log's order counts.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, int] = {}
        """Key → Kafka time and partition in one number, which takes half of a tuple's memory."""

    def admit(self, partition: int, key: bytes, kafka_ms: int) -> bool:
        """Take the next record of a partition; return whether it counts."""
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


class PartitionWatch:
    """Ends a worker whose topics have more partitions than at its start, or do not exist any more.

    A worker opens only the partitions that it knew at its start.
    """

    def __init__(
        self,
        app: Any,
        known: Mapping[str, int],
        problems: Callable[[], Awaitable[list[str]]],
        leave: Callable[..., object] = leave,
        appeared: Callable[[], Awaitable[list[str]]] | None = None,
    ) -> None:
        """``problems`` returns why the stage cannot work with the topics as they are.

        ``appeared`` returns which topics that did not exist at its start exist now; None: all did.
        """
        self._appeared = appeared
        self._app = app
        self._known = dict(known)
        self._problems = problems
        self._leave = leave

    async def run(self) -> None:
        """Check regularly."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            producer = self._app.started_producer
            if producer is None:
                continue
            try:
                if await producer.client.force_metadata_update():
                    await self.check(producer.client.cluster)
                    await self.look_for_new()
                    await self.look_for_lost()
            except (KafkaError, OSError, BrokersUnavailableError):
                continue  # the brokers do not respond: checked again

    async def look_for_new(self) -> None:
        """End the process if a topic exists now that did not at its start.

        Raises BrokersUnavailableError.
        """
        if self._appeared is not None and (names := await self._appeared()):
            self._leave(
                f"{', '.join(names)} did not exist at the start; starting again to read it",
                code=RESTART,
            )

    async def look_for_lost(self) -> None:
        """Let the consumer look for topics that it does not know any more.

        One that was deleted and created again exists, and the consumer would learn it after
        minutes. Until then it is assigned none of its partitions, and what needs its rows waits.
        """
        consumer = self._app.started_consumer
        if consumer is not None and consumer.thread.unknown_topics():
            await consumer.thread.client.force_metadata_update()

    async def check(self, cluster: Any) -> None:
        """End the process if a topic has more partitions, or was deleted.

        Raises BrokersUnavailableError.
        """
        grown = []
        is_gone = False
        for topic, count in self._known.items():
            found = len(cluster.partitions_for_topic(topic) or ())
            if found > count:
                grown.append(f"{topic} {found} (at the start {count})")
            is_gone |= not found and topic not in cluster.unauthorized_topics
        if not grown and not is_gone:
            return
        problems = await self._problems()
        if is_gone and not grown:
            if problems:
                # The next process reads the shop's topics that are left, or says what is missing.
                self._leave("\n".join(problems), code=RESTART)
            return
        if problems:
            self._leave("\n".join(problems), code=DO_NOT_RESTART)
        else:
            self._leave(
                f"partitions were added to {', '.join(grown)}; starting again to read them",
                code=RESTART,
            )
