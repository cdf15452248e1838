"""Orders and what other sources bring: each vendor's payload, judged by its simulator."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.enrich import Decision, Enricher, Refuse, Send, Skip, rows_named
from streams.core.errors import InvalidEvent
from streams.core.event_types import Event
from streams.core.events import EventParser
from streams.core.kinds import KINDS
from streams.core.outcome import DeadLetterReason, SkipReason
from streams.core.rows import Product, User
from streams.lab.sandbox.eightselect import EightSelectSimulator
from streams.lab.sandbox.exchange import Call
from streams.lab.sandbox.miso import MisoSimulator
from streams.operations.check.samples import sample_payloads
from streams.settings import EventSettings
from streams.vendors import VENDORS, plan_for
from streams.vendors.eightselect import EightSelectSettings
from streams.vendors.miso import MisoSettings
from streams.vendors.miso.types import COMMON as COMMON_PROPERTIES
from streams.vendors.miso.types import PROPERTIES
from streams.vendors.voyado import VoyadoSettings

KAFKA_MS = 1_795_168_800_000
SETTINGS: dict[str, Any] = {
    "eightselect": EightSelectSettings.model_validate(
        {"api_id": "account", "user_id_secret": "secret-of-the-ids"}
    ),
    "voyado": VoyadoSettings.model_validate({"api_key": "key", "base_url": "https://a.voyado.com"}),
    "miso": MisoSettings.model_validate({"api_key": "secret"}),
}
USER = User(user_id="u-7", contact_id="5c0d7a52-6f0a-4f1c-8a3e-1d2c3b4a5f66")
PRODUCTS = {
    "p-1": Product(
        "8S-1",
        "8S-G1",
        "Shirt",
        "Acme",
        ["Men"],
        24.9,
        "EUR",
        attributes={"size": "M", "brand": "x"},
    ),
    "p-2": Product("8S-2"),
}
COMMON = {
    "event_id": "e-1",
    "timestamp": "2026-11-20T09:59:58.120Z",
    "anonymous_id": "visitor-7",
}


def parse(kind: str, record: dict[str, Any]) -> Event:
    """Return the event of a raw record; its notes are those of the parser."""
    value = msgspec.json.encode(COMMON | record)
    return EventParser(kind, f"shop.{kind}s").parse(b"visitor-7", value, 0, 1, KAFKA_MS)


def decide(event: Event, vendor: str, events: Any = None, **settings: Any) -> Decision:
    """Return what enrichment decides for one vendor."""
    section = SETTINGS[vendor].model_copy(update=settings)
    enricher = Enricher([plan_for(VENDORS[vendor], section, events or EVENTS)], "assumed")
    product, products = rows_named(event, PRODUCTS.get)
    (decision,) = enricher.decide(event, USER, None, product, KAFKA_MS, KAFKA_MS, products=products)
    return decision


def payload(decision: Decision) -> dict[str, Any]:
    """Return what is sent."""
    assert isinstance(decision, Send), decision
    found: dict[str, Any] = msgspec.json.decode(decision.value)["payload"]
    return found


def store(
    simulator: Any, vendor: str, sent: dict[str, Any], *, may_lack_product: bool = False
) -> None:
    """Send a payload as the sink does; the simulator takes it without remark."""
    body = msgspec.json.encode(sent)
    request = VENDORS[vendor].build_request([body], SETTINGS[vendor])
    call = Call(request.method, request.path, {}, request.headers, request.body, 1, 1.0)
    response = simulator.answer(call)
    assert response.status == 200, response.body
    remarks = set(simulator.ledger.summary()["flagged"])
    assert remarks <= ({"no_product"} if may_lack_product else set())


LINES = [
    {"product_id": "p-1", "quantity": 2, "price": 19.9, "currency": "EUR"},
    {"product_id": "p-9", "sku": "own", "quantity": 1, "price": 5, "currency": "EUR"},
]


def test_an_order_as_each_vendor_receives_it() -> None:
    """Gross unit prices at 8SELECT, quantities as long as ids at Miso, nothing at Voyado."""
    order = parse("order", {"order_id": "A-1", "lines": LINES, "revenue": 44.8})
    sent = payload(decide(order, "eightselect"))
    assert sent["order"] == {
        "id": "A-1",
        "lines": [
            {"sku": "8S-1", "quantity": 2, "grossPrice": {"amount": 19.9, "currency": "EUR"}},
            {"sku": "own", "quantity": 1, "grossPrice": {"amount": 5.0, "currency": "EUR"}},
        ],
    }
    assert [entry["type"] for entry in sent["context"]] == ["user"]
    checkout = payload(decide(order, "miso"))
    assert {name: checkout[name] for name in checkout.keys() - {"context"}} == {
        "type": "checkout",
        "anonymous_id": "visitor-7",
        "user_id": "u-7",
        "timestamp": "2026-11-20T09:59:58.120Z",
        "product_ids": ["8S-1", "own"],
        "quantities": [2, 1],
        "revenue": 44.8,
    }
    assert decide(order, "voyado") == Skip("voyado", SkipReason.OWN_PATHWAY)


def test_a_line_that_8select_could_not_count_is_a_dead_letter_there() -> None:
    """A line's own price counts, never the row's; the order's currency does."""
    for change, words in (
        ({"product_id": "p-9"}, "SKU, neither its own nor one in shop.products"),
        ({"price": None}, "price of its own"),
        ({"currency": None}, "currency"),
    ):
        order = parse("order", {"order_id": "A-1", "lines": [LINES[1], LINES[0] | change]})
        decision = decide(order, "eightselect")
        assert isinstance(decision, Refuse)
        assert decision.error.reason is DeadLetterReason.INVALID_PAYLOAD
        assert decision.error.detail == f"lines: line 2 has no {words}"
    in_order = {"order_id": "A-1", "currency": "SEK", "lines": [LINES[0] | {"currency": None}]}
    sent = payload(decide(parse("order", in_order), "eightselect"))
    assert sent["order"]["lines"][0]["grossPrice"] == {"amount": 19.9, "currency": "SEK"}


def test_at_miso_lines_without_sku_are_left_out_and_counted() -> None:
    """Unless Miso's catalogue goes by product id, which every line has."""
    unknown = {"product_id": "p-9", "quantity": 1}
    order = parse("order", {"order_id": "A-1", "lines": [unknown, LINES[0]]})
    decision = decide(order, "miso")
    assert isinstance(decision, Send)
    assert decision.notes == ("left_out:miso.lines",)
    assert payload(decision)["product_ids"] == ["8S-1"]
    assert payload(decide(order, "miso", product_id="product_id"))["product_ids"] == ["p-9", "p-1"]
    none = parse("order", {"order_id": "A-1", "lines": [unknown]})
    assert decide(none, "miso") == Skip("miso", SkipReason.UNKNOWN_PRODUCT)


def test_a_content_view_as_each_vendor_receives_it() -> None:
    """What was seen: the content at 8SELECT, its known products at Miso."""
    content = {"type": "matchingProductClusters", "id": "8S-1"}
    view = parse("content_view", {"content": content, "product_ids": ["p-1", "p-9", "p-2"]})
    assert payload(decide(view, "eightselect"))["view"] == {
        "type": "matchingProductClusters",
        "matchingProductClusters": {"id": "8S-1"},
    }
    assert decide(view, "voyado") == Skip("voyado", SkipReason.OWN_PATHWAY)
    decision = decide(view, "miso")
    assert isinstance(decision, Send)
    assert decision.notes == ("left_out:miso.product_ids",)
    assert payload(decision)["type"] == "viewable_impression"
    assert payload(decision)["product_ids"] == ["8S-1", "8S-2"]
    unknown = parse("content_view", {"product_ids": ["p-9"]})
    assert decide(unknown, "miso") == Skip("miso", SkipReason.NO_PRODUCTS)
    assert decide(unknown, "eightselect") == Skip("eightselect", SkipReason.OUTSIDE_CONTENT)


def test_a_content_view_of_nothing_is_a_dead_letter() -> None:
    """Where what it names is out of shape, that is said."""
    neither = "neither content nor product_ids is given"
    for more, words in (
        ({}, neither),
        ({"product_ids": [" ", None]}, neither),
        ({"content": {"type": "page", "id": "x"}}, "content: content cannot be read"),
        ({"product_ids": "p-1", "content": 1}, "content and product_ids cannot be read"),
    ):
        with pytest.raises(InvalidEvent, match=words):
            parse("content_view", more)


EVENTS = {
    "review": EventSettings(
        miso="rate",
        voyado_schema_id="review",
        voyado_fields={
            "stars": "rating",
            "size": "_product.attributes.size",
            "text": "properties.text",
            "broken": "abs(name)",
        },
        eightselect_action="review",
    ),
    "search": EventSettings(miso="search"),
    "quiz": EventSettings(miso="custom", miso_custom_action_name="quiz"),
    "refund": EventSettings(
        miso="checkout", miso_fields={"quantities": "amounts", "revenue": "sum(sums)"}
    ),
}


def test_a_named_event_as_each_vendor_receives_it() -> None:
    """By its section; rows of products are there for expressions."""
    record = {
        "name": "review",
        "product_ids": ["p-1", "p-9"],
        "rating": 4,
        "duration": 3,
        "content": {"type": "customSet", "id": "set-9"},
        "properties": {"text": "fine", "deep": {"a": 1}, "uuid": "mine"},
    }
    event = parse("event", record)
    assert event.notes == ("left_out:properties",)
    decision = decide(event, "eightselect")
    assert payload(decision)["interact"] == {
        "type": "product",
        "action": "review",
        "product": {"sku": "8S-1"},
    }
    interaction = decide(event, "voyado")
    assert isinstance(interaction, Send)
    assert interaction.notes == ("left_out:voyado.broken",)
    assert payload(interaction) == {
        "schemaId": "review",
        "createdDate": "2026-11-20T09:59:58.120Z",
        "contactId": "5c0d7a52-6f0a-4f1c-8a3e-1d2c3b4a5f66",
        "payload": {"eventId": "e-1", "stars": 4, "size": "M", "text": "fine"},
    }
    sent = payload(decide(event, "miso"))
    assert (sent["type"], sent["product_ids"], sent["rating"]) == ("rate", ["8S-1"], 4.0)
    assert sent["context"]["custom_context"] == {"text": "fine", "uuid": "e-1"}
    assert sent.keys().isdisjoint({"duration", "category", "search"})


def test_what_no_section_names_is_unmapped() -> None:
    """The name, or the vendor."""
    for vendor in VENDORS:
        unknown = decide(parse("event", {"name": "else"}), vendor)
        assert unknown == Skip(vendor, SkipReason.UNMAPPED)
    search = parse("event", {"name": "search", "search": "shirt"})
    assert decide(search, "voyado") == Skip("voyado", SkipReason.UNMAPPED)
    assert payload(decide(search, "miso"))["search"] == {"keywords": "shirt"}


def test_of_a_search_only_what_is_out_of_shape_is_left_out() -> None:
    """Keywords stay where the filters are unusual."""
    given = {"keywords": "shirt", "filters": {"size": "M"}}
    search = parse("event", {"name": "search", "search": given})
    assert search.notes == ("left_out:search.filters",)
    assert payload(decide(search, "miso"))["search"] == {"keywords": "shirt"}


def test_a_nested_value_for_voyado_is_a_dead_letter_before_any_request() -> None:
    """No schema takes one; the other vendors receive the event."""
    event = parse("event", {"name": "review", "product_id": "p-1", "properties": {"text": ["a"]}})
    decision = decide(event, "voyado")
    assert isinstance(decision, Refuse)
    assert (decision.error.reason, decision.error.field, decision.error.detail) == (
        DeadLetterReason.INVALID_PAYLOAD,
        "text",
        "text is not a single value",
    )
    assert payload(decide(event, "miso"))["type"] == "rate"


def test_an_event_that_breaks_misos_rules_is_a_dead_letter_there() -> None:
    """Quantities unlike ids, say; what is found by expressions is judged like the rest."""
    record = {"name": "refund", "product_ids": ["p-1", "p-2"], "amounts": [1], "sums": [3, 4]}
    decision = decide(parse("event", record), "miso")
    assert isinstance(decision, Refuse)
    assert decision.error.reason is DeadLetterReason.INVALID_PAYLOAD
    assert "quantities must be as many as the products" in decision.error.detail
    sent = payload(decide(parse("event", record | {"amounts": [1, 2]}), "miso"))
    assert (sent["quantities"], sent["revenue"]) == ([1, 2], 7)
    none = decide(parse("event", {"name": "review", "rating": 9}), "miso")
    assert none == Skip("miso", SkipReason.NO_PRODUCTS)
    unknown = decide(parse("event", {"name": "review", "product_id": "p-9"}), "miso")
    assert unknown == Skip("miso", SkipReason.UNKNOWN_PRODUCT)


def test_a_click_has_a_duration_and_a_context_of_its_own() -> None:
    """At Miso, if the type that clicks become has one; our event id stays ours."""
    more = {"duration": 7.5, "custom_context": {"slot": 3, "deep": [1], "uuid": "mine"}}
    click = parse("click", {"product_id": "p-1"} | more)
    assert click.notes == ("left_out:custom_context",)
    sent = payload(decide(click, "miso"))
    assert sent["duration"] == 7.5
    assert sent["context"]["custom_context"] == {"slot": 3, "uuid": "e-1"}
    store(MisoSimulator(), "miso", sent)
    without = decide(click, "miso", click_type="click")
    assert isinstance(without, Send)
    assert without.notes == ("left_out:miso.duration",)
    assert "duration" not in payload(without)
    full = {"product_id": "p-1", "custom_context": dict.fromkeys(map(str, range(21)), 1)}
    assert parse("click", full).notes == ("left_out:custom_context",)


def test_attributes_of_a_product_reach_voyado() -> None:
    """Its sink leaves out those that the schema does not name; fields of ours keep their names."""
    click = parse("click", {"product_id": "p-1"})
    sent = payload(decide(click, "voyado"))["payload"]
    assert (sent["size"], sent["brand"], sent["productSku"]) == ("M", "Acme", "8S-1")


ids = st.one_of(
    st.sampled_from(["p-1", "p-2", "null"]),
    st.text(min_size=1, max_size=40).filter(lambda text: not text.isspace()),
    st.integers(0, 2**63 - 1),
)
lines = st.fixed_dictionaries(
    {"product_id": ids, "quantity": st.integers(1, 2**63 - 1)},
    optional={
        "sku": ids,
        "price": st.floats(0, 1e13),
        "currency": st.just("EUR"),
    },
)
context = st.fixed_dictionaries(
    {},
    optional={
        "page": st.fixed_dictionaries(
            {}, optional={"url": st.text(max_size=20), "title": st.text(max_size=20)}
        ),
        "ip": st.sampled_from(["203.0.113.7", "2001:db8::1", "nowhere"]),
        "miso_id": st.uuids().map(str),
        "content": st.just({"type": "customSet", "id": "set-9"}),
        "user_id": ids,
    },
)
orders = st.fixed_dictionaries(
    {"order_id": ids, "lines": st.lists(lines, min_size=1, max_size=6)},
    optional={"revenue": st.floats(0, 1e13), "currency": st.just("EUR")},
)


@given(orders, context)
def test_whatever_an_order_becomes_its_vendor_takes(
    order: dict[str, Any], more: dict[str, Any]
) -> None:
    """The simulators are written from the vendors' pages and share no code with the mappings."""
    assert_taken(parse("order", more | order))


@given(st.lists(ids, max_size=6), context)
def test_whatever_a_content_view_becomes_its_vendor_takes(
    products: list[Any], more: dict[str, Any]
) -> None:
    """As above."""
    if products or "content" in more:
        assert_taken(parse("content_view", more | {"product_ids": products}))


named_events: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"name": st.sampled_from(["review", "search", "quiz"])},
    optional={
        "product_id": ids,
        "product_ids": st.lists(ids, max_size=3),
        "product_group_ids": st.lists(ids, max_size=3),
        "search": st.one_of(
            st.text(max_size=20),
            st.fixed_dictionaries(
                {},
                optional={
                    "keywords": st.text(max_size=9),
                    "filters": st.dictionaries(
                        st.text(max_size=9), st.lists(st.text(max_size=9), max_size=2), max_size=2
                    ),
                },
            ),
        ),
        "category": st.lists(st.text(max_size=9), max_size=3),
        "rating": st.floats(-1, 6),
        "duration": st.floats(-1, 1e9),
        "properties": st.dictionaries(
            st.text(max_size=9),
            st.one_of(st.none(), st.booleans(), st.floats(-9, 9), st.text(max_size=9), st.just([])),
            max_size=3,
        ),
    },
)


@given(named_events, context)
def test_whatever_a_named_event_becomes_its_vendor_takes(
    event: dict[str, Any], more: dict[str, Any]
) -> None:
    """As above."""
    assert_taken(parse("event", more | event))


@given(st.sampled_from(sorted(PROPERTIES)), named_events, context)
def test_each_of_misos_types_has_exactly_its_properties(
    type_: str, event: dict[str, Any], more: dict[str, Any]
) -> None:
    """All 29, of events that have everything."""
    action = "act" if type_ == "custom" else None
    events = {event["name"]: EventSettings(miso=type_, miso_custom_action_name=action)}
    decision = decide(parse("event", more | event), "miso", events)
    if isinstance(decision, Send):
        sent = payload(decision)
        assert sent.keys() <= COMMON_PROPERTIES | PROPERTIES[type_]
        simulator = MisoSimulator()
        store(simulator, "miso", sent, may_lack_product=True)


def assert_taken(event: Event) -> None:
    """Send an event to all vendors that get it."""
    for vendor, simulator in (("eightselect", EightSelectSimulator()), ("miso", MisoSimulator())):
        decision = decide(event, vendor)
        if isinstance(decision, Send):
            is_custom = event.event_type == "event"
            store(simulator, vendor, payload(decision), may_lack_product=is_custom)
            assert len(simulator.ledger) == 1
        else:
            assert isinstance(decision, Skip) or decision.error.field is not None


@pytest.mark.parametrize("vendor", VENDORS)
def test_check_sends_an_event_of_each_source_that_is_on(vendor: str) -> None:
    """One of each name, too; the vendor's simulator takes them all."""
    payloads, refusals = sample_payloads(VENDORS[vendor], SETTINGS[vendor], KAFKA_MS, KINDS, EVENTS)
    assert refusals == []
    counts = {"eightselect": 5, "voyado": 3, "miso": 8}
    assert len(payloads) == counts[vendor]
    if vendor == "voyado":
        return
    simulator = EightSelectSimulator() if vendor == "eightselect" else MisoSimulator()
    for sent in payloads:
        store(simulator, vendor, msgspec.json.decode(sent), may_lack_product=True)
