"""Workers frozen beyond their session send nothing on waking that another one has sent."""

import asyncio
import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from aiokafka import ConsumerRecord, TopicPartition

from streams.core.records import Source
from tests.broker_fixtures import Broker
from tests.kafka import faulty_worker
from tests.kafka.faulty_worker import SESSION_SECONDS
from tests.kafka.pipeline import Pipeline, Worker, many, now_ms, visitors
from tests.kafka.test_kills import load

pytestmark = pytest.mark.kafka

STAGES = ("enrich", "miso")
BATCH = 20
FIRST = 400
ENV = {
    "STREAMS_KAFKA_SESSION_SECONDS": f"{SESSION_SECONDS:g}",
    "STREAMS_MISO_BATCH_RECORDS": str(BATCH),
    "STREAMS_MISO_LINGER_SECONDS": "0.02",
}


async def committed_offsets(pipeline: Pipeline) -> dict[TopicPartition, int]:
    """Return what enrichment has committed of each partition."""
    return {tp: at.offset for tp, at in (await pipeline.committed("enrich")).items()}


def written_again(
    records: Sequence[ConsumerRecord],
    known: Sequence[ConsumerRecord],
    committed: dict[TopicPartition, int],
    frozen_ms: int,
) -> list[str]:
    """Return the event ids of records that are not yet ``known`` but come from committed clicks.

    Two kinds may be written again: what was not committed, by whoever takes the partition over, and
    what the frozen worker's producer already held when it was frozen, at ``frozen_ms``.
    """
    places = {(record.partition, record.offset) for record in known}

    def was_committed(record: ConsumerRecord) -> bool:
        source = Source.parse(dict(record.headers)["source"].decode())
        return source.offset < committed[TopicPartition(source.topic, source.partition)]

    return [
        json.loads(record.value)["event_id"]
        for record in records
        if (record.partition, record.offset) not in places
        and record.timestamp > frozen_ms
        and was_committed(record)
    ]


async def test_two_workers_frozen_for_two_sessions_repeat_only_what_was_in_flight(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """One of enrichment and one of a sink; others take over, and events come in all the while."""
    async with Pipeline(broker, prefix, tmp_path, partitions=2, env=ENV) as pipeline:
        await pipeline.products("p1")
        program = (str(faulty_worker.__file__), "end_its_session_soon")

        def start(slot: str) -> list[Worker]:
            return [pipeline.start(stage, "--slot", slot, program=program) for stage in STAGES]

        frozen, others = start("0"), start("1")
        await pipeline.ready(*frozen, *others)
        pipeline.sandbox.faults.set("miso:slow,seconds=0.1")

        async def owns(worker: Worker, count: int) -> bool:
            source = "vendor.miso.events" if worker.stage == "miso" else "shop.clicks"
            found = (await pipeline.status(worker))["partitions"].get(prefix + source, ())
            return len(found) == count

        for worker in (*frozen, *others):
            await pipeline.until(lambda worker=worker: owns(worker, 1))  # type: ignore[misc]
        # More than the sinks can send before they are frozen: what waits there must not leave.
        first = list(many(FIRST, visitors(40), 1_000_000))
        await pipeline.send(*first)
        async with load(pipeline) as loading:
            await pipeline.until(lambda: len(pipeline.ledger) >= 40)
            for worker in frozen:
                os.kill(worker.pid, signal.SIGSTOP)
            frozen_ms = now_ms()
            asleep = asyncio.get_running_loop().time()
            for worker in others:
                await pipeline.until(lambda worker=worker: owns(worker, 2))  # type: ignore[misc]
            passed = asyncio.get_running_loop().time() - asleep
            await asyncio.sleep(max(0.0, 2 * SESSION_SECONDS - passed))
            await pipeline.until(lambda: first_are_stored(pipeline))
            # In this order: what is committed has been written before.
            committed = await committed_offsets(pipeline)
            known = await pipeline.read(pipeline.topics.events("miso"))
            for worker in frozen:
                os.kill(worker.pid, signal.SIGCONT)
            stored = pipeline.stored()
            for worker in (*frozen, *others):
                await pipeline.until(lambda worker=worker: owns(worker, 1))  # type: ignore[misc]
        pipeline.sandbox.faults.clear()
        report = await pipeline.settled(loading.sent + FIRST)
        assert report.vendors[0].accepted == loading.sent + FIRST
        repeats = len(pipeline.ledger) - len(set(pipeline.stored()))
        print("events stored twice:", repeats)
        assert repeats <= BATCH
        assert set(stored).isdisjoint(pipeline.stored()[len(stored) :])
        records = await pipeline.read(pipeline.topics.events("miso"))
        assert written_again(records, known, committed, frozen_ms) == []
        assert await pipeline.order_violations() == []


def first_are_stored(pipeline: Pipeline) -> bool:
    """Whether the vendor has what the frozen sink had in hand."""
    return {f"e{1_000_000 + number}" for number in range(FIRST)} <= set(pipeline.stored())
