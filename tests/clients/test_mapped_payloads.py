"""What the relay sends is what the models of the clients take: one form for both."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from streams.core.enrich import Enricher, Send
from streams.core.events import EventParser
from streams.core.kinds import KINDS
from streams.core.rows import Product, User
from streams.settings.models import EventSettings
from streams.vendors import VENDORS, plan_for
from streams.vendors.base import RequestModel
from streams.vendors.eightselect.models import InteractRequest, OrderRequest, ViewRequest
from streams.vendors.miso.models import read_record
from streams.vendors.voyado.models import NewInteraction
from tests.clients.simulators import CONTACT, USER, settings_for

NOW_MS = 1_795_168_800_000
LINE = {"product_id": "p-1", "sku": "s-1", "quantity": 2, "price": 19.9, "currency": "EUR"}
EVENTS = {
    "wish": EventSettings.model_validate(
        {
            "eightselect_action": "addToWishlist",
            "voyado_schema_id": "wishlist",
            "voyado_fields": {"productSku": "product_id"},
            "miso": "add_to_collection",
        }
    )
}
SMALLEST: dict[str, Any] = {
    "name": "wish",
    "timestamp": "2026-11-20T10:00:00Z",
    "anonymous_id": "v-1",
    "product_id": "p-1",
    "content": {"type": "customSet", "id": "set-1"},
    "product_ids": ["p-1", "p-2"],
    "order_id": "o-1",
    "lines": [LINE, {**LINE, "quantity": 1}],
}
LARGEST: dict[str, Any] = SMALLEST | {
    "user_id": "u-1",
    "quantity": 3,
    "price": 19,
    "currency": "EUR",
    "revenue": 99.5,
    "page": {"url": "https://shop.example/", "referrer": "https://x.example", "title": "Hi"},
    "ip": "203.0.113.77",
    "locale": "de-DE",
    "region": "SE",
    "user_agent": "Browser/1",
    "campaign": {"name": "spring", "source": "mail"},
    "miso_id": USER,
    "eightselect_user_id": USER,
}
EIGHTSELECT: dict[str, type[RequestModel]] = {
    "interact": InteractRequest,
    "order": OrderRequest,
    "view": ViewRequest,
}


def read(vendor: str, payload: Any) -> RequestModel:
    """The model of a payload."""
    if vendor == "miso":
        return read_record(payload)
    if vendor == "voyado":
        return NewInteraction.model_validate(payload)
    return EIGHTSELECT[payload["type"]].model_validate(payload)


def mapped(vendor: str, kind: str, event: dict[str, Any]) -> Iterator[Any]:
    """What this vendor's mapping makes of an event."""
    settings = settings_for(
        "https://x.example", STREAMS_EIGHTSELECT_USER_ID_SECRET="a-secret-of-the-ids"
    )
    plan = plan_for(VENDORS[vendor], settings.vendors[vendor], EVENTS)
    enricher = Enricher([plan], "assumed")
    value = json.dumps(event).encode()
    parsed = EventParser(kind, "shop").parse(b"v-1", value, 0, 0, NOW_MS)
    user = User(user_id="u-1", contact_id=CONTACT)
    product = Product(sku="s-1", name="Shirt", brand="Acme", category=["Men", "Shirts"], price=9.5)
    rows = {"p-1": product}
    for decision in enricher.decide(parsed, user, None, product, NOW_MS, NOW_MS, (), rows):
        if isinstance(decision, Send):
            yield msgspec.json.decode(decision.value)["payload"]


@pytest.mark.parametrize("event", [SMALLEST, LARGEST], ids=["smallest", "largest"])
@pytest.mark.parametrize("kind", [kind.event_type for kind in KINDS.values()])
@pytest.mark.parametrize("vendor", VENDORS)
def test_a_model_holds_what_the_relay_sends(vendor: str, kind: str, event: dict[str, Any]) -> None:
    """Nothing is refused, left out or written otherwise."""
    for payload in mapped(vendor, kind, event):
        assert json.loads(read(vendor, payload).encode()) == payload


def test_every_kind_is_sent_to_somebody() -> None:
    """So the comparison compares something."""
    sent = {
        (vendor, kind.event_type): len(list(mapped(vendor, kind.event_type, LARGEST)))
        for vendor in VENDORS
        for kind in KINDS.values()
    }
    assert all(sent["miso", kind.event_type] == 1 for kind in KINDS.values())
    assert all(sent["eightselect", kind.event_type] == 1 for kind in KINDS.values())
    assert all(sent["voyado", event_type] == 1 for event_type in ("click", "add_to_cart", "event"))
