"""Outputs in order: batches by partition, sent by the idempotent producer with ``acks=all``.

Batches of one partition are sent one after the other, and the records keep the order of their
source. A batch that the topic refuses waits in its place (see ``refused``). If a batch is given up,
the process ends before any batch behind it is sent, and the next process starts from the last
commit. Records behind a gap would hide that some are missing. (The broker also refuses them by
their sequence numbers, but only if it knows this producer: not behind a partition's first batch.)
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from aiokafka import AIOKafkaProducer, structs
from aiokafka.errors import (
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    KafkaError,
    OutOfOrderSequenceNumber,
    ProducerFenced,
    TopicAuthorizationFailedError,
    UnknownProducerId,
)

from streams.engine.errors import EngineError
from streams.engine.failure import leave
from streams.engine.limits import MAX_BATCH_BYTES, TopicLimits
from streams.engine.refused import Split

_UNUSABLE = (
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    OutOfOrderSequenceNumber,
    ProducerFenced,
    UnknownProducerId,
)

QUEUE_SECONDS = 120.0
"""How long a batch may wait for an earlier one in flight."""

Header = tuple[str, bytes]
TopicPartition = tuple[str, int]


class Outputs:
    """Batches under construction; not shared between tasks."""

    def __init__(
        self,
        producer: AIOKafkaProducer,
        on_failure: Callable[[str], object] = leave,
        limits: TopicLimits | None = None,
    ) -> None:
        """``on_failure`` is called at once, with a message, if a batch is given up."""
        self._producer = producer
        self._limits = limits
        self._on_failure = on_failure
        self._batches: dict[TopicPartition, list[Any]] = {}

    def append(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: list[Header] | None = None,
    ) -> None:
        """Append a record to its partition; if the batch is full, start another one."""
        headers = headers or []
        to = (topic, partition)
        batches = self._batches.get(to)
        if batches is None:
            batches = self._batches[to] = [self._new_batch(topic)]
        if self._limits is not None:
            value = self._limits.fitted(topic, key, value, headers)
        if batches[-1].append(key=key, value=value, timestamp=None, headers=headers) is None:
            batches[-1].close()
            batches.append(self._new_batch(topic))
            if batches[-1].append(key=key, value=value, timestamp=None, headers=headers) is None:
                raise EngineError(f"a record of {len(value or b'')} bytes fits no batch of {topic}")

    def _new_batch(self, topic: str) -> Any:
        batch_bytes = MAX_BATCH_BYTES if self._limits is None else self._limits.batch_bytes(topic)
        if batch_bytes == MAX_BATCH_BYTES:
            return self._producer.create_batch()
        return self._producer._message_accumulator.builder(batch_bytes)

    def __bool__(self) -> bool:
        return bool(self._batches)

    async def send(self) -> "Delivery":
        """Queue all batches in order; return the delivery to wait for."""
        futures: list[tuple[TopicPartition, int, asyncio.Future[Any]]] = []
        batches, self._batches = self._batches, {}
        for (topic, partition), builders in batches.items():
            for builder in builders:
                builder.close()
                count = builder.record_count()
                future = await self._queue(builder, topic, partition)
                future.add_done_callback(partial(self._leave_if_failed, (topic, partition)))
                futures.append(((topic, partition), count, future))
        return Delivery(futures)

    async def _queue(self, builder: Any, topic: str, partition: int) -> "asyncio.Future[Any]":
        """Queue a batch, also for a topic that this user may not see at the moment."""
        future: asyncio.Future[Any]
        try:
            future = await self._producer.send_batch(builder, topic, partition=partition)
        except TopicAuthorizationFailedError:
            queues = self._producer._message_accumulator
            if queues.refused is None:
                raise
            to = structs.TopicPartition(topic, partition)
            future = await queues.add_batch(builder, to, QUEUE_SECONDS)
        return future

    def _leave_if_failed(self, to: TopicPartition, sent: "asyncio.Future[Any]") -> None:
        if not sent.cancelled() and (error := sent.exception()) is not None:
            words = f"writing to {to[0]}/{to[1]} failed: {error!r}"
            self._on_failure(f"{words}; starting again from the last commit")


class Delivery:
    """Batches on their way to the broker."""

    def __init__(
        self, futures: Sequence[tuple[TopicPartition, int, "asyncio.Future[Any]"]]
    ) -> None:
        self._futures = futures

    async def acknowledged(self) -> dict[TopicPartition, list[range]]:
        """Wait for the broker; return the written offsets, by partition, in order.

        Raises EngineError if a batch was given up.
        """
        written: dict[TopicPartition, list[range]] = defaultdict(list)
        for to, count, future in self._futures:
            try:
                metadata = await future
            except (KafkaError, asyncio.CancelledError) as error:
                raise EngineError(f"writing to {to[0]}/{to[1]} failed: {error!r}") from error
            if isinstance(metadata, Split):
                written[to] += metadata.ranges
            else:
                written[to].append(range(metadata.offset, metadata.offset + count))
        return written


def leave_if_unusable(error: BaseException | None) -> None:
    """End the process if this error means that the producer can never write again.

    The usual cause is a batch that was given up while its partition had no leader: aiokafka does
    not recover from the missing sequence number.
    """
    if isinstance(error, _UNUSABLE):
        leave(f"the Kafka producer cannot write any more: {error!r}; starting again", cause=error)
