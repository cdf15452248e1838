"""Orders of a shop's server, which name no visitor, on a real broker: whose they are is found."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import NewTopic

from streams.cli import main
from streams.dead_letters.book import Selection
from streams.kafka.reader import silent
from streams.operations.ingest.resend import plan_resend, resend
from streams.operations.trace.trace import run_trace
from tests.broker_fixtures import Broker
from tests.kafka.pipeline import Pipeline, now_ms, product, user

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


async def test_order_of_a_server_is_that_of_the_visitor_who_made_it(
    broker: Broker, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By user and by order, known before and after, through a kill; who is forgotten is not found.

    What nobody says in time is a dead letter, which is sent again once somebody does.
    """
    erp, web = f"erp-{prefix}", f"web-{prefix}"
    config = tmp_path / "streams.toml"
    config.write_text(SETTINGS.format(erp=erp, web=web))
    env = ENV | {"STREAMS_CONFIG": str(config)}
    async with Pipeline(broker, prefix, tmp_path, env=env) as pipeline:
        await pipeline.admin.create_topics([NewTopic(name, 1, 1) for name in (erp, web)])
        await pipeline.producer.client.force_metadata_update()

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
