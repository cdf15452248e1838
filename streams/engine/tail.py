"""Reads ranges of partitions once, outside any group."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import ConsumerRecord, TopicPartition

from streams.core.errors import EngineError

STALL_SECONDS = 60.0


@asynccontextmanager
async def reader(client_options: Mapping[str, Any]) -> AsyncIterator[AIOKafkaConsumer]:
    """Yield a started consumer without a group, for ``read_to_end``."""
    consumer = AIOKafkaConsumer(
        **client_options,
        group_id=None,
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def read_to_end(
    consumer: AIOKafkaConsumer, starts: Mapping[tuple[str, int], int]
) -> tuple[dict[tuple[str, int], list[ConsumerRecord]], dict[tuple[str, int], int]]:
    """Return the records from these offsets to the ends as they are now, and these ends.

    Raises EngineError when the broker delivers nothing for a minute.
    """
    if not starts:
        return {}, {}
    partitions = [TopicPartition(*tp) for tp in starts]
    consumer.assign(partitions)
    ends = await consumer.end_offsets(partitions)
    begins = await consumer.beginning_offsets(partitions)
    found: dict[tuple[str, int], list[ConsumerRecord]] = {tuple(tp): [] for tp in partitions}
    open_ = set()
    for tp in partitions:
        start = max(starts[tuple(tp)], begins[tp])
        if start < ends[tp]:
            consumer.seek(tp, start)
            open_.add(tp)
        else:
            consumer.pause(tp)
    deadline = asyncio.get_running_loop().time() + STALL_SECONDS
    while open_:
        batches = await consumer.getmany(*open_, timeout_ms=200, max_records=10_000)
        now = asyncio.get_running_loop().time()
        if batches:
            deadline = now + STALL_SECONDS
        elif now > deadline:
            raise EngineError(f"reading {min(open_)} to its end: the broker is silent")
        for tp, records in batches.items():
            found[tuple(tp)] += [record for record in records if record.offset < ends[tp]]
        for tp in tuple(open_):
            if await consumer.position(tp) >= ends[tp]:
                open_.discard(tp)
                consumer.pause(tp)
    return found, {tuple(tp): ends[tp] for tp in partitions}
