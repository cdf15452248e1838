"""One chunk of raw records: what is passed on, and what is closed first."""

import asyncio
import json
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from faust.types import TP
from pydantic import SecretStr

from streams.core.enrich import Enricher
from streams.engine.app import StageApp
from streams.engine.chunks import Chunk
from streams.engine.consumer import Consumer
from streams.engine.offset_tracker import OffsetTracker
from streams.engine.tables import MALFORMED
from streams.settings import Settings
from streams.settings.models import OptionalSourceSettings
from streams.stages.enrich.enrichment import EnrichedChunk
from streams.stages.enrich.stage import EnrichStage
from streams.vendors import VENDORS, plan_for
from streams.vendors.miso import MisoSettings

NOW_MS = 1_780_000_000_000
CLICKS = TP("shop.clicks", 2)


class Raw(NamedTuple):
    """A raw record."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int = NOW_MS
    timestamp_type: int = 0


class FakeOutputs:
    """Keeps what is appended."""

    def __init__(self) -> None:
        self.records: list[tuple[str, int, bytes | None, dict[str, Any], dict[str, bytes]]] = []

    def append(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes,
        headers: list[tuple[str, bytes]] | None = None,
    ) -> None:
        """Take a record."""
        self.records.append((topic, partition, key, json.loads(value), dict(headers or [])))


def stage(*, minutes: int = 10, sources: tuple[str, ...] = ()) -> Any:
    """The stage with a product and three users, and an app that does nothing."""
    rows = {b"anna": b'{"consent": {"miso": true}}', b"mal": MALFORMED}
    users = SimpleNamespace(rows={2: rows, 3: {b"eve": rows[b"anna"]}}, forgotten={})
    products = SimpleNamespace(by_key={b"p1": b'{"sku": "S-1"}', b"p2": MALFORMED})
    app: Any = SimpleNamespace(
        new_table=lambda _, name, **__: {"users": users, "products": products}[name],
        read_chunks=lambda *_, **__: None,
    )
    on = {source: OptionalSourceSettings(enabled=True) for source in sources}
    settings = Settings(sources={**Settings().sources, **on})
    return EnrichStage(
        app,
        settings.topics,
        Enricher([plan_for(VENDORS["miso"], MisoSettings(api_key=SecretStr("key")))], "required"),
        ["miso"],
        parsers=settings.event_parsers(),
        fields=settings.field_maps(),
        wall_ms=lambda: NOW_MS,
        partitions={"shop.users": 6, "shop.products": 1},
        keep_email=False,
        duplicate_ms=minutes * 60_000,
    )


def click(offset: int, visitor: str = "anna", **fields: Any) -> Raw:
    """A click at this offset."""
    event = {
        "event_id": f"e{offset}",
        "timestamp": NOW_MS,
        "anonymous_id": visitor,
        "product_id": "p1",
    }
    return Raw(offset, visitor.encode(), json.dumps(event | fields).encode())


def enriched(made: Any, *records: Raw) -> tuple[FakeOutputs, FakeOutputs]:
    """Return what closes events, and what is passed on."""
    closing, passing = FakeOutputs(), FakeOutputs()
    made._enrichment.enrich(CLICKS, records, EnrichedChunk(closing, passing))  # type: ignore[arg-type]
    return closing, passing


def order(offset: int, order_id: str) -> Raw:
    """An order at this offset, with an event id of its own."""
    event = {
        "event_id": f"o{offset}",
        "timestamp": NOW_MS,
        "anonymous_id": "anna",
        "order_id": order_id,
        "lines": [{"product_id": "p1", "quantity": 1}],
    }
    return Raw(offset, b"anna", json.dumps(event).encode())


def test_an_order_whose_id_was_passed_on_is_a_duplicate() -> None:
    """Its event id may be another; the record says what it is told by after a restart."""
    made = stage(sources=("orders",))
    closing, passing = FakeOutputs(), FakeOutputs()
    made._enrichment.enrich(
        TP("shop.orders", 2),
        [order(0, "A-1"), order(1, "A-1"), order(2, "A-2")],
        EnrichedChunk(closing, passing),  # type: ignore[arg-type]
    )
    assert [record[3]["event_id"] for record in passing.records] == ["o0", "o2"]
    assert [record[4]["own-key"] for record in passing.records] == [
        b"\0order\0A-1",
        b"\0order\0A-2",
    ]
    ((topic, _, key, receipt, _),) = closing.records
    assert (topic, key, receipt["reason"]) == ("vendor.miso.receipts", b"o1", "duplicate")
    # Joins are counted of events about one product.
    assert made.joins.events == 0


def test_an_event_becomes_a_vendor_record_on_its_own_partition() -> None:
    """With where it comes from, why it may be sent, and the raw record's time."""
    closing, passing = enriched(stage(), click(7))
    assert closing.records == []
    ((topic, partition, key, value, headers),) = passing.records
    assert (topic, partition, key) == ("vendor.miso.events", 2, b"anna")
    assert value["event_id"] == "e7"
    assert value["payload"]["product_ids"] == ["S-1"]
    assert headers == {
        "source": b"shop.clicks/2/7",
        "consent": b"row",
        "source-time": b"1780000000000",
    }


def test_what_is_not_passed_on_is_closed() -> None:
    """Skips by receipt, records that are no events by letter; in the order of the chunk."""
    closing, passing = enriched(
        stage(),
        click(0, "bert"),
        Raw(1, b"anna", b"no json"),
        click(2, product_id="p2"),
        click(3, "mal", consent={"miso": True}),
        click(4, "eve"),
        click(5),
    )
    assert [record[3]["event_id"] for record in passing.records] == ["e5"]
    assert [(topic, value["reason"]) for topic, _, _, value, _ in closing.records] == [
        ("vendor.miso.receipts", "no_consent"),
        ("enrich.dead-letters", "invalid_json"),
        ("vendor.miso.receipts", "unknown_product"),
        ("vendor.miso.receipts", "no_consent"),
        ("vendor.miso.receipts", "no_consent"),
    ]
    assert {record[1] for record in closing.records} == {2}


def test_a_defect_of_our_own_is_the_letter_of_its_record_alone() -> None:
    """The other records of the chunk go on."""
    made = stage()
    decide = made._enrichment._enricher.decide

    def broken(event: Any, *rest: Any) -> Any:
        if event.event_id == "e1":
            raise ZeroDivisionError("planted")
        return decide(event, *rest)

    made._enrichment._enricher = SimpleNamespace(decide=broken)
    closing, passing = enriched(made, click(0), click(1), click(2))
    assert [record[3]["event_id"] for record in passing.records] == ["e0", "e2"]
    ((topic, _, _, letter, _),) = closing.records
    assert topic == "enrich.dead-letters"
    assert letter["reason"] == "defect"
    assert "ZeroDivisionError" in letter["detail"]
    assert letter["source"]["offset"] == 1


def test_an_id_at_8select_other_than_the_rows_is_counted() -> None:
    """Once an event; the event's own is what is sent."""
    made = stage()
    own, other = "5b2e7c7e-6a0f-4b7e-9f3a-0b1c2d3e4f50", "6c3f8d8f-7b1f-4c8f-8f4b-1c2d3e4f5a61"
    row = {"consent": {"miso": True}, "eightselect_user_id": own}
    made._enrichment._users.rows[2][b"anna"] = json.dumps(row).encode()
    enriched(made, click(0), click(1, eightselect_user_id=other))
    assert made.counters.notes == {"differs:eightselect_user_id": 1}


def test_a_key_that_would_fill_a_batch_is_cut_in_its_letter() -> None:
    """The letter itself has at most 256 KiB."""
    closing, _ = enriched(stage(), Raw(0, b"k" * 900_000, b"x" * 1_000_000))
    ((_, _, key, letter, _),) = closing.records
    assert key == b"k" * 65_536
    assert letter["record_bytes"] == 1_000_000
    assert len(json.dumps(letter)) < 300_000


def test_a_changed_row_is_seen_although_rows_are_remembered_decoded() -> None:
    """By the row itself, not by its key."""
    made = stage()
    assert len(enriched(made, click(0))[1].records) == 1
    made._enrichment._users.rows[2][b"anna"] = b'{"consent": {"miso": false}}'
    assert len(enriched(made, click(1))[1].records) == 0
    made._enrichment._products.by_key[b"p1"] = b'{"sku": "S-9"}'
    made._enrichment._users.rows[2][b"anna"] = b'{"consent": {"miso": true}}'
    (record,) = enriched(made, click(2))[1].records
    assert record[3]["payload"]["product_ids"] == ["S-9"]


def outcomes(made: Any, *records: Raw, tp: TP = CLICKS) -> list[str]:
    """Return the outcome of each record, in their order: ``sent`` or the reason."""
    found = {}
    closing, passing = FakeOutputs(), FakeOutputs()
    made._enrichment.enrich(tp, records, EnrichedChunk(closing, passing))  # type: ignore[arg-type]
    for record in passing.records:
        found[record[4]["source"].decode()] = "sent"
    for _, _, _, value, _ in closing.records:
        source = value["source"]
        if isinstance(source, dict):
            source = f"{source['topic']}/{source['partition']}/{source['offset']}"
        found[source] = value["reason"]
    return [found[f"{tp.topic}/{tp.partition}/{record.offset}"] for record in records]


def test_a_producers_repeat_is_skipped_as_a_duplicate() -> None:
    """In the same chunk and in a later one; of this visitor only, and of this topic only."""
    made = stage()
    twice = {"event_id": "same"}
    assert outcomes(made, click(0, **twice), click(1, **twice)) == ["sent", "duplicate"]
    assert outcomes(made, click(2, **twice), click(3)) == ["duplicate", "sent"]
    consent = {"consent": {"miso": True}}
    assert outcomes(made, click(4, "bert", **twice, **consent)) == ["sent"]
    assert outcomes(made, click(0, **twice), tp=TP("shop.add-to-carts", 2)) == ["sent"]
    assert made.counters.skipped == {"duplicate": 2}


def test_after_the_window_the_same_id_is_a_new_event() -> None:
    """By the records' own Kafka times."""
    made = stage()
    at = [NOW_MS - 1_300_000, NOW_MS - 700_000, NOW_MS - 699_999, NOW_MS - 99_998]
    records = [
        click(offset, event_id="same")._replace(timestamp=ms) for offset, ms in enumerate(at)
    ]
    assert outcomes(made, *records) == ["sent", "duplicate", "sent", "sent"]


def test_what_was_not_passed_on_makes_no_duplicate() -> None:
    """A dead letter, a skip, and a defect of our own."""
    made = stage()
    assert outcomes(
        made,
        click(0, event_id="a", timestamp="yesterday"),
        click(1, event_id="a"),
        click(2, event_id="b", product_id="p2"),
        click(3, event_id="b"),
        click(4, event_id="c", consent={"miso": False}),
        click(5, event_id="c"),
        click(6, event_id="c"),
    ) == [
        "invalid_field",
        "sent",
        "unknown_product",
        "sent",
        "no_consent",
        "sent",
        "duplicate",
    ]


def test_a_record_that_is_read_again_is_passed_on_again() -> None:
    """After a rebalance the same offsets come once more; the sink knows them."""
    made = stage()
    chunk = [click(0, event_id="a"), click(1, event_id="a"), click(2)]
    assert outcomes(made, *chunk) == ["sent", "duplicate", "sent"]
    assert outcomes(made, *chunk) == ["sent", "duplicate", "sent"]


def test_an_event_without_an_id_of_its_own_is_never_a_duplicate() -> None:
    """Its id is its place; one that only looks like it is an id as any other."""
    made = stage()
    without = click(0, event_id="")
    like = {"event_id": "shop.clicks-2-0"}
    assert outcomes(made, without, click(1, **like), click(2, **like)) == [
        "sent",
        "sent",
        "duplicate",
    ]
    assert len(made._recent._passed_on[CLICKS]) == 1


def test_a_forgotten_visitors_events_are_judged_afresh() -> None:
    """What was passed on before the tombstone does not count."""
    made = stage()
    first = click(0, event_id="same")._replace(timestamp=NOW_MS - 5000)
    again = click(1, event_id="same", consent={"miso": True})
    assert outcomes(made, first) == ["sent"]
    made._enrichment._users.forgotten[2] = {b"anna": NOW_MS - 1000}
    assert outcomes(made, again) == ["sent"]
    assert outcomes(made, again._replace(offset=2)) == ["duplicate"]


def test_an_event_from_the_future_is_no_newer_than_a_word_of_today() -> None:
    """Else it would be sent although its visitor was forgotten; sinks, too, are told that time."""
    made = stage()
    ahead = NOW_MS + 24 * 3_600_000
    (record,) = enriched(made, click(0)._replace(timestamp=ahead))[1].records
    told_ms = int(record[-1]["source-time"])
    assert NOW_MS <= told_ms < NOW_MS + 10_000
    made._enrichment._users.forgotten[2] = {b"anna": NOW_MS + 60_000}
    assert outcomes(made, click(1)._replace(timestamp=ahead)) == ["no_consent"]
    assert made.counters.notes["future_kafka_time"] == 2


def test_with_0_minutes_nothing_is_a_duplicate() -> None:
    """And nothing is remembered."""
    made = stage(minutes=0)
    twice = {"event_id": "same"}
    assert outcomes(made, click(0, **twice), click(1, **twice)) == ["sent", "sent"]
    assert made._recent._passed_on == {}


def app_with(consumer: Any, new_outputs: Any) -> Any:
    """An app that is in its group."""
    app: Any = SimpleNamespace(consumer=consumer, new_outputs=new_outputs, may_act=lambda: True)
    app.ours = partial(StageApp.ours, app)
    return app


class InHand:
    """The stage with one chunk in hand, and no room for it yet."""

    def __init__(self) -> None:
        self.stage = stage()
        self.others = [asyncio.ensure_future(asyncio.Event().wait()) for _ in range(8)]
        self.stage._under_way = {other: (-n, 5) for n, other in enumerate(self.others, 1)}
        self.enriched: list[TP] = []
        self.stage._enrichment = SimpleNamespace(enrich=lambda tp, *_: self.enriched.append(tp))
        self.consumer: Any = object.__new__(Consumer)
        self.chunk = Chunk(CLICKS, [click(0)])  # type: ignore[list-item]
        self.consumer.offset_trackers = {CLICKS: OffsetTracker()}
        self.consumer.offset_trackers[CLICKS].hand_out(self.chunk)
        self.stage.app = app_with(self.consumer, NothingToSend)

    async def run(self) -> None:
        """Let the agent come as far as it comes without room, which there is then."""
        agent = asyncio.ensure_future(self.stage._take([self.chunk]))
        await asyncio.wait({agent}, timeout=0)
        assert self.enriched == []
        self.between()
        self.stage._ended(self.others[0])
        await agent
        for other in self.others:
            other.cancel()
        await self.stage.settle(1)

    def between(self) -> None:
        """What happens while it waits."""


class NothingToSend:
    """Outputs without any."""

    async def send(self) -> "NothingToSend":
        """Send nothing."""
        return self

    async def acknowledged(self) -> None:
        """At once."""


async def test_a_chunk_is_enriched_once_there_is_room() -> None:
    """As long as it is in hand; its room is given back."""
    seen = InHand()
    await seen.run()
    assert seen.enriched == [CLICKS]
    assert seen.stage._under_way.keys() == {*seen.others[1:]}


@pytest.mark.parametrize("is_assigned_again", [False, True])
async def test_a_chunk_whose_partition_went_while_it_waited_for_room_leaves_nothing(
    is_assigned_again: bool,
) -> None:
    """Its visitors' rows are gone: without them it would be skipped as if nobody had said yes."""
    seen = InHand()

    def rebalance() -> None:
        seen.consumer.offset_trackers = {CLICKS: OffsetTracker()} if is_assigned_again else {}

    seen.between = rebalance  # type: ignore[method-assign]
    await seen.run()
    assert seen.enriched == []
    assert seen.stage._under_way.keys() == {*seen.others[1:]}


async def test_a_chunk_whose_partition_has_gone_before_waits_for_no_room() -> None:
    """Others need it."""
    seen = InHand()
    seen.consumer.offset_trackers = {}
    await seen.run()
    assert seen.enriched == []


class Written:
    """Outputs of one chunk, which the broker acknowledges when it is told to."""

    def __init__(self) -> None:
        self.is_acknowledged = asyncio.Event()

    async def send(self) -> "Written":
        """Send at once."""
        return self

    async def acknowledged(self) -> None:
        """As soon as the broker does."""
        await self.is_acknowledged.wait()


class Together:
    """The stage, and chunks of all its partitions that came together."""

    def __init__(self, partitions: int) -> None:
        self.stage = stage()
        self.stage._enrichment = SimpleNamespace(enrich=lambda *_: None)
        self.written: list[Written] = []
        self.acked: list[int] = []
        self.chunks = [
            Chunk(TP("shop.clicks", number), [click(0)])  # type: ignore[list-item]
            for number in range(partitions)
        ]
        consumer = SimpleNamespace(
            is_in_hand=lambda _: True, ack=lambda chunk: self.acked.append(chunk.tp.partition)
        )
        self.stage.app = app_with(consumer, self._outputs)

    def _outputs(self) -> Written:
        self.written.append(Written())
        if len(self.written) % 2:
            self.written[-1].is_acknowledged.set()  # nothing is closed
        return self.written[-1]

    @property
    def passing(self) -> list[Written]:
        """What is passed on of each chunk, in their order."""
        return self.written[1::2]

    async def _take(self) -> None:
        """Give the stage all chunks again and again."""
        while True:
            await self.stage._take(self.chunks)

    async def until_it_waits(self) -> "asyncio.Task[None]":
        """Run the agent until it waits for room."""
        agent: asyncio.Task[None] = asyncio.ensure_future(self._take())
        await settled()
        return agent


async def settled() -> None:
    """Let everything come as far as it comes."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_chunks_that_came_together_are_begun_together_and_take_room_once() -> None:
    """However many partitions there are, what they give leaves in one request."""
    seen = Together(24)
    agent = await seen.until_it_waits()
    assert len(seen.passing) == 8 * 24
    for written in seen.passing[:23]:
        written.is_acknowledged.set()
    await settled()
    assert len(seen.passing) == 8 * 24
    seen.passing[23].is_acknowledged.set()
    await settled()
    assert len(seen.passing) == 9 * 24
    agent.cancel()


async def test_a_refused_partition_holds_up_no_other_that_came_with_it() -> None:
    """Neither their settling nor the room for more."""
    seen = Together(3)
    agent = await seen.until_it_waits()
    seen.stage.on_refused({1: "full"})
    for number, written in enumerate(seen.passing):
        if number % 3 != 1:
            written.is_acknowledged.set()
    await settled()
    assert sorted(seen.acked) == [0] * 8 + [2] * 8
    assert len(seen.passing) == 2 * 8 * 3
    agent.cancel()
