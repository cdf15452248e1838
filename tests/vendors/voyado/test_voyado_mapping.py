"""Voyado's mapping and settings: what becomes of each field, who is addressed how."""

from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from streams.core.enrich import EnrichedEvent, MappedEvent
from streams.core.event_types import AddToCart, Click, Event, Page
from streams.core.outcome import SkipReason
from streams.core.records import VendorRecord
from streams.core.rows import Product, User
from streams.vendors.voyado import VENDOR, VoyadoSettings
from streams.vendors.voyado.mapping import mapper

CONTACT = "5c0d7a52-6f0a-4f1c-8a3e-1d2c3b4a5f66"
PRODUCT = Product("8S-row", "8S-10", "Shirt", "Acme", ["Men", "Shirts"], 24.9, "EUR")


def enriched(event: Event, **more: Any) -> EnrichedEvent:
    """Return the event as enrichment would hand it over, of a contact whose id is known."""
    given: dict[str, Any] = {
        "event": event,
        "event_id": "e-1",
        "event_type": event.event_type,
        "timestamp": "2026-11-20T09:59:58.120Z",
        "anonymous_id": "visitor-7",
        "product_id": "p-1042",
        "sku": "8S-1042",
        "user_id": None,
        "user": User(contact_id=CONTACT),
        "product": None,
    }
    return EnrichedEvent(**(given | more))


def click(**more: Any) -> Click:
    """Return the smallest click."""
    return Click("visitor-7", "2026-11-20T09:59:58.120Z", product_id="p-1042", **more)


def cart(**more: Any) -> AddToCart:
    """Return the smallest add-to-cart."""
    return AddToCart("visitor-7", "2026-11-20T09:59:58.120Z", product_id="p-1042", **more)


def mapped(event: EnrichedEvent, **settings: Any) -> Any:
    """Return what the mapping makes of it, as JSON has it."""
    made = mapper(VoyadoSettings.model_validate(settings))(event)
    if isinstance(made, MappedEvent):
        return msgspec.json.decode(msgspec.json.encode(made.payload)), made.contact
    return made if isinstance(made, SkipReason) else msgspec.json.decode(msgspec.json.encode(made))


def test_smallest_click() -> None:
    """Nothing is sent that is not known, above all no empty string."""
    assert mapped(enriched(click())) == {
        "contactId": CONTACT,
        "schemaId": "productClick",
        "createdDate": "2026-11-20T09:59:58.120Z",
        "payload": {"eventId": "e-1", "productSku": "8S-1042"},
    }


def test_whole_add_to_cart() -> None:
    """Every property, flat."""
    event = cart(quantity=3, page=Page("https://shop.example/p/1042"))
    assert mapped(enriched(event, product=PRODUCT), add_to_cart_schema_id="cart-2") == {
        "contactId": CONTACT,
        "schemaId": "cart-2",
        "createdDate": "2026-11-20T09:59:58.120Z",
        "payload": {
            "eventId": "e-1",
            "productSku": "8S-1042",
            "productName": "Shirt",
            "category": "Men > Shirts",
            "brand": "Acme",
            "price": 24.9,
            "currency": "EUR",
            "quantity": 3,
            "url": "https://shop.example/p/1042",
        },
    }


@pytest.mark.parametrize(
    ("event", "row", "price", "currency"),
    [
        ({"price": 19.9, "currency": "SEK"}, (24.9, "EUR"), 19.9, "SEK"),
        ({"price": 19.9}, (24.9, "EUR"), 19.9, "EUR"),
        ({"price": 0}, (24.9, "EUR"), 0, "EUR"),
        ({"currency": "SEK"}, (24.9, "EUR"), 24.9, "EUR"),
        ({"currency": "SEK"}, (24.9, None), 24.9, "SEK"),
        ({"currency": "SEK"}, (None, None), None, "SEK"),
        ({}, (24.9, "EUR"), 24.9, "EUR"),
        ({}, (None, None), None, None),
    ],
)
def test_price_keeps_its_currency(
    event: dict[str, Any],
    row: tuple[float | None, str | None],
    price: float | None,
    currency: str | None,
) -> None:
    """The event's, else the row's; never the row's price in another currency than its own."""
    product = Product("8S-row", price=row[0], currency=row[1])
    payload = mapped(enriched(click(**event), product=product))["payload"]
    assert (payload.get("price"), payload.get("currency")) == (price, currency)


@pytest.mark.parametrize(
    ("user", "lookup_email", "contact"),
    [
        (User(custom_key="C7001"), False, {"customKey": "C7001"}),
        (User(custom_key="C7001", email="a@shop.example"), True, {"customKey": "C7001"}),
        (User(email="a@shop.example"), True, {"email": "a@shop.example"}),
    ],
)  # fmt: skip
def test_contact_without_id_is_addressed_by_one_key(
    user: User, lookup_email: bool, contact: dict[str, str]
) -> None:
    """Beside the payload, which is whole but for the contact."""
    payload, found = mapped(enriched(click(), user=user), lookup_email=lookup_email)
    assert found == contact
    assert payload == {
        "schemaId": "productClick",
        "createdDate": "2026-11-20T09:59:58.120Z",
        "payload": {"eventId": "e-1", "productSku": "8S-1042"},
    }


@pytest.mark.parametrize(
    ("user", "lookup_email"),
    [
        (None, True),
        (User(), True),
        (User(user_id="u-7"), True),
        (User(email="a@shop.example"), False),
    ],
)
def test_visitor_who_is_no_contact_is_skipped(user: User | None, lookup_email: bool) -> None:
    """An e-mail is used only if the shop says so; a user id is no key of Voyado's."""
    for event in (click(), cart()):
        found = mapped(enriched(event, user=user, user_id="u-7"), lookup_email=lookup_email)
        assert found is SkipReason.NO_CONTACT


def test_clicks_that_are_off_are_thinned_and_carts_are_sent() -> None:
    """Of several reasons the first of the list: no contact goes before thinned."""
    assert mapped(enriched(click()), clicks="off") is SkipReason.THINNED
    assert mapped(enriched(click(), user=None), clicks="off") is SkipReason.NO_CONTACT
    assert mapped(enriched(cart()), clicks="off")["schemaId"] == "addToCart"


def test_nothing_of_the_visitor_but_the_contact_is_sent() -> None:
    """Neither address, user agent nor our own ids."""
    event = click(ip="203.0.113.77", user_agent="Mozilla/5.0", user_id="u-77", region="DE-BY")
    text = str(mapped(enriched(event, user_id="u-77")))
    for private in ("203.0.113", "Mozilla", "u-77", "DE-BY", "visitor-7"):
        assert private not in text


# -- what stays in order


def test_a_visitors_events_stay_in_order_also_while_the_contact_becomes_known() -> None:
    """An ordered queue by contact would let what comes after a login overtake what came before."""
    before = VendorRecord("e-1", "click", "t", "visitor-7", {}, {"customKey": "C7"})
    after = VendorRecord("e-2", "click", "t", "visitor-7", {"contactId": CONTACT})
    assert VENDOR.ordering_key(before) == VENDOR.ordering_key(after) == "visitor-7"


# -- settings


def test_settings_default_to_the_shipped_schemas() -> None:
    """Only key and address have to be given."""
    settings = VoyadoSettings.model_validate({})
    assert settings.model_dump() == {
        "enabled": None,
        "base_url": "",
        "max_age_hours": None,
        "api_key": None,
        "user_agent": "clickstream-relay/0.1.0",
        "click_schema_id": "productClick",
        "add_to_cart_schema_id": "addToCart",
        "clicks": "thinned",
        "requests_per_second": 40,
        "lookup_email": False,
        "late_identity_minutes": 0,
    }


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("user_agent", "AcmeShop", "must be Name/Version, like AcmeShop/1.5"),
        ("user_agent", "/1.5", "must be Name/Version"),
        ("user_agent", "Höst/1", "must be Name/Version"),
        ("user_agent", " Acme/1", "must have no spaces around it"),
        ("click_schema_id", "Höst", "should match pattern"),
        ("add_to_cart_schema_id", "", "should match pattern"),
        ("add_to_cart_schema_id", "a/b", "should match pattern"),
        ("clicks", "some", "should be 'thinned', 'all' or 'off'"),
        ("requests_per_second", 0, "greater than 0"),
        ("requests_per_second", 201, "less than or equal to 200"),
    ],
)
def test_setting_that_cannot_work_is_refused(name: str, value: Any, words: str) -> None:
    """At start, not by the vendor."""
    with pytest.raises(ValidationError) as refusal:
        VoyadoSettings.model_validate({name: value})
    assert words in str(refusal.value)


def test_open_requests_of_a_worker_are_at_most_64() -> None:
    """What was open at a crash is looked for before it is repeated, so it must not be many."""
    settings = VoyadoSettings.model_validate({})
    assert VENDOR.queues * 6 <= 64
    assert VENDOR.concurrency(settings) <= 64
    assert VENDOR.retry_waits == (10.0, 30.0, 60.0, 300.0)
    assert VENDOR.max_batch_records(settings) == 1
