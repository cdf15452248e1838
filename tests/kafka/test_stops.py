"""Workers stop on SIGTERM, join and leave: quickly, and without losing or repeating anything."""

import asyncio
import time
from pathlib import Path

import pytest

from tests.broker_fixtures import Broker
from tests.kafka.pipeline import Pipeline, Worker, many, product, visitors

pytestmark = pytest.mark.kafka

STOP_SECONDS = 10.0


async def stop(*workers: Worker) -> None:
    """SIGTERM these workers; each must exit 0 within ten seconds."""
    started = time.monotonic()
    for worker in workers:
        worker.terminate()
    for worker in workers:
        assert await worker.ended(STOP_SECONDS) == 0, worker.stage
    print(f"stopped after {time.monotonic() - started:.1f} s")


@pytest.mark.slow
async def test_sigterm_while_the_vendor_answers_repeats_nothing(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Both stages are stopped under load twice: exit 0, each event stored exactly once."""
    env = {"STREAMS_MISO_BATCH_RECORDS": "10", "STREAMS_MISO_LINGER_SECONDS": "0.02"}
    async with Pipeline(broker, prefix, tmp_path, env=env) as pipeline:
        await pipeline.products("p1")
        pipeline.sandbox.faults.set("miso:slow,seconds=0.05")
        names = visitors(30)
        for start in (0, 600):
            workers = await pipeline.both()
            await pipeline.send(*many(600, names, start))
            wanted = start + 60
            await pipeline.until(lambda wanted=wanted: len(pipeline.ledger) >= wanted)  # type: ignore[misc]
            await stop(*workers)
            assert len(pipeline.ledger) < start + 600, "stopped too late to show anything"
        pipeline.sandbox.faults.clear()
        await pipeline.both()
        report = await pipeline.settled(1200)
        assert pipeline.ledger.duplicates() == {}
        assert report.vendors[0].repeated_records == 0
        assert await pipeline.order_violations() == []


@pytest.mark.parametrize(
    "fault",
    [
        *("miso:down", "miso:hang"),
        *(pytest.param(fault, marks=pytest.mark.slow) for fault in ("miso:503", "miso:401")),
    ],
)
async def test_sigterm_while_the_vendor_is_out_of_order_loses_nothing(
    broker: Broker, prefix: str, tmp_path: Path, fault: str
) -> None:
    """What has no outcome stays uncommitted, and goes out after the next start."""
    async with Pipeline(broker, prefix, tmp_path, partitions=2) as pipeline:
        await pipeline.products("p1")
        workers = await pipeline.both()
        pipeline.sandbox.faults.set(fault)
        await pipeline.send(*many(80, visitors(10)))
        await pipeline.until(lambda: pipeline.ledger.requests > 0)
        await stop(*workers)
        pipeline.sandbox.faults.clear()
        await pipeline.both()
        await pipeline.settled(80)
        assert pipeline.ledger.duplicates() == {}
        assert await pipeline.order_violations() == []


async def test_partitions_spread_over_two_workers_and_come_back_when_one_leaves(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Both have all products; events, users and carts of a partition belong to one worker."""
    async with Pipeline(broker, prefix, tmp_path, partitions=4) as pipeline:
        await pipeline.send(*(product(f"p{n}") for n in range(20)))
        names = visitors(40)

        async def send(start: int) -> None:
            for first in range(start, start + 200, 20):
                await pipeline.send(*many(20, names, first, product_id=f"p{first // 20 % 20}"))
                await asyncio.sleep(0.02)

        await pipeline.both()
        await send(0)
        more = [pipeline.start(stage, "--slot", "1") for stage in ("enrich", "miso")]
        await send(200)
        await pipeline.ready(*more)
        for stage, source in (("enrich", "shop.clicks"), ("miso", "vendor.miso.events")):
            workers = [worker for worker in pipeline.workers if worker.stage == stage]
            found: list[dict[str, list[int]]] = []

            async def are_spread(
                workers: list[Worker] = workers,
                found: list[dict[str, list[int]]] = found,
                source: str = source,
            ) -> bool:
                found[:] = [(await pipeline.status(worker))["partitions"] for worker in workers]
                return [len(each.get(prefix + source, [])) for each in found] == [2, 2]

            await pipeline.until(are_spread, what=f"{stage} to share its partitions")
            assert sorted(p for each in found for p in each[prefix + source]) == [0, 1, 2, 3]
            if stage == "enrich":
                for each in found:
                    clicks = each[prefix + "shop.clicks"]
                    assert each[prefix + "shop.add-to-carts"] == clicks
                    assert each[prefix + "shop.users"] == clicks
        await pipeline.ready(*pipeline.workers)
        await send(400)
        await stop(*more)
        await send(600)
        report = await pipeline.settled(800, seconds=60)
        assert report.vendors[0].accepted == 800
        assert await pipeline.order_violations() == []
        assert pipeline.ledger.duplicates() == {}
