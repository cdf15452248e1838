"""The shop's own topics on a real broker: read, mapped, written once more after a crash at most."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from aiokafka.admin import NewPartitions, NewTopic
from aiokafka.errors import MessageSizeTooLargeError

from streams.dead_letters.book import Selection
from streams.dead_letters.dead_letters import find_letters
from streams.engine.partitioner import home_of
from streams.kafka.reader import silent
from streams.operations.forget.shop_topics import held_by_shop
from streams.operations.ingest.resend import plan_resend, resend
from streams.operations.ingest.rewrite import ingest_writer, read_window
from streams.operations.trace.trace import run_trace
from streams.settings import load_settings
from streams.status.judge import judge
from streams.status.observe import observe
from tests.broker_fixtures import Broker
from tests.kafka.pipeline import Pipeline, now_ms

pytestmark = pytest.mark.kafka

KILLS = 10
BETWEEN_KILLS = 300

SETTINGS = """
[ingest.views]
topic = "{web}"
to = "clicks"
when = "name == 'view'"
[ingest.views.fields]
anonymous_id = "client"
timestamp = "at"
product_id = "product"

[ingest.orders]
topic = "{web}"
to = "add-to-carts"
when = "name == 'order'"
each = "items"
[ingest.orders.fields]
anonymous_id = "client"
timestamp = "at"
product_id = "_item.id"
quantity = "_item.n"

[ingest.people]
topic = "{crm}"
to = "users"
envelope = "debezium"
key = "id"
[ingest.people.fields]
consent = "says"

[ingest.catalogue]
topic = "{catalogue}"
to = "products"
key = "id"
[ingest.catalogue.fields]
sku = "code"
"""


class Shop(Pipeline):
    """A pipeline beside a shop's own topics."""

    def __init__(
        self, broker: Broker, prefix: str, folder: Path, *, web_partitions: int = 4, **more: Any
    ) -> None:
        self.web, self.crm, self.catalogue = (
            f"shop-{prefix}{name}" for name in ("web", "crm", "catalogue")
        )
        self.web_partitions = web_partitions
        config = folder / "streams.toml"
        config.write_text(
            SETTINGS.format(web=self.web, crm=self.crm, catalogue=self.catalogue), "utf-8"
        )
        super().__init__(
            broker,
            prefix,
            folder,
            env={"STREAMS_CONFIG": str(config), **more.pop("env", {})},
            **more,
        )

    async def make(self, names: Sequence[str] | None = None) -> None:
        """Make the shop's topics, or those named, as its own people do."""
        every = [
            NewTopic(self.web, self.web_partitions, 1),
            NewTopic(self.crm, 1, 1, topic_configs={"cleanup.policy": "compact"}),
            NewTopic(self.catalogue, 2, 1),
        ]
        await self.admin.create_topics([one for one in every if names is None or one.name in names])
        await self.producer.client.force_metadata_update()

    async def write(
        self,
        topic: str,
        values: Sequence[Any],
        key: bytes | None = None,
        partition: int | None = None,
    ) -> None:
        """Write records to a topic of the shop; bytes go as they are, None is no value."""
        waiting = [
            await self.producer.send(
                topic,
                key=key,
                value=value
                if value is None or type(value) is bytes
                else json.dumps(value).encode(),
                partition=partition,
            )
            for value in values
        ]
        for one in waiting:
            await one

    async def raw(self, to: str) -> list[ConsumerRecord]:
        """All records of a raw topic or table."""
        return await self.read(self.topics.of_shop(to))

    async def arrived(self, to: str, records: int) -> list[ConsumerRecord]:
        """Wait until a raw topic has so many records, and return them."""
        found: list[ConsumerRecord] = []

        async def are_there() -> bool:
            found[:] = await self.raw(to)
            return len(found) >= records

        await self.until(are_there, what=f"{records} records of {to}")
        return found

    async def ingested(self) -> None:
        """Wait until all that the shop wrote is committed."""

        async def is_done() -> bool:
            committed = await self.committed("ingest")
            total = 0
            for topic in (self.web, self.crm, self.catalogue):
                total += len(await self.read(topic))
            return bool(sum(at.offset for at in committed.values()) == total)

        await self.until(is_done, what="ingest to have committed all")


def view(client: str, **more: Any) -> dict[str, Any]:
    """A page view as the shop has it."""
    return {"name": "view", "client": client, "at": now_ms(), "product": "p1", **more}


def order(client: str, *items: Mapping[str, Any]) -> dict[str, Any]:
    """An order of several items."""
    return {"name": "order", "client": client, "at": now_ms(), "items": list(items)}


async def test_shops_own_topics_reach_the_vendor(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Without keys, with other partitions than ours, rows in envelopes: to Miso and the audit."""
    async with Shop(broker, prefix, tmp_path) as shop:
        await shop.make()
        await shop.write(shop.catalogue, [{"id": 1, "code": "8S-1"}, {"id": "p1", "code": "8S-2"}])
        yes = {"op": "c", "after": {"id": 7, "says": {"miso": True}}}
        await shop.write(shop.crm, [yes], key=b'{"id": 7}')
        other = {"op": "c", "after": {"id": 8, "says": {"miso": True}}}
        await shop.write(shop.crm, [other], key=b'{"id": 8}')
        await shop.write(shop.crm, [{"op": "d", "before": {"id": 8}}, None], key=b'{"id": 8}')
        ingest = await shop.worker("ingest")
        await shop.ingested()
        await shop.worker("enrich")
        await shop.worker("miso")
        await shop.write(
            shop.web,
            [
                view("7"),
                order("7", {"id": 1, "n": 2}, {"id": "p1", "n": 0}, {"id": "p1", "n": 1}),
                view("8"),
                {"name": "scroll"},
                view("7", at="yesterday"),
                b"{",
            ],
            partition=2,
        )
        topic = shop.web
        await shop.until(lambda: len(shop.stored()) == 3)
        assert sorted(shop.stored()) == [f"{topic}-2-0", f"{topic}-2-1-0", f"{topic}-2-1-2"]
        rows = await shop.raw("users")
        assert Counter((row.key, row.value is None) for row in rows) == {
            (b"7", False): 1,
            (b"8", False): 1,
            (b"8", True): 1,
        }
        for record in [*rows, *await shop.raw("clicks"), *await shop.raw("add-to-carts")]:
            assert record.partition == home_of(record.key, shop.partitions)
        headers = dict((await shop.raw("add-to-carts"))[0].headers)
        assert headers["section"] in (b"orders/0", b"orders/2")
        assert headers["source"] == f"{topic}/2/1".encode()
        await shop.ingested()
        letters = await shop.letters(shop.topics.ingest_dead_letters)
        assert Counter((one.get("section"), one["reason"], one["stage"]) for one in letters) == {
            ("orders", "invalid_field", "ingest"): 1,
            ("views", "invalid_field", "ingest"): 1,
            (None, "invalid_json", "ingest"): 1,
        }
        report = await shop.settled(4)
        assert {
            one.section: (one.read, one.events, one.written, one.unmapped, one.dead_lettered)
            for one in report.sections
        } == {
            "views": (6, 5, 2, 1, 2),
            "orders": (6, 3, 2, 0, 1),
            "people": (4, 3, 3, 0, 0),
            "catalogue": (2, 2, 2, 0, 0),
        }
        assert not any(one.waiting or one.missing for one in report.sections)
        status = await shop.status(ingest)
        assert status["ingested"] == {
            "views": {"written": 2, "dead_lettered": 2, "unmapped": 1},
            "orders": {"written": 2, "dead_lettered": 1},
            "people": {"written": 3},
            "catalogue": {"written": 2},
        }
        assert status["totals"]["skipped"] == {"debezium": 1}


@pytest.mark.slow
async def test_ingest_killed_ten_times_under_load_loses_and_delivers_nothing_twice(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """What is written again after a crash has the same id, and enrichment skips it."""
    async with Shop(broker, prefix, tmp_path, web_partitions=4) as shop:
        await shop.make()
        await shop.write(shop.catalogue, [{"id": "p1", "code": "8S-1"}])
        await shop.worker("enrich")
        await shop.worker("miso")
        ingest = await shop.worker("ingest")
        sent = 0

        async def load(count: int) -> None:
            nonlocal sent
            values = [
                view(f"v{number % 50}", consent={"miso": True}, nr=number)
                for number in range(sent, sent + count)
            ]
            await shop.write(shop.web, values)
            sent += count

        for _ in range(KILLS):
            before = len(await shop.raw("clicks"))
            await load(BETWEEN_KILLS)
            await shop.until(
                lambda before=before: _grew(shop, before),  # type: ignore[misc]
                what="something to be written after the restart",
            )
            ingest.kill()
            ingest = shop.start("ingest")
        await shop.ready(ingest)
        await load(BETWEEN_KILLS)
        await shop.ingested()
        raw = await shop.raw("clicks")
        ids = Counter(json.loads(record.value)["event_id"] for record in raw)
        assert len(ids) == sent
        report = await shop.settled(len(raw))
        assert report.vendors[0].accepted == sent
        assert shop.ledger.duplicates() == {}
        outcomes = await shop.outcomes()
        print("written again:", len(raw) - sent, outcomes)
        assert outcomes["skipped", "duplicate"] == len(raw) - sent
        (views, *_) = report.sections
        assert (views.read, views.written, views.missing) == (sent, sent, 0)


async def _grew(shop: Shop, before: int) -> bool:
    return len(await shop.raw("clicks")) > before


async def test_order_of_a_visitor_is_that_of_the_shops_partition(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Also where a topic has more partitions than ours, and a restart comes between."""
    async with Shop(broker, prefix, tmp_path, web_partitions=48) as shop:
        await shop.make()
        ingest = await shop.worker("ingest")
        for number in range(0, 600, 100):
            await shop.write(shop.web, [view("anna", nr=n) for n in range(number, number + 100)],
                             partition=47)  # fmt: skip
        await shop.arrived("clicks", 100)
        ingest.terminate()
        assert await ingest.ended(12) == 0
        await shop.worker("ingest")
        found = await shop.arrived("clicks", 600)
        assert [json.loads(one.value)["event_id"] for one in found] == [
            f"{shop.web}-47-{number}" for number in range(600)
        ]


@pytest.mark.slow
async def test_topic_that_is_missing_or_deleted_is_said_and_the_others_are_read(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """It is taken up when it appears; topics of the shop are never made by us."""
    async with Shop(broker, prefix, tmp_path) as shop:
        ingest = shop.start("ingest")
        assert await ingest.ended(25) == 1
        words = (
            f"Topic {shop.web} does not exist, which [ingest.views] and [ingest.orders] read: "
            "correct its name there or make it with Kafka's own tools; streams makes only its own "
            "topics."
        )
        assert words in ingest.output()
        assert shop.web not in await shop.admin.list_topics()

        await shop.make([shop.crm, shop.catalogue])
        ingest = await shop.worker("ingest")
        yes = {"op": "c", "after": {"id": 7, "says": {"miso": True}}}
        await shop.write(shop.crm, [yes], key=b'{"id": 7}')
        await shop.arrived("users", 1)
        assert (await shop.status(ingest))["warnings"] == [words]
        _, known, _ = await observe(shop.settings)
        assert words in [one.text for one in judge(known)]
        assert shop.web not in await shop.admin.list_topics()

        await shop.make([shop.web])
        assert await ingest.ended(25) == 70
        assert f"{shop.web} did not exist at the start; starting again" in ingest.output()
        ingest = await shop.worker("ingest")
        await shop.write(shop.web, [view("anna")])
        await shop.arrived("clicks", 1)

        await shop.admin.delete_topics([shop.web])
        assert await ingest.ended(30) == 70
        assert f"{shop.web} was deleted" in ingest.output()
        assert "Traceback" not in ingest.output()
        ingest = await shop.worker("ingest")
        assert (await shop.status(ingest))["warnings"] == [words]
        # The topic of users is compacted, as a topic of rows may be.
        assert "is compacted" not in ingest.output()


@pytest.mark.slow
async def test_partitions_that_are_added_to_a_topic_are_taken_up(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """By a restart that the supervisor makes: the worker ends and says why."""
    async with Shop(broker, prefix, tmp_path) as shop:
        await shop.make()
        ingest = await shop.worker("ingest")
        await shop.admin.create_partitions({shop.web: NewPartitions(total_count=5)})
        assert await ingest.ended(25) == 70
        assert f"partitions were added to {shop.web} 5 (at the start 4)" in ingest.output()
        await shop.producer.client.force_metadata_update()
        await shop.write(shop.web, [view("anna")], partition=4)
        await shop.worker("ingest")
        (record,) = await shop.arrived("clicks", 1)
        assert record.key == b"anna"


async def test_record_of_five_megabytes_is_a_dead_letter(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Cut to what a dead letter may have; what comes behind it goes on."""
    async with Shop(broker, prefix, tmp_path) as shop:
        await shop.make()
        await shop.allow_large_records(shop.web)
        large = b'{"name": "view", "text": "' + b"x" * 3_900_000 + b'"}'

        async def is_taken() -> bool:
            try:
                await shop.write(shop.web, [large], partition=0)
            except MessageSizeTooLargeError:
                return False  # the broker has not applied the topic's new limit yet
            return True

        await shop.until(is_taken)
        await shop.write(shop.web, [view("anna")], partition=0)
        await shop.worker("ingest")
        await shop.arrived("clicks", 1)
        (letter,) = await shop.letters(shop.topics.ingest_dead_letters)
        assert (letter["reason"], letter["record_bytes"]) == ("too_large", len(large))


async def test_without_a_section_there_is_no_topic_and_no_stage(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """A pipeline as it was before."""
    async with Pipeline(broker, prefix, tmp_path) as pipeline:
        assert pipeline.topics.ingest_dead_letters not in await pipeline.admin.list_topics()
        assert "ingest" not in pipeline.settings.stages()


@pytest.mark.slow
async def test_trace_forget_and_resend_see_the_shops_own_records(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Where an event began, what never became one, what stays of a visitor, and its repair."""
    async with Shop(broker, prefix, tmp_path) as shop:
        await shop.make()
        await shop.write(shop.catalogue, [{"id": "p1", "code": "8S-1"}])
        good, bad = view("anna", consent={"miso": True}), view("bert", at="20.11.2026 10:00")
        await shop.write(shop.web, [good, bad, {"name": "scroll"}], partition=1)
        for stage in ("ingest", "enrich", "miso"):
            await shop.worker(stage)
        event, failed = f"{shop.web}-1-0", f"{shop.web}-1-1"
        await shop.until(lambda: shop.stored() == [event])
        await shop.ingested()

        (found,) = (await run_trace(shop.settings, "event", event, now_ms=now_ms())).events
        assert [step.text.split(" ")[0] for step in found.steps] == ["Written", "Mapped"]
        assert found.steps[0].place == f"{shop.web}/1/0"
        assert "[ingest.views]" in found.steps[1].text
        (found,) = (await run_trace(shop.settings, "event", failed, now_ms=now_ms())).events
        assert [step.kind for step in found.steps] == ["raw", "dead_lettered"]
        (found,) = (
            await run_trace(shop.settings, "event", f"{shop.web}-1-2", now_ms=now_ms())
        ).events
        assert found.text.startswith("Unmapped: no section")

        (held,) = await held_by_shop(shop.settings, "anna", silent)
        assert (held.topic, held.records, held.waiting) == (shop.web, 1, 0)
        assert "the shop's own" in held.sentence

        groups = (await find_letters(shop.settings, Selection("ingest"))).groups
        assert [(group.owner, group.open) for group in groups] == [("ingest", 1)]
        (plan,) = await plan_resend(shop.settings, Selection("ingest"), silent)
        assert (plan.closes, plan.why_not) == (False, "invalid_field")

        # The map is mended: the letter's record becomes an event, and the letter is closed.
        config = tmp_path / "streams.toml"
        mended = config.read_text().replace(
            "when = \"name == 'view'\"",
            'when = "name == \'view\'"\ntimestamp_format = ["ms", "%d.%m.%Y %H:%M"]',
        )
        config.write_text(mended)
        mended_settings = load_settings(shop.env)
        plans = await plan_resend(mended_settings, Selection("ingest"), silent)
        assert await resend(mended_settings, plans, "2026-11-20T10:00:00.000Z") == 1
        assert len(await shop.raw("clicks")) == 2
        assert not len((await find_letters(mended_settings, Selection("ingest"))).open)
        report = await shop.audit()
        assert [(one.section, one.missing) for one in report.sections if one.missing] == []

        # A replay of the whole window writes nothing that was written before.
        counts, items = await read_window(mended_settings, "views", 0, now_ms(), silent)
        assert items == []
        assert counts.to_json() == {
            "section": "views", "to": "clicks", "records": 3, "would_write": 0,
            "already_written": 2, "changed": 0, "superseded": 0, "unmapped": 1, "refused": 0,
            "reasons": {},
        }  # fmt: skip


async def test_replay_from_the_shops_topic_writes_what_the_mended_section_takes(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Previewed first; rows only where no later record stands over them."""
    async with Shop(broker, prefix, tmp_path) as shop:
        await shop.make()
        await shop.write(shop.catalogue, [{"id": "a", "code": "1"}, {"id": "a", "code": "2"},
                                          {"id": "b", "code": "3"}], partition=0)  # fmt: skip
        await shop.write(shop.web, [{"name": "look"} | view("anna", name="look")], partition=0)
        await shop.worker("ingest")
        await shop.ingested()
        assert await shop.raw("clicks") == []
        config = tmp_path / "streams.toml"
        config.write_text(
            config.read_text()
            .replace("name == 'view'", "name == 'look'")
            .replace('sku = "code"', 'sku = "code"\nbrand = "\'B\'"')
        )
        settings = load_settings(shop.env)
        for section, to, wanted in (("views", "clicks", 1), ("catalogue", "products", 2)):
            counts, items = await read_window(settings, section, 0, now_ms(), silent)
            assert counts.kinds["would_write"] == wanted
            async with ingest_writer(settings) as writer:
                await writer.write([item for _, item in items])
            assert writer.written == wanted
            counts, items = await read_window(settings, section, 0, now_ms(), silent)
            assert items == [], (to, counts)
        rows = {row.key: json.loads(row.value) for row in await shop.raw("products")}
        assert rows == {b"a": {"sku": "2", "brand": "B"}, b"b": {"sku": "3", "brand": "B"}}
