"""Events without a visitor get that of their user or order; links say whose an order is."""

import json
from typing import Any

import pytest

from streams.core.fields import FieldMap
from streams.core.ingest.outcomes import IngestOutcome, IngestRecord, IngestRefusal
from streams.core.ingest.section import NOT_KNOWN, IngestSection
from streams.core.ingest.targets import TARGETS
from streams.core.ingest.topic_mapping import TopicMapping
from tests.core.ingest.test_visitors import index, order, user

NOW_MS = 1_795_168_800_000
LINES = [{"product_id": "p1", "quantity": 1, "price": 5, "currency": "EUR"}]
ORDER = {"order_id": "A-1", "timestamp": NOW_MS, "lines": LINES}
KNOWN = index(user("anna", "7", 1), user("ben", "8", 2), order("A-1", "carla", 3))


def read(value: dict[str, Any], section: IngestSection) -> list[IngestOutcome]:
    """What comes of a record at offset 7 of partition 3."""
    return TopicMapping("erp", [section]).read(None, json.dumps(value).encode(), 3, 7, NOW_MS)


def orders(*visitor_from: str, visitors: Any = KNOWN, **more: Any) -> IngestSection:
    """A section to orders that looks for visitors by these ids."""
    return IngestSection("erp", "orders", visitor_from=visitor_from, visitors=visitors, **more)


def links(fields: dict[str, Any] | None = None, formats: Any = None) -> IngestSection:
    """A section to visitors."""
    known = TARGETS["visitors"].known
    field_map = None if fields is None else FieldMap(fields, formats, known=known)
    return IngestSection("web", "visitors", fields=field_map)


@pytest.mark.parametrize(
    ("value", "by", "visitor", "notes"),
    [
        ({"user_id": "7"}, ("user_id",), "anna", ("joined:user_id",)),
        ({"user_id": 7}, ("user_id",), "anna", ("joined:user_id",)),
        ({"user_id": 7.0}, ("user_id", "order_id"), "anna", ("joined:user_id",)),
        ({"user_id": "7"}, ("order_id", "user_id"), "carla", ("joined:order_id",)),
        ({"user_id": "9"}, ("user_id", "order_id"), "carla", ("joined:order_id",)),
        ({"user_id": "7", "anonymous_id": " "}, ("user_id",), "anna", ("joined:user_id",)),
        ({"user_id": "7", "anonymous_id": "dora"}, ("user_id",), "dora", ()),
    ],
)
def test_visitor_is_found_by_the_first_id_that_is_known(
    value: dict[str, Any], by: tuple[str, ...], visitor: str, notes: tuple[str, ...]
) -> None:
    """Where the record names none; its key is that of any event of the visitor."""
    (made,) = read(ORDER | value, orders(*by))
    assert isinstance(made, IngestRecord)
    assert (made.key, made.notes) == (visitor.encode(), notes)
    assert json.loads(made.value or b"")["anonymous_id"] == visitor
    assert json.loads(made.value or b"")["event_id"] == "erp-3-7"


@pytest.mark.parametrize(
    ("value", "cause", "detail"),
    [
        ({"user_id": "9"}, NOT_KNOWN, "anonymous_id: no visitor is known of its user_id"),
        ({}, "missing", "anonymous_id: it is missing, and so is user_id"),
        ({"user_id": "undefined"}, "missing", "anonymous_id: it is missing, and so is user_id"),
        ({"user_id": ["7"]}, "missing", "anonymous_id: it is missing, and so is user_id"),
    ],
)
def test_without_a_visitor_a_record_is_refused(
    value: dict[str, Any], cause: str, detail: str
) -> None:
    """It can become known of an id that the record has; the words hold no value of it."""
    (made,) = read(ORDER | value, orders("user_id"))
    assert isinstance(made, IngestRefusal)
    assert (made.error.reason, made.error.cause) == ("unknown_visitor", cause)
    assert (made.error.detail, made.event_id) == (detail, "erp-3-7")


def test_without_tables_nobody_is_known() -> None:
    """Commands that only look at records see it as not known."""
    (made,) = read(ORDER | {"user_id": "7"}, orders("user_id", visitors=None))
    assert isinstance(made, IngestRefusal)
    assert made.error.cause == NOT_KNOWN


def test_elements_are_joined_one_by_one() -> None:
    """One that is not known holds up no other."""
    value = {"orders": [{"who": 7}, {"who": 9}, {"who": 8}], "timestamp": NOW_MS, "lines": LINES}
    fields = {"user_id": "_item.who", "order_id": "to_string(_index)"}
    field_map = FieldMap(fields, known=TARGETS["orders"].known)
    made = read(value, orders("user_id", each="orders", fields=field_map))
    assert [one.key for one in made if isinstance(one, IngestRecord)] == [b"anna", b"ben"]
    assert [one.element for one in made if isinstance(one, IngestRefusal)] == [1]


@pytest.mark.parametrize(
    ("value", "key", "row"),
    [
        ({"order_id": "A-1"}, b"order_id:A-1", {"order_id": "A-1"}),
        ({"order_id": 12, "user_id": "7"}, b"order_id:12", {"order_id": "12"}),
        ({"order_id": " ", "user_id": 7}, b"anonymous_id:anna", {"user_id": "7"}),
    ],
)
def test_link_is_keyed_by_the_order_or_by_the_visitor(
    value: dict[str, Any], key: bytes, row: dict[str, Any]
) -> None:
    """So that compaction keeps one visitor of an order, and the last user of a browser."""
    said = {"anonymous_id": "anna", "timestamp": "2026-11-20T09:59:58.120Z"}
    (made,) = read(said | value, links())
    assert isinstance(made, IngestRecord)
    assert (made.to, made.key) == ("visitors", key)
    expected = {"anonymous_id": "anna", "timestamp": 1_795_168_798_120} | row
    assert json.loads(made.value or b"") == expected


@pytest.mark.parametrize(
    ("given", "formats", "timestamp"),
    [
        ({}, None, NOW_MS),
        ({"timestamp": NOW_MS + 5}, None, NOW_MS),
        ({"timestamp": "yesterday"}, None, NOW_MS),
        ({"timestamp": [1]}, None, NOW_MS),
        ({"timestamp": NOW_MS // 1000}, None, NOW_MS),
        ({"timestamp": 1.5}, "s", NOW_MS),
        ({"timestamp": NOW_MS // 1000 - 1}, "s", NOW_MS - 1000),
    ],
)
def test_link_is_as_old_as_what_it_was_made_of(
    given: dict[str, Any], formats: Any, timestamp: int
) -> None:
    """Never newer than its record, or it would outlive that its visitor was forgotten."""
    (made,) = read({"anonymous_id": "v", "order_id": "1"} | given, links({}, formats))
    assert isinstance(made, IngestRecord)
    assert json.loads(made.value or b"")["timestamp"] == timestamp
    is_readable = given.get("timestamp", NOW_MS + 5) in (NOW_MS + 5, NOW_MS // 1000 - 1)
    assert made.notes == (() if is_readable else ("left_out:visitors.timestamp",))


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        ({"order_id": "1"}, "anonymous_id: it is required and missing"),
        ({"anonymous_id": "v"}, "order_id: neither order_id nor user_id is given"),
        ({"anonymous_id": "v", "order_id": "o" * 513}, "order_id: it has 513 characters"),
        ({"anonymous_id": "v", "order_id": [1]}, "order_id: a key is text or an integer"),
    ],
)
def test_link_that_names_nobody_or_nothing_is_refused(value: dict[str, Any], detail: str) -> None:
    """With the field."""
    (made,) = read(value, links())
    assert isinstance(made, IngestRefusal)
    assert made.error.reason == "invalid_field"
    assert made.error.detail.startswith(detail)
