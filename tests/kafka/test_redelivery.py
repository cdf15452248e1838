"""Redeliveries beside live events on a real broker: own lane, own marks, own receipts."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import ConsumerRecord

from streams.core.control import VendorControl, decode_control
from streams.lab.sandbox import Fault, FaultKind
from tests.broker_fixtures import Broker
from tests.kafka.pipeline import ALL_KINDS, Pipeline, click, many, visitors

pytestmark = pytest.mark.kafka


async def redeliver(pipeline: Pipeline, run: str, records: Iterable[ConsumerRecord]) -> None:
    """Write vendor records once more, as a replay does."""
    waiting = [
        await pipeline.producer.send(
            pipeline.topics.redelivery("miso"),
            value=record.value,
            key=record.key,
            partition=record.partition,
            headers=[*record.headers, ("run-id", run.encode())],
        )
        for record in records
    ]
    await asyncio.gather(*waiting)


async def of_run(pipeline: Pipeline, run: str) -> list[dict[str, Any]]:
    """Return a run's receipts."""
    return [receipt for receipt in await pipeline.receipts() if receipt.get("run_id") == run]


async def will(pipeline: Pipeline) -> VendorControl:
    """Return what is said about Miso."""
    records = await pipeline.read(pipeline.topics.control)
    return decode_control(records[-1].value) if records else VendorControl()


async def test_redeliveries_have_their_own_marks_and_receipts_and_a_bad_run_stops_alone(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """A replay is not silenced by live marks, does not move them, and does not park the vendor."""
    async with Pipeline(broker, prefix, tmp_path, partitions=2, all_sources=True) as pipeline:
        await pipeline.products("p1", "p2")
        _, miso = await pipeline.both()
        await pipeline.send(*many(40, visitors(6), kinds=ALL_KINDS))
        await pipeline.settled(40)
        events = await pipeline.read(pipeline.topics.events("miso"))

        async def has(run: str, receipts: int) -> None:
            async def are_there() -> bool:
                return len(await of_run(pipeline, run)) >= receipts

            await pipeline.until(are_there, what=f"{receipts} receipts of {run}")

        await redeliver(pipeline, "r-1", events)
        await has("r-1", 40)
        receipts = await of_run(pipeline, "r-1")
        positions = Counter((r["source"].split("/")[1], r["position"]) for r in receipts)
        assert set(positions.values()) == {1}
        assert {(r["lane"], r["outcome"], r["attempts"]) for r in receipts} == {
            ("redelivery", "accepted", 1)
        }

        # What a run writes again is a repeat; another run's is not, nor are later live events.
        await redeliver(pipeline, "r-1", events)
        await redeliver(pipeline, "r-2", events)
        await pipeline.send(*many(10, visitors(6), 40, ALL_KINDS))
        await has("r-2", 40)
        report = await pipeline.settled(50)
        assert report.vendors[0].accepted == 50
        assert len(await of_run(pipeline, "r-1")) == 40
        assert Counter(Counter(pipeline.stored()).values()) == {3: 40, 1: 10}

        # While the key is refused everything waits; who takes over sends it, once.
        pipeline.sandbox.faults.set("miso:401")
        await pipeline.send(*many(10, visitors(6), 50, ALL_KINDS))
        await redeliver(pipeline, "r-3", events)
        await pipeline.written(60)
        miso.kill()
        pipeline.sandbox.faults.clear()
        sinks = pipeline.start("miso"), pipeline.start("miso", "--slot", "1")
        await pipeline.ready(*sinks)
        await has("r-3", 40)
        for sink in sinks:
            assigned = (await pipeline.status(sink))["partitions"]
            topics = pipeline.topics
            of_events = assigned[topics.events("miso")]
            assert assigned[topics.redelivery("miso")] == assigned[topics.users] == of_events
            assert len(of_events) == 1
        await pipeline.settled(60)
        assert Counter(Counter(pipeline.stored()).values()) == {4: 40, 1: 20}

        # A run of which the vendor refuses everything ends by itself; live events go on.
        await pipeline.send(*(click("v0", event_id=f"bad{n}", product_id="p2") for n in range(120)))
        await pipeline.settled(180)
        bad = [r for r in await pipeline.read(pipeline.topics.events("miso")) if b"bad" in r.value]
        pipeline.sandbox.faults.set(Fault(kind=FaultKind.REFUSE, skus=("S-p2",)))
        await redeliver(pipeline, "r-4", bad[:30])
        await has("r-4", 30)

        async def is_stopped() -> bool:
            return (await will(pipeline)).stopped_runs == ("r-4",)

        await pipeline.until(is_stopped)
        await redeliver(pipeline, "r-4", bad[30:])
        await redeliver(pipeline, "r-5", events[:10])
        await has("r-5", 10)
        await pipeline.send(*many(10, visitors(6), 60, ALL_KINDS))
        report = await pipeline.settled(190)
        assert report.vendors[0].accepted == 190
        assert len(await of_run(pipeline, "r-4")) == 30
        assert {r["outcome"] for r in await of_run(pipeline, "r-4")} == {"dead_lettered"}
        found = [await pipeline.status(sink) for sink in sinks]
        assert {status["vendor"]["state"] for status in found} == {"running"}
        notes = sum((Counter(status["notes"]) for status in found), Counter())
        assert (notes["run_stopped"], notes["passed_over"]) == (1, 90)
        letters = await pipeline.letters(pipeline.topics.dead_letters("miso"))
        assert len(letters) == 30
        committed = await pipeline.committed("miso")
        below = sum(
            at.offset
            for tp, at in committed.items()
            if tp.topic == pipeline.topics.redelivery("miso")
        )
        assert below == 40 * 4 + 120 + 10
        assert json.loads(next(iter(letters))["record"])["event_id"].startswith("bad")
