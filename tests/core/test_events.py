"""Raw events, field by field."""

import json
from typing import Any

import pytest

from streams.core.errors import InvalidEvent
from streams.core.event_types import AddToCart, Campaign, Click, Content, Event, Page
from streams.core.events import EventParser
from streams.core.fields import FieldMap

KAFKA_MS = 1_795_168_800_000
"""2026-11-20T10:00:00Z."""
CLICK: dict[str, Any] = {
    "timestamp": "2026-11-20T09:59:58.120Z",
    "anonymous_id": "visitor-7",
    "product_id": "p-1042",
}
UUID = "3f0b6c1e-8f0a-4d6e-9b60-2f4f9d6f1a11"


def parse(
    record: Any,
    *,
    kind: Any = "click",
    key: bytes | None = b"visitor-7",
    fields: FieldMap | None = None,
    kafka_ms: int = KAFKA_MS,
) -> Event:
    """Parse a record of partition 3, offset 17."""
    topic = "shop.clicks" if kind == "click" else "shop.add-to-carts"
    value = record if isinstance(record, bytes | None) else json.dumps(record).encode()
    return EventParser(kind, topic, fields).parse(key, value, 3, 17, kafka_ms)


def refused(record: Any, **more: Any) -> tuple[str, str | None]:
    """Return reason and field of the record's refusal."""
    with pytest.raises(InvalidEvent) as problem:
        parse(record, **more)
    assert problem.value.detail
    return str(problem.value.reason), problem.value.field


def test_smallest_click_gets_an_event_id_of_its_place() -> None:
    """Three fields make a click; its id is topic, partition and offset."""
    event = parse(CLICK)
    assert event == Click(
        anonymous_id="visitor-7",
        timestamp="2026-11-20T09:59:58.120Z",
        product_id="p-1042",
        event_id="shop.clicks-3-17",
        timestamp_ms=1_795_168_798_120,
        notes=(),
    )
    assert event.event_type == "click"


def test_every_field_of_an_add_to_cart_is_read() -> None:
    """All optional fields arrive as they were sent."""
    event = parse(
        CLICK
        | {
            "event_id": "e-1",
            "user_id": "u-77",
            "sku": "8S-1042",
            "quantity": 2,
            "price": 19,
            "currency": "EUR",
            "page": {"url": "https://shop.example/p", "referrer": "https://r", "title": "Shirt"},
            "user_agent": "Mozilla/5.0",
            "locale": "de-DE",
            "region": "DE-BY",
            "ip": "203.0.113.77",
            "campaign": {"name": "n", "source": "s", "medium": "m", "term": "t", "content": "c"},
            "miso_id": UUID,
            "content": {"type": "customSet", "id": "set-9"},
            "eightselect_user_id": UUID.upper(),
            "consent": {"miso": True, "voyado": False},
        },
        kind="add_to_cart",
    )
    assert event == AddToCart(
        anonymous_id="visitor-7",
        timestamp="2026-11-20T09:59:58.120Z",
        product_id="p-1042",
        event_id="e-1",
        user_id="u-77",
        sku="8S-1042",
        quantity=2,
        price=19.0,
        currency="EUR",
        page=Page("https://shop.example/p", "https://r", "Shirt"),
        user_agent="Mozilla/5.0",
        locale="de-DE",
        region="DE-BY",
        ip="203.0.113.77",
        campaign=Campaign("n", "s", "m", "t", "c"),
        miso_id=UUID,
        content=Content("customSet", "set-9"),
        eightselect_user_id=UUID.upper(),
        consent={"miso": True, "voyado": False},
        timestamp_ms=1_795_168_798_120,
        notes=(),
    )


def test_quantity_is_one_where_none_is_given() -> None:
    """An add-to-cart without a quantity puts one piece into the cart."""
    event = parse(CLICK, kind="add_to_cart")
    assert isinstance(event, AddToCart)
    assert event.quantity == 1


def test_quantity_of_a_click_is_an_unknown_field() -> None:
    """A click has no quantity, so whatever stands there is ignored."""
    assert parse(CLICK | {"quantity": "many"}).notes == ()


@pytest.mark.parametrize("value", [None, b""])
def test_record_without_value_is_empty(value: bytes | None) -> None:
    """A tombstone in an event topic is a dead letter."""
    assert refused(value) == ("empty", None)


def test_size_limit_is_exact() -> None:
    """256 KiB are an event, one byte more is none."""
    record = json.dumps(CLICK).encode()
    assert parse(record.ljust(256 * 1024)).event_id == "shop.clicks-3-17"
    assert refused(record.ljust(256 * 1024 + 1)) == ("too_large", None)


@pytest.mark.parametrize(
    "value",
    [
        b"\x00" * 1000,
        b"{",
        b"nonsense",
        b"[]",
        b'"text"',
        b"17",
        b"null",
        b"true",
        b"\xef\xbb\xbf{}",
        b'{"a":1} {"b":2}',
        b'{"a":1,}',
        b"{'a':1}",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":01}',
        b'{"a":1e999}',
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"\xff":1}',
        b'{"a":18446744073709551616}',
        b'{"a":[-9223372036854775809]}',
        b'{"a":"line\nbreak"}',
        b"[" * 100_000,
        b'{"a":' + b"[" * 128 + b"]" * 128 + b"}",
    ],
)
def test_what_strict_json_refuses_is_a_dead_letter_even_in_unknown_fields(value: bytes) -> None:
    """Whole record or unknown field: what RFC 8259 and the bounds refuse is invalid JSON."""
    assert refused(value) == ("invalid_json", None)
    if value.startswith(b'{"') and value.endswith(b"}") and b"{}" not in value:
        inside = json.dumps(CLICK).encode()[:-1] + b"," + value[1:]
        assert refused(inside) == ("invalid_json", None)


def test_known_fields_are_held_to_strict_json_too() -> None:
    """The typed decode refuses the same as the close look."""
    start = json.dumps(CLICK).encode()[:-1]
    for rest in (
        b',"sku":"\xff"}',
        b',"price":18446744073709551616}',
        b',"price":1e999}',
        b',"timestamp":18446744073709551616}',
        b',"timestamp_ms":18446744073709551616}',
    ):
        assert refused(start + rest) == ("invalid_json", None)


def test_128_levels_are_allowed() -> None:
    """The object itself is the first level."""
    nested = b'{"a":' + b"[" * 127 + b"]" * 127 + b"," + json.dumps(CLICK).encode()[1:]
    assert parse(nested).product_id == "p-1042"


@pytest.mark.parametrize("field", ["timestamp", "anonymous_id", "product_id"])
@pytest.mark.parametrize("value", ["absent", None, "", 1.5, [], {}, True])
def test_required_field_out_of_shape_is_named(field: str, value: Any) -> None:
    """Missing, null, empty or of another type: a dead letter with the field's name."""
    record = dict(CLICK)
    if value == "absent":
        del record[field]
    else:
        record[field] = value
    assert refused(record) == ("invalid_field", field)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("anonymous_id", "v" * 513),
        ("product_id", "p" * 513),
        ("event_id", "e" * 129),
        ("event_id", 5.5),
        ("event_id", True),
        ("quantity", 0),
        ("quantity", -1),
        ("quantity", 1.5),
        ("quantity", "2"),
        ("quantity", True),
        ("consent", True),
        ("consent", ["miso"]),
        ("consent", {"miso": "yes"}),
        ("consent", {"miso": 1}),
        ("timestamp", "2026-11-20T10:00:00"),
        ("timestamp", "1999-12-31T23:59:59.999Z"),
        ("timestamp", 946_684_799_999),
        ("timestamp", -1),
        ("timestamp", "2026-02-30T10:00:00Z"),
        ("timestamp", 1_795_168_798_120.5),
        ("timestamp", 2**63 - 1),
        ("timestamp", 1_695_262_025_123_334),
        ("timestamp", 1_795_168_798),
        ("timestamp", "1e999990"),
    ],
)
def test_strict_field_out_of_shape_is_a_dead_letter_with_its_name(field: str, value: Any) -> None:
    """Required fields, event_id, quantity and consent are never guessed at."""
    assert refused(CLICK | {field: value}, kind="add_to_cart") == ("invalid_field", field)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("user_id", 77.5),
        ("user_id", False),
        ("user_id", "u" * 513),
        ("sku", ["8S-1"]),
        ("price", -0.01),
        ("price", "19.90"),
        ("price", True),
        ("currency", "eur"),
        ("currency", "EURO"),
        ("currency", "EUR\n"),
        ("page", "https://shop.example"),
        ("user_agent", "x" * 4097),
        ("locale", 5),
        ("region", {}),
        ("ip", "203.0.113.256"),
        ("ip", "203.0.113"),
        ("ip", "localhost"),
        ("ip", "203.0.113.7, 10.0.0.1"),
        ("ip", 3405803783),
        ("campaign", [1]),
        ("miso_id", "no-uuid"),
        ("miso_id", UUID.replace("-", "")),
        ("miso_id", UUID + "\n"),
        ("content", {"type": "other", "id": "1"}),
        ("content", {"type": "customSet"}),
        ("eightselect_user_id", "17"),
    ],
)
def test_other_optional_field_out_of_shape_is_left_out_and_noted(field: str, value: Any) -> None:
    """The event goes on without it, and the note tells which field it was."""
    event = parse(CLICK | {"event_id": "e-1", field: value})
    assert getattr(event, field) is None
    assert event.notes == (f"left_out:{field}",)
    assert event.event_id == "e-1"


def test_one_part_of_a_page_out_of_shape_leaves_the_others() -> None:
    """Page and campaign lose only the part that does not fit."""
    event = parse(
        CLICK | {"page": {"url": "https://u", "title": 5}, "campaign": {"name": "n" * 5000}}
    )
    assert event.page == Page(url="https://u")
    assert event.campaign is None
    assert event.notes == ("left_out:page.title", "left_out:campaign.name")


@pytest.mark.parametrize("empty", ["", None])
def test_empty_counts_as_absent(empty: str | None) -> None:
    """An empty string, or null, says nothing: no note, and the default where there is one."""
    optional = {
        "event_id", "user_id", "sku", "quantity", "price", "currency", "page", "user_agent",
        "locale", "region", "ip", "campaign", "miso_id", "content", "eightselect_user_id",
        "consent",
    }  # fmt: skip
    event = parse(CLICK | dict.fromkeys(optional, empty), kind="add_to_cart")
    assert event == parse(CLICK, kind="add_to_cart")
    inner = parse(CLICK | {"page": {"url": empty, "title": "T"}, "consent": {"miso": empty}})
    assert inner.page == Page(title="T")
    assert inner.consent == {}
    assert inner.notes == ()


def test_unknown_fields_are_ignored_at_every_level() -> None:
    """A shop may send more than we read, also within page, campaign and content."""
    event = parse(
        CLICK
        | {
            "weather": {"sky": ["blue", 1, None, 2.5]},
            "page": {"url": "https://u", "lang": "de"},
            "content": {"type": "similarProducts", "id": "8S-1", "slot": 3},
            "notes": ["left_out:consent"],
            "timestamp_ms": 5,
        }
    )
    assert event.page == Page(url="https://u")
    assert event.content == Content("similarProducts", "8S-1")
    assert event.notes == ()
    assert event.timestamp_ms == 1_795_168_798_120


def test_limits_count_characters_not_bytes() -> None:
    """512 umlauts are an id, 4,096 a user agent."""
    event = parse(CLICK | {"sku": "ä" * 512, "user_agent": "ü" * 4096})
    assert event.sku == "ä" * 512
    assert event.notes == ()


@pytest.mark.parametrize("ip", ["0.0.0.0", "255.255.255.255", "2001:db8::1", "::ffff:203.0.113.7"])
def test_both_kinds_of_address_are_taken(ip: str) -> None:
    """IPv4 and IPv6 are in shape."""
    assert parse(CLICK | {"ip": ip}).ip == ip


@pytest.mark.parametrize("key", [b"other", b"", b"visitor-7 ", b"\xff", None])
def test_key_must_be_the_anonymous_id(key: bytes | None) -> None:
    """A record that lies on another visitor's partition cannot be joined."""
    assert refused(CLICK, key=key) == ("key_mismatch", "anonymous_id")


def test_key_is_compared_as_utf_8() -> None:
    """An id beyond ASCII has its UTF-8 bytes as key."""
    assert parse(CLICK | {"anonymous_id": "Jürgen"}, key="Jürgen".encode()).anonymous_id == "Jürgen"


@pytest.mark.parametrize("timestamp", [1_795_168_798_120, "2026-11-20T10:59:58.120999+01:00"])
def test_timestamp_is_read_in_both_forms_and_cut(timestamp: Any) -> None:
    """Integer ms and RFC 3339 with any offset mean the same moment."""
    assert parse(CLICK | {"timestamp": timestamp}).timestamp_ms == 1_795_168_798_120


def test_clock_ahead_by_five_minutes_is_believed() -> None:
    """The tolerance is inclusive."""
    event = parse(CLICK | {"timestamp": KAFKA_MS + 300_000})
    assert (event.timestamp_ms, event.notes) == (KAFKA_MS + 300_000, ())


@pytest.mark.parametrize(
    "timestamp",
    [KAFKA_MS + 300_001, "2026-11-20T14:00:00Z", "2150-01-01T00:00:00Z", 4_133_980_799_999],
)
def test_clock_further_ahead_is_replaced_by_kafka_time(timestamp: Any) -> None:
    """A browser's wrong clock does not send events into the future."""
    event = parse(CLICK | {"timestamp": timestamp})
    assert (event.timestamp_ms, event.notes) == (KAFKA_MS, ("clock_ahead",))


def test_without_a_kafka_time_the_events_own_is_believed_up_to_9999() -> None:
    """Kafka writes -1 where a record has no time; what no text can hold is refused."""
    assert parse(CLICK, kafka_ms=-1).timestamp_ms == 1_795_168_798_120
    assert parse(CLICK | {"timestamp": "9999-12-31T23:59:59Z"}, kafka_ms=-1).notes == ()
    assert refused(CLICK | {"timestamp": 253_402_300_800_000}, kafka_ms=-1) == (
        "invalid_field",
        "timestamp",
    )


def test_mapped_record_is_read_by_its_field_map() -> None:
    """Named fields come from their expressions, the others from their own names."""
    fields = FieldMap(
        {
            "anonymous_id": "visitor.id",
            "product_id": "to_string(article)",
            "timestamp": "at",
            "page.url": "href",
            "sku": "missing.path",
        },
        "s",
    )
    record = {
        "visitor": {"id": "visitor-7"},
        "article": 1042,
        "at": 1_795_168_798.12,
        "href": "https://u",
        "sku": "own-name-is-not-asked",
        "locale": "de-DE",
        "price": -1,
    }
    assert parse(record, fields=fields) == Click(
        anonymous_id="visitor-7",
        timestamp=1_795_168_798_120,
        product_id="1042",
        event_id="shop.clicks-3-17",
        locale="de-DE",
        page=Page(url="https://u"),
        timestamp_ms=1_795_168_798_120,
        notes=("left_out:price",),
    )
    assert refused({"at": 1}, fields=fields)[0] == "invalid_field"


# -- what records of real shops hold


@pytest.mark.parametrize("blank", [" ", "\t \n", "\u00a0", "\u3000", "\u2028"])
@pytest.mark.parametrize(
    "field",
    ["user_id", "sku", "event_id", "currency", "user_agent", "locale", "region", "ip", "miso_id",
     "eightselect_user_id", "page", "campaign", "content", "consent", "price", "quantity"],
)  # fmt: skip
def test_blank_counts_as_absent_in_every_field(field: str, blank: str) -> None:
    """No letter to be seen, nothing said: no note, whichever way the record is read."""
    assert parse(CLICK | {field: blank}, kind="add_to_cart") == parse(CLICK, kind="add_to_cart")


@pytest.mark.parametrize("field", ["timestamp", "anonymous_id", "product_id"])
@pytest.mark.parametrize("blank", [" ", "\u00a0\t"])
def test_required_field_that_is_blank_is_one_that_is_missing(field: str, blank: str) -> None:
    """The dead letter is that of a missing field."""
    with pytest.raises(InvalidEvent) as problem:
        parse(CLICK | {field: blank}, key=blank.encode())
    assert problem.value.detail == f"{field}: it is required and missing"


def test_blank_parts_are_absent_too() -> None:
    """Within page, campaign, content and consent."""
    event = parse(
        CLICK
        | {
            "page": {"url": "https://u", "title": " ", "referrer": "\t"},
            "campaign": {"name": " ", "source": "s"},
            "consent": {"miso": " ", "voyado": True},
        }
    )
    assert event.page == Page(url="https://u")
    assert event.campaign == Campaign(source="s")
    assert event.consent == {"voyado": True}
    assert event.notes == ()
    assert parse(CLICK | {"content": {"type": "customSet", "id": " "}}).notes == (
        "left_out:content",
    )


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("4711", "4711"),
        ("-5", "-5"),
        ("0", "0"),
        ("4711.0", "4711"),
        ("4.711e3", "4711"),
        ("18446744073709551615", "18446744073709551615"),
        ("12345678901234567.0", "12345678901234567"),
        ("1234567890123456789.00", "1234567890123456789"),
    ],
)
def test_ids_may_be_integers(written: str, text: str) -> None:
    """Their decimal text counts, exactly, however the number is written."""
    fields = ("anonymous_id", "product_id", "event_id", "user_id", "sku")
    record = ",".join(f'"{field}":{written}' for field in fields)
    content = f'"content":{{"type":"customSet","id":{written}}}'
    value = f'{{"timestamp":1795168798120,{record},{content}}}'.encode()
    event = parse(value, key=text.encode())
    assert [getattr(event, field) for field in fields] == [text] * 5
    assert event.content == Content("customSet", text)
    assert event.notes == ()


@pytest.mark.parametrize(
    "id_",
    [
        *("null", "undefined", "NaN", "None", "[object Object]", "(not set)"),
        "00000000-0000-0000-0000-000000000000",
    ],
)
@pytest.mark.parametrize("field", ["anonymous_id", "product_id", "event_id", "user_id", "sku"])
@pytest.mark.parametrize("more", [{}, {"weather": 1}])
def test_suspicious_id_is_sent_and_noted(field: str, id_: str, more: dict[str, int]) -> None:
    """It may be somebody's after all; but somebody has to know."""
    record = CLICK | {field: id_} | more
    event = parse(record, key=record["anonymous_id"].encode())
    assert getattr(event, field) == id_
    assert event.notes == ("suspicious_id",)
    assert parse(CLICK | {"sku": "nullable", "user_id": "NULL"}).notes == ()


def test_suspicious_id_of_the_content_is_noted() -> None:
    """It is an id as well."""
    event = parse(CLICK | {"content": {"type": "customSet", "id": "undefined"}})
    assert event.notes == ("suspicious_id",)


@pytest.mark.parametrize("field", ["page", "campaign", "content"])
@pytest.mark.parametrize("value", [{}, {"title": None, "name": "", "id": " "}, {"unknown": 1}])
@pytest.mark.parametrize("more", [{}, {"sku": ""}])
def test_an_object_whose_parts_are_all_absent_is_absent(
    field: str, value: Any, more: dict[str, Any]
) -> None:
    """Whichever way the record is read: no vendor gets an empty object."""
    assert parse(CLICK | more | {field: value}) == parse(CLICK)


@pytest.mark.parametrize(("field", "part"), [("page", "title"), ("campaign", "name")])
def test_an_object_whose_parts_are_all_left_out_is_absent(field: str, part: str) -> None:
    """What was left out is counted all the same."""
    event = parse(CLICK | {field: {part: []}})
    assert getattr(event, field) is None
    assert event.notes == (f"left_out:{field}.{part}",)


def test_nil_uuid_is_absent_where_a_uuid_is_expected() -> None:
    """Programs write it where they have none."""
    nil = "00000000-0000-0000-0000-000000000000"
    assert parse(CLICK | {"miso_id": nil, "eightselect_user_id": nil}) == parse(CLICK)
    assert parse(CLICK | {"sku": nil}).sku == nil


@pytest.mark.parametrize("field", ["page", "campaign", "content", "consent"])
def test_empty_array_of_php_is_no_object(field: str) -> None:
    """PHP writes an empty array where there is nothing."""
    assert parse(CLICK | {field: []}) == parse(CLICK)


@pytest.mark.parametrize("written", ["2.0", "2e0", "20e-1", "2.000000000000000000000"])
def test_integers_may_be_written_with_a_fraction(written: str) -> None:
    """JSON knows numbers only; many writers have no other."""
    value = json.dumps(CLICK).encode()[:-1] + b',"quantity":' + written.encode() + b"}"
    event = parse(value, kind="add_to_cart")
    assert isinstance(event, AddToCart)
    assert (event.quantity, event.notes) == (2, ())
    of_time = json.dumps(CLICK | {"timestamp": 0}).replace(": 0", ": 1795168798120.0")
    assert parse(of_time.encode()).timestamp_ms == 1_795_168_798_120


@pytest.mark.parametrize("written", ["1.5", "1e-400", "1e400", "1e30"])
def test_numbers_that_are_no_64_bit_integer_are_none(written: str) -> None:
    """Nothing is rounded to one."""
    value = json.dumps(CLICK).encode()[:-1] + b',"quantity":' + written.encode() + b"}"
    assert refused(value, kind="add_to_cart")[0] in {"invalid_field", "invalid_json"}


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        (r"Sale \ud83d", "Sale \ufffd"),
        (r"\ude00 Sale", "\ufffd Sale"),
        (r"\ud83d\ud83d\ude00", "\ufffd😀"),
        (r"\ude00\ud83d", "\ufffd\ufffd"),
        (r"\\\ud83d", "\\\ufffd"),
        (r"\ud83dA", "\ufffdA"),
    ],
)
def test_half_a_surrogate_pair_becomes_a_replacement_character(title: str, shown: str) -> None:
    """JavaScript cuts texts within a character; the event goes on."""
    start = json.dumps(CLICK).encode()[:-1]
    event = parse(start + b',"page":{"title":"' + title.encode() + b'"}}')
    assert event.page == Page(title=shown)
    assert event.notes == ("lone_surrogate",)
    unknown = parse(start + b',"weather":{"' + title.encode() + b'":1}}')
    assert unknown.notes == ("lone_surrogate",)


def test_backslashes_before_a_u_are_no_surrogates() -> None:
    """An escaped backslash is not the beginning of an escape."""
    event = parse(json.dumps(CLICK | {"page": {"title": r"\ud83d"}}).encode())
    assert event.page == Page(title=r"\ud83d")
    assert event.notes == ()


@pytest.mark.parametrize("key", [b"v\xef\xbf\xbd", b"v?", b"v"])
def test_half_a_surrogate_pair_in_anonymous_id_is_no_key(key: bytes) -> None:
    """Each client writes another key for it, so it can be joined with nothing."""
    value = b'{"anonymous_id":"v\\ud800","timestamp":1795168798120,"product_id":"p"}'
    assert refused(value, key=key) == ("key_mismatch", "anonymous_id")
    sound = b'{"anonymous_id":"v\xef\xbf\xbd","timestamp":1795168798120,"product_id":"p"}'
    assert parse(sound, key=b"v\xef\xbf\xbd").notes == ()


def test_consent_for_an_unknown_vendor_is_a_dead_letter() -> None:
    """A no under a name that nobody reads must not be lost."""
    record = CLICK | {"consent": {"miso": True, "misso": False}}
    for more in ({}, {"weather": 1}):
        value = json.dumps(record | more).encode()
        with pytest.raises(InvalidEvent) as problem:
            EventParser("click", "shop.clicks", vendors=("miso", "voyado")).parse(
                b"visitor-7", value, 0, 0, KAFKA_MS
            )
        assert (problem.value.reason, problem.value.field) == ("invalid_field", "consent")
        assert problem.value.detail == 'consent: there is no vendor "misso", only miso, voyado'


@pytest.mark.parametrize(
    ("field", "expression", "why"),
    [
        (
            "consent",
            "{miso: contains(groups, 'C0004')}",
            "contains() got null, not array or string",
        ),
        ("anonymous_id", "join('-', [a, b])", "join() got null, not array of string"),
        ("timestamp", "sum(a)", "sum() got null, not array of number"),
        ("event_id", "to_number(a) || abs(a)", "abs() got null, not number"),
    ],
)
def test_failing_expression_of_a_field_that_must_be_in_shape_is_named(
    field: str, expression: str, why: str
) -> None:
    """Field, expression, function, and what it got."""
    with pytest.raises(InvalidEvent) as problem:
        parse(CLICK, fields=FieldMap({field: expression}, "s" if field == "timestamp" else None))
    assert problem.value.field == field
    assert problem.value.detail == f"{field}: the expression {expression} failed: {why}"


@pytest.mark.parametrize("given", ["NaN", "Infinity", "two", "0x2", "1,5"])
def test_a_quantity_that_no_number_can_be_made_of_is_a_dead_letter(given: str) -> None:
    """It is not the one item that a record without a quantity stands for."""
    fields = FieldMap({"quantity": "to_number(q)", "price": "to_number(p)"})
    with pytest.raises(InvalidEvent) as problem:
        parse(CLICK | {"q": given}, kind="add_to_cart", fields=fields)
    assert (problem.value.reason, problem.value.field) == ("invalid_field", "quantity")
    assert problem.value.detail == (
        "quantity: the expression to_number(q) failed: "
        f'to_number() got string "{given}", which is no number'
    )
    event = parse(CLICK | {"q": " ", "p": given}, kind="add_to_cart", fields=fields)
    assert isinstance(event, AddToCart)
    assert (event.quantity, event.price, event.notes) == (1, None, ("left_out:price",))


def test_failing_expression_of_an_optional_field_is_left_out_and_told() -> None:
    """The event goes on; a person who looks closely is told why."""
    fields = FieldMap({"price": "abs(word)", "page.url": "abs(word)", "sku": "to_string(none)"})
    record = CLICK | {"word": "w", "user_id": "null"}
    assert parse(record, fields=fields).notes == (
        "left_out:price",
        "left_out:page.url",
        "suspicious_id",
    )
    parser = EventParser("click", "shop.clicks", fields)
    inspection = parser.inspect(json.dumps(record).encode())
    assert inspection.fields == (
        "anonymous_id", "timestamp", "user_id", "price", "page.url", "product_id",
    )  # fmt: skip
    assert inspection.remarks == (
        'user_id reads "null": who has it is many people at once',
        "price: the expression abs(word) failed: abs() got string, not number",
        "page.url: the expression abs(word) failed: abs() got string, not number",
    )
    assert parser.inspect(b"{").fields == ()
    assert parser.inspect(None).remarks == ()


def test_times_of_a_source_are_read_in_its_formats_and_zone() -> None:
    """Changes of the clocks are noted; what fits no format is said in words."""
    fields = FieldMap({}, ["us", "%Y-%m-%d %H:%M"], "Europe/Berlin")
    assert parse(CLICK | {"timestamp": 1_695_262_025_123_334}, fields=fields).timestamp_ms == (
        1_695_262_025_123
    )
    event = parse(CLICK | {"timestamp": "2026-10-25 02:30"}, fields=fields)
    assert (event.timestamp_ms, event.notes) == (1_792_888_200_000, ("dst",))
    with pytest.raises(InvalidEvent) as problem:
        parse(CLICK | {"timestamp": 1_795_168_798}, fields=fields)
    assert problem.value.detail == (
        "timestamp: 1795168798 has none of the formats us, %Y-%m-%d %H:%M: 1795168798 as "
        'microseconds lies before the year 2000; it looks like seconds (timestamp_format = "s")'
    )
    with pytest.raises(InvalidEvent, match="it lies before the year 2000"):
        parse(CLICK | {"timestamp": "1999-12-31 02:30"}, fields=fields)
    assert parse(CLICK | {"timestamp": "2150-12-31 02:30"}, fields=fields).notes == ("clock_ahead",)


def cause_of(value: bytes, fields: FieldMap | None = None) -> tuple[str | None, str]:
    """Return field and cause of the refusal of a record: what its fingerprint is made of."""
    with pytest.raises(InvalidEvent) as refused:
        EventParser("click", "shop.clicks", fields).parse(b"v", value, 0, 0, 1_777_000_000_000)
    return refused.value.field, refused.value.cause


def test_faults_of_the_same_field_are_told_apart() -> None:
    """A time nobody can read, one of 1970, none, and an expression that fails are four causes."""
    record = b'{"anonymous_id": "v", "product_id": "p", "timestamp": %b}'
    failing = FieldMap({"timestamp": "abs(ts)"})
    assert [
        cause_of(record % b'"yesterday"'),
        cause_of(record % b"0"),
        cause_of(record % b'"1970-01-01T00:00:00Z"'),
        cause_of(record % b"null"),
        cause_of(b'{"anonymous_id": "v", "product_id": "p", "ts": "x"}', failing),
    ] == [
        ("timestamp", ""),
        ("timestamp", "out of range"),
        ("timestamp", "out of range"),
        ("timestamp", "missing"),
        ("timestamp", "expression"),
    ]


BULK: list[Any] = [1e19] * 10_001
"""More values than are looked at one by one in a record."""


@pytest.mark.parametrize("fields", [None, FieldMap({"sku": "items[0].id"})])
def test_bulk_in_a_field_that_nobody_reads_is_passed_over(fields: FieldMap | None) -> None:
    """The event goes on as if the field were not there."""
    record = {"x": BULK, "items": [{"id": 10**17}]} | CLICK
    assert parse(record, fields=fields) == parse(CLICK | {"items": record["items"]}, fields=fields)


@pytest.mark.parametrize("fields", [None, FieldMap({"sku": "items[0].id"})])
def test_bulk_in_a_field_that_is_read_is_out_of_shape(fields: FieldMap | None) -> None:
    """Left out where a field may be, else a dead letter that names it."""
    assert parse({"page": BULK} | CLICK, fields=fields).notes == ("left_out:page",)
    assert refused({"consent": BULK} | CLICK, fields=fields) == ("invalid_field", "consent")
    with pytest.raises(InvalidEvent, match="product_id: more than 8,000 values"):
        parse(CLICK | {"product_id": BULK}, fields=fields)
    with pytest.raises(InvalidEvent, match="timestamp: more than 8,000 values"):
        parse(CLICK | {"timestamp": BULK}, fields=FieldMap({}, "s"))


def test_bulk_that_an_expression_looks_at_fails_it_by_name() -> None:
    """What is there must not count as absent."""
    fields = FieldMap({"anonymous_id": "who.id || items[0].id", "price": "items[0].price"})
    record = CLICK | {"items": BULK, "who": {"id": "visitor-7"}}
    assert parse(record, fields=fields).notes == ("left_out:price",)
    with pytest.raises(InvalidEvent) as problem:
        parse(record | {"who": {}}, fields=fields)
    assert problem.value.detail.startswith(
        "anonymous_id: the expression who.id || items[0].id failed: more than 8,000 values"
    )


@pytest.mark.parametrize("expression", ["to_string(@)", "*[0]", "@.sku"])
def test_a_map_that_looks_at_the_whole_record_takes_no_bulk(expression: str) -> None:
    """Nothing of it is passed over."""
    fields = FieldMap({"sku": expression})
    assert refused(CLICK | {"x": BULK}, fields=fields) == ("invalid_json", None)
    assert parse(CLICK | {"x": BULK[:7_000]}, fields=fields).product_id == "p-1042"
