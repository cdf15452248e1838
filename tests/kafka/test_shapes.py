"""A shop's own topics end to end: as trackers and databases write them, to the vendors.

The settings are those that ``streams init`` writes from the topics themselves.
"""

import asyncio
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import NewTopic

from streams.kafka.topics import create_topics
from streams.lab.sandbox.registry import RegistrySimulator
from streams.settings import load_settings
from tests.broker_fixtures import Broker
from tests.kafka.pipeline import Pipeline
from tests.operations.test_init import flat
from tests.shapes.formats import EVENTS, Shape, connect, debezium, session_log
from tests.shapes.shop import PRODUCTS, VISITORS

pytestmark = pytest.mark.kafka

PARTITIONS = {"ga4.events": 48, "magento_events": 1, "segment": 5}
"""Of topics that have another number than three."""
VENDORS = ("eightselect", "voyado", "miso")
Outcome = tuple[str, str | None]
"""Outcome and reason of a receipt."""
Tables = Mapping[str, Mapping[str, Any]]
"""The rows by ``users`` and ``products``, and by key."""
ENV = {
    "STREAMS_CONSENT_MODE": "assumed",
    "STREAMS_EIGHTSELECT_API_ID": "sandbox-secret",
    "STREAMS_EIGHTSELECT_USER_ID_SECRET": "a-long-text-that-nobody-guesses",
    "STREAMS_EIGHTSELECT_REQUIRE_CONTENT": "false",
    "STREAMS_VOYADO_API_KEY": "sandbox-secret",
    "STREAMS_VOYADO_CLICKS": "all",
    "STREAMS_VOYADO_LOOKUP_EMAIL": "true",
    "STREAMS_VOYADO_REQUESTS_PER_SECOND": "200",
}


class ShopTopics(Pipeline):
    """A pipeline beside the topics of a shop, whose names begin with the prefix."""

    def __init__(self, broker: Broker, prefix: str, folder: Path, env: Mapping[str, str]) -> None:
        super().__init__(broker, prefix, folder, env=env)
        self.prefix = prefix

    async def make(self, events: Sequence[Shape], rows: Sequence[Shape]) -> None:
        """Make the shapes' topics, those of rows compacted."""
        configs: dict[str, dict[str, str]] = {
            topic: {} for shape in events for topic in shape.topics
        }
        configs |= {t: {"cleanup.policy": "compact"} for shape in rows for t in shape.topics}
        await self.admin.create_topics(
            [
                NewTopic(self.prefix + topic, PARTITIONS.get(topic, 3), 1, topic_configs=config)
                for topic, config in configs.items()
            ]
        )
        await self.producer.client.force_metadata_update()

    async def fill(self, shapes: Sequence[Shape], may_write: Callable[[bytes], bool]) -> None:
        """Write those of the shapes' records whose values may be written now."""
        every = [(t, r) for shape in shapes for t, records in shape.topics.items() for r in records]
        await self.send(
            *((topic, *record) for topic, record in every if may_write(record[1] or b""))
        )

    async def init(self, *shapes: Shape) -> str:
        """Let ``streams init`` write the settings from the topics; return what it printed."""
        topics = [self.prefix + topic for shape in shapes for topic in shape.topics]
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "streams", "init", *topics, "--write"],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    async def use(self, change: Callable[[str], str] = lambda text: text) -> None:
        """Let the workers read what was written, changed as a person changes it."""
        path = self.folder / "streams.toml"
        path.write_text(change(path.read_text("utf-8")), "utf-8")
        self._env["STREAMS_CONFIG"] = str(path)
        await create_topics(load_settings(self.env))

    async def by_section(self, *topics: str) -> dict[str, list[ConsumerRecord]]:
        """The records of raw topics by the section that wrote them."""
        found: dict[str, list[ConsumerRecord]] = {}
        for topic in topics:
            for record in await self.read(topic):
                found.setdefault(
                    dict(record.headers)["section"].decode().partition("/")[0], []
                ).append(record)
        return found

    async def holds(self, to: str, meant: Mapping[str, Any]) -> bool:
        """Return whether a table is what it must be in the end."""
        left: dict[str, Any] = {}
        for record in await self.read(self.topics.of_ingest(to)):
            if record.value is None:
                left.pop(record.key.decode(), None)
            else:
                left[record.key.decode()] = json.loads(record.value)
        return left == meant

    async def hold(self, records: int, *topics: str) -> bool:
        """Return whether these topics hold so many records."""
        consumer = AIOKafkaConsumer(**self.settings.kafka.client_options())
        await consumer.start()
        try:
            partitions = {topic: await self.producer.partitions_for(topic) for topic in topics}
            tps = [TopicPartition(topic, p) for topic, found in partitions.items() for p in found]
            ends = await consumer.end_offsets(tps)
            return bool(sum(ends.values()) >= records)
        finally:
            await consumer.stop()

    async def outcomes_by_vendor(self) -> dict[str, Counter[Outcome]]:
        """Return how many receipts there are by vendor, outcome and reason."""
        found: dict[str, Counter[Outcome]] = {}
        for vendor in VENDORS:
            receipts = [json.loads(r.value) for r in await self.read(self.topics.receipts(vendor))]
            found[vendor] = Counter((one["outcome"], one.get("reason")) for one in receipts)
        return found


def elsewhere(shape: Shape, where: int) -> Shape:
    """The same at another branch of the shop, with visitors, products and topics of its own."""

    def moved(text: str) -> str:
        text = text.replace("-77aa-", f"-77a{where}-")
        return re.sub(r"\b41([23]\d\d)\b", rf"4{where}\1", text)

    def record(data: bytes | None) -> bytes | None:
        return None if data is None else moved(data.decode()).encode()

    topics = {
        f"{topic}.{where}": [(record(key), record(value)) for key, value in records]
        for topic, records in shape.topics.items()
    }
    meant = {
        name: json.loads(moved(json.dumps(getattr(shape, name))))
        for name in ("clicks", "carts", "users", "products")
    }
    return replace(shape, topics=topics, **meant)


def as_avro(shape: Shape, registry: RegistrySimulator) -> Shape:
    """The same on another topic, its flat records of texts as Avro in Confluent's wire format."""
    ((topic, records),) = shape.topics.items()
    fields = [{"name": name, "type": "string"} for name in json.loads(records[0][1] or b"")]
    schema = {"type": "record", "name": "Event", "fields": fields}
    frame = b"\0" + registry.add(f"{topic}-value", schema).to_bytes(4, "big")
    parsed = fastavro.parse_schema(schema)
    framed: list[tuple[bytes | None, bytes | None]] = []
    for key, value in records:
        out = BytesIO()
        fastavro.schemaless_writer(out, parsed, json.loads(value or b""))
        framed.append((key, frame + out.getvalue()))
    return replace(shape, topics={f"{topic}.avro": framed})


def in_any_order(events: list[dict[str, Any]]) -> list[str]:
    """The events as texts that can be compared."""
    return sorted(json.dumps(event, sort_keys=True, default=str) for event in events)


def outcomes_of(shapes: list[Shape], tables: Tables) -> dict[str, Counter[Outcome]]:
    """What must become of the events at each vendor, where consent is assumed.

    Of a product that was deleted nothing is known. A visitor's row may refuse a vendor, a deleted
    one no longer does; Voyado has a contact only where the row has an address.
    """
    expected: dict[str, Counter[Outcome]] = {vendor: Counter() for vendor in VENDORS}
    for event in (event for shape in shapes for event in (*shape.clicks, *shape.carts)):
        row = tables["users"].get(event["anonymous_id"], {})
        for vendor, counts in expected.items():
            if row.get("consent", {}).get(vendor) is False:
                counts["skipped", "no_consent"] += 1
            elif event["product_id"] not in tables["products"] and "sku" not in event:
                counts["skipped", "unknown_product"] += 1
            elif vendor == "voyado" and "email" not in row:
                counts["skipped", "no_contact"] += 1
            else:
                counts["accepted", None] += 1
    return expected


async def test_each_shape_arrives_at_the_vendors_with_the_settings_that_init_writes(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """JSON and Avro, tables in envelopes with deletes, topics without keys, 1 to 48 partitions."""
    registry = RegistrySimulator()
    await registry.start()
    events = [make() for make in EVENTS.values()]
    events += [as_avro(session_log(), registry)]
    events += [elsewhere(session_log(), 5), elsewhere(session_log(), 6)]
    rows = [elsewhere(debezium(), 5), elsewhere(connect(), 6)]
    async with ShopTopics(
        broker, prefix, tmp_path, ENV | {"STREAMS_REGISTRY_URL": registry.url}
    ) as shop:
        await shop.make(events, rows)

        def is_later(value: bytes) -> bool:
            # Of visitors who are deleted only later events are sent at all.
            return b"-77aa-" not in value and any(
                visitor.anonymous_id[-12:].encode() in value
                for visitor in (VISITORS[1], VISITORS[3])
            )

        await shop.fill(rows, lambda _: True)
        await shop.fill(events, lambda value: not is_later(value))
        assert "no section takes these events" in await shop.init(*events, *rows)
        # What only a person knows.
        await shop.use(lambda text: text.replace('timezone = "UTC"', 'timezone = "Europe/Berlin"'))
        sinks = [shop.start(vendor) for vendor in VENDORS]
        await shop.ready(shop.start("ingest"))
        # Rows first: an event sees the row as it is when the event is read.
        tables = {
            to: {key: row for shape in (*events, *rows) for key, row in getattr(shape, to).items()}
            for to in ("users", "products")
        }
        for to, meant in tables.items():
            await shop.until(partial(shop.holds, to, meant), what=f"the rows of {to}")
        number = sum(len(shape.clicks) + len(shape.carts) for shape in events)
        await shop.fill(events, is_later)
        raw = shop.topics.clicks, shop.topics.add_to_carts
        await shop.until(partial(shop.hold, number, *raw), what="the events")
        await assert_written(shop, events)
        assert await shop.letters(shop.topics.ingest_dead_letters) == []

        await shop.ready(shop.start("enrich"), *sinks)
        receipts = map(shop.topics.receipts, VENDORS)
        await shop.until(partial(shop.hold, len(VENDORS) * number, *receipts), 90, "the outcomes")
        assert await shop.outcomes_by_vendor() == outcomes_of(events, tables)
        for vendor, counts in outcomes_of(events, tables).items():
            assert len(shop.sandbox.ledgers[vendor]) == counts["accepted", None], vendor
        assert len(set(shop.stored())) == len(shop.stored())
        payloads = [
            json.loads(record.value)["payload"]
            for record in await shop.read(shop.topics.events("miso"))
        ]
        seen = {payload["product_ids"][0] for payload in payloads}
        assert seen == {product.sku for product in PRODUCTS}
        report = await shop.audit()
        assert report.balanced, report
    await registry.stop()


async def assert_written(shop: ShopTopics, shapes: list[Shape]) -> None:
    """Each event is written as it is meant, under its visitor's key, by its own section."""
    ingest = load_settings(shop.env).ingest
    sections = {(section.topic, str(section.to)): name for name, section in ingest.items()}
    found = await shop.by_section(shop.topics.clicks, shop.topics.add_to_carts)
    for shape in shapes:
        topic = shop.prefix + next(iter(shape.topics))
        for to, meant in (("clicks", shape.clicks), ("add-to-carts", shape.carts)):
            records = found.pop(sections[topic, to])
            given = [flat(json.loads(record.value)) for record in records]
            if "event_id" not in meant[0]:
                assert all(event.pop("event_id").startswith(topic) for event in given)
            # Here a table of products knows the SKU, and events need none of their own.
            wanted = [
                {k: v for k, v in event.items() if k != "sku" or v != event["product_id"]}
                for event in meant
            ]
            assert in_any_order(given) == in_any_order(wanted)
            assert all(
                record.key.decode() == json.loads(record.value)["anonymous_id"]
                for record in records
            )
    assert not found
