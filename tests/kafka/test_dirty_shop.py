"""A shop with the usual dirt: what its records mean arrives at each vendor, event by event.

Two producers write to one topic, with local times and with UTC; amounts have a comma or are cents;
ids are numbers; an order is written again with each status; consent is a flag for all vendors. The
settings are those of ``streams init``, with what its remarks say to write.
"""

import json
import re
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.broker_fixtures import Broker
from tests.kafka.test_shapes import ENV, VENDORS, ShopTopics
from tests.shapes.formats import Shape, iso
from tests.shapes.shop import PRODUCTS, START_MS, VISITORS, Product, Visitor

pytestmark = pytest.mark.kafka

BERLIN = ZoneInfo("Europe/Berlin")
GONE = VISITORS[7]
"""A visitor who refused, and whose row was deleted afterwards."""


class Meant:
    """What the shop's records mean: what each vendor must hold in the end."""

    def __init__(self) -> None:
        self.miso: list[dict[str, Any]] = []
        self.voyado: list[dict[str, Any]] = []
        self.orders: list[dict[str, Any]] = []
        """8SELECT's."""
        self.outcomes: dict[str, Counter[tuple[str, str | None]]] = {v: Counter() for v in VENDORS}

    def refuse(self) -> None:
        """Note that no vendor may have this event."""
        for counts in self.outcomes.values():
            counts["skipped", "no_consent"] += 1

    def accept(self, vendor: str) -> None:
        """Note that this vendor has one more."""
        self.outcomes[vendor]["accepted", None] += 1


def events(shape: Shape, meant: Meant, count: int = 96) -> None:
    """Write views, carts and searches: a web shop in local time, an app in UTC."""
    for number in range(count):
        visitor, product = VISITORS[number * 5 % 12], PRODUCTS[number * 7 % 16]
        kind = ("product_view", "product_view", "add_to_cart", "search")[number % 4]
        at_ms = START_MS + 61_000 * number
        is_app = number % 3 == 0
        local = datetime.fromtimestamp(at_ms / 1000, BERLIN).strftime("%Y-%m-%d %H:%M:%S")
        utc = datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        record: dict[str, Any] = {
            "action": kind,
            "sent": utc if is_app else local,
            "visitorId": visitor.anonymous_id,
            "customerNo": int(visitor.user_id or 0),
            "consent": {"statistics": True, "marketing": number % 5 > 0},
        }
        if kind != "search":
            price = f"{product.price:.2f}".replace(".", ",")
            record |= {"productId": int(product.id), "price": price, "qty": str(1 + number % 3)}
        shape.add("own.events", record)
        if kind == "search":
            continue
        if number % 5 == 0:
            meant.refuse()
            continue
        quantity = 1 + number % 3 if kind == "add_to_cart" else None
        means(meant, visitor, product, at_ms, quantity)


def means(
    meant: Meant, visitor: Visitor, product: Product, at_ms: int, quantity: int | None
) -> None:
    """Note what a view or an add-to-cart is at each vendor."""
    event = {"anonymous_id": visitor.anonymous_id, "timestamp": iso(at_ms)}
    if visitor.user_id:
        event["user_id"] = visitor.user_id
    of_miso = {"product_ids": [product.sku]} | ({"quantities": [quantity]} if quantity else {})
    meant.miso.append(event | of_miso)
    for vendor in ("miso", "eightselect"):
        meant.accept(vendor)
    if visitor.email is None or visitor is GONE:
        meant.outcomes["voyado"]["skipped", "no_contact"] += 1
        return
    meant.accept("voyado")
    of_voyado = {"productSku": product.sku, "price": product.price}
    meant.voyado.append(
        {"createdDate": iso(at_ms)} | of_voyado | ({"quantity": quantity} if quantity else {})
    )


def orders(shape: Shape, meant: Meant, count: int = 18) -> None:
    """Write orders in cents, each again with every status; who has no row gave no consent."""
    for number in range(count):
        visitor = VISITORS[number % 12]
        at_ms = START_MS + 300_000 * number
        lines = [(PRODUCTS[(number + 3 * n) % 16], 1 + n) for n in range(1 + number % 3)]
        total = round(sum(product.price * quantity for product, quantity in lines), 2)
        record = {
            "orderNumber": f"SW{10_000 + number}",
            "orderDateTime": iso(at_ms),
            "visitorId": visitor.anonymous_id,
            "currency": {"isoCode": "EUR"},
            "amountTotal": round(100 * total),
            "lineItems": [
                {
                    "id": f"line-{number}-{place}",
                    "productId": int(product.id),
                    "quantity": quantity,
                    "unitPrice": round(100 * product.price),
                }
                for place, (product, quantity) in enumerate(lines)
            ],
        }
        for status in ("open", "paid", "shipped"):
            shape.add("own.orders", {**record, "status": status})
        if visitor is GONE:
            meant.refuse()
            continue
        event = {"anonymous_id": visitor.anonymous_id, "timestamp": iso(at_ms)}
        if visitor.user_id:
            event["user_id"] = visitor.user_id
        skus = [product.sku for product, _ in lines]
        of_miso = {"product_ids": skus, "quantities": [q for _, q in lines], "revenue": total}
        meant.miso.append(event | of_miso)
        of_eightselect = [
            {
                "sku": product.sku,
                "quantity": quantity,
                "grossPrice": {"amount": product.price, "currency": "EUR"},
            }
            for product, quantity in lines
        ]
        meant.orders.append({"id": record["orderNumber"], "lines": of_eightselect})
        for vendor in ("miso", "eightselect"):
            meant.accept(vendor)
        meant.outcomes["voyado"]["skipped", "own_pathway"] += 1


def rows(shape: Shape) -> None:
    """Write products, and visitors as Debezium copies them: snapshot, changes and a delete."""
    for product in PRODUCTS:
        row = {"nr": int(product.id), "sku": product.sku, "titel": product.name, "marke": "A"}
        shape.add("own.products", row, product.id)

    def change(op: str, before: Any, after: Any, visitor: Visitor) -> None:
        key = {"visitor_id": visitor.anonymous_id}
        shape.add("db.visitors", {"before": before, "after": after, "op": op, "ts_ms": 1}, key)

    for number, visitor in enumerate(VISITORS):
        row = {
            "visitor_id": visitor.anonymous_id,
            "customer_id": int(visitor.user_id) if visitor.user_id else None,
            "email": visitor.email,
            "marketing_opt_in": 0 if number % 4 == 0 or visitor is GONE else 1,
        }
        change("r", None, row, visitor)
        if number % 4 == 0:
            change("u", row, row | {"marketing_opt_in": 1}, visitor)
        if visitor is GONE:
            change("d", row, None, visitor)
            shape.add("db.visitors", None, {"visitor_id": visitor.anonymous_id})


def as_its_remarks_say(text: str) -> str:
    """The settings with what the remarks say to write, and what only the shop knows."""
    sections = map(_as_its_remarks_say, re.split(r"\n\n(?=#)", text))
    return "\n\n".join(sections).replace('timezone = "UTC"', 'timezone = "Europe/Berlin"')


def _as_its_remarks_say(section: str) -> str:
    if said := re.search(r'^# consent: .* write consent = (".*")\.$', section, re.MULTILINE):
        kept = [line for line in section.split("\n") if not line.startswith("consent = ")]
        return "\n".join([*kept, f"consent = {said[1]}"])
    if 'to = "orders"' not in section:
        return section
    assert "# order_id: 36 of 54 records repeat an order." in section
    settings = [line for line in section.split("\n") if not line.startswith("#")]
    changed = "\n".join(settings).replace(
        'to = "orders"', 'to = "orders"\nwhen = "status == \'open\'"'
    )
    for name in ("unitPrice", "amountTotal"):
        assert f"divide({name}, `100`)" in section
        changed = changed.replace(name, f"divide({name}, `100`)")
    return changed


def in_order(records: list[dict[str, Any]]) -> list[str]:
    """The records as texts that can be compared."""
    return sorted(json.dumps(record, sort_keys=True) for record in records)


@pytest.mark.slow
async def test_what_a_dirty_shop_means_arrives_at_each_vendor(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Nothing is dropped, scaled, moved in time, split, merged, guessed or counted twice."""
    shape, tables, meant = Shape(), Shape(), Meant()
    events(shape, meant)
    orders(shape, meant)
    rows(tables)
    env = {name: text for name, text in ENV.items() if name != "STREAMS_CONSENT_MODE"}
    async with ShopTopics(broker, prefix, tmp_path, env) as shop:
        await shop.make([shape], [tables])
        await shop.fill([shape, tables], lambda _: True)
        await shop.init(shape, tables)
        await shop.use(as_its_remarks_say)
        workers = [shop.start(stage) for stage in ("ingest", *VENDORS)]
        await shop.ready(*workers)
        written = len([*VISITORS, *VISITORS[::4], GONE])
        await shop.until(partial(shop.hold, written, shop.topics.users), what="the rows")
        number = sum(meant.outcomes["miso"].values())
        topics = shop.topics.clicks, shop.topics.add_to_carts, shop.topics.of_shop("orders")
        await shop.until(partial(shop.hold, number, *topics), what="the events")
        await shop.ready(shop.start("enrich"))
        receipts = map(shop.topics.receipts, VENDORS)
        await shop.until(partial(shop.hold, len(VENDORS) * number, *receipts), 90, "the outcomes")

        assert await shop.letters(shop.topics.ingest_dead_letters) == []
        assert await shop.outcomes_by_vendor() == meant.outcomes
        stored = {vendor: shop.sandbox.ledgers[vendor].payloads() for vendor in VENDORS}
        names = ("anonymous_id", "timestamp", "user_id", "product_ids", "quantities", "revenue")
        assert in_order(
            [{name: one[name] for name in names if name in one} for one in stored["miso"]]
        ) == in_order(meant.miso)
        of_payload = ("productSku", "price", "quantity")
        assert in_order(
            [
                {"createdDate": one["createdDate"]}
                | {name: one["payload"][name] for name in of_payload if name in one["payload"]}
                for one in stored["voyado"]
            ]
        ) == in_order(meant.voyado)
        bought = [one["order"] for one in stored["eightselect"] if one["type"] == "order"]
        assert in_order(bought) == in_order(meant.orders)
        report = await shop.audit()
        assert report.balanced, report
