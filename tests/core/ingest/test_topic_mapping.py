"""What becomes of a shop's own records: events, rows, tombstones, refusals, and what they are."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.fields import FieldMap
from streams.core.ingest.outcomes import (
    IngestOutcome,
    IngestRecord,
    IngestRefusal,
    SkippedRecord,
    Unmapped,
)
from streams.core.ingest.section import IngestSection
from streams.core.ingest.targets import TARGETS
from streams.core.ingest.topic_mapping import TopicMapping

NOW_MS = 1_795_168_800_000
VIEW = {"client": "v1", "at": "2026-11-20T09:59:58.120Z", "product": 1042}
FIELDS = {"anonymous_id": "client", "timestamp": "at", "product_id": "product"}


def section(
    name: str = "views",
    to: str = "clicks",
    fields: dict[str, Any] | None = None,
    formats: Any = None,
    **more: Any,
) -> IngestSection:
    """A section over records like ``VIEW``."""
    given = FIELDS if fields is None else fields
    field_map = FieldMap(given, formats, known=TARGETS[to].known)
    return IngestSection(name, to, fields=field_map, vendors=["miso"], **more)


def read(
    value: Any, *sections: IngestSection, key: Any = None, topic: str = "web"
) -> list[IngestOutcome]:
    """What comes of the record at offset 7 of partition 3; ``...`` stands for no value."""
    mapping = TopicMapping(topic, sections or [section()])
    data = None if value is ... else value if type(value) is bytes else json.dumps(value).encode()
    own_key = None if key is None else key if type(key) is bytes else json.dumps(key).encode()
    return mapping.read(own_key, data, 3, 7, NOW_MS)


def written(outcome: IngestOutcome) -> Any:
    """The value that is written, decoded."""
    assert isinstance(outcome, IngestRecord), outcome
    return None if outcome.value is None else json.loads(outcome.value)


def refusal(outcome: IngestOutcome) -> tuple[str, str | None, str]:
    """Reason, field and detail of a refusal."""
    assert isinstance(outcome, IngestRefusal), outcome
    return outcome.error.reason, outcome.error.field, outcome.error.detail


def test_record_becomes_an_event_with_the_id_of_its_place() -> None:
    """Only our fields are written, and the key is the visitor."""
    (event,) = read(VIEW | {"price": 9.5, "colour": "red", "sku": " "})
    assert written(event) == {
        "event_id": "web-3-7",
        "anonymous_id": "v1",
        "timestamp": "2026-11-20T09:59:58.120Z",
        "product_id": "1042",
        "price": 9.5,
    }
    assert isinstance(event, IngestRecord)
    assert (event.key, event.to, event.section) == (b"v1", "clicks", "views")


def test_long_topic_name_stands_as_its_hash_in_ids() -> None:
    """Of more than 100 characters: an id has at most 128."""
    (event,) = read(VIEW, topic="w" * 101)
    assert written(event)["event_id"] == "bc2bf0f0-3-7"
    (event,) = read(VIEW, topic="w" * 100)
    assert written(event)["event_id"] == f"{'w' * 100}-3-7"


def test_each_element_becomes_an_event_with_its_number() -> None:
    """One element out of shape is a dead letter of its own; the others are written."""
    lines = section(to="add-to-carts", each="items", fields=FIELDS | {
        "product_id": "_item.id", "quantity": "_item.n", "sku": "to_string(_index)",
    })  # fmt: skip
    record = VIEW | {"items": [{"id": 1, "n": 2}, {"id": 2, "n": "two"}, {"id": 3, "n": 1.0}]}
    first, second, third = read(record, lines)
    assert written(first)["event_id"] == "web-3-7-0"
    assert (written(first)["product_id"], written(first)["quantity"]) == ("1", 2)
    reason, field, _ = refusal(second)
    assert (reason, field) == ("invalid_field", "quantity")
    assert isinstance(second, IngestRefusal)
    assert (second.element, second.event_id) == (1, "web-3-7-1")
    assert written(third) == {
        "event_id": "web-3-7-2",
        "anonymous_id": "v1",
        "timestamp": "2026-11-20T09:59:58.120Z",
        "product_id": "3",
        "quantity": 1,
        "sku": "2",
    }


@pytest.mark.parametrize(
    ("fields", "ids"),
    [
        ({}, ["e-0", "e-1"]),
        ({"event_id": "event_id"}, ["e-0", "e-1"]),
        ({"event_id": "_item.id"}, ["a", "b"]),
        ({"event_id": "none"}, ["web-3-7-0", "web-3-7-1"]),
    ],
)
def test_elements_do_not_share_an_id(fields: dict[str, str], ids: list[str]) -> None:
    """They would pass for duplicates of the first."""
    lines = section(each="items", fields=FIELDS | fields)
    record = VIEW | {"event_id": "e", "items": [{"id": "a"}, {"id": "b"}]}
    assert [written(event)["event_id"] for event in read(record, lines)] == ids


@pytest.mark.parametrize("items", [None, []])
def test_each_of_nothing_is_unmapped(items: Any) -> None:
    """It gives no event, and is counted."""
    assert read(VIEW | {"items": items}, section(each="items")) == [Unmapped("views")]


@pytest.mark.parametrize(
    ("items", "detail"),
    [
        ({"id": 1}, "each: it gives no list"),
        ("text", "each: it gives no list"),
        ([0] * 6_000, "each: it gives 6000 elements, more than 5000"),
    ],
)
def test_each_that_gives_no_list_is_a_dead_letter(items: Any, detail: str) -> None:
    """So does one that gives more elements than a record may have."""
    (outcome,) = read(VIEW | {"items": items}, section(each="items"))
    assert refusal(outcome) == ("invalid_field", "each", detail)


def test_a_record_has_its_fields_whatever_comes_of_it() -> None:
    """Of each element its own; blank is absent, and a record that cannot be read has none."""
    lines = section(
        to="add-to-carts", each="items", fields=FIELDS | {"quantity": "_item.n", "sku": "_item.s"}
    )
    mapping = TopicMapping("t", [lines])
    record = json.dumps(VIEW | {"items": [{"n": "two", "s": " "}, {"s": "S"}]}).encode()
    first, second, gone = (mapping.fields_of(lines.name, record, n) for n in range(3))
    assert set(first) - set(second) == {"quantity"}
    assert set(second) - set(first) == {"sku"}
    assert gone == mapping.fields_of(lines.name, b"no JSON", 0) == []


def test_sections_take_what_their_condition_is_true_for() -> None:
    """Several may take one record; one that none takes is unmapped once."""
    views = section(when="name == 'view'")
    carts = section("carts", to="add-to-carts", when="name == 'cart' || both")
    all_ = section("all", when="both", fields=FIELDS | {"event_id": "id"})
    assert [o.section for o in read(VIEW | {"name": "view"}, views, carts, all_)] == ["views"]  # type: ignore[union-attr]
    both = read(VIEW | {"name": "view", "both": True, "id": "x"}, views, carts, all_)
    assert [o.section for o in both] == ["views", "carts", "all"]  # type: ignore[union-attr]
    assert read(VIEW | {"name": "scroll"}, views, carts, all_) == [Unmapped("views")]


def test_condition_that_fails_is_a_dead_letter() -> None:
    """The expression and what it got stand in it."""
    (outcome,) = read(VIEW | {"name": 5}, section(when="contains(name, 'x')"))
    assert refusal(outcome) == (
        "invalid_field",
        "when",
        (
            "when: the expression contains(name, 'x') failed: contains() got number, "
            "not array or string"
        ),
    )


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (..., "empty"),
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"[]", "invalid_json"),
        (b"null", "invalid_json"),
        (b'{"a": 1e999}', "invalid_json"),
        (b"\xff", "invalid_json"),
        (b'"' + b"x" * 5_000_000 + b'"', "too_large"),
        (VIEW | {"user_agent": "x" * 300_000, "sku": "y" * 10}, "too_large"),
        (VIEW | {"product": None}, "invalid_field"),
        (VIEW | {"at": "yesterday"}, "invalid_field"),
        (VIEW | {"consent": {"mso": True}}, "invalid_field"),
        (VIEW | {"client": None}, "invalid_field"),
        (VIEW | {"event_id": "x" * 129}, "invalid_field"),
        (VIEW | {"client": "a\ud800"}, "key_mismatch"),
    ],
)
def test_record_that_cannot_become_an_event_is_a_dead_letter(value: Any, reason: str) -> None:
    """Once, whatever the bytes."""
    (outcome,) = read(value)
    assert refusal(outcome)[0] == reason


def test_optional_field_out_of_shape_is_left_out_and_noted() -> None:
    """Here, so that enrichment does not count it once more."""
    fields = FIELDS | {"price": "to_number(cost)", "page.url": "abs(href)"}
    (event,) = read(VIEW | {"cost": "9,50", "href": "x", "currency": "eur"}, section(fields=fields))
    assert set(written(event)) == {"event_id", "anonymous_id", "timestamp", "product_id"}
    assert isinstance(event, IngestRecord)
    assert sorted(event.notes) == ["left_out:currency", "left_out:page.url", "left_out:price"]


def test_nested_values_do_not_cost_an_object_its_others() -> None:
    """Enrichment leaves them out and counts them; with too many left nothing can be kept."""
    properties = {"stars": 4, "sizes": ["S"], "by": {"name": "Anna"}}
    reviewed = {"anonymous_id": "v1", "timestamp": NOW_MS, "name": "Product Reviewed"}
    named = section(to="events", fields={"timestamp": "timestamp"})
    (event,) = read(reviewed | {"properties": properties}, named)
    assert isinstance(event, IngestRecord)
    assert (written(event)["properties"], event.notes) == (properties, ())
    many = {f"p{n}": n for n in range(30)} | {"sizes": ["S"]}
    (event,) = read(VIEW | {"custom_context": many})
    assert isinstance(event, IngestRecord)
    assert "custom_context" not in written(event)
    assert event.notes == ("left_out:custom_context",)


def test_times_are_read_in_the_sections_formats() -> None:
    """And written as our raw topics have them."""
    (event,) = read(VIEW | {"at": 1_795_168_700_123_456}, section(formats="us"))
    assert written(event)["timestamp"] == 1_795_168_700_123


def test_clock_that_is_ahead_of_the_shops_own_record_is_put_right() -> None:
    """By the time of the shop's record, not of ours, which may be written much later."""
    (event,) = read(VIEW | {"at": NOW_MS + 3_600_000})
    assert written(event)["timestamp"] == NOW_MS
    assert isinstance(event, IngestRecord)
    assert event.notes == ("clock_ahead",)


def test_key_may_be_the_visitor_that_no_field_names() -> None:
    """A key that is another than the visitor cannot be joined."""
    fields = {"timestamp": "at", "product_id": "product"}
    (event,) = read(VIEW, section(fields=fields, key="client"))
    assert written(event)["anonymous_id"] == "v1"
    (outcome,) = read(VIEW | {"anonymous_id": "v2"}, section(fields=fields, key="client"))
    assert refusal(outcome)[0] == "key_mismatch"


# -- rows


def users(**more: Any) -> IngestSection:
    """A section that writes rows of users."""
    fields = {"anonymous_id": "id", "email": "mail", "consent": "says"}
    return section("users", "users", fields, **more)


def products(**more: Any) -> IngestSection:
    """A section that writes rows of products."""
    return section("products", "products", {"product_id": "id", "sku": "code"}, **more)


def test_row_is_written_under_its_key() -> None:
    """Ids may be numbers, of the key too; the key stands in no row."""
    (row,) = read({"id": 12345.0, "mail": "a@b.example", "says": {"miso": True}}, users())
    assert written(row) == {"email": "a@b.example", "consent": {"miso": True}}
    assert isinstance(row, IngestRecord)
    assert (row.key, row.to) == (b"12345", "users")
    (row,) = read({"id": 1, "nr": 7, "code": "8S-1", "brand": "B"}, products(key="nr"))
    assert written(row) == {"sku": "8S-1", "brand": "B"}
    assert isinstance(row, IngestRecord)
    assert row.key == b"7"


@pytest.mark.parametrize(("row", "field"), [({"code": "8S-1"}, "product_id"), ({"id": 1}, "sku")])
def test_row_that_nobody_can_use_is_a_dead_letter(row: Any, field: str) -> None:
    """Without a key, and of a product without its SKU: what was there before stays."""
    (outcome,) = read(row, products())
    assert refusal(outcome)[:2] == ("invalid_field", field)


@pytest.mark.parametrize("field", ["consent", "consent_since"])
def test_consent_that_cannot_be_read_takes_back_what_the_row_said(field: str) -> None:
    """The row is written malformed, which says no to all, and whoever reads it is told why."""
    from streams.core.rows import InvalidRow, decode_user

    failing = section("users", "users", {"anonymous_id": "id", field: "contains(says, 'x')"})
    (row,) = read({"id": "v", "says": 5}, failing)
    assert isinstance(row, IngestRecord)
    why = f"{field}: .*the expression .* failed: contains.. got number, not array or string"
    with pytest.raises(InvalidRow, match=why):
        decode_user(row.value or b"", ["miso"])


def test_record_without_a_value_is_a_tombstone_of_its_own_key() -> None:
    """A key may be text, a number, or in Connect's envelope."""
    for key, text in ((b"v1", b"v1"), (b"007", b"007"), (b"12", b"12"), (b'"a"', b"a")):
        (row,) = read(..., users(), key=key)
        assert written(row) is None
        assert isinstance(row, IngestRecord)
        assert row.key == text
    (outcome,) = read(..., users())
    assert refusal(outcome)[0] == "invalid_field"


CHANGE: dict[str, Any] = {"before": None, "after": None, "source": {}, "ts_ms": 1}


def test_debezium_inserts_and_updates_are_rows() -> None:
    """Expressions see what the row is after the change, also where schemas are on."""
    for op in "cur":
        event = CHANGE | {"op": op, "after": {"id": 5, "code": "8S-1"}}
        for value in (event, {"schema": {}, "payload": event}):
            (row,) = read(value, products(envelope="debezium"))
            assert written(row) == {"sku": "8S-1"}


def test_debezium_delete_is_a_tombstone_and_what_follows_it_is_skipped() -> None:
    """Of what the row was before; of the record's own key where that is not told."""
    table = products(envelope="debezium", key="id")
    (row,) = read(CHANGE | {"op": "d", "before": {"id": 5, "code": "8S-1"}}, table, key={"id": 6})
    assert isinstance(row, IngestRecord)
    assert (row.key, row.value) == (b"5", None)
    for key in ({"id": 6}, {"schema": {}, "payload": {"id": 6}}, {"id": 6, "shop": 1}, 6):
        (row,) = read(CHANGE | {"op": "d"}, table, key=key)
        assert isinstance(row, IngestRecord)
        assert (row.key, row.value) == (b"6", None)
    assert read(..., table, key={"id": 6}) == [SkippedRecord("debezium")]


def test_debezium_s_flat_records_say_themselves_whether_the_row_was_deleted() -> None:
    """Else a deleted visitor's consent went on; a column may be called payload or op."""
    table = products(envelope="debezium", key="id")
    flat = {"id": 5, "code": "8S-1", "payload": {"a": 1}, "op": "x"}
    for more in ({"__deleted": "false"}, {"__deleted": False}):
        (row,) = read(flat | more, table)
        assert written(row) == {"sku": "8S-1"}
    for gone in (
        flat | {"__deleted": "true"},
        {"schema": {}, "payload": {"id": 5, "__deleted": True}},
    ):
        (row,) = read(gone, table, key={"id": 6})
        assert isinstance(row, IngestRecord)
        assert (row.key, row.value) == (b"5", None)


def test_debezium_delete_counts_where_the_condition_is_true_of_what_was() -> None:
    """And a table that was truncated says nothing of its rows."""
    table = products(envelope="debezium", when="kind == 'product'")
    event = CHANGE | {"op": "d", "before": {"id": 5, "kind": "voucher"}}
    assert read(event, table, key=5) == [Unmapped("products")]
    assert read(CHANGE | {"op": "t"}, table) == [Unmapped("products")]


@pytest.mark.parametrize("envelope", ["debezium", "connect"])
@pytest.mark.parametrize("value", [{"id": 5}, {"op": "c", "after": 3}, {"op": "x"}, [1]])
def test_record_that_is_in_no_such_envelope_is_a_dead_letter(envelope: str, value: Any) -> None:
    """Once, also where several sections read it."""
    (outcome,) = read(value, products(envelope=envelope), users(envelope=envelope))
    assert refusal(outcome)[0] in ("invalid_field", "invalid_json")


def test_connect_payload_is_the_record_and_null_its_tombstone() -> None:
    """The record's own key is in the same envelope."""
    table = products(envelope="connect")
    (row,) = read({"schema": {}, "payload": {"id": 5, "code": "8S-1"}}, table)
    assert written(row) == {"sku": "8S-1"}
    for value in ({"schema": None, "payload": None}, ...):
        (row,) = read(value, table, key={"schema": {}, "payload": "p5"})
        assert isinstance(row, IngestRecord)
        assert (row.key, row.value) == (b"p5", None)


def test_delete_is_no_event() -> None:
    """A table of events from which rows are removed gives nothing for it."""
    event = CHANGE | {"op": "d", "before": VIEW}
    assert read(event, section(envelope="debezium")) == [Unmapped("views")]


# -- the sum

words = st.sampled_from(["view", "cart", "v1", "", " ", "2026-11-20T09:59:58.120Z", "miso"])
scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | words | st.text(max_size=3)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(words | st.just("id"), inner, max_size=3)
    ),
    max_leaves=6,
)
names = st.sampled_from(
    ["client", "at", "product", "name", "items", "op", "before", "after", "payload", "consent",
     "event_id", "id", "code", "price", "page"]
)  # fmt: skip
records = st.builds(
    lambda more, sound: (VIEW if sound else {}) | more,
    st.dictionaries(names, values, max_size=5),
    st.booleans(),
)
anything = st.one_of(
    st.just(...),
    st.binary(max_size=20),
    records.map(lambda r: json.dumps(r).encode()),
    values.map(lambda r: json.dumps(r).encode()),
)


@given(
    value=anything,
    key=st.none() | st.binary(max_size=8) | values.map(lambda k: json.dumps(k).encode()),
    envelopes=st.tuples(*[st.sampled_from(["none", "debezium", "connect"])] * 3),
)
def test_each_record_is_accounted_for(value: Any, key: bytes | None, envelopes: Any) -> None:
    """Read times fan-out is what is written, unmapped and refused, and it is so each time."""
    views, lines, table = envelopes
    sections = [
        section(when="name != 'cart'", envelope=views),
        section("lines", "add-to-carts", each="items", when="contains(name, 'c')", envelope=lines),
        products(envelope=table, when="id"),
    ]
    outcomes = read(value, *sections, key=key)
    assert outcomes
    assert outcomes == read(value, *sections, key=key) or any(
        isinstance(o, IngestRefusal) for o in outcomes
    )
    places = [(o.section, getattr(o, "element", None)) for o in outcomes
              if not isinstance(o, SkippedRecord)]  # fmt: skip
    assert len(places) == len(set(places))
    for outcome in outcomes:
        if isinstance(outcome, SkippedRecord | Unmapped):
            continue
        if isinstance(outcome, IngestRefusal):
            assert outcome.error.reason
            continue
        assert outcome.key is not None
        if outcome.to != "products":
            body = written(outcome)
            assert body["anonymous_id"].encode() == outcome.key
            assert body["event_id"]
    alone = [outcome for outcome in outcomes if isinstance(outcome, Unmapped | SkippedRecord)]
    if len(outcomes) > 1:
        assert all(isinstance(o, Unmapped) and o.section == "lines" for o in alone)


items = st.none() | st.lists(st.sampled_from([{"id": 1}, {"id": "b"}, {}, {"id": " "}]), max_size=6)
shop_records = st.tuples(st.sampled_from(["view", "order", "scroll"]), items, st.booleans())


@given(st.lists(shop_records, max_size=8))
def test_read_times_fan_out_is_written_unmapped_and_dead_letters(given_records: Any) -> None:
    """Counted here by the records alone, and there by what comes of them."""
    views = section(when="name == 'view'")
    lines = section(
        "lines", "add-to-carts", FIELDS | {"product_id": "_item.id"},
        when="name == 'order'", each="items",
    )  # fmt: skip
    events = written_ = unmapped = refused = 0
    found: list[IngestOutcome] = []
    for name, elements, has_time in given_records:
        record = VIEW | {"name": name, "items": elements} | ({} if has_time else {"at": None})
        found += read(record, views, lines)
        fan_out = len(elements or ()) if name == "order" else 1
        events += max(1, fan_out)
        if name == "scroll" or not fan_out:
            unmapped += 1
        elif not has_time:
            refused += fan_out
        elif name == "view":
            written_ += 1
        else:
            sound = sum(str(one.get("id", "")).strip() != "" for one in elements)
            written_, refused = written_ + sound, refused + fan_out - sound
    kinds = [type(one) for one in found]
    assert kinds.count(IngestRecord) == written_
    assert kinds.count(Unmapped) == unmapped
    assert kinds.count(IngestRefusal) == refused
    assert len(found) == events == written_ + unmapped + refused


def test_an_order_of_a_shop_becomes_one_of_ours() -> None:
    """With ids as text; a line out of shape is a refusal that names it."""
    fields = {
        "anonymous_id": "client",
        "timestamp": "at",
        "order_id": "number",
        "lines": "items[].{product_id: id, quantity: amount, price: each, currency: 'EUR'}",
    }
    record = VIEW | {"number": 7, "items": [{"id": 1042, "amount": 2.0, "each": 9.5}]}
    orders = section("orders", "orders", fields)
    (order,) = read(record, orders)
    line = {"product_id": "1042", "quantity": 2, "price": 9.5, "currency": "EUR"}
    made = written(order)
    assert (made["order_id"], made["lines"], made["event_id"]) == ("7", [line], "web-3-7")
    (refused,) = read(record | {"items": [{"id": 1}]}, orders)
    words = "lines: line 1: quantity: it is required and missing"
    assert refusal(refused) == ("invalid_field", "lines", words)


def test_records_become_content_views_and_named_events() -> None:
    """Whatever a section names in ``to`` is read as enrichment reads it."""
    who = {"anonymous_id": "client", "timestamp": "at"}
    (view,) = read(VIEW, section("seen", "content-views", who | {"product_ids": "[product]"}))
    assert written(view)["product_ids"] == ["1042"]
    (event,) = read(VIEW, section("other", "events", who | {"name": "'like'"}))
    assert written(event)["name"] == "like"
