"""Test events of ``streams check``, as a vendor's own mapping makes them."""

from typing import Any

import msgspec

from streams.core.enrich import Enricher, Refuse, Send
from streams.core.events import EventParser
from streams.core.rows import Product, User
from streams.core.times import utc_text
from streams.vendors import plan_for
from streams.vendors.base import Vendor, VendorSettings


def sample_payloads(
    vendor: Vendor, section: VendorSettings, now_ms: int
) -> tuple[list[bytes], list[str]]:
    """Return a click and an add-to-cart as this vendor's mapping makes them, and what it refuses.

    Events that the settings skip (clicks that are off, say) give no payload. Raises SettingsError
    where the mapping cannot be built with these settings.
    """
    enricher = Enricher([plan_for(vendor, section)], "assumed")
    payloads: list[bytes] = []
    refusals: list[str] = []
    for kind, extra in _KINDS:
        value = msgspec.json.encode(_TEST_EVENT | extra | {"timestamp": utc_text(now_ms)})
        event = EventParser(kind, "streams-check").parse(
            _TEST_EVENT["anonymous_id"].encode(), value, 0, 0, now_ms
        )
        for decision in enricher.decide(event, _TEST_USER, None, _TEST_PRODUCT, now_ms, now_ms):
            if isinstance(decision, Send):
                payloads.append(bytes(_decode_payload(decision.value).payload))
            elif isinstance(decision, Refuse):
                refusals.append(decision.error.detail)
    return payloads, refusals


class _SampleRecord(msgspec.Struct):
    payload: msgspec.Raw


_decode_payload = msgspec.json.Decoder(_SampleRecord).decode
_KINDS: tuple[tuple[str, dict[str, int]], ...] = (
    ("click", {}),
    ("add_to_cart", {"quantity": 1}),
)
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
