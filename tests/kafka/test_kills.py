"""Workers are killed again and again while events come in: nothing is lost, little is repeated."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from streams.engine.failure import RESTART
from streams.engine.partitioner import home_of
from tests.broker_fixtures import Broker, OwnBroker
from tests.kafka.pipeline import (
    ALL_KINDS,
    MISO_TYPES,
    Pipeline,
    Record,
    cart,
    click,
    many,
    visitors,
)

pytestmark = pytest.mark.kafka

KILLS = 10
PARTITIONS = 3
EVENTS_BETWEEN_KILLS = 100
RESTART_SECONDS = 40.0
LAST_ARRIVAL_SECONDS = 0.5
"""So long after a kill a request can only be the dead worker's: a new one takes longer to start."""
MOST_WAITING = 1_000
"""On a slow machine no more is written than is worth waiting for in the end."""


class Load:
    """Events that come in all the time, and how many there were."""

    def __init__(self, pipeline: Pipeline, kinds: Sequence[Callable[..., Record]]) -> None:
        self.sent = 0
        self._pipeline = pipeline
        self._kinds = kinds
        self._stopped = False

    async def run(self) -> None:
        """Write until stopped: 20 events each 0.04 s at most, never far ahead of the vendor."""
        names = visitors(61)  # so that each visitor has events of all kinds
        while not self._stopped:
            if self.sent - len(self._pipeline.ledger) < MOST_WAITING:
                await self._pipeline.send(*many(20, names, self.sent, self._kinds))
                self.sent += 20
            await asyncio.sleep(0.04)

    def stop(self) -> None:
        """Write no more."""
        self._stopped = True


@asynccontextmanager
async def load(
    pipeline: Pipeline, kinds: Sequence[Callable[..., Record]] = (click, click, cart)
) -> AsyncIterator[Load]:
    """Events of these kinds come in for as long as the block lasts."""
    made = Load(pipeline, kinds)
    running = asyncio.ensure_future(made.run())
    try:
        yield made
    finally:
        made.stop()
        await running


class Requests:
    """Which requests were stored again after a kill, and which held several partitions' events."""

    def __init__(self, pipeline: Pipeline, arrivals: list[float], kills: list[float]) -> None:
        """``arrivals``: of the requests, by number."""
        self.partitions: dict[int, set[int]] = defaultdict(set)
        """By request: of which partitions it held events."""
        self.repeated: dict[tuple[int, int], set[int]] = defaultdict(set)
        """By worker and partition: its requests with events that a later worker sent again."""
        last: dict[str, tuple[int, int]] = {}
        for row in pipeline.ledger.rows():
            request, event_id = row["request"], row["event_id"]
            partition = home_of(row["anonymous_id"].encode(), PARTITIONS)
            self.partitions[request].add(partition)
            worker = sum(arrivals[request - 1] > kill + LAST_ARRIVAL_SECONDS for kill in kills)
            if event_id in last:
                earlier, its_worker = last[event_id]
                assert its_worker < worker, "only after a kill is anything sent again"
                self.repeated[its_worker, partition].add(earlier)
            last[event_id] = request, worker

    def shared(self) -> set[int]:
        """Return the requests with events of several partitions."""
        return {request for request, held in self.partitions.items() if len(held) > 1}


async def kill_often(pipeline: Pipeline, stage: str) -> tuple[int, list[float]]:
    """Kill a stage's worker again and again under load; return the events and when it died.

    The sink dies between a request that was stored and its answer.
    """
    workers = dict(zip(("enrich", "miso"), await pipeline.both(), strict=True))
    kills: list[float] = []
    async with load(pipeline, ALL_KINDS) as loading:
        for number in range(KILLS):
            stored = len(pipeline.ledger)
            wanted = stored + EVENTS_BETWEEN_KILLS + 7 * number
            await pipeline.until(
                lambda wanted=wanted: len(pipeline.ledger) >= wanted,  # type: ignore[misc]
                RESTART_SECONDS,
                f"the events after kill {number}",
            )
            if stage == "miso":
                await pipeline.stored_unanswered(workers[stage].kill)
            else:
                workers[stage].kill()
            kills.append(time.monotonic())
            workers[stage] = pipeline.start(stage)
    await pipeline.ready(*workers.values())
    return loading.sent, kills


@pytest.mark.slow
async def test_enrich_killed_ten_times_under_load_loses_and_repeats_nothing(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """What enrichment writes again after a crash is recognised by the sink and not sent again."""
    async with Pipeline(
        broker, prefix, tmp_path, partitions=PARTITIONS, all_sources=True
    ) as pipeline:
        await pipeline.products("p1")
        events, _ = await kill_often(pipeline, "enrich")
        report = await pipeline.settled(events)
        assert report.vendors[0].accepted == events
        assert all(report.raw.values())
        assert set(pipeline.ledger.types) == MISO_TYPES
        assert pipeline.ledger.duplicates() == {}
        assert await pipeline.order_violations() == []
        print("vendor records written again:", report.vendors[0].repeated_records)


@pytest.mark.slow
async def test_sink_killed_ten_times_under_load_repeats_only_what_was_in_flight(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """A kill repeats at most one request a strand: the one whose receipts were not kept yet.

    Each kill hits while the vendor has stored a request and not answered it. Requests that several
    partitions share are among those that are repeated.
    """
    # What waits after a restart fits into one request, whatever the partition.
    env = {"STREAMS_MISO_BATCH_RECORDS": str(2 * MOST_WAITING)}
    async with Pipeline(
        broker, prefix, tmp_path, partitions=PARTITIONS, env=env, all_sources=True
    ) as pipeline:
        await pipeline.products("p1")
        pipeline.sandbox.faults.set("miso:slow,seconds=0.1")
        arrivals = pipeline.record_requests()
        events, kills = await kill_often(pipeline, "miso")
        report = await pipeline.settled(events)
        assert report.vendors[0].accepted == events
        assert all(report.raw.values())
        assert set(pipeline.ledger.types) == MISO_TYPES
        assert await pipeline.order_violations() == []
        # What has a receipt is never sent again, so no event has two.
        assert report.vendors[0].repeated_receipts == 0
        requests = Requests(pipeline, arrivals, kills)
        repeated = requests.repeated
        print("repeated requests of each worker, by partition:", dict(repeated))
        assert all(len(made) == 1 for made in repeated.values()), repeated
        assert requests.shared() & set().union(*repeated.values())


async def test_a_broker_that_dies_and_comes_back_delays_and_loses_nothing(
    own_broker: OwnBroker, prefix: str, tmp_path: Path
) -> None:
    """Workers go on by themselves, or leave to be started again."""
    async with Pipeline(
        own_broker, prefix, tmp_path, partitions=PARTITIONS, all_sources=True
    ) as pipeline:
        await pipeline.products("p1")
        stages = dict(zip(("enrich", "miso"), await pipeline.both(), strict=True))
        names = visitors(31)
        await pipeline.send(*many(600, names, kinds=ALL_KINDS))
        await pipeline.until(lambda: len(pipeline.ledger) >= 50)
        own_broker.kill()
        await asyncio.to_thread(own_broker.restart)
        await pipeline.send(*many(600, names, 600, ALL_KINDS))

        async def all_stored() -> bool:
            for stage, worker in stages.items():
                assert worker.code in (None, RESTART), worker.output()
                if worker.code == RESTART:
                    stages[stage] = pipeline.start(stage)
            return len(set(pipeline.stored())) == 1200

        await pipeline.until(all_stored, 90)
        report = await pipeline.settled(1200)
        assert report.vendors[0].accepted == 1200
        assert set(pipeline.ledger.types) == MISO_TYPES
        assert await pipeline.order_violations() == []
        print("repeats:", len(pipeline.ledger) - 1200)
