"""Orders of a shop's server, which name no visitor, on a real broker: whose they are is found."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic

from streams.cli import main
from streams.dead_letters.book import Selection
from streams.kafka.reader import silent
from streams.operations.ingest.resend import plan_resend, resend
from streams.operations.trace.trace import run_trace
from tests.broker_fixtures import Broker
from tests.kafka import faulty_worker
from tests.kafka.pipeline import Pipeline, Worker, now_ms, product, user

pytestmark = pytest.mark.kafka

SETTINGS = """
[source.orders]
enabled = true
[ingest.erp]
topic = "{erp}"
to = "orders"
visitor_from = ["order_id", "user_id"]
[ingest.erp.fields]
event_id = "number"
order_id = "number"
user_id = "customer"
timestamp = "at"
[ingest.purchases]
topic = "{web}"
to = "visitors"
when = "name == 'purchase'"
[ingest.purchases.fields]
anonymous_id = "client"
order_id = "order"
timestamp = "at"
"""
ENV = {
    "STREAMS_EIGHTSELECT_API_ID": "sandbox-id",
    "STREAMS_EIGHTSELECT_USER_ID_SECRET": "a-secret-of-this-test",
}
YES = {"eightselect": True, "miso": True}
LINE = {"product_id": "p1", "quantity": 2, "price": 19.9, "currency": "EUR"}


@asynccontextmanager
async def shop_topics(
    broker: Broker, prefix: str, folder: Path, *, partitions: int
) -> AsyncIterator[tuple[Pipeline, str, str]]:
    """A pipeline that reads two topics of the shop: of its server, and of its pages."""
    erp, web = f"erp-{prefix}", f"web-{prefix}"
    config = folder / "streams.toml"
    config.write_text(SETTINGS.format(erp=erp, web=web))
    env = ENV | {"STREAMS_CONFIG": str(config)}
    async with Pipeline(broker, prefix, folder, env=env) as pipeline:
        await pipeline.admin.create_topics([NewTopic(name, partitions, 1) for name in (erp, web)])
        await pipeline.producer.client.force_metadata_update()
        yield pipeline, erp, web


async def test_order_of_a_server_is_that_of_the_visitor_who_made_it(
    broker: Broker, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By user and by order, known before and after, through a kill; who is forgotten is not found.

    What nobody says in time is a dead letter, which is sent again once somebody does.
    """
    async with shop_topics(broker, prefix, tmp_path, partitions=1) as (pipeline, erp, web):

        async def order(number: str, customer: Any = None, at: int | None = None) -> None:
            said = {"number": number, "at": at or now_ms(), "lines": [LINE], "customer": customer}
            value = json.dumps(said).encode()
            await pipeline.producer.send_and_wait(erp, value, number.encode(), timestamp_ms=at)

        async def purchase(number: str, client: str) -> None:
            said = {"name": "purchase", "client": client, "order": number, "at": now_ms()}
            await pipeline.producer.send_and_wait(web, json.dumps(said).encode())

        async def visitors() -> dict[str, str]:
            raw = await pipeline.read(pipeline.topics.of_shop("orders"))
            return {json.loads(one.value)["order_id"]: one.key.decode() for one in raw}

        await pipeline.send(
            product("p1"),
            user("anna", {"user_id": "7", "consent": YES}),
            user("bert", {"consent": YES}),
        )
        stages = ("ingest", "enrich", "eightselect", "miso")
        workers = {stage: pipeline.start(stage) for stage in stages}
        await pipeline.ready(*workers.values(), seconds=120)
        await order("A-1", customer=7)

        async def is_joined() -> bool:
            return await visitors() == {"A-1": "anna"}

        await pipeline.until(is_joined)
        await order("A-2")
        await pipeline.until(lambda: pipeline.stored() == ["A-1"])
        workers["ingest"].kill()
        workers["ingest"] = pipeline.start("ingest")
        await purchase("A-2", "bert")
        await pipeline.until(lambda: sorted(pipeline.stored()) == ["A-1", "A-2"])

        # What is a minute old waits for nobody who has said nothing until now.
        before = now_ms() - 60_000
        await order("A-3", customer="9", at=before)
        await order("A-4", at=before)

        async def are_letters() -> bool:
            return len(await pipeline.letters(pipeline.topics.ingest_dead_letters)) == 2

        await pipeline.until(are_letters)
        letters = await pipeline.letters(pipeline.topics.ingest_dead_letters)
        assert [(one["reason"], one["event_id"]) for one in letters] == [
            ("unknown_visitor", "A-3"),
            ("unknown_visitor", "A-4"),
        ]
        status = await pipeline.status(workers["ingest"])
        assert status["totals"]["dead_lettered"] == {"unknown_visitor": 2}
        assert status["notes"]["joined:order_id"] == 1
        await purchase("A-3", "bert")

        async def is_known() -> bool:
            return len(await pipeline.read(pipeline.topics.visitors)) == 2

        await pipeline.until(is_known)
        plans = await plan_resend(pipeline.settings, Selection("ingest"), silent)
        assert [plan.why_not for plan in plans] == ["", "unknown_visitor"]
        assert await resend(pipeline.settings, plans, "2026-11-20T10:00:00.000Z") == 1
        eightselect = pipeline.sandbox.ledgers["eightselect"]
        await pipeline.until(lambda: len(eightselect) == 3 and len(pipeline.stored()) == 3)
        assert await visitors() == {"A-1": "anna", "A-2": "bert", "A-3": "bert"}
        assert {(row["event_id"], row["anonymous_id"]) for row in pipeline.ledger.rows()} == {
            ("A-1", "anna"), ("A-2", "bert"), ("A-3", "bert")
        }  # fmt: skip
        assert pipeline.ledger.types == {"checkout": 3}
        assert eightselect.types == {"order": 3}
        assert len({row["user_id"] for row in eightselect.rows()}) == 2
        report = await pipeline.audit()
        assert {
            one.section: (one.read, one.written, one.dead_lettered, one.missing)
            for one in report.sections
        } == {"erp": (4, 3, 1, 0), "purchases": (2, 2, 0, 0)}
        (traced,) = (await run_trace(pipeline.settings, "event", "A-2", now_ms=now_ms())).events
        assert traced.steps[0].place == f"{erp}/0/1"

        for name in [name for name in pipeline.env if name.startswith("STREAMS_")]:
            monkeypatch.setenv(name, pipeline.env[name])
        assert await asyncio.to_thread(main, ["forget", "bert", "--yes"]) in (0, 1)
        links = await pipeline.read(pipeline.topics.visitors)
        assert Counter((one.key, one.value is None) for one in links) == {
            (b"order_id:A-2", False): 1,
            (b"order_id:A-2", True): 1,
            (b"order_id:A-3", False): 1,
            (b"order_id:A-3", True): 1,
        }
        await order("A-2", at=before)

        async def are_more_letters() -> bool:
            letters = await pipeline.letters(pipeline.topics.ingest_dead_letters)
            return [one["event_id"] for one in letters if "event_id" in one][2:] == ["A-2"]

        await pipeline.until(are_more_letters)
        assert len(await visitors()) == 3
        await order("A-5")  # which waits
        workers["ingest"].terminate()
        assert await workers["ingest"].ended(12) == 0


class Backlog:
    """Orders and purchases that are a minute old."""

    def __init__(self, pipeline: Pipeline, erp: str, web: str) -> None:
        self.pipeline, self.erp, self.web = pipeline, erp, web

    def start(self, fault: str, *arguments: str) -> Worker:
        """Start a worker of ``ingest`` with a fault."""
        program = (str(faulty_worker.__file__), fault)
        return self.pipeline.start("ingest", *arguments, program=program)

    async def order(self, number: str, partition: int) -> None:
        """Write an order without a visitor."""
        at = now_ms() - 60_000
        value = json.dumps({"number": number, "at": at, "lines": [LINE]}).encode()
        send = self.pipeline.producer.send_and_wait
        await send(self.erp, value, partition=partition, timestamp_ms=at)

    async def purchase(self, number: str, client: str, partition: int) -> None:
        """Write whose order it is, of the same time."""
        at = now_ms() - 60_000
        said = {"name": "purchase", "client": client, "order": number, "at": at}
        value = json.dumps(said).encode()
        send = self.pipeline.producer.send_and_wait
        await send(self.web, value, partition=partition, timestamp_ms=at)

    async def outcomes(self) -> dict[str, str]:
        """Return the visitor of each order, or why it has none."""
        topics = self.pipeline.topics
        letters = await self.pipeline.letters(topics.ingest_dead_letters)
        found = {one["event_id"]: one["reason"] for one in letters}
        for one in await self.pipeline.read(topics.of_shop("orders")):
            found[json.loads(one.value)["order_id"]] = one.key.decode()
        return found

    async def until_outcomes(self, **outcomes: str) -> None:
        """Wait until these are the outcomes."""

        async def are_there() -> bool:
            return await self.outcomes() == outcomes

        await self.pipeline.until(are_there, what=f"{outcomes}")


@asynccontextmanager
async def backlog(broker: Broker, prefix: str, folder: Path) -> AsyncIterator[Backlog]:
    """The shop's topics with two partitions each, and what they are written into."""
    async with shop_topics(broker, prefix, folder, partitions=2) as (pipeline, erp, web):
        yield Backlog(pipeline, erp, web)


async def test_order_does_not_wait_for_a_transaction_that_hangs(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """The status says which it is; once it ends the order can be sent again."""
    async with backlog(broker, prefix, tmp_path) as shop:
        pipeline = shop.pipeline
        worker = shop.start("wait_briefly_for_transactions")
        await pipeline.ready(worker)
        other = AIOKafkaProducer(
            **pipeline.settings.kafka.client_options(), transactional_id=f"{prefix}shop"
        )
        await other.start()
        try:
            await other.begin_transaction()
            await other.send_and_wait(shop.web, b"{}", partition=0)
            await shop.purchase("B1", "anna", 0)
            await shop.purchase("B2", "bert", 1)
            await shop.order("B1", 0)
            await shop.order("B2", 0)
            await shop.until_outcomes(B1="unknown_visitor", B2="bert")
            why = f"{shop.web} partition 0: a transaction of another producer is open, so later"

            async def is_said() -> bool:
                (warning,) = (await pipeline.status(worker))["warnings"] or [""]
                return bool(warning.startswith(why))

            await pipeline.until(is_said)
            await other.abort_transaction()
        finally:
            await other.stop()
        await shop.order("B1", 1)
        await shop.until_outcomes(B1="anna", B2="bert")


async def test_order_of_a_backlog_waits_for_what_another_worker_has_not_written_yet(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """That worker has the other partition of the topic that names the visitors."""
    async with backlog(broker, prefix, tmp_path) as shop:
        pipeline = shop.pipeline
        workers = pipeline.start("ingest"), shop.start("ingest_when_told", "--slot", "1")
        await pipeline.ready(*workers)

        async def partitions(topic: str) -> list[list[int]]:
            return [(await pipeline.status(one))["partitions"].get(topic, []) for one in workers]

        async def are_spread() -> bool:
            return all([sorted(await partitions(t)) == [[0], [1]] for t in (shop.erp, shop.web)])

        await pipeline.until(are_spread)
        (erp, _), (_, web) = await partitions(shop.erp), await partitions(shop.web)
        await shop.purchase("B1", "anna", *web)
        await shop.order("B1", *erp)
        seconds: set[int] = set()

        async def has_waited() -> bool:
            status = await pipeline.status(workers[0])
            if status["lag"].get(shop.erp) == 1:
                seconds.add(status["at"] // 1000)
            return len(seconds) == 4

        await pipeline.until(has_waited)
        assert await shop.outcomes() == {}
        (tmp_path / "state" / faulty_worker.TOLD).touch()
        await shop.until_outcomes(B1="anna")
