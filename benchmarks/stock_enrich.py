"""The enrichment as a normal Faust app does it: events one by one, tables fed by agents.

What is pure (parsing, consent, mapping) is the project's own, so that only the framework differs.
"""

import os
import time
from typing import Any

import faust

from streams.core.enrich import Enricher, Send, Skip
from streams.core.errors import InvalidEvent
from streams.core.events import EventParser
from streams.core.outcome import Outcome
from streams.core.receipts import LIVE, encode_receipt
from streams.core.records import Receipt
from streams.core.rows import decode_product, decode_user
from streams.core.times import utc_text
from streams.settings import load_settings
from streams.vendors import VENDORS

settings = load_settings()
topics = settings.topics
vendors = settings.enabled_vendors()
plans = [settings.plan_for(key) for key in vendors]
enricher = Enricher(plans, settings.consent.mode)
types = {"key_type": bytes, "value_type": bytes}
raw = {**types, "key_serializer": "raw", "value_serializer": "raw"}

app = faust.App(
    f"{topics.prefix}stock-enrich",
    broker=";".join(f"kafka://{server}" for server in settings.kafka.servers),
    store="memory://",
    key_serializer="raw",
    value_serializer="raw",
    topic_partitions=settings.kafka.partitions,
    datadir=os.environ["STOCK_FOLDER"],
)
users = app.Table("users", partitions=settings.kafka.partitions, **types)
products = app.GlobalTable("products", partitions=settings.kafka.partitions, **types)
clicks = app.topic(topics.clicks, **raw)
add_to_carts = app.topic(topics.add_to_carts, **raw)
user_rows = app.topic(topics.users, **raw)
product_rows = app.topic(topics.products, **raw)
vendor_events = {v: app.topic(f"{topics.prefix}stock.{v}.events", **raw) for v in vendors}
receipts = {v: app.topic(f"{topics.prefix}stock.{v}.receipts", **raw) for v in vendors}
dead_letters = app.topic(f"{topics.prefix}stock.dead-letters", **raw)
progress = {"events": 0}


@app.agent(user_rows)
async def feed_users(rows: Any) -> None:
    """Keep the newest row of each visitor."""
    async for key, row in rows.items():
        users[key] = row


@app.agent(product_rows)
async def feed_products(rows: Any) -> None:
    """Keep the newest row of each product."""
    async for key, row in rows.items():
        products[key] = row


@app.agent(clicks)
async def enrich_clicks(stream: Any) -> None:
    """Enrich each click."""
    parser = EventParser("click", "shop.clicks")
    async for event in stream.events():
        await enrich(event, parser)


@app.agent(add_to_carts)
async def enrich_add_to_carts(stream: Any) -> None:
    """Enrich each add-to-cart."""
    parser = EventParser("add_to_cart", "shop.add-to-carts")
    async for event in stream.events():
        await enrich(event, parser)


async def enrich(event: Any, parser: EventParser) -> None:
    """Send one event's records to each vendor's topic."""
    progress["events"] += 1
    message = event.message
    partition, kafka_ms = message.partition, int(message.timestamp * 1000)
    now_ms = time.time_ns() // 1_000_000
    source = f"{message.topic}/{partition}/{message.offset}"
    try:
        parsed = parser.parse(event.key, event.value, partition, message.offset, kafka_ms)
        user, product = users.get(event.key), products.get(parsed.product_id.encode())
        decisions = enricher.decide(
            parsed,
            None if user is None else decode_user(user, VENDORS),
            None,
            None if product is None else decode_product(product),
            kafka_ms,
            now_ms,
        )
    except InvalidEvent as error:
        await dead_letters.send(key=event.key, value=str(error).encode(), partition=partition)
        return
    for decision in decisions:
        if isinstance(decision, Send):
            await vendor_events[decision.vendor].send(
                key=event.key,
                value=decision.value,
                partition=partition,
                headers={
                    "source": source.encode(),
                    "consent": decision.consent.encode(),
                    "source-time": b"%d" % kafka_ms,
                },
            )
        elif isinstance(decision, Skip):
            await receipts[decision.vendor].send(
                key=parsed.event_id.encode(),
                value=encode_receipt(
                    Receipt(
                        event_id=parsed.event_id,
                        outcome=Outcome.SKIPPED,
                        at=utc_text(now_ms),
                        attempts=0,
                        source=source,
                        lane=LIVE,
                        position=None,
                        reason=decision.reason,
                    )
                ),
                partition=partition,
            )


@app.page("/progress/")
async def show_progress(view: Any, request: Any) -> Any:  # noqa: ARG001
    """Tell the benchmark how far it is."""
    return view.json({"ready": app.tables.recovery.completed.is_set(), **progress})


if __name__ == "__main__":
    app.main()
