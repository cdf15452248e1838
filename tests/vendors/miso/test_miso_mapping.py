"""Miso's mapping: what becomes of each field, and what a type may carry."""

from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from streams.core.enrich import EnrichedEvent, MappedEvent
from streams.core.errors import InvalidEvent
from streams.core.event_types import AddToCart, Click, Event, Page
from streams.vendors import plan_for
from streams.vendors.miso import VENDOR, MisoSettings
from streams.vendors.miso.mapping import MisoInteraction, mapper, truncated_ip
from streams.vendors.miso.types import CLICK_TYPES, COMMON, PROPERTIES


def enriched(event: Event, **more: Any) -> EnrichedEvent:
    """Return the event as enrichment would hand it over."""
    given: dict[str, Any] = {
        "event": event,
        "event_id": "e-1",
        "event_type": event.event_type,
        "timestamp": "2026-11-20T09:59:58.120Z",
        "anonymous_id": "visitor-7",
        "product_id": "p-1042",
        "sku": "8S-1042",
        "user_id": None,
        "user": None,
        "product": None,
    }
    return EnrichedEvent(**(given | more))


def click(**more: Any) -> Click:
    """Return the smallest click."""
    return Click("visitor-7", "2026-11-20T09:59:58.120Z", product_id="p-1042", **more)


def mapped(event: EnrichedEvent, **settings: Any) -> Any:
    """Return the payload as Miso reads it."""
    made = mapper(MisoSettings.model_validate(settings))(event)
    return msgspec.to_builtins(made.payload if isinstance(made, MappedEvent) else made)


def test_smallest_click() -> None:
    """Nothing is sent that is not known, above all no empty string."""
    assert mapped(enriched(click())) == {
        "type": "product_detail_page_view",
        "anonymous_id": "visitor-7",
        "timestamp": "2026-11-20T09:59:58.120Z",
        "product_ids": ("8S-1042",),
        "context": {"custom_context": {"uuid": "e-1"}},
    }


def test_smallest_add_to_cart_has_its_quantity() -> None:
    """One quantity for the one product."""
    event = AddToCart("visitor-7", "2026-11-20T09:59:58.120Z", product_id="p-1042", quantity=3)
    payload = mapped(enriched(event), click_type="click")
    assert payload["type"] == "add_to_cart"
    assert payload["quantities"] == (3,)


@pytest.mark.parametrize(("setting", "sent"), [("sku", "8S-1042"), ("product_id", "p-1042")])
def test_product_is_named_as_in_misos_catalogue(setting: str, sent: str) -> None:
    """The shop knows which of its ids it gave to Miso."""
    assert mapped(enriched(click()), product_id=setting)["product_ids"] == (sent,)


def test_a_catalogue_by_product_id_needs_no_sku() -> None:
    """So an event whose product has no row is no unknown product there."""
    assert plan_for(VENDOR, MisoSettings(product_id="sku")).needs_sku
    assert not plan_for(VENDOR, MisoSettings(product_id="product_id")).needs_sku
    assert mapped(enriched(click(), sku=""), product_id="product_id")["product_ids"] == ("p-1042",)


def test_both_ids_go_to_miso() -> None:
    """Miso links the visitor's past to the user."""
    payload = mapped(enriched(click(), user_id="u-77"))
    assert (payload["user_id"], payload["anonymous_id"]) == ("u-77", "visitor-7")


@pytest.mark.parametrize(
    ("field", "more"),
    [
        ("user_id", {"user_id": "u" * 513}),
        ("anonymous_id", {"anonymous_id": "v" * 1025}),
        ("product_ids", {"sku": "s" * 513}),
    ],
)
def test_id_beyond_misos_limit_never_becomes_half_a_payload(
    field: str, more: dict[str, str]
) -> None:
    """An id cannot be cut without meaning somebody else."""
    with pytest.raises(InvalidEvent) as problem:
        mapped(enriched(click(), **more))
    assert (str(problem.value.reason), problem.value.field) == ("invalid_payload", field)


def test_ids_at_misos_limit_are_sent() -> None:
    """The limits are inclusive."""
    payload = mapped(enriched(click(), user_id="u" * 512, anonymous_id="v" * 1024, sku="s" * 512))
    assert len(payload["user_id"]) == 512


@pytest.mark.parametrize(
    ("ip", "sent"),
    [
        ("203.0.113.77", "203.0.113.0"),
        ("8.8.8.8", "8.8.8.0"),
        ("2001:db8::1", None),
        ("::ffff:203.0.113.77", None),
    ],
)
def test_no_address_goes_out_whole(ip: str, sent: str | None) -> None:
    """IPv4 without its last octet, IPv6 not at all."""
    assert truncated_ip(ip) == sent
    assert mapped(enriched(click(ip=ip)))["context"].get("truncated_ip") == sent


def test_payload_has_only_what_its_type_allows() -> None:
    """One property too many would refuse the whole request."""
    fields = set(MisoInteraction.__struct_fields__) - {"duration"}
    assert fields <= COMMON | PROPERTIES["checkout"]
    assert fields - {"revenue"} <= COMMON | PROPERTIES["add_to_cart"]
    for click_type in CLICK_TYPES:
        assert fields - {"quantities", "revenue"} <= COMMON | PROPERTIES[click_type]


def test_the_vendors_29_types_are_known() -> None:
    """As many as its description lists."""
    assert len(PROPERTIES) == 29


INTEREST = (
    "product_detail_page_view, click, product_image_view, promo_page_view, read, watch, listen, "
    "like, bookmark, share, add_to_collection"
)


@pytest.mark.parametrize("click_type", sorted(PROPERTIES.keys() - set(INTEREST.split(", "))))
def test_a_type_that_means_no_interest_is_a_settings_problem(click_type: str) -> None:
    """Miso would learn the opposite; it is found at start, and the types that will do are named."""
    with pytest.raises(ValidationError) as refusal:
        MisoSettings(click_type=click_type)
    assert (
        f"'{click_type}' means no interest in a product, which is all that a click tells; "
        f"a click can be sent as {INTEREST}"
    ) in str(refusal.value)


def test_no_interest_is_meant_by_what_takes_something_back() -> None:
    """Nor by what is only shown, nor by what needs more than a click knows."""
    no_interest = {
        *("refund", "remove_from_cart", "dislike", "unsubscribe", "remove_from_collection"),
        *("impression", "viewable_impression", "submit", "complete", "subscribe"),
        *("custom", "rate", "checkout", "add_to_cart"),
        *("search", "category_page_view", "home_page_view", "feedback"),
    }
    assert no_interest == PROPERTIES.keys() - set(CLICK_TYPES)


@pytest.mark.parametrize("click_type", ["", "view", "Click"])
def test_an_unknown_type_is_a_settings_problem(click_type: str) -> None:
    """With the types that will do."""
    with pytest.raises(ValidationError) as refusal:
        MisoSettings(click_type=click_type)
    assert f"'{click_type}' is no interaction type of Miso; a click can be sent as {INTEREST}" in (
        str(refusal.value)
    )


@pytest.mark.parametrize("click_type", CLICK_TYPES)
def test_click_becomes_the_type_of_the_settings(click_type: str) -> None:
    """Each of these can carry a product."""
    assert mapped(enriched(click()), click_type=click_type)["type"] == click_type


@pytest.mark.parametrize(
    ("page", "notes"),
    [
        (Page(url="https://shop.example/", title="Shop"), ()),
        (Page(title="Shop", referrer="https://shop.example/"), ("left_out:miso.page",)),
        (Page(), ("left_out:miso.page",)),
        (None, ()),
    ],
)
def test_a_page_that_is_left_out_is_noted(page: Page | None, notes: tuple[str, ...]) -> None:
    """Miso takes none without its address; texts have no limit there, so none is cut."""
    made = mapper(MisoSettings())(enriched(click(page=page)))
    assert (made.notes if isinstance(made, MappedEvent) else ()) == notes


def test_the_longest_texts_of_an_event_are_sent_whole() -> None:
    """Its description names no limit for them."""
    text = "ä" * 4096
    page = Page(url=text, referrer=text, title=text)
    context = mapped(enriched(click(page=page, user_agent=text)))["context"]
    assert context["page"] == {"url": text, "referrer": text, "title": text}
    assert context["user_agent"] == text
