"""The records that both sides of a benchmark work on: a made-up shop, the same on every run."""

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from aiokafka.partitioner import murmur2

from streams.core.enrich import Enricher, Send, VendorPlan
from streams.core.events import EventParser
from streams.core.rows import decode_product, decode_user
from streams.core.topics import Topics
from streams.vendors import VENDORS

PARTITIONS = 6
_encode = msgspec.json.encode


class Record(NamedTuple):
    """A record before it is written."""

    partition: int
    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]] = ()


@lru_cache(maxsize=1_000_000)
def partition_of(key: bytes) -> int:
    """Return where Kafka's default partitioner puts this key."""
    return int((murmur2(key) & 0x7FFFFFFF) % PARTITIONS)


@dataclass(frozen=True, slots=True)
class Shop:
    """Visitors of whom one in ten says no, and products of which events know 1 % more."""

    users: int
    products: int
    vendors: Sequence[str]
    in_content: bool = False
    """Whether its events happen in 8SELECT's content, without which 8SELECT gets none."""
    one_contact_in: int = 0
    """One visitor in so many is a contact at Voyado; 0: none is, and Voyado gets nothing."""

    def user_rows(self) -> Iterator[Record]:
        """Every visitor's row, 70 to 130 bytes."""
        for number in range(self.users):
            consent = dict.fromkeys(self.vendors, number % 10 != 0)
            row: dict[str, Any] = {"user_id": f"user-{number}", "consent": consent}
            if self.one_contact_in and number % self.one_contact_in == 0:
                row["contact_id"] = str(UUID(int=(0xC0 << 120) | number))
            yield _keyed(f"visitor-{number}", row)

    def product_rows(self) -> Iterator[Record]:
        """The catalogue, about 170 bytes a product."""
        for number in range(self.products):
            row = {
                "sku": f"sku-{number}-001",
                "product_group_id": f"group-{number}",
                "name": f"Product {number}",
                "brand": "Brand",
                "category": ["home", "kitchen", "pans"],
                "price": 19.95,
                "currency": "EUR",
            }
            yield _keyed(f"product-{number}", row)

    def events(self, count: int, *, first: int = 0) -> Iterator[tuple[bool, Record]]:
        """Raw events of about 430 bytes; the flag says whether one is an add-to-cart (10 %)."""
        choose = random.Random(first)
        now_ms = int(time.time() * 1000)
        for number in range(first, first + count):
            visitor = f"visitor-{choose.randrange(self.users)}"
            product = choose.randrange(round(self.products * 1.01))
            event = {
                "event_id": f"event-{number}",
                "timestamp": now_ms,
                "anonymous_id": visitor,
                "product_id": f"product-{product}",
                "price": 19.95,
                "currency": "EUR",
                "page": {
                    "url": f"https://shop.example/products/{product}",
                    "referrer": "https://shop.example/",
                    "title": f"Product {product}",
                },
                "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101",
                "locale": "de-DE",
            }
            if self.in_content:
                event["content"] = {"type": "customSet", "id": f"set-{number % 100}"}
            is_cart = number % 10 == 0
            if is_cart:
                event["quantity"] = 1 + number % 3
            yield is_cart, _keyed(visitor, event)

    def vendor_records(self, topics: Topics, plan: VendorPlan, count: int) -> Iterator[Record]:
        """What enrichment writes for one vendor, ``count`` records of it."""
        enricher = Enricher([plan], "required")
        parsers = {
            True: (EventParser("add_to_cart", "shop.add-to-carts"), topics.add_to_carts),
            False: (EventParser("click", "shop.clicks"), topics.clicks),
        }
        users = {row.key: decode_user(row.value, VENDORS) for row in self.user_rows()}
        products = {row.key.decode(): decode_product(row.value) for row in self.product_rows()}
        offsets: dict[tuple[bool, int], int] = {}
        written = 0
        now_ms = int(time.time() * 1000)
        for is_cart, raw in self.events(2 * count):
            parser, topic = parsers[is_cart]
            offset = offsets[is_cart, raw.partition] = offsets.get((is_cart, raw.partition), -1) + 1
            event = parser.parse(raw.key, raw.value, raw.partition, offset, now_ms)
            (decision,) = enricher.decide(
                event, users[raw.key], None, products.get(event.product_id), now_ms, now_ms
            )
            if type(decision) is Send:
                headers = (
                    ("source", f"{topic}/{raw.partition}/{offset}".encode()),
                    ("consent", decision.consent.encode()),
                    ("source-time", b"%d" % now_ms),
                )
                yield Record(raw.partition, raw.key, decision.value, headers)
                written += 1
                if written == count:
                    return


def _keyed(key: str, value: object) -> Record:
    encoded = key.encode()
    return Record(partition_of(encoded), encoded, _encode(value))
