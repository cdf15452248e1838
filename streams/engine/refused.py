"""Batches that a topic refuses: they wait in their place and are retried.

The broker refuses a batch for its size, for missing rights or for a policy. The events in it are
not wrong, and a restart would not help. The batch therefore stays the first of its partition,
nothing behind it is sent, and it is retried until the topic accepts it. A batch that is too large
is split first.

The broker appends nothing of a refused batch, so its sequence numbers are reused; otherwise it
would refuse all following batches as out of order. aiokafka does not do this and has no waiting
batches: hence this accumulator.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import monotonic
from typing import Any, NamedTuple

import aiokafka.errors
import aiokafka.producer.producer
from aiokafka.errors import (
    BrokerResponseError,
    ClusterAuthorizationFailedError,
    InvalidTimestampError,
    InvalidTopicError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    UnsupportedForMessageFormatError,
)
from aiokafka.producer.message_accumulator import (
    BatchBuilder,
    MessageAccumulator,
    MessageBatch,
)
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from streams.engine import wall_clock
from streams.engine.limits import (
    BATCH_OVERHEAD_BYTES,
    DEFAULT_MESSAGE_BYTES,
    TopicLimits,
    record_bytes,
)

log = logging.getLogger("streams.engine")

RETRY_SECONDS = 10.0


class InvalidRecordError(BrokerResponseError):
    """The broker accepts no such record on this topic (aiokafka does not know this code)."""

    errno = 87
    message = "INVALID_RECORD"
    description = "This record has failed the validation on the broker."


aiokafka.errors.kafka_errors[87] = InvalidRecordError

TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
NO_RIGHT = (TopicAuthorizationFailedError, ClusterAuthorizationFailedError)
REFUSALS = (
    *TOO_LARGE,
    *NO_RIGHT,
    InvalidRecordError,
    InvalidTimestampError,
    InvalidTopicError,
    PolicyViolationError,
    UnsupportedForMessageFormatError,
)


class Split(NamedTuple):
    """The result of a batch that was written in parts."""

    ranges: list[range]
    """Its records' offsets, in order."""


class RefusedWrites:
    """The partitions of one worker that wait because a topic refuses writes."""

    def __init__(self, limits: TopicLimits) -> None:
        self.limits = limits
        self.on_change: Callable[[Mapping[int, str]], object] = lambda _: None
        """Called with the partitions that wait, and why."""
        self.since = 0.0
        """Since when one waits, in seconds of ``time.monotonic``."""
        self._why: dict[TopicPartition, str] = {}

    def sentences(self) -> list[str]:
        """Return what waits and what to do, one text for each topic."""
        topics: dict[str, list[TopicPartition]] = {}
        for tp in sorted(self._why):
            topics.setdefault(tp.topic, []).append(tp)
        return [_sentence(tps, self._why[tps[0]]) for tps in topics.values()]

    def partitions(self) -> dict[int, str]:
        """Return the numbers of the partitions that wait, and why."""
        return {tp.partition: _sentence([tp], why) for tp, why in self._why.items()}

    def record(self, tp: TopicPartition, why: str) -> None:
        """Record that a partition waits; log it once for each reason."""
        if not self._why:
            self.since = monotonic()
        if self._why.get(tp) != why:
            self._why[tp] = why
            log.error(_sentence([tp], why))
            self.on_change(self.partitions())

    def clear(self, tp: TopicPartition) -> None:
        """Record that a partition no longer waits."""
        if self._why.pop(tp, None) is not None:
            log.info("%s partition %d accepts records again", *tp)
            self.on_change(self.partitions())


def _sentence(tps: Sequence[TopicPartition], why: str) -> str:
    numbers = ", ".join(str(tp.partition) for tp in tps)
    what = f"Partition {numbers} waits" if len(tps) == 1 else f"Partitions {numbers} wait"
    return f"{what}: {why}"


class _WrittenRecord(NamedTuple):
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    timestamp: int

    @property
    def size(self) -> int:
        return record_bytes(self.key, self.value, self.headers)


class _Batch(MessageBatch):
    """A batch that asks its accumulator before it fails."""

    def __init__(self, accumulator: "Accumulator", *args: Any) -> None:
        super().__init__(*args)
        self._accumulator = accumulator

    @property
    def is_of_records(self) -> bool:
        """Whether it holds single records, each with its own caller."""
        return bool(self._msg_futures)

    @property
    def has_left(self) -> bool:
        """Whether it has sequence numbers."""
        return bool(self._retry_count)

    def failure(self, exception: BaseException) -> None:
        """Fail, unless it waits."""
        if not self._accumulator.takes_back(self, exception):
            super().failure(exception)


class Accumulator(MessageAccumulator):
    """aiokafka's queues of batches, in which refused batches wait; in workers only."""

    refused: RefusedWrites | None = None
    """None: a refused batch fails, as in aiokafka."""
    refresh: Callable[[], Awaitable[Any]]
    """Reads the metadata from the brokers, which say what this user may see."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting: dict[TopicPartition, asyncio.Event] = {}
        """By partition: set once it no longer waits."""
        self._tried: set[_Batch] = set()
        """Batches that are sent before all waiting ones."""
        self._tasks: set[asyncio.Task[None]] = set()

    def builder(self, batch_bytes: int) -> BatchBuilder:
        """Return an empty batch of at most this size; a larger record is sent alone."""
        return BatchBuilder(batch_bytes, self._compression_type)

    # -- aiokafka's methods, with waiting batches

    async def add_batch(self, builder: BatchBuilder, tp: TopicPartition, timeout: float) -> Any:  # noqa: ASYNC109
        """Queue a batch, however long its partition waits."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while (waits := self._waiting.get(tp)) is not None or self._batches.get(tp):
            if waits is not None:
                await waits.wait()
                deadline = loop.time() + timeout
                continue
            if loop.time() > deadline:
                raise KafkaTimeoutError
            await self._batches[tp][-1].wait_drain(timeout=deadline - loop.time())
        return await super().add_batch(builder, tp, timeout)

    def drain_by_nodes(self, ignore_nodes: Any, muted_partitions: Any = frozenset()) -> Any:
        """Return what may be sent; of a partition that waits only the batch that is retried."""
        if self.refused is not None:
            for tp in list(self._batches):
                if tp in self._waiting:
                    if self._batches[tp][0] not in self._tried:
                        muted_partitions = muted_partitions | {tp}
                elif tp not in muted_partitions and self._is_hidden(tp):
                    muted_partitions = muted_partitions | {tp}
                    self._pop_batch(tp).failure(TopicAuthorizationFailedError(tp.topic))
        return super().drain_by_nodes(ignore_nodes, muted_partitions)

    def _is_hidden(self, tp: TopicPartition) -> bool:
        """Return whether this user may not see the topic: it would seem to have no leader."""
        return tp.topic in self._cluster.unauthorized_topics

    def _append_batch(self, builder: BatchBuilder, tp: TopicPartition) -> MessageBatch:
        batch = self._new_batch(builder, tp)
        self._batches[tp].append(batch)
        self._wake()
        return batch

    def _new_batch(self, builder: BatchBuilder, tp: TopicPartition) -> _Batch:
        if self._txn_manager is not None:
            self._txn_manager.maybe_add_partition_to_txn(tp)
        return _Batch(self, tp, builder, self._batch_ttl, self._linger_time)

    def _wake(self) -> None:
        if not self._waiter_future.done():
            self._waiter_future.set_result(None)

    # -- refused batches

    def takes_back(self, batch: _Batch, error: BaseException) -> bool:
        """Return whether a refused batch waits instead of failing.

        Called before anything else of its partition can be sent.
        """
        if self.refused is None or not isinstance(error, REFUSALS) or not batch.has_left:
            return False
        if self._txn_manager is not None:
            self._txn_manager.increment_sequence_number(batch.tp, -batch.record_count)
        if batch in self._tried or batch.is_of_records:
            return False
        self._waiting[batch.tp] = asyncio.Event()
        task = asyncio.ensure_future(self._write_in_time(batch, error, self.refused))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _write_in_time(
        self, batch: _Batch, error: KafkaError | None, refused: RefusedWrites
    ) -> None:
        """Retry a batch until its topic accepts it, in parts if it is too large."""
        tp = batch.tp
        left = deque([_records(batch)])
        written: list[range] = []
        try:
            while left:
                if error is not None:
                    await self._prepare(tp, left, error, refused)
                error = None
                try:
                    first = await self._try(tp, left[0])
                except REFUSALS as again:
                    error = again
                    continue
                written.append(range(first, first + len(left.popleft())))
        except Exception as failure:
            MessageBatch.failure(batch, failure)
        else:
            batch.future.set_result(Split(written))
        refused.clear(tp)
        self._waiting.pop(tp).set()
        self._wake()

    async def _prepare(
        self,
        tp: TopicPartition,
        left: "deque[list[_WrittenRecord]]",
        error: KafkaError,
        refused: RefusedWrites,
    ) -> None:
        """Change the refused records so that the topic may accept them; if nothing helps, wait."""
        limits, records = refused.limits, left[0]
        limit = None
        if isinstance(error, TOO_LARGE):
            limit = (await limits.refresh([tp.topic])).get(tp.topic)
            size = BATCH_OVERHEAD_BYTES + sum(record.size for record in records)
            aim = limit if limit is not None and limit < size else size // 2
            if len(records) > 1:
                left.popleft()
                left.extendleft(reversed(_split(records, aim - BATCH_OVERHEAD_BYTES)))
                return
            (record,) = records
            value = limits.fitted(tp.topic, *record[:3], limit=aim)
            if value is not None and record.value is not None and len(value) < len(record.value):
                left[0] = [record._replace(value=value)]
                return
        if isinstance(error, InvalidTimestampError) and _set_time_to_now(left):
            return
        refused.record(tp, _why(tp.topic, error, records, limit))
        await asyncio.sleep(RETRY_SECONDS)
        if isinstance(error, InvalidTimestampError):
            _set_time_to_now(left)
        elif isinstance(error, NO_RIGHT):
            await self.refresh()
        elif limit is not None:
            # Parts are joined again as soon as the topic accepts larger batches.
            await limits.refresh([tp.topic])
            all_left = [record for records in left for record in records]
            left.clear()
            left.extend(_split(all_left, limits.batch_bytes(tp.topic) - BATCH_OVERHEAD_BYTES))

    async def _try(self, tp: TopicPartition, records: "Sequence[_WrittenRecord]") -> int:
        """Send records before all others of their partition; return the first offset."""
        # The broker checks the size: no limit of ours may split the records here.
        builder = self.builder(2**31 - 1)
        for record in records:
            builder.append(
                timestamp=record.timestamp,
                key=record.key,
                value=record.value,
                headers=record.headers,
            )
        builder.close()
        batch = self._new_batch(builder, tp)
        self._tried.add(batch)
        self._batches[tp].appendleft(batch)
        self._wake()
        try:
            metadata = await batch.future
        finally:
            self._tried.discard(batch)
        first: int = metadata.offset
        return first


# aiokafka creates one for each producer.
aiokafka.producer.producer.MessageAccumulator = Accumulator


def _records(batch: _Batch) -> list[_WrittenRecord]:
    records = []
    memory = MemoryRecords(bytes(batch.get_data_buffer()))
    while (inner := memory.next_batch()) is not None:
        records += [_WrittenRecord(r.key, r.value, list(r.headers), r.timestamp) for r in inner]
    return records


def _set_time_to_now(left: "deque[list[_WrittenRecord]]") -> bool:
    """Set the time of the first records to now; return whether it was in the future.

    The clock may have been wrong before and be right now.
    """
    now = wall_clock.now_ms()
    was_ahead = max(record.timestamp for record in left[0]) > now
    left[0] = [record._replace(timestamp=now) for record in left[0]]
    return was_ahead


def _split(records: Sequence[_WrittenRecord], aim: int) -> list[list[_WrittenRecord]]:
    """Return the records in groups of at most ``aim`` bytes; a larger one is alone."""
    groups: list[list[_WrittenRecord]] = []
    size = aim
    for record in records:
        size += record.size
        if size >= aim or not groups:
            groups.append([])
            size = record.size
        groups[-1].append(record)
    return groups


def _why(
    topic: str, error: KafkaError, records: Sequence[_WrittenRecord], limit: int | None
) -> str:
    if isinstance(error, TOO_LARGE):
        size = max(record.size for record in records)
        most = "" if limit is None else f" of {limit:,} bytes"
        wanted = max(DEFAULT_MESSAGE_BYTES, BATCH_OVERHEAD_BYTES + size)
        return (
            f"a record of {size:,} bytes is larger than {topic} accepts. Raise its "
            f"max.message.bytes{most}: kafka-configs --alter --topic {topic} --add-config "
            f"max.message.bytes={wanted}. {_AGAIN}"
        )
    if isinstance(error, NO_RIGHT):
        return (
            f"this worker's Kafka user may not write to {topic}. Give it the right: kafka-acls "
            f"--add --topic {topic} --operation Write --operation Describe --allow-principal "
            f"User:NAME. {_AGAIN}"
        )
    if isinstance(error, InvalidTimestampError):
        return (
            f"{topic} accepts no record with this machine's time of day. Correct the machine's "
            "clock, or check the topic's message.timestamp.after.max.ms and "
            f"message.timestamp.before.max.ms. {_AGAIN}"
        )
    return (
        f"{topic} refuses what is written to it ({type(error).__name__}). Check the topic's "
        f"settings and the broker's log. {_AGAIN}"
    )


_AGAIN = f"It is tried again every {RETRY_SECONDS:g} s; nothing is lost or sent meanwhile."
