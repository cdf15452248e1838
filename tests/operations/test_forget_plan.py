"""What the topics hold of a visitor: gathered over planted records."""

import json
from dataclasses import replace
from typing import Any

from aiokafka import TopicPartition

from streams.core.kinds import KINDS
from streams.core.topics import Topics
from streams.kafka.topic_search import FoundRecord
from streams.operations.forget.plan import (
    HeldRecords,
    Keeping,
    StillHeld,
    VisitorTraces,
    keeping_of,
    still_held,
)
from streams.vendors import VENDORS
from streams.vendors.base import Trail

TOPICS = Topics("p.")
DAY_MS = 86_400_000
COOKIE = "5b2e7c7e-6a0f-4b7e-9f3a-0b1c2d3e4f50"


def record(offset: int, key: str | None, value: Any, source: str = "") -> FoundRecord:
    """A record whose value is JSON, or nothing."""
    encoded = None if value is None else json.dumps(value).encode()
    headers = [("source", source.encode())] if source else []
    tp = TopicPartition("p.any", 0)
    raw_key = key.encode() if key else None
    return FoundRecord(tp, offset, 1_000 + offset, raw_key, encoded, headers, False)


def event(offset: int, visitor: str, source: str, payload: Any, **more: Any) -> FoundRecord:
    """A vendor record."""
    value = {
        "event_id": f"e-{source}",
        "event_type": "click",
        "timestamp": "2026-05-01T08:00:00.000Z",
        "anonymous_id": visitor,
        "payload": payload,
    }
    return record(offset, visitor, value | more, source)


def receipt(source: str, outcome: str, position: int | None, **more: Any) -> FoundRecord:
    """A receipt, under its event's id."""
    value = {
        "event_id": f"e-{source}",
        "outcome": outcome,
        "at": "2026-05-01T08:00:01.000Z",
        "attempts": 1,
        "source": source,
        "lane": "live",
        "position": position,
    }
    return record(0, f"e-{source}", value | more)


def traces() -> VisitorTraces:
    """Nothing read yet, of anna."""
    return VisitorTraces("anna", TOPICS, VENDORS)


def test_receipts_are_read_behind_everything_else() -> None:
    """They are known by the vendor record before them."""
    topics = traces().topics
    assert topics[0] == "p.shop.users"
    assert [t for t in topics if t.endswith("receipts")] == list(topics[-3:])
    assert len(topics) == len(set(topics)) == 2 + len(KINDS) + 4 * 3


def test_a_header_without_a_value_ends_no_search() -> None:
    """Kafka allows it, and others may have written the record."""
    found = traces()
    made = event(0, "anna", "", {})
    found.add("p.vendor.miso.events", [replace(made, headers=[("source", None)])])
    assert found.held["p.vendor.miso.events"].records == 1


def test_only_the_visitors_own_records_count() -> None:
    """How many, and the newest, by topic."""
    found = traces()
    found.add(
        "p.shop.clicks",
        [record(1, "anna", {}), record(2, "bert", {}), record(3, None, {}), record(4, "anna", {})],
    )
    found.add("p.vendor.miso.dead-letters", [record(5, "anna", {"reason": "rejected"})])
    assert found.held == {
        "p.shop.clicks": HeldRecords(2, 1_004),
        "p.vendor.miso.dead-letters": HeldRecords(1, 1_005),
    }


def test_what_a_source_left_that_is_off_now_is_found() -> None:
    """Its raw records, beside what was made of them: a receipt may be all that is left."""
    found = traces()
    assert set(TOPICS.off) <= set(found.topics)
    found.add("p.shop.orders", [record(7, "anna", {}), record(8, "bert", {})])
    found.add("p.vendor.miso.events", [event(0, "anna", "p.shop.orders/0/7", {"user_id": "u"})])
    assert found.held["p.shop.orders"] == HeldRecords(1, 1_007)
    assert list(found.at_vendor["miso"].open) == [("p.vendor.miso.events", 0)]


def test_user_ids_come_from_all_rows_that_are_left() -> None:
    """Those before a tombstone, too, so that a second run knows what the first one knew."""
    found = traces()
    rows = [{"user_id": "u-1"}, {"user_id": ""}, {"user_id": 7}, None, {"user_id": "u-2"}]
    found.add("p.shop.users", [record(n, "anna", row) for n, row in enumerate(rows)])
    assert found.trail("miso") == Trail("anna", ("u-1", "7", "u-2"))


def test_a_malformed_row_names_the_person_all_the_same() -> None:
    """An older version may have sent events under these ids."""
    found = traces()
    row = {"user_id": "u-1", "eightselect_user_id": COOKIE, "consent": {"Miso": True}}
    found.add("p.shop.users", [record(0, "anna", row), record(1, "anna", ["no row"])])
    assert found.trail("miso") == Trail("anna", ("u-1",), eightselect_user_ids=(COOKIE,))


def test_contacts_are_those_of_rows_and_of_records() -> None:
    """By what Voyado knows them: an id, or a key that is looked up."""
    found = traces()
    row = {"contact_id": COOKIE, "custom_key": 7}
    found.add("p.shop.users", [record(0, "anna", row), record(1, "anna", {"custom_key": "8"})])
    events = [
        event(n, who, "p.shop.clicks/0/1", {}, contact={"email": f"{who}@shop.example"})
        for n, who in enumerate(("anna", "bert"))
    ]
    found.add("p.vendor.voyado.events", events)
    assert found.trail("voyado").contacts == (
        ("contactId", COOKIE),
        ("customKey", "7"),
        ("customKey", "8"),
        ("email", "anna@shop.example"),
    )


def test_receipts_are_joined_by_the_raw_record() -> None:
    """Accepted with its reference, refused without; others' receipts and broken ones are not."""
    found = traces()
    found.add(
        "p.vendor.voyado.events",
        [
            event(10, "anna", "p.shop.clicks/0/1", {"contactId": "c-1"}),
            event(11, "bert", "p.shop.clicks/0/2", {"contactId": "c-2"}),
            event(12, "anna", "p.shop.clicks/0/3", {"contactId": "c-1"}),
            event(13, "anna", "p.shop.clicks/0/4", None),
        ],
    )
    found.add(
        "p.vendor.voyado.receipts",
        [
            receipt("p.shop.clicks/0/1", "accepted", 10, vendor_ref="i-1"),
            receipt("p.shop.clicks/0/2", "accepted", 11, vendor_ref="i-2"),
            receipt("p.shop.clicks/0/3", "skipped", 12, reason="thinned"),
            record(0, "e", ["no receipt"]),
            record(0, "e", None),
        ],
    )
    there = found.at_vendor["voyado"]
    assert there.accepted == {"p.shop.clicks/0/1"}
    assert there.open == {("p.vendor.voyado.events", 13): "p.shop.clicks/0/4"}
    assert found.trail("voyado") == Trail("anna", (), ("c-1",), ("i-1",))
    assert found.trail("miso") == Trail("anna")


def test_a_receipt_that_names_the_visitor_needs_no_other_record() -> None:
    """Those outlive raw and vendor records; other visitors' are passed over."""
    found = traces()
    old = receipt("p.shop.clicks/0/1", "accepted", 10, vendor_ref="i-1")
    other = receipt("p.shop.clicks/0/2", "accepted", 11, vendor_ref="i-2")
    found.add(
        "p.vendor.voyado.receipts",
        [
            replace(old, headers=[("visitor", b"anna")], timestamp=7),
            replace(other, headers=[("visitor", b"bert")]),
            replace(other, headers=[]),
        ],
    )
    assert found.trail("voyado") == Trail("anna", references=("i-1",))
    assert found.held == {"p.vendor.voyado.receipts": HeldRecords(1, 7)}


def test_a_lane_has_its_own_positions() -> None:
    """What was sent again waits by itself; a commit closes what lies below it."""
    found = traces()
    source = "p.shop.clicks/0/1"
    found.add("p.vendor.miso.events", [event(7, "anna", source, {"user_id": "u-1"})])
    found.add("p.vendor.miso.redelivery", [event(7, "anna", source, {}), event(8, "anna", "s", 1)])
    found.add("p.vendor.miso.receipts", [receipt(source, "dead_lettered", 7)])
    there = found.at_vendor["miso"]
    assert set(there.open) == {("p.vendor.miso.redelivery", 7), ("p.vendor.miso.redelivery", 8)}
    later = receipt(source, "accepted", 7, lane="redelivery", run_id="r-1")
    found.add("p.vendor.miso.receipts", [later])
    assert (set(there.open), there.accepted) == ({("p.vendor.miso.redelivery", 8)}, {source})
    there.close_below({"p.vendor.miso.redelivery": 8, "p.vendor.miso.events": 99})
    assert len(there.open) == 1
    there.close_below({"p.vendor.miso.redelivery": 9})
    assert there.open == {}


def test_how_long_a_topic_keeps_the_visitor() -> None:
    """Retention counts from the last record of a segment; compaction has no date."""
    held = {
        "p.shop.clicks": HeldRecords(2, 1_000),
        "p.shop.users": HeldRecords(1, 5),
        "old": HeldRecords(1, 7),
    }
    keeping = {
        "p.shop.clicks": keeping_of(
            {"cleanup.policy": "delete", "retention.ms": str(7 * DAY_MS), "segment.ms": str(DAY_MS)}
        ),
        "p.shop.users": keeping_of({"cleanup.policy": "compact", "retention.ms": "604800000"}),
        "old": keeping_of({"cleanup.policy": "delete", "retention.ms": "-1", "segment.ms": "5"}),
    }
    assert keeping["p.shop.clicks"] == Keeping(
        compacted=False, retention_ms=7 * DAY_MS, segment_ms=DAY_MS
    )
    assert still_held(held, keeping) == [
        StillHeld("p.shop.clicks", 2, 1_000 + 8 * DAY_MS),
        StillHeld(
            "p.shop.users",
            1,
            None,
            "until Kafka compacts the topic; the tombstone hides it from all workers",
        ),
        StillHeld("old", 1, None, "kept without end: the topic has no retention"),
    ]
