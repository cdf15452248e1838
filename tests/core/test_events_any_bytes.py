"""Raw events: whatever the bytes, an event or InvalidEvent; the quick look equals the close one."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.errors import InvalidEvent
from streams.core.event_types import Event
from streams.core.events import EventParser
from streams.core.fields import FIELDS, FieldMap
from streams.core.outcome import DeadLetterReason
from streams.core.quick_expressions import SlowPathNeeded

PARSER = EventParser("add_to_cart", "shop.add-to-carts")
CLOSE_PARSER = EventParser("add_to_cart", "shop.add-to-carts", FieldMap({}))
MAPPED = EventParser(
    "click",
    "shop.clicks",
    FieldMap(
        {
            "anonymous_id": "to_string(@)",
            "price": "sum(a)",
            "sku": "join(',', a)",
            "quantity": "to_number(sku)",
            "locale": "max_by(a, &b)",
            "timestamp": "avg(a) || timestamp",
        },
        "%Y-%m-%d",
    ),
)
KAFKA_MS = 1_795_168_800_000

leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["203.0.113.7", "::1", "EUR", "v", "2026-11-20T09:59:58.120Z", 10**12, ""])
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["url", "title", "name", "type", "id", "miso", "a"])
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
names = st.sampled_from([*FIELDS, "notes", "timestamp_ms", "a"]) | st.text(max_size=3)
sound = {"anonymous_id": "v", "timestamp": "2026-11-20T09:59:58.120Z", "product_id": "p"}
records = st.dictionaries(names, values, max_size=6).map(lambda more: sound | more) | values


FIELDS_ONLY = EventParser(
    "click",
    "",
    FieldMap(
        {
            "anonymous_id": "a.b || a",
            "product_id": "a[0].id",
            "price": "to_number(a)",
            "page": "content",
            "page.url": "a.url",
            "campaign.name": "name",
            "eightselect_user_id": "sku",
        }
    ),
)
PATHS_ONLY = EventParser(
    "click",
    "",
    FieldMap(
        {
            "event_id": "a.id",
            "miso_id": "content.id",
            "page.url": "a.url",
            "page.title": "content.title",
            "content.type": "content.type",
            "content.id": "page.id",
            "campaign.source": "page.url.a",
        }
    ),
)


@pytest.mark.parametrize("parser", [FIELDS_ONLY, PATHS_ONLY])
@given(record=st.dictionaries(names, values, max_size=6))
def test_fields_read_in_one_go_are_those_of_the_map(
    parser: EventParser, record: dict[str, Any]
) -> None:
    """What cannot be read so is left to the map, which notes what it left."""
    try:
        quick = parser._ways.read(record)
    except SlowPathNeeded:
        return
    assert quick == parser._read_record(record).known


def outcome(parser: EventParser, value: bytes) -> Any:
    """Return the event, or reason and field of its refusal; nothing else may come."""
    try:
        event = parser.parse(b"v", value, 0, 1, KAFKA_MS)
    except InvalidEvent as problem:
        return DeadLetterReason(problem.reason), problem.field
    assert isinstance(event, Event)
    msgspec.json.encode(event)
    return event


@given(st.binary(max_size=200))
def test_any_bytes_are_an_event_or_invalid(value: bytes) -> None:
    """No bytes make the parser raise anything but InvalidEvent."""
    outcome(PARSER, value)
    outcome(MAPPED, value)


@settings(max_examples=400)
@given(records)
def test_quick_and_close_look_agree_on_any_json(record: Any) -> None:
    """The typed decode takes nothing and says nothing that the close look would not."""
    value = json.dumps(record).encode()
    assert outcome(PARSER, value) == outcome(CLOSE_PARSER, value)
    outcome(MAPPED, value)


@given(records, st.data())
def test_damaged_json_is_an_event_or_invalid(record: Any, data: st.DataObject) -> None:
    """One byte changed anywhere never leads to a third outcome, nor to a difference."""
    value = bytearray(json.dumps(record, ensure_ascii=False).encode(errors="surrogatepass"))
    place = data.draw(st.integers(0, len(value) - 1))
    value[place] = data.draw(st.integers(0, 255))
    assert outcome(PARSER, bytes(value)) == outcome(CLOSE_PARSER, bytes(value))
