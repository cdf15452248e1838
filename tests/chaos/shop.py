"""The shop of a chaos run: which event comes next, and what must become of it at each vendor.

Everything follows from the event's number, so that the books need no memory of what was sent. Each
event has a SKU of its own, by which 8SELECT's ledger, too, tells one from the other.
"""

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

VENDORS = ("eightselect", "voyado", "miso")
NAMES = {"eightselect": "8SELECT", "voyado": "Voyado", "miso": "Miso"}
VISITORS = 90
PRODUCTS = 5
REVOKING = range(0, VISITORS, 9)
"""Visitors who say no to all vendors, one after the other; all of them said yes to all before."""

DAY_MS = 24 * 3600 * 1000
ANCIENT_MS = 915_148_800_000
"""1999: no shop's event."""

ORDERS = "web-orders"
"""A topic as the shop has it: ``ingest`` makes the add-to-carts of it."""
INGEST_SETTINGS = f"""
[ingest.orders]
topic = "{ORDERS}"
to = "add-to-carts"
when = "kind == 'cart'"
each = "lines"
[ingest.orders.fields]
event_id = "number"
timestamp = "at"
anonymous_id = "who.cookie"
product_id = "_item.article"
sku = "_item.sku"
page.url = "href"
content = "widget"
"""

DEAD = "dead letter of enrichment"
ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True)
class Event:
    """One event, made of its number."""

    number: int

    @property
    def id(self) -> str:
        """Its event id."""
        return f"e{self.number}"

    @property
    def visitor(self) -> int:
        """Its visitor's number: each comes again after a while, and often twice in a row."""
        return (self.number // 2) * 7 % VISITORS

    @property
    def key(self) -> str:
        """Its visitor's id."""
        return f"visitor-{self.visitor}"

    @property
    def is_cart(self) -> bool:
        """Whether it goes to ``shop.add-to-carts``."""
        return self.number % 3 == 2

    @property
    def clock(self) -> str:
        """Which clock wrote its time: ``right``, ``fast`` (two days ahead) or ``dead`` (1999)."""
        return {13: "fast", 31: "dead"}.get(self.number % 50, "right")

    def outcome(self, vendor: str) -> str:
        """What must become of it: ``accepted``, ``skipped`` and why, or a dead letter."""
        if self.clock == "dead":
            return DEAD
        if vendor == "voyado" and self.visitor % 3:
            return "skipped no_consent"
        if vendor == "eightselect" and self.number % 2:
            return "skipped outside_content"
        return ACCEPTED

    def value(self, now_ms: int) -> bytes:
        """The record's value, written now."""
        times = {"right": now_ms, "fast": now_ms + 2 * DAY_MS, "dead": ANCIENT_MS}
        body: dict[str, Any] = {
            "event_id": self.id,
            "timestamp": times[self.clock],
            "anonymous_id": self.key,
            "product_id": f"product-{self.number % PRODUCTS}",
            "sku": sku_of(self.number),
            "page": {"url": f"https://shop.example/p/{self.number}", "title": "A product"},
        }
        if self.number % 2 == 0:
            body["content"] = {"type": "customSet", "id": f"set-{self.number % 7}"}
        return json.dumps(body, separators=(",", ":")).encode()

    def order(self, now_ms: int) -> bytes:
        """The same as a record of ``ORDERS``."""
        body = json.loads(self.value(now_ms))
        line = {"article": body["product_id"], "sku": body["sku"]}
        order = {
            "kind": "cart",
            "number": self.id,
            "at": body["timestamp"],
            "who": {"cookie": self.key},
            "lines": [line],
            "href": body["page"]["url"],
            "widget": body.get("content"),
        }
        return json.dumps(order, separators=(",", ":")).encode()


def sku_of(number: int) -> str:
    """The SKU of an event and of no other."""
    return f"sku-{number}"


def number_of(vendor: str, event_id: str, payload: Mapping[str, Any]) -> int:
    """Return the number of an event that a vendor stored, by its id or, at 8SELECT, by its SKU."""
    if vendor == "eightselect":
        return int(payload["interact"]["product"]["sku"].removeprefix("sku-"))
    return int(event_id.removeprefix("e"))


def rows() -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Topic, key and value of what the tables hold: every third visitor says yes to Voyado.

    Of these half are known by their contact's id, half are looked up.
    """
    for number in range(VISITORS):
        yield _user(number, {"eightselect": True, "voyado": number % 3 == 0, "miso": True})
    for number in range(PRODUCTS):
        yield "shop.products", f"product-{number}", {"sku": f"any-{number}", "name": "A product"}


def revoked_row(visitor: int) -> tuple[str, str, Mapping[str, Any]]:
    """Topic, key and value of a visitor's row that says no to all vendors."""
    return _user(visitor, dict.fromkeys(VENDORS, False))


def _user(number: int, consent: Mapping[str, bool]) -> tuple[str, str, Mapping[str, Any]]:
    row: dict[str, Any] = {"user_id": f"user-{number}", "consent": consent}
    if number % 2:
        row["contact_id"] = str(uuid.UUID(int=(0xC0 << 120) | number))
    else:
        row["custom_key"] = f"customer-{number}"
    return "shop.users", f"visitor-{number}", row
