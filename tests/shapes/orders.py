"""Purchases beside the other events of each tracker, and orders as shop systems write them."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tests.shapes import formats
from tests.shapes.formats import Shape, iso
from tests.shapes.shop import AGENT, PRODUCTS, START_MS, VISITORS, Product, Visitor

PAGE = "https://shop.example/thanks"


class Bought(NamedTuple):
    """One purchase of one to three products."""

    number: int
    at_ms: int
    visitor: Visitor
    lines: tuple[tuple[Product, int], ...]

    @property
    def id(self) -> str:
        """The order's number as the shop shows it."""
        return f"1000{self.number:05d}"

    @property
    def total(self) -> float:
        """What was paid."""
        return round(sum(product.price * quantity for product, quantity in self.lines), 2)

    def means(self, product_id: str = "id", **more: Any) -> dict[str, Any]:
        """Return the event that it is; ``product_id``: the product's field that is its id here."""
        event = {
            "timestamp_ms": self.at_ms,
            "anonymous_id": self.visitor.anonymous_id,
            "user_id": self.visitor.user_id,
            "currency": "EUR",
            "order_id": self.id,
            "revenue": self.total,
            "lines": [
                {
                    "product_id": getattr(product, product_id),
                    "quantity": quantity,
                    "price": product.price,
                }
                for product, quantity in self.lines
            ],
        }
        return {name: value for name, value in (event | more).items() if value is not None}

    def lines_with(self, **more: Callable[[Product], Any]) -> list[dict[str, Any]]:
        """Return its lines, each with more fields of its product."""
        return [
            line | {name: of(product) for name, of in more.items()}
            for line, (product, _) in zip(self.means()["lines"], self.lines, strict=True)
        ]


def bought(count: int = 40) -> Iterator[Bought]:
    """Yield so many purchases, one each 41 s."""
    for number in range(count):
        yield Bought(
            number,
            START_MS + 41_000 * number,
            VISITORS[number * 7 % len(VISITORS)],
            tuple(
                (PRODUCTS[(number + 5 * n) % len(PRODUCTS)], 1 + n) for n in range(1 + number % 3)
            ),
        )


def ga4_bigquery() -> Shape:
    """``purchase`` in the export: the transaction beside the items."""
    shape = formats.ga4_bigquery()
    for one in bought():
        visitor = f"{one.visitor.anonymous_id[-6:]}.1795160000"
        params = [
            {"key": "page_location", "value": {"string_value": PAGE}},
            {"key": "transaction_id", "value": {"string_value": one.id}},
            {"key": "currency", "value": {"string_value": "EUR"}},
            {"key": "value", "value": {"double_value": one.total}},
        ]
        items = [
            {"item_id": product.sku, "item_name": product.name, "price": product.price,
             "quantity": quantity}
            for product, quantity in one.lines
        ]  # fmt: skip
        record = {
            "event_timestamp": one.at_ms * 1000,
            "event_name": "purchase",
            "event_params": params,
            "user_id": one.visitor.user_id,
            "user_pseudo_id": visitor,
            "device": {"language": "de-de"},
            "ecommerce": {"transaction_id": one.id, "purchase_revenue": one.total},
            "items": items,
        }
        shape.add("ga4.events", record)
        more = {"page.url": PAGE, "locale": "de-de"}
        shape.orders.append(one.means("sku", anonymous_id=visitor, **more))
    return shape


def ga4_measurement_protocol() -> Shape:
    """``purchase`` in a request, whose items are the lines."""
    shape = formats.ga4_measurement_protocol()
    for one in bought():
        client = f"{one.visitor.anonymous_id[-6:]}.1795160000"
        items = [
            {"item_id": product.sku, "price": product.price, "quantity": quantity}
            for product, quantity in one.lines
        ]
        params = {
            "transaction_id": one.id,
            "currency": "EUR",
            "value": one.total,
            "page_location": PAGE,
            "items": items,
        }
        record: dict[str, Any] = {
            "client_id": client,
            "timestamp_micros": one.at_ms * 1000,
            "events": [{"name": "purchase", "params": params}],
        }
        if one.visitor.user_id:
            record["user_id"] = one.visitor.user_id
        shape.add("ga4-mp", record)
        lines = [line | {"product_id": line["sku"]} for line in one.lines_with(sku=lambda p: p.sku)]
        event = one.means(anonymous_id=client, lines=lines)
        shape.orders.append(event | {"page.url": PAGE})
    return shape


def segment() -> Shape:
    """``Order Completed``."""
    shape = formats.segment()
    for one in bought():
        products = [
            {
                "product_id": product.id,
                "sku": product.sku,
                "name": product.name,
                "price": product.price,
                "quantity": quantity,
            }
            for product, quantity in one.lines
        ]
        record = {
            "type": "track",
            "event": "Order Completed",
            "messageId": f"ajs-order-{one.number}",
            "anonymousId": one.visitor.anonymous_id,
            "userId": one.visitor.user_id,
            "properties": {
                "order_id": one.id,
                "total": one.total + 4.9,
                "revenue": one.total,
                "shipping": 4.9,
                "currency": "EUR",
                "products": products,
            },
            "context": {"page": {"url": PAGE}, "userAgent": AGENT},
            "timestamp": iso(one.at_ms),
        }
        shape.add("segment", record)
        event = one.means(event_id=record["messageId"], lines=one.lines_with(sku=lambda p: p.sku))
        shape.orders.append(event | {"page.url": PAGE, "user_agent": AGENT})
    return shape


def snowplow() -> Shape:
    """``transaction`` of the e-commerce plug-in, with its own entity."""
    shape = formats.snowplow()
    base = "com_snowplowanalytics_snowplow_ecommerce"
    for one in bought():
        record = {
            "platform": "web",
            "collector_tstamp": iso(one.at_ms + 700),
            "derived_tstamp": iso(one.at_ms),
            "event": "unstruct",
            "event_id": f"c6ef3124-b53a-4b13-a234-{one.number:012d}",
            "v_tracker": "js-3.24.0",
            "user_id": one.visitor.user_id,
            "domain_userid": one.visitor.anonymous_id,
            "page_url": PAGE,
            f"unstruct_event_{base}_snowplow_ecommerce_action_1": {"type": "transaction"},
            f"contexts_{base}_transaction_1": [
                {"transaction_id": one.id, "revenue": one.total, "currency": "EUR",
                 "total_quantity": sum(quantity for _, quantity in one.lines)}
            ],
            f"contexts_{base}_product_1": [
                {"id": product.id, "price": product.price, "quantity": quantity, "currency": "EUR"}
                for product, quantity in one.lines
            ],
        }  # fmt: skip
        shape.add("snowplow.enriched.good", record)
        lines = one.lines_with(currency=lambda _: "EUR")
        event = one.means(event_id=record["event_id"], lines=lines)
        shape.orders.append(event | {"page.url": PAGE})
    return shape


def shopify_pixel() -> Shape:
    """``checkout_completed``."""
    shape = formats.shopify_pixel()
    for one in bought():
        items = [
            {
                "id": f"line-{number}",
                "quantity": quantity,
                "variant": {
                    "id": formats.shopify_variant(product),
                    "sku": product.sku,
                    "price": {"amount": product.price, "currencyCode": "EUR"},
                },
            }
            for number, (product, quantity) in enumerate(one.lines)
        ]
        checkout = {
            "currencyCode": "EUR",
            "order": {"id": one.id, "customer": {"id": one.visitor.user_id}},
            "totalPrice": {"amount": one.total, "currencyCode": "EUR"},
            "lineItems": items,
        }
        record = {
            "id": f"sh-order-{one.number}",
            "clientId": one.visitor.anonymous_id,
            "name": "checkout_completed",
            "timestamp": iso(one.at_ms),
            "context": {"document": {"location": {"href": PAGE}}},
            "data": {"checkout": checkout},
        }
        shape.add("pixel", record)
        lines = [
            line | {"product_id": formats.shopify_variant(product)}
            for line, (product, _) in zip(
                one.lines_with(sku=lambda p: p.sku), one.lines, strict=True
            )
        ]
        shape.orders.append(one.means(event_id=record["id"], lines=lines) | {"page.url": PAGE})
    return shape


def magento() -> Shape:
    """Orders of a PHP shop on a topic of their own: prices and quantities are texts."""
    shape = formats.magento_cart()
    for one in bought():
        at_s = one.at_ms // 1000
        items = [
            {
                "item_id": 7_000 + 10 * one.number + number,
                "product_id": int(product.id),
                "sku": product.sku,
                "qty_ordered": f"{quantity}.0000",
                "price": f"{product.price:.4f}",
            }
            for number, (product, quantity) in enumerate(one.lines)
        ]
        record = {
            "entity_id": 500 + one.number,
            "increment_id": one.id,
            "created_at": datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S+0000"),
            "visitor_id": 880_000 + VISITORS.index(one.visitor),
            "customer_id": int(one.visitor.user_id) if one.visitor.user_id else None,
            "order_currency_code": "EUR",
            "grand_total": f"{one.total:.4f}",
            "remote_ip": "198.51.100.7",
            "items": items,
        }
        shape.add("sales_orders", record)
        event = one.means(
            timestamp_ms=at_s * 1000,
            anonymous_id=str(record["visitor_id"]),
            lines=one.lines_with(sku=lambda p: p.sku),
            ip="198.51.100.7",
        )
        shape.orders.append(event)
    return shape


def woocommerce() -> Shape:
    """Orders as WooCommerce's web hook sends them, with a visitor whom the shop added."""
    shape = Shape()
    for one in bought():
        items = [
            {
                "id": 10 * one.number + number,
                "name": product.name,
                "product_id": int(product.id),
                "sku": product.sku,
                "quantity": quantity,
                "price": product.price,
                "total": f"{product.price * quantity:.2f}",
            }
            for number, (product, quantity) in enumerate(one.lines)
        ]
        record = {
            "id": int(one.id),
            "status": "processing",
            "currency": "EUR",
            "date_created_gmt": iso(one.at_ms),
            "total": f"{one.total:.2f}",
            "customer_id": int(one.visitor.user_id or 0),
            "customer_ip_address": "198.51.100.7",
            "customer_user_agent": AGENT,
            "visitor_cookie": one.visitor.anonymous_id,
            "line_items": items,
        }
        shape.add("woo.orders", record)
        event = one.means(
            lines=one.lines_with(sku=lambda p: p.sku), ip="198.51.100.7", user_agent=AGENT
        )
        shape.orders.append(event)
    return shape


ORDERS: Mapping[str, Callable[[], Shape]] = {
    made.__name__: made
    for made in (
        ga4_bigquery,
        ga4_measurement_protocol,
        segment,
        snowplow,
        shopify_pixel,
        magento,
        woocommerce,
    )
}
