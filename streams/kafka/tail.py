"""Reads ranges of partitions once, outside any group."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import ConsumerRecord, TopicPartition

from streams.engine.errors import EngineError
from streams.kafka.topic_search import BytePattern, FoundRecord, Keep, TopicSearch

STALL_SECONDS = 60.0


class _Read:
    """What was read in this process, so that the watchdog sees that it goes on."""

    records = 0


read_so_far = _Read()


@asynccontextmanager
async def reader(client_options: Mapping[str, Any]) -> AsyncIterator[AIOKafkaConsumer]:
    """Yield a started consumer without a group."""
    consumer = AIOKafkaConsumer(
        **client_options,
        group_id=None,
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
    )
    await consumer.start()
    # Stopping it before its own tasks have begun raises CancelledError.
    await asyncio.sleep(0)
    try:
        yield consumer
    finally:
        await consumer.stop()


async def log_ends(
    consumer: AIOKafkaConsumer, partitions: Iterable[tuple[str, int]]
) -> dict[tuple[str, int], int]:
    """Return where these logs end."""
    ends = await consumer.end_offsets([TopicPartition(*tp) for tp in partitions])
    return {tuple(tp): end for tp, end in ends.items()}


async def search_to(
    consumer: AIOKafkaConsumer,
    starts: Mapping[tuple[str, int], int],
    ends: Mapping[tuple[str, int], int],
    byte_pattern: BytePattern,
    keep: Keep,
) -> AsyncIterator[list[FoundRecord]]:
    """Yield the records that are to be kept, of the batches that have the needle.

    Raises SetupError when the broker delivers nothing for a minute.
    """
    partitions = [TopicPartition(*tp) for tp in starts if starts[tp] < ends[tp]]
    if not partitions:
        return
    await consumer._client.set_topics({tp.topic for tp in partitions})
    begins = await consumer.beginning_offsets(partitions)
    before = read_so_far.records

    def note(_step: str, read: int, _total: int) -> None:
        read_so_far.records = before + read

    async for found in TopicSearch(consumer._client).find(
        {tp: max(starts[tuple(tp)], begins[tp]) for tp in partitions},
        {tp: ends[tuple(tp)] for tp in partitions},
        byte_pattern,
        note,
        keep=keep,
    ):
        yield found


async def records_to_end(
    consumer: AIOKafkaConsumer, starts: Mapping[tuple[str, int], int]
) -> AsyncIterator[tuple[tuple[str, int], list[ConsumerRecord]]]:
    """Yield the records from these offsets to the ends as they are now, as they are fetched.

    Raises EngineError when the broker delivers nothing for a minute.
    """
    if starts:
        ends = await consumer.end_offsets([TopicPartition(*tp) for tp in starts])
        async for fetched in _records(consumer, starts, ends):
            yield fetched


async def _records(
    consumer: AIOKafkaConsumer,
    starts: Mapping[tuple[str, int], int],
    ends: Mapping[TopicPartition, int],
) -> AsyncIterator[tuple[tuple[str, int], list[ConsumerRecord]]]:
    open_ = await _seek(consumer, starts, ends)
    deadline = asyncio.get_running_loop().time() + STALL_SECONDS
    while open_:
        batches = await consumer.getmany(*open_, timeout_ms=200, max_records=10_000)
        now = asyncio.get_running_loop().time()
        if batches:
            deadline = now + STALL_SECONDS
        elif now > deadline:
            raise EngineError(f"reading {min(open_)} to its end: the broker is silent")
        for tp, records in batches.items():
            read_so_far.records += len(records)
            yield tuple(tp), [record for record in records if record.offset < ends[tp]]
        for tp in tuple(open_):
            if await consumer.position(tp) >= ends[tp]:
                open_.discard(tp)
                consumer.pause(tp)


async def first_times(
    consumer: AIOKafkaConsumer, offsets: Mapping[tuple[str, int], int]
) -> dict[tuple[str, int], int]:
    """Return the Kafka time (ms) of the first record from each offset on, where there is one.

    Raises EngineError when the broker delivers nothing for a minute.
    """
    if not offsets:
        return {}
    ends = await consumer.end_offsets([TopicPartition(*tp) for tp in offsets])
    open_ = await _seek(consumer, offsets, ends)
    found: dict[tuple[str, int], int] = {}
    deadline = asyncio.get_running_loop().time() + STALL_SECONDS
    while open_:
        batches = await consumer.getmany(*open_, timeout_ms=200, max_records=len(open_))
        if asyncio.get_running_loop().time() > deadline:
            raise EngineError(f"reading {min(open_)} at one offset: the broker is silent")
        for tp, records in batches.items():
            found[tuple(tp)] = records[0].timestamp
        for tp in tuple(open_):
            if tuple(tp) in found or await consumer.position(tp) >= ends[tp]:
                open_.discard(tp)
                consumer.pause(tp)
    return found


async def _seek(
    consumer: AIOKafkaConsumer,
    starts: Mapping[tuple[str, int], int],
    ends: Mapping[TopicPartition, int],
) -> set[TopicPartition]:
    """Take these partitions from these offsets on; return those that have something there."""
    partitions = [TopicPartition(*tp) for tp in starts]
    consumer.assign(partitions)
    begins = await consumer.beginning_offsets(partitions)
    open_ = set()
    for tp in partitions:
        start = max(starts[tuple(tp)], begins[tp])
        if start < ends[tp]:
            consumer.seek(tp, start)
            open_.add(tp)
        else:
            consumer.pause(tp)
    return open_
