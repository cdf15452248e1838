"""Consent as it is right before each request: withdrawn while events are on their way, or wait."""

import asyncio
import json
import time
from collections import Counter
from itertools import count
from pathlib import Path

import pytest

from streams.core.times import utc_text
from streams.worker.control import set_paused
from tests.broker_fixtures import Broker
from tests.kafka.pipeline import ALL_KINDS, Pipeline, Record, click, now_ms, user

pytestmark = pytest.mark.kafka

YES, NO = {"consent": {"miso": True}}, {"consent": {"miso": False}}
ROW_DELAY_SECONDS = 5.0


class Feed:
    """Writes vendor records as enrichment does; no worker of it runs, so only the sink judges."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._numbers = count()

    async def send(self, visitor: str, ground: str) -> None:
        """Write one event of a visitor, of whom the yes rests on this ground."""
        number = next(self._numbers)
        record = {
            "event_id": f"{visitor}-{number}",
            "event_type": "click",
            "timestamp": utc_text(now_ms()),
            "anonymous_id": visitor,
            "payload": {
                "type": "product_detail_page_view",
                "anonymous_id": visitor,
                "timestamp": utc_text(now_ms()),
                "product_ids": ["S-p1"],
                "context": {"custom_context": {"uuid": f"{visitor}-{number}"}},
            },
        }
        await self._pipeline.producer.send_and_wait(
            self._pipeline.topics.events("miso"),
            json.dumps(record).encode(),
            visitor.encode(),
            headers=[
                ("source", f"shop.clicks/0/{number}".encode()),
                ("consent", ground.encode()),
                ("source-time", b"%d" % now_ms()),
            ],
        )


async def test_a_withdrawal_stops_what_is_on_its_way_and_all_that_waited(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """While running within 5 s of the row; after a parking not one event is sent."""
    env = {"STREAMS_MISO_LINGER_SECONDS": "0.02"}
    async with Pipeline(broker, prefix, tmp_path, partitions=1, env=env) as pipeline:
        feed = Feed(pipeline)
        people = ("anna", "bert", "dora", "emil", "fay", "gus", "ida")
        await pipeline.send(*(user(name, YES) for name in people if name != "emil"))
        miso = await pipeline.worker("miso")

        def sent() -> Counter[str]:
            return Counter(row["anonymous_id"] for row in pipeline.ledger.rows())

        # Running: events of two visitors come in all the time, one of them withdraws.
        berts, revoked_at, stop_at = 0, 0.0, time.monotonic() + 60
        while time.monotonic() < stop_at:
            await feed.send("anna", "row")
            await feed.send("bert", "row")
            berts += 1
            await asyncio.sleep(0.01)
            if not revoked_at and sent()["anna"] >= 30:
                await pipeline.send(user("anna", NO))
                revoked_at, stop_at = time.time(), time.monotonic() + 2
        await pipeline.until(lambda: sent()["bert"] == berts)
        last = max(r["at"] for r in pipeline.ledger.rows() if r["anonymous_id"] == "anna")
        print(f"last event of the visitor: {last - revoked_at:+.3f} s after the withdrawal")
        assert last - revoked_at < ROW_DELAY_SECONDS
        before = sent()

        # Parked: all wait, four of them change their mind, one event needs no row.
        pipeline.sandbox.faults.set("miso:401")
        grounds = {"bert": "row", "dora": "row", "fay": "event", "gus": "event", "ida": "row"}
        for name, ground in grounds.items():
            for _ in range(5):
                await feed.send(name, ground)
        await feed.send("emil", "event")
        await feed.send("emil", "row")
        await feed.send("emil", "anything else")

        async def is_parked() -> bool:
            return bool((await pipeline.status(miso))["vendor"]["state"] == "parked")

        await pipeline.until(is_parked)
        since = {"consent_since": utc_text(now_ms() + 1)}  # later than all that waits
        await pipeline.send(
            user("dora", NO), user("fay", None), user("gus", b"no row"), user("ida", YES | since)
        )
        forgotten_at = now_ms()
        await pipeline.until(lambda: now_ms() > forgotten_at)
        await feed.send("fay", "event")

        async def rows_are_read() -> bool:
            return bool((await pipeline.status(miso))["notes"].get("malformed_rows:users"))

        await pipeline.until(rows_are_read)
        pipeline.sandbox.faults.clear()
        await set_paused(pipeline.settings, "miso", paused=False)
        await pipeline.until(lambda: sent()["fay"] == 1)

        async def skipped() -> Counter[str]:
            receipts = [r for r in await pipeline.receipts() if r.get("reason") == "no_consent"]
            return Counter(receipt["event_id"].split("-")[0] for receipt in receipts)

        async def all_judged() -> bool:
            return (await skipped())["emil"] == 2

        await pipeline.until(all_judged)
        found = await skipped()
        found.pop("anna")
        assert found == {"dora": 5, "fay": 5, "gus": 5, "ida": 5, "emil": 2}
        assert sent() - before == {"bert": 5, "emil": 1, "fay": 1}


async def test_a_tombstone_from_the_future_silences_its_visitor_for_no_hour(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """What was written before it is not sent, what is written once it was read is, of any kind."""

    def of_each_kind(name: str) -> list[Record]:
        return [kind("anna", event_id=f"{name}{n}") for n, kind in enumerate(ALL_KINDS)]

    async with Pipeline(broker, prefix, tmp_path, partitions=1, all_sources=True) as pipeline:
        await pipeline.products("p1")
        pipeline.sandbox.faults.set("miso:down")
        workers = await pipeline.both()
        await pipeline.send(*of_each_kind("before"))
        await pipeline.written(5)
        ahead_ms = now_ms() + 50 * 60_000
        await pipeline.producer.send_and_wait(
            pipeline.topics.users, None, b"anna", timestamp_ms=ahead_ms
        )

        async def is_noted() -> bool:
            notes = [(await pipeline.status(worker))["notes"] for worker in workers]
            return [each.get("future_rows:users") for each in notes] == [1, 1]

        await pipeline.until(is_noted)
        await pipeline.send(*of_each_kind("after"))
        await pipeline.written(10)
        pipeline.sandbox.faults.clear()
        await pipeline.until(lambda: sorted(pipeline.stored()) == [f"after{n}" for n in range(5)])
        outcomes = {r["event_id"]: r["outcome"] for r in await pipeline.receipts()}
        assert {f"before{n}": "skipped" for n in range(5)}.items() <= outcomes.items()
        for worker in workers:
            assert "has a Kafka time in the future" in worker.output()


async def test_what_waits_with_an_assumed_consent_needs_a_yes_once_consent_is_required(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """The mode was changed while events waited; who has said yes meanwhile is sent."""
    async with Pipeline(broker, prefix, tmp_path, partitions=1) as pipeline:
        await pipeline.products("p1")
        enrich = await pipeline.worker("enrich", STREAMS_CONSENT_MODE="assumed")
        people = ("anna", "bert", "dora")
        await pipeline.send(*(click(name, event_id=name, consent=None) for name in people))
        await pipeline.enriched(3)
        enrich.kill()
        await pipeline.send(user("bert", YES), user("dora", {"user_id": "u-1"}))
        await pipeline.worker("miso")
        await pipeline.settled(3)
        assert pipeline.stored() == ["bert"]
        assert {r["event_id"]: r.get("detail") for r in await pipeline.receipts()} == {
            "anna": "no_row",
            "bert": None,
            "dora": "not_said",
        }
