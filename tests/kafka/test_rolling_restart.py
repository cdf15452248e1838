"""Workers of a vendor that is asked before a repeat are restarted in order, one after the other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from streams.delivery.progress import read_metadata
from tests.broker_fixtures import Broker
from tests.kafka.pipeline import (
    ALL_KINDS,
    Pipeline,
    Worker,
    many,
    order,
    product,
    user,
    view,
    visitors,
)

pytestmark = pytest.mark.kafka

PARTITIONS = 4
ENV = {
    "STREAMS_MISO_ENABLED": "false",
    "STREAMS_VOYADO_API_KEY": "sandbox-secret",
    "STREAMS_VOYADO_USER_AGENT": "TestShop/1.0",
    "STREAMS_VOYADO_CLICKS": "all",
}
YES = {"voyado": True}
CONTACT = "5c0d7a52-6f0a-4f1c-8a3e-1d2c3b4a5f66"
MOST_SILENT_SECONDS = 5.0


class Traffic:
    """Events of all kinds that come in all the time."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.sent = 0
        self._pipeline = pipeline
        self._names = visitors(24)
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Write about ten events a second that Voyado gets, and the others, until stopped."""
        while not self._ended.is_set():
            await self._pipeline.send(*many(1, self._names, self.sent, ALL_KINDS, consent=YES))
            self.sent += 1
            await asyncio.sleep(0.06)

    def stop(self) -> None:
        """Write no more."""
        self._ended.set()


@asynccontextmanager
async def traffic(pipeline: Pipeline) -> AsyncIterator[Traffic]:
    """Events come in for as long as the block lasts."""
    made = Traffic(pipeline)
    running = asyncio.ensure_future(made.run())
    try:
        yield made
    finally:
        made.stop()
        await running


async def unmarked(pipeline: Pipeline, owned: dict[str, list[int]]) -> list[str]:
    """Return which of these partitions have a commit that is not marked as left clean."""
    commits = await pipeline.committed("voyado")
    return [
        f"{tp.topic}/{tp.partition} {at.metadata}"
        for tp, at in commits.items()
        if tp.partition in owned.get(tp.topic, ()) and not read_metadata(at.metadata).clean
    ]


@pytest.mark.slow
async def test_a_rolling_restart_leaves_nothing_to_be_asked_for_and_the_vendor_hears_on(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """One event waits for its retry all the while, and no other waits with it."""
    async with Pipeline(
        broker, prefix, tmp_path, partitions=PARTITIONS, env=ENV, all_sources=True
    ) as pipeline:
        names = visitors(24)
        await pipeline.send(product("p1"), *(user(name, {"contact_id": CONTACT}) for name in names))
        ledger = pipeline.sandbox.ledgers["voyado"]
        slots = {slot: pipeline.start("voyado", "--slot", slot) for slot in ("0", "1")}
        await pipeline.ready(pipeline.start("enrich"), *slots.values())
        events, redelivery = pipeline.topics.events("voyado"), pipeline.topics.redelivery("voyado")

        async def owned(worker: Worker) -> dict[str, list[int]]:
            found: dict[str, list[int]] = (await pipeline.status(worker))["partitions"]
            return found

        async def are_spread() -> bool:
            return [len((await owned(worker)).get(events, ())) for worker in slots.values()] == [
                2,
                2,
            ]

        await pipeline.until(are_spread)
        async with traffic(pipeline) as load:
            await pipeline.until(lambda: len(ledger) >= 30)
            requests = pipeline.record_requests("voyado")
            pipeline.sandbox.faults.set("voyado:503,method=POST,times=2")
            await pipeline.until(lambda: ledger.answers["503"] == 2)
            for slot, worker in slots.items():
                had = await owned(worker)
                assert len(had[events]) == len(had[redelivery]) == 2
                worker.terminate()
                assert await worker.ended(10) == 0
                assert await unmarked(pipeline, had) == []
                await pipeline.worker("voyado", "--slot", slot)
                reached = len(ledger) + 20
                await pipeline.until(lambda reached=reached: len(ledger) >= reached)  # type: ignore[misc]
        silence = max(later - earlier for earlier, later in pairwise(requests))
        print(
            f"longest silence at the vendor: {silence:.1f} s of {requests[-1] - requests[0]:.0f} s"
        )
        assert silence <= MOST_SILENT_SECONDS
        report = await pipeline.settled(load.sent)
        # Voyado has orders and views from elsewhere.
        elsewhere = sum(ALL_KINDS[n % len(ALL_KINDS)] in (order, view) for n in range(load.sent))
        assert report.vendors[0].skipped == {"own_pathway": elsewhere}
        assert report.vendors[0].accepted == load.sent - elsewhere
        assert ledger.duplicates() == {}
