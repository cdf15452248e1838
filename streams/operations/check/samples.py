"""Test events of ``streams check``, as a vendor's own mapping makes them."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from streams.core.enrich import Enricher, Refuse, Send, rows_named
from streams.core.events import EventParser
from streams.core.kinds import ALWAYS_ON, KINDS
from streams.core.rows import Product, User
from streams.core.times import utc_text
from streams.vendors import plan_for
from streams.vendors.base import Vendor, VendorSettings


def sample_payloads(
    vendor: Vendor,
    section: VendorSettings,
    now_ms: int,
    sources: Collection[str] = ALWAYS_ON,
    events: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[list[bytes], list[str]]:
    """Return an event of each of these sources as this vendor's mapping makes it, and refusals.

    ``events``: the sections ``[events.NAME]``; there is one event of each name. Events that the
    settings skip (clicks that are off, say) give no payload. Raises SettingsError where the mapping
    cannot be built with these settings.
    """
    enricher = Enricher([plan_for(vendor, section, events)], "assumed")
    payloads: list[bytes] = []
    refusals: list[str] = []
    for source, extra in [*_EXTRA, *(("events", _NAMED | {"name": name}) for name in events)]:
        if source not in sources:
            continue
        value = msgspec.json.encode(_TEST_EVENT | extra | {"timestamp": utc_text(now_ms)})
        event = EventParser(KINDS[source].event_type, "streams-check").parse(
            _TEST_EVENT["anonymous_id"].encode(), value, 0, 0, now_ms
        )
        product, products = rows_named(event, lambda _: _TEST_PRODUCT)
        for decision in enricher.decide(
            event, _TEST_USER, None, product, now_ms, now_ms, products=products
        ):
            if isinstance(decision, Send):
                payloads.append(bytes(_decode_payload(decision.value).payload))
            elif isinstance(decision, Refuse):
                refusals.append(decision.error.detail)
    return payloads, refusals


class _SampleRecord(msgspec.Struct):
    payload: msgspec.Raw


_decode_payload = msgspec.json.Decoder(_SampleRecord).decode
_LINE = {"product_id": "streams-check", "quantity": 1, "price": 19.9, "currency": "EUR"}
_EXTRA: tuple[tuple[str, dict[str, Any]], ...] = (
    ("clicks", {}),
    ("add-to-carts", {"quantity": 1}),
    ("orders", {"order_id": "streams-check", "lines": [_LINE], "revenue": 19.9}),
    ("content-views", {"product_ids": ["streams-check"]}),
)
"""By source, what its events have beside the fields of all."""
_NAMED: dict[str, Any] = {
    "product_group_ids": ["streams-check"],
    "category": ["Tests"],
    "search": {"keywords": "streams-check"},
    "rating": 5,
    "duration": 1,
}
_KEY = b"streams-check"
_TEST_EVENT: dict[str, Any] = {
    "event_id": "streams-check",
    "anonymous_id": "streams-check",
    "product_id": "streams-check",
    "price": 19.9,
    "currency": "EUR",
    "page": {"url": "https://shop.example/p/1", "title": "A test of streams check"},
    "content": {"type": "customSet", "id": "streams-check"},
    "eightselect_user_id": "00000000-0000-4000-8000-000000000000",
}
_TEST_USER = User(user_id="streams-check", contact_id="00000000-0000-4000-8000-000000000000")
_TEST_PRODUCT = Product(
    sku="streams-check",
    name="A test of streams check",
    brand="streams",
    category=["Tests"],
    price=19.9,
    currency="EUR",
)
