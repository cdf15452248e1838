"""Workers frozen beyond their session send nothing on waking that another one has sent."""

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from tests.broker_fixtures import Broker
from tests.kafka import faulty_worker
from tests.kafka.faulty_worker import SESSION_SECONDS
from tests.kafka.pipeline import Pipeline, Worker, many, visitors
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


async def sources(pipeline: Pipeline) -> list[tuple[str, str]]:
    """Return the raw record and the event id of each vendor record, in the order of writing."""
    records = await pipeline.read(pipeline.topics.events("miso"))
    return [
        (dict(record.headers)["source"].decode(), json.loads(record.value)["event_id"])
        for record in sorted(records, key=lambda record: record.timestamp)
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
            asleep = asyncio.get_running_loop().time()
            for worker in others:
                await pipeline.until(lambda worker=worker: owns(worker, 2))  # type: ignore[misc]
            passed = asyncio.get_running_loop().time() - asleep
            # What is committed by then: of the last half second, whoever takes the partition over
            # may write records again.
            written = await sources(pipeline)
            await asyncio.sleep(max(1.0, 2 * SESSION_SECONDS - passed))
            await pipeline.until(lambda: first_are_stored(pipeline))
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
        known = {source for source, _ in written}
        later = (await sources(pipeline))[len(written) :]
        assert [event_id for source, event_id in later if source in known] == []
        assert await pipeline.order_violations() == []


def first_are_stored(pipeline: Pipeline) -> bool:
    """Whether the vendor has what the frozen sink had in hand."""
    return {f"e{1_000_000 + number}" for number in range(FIRST)} <= set(pipeline.stored())
