"""A shop's own topics end to end: as trackers and databases write them, to the vendors.

The settings are those that ``streams init`` writes from the topics themselves.
"""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from aiokafka.admin import NewTopic

from streams.kafka.topics import create_topics
from streams.settings import load_settings
from tests.broker_fixtures import Broker
from tests.kafka.pipeline import Pipeline
from tests.operations.test_init import flat
from tests.shapes.formats import EVENTS, Shape, connect, debezium, session_log
from tests.shapes.shop import PRODUCTS, VISITORS

pytestmark = pytest.mark.kafka

PARTITIONS = {"ga4.events": 48, "magento_events": 1, "segment": 5}
"""Of topics that have another number than three."""
ENV = {
    "STREAMS_CONSENT_MODE": "assumed",
    "STREAMS_EIGHTSELECT_API_ID": "sandbox-secret",
    "STREAMS_EIGHTSELECT_USER_ID_SECRET": "a-long-text-that-nobody-guesses",
    "STREAMS_EIGHTSELECT_REQUIRE_CONTENT": "false",
}


class ShopTopics(Pipeline):
    """A pipeline beside the topics of a shop, whose names begin with the prefix."""

    def __init__(self, broker: Broker, prefix: str, folder: Path, env: Mapping[str, str]) -> None:
        super().__init__(broker, prefix, folder, env=env)
        self.prefix = prefix

    async def make(self, shape: Shape, *, compacted: bool = False) -> None:
        """Make a shape's topics."""
        config = {"cleanup.policy": "compact"} if compacted else {}
        await self.admin.create_topics(
            [
                NewTopic(self.prefix + topic, PARTITIONS.get(topic, 3), 1, topic_configs=config)
                for topic in shape.topics
            ]
        )
        await self.producer.client.force_metadata_update()

    async def fill(self, shape: Shape) -> None:
        """Write a shape's records."""
        await self.send(
            *((topic, *record) for topic, records in shape.topics.items() for record in records)
        )

    def init(self, *shapes: Shape) -> str:
        """Let ``streams init`` write the settings from the topics; return what it printed."""
        topics = [self.prefix + topic for shape in shapes for topic in shape.topics]
        done = subprocess.run(
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


def in_any_order(events: list[dict[str, Any]]) -> list[str]:
    """The events as texts that can be compared."""
    return sorted(json.dumps(event, sort_keys=True, default=str) for event in events)


@pytest.mark.slow
async def test_each_shape_arrives_at_the_vendors_with_the_settings_that_init_writes(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Topics without keys, with keys of another kind, with 1, 3, 5 and 48 partitions."""
    shapes = {name: make() for name, make in EVENTS.items()}
    async with ShopTopics(broker, prefix, tmp_path, ENV) as shop:
        for shape in shapes.values():
            await shop.make(shape)
            await shop.fill(shape)
        printed = shop.init(*shapes.values())
        assert "no section takes these events" in printed
        # What only a person knows.
        await shop.use(lambda text: text.replace('timezone = "UTC"', 'timezone = "Europe/Berlin"'))
        await shop.ready(shop.start("ingest"))
        ingest = load_settings(shop.env).ingest
        sections = {(section.topic, str(section.to)): name for name, section in ingest.items()}
        events = sum(len(shape.clicks) + len(shape.carts) for shape in shapes.values())
        raw = (shop.topics.clicks, shop.topics.add_to_carts)

        async def are_written() -> bool:
            return sum([len(await shop.read(topic)) for topic in raw]) >= events

        # Rows first: an event sees the row as it is when the event is read.
        await shop.until(are_written)
        found = await shop.by_section(*raw)
        for shape in shapes.values():
            topic = next(iter(shape.topics))
            for to, meant in (("clicks", shape.clicks), ("add-to-carts", shape.carts)):
                records = found.pop(sections[prefix + topic, to])
                given = [flat(json.loads(record.value)) for record in records]
                if "event_id" not in meant[0]:
                    assert all(event.pop("event_id").startswith(prefix + topic) for event in given)
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
        assert await shop.letters(shop.topics.ingest_dead_letters) == []

        await shop.ready(*(shop.start(stage) for stage in ("enrich", "miso", "eightselect")))

        async def are_settled() -> bool:
            vendors = (await shop.audit()).vendors
            return all(one.raw >= events and not one.waiting for one in vendors)

        await shop.until(are_settled, 90)
        assert await shop.outcomes() == {("accepted", None): events}
        assert len(set(shop.stored())) == len(shop.stored()) == events
        payloads = [
            json.loads(record.value)["payload"]
            for record in await shop.read(shop.topics.events("miso"))
        ]
        seen = Counter(payload["product_ids"][0] for payload in payloads)
        assert set(seen) == {product.sku for product in PRODUCTS}
        assert len(shop.sandbox.ledgers["eightselect"]) == events
        report = await shop.audit()
        assert report.balanced, report


@pytest.mark.parametrize("tables", [debezium, connect], ids=["debezium", "connect"])
async def test_tables_in_envelopes_are_joined_and_deletes_count(
    broker: Broker, prefix: str, tmp_path: Path, tables: Callable[[], Shape]
) -> None:
    """A product that was deleted is unknown, a visitor who was deleted has not consented."""
    rows, log = tables(), session_log()
    topics = list(rows.topics)
    async with ShopTopics(broker, prefix, tmp_path, {}) as shop:
        await shop.make(rows, compacted=True)
        await shop.make(log)
        await shop.fill(rows)
        await shop.fill(Shape({"behaviour": log.topics["behaviour"][:5]}))
        shop.init(rows, log)
        if tables is connect:
            await shop.use(_consent_by_newsletter(prefix + topics[0]))
        else:
            await shop.use()
        await shop.ready(shop.start("ingest"))
        for to, meant in (("users", rows.users), ("products", rows.products)):
            await shop.until(_holds(shop, to, meant, with_newsletter=tables is connect))
        await shop.ready(shop.start("enrich"), shop.start("miso"))
        await shop.fill(Shape({"behaviour": log.topics["behaviour"][5:]}))
        events = len(log.clicks) + len(log.carts)
        report = await shop.settled(events)
        gone = next(v.anonymous_id for v in VISITORS if v.anonymous_id not in rows.users)
        unknown = {product.id for product in PRODUCTS} - rows.products.keys()
        expected: Counter[tuple[str, str | None]] = Counter()
        for event in (*log.clicks, *log.carts):
            if event["anonymous_id"] == gone:
                expected["skipped", "no_consent"] += 1
            elif event["product_id"] in unknown:
                expected["skipped", "unknown_product"] += 1
            else:
                expected["accepted", None] += 1
        assert await shop.outcomes() == expected
        assert expected["skipped", "no_consent"]
        assert report.vendors[0].raw == events


def _holds(
    shop: ShopTopics, to: str, meant: Mapping[str, Any], *, with_newsletter: bool
) -> Callable[[], Any]:
    """Return a condition: the table is what it must be in the end."""

    async def holds() -> bool:
        left: dict[str, Any] = {}
        for record in await shop.read(shop.topics.of_shop(to)):
            if record.value is None:
                left.pop(record.key.decode(), None)
            else:
                left[record.key.decode()] = json.loads(record.value)
        wanted = dict(meant)
        if to == "users" and with_newsletter:
            wanted = {key: row | {"consent": {"miso": True}} for key, row in meant.items()}
        return left == wanted

    return holds


def _consent_by_newsletter(topic: str) -> Callable[[str], str]:
    """Return what a person adds whose customers' newsletter column is their consent."""

    def change(text: str) -> str:
        at = text.index(".fields]", text.index(f'topic = "{topic}"')) + len(".fields]\n")
        return f'{text[:at]}consent = "{{miso: newsletter}}"\n{text[at:]}'

    return change
