"""Raw topics to Miso on a real broker with real workers: what becomes of each event."""

import asyncio
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from streams.core.times import utc_text
from tests.broker_fixtures import Broker
from tests.kafka.pipeline import (
    Pipeline,
    Record,
    cart,
    click,
    event,
    many,
    now_ms,
    product,
    user,
    visitors,
)

pytestmark = pytest.mark.kafka


async def test_a_new_group_starts_with_record_0_and_every_event_is_accounted_for(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """What lay on the topics before the first worker started is delivered from its first record."""
    async with Pipeline(broker, prefix, tmp_path) as pipeline:
        await pipeline.products("p1")
        await pipeline.send(*many(300, visitors(20)))
        await pipeline.both()
        report = await pipeline.settled(300)
        assert report.vendors[0].accepted == 300
        assert sorted(pipeline.stored()) == sorted(f"e{n}" for n in range(300))
        assert await pipeline.order_violations() == []


def raw(value: bytes | None, key: bytes | None = b"anna", topic: str = "shop.clicks") -> Record:
    """A record of which only the bytes are known."""
    return topic, key, value


def encoded(**fields: Any) -> bytes:
    """Anna's event with these fields, as bytes."""
    return json.dumps(event("anna", **fields)).encode()


BAD_RECORDS: list[tuple[str, Record]] = [
    ("empty", raw(None)),
    ("empty", raw(None, topic="shop.add-to-carts")),
    ("empty", raw(b"")),
    ("invalid_json", raw(b"not json")),
    ("invalid_json", raw(b"[1, 2]")),
    ("invalid_json", raw(b'{"event_id": "\xff\xfe"}')),
    ("invalid_json", raw(b"[" * 100_000)),
    ("invalid_json", raw(b"\x00" * (256 * 1024))),
    ("invalid_field", raw(encoded(product_id=17.5))),
    ("invalid_field", raw(encoded(timestamp="yesterday"))),
    ("invalid_field", raw(encoded(event_id=["e1"]))),
    ("invalid_field", raw(encoded(consent="yes"))),
    ("invalid_field", raw(encoded(quantity="two"), topic="shop.add-to-carts")),
    ("key_mismatch", raw(encoded(), key=b"bert")),
    ("key_mismatch", raw(encoded(), key=None)),
    ("key_mismatch", raw(encoded(), key=b"\xff\xfe")),
    ("key_mismatch", raw(encoded(), key=b"k" * 500_000)),
    ("too_large", raw(encoded(pad="x" * (256 * 1024)))),
    ("too_large", raw(encoded(pad="x" * 1_000_000))),
]


async def test_each_bad_record_is_a_dead_letter_or_a_named_skip_and_its_partition_goes_on(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Good events before, between and after all that is wrong arrive; the books balance."""
    async with Pipeline(broker, prefix, tmp_path, partitions=1) as pipeline:
        await pipeline.send(
            product("p1"),
            ("shop.products", b"p2", b"no row"),
            ("shop.users", b"\xff\xfe", b"no row"),
        )
        enrich, _ = await pipeline.both()
        wanted = Counter(reason for reason, _ in BAD_RECORDS)
        for number, (_, record) in enumerate(BAD_RECORDS):
            await pipeline.send(click("anna", event_id=f"good{number}"), record)
        ahead = now_ms() + 5 * 3_600_000
        await pipeline.send(
            click("anna", event_id="unknown", product_id="p9"),
            click("anna", event_id="bad-row", product_id="p2"),
            click("anna", event_id="ahead", timestamp=ahead),
            cart("anna", event_id="last"),
        )
        good = [f"good{number}" for number in range(len(BAD_RECORDS))]
        report = await pipeline.settled(2 * len(BAD_RECORDS) + 4)
        assert Counter(report.enrich_dead_letters) == wanted
        assert report.vendors[0].skipped == {"unknown_product": 2}
        assert sorted(pipeline.stored()) == sorted([*good, "ahead", "last"])
        letters = await pipeline.letters()
        assert Counter(letter["reason"] for letter in letters) == wanted
        assert max(len(json.dumps(letter)) for letter in letters) < 300_000
        sent = {p["context"]["custom_context"]["uuid"]: p for p in pipeline.ledger.payloads()}
        notes = (await pipeline.status(enrich))["notes"]
        assert (notes["malformed_rows:users"], notes["malformed_rows:products"]) == (1, 1)
        assert notes["clock_ahead"] == 1
        assert sent["ahead"]["timestamp"] < utc_text(ahead - 4 * 3_600_000)


async def test_two_megabytes_in_one_record_are_a_dead_letter_where_the_topic_takes_them(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """A shop's topic may allow larger records than ours do: enrichment reads and keeps a part."""
    async with Pipeline(broker, prefix, tmp_path, partitions=1) as pipeline:
        await pipeline.allow_large_records(pipeline.topics.clicks)
        await pipeline.products("p1")
        await pipeline.both()
        await pipeline.send(
            click("anna", event_id="before"),
            raw(encoded(pad="x" * 2_000_000)),
            raw(b"\x00" * 2_000_000),
            click("anna", event_id="after"),
        )
        report = await pipeline.settled(4)
        assert report.enrich_dead_letters == {"too_large": 2}
        assert pipeline.stored() == ["before", "after"]


async def test_consent_of_the_event_and_of_the_row(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """A yes of event or row lets pass, a no of the current row always wins, silence is a no."""
    yes, no = {"consent": {"miso": True}}, {"consent": {"miso": False}}
    async with Pipeline(broker, prefix, tmp_path) as pipeline:
        await pipeline.products("p1")
        await pipeline.send(
            user("row-yes", yes),
            user("row-no", no),
            user("malformed", b"no row"),
            user("other", {"consent": {"voyado": True}}),
            user("repaired", b"no row"),
            user("repaired", yes),
            user("forgotten", yes),
            user("forgotten", None),
        )
        await pipeline.both()
        silent: dict[str, Any] = {"consent": None}
        await pipeline.send(
            click("row-yes", event_id="row-yes", **silent),
            click("row-yes", event_id="event-no", **no),
            click("row-no", event_id="row-no", **yes),
            click("malformed", event_id="malformed", **yes),
            click("other", event_id="other", **silent),
            click("missing", event_id="missing", **silent),
            click("missing", event_id="event-yes", **yes),
            click("repaired", event_id="repaired", **silent),
            click("forgotten", event_id="forgotten-anew", **yes),
            click("forgotten", event_id="forgotten", **silent),
        )
        report = await pipeline.settled(10)
        assert sorted(pipeline.stored()) == ["event-yes", "forgotten-anew", "repaired", "row-yes"]
        assert report.vendors[0].skipped == {"no_consent": 6}


async def test_a_changed_user_row_acts_on_events_that_come_5_seconds_after_it(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Withdrawal, renewed consent and a tombstone act while the workers run."""
    steps: list[tuple[dict[str, Any] | bytes | None, str]] = [
        ({"user_id": "u1", "consent": {"miso": True}}, "accepted"),
        ({"consent": {"miso": False}}, "skipped"),
        ({"user_id": "u2", "consent": {"miso": True}}, "accepted"),
        (None, "skipped"),
        ({"user_id": "u3", "consent": {"miso": True}}, "accepted"),
        (b"no row", "skipped"),
    ]
    async with Pipeline(broker, prefix, tmp_path) as pipeline:
        await pipeline.products("p1")
        await pipeline.both()
        events = 0
        for row, wanted in steps:
            await pipeline.send(user("anna", row))
            must_act_at = time.monotonic() + 5
            outcome = ""
            while outcome != wanted:
                asked_at = time.monotonic()
                await pipeline.send(click("anna", event_id=f"e{events}", consent=None))
                outcome = await pipeline.outcome(f"e{events}")
                events += 1
                assert outcome == wanted or asked_at < must_act_at, f"{row!r} did not act"
        await pipeline.settled(events)
        users = dict.fromkeys(payload.get("user_id") for payload in pipeline.ledger.payloads())
        assert list(users) == ["u1", "u2", "u3"]


async def test_a_shops_own_records_are_read_by_its_field_map(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """JMESPath expressions and a timestamp format of streams.toml make events of other records."""
    config = tmp_path / "streams.toml"
    config.write_text(
        """
        [source.clicks]
        timestamp_format = "s"
        [source.clicks.fields]
        event_id = "meta.id"
        timestamp = "meta.at"
        anonymous_id = "visitor.cookie"
        product_id = "article.number"
        consent = "{miso: visitor.agreed}"
        "page.url" = "meta.url"
        """
    )
    env = {"STREAMS_CONFIG": str(config)}
    async with Pipeline(broker, prefix, tmp_path, env=env) as pipeline:
        await pipeline.products("p1")
        await pipeline.both()
        theirs = {
            "meta": {"id": "e1", "at": now_ms() // 1000, "url": "https://shop.example/p1"},
            "visitor": {"cookie": "anna", "agreed": True},
            "article": {"number": "p1"},
        }
        await pipeline.send(raw(json.dumps(theirs).encode()), raw(encoded(event_id="ours")))
        report = await pipeline.settled(2)
        assert pipeline.stored() == ["e1"]
        assert sum(report.enrich_dead_letters.values()) == 1
        assert pipeline.ledger.payloads()[0]["product_ids"] == ["S-p1"]


async def test_records_of_aborted_transactions_are_neither_events_nor_rows(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Tables whose tail holds only markers are read to their end, and gaps stop nothing."""
    async with Pipeline(broker, prefix, tmp_path) as pipeline:
        transactional = AIOKafkaProducer(
            **pipeline.settings.kafka.client_options(), transactional_id=f"{prefix}t"
        )
        await transactional.start()

        async def write(commit: bool, *records: Record) -> None:
            await transactional.begin_transaction()
            for topic, key, value in records:
                await transactional.send_and_wait(prefix + topic, value, key)
            if commit:
                await transactional.commit_transaction()
            else:
                await transactional.abort_transaction()

        names = visitors(6)
        try:
            await write(True, product("p1"), *(user(name, {"user_id": "u"}) for name in names))
            await write(False, product("p2"), *(user(name, b"no row") for name in names))
            await write(False, *many(12, names, 100))
            await write(True, *many(12, names))
            await pipeline.both()
            await write(False, *many(12, names, 200))
            await write(True, *many(12, names, 12))
            await write(True, click("v0", event_id="unknown", product_id="p2"))
            report = await pipeline.settled(25)
        finally:
            await transactional.stop()
        assert sorted(pipeline.stored()) == sorted(f"e{n}" for n in range(24))
        assert report.vendors[0].skipped == {"unknown_product": 1}
        assert await pipeline.order_violations() == []


async def test_outputs_that_fill_a_batch_go_on_in_the_next(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """One chunk of 400 events with long texts gives several full batches, in order."""
    long = {
        "url": "https://shop.example/" + "u" * 4_000,
        "referrer": "https://shop.example/" + "r" * 4_000,
        "title": "t" * 4_000,
    }
    async with Pipeline(broker, prefix, tmp_path, partitions=1) as pipeline:
        await pipeline.products("p1")
        await pipeline.send(*(click(f"v{n % 7}", event_id=f"e{n}", page=long) for n in range(400)))
        await pipeline.both()
        report = await pipeline.settled(400)
        assert report.vendors[0].accepted == 400
        assert pipeline.stored() == [f"e{n}" for n in range(400)]
        size = sum(len(r.value) for r in await pipeline.read(pipeline.topics.events("miso")))
        assert size > 2_000_000


async def test_a_foreign_record_on_a_vendor_topic_is_a_dead_letter_of_its_own(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """What somebody else wrote there stops nothing, whatever its value and headers are."""
    good = json.dumps(
        {
            "event_id": "e1",
            "event_type": "click",
            "timestamp": "2026-01-01T00:00:00.000Z",
            "anonymous_id": "anna",
            "payload": {},
        }
    ).encode()
    foreign: list[tuple[bytes | None, list[tuple[str, bytes | None]]]] = [
        (None, []),
        (b"no record", [("source", b"shop.clicks/0/1")]),
        (good, []),
        (good, [("source", None)]),
        (good, [("source", b"nowhere")]),
        (good, [("source", b"a/b/1")]),
        (good, [("source", b"\xff/0/1")]),
        (good, [("source", b"elsewhere/0/1"), ("source-time", b"noon")]),
        (good, [("source", b"elsewhere/0/" + b"9" * 4_000)]),
        (good, [("source", b"t" * 400_000 + b"/0/1")]),
        (good.replace(b"e1", b"e" * 400_000), [("source", b"elsewhere/0/1")]),
    ]
    async with Pipeline(broker, prefix, tmp_path, partitions=1) as pipeline:
        await pipeline.products("p1")
        await pipeline.both()
        for value, headers in foreign:
            await pipeline.producer.send_and_wait(
                pipeline.topics.events("miso"), value, b"k", headers=headers
            )
        await pipeline.send(click("anna", event_id="after"))
        await pipeline.until(lambda: pipeline.stored() == ["after"])

        async def all_kept() -> bool:
            return len(await pipeline.receipts()) == len(foreign) + 1

        await pipeline.until(all_kept)
        letters = await pipeline.letters(pipeline.topics.dead_letters("miso"))
        assert [letter["reason"] for letter in letters] == ["invalid_json"] * len(foreign)


async def test_commit_metadata_stays_within_what_the_broker_takes(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Commits of both stages carry metadata, of 4,096 bytes at most."""
    async with Pipeline(broker, prefix, tmp_path, partitions=2) as pipeline:
        await pipeline.products("p1")
        await pipeline.both()
        await pipeline.send(*many(200, visitors(9)))
        await pipeline.settled(200)
        for stage in ("enrich", "miso"):
            committed = await pipeline.committed(stage)
            sizes = [len(at.metadata) for at in committed.values() if at.offset >= 0]
            assert sizes
            assert 0 < max(sizes) <= 4_096


async def test_the_event_that_is_slow_to_come_holds_up_no_other_partition(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Forty events, one at a time and far apart, arrive in seconds, not in lingering batches."""
    async with Pipeline(broker, prefix, tmp_path) as pipeline:
        await pipeline.products("p1")
        await pipeline.both()
        for record in many(40, visitors(40)):
            await pipeline.send(record)
            await asyncio.sleep(0.02)
        await pipeline.settled(40, seconds=10)
