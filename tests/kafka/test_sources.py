"""Orders, content views and named events beside clicks, over a real pipeline of three vendors."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from streams.cli import main
from streams.core.records import Source
from streams.core.runs import Asked
from streams.core.topics import DAY_MS
from streams.kafka.reader import silent
from streams.operations.audit.audit import run_audit
from streams.operations.trace.trace import run_trace
from streams.replay.preview import preview
from streams.settings import load_settings
from tests.broker_fixtures import Broker
from tests.kafka.pipeline import Pipeline, Record, cart, click, now_ms, product, user

pytestmark = pytest.mark.kafka

ENV = {
    "STREAMS_VOYADO_API_KEY": "sandbox-secret",
    "STREAMS_VOYADO_USER_AGENT": "TestShop/1.0",
    "STREAMS_EIGHTSELECT_API_ID": "sandbox-id",
    "STREAMS_EIGHTSELECT_USER_ID_SECRET": "a-secret-of-this-test",
    "STREAMS_CONSENT_MODE": "assumed",
}
CONTENT = {"type": "customSet", "id": "set-1"}
CONTACT = "5f9d2a4e-6a6b-4b5e-8d3f-2f1c7a9b0c3d"
LINE = {"product_id": "p1", "quantity": 2, "price": 19.9, "currency": "EUR"}
VENDORS = ("eightselect", "voyado", "miso")


def record(source: str, event_id: str, **fields: Any) -> Record:
    """A record of Anna's, of now."""
    event = {"timestamp": now_ms(), "anonymous_id": "anna", "event_id": event_id} | fields
    return f"shop.{source}", b"anna", json.dumps(event).encode()


def order(event_id: str, order_id: str, **fields: Any) -> Record:
    """An order of one line."""
    return record("orders", event_id, **({"order_id": order_id, "lines": [LINE]} | fields))


async def outcomes(pipeline: Pipeline, vendor: str) -> dict[str, tuple[str, str | None]]:
    """What became of each event at a vendor."""
    found = await pipeline.read(pipeline.topics.receipts(vendor))
    receipts = [json.loads(one.value) for one in found]
    return {one["event_id"]: (one["outcome"], one.get("reason")) for one in receipts}


async def settled(pipeline: Pipeline, raw: int) -> None:
    """Wait until all that was sent has its outcome everywhere, and see that the books balance."""

    async def are_settled() -> bool:
        report = await run_audit(pipeline.settings)
        books = report.vendors
        return sum(report.raw.values()) == raw and not any(one.waiting for one in books)

    await pipeline.until(are_settled)
    assert (await run_audit(pipeline.settings)).balanced


async def test_all_sources_reach_their_vendors_through_a_kill(
    broker: Broker, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Audit, trace, replay and forget know them; a repeated order id is a duplicate."""
    async with Pipeline(broker, prefix, tmp_path, env=ENV, all_sources=True) as pipeline:
        assert set(pipeline.topics.raw) == {
            f"{prefix}shop.{name}"
            for name in ("clicks", "add-to-carts", "orders", "content-views", "events")
        }
        await pipeline.send(product("p1"), user("anna", {"contact_id": CONTACT}))
        workers = {stage: pipeline.start(stage) for stage in ("enrich", *VENDORS)}
        await pipeline.ready(*workers.values())
        killed = asyncio.ensure_future(pipeline.stored_unanswered(workers["miso"].kill))
        await pipeline.send(order("o1", "A-1", revenue=39.8))
        await killed
        workers["miso"] = pipeline.start("miso")
        await pipeline.send(
            order("o2", "A-1"),
            order("o3", "A-2", lines=[LINE, {"product_id": "p1", "quantity": 1}]),
            order("o4", "A-3", lines=[]),
            order("o5", "A-4", lines=[LINE, LINE | {"currency": "USD"}]),
            order("o6", "A-5", lines=[LINE | {"price": -1}]),
            order("o7", "A-6", lines=[LINE | {"product_id": "p9"}]),
            order("o8", "A-7", lines=[LINE] * 500),
            record("content-views", "v1", content=CONTENT, product_ids=["p1", "p9"]),
            record(
                "events", "r1", name="review", product_id="p1", rating=4, content=CONTENT,
                properties={"maker": "Acme"},
            ),
            record("events", "r2", name="review", product_id="p1", content=CONTENT,
                   properties={"maker": {"name": "Acme"}}, rating="4"),
            record("events", "x1", name="re\0view \u202e<b>"),
            record("content-views", "v2", product_ids="p1"),
            click("anna", event_id="c1", content=CONTENT, timestamp=now_ms() + DAY_MS),
            cart("anna", event_id="k1", content=CONTENT),
        )  # fmt: skip
        await settled(pipeline, 15)

        assert await outcomes(pipeline, "eightselect") == {
            "o1": ("accepted", None),
            "o2": ("skipped", "duplicate"),
            "o3": ("dead_lettered", "invalid_payload"),
            "o7": ("dead_lettered", "invalid_payload"),
            "o8": ("accepted", None),
            "v1": ("accepted", None),
            "r1": ("accepted", None),
            "r2": ("accepted", None),
            "x1": ("skipped", "unmapped"),
            "c1": ("accepted", None),
            "k1": ("accepted", None),
        }
        assert await outcomes(pipeline, "voyado") == {
            **dict.fromkeys(("o1", "o2", "o3", "o7", "o8", "v1"), ("skipped", "own_pathway")),
            "r1": ("accepted", None),
            "r2": ("dead_lettered", "invalid_payload"),
            "x1": ("skipped", "unmapped"),
            "c1": ("accepted", None),
            "k1": ("accepted", None),
        }
        assert await outcomes(pipeline, "miso") == {
            "o1": ("accepted", None),
            "o2": ("skipped", "duplicate"),
            "o3": ("accepted", None),
            "o7": ("skipped", "unknown_product"),
            "o8": ("accepted", None),
            "v1": ("accepted", None),
            "r1": ("accepted", None),
            "r2": ("accepted", None),
            "x1": ("skipped", "unmapped"),
            "c1": ("accepted", None),
            "k1": ("accepted", None),
        }
        # What was in flight when the sink was killed is sent once more, and nothing else.
        stored = ["o1", "o1", "o3", "o8", "v1", "r1", "r2", "c1", "k1"]
        assert Counter(pipeline.stored()) == Counter(stored)
        assert pipeline.ledger.types == {
            "checkout": 4, "viewable_impression": 1, "rate": 2, "product_detail_page_view": 1,
            "add_to_cart": 1,
        }  # fmt: skip
        types = pipeline.sandbox.ledgers["eightselect"].types
        assert types == {"order": 2, "view": 1, "review": 2, "click": 1, "addToCart": 1}
        letters = await pipeline.letters(pipeline.topics.dead_letters("eightselect"))
        assert {(one["stage"], one["attempts"], one["event_id"]) for one in letters} == {
            ("deliver", 0, "o3"), ("deliver", 0, "o7")
        }  # fmt: skip
        (letter,) = await pipeline.letters(pipeline.topics.dead_letters("voyado"))
        assert (letter["event_id"], letter["detail"]) == ("r2", "brand is not a single value")
        assert {letter["detail"] for letter in await pipeline.letters()} == {
            "lines: an order has 1 to 500 lines, not 0",
            "lines: an order has one currency, not EUR and USD",
            "lines: line 1: price: Expected `float` >= 0.0",
            "content: product_ids cannot be read, so nothing is known of what was seen",
        }

        found = await run_trace(pipeline.settings, "event", "o3", now_ms=now_ms())
        (traced,) = found.events
        assert (traced.event_type, traced.product_id) == ("order", "p1, p1")
        assert Source.parse(traced.source).topic == pipeline.topics.of_shop("orders")
        asked = Asked("replay", 0, now_ms() + 1, only=("order",))
        replay = await preview(
            pipeline.settings, ["eightselect"], asked, tell=silent, now_ms=now_ms()
        )
        assert (replay.records, replay.off) == (8, {})

        # What a source has left that is switched off now is still found.
        workers["enrich"].terminate()
        assert await workers["enrich"].ended(30) == 0
        await pipeline.send(order("late", "A-9"))
        now_off = load_settings(pipeline.env | {"STREAMS_SOURCE_ORDERS_ENABLED": "false"})
        orders = pipeline.topics.of_shop("orders")
        report = await run_audit(now_off)
        assert report.balanced
        assert (report.raw[orders], report.not_read) == (8, {orders: 1})
        (traced,) = (await run_trace(now_off, "event", "o3", now_ms=now_ms())).events
        assert traced.text.startswith("Accepted by Miso")
        (traced,) = (await run_trace(now_off, "event", "late", now_ms=now_ms())).events
        assert traced.text.startswith(f"Not read: the source of {orders} is switched off")
        every = Asked("replay", 0, now_ms() + 1)
        replay = await preview(now_off, ["miso"], every, tell=silent, now_ms=now_ms())
        assert replay.off == {orders: 9}
        for name in [name for name in pipeline.env if name.startswith("STREAMS_")]:
            monkeypatch.setenv(name, pipeline.env[name])
        monkeypatch.setenv("STREAMS_SOURCE_ORDERS_ENABLED", "false")
        assert await asyncio.to_thread(main, ["forget", "anna", "--yes"]) in (0, 1)
        assert f"{orders}: 9 records" in capsys.readouterr().out
        assert all(row["erased"] for row in pipeline.sandbox.ledgers["voyado"].rows())
