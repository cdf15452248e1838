"""Outputs in order: one batch a partition, sent by the idempotent producer, acknowledged by all.

Batches of one partition are sent one after the other, and each partition's records keep the order
of their source. When a batch fails, the idempotent producer's sequence makes the broker refuse
whatever was queued behind it, so a hole can never be followed by newer records; the process ends
and the next one starts from the last commit.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from streams.core.errors import EngineError

Header = tuple[str, bytes]
TopicPartition = tuple[str, int]


class Outputs:
    """Batches under construction; not shared between tasks."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._batches: dict[TopicPartition, list[Any]] = {}

    def append(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: list[Header] | None = None,
    ) -> None:
        """Add a record behind all earlier ones of its partition; a full batch starts the next."""
        headers = headers or []
        to = (topic, partition)
        batches = self._batches.get(to)
        if batches is None:
            batches = self._batches[to] = [self._producer.create_batch()]
        if batches[-1].append(key=key, value=value, timestamp=None, headers=headers) is None:
            batches[-1].close()
            batches.append(self._producer.create_batch())
            if batches[-1].append(key=key, value=value, timestamp=None, headers=headers) is None:
                raise EngineError(f"a record of {len(value or b'')} bytes fits no batch of {topic}")

    def __bool__(self) -> bool:
        return bool(self._batches)

    async def send(self) -> "Delivery":
        """Queue all batches in order; return what to await for the broker's word."""
        futures: list[tuple[TopicPartition, int, asyncio.Future[Any]]] = []
        batches, self._batches = self._batches, {}
        for (topic, partition), builders in batches.items():
            for builder in builders:
                builder.close()
                count = builder.record_count()
                future = await self._producer.send_batch(builder, topic, partition=partition)
                futures.append(((topic, partition), count, future))
        return Delivery(futures)


class Delivery:
    """Batches on their way to the broker."""

    def __init__(
        self, futures: Sequence[tuple[TopicPartition, int, "asyncio.Future[Any]"]]
    ) -> None:
        self._futures = futures

    async def acknowledged(self) -> dict[TopicPartition, list[range]]:
        """Wait for the broker; return the offsets written, by partition in order.

        Raises EngineError when the broker refused a batch or did not answer in time.
        """
        written: dict[TopicPartition, list[range]] = defaultdict(list)
        for to, count, future in self._futures:
            try:
                metadata = await future
            except (KafkaError, asyncio.CancelledError) as error:
                raise EngineError(f"writing to {to[0]}/{to[1]} failed: {error!r}") from error
            written[to].append(range(metadata.offset, metadata.offset + count))
        return written
