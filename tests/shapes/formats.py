"""The shop's events as trackers and databases write them, each with what is right.

Written after the documented formats, with made-up data. An expected event holds the fields that
its shape can give, parts of ``page`` and ``campaign`` dotted.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from tests.shapes.shop import AGENT, PRODUCTS, VISITORS, Happened, Product, happened

Record = tuple[bytes | None, bytes | None]
"""Key and value."""


@dataclass
class Shape:
    """The topics of one shop, and what they mean."""

    topics: dict[str, list[Record]] = field(default_factory=dict)
    clicks: list[dict[str, Any]] = field(default_factory=list)
    carts: list[dict[str, Any]] = field(default_factory=list)
    orders: list[dict[str, Any]] = field(default_factory=list)
    users: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The rows that are left in the end, by key."""
    products: dict[str, dict[str, Any]] = field(default_factory=dict)
    timezone: str | None = None
    """Where times are written without one: what only a person can know."""
    left_over: int = 0
    """Records that no section takes."""

    def add(self, topic: str, value: Any, key: Any = None) -> None:
        """Write a record: value and key as JSON, text keys as they are; None is a tombstone."""
        self.topics.setdefault(topic, []).append((_key(key), _bytes(value)))

    def means(self, what: Happened, event: Mapping[str, Any]) -> None:
        """Note the event that a record means."""
        (self.clicks if what.kind == "view" else self.carts).append(
            {name: value for name, value in event.items() if value is not None}
        )


def _bytes(value: Any) -> bytes | None:
    return None if value is None else json.dumps(value, ensure_ascii=False).encode()


def _key(key: Any) -> bytes | None:
    return key.encode() if isinstance(key, str) else _bytes(key)


def iso(ms: int) -> str:
    """Return a time as RFC 3339 in UTC with milliseconds."""
    text = datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _ip(what: Happened) -> str:
    return f"198.51.100.{what.number % 200 + 1}"


def _utm(what: Happened) -> bool:
    return what.number % 4 == 0


def ga4_bigquery() -> Shape:
    """Google Analytics 4, the export to BigQuery: parameters in a list, microseconds, items."""
    shape = Shape()
    names = {"view": "view_item", "cart": "add_to_cart", "other": "page_view"}
    for what in happened():
        # One record may hold several items.
        bought = [what.product] if what.kind == "view" else [what.product, _next(what.product)]
        params = [
            {"key": "page_location", "value": {"string_value": what.url}},
            {"key": "page_title", "value": {"string_value": what.title}},
            {"key": "ga_session_id", "value": {"int_value": 1_795_160_000 + what.number // 20}},
            {"key": "page_referrer", "value": {"string_value": "https://search.example/"}},
            {"key": "currency", "value": {"string_value": "EUR"}},
            {"key": "value", "value": {"double_value": what.product.price}},
        ]
        items = [
            {
                "item_id": product.sku,
                "item_name": product.name,
                "item_brand": product.brand,
                "item_category": product.category[0],
                "price": product.price,
                "quantity": what.quantity,
            }
            for product in bought
        ]
        record = {
            "event_date": "20261120",
            "event_timestamp": what.at_ms * 1000 + 123,
            "event_name": names[what.kind],
            "event_params": params,
            "event_bundle_sequence_id": what.number,
            "user_id": what.visitor.user_id,
            "user_pseudo_id": f"{what.visitor.anonymous_id[-6:]}.1795160000",
            "privacy_info": {"analytics_storage": "Yes", "ads_storage": "Yes"},
            "user_first_touch_timestamp": 1_795_100_000_000_000,
            "device": {
                "category": "desktop",
                "language": "de-de",
                "web_info": {"browser": "Firefox", "hostname": "shop.example"},
            },
            "geo": {"country": "Germany", "region": "Bavaria", "city": "Munich"},
            "collected_traffic_source": {
                "manual_source": "newsletter" if _utm(what) else None,
                "manual_medium": "email" if _utm(what) else None,
                "manual_campaign_name": "autumn" if _utm(what) else None,
            },
            "stream_id": "1234567890",
            "platform": "WEB",
            "items": [] if what.kind == "other" else items,
        }
        shape.add("ga4.events", record)
        if what.kind == "other":
            shape.left_over += 1
            continue
        for product in bought:
            shape.means(
                what,
                {
                    "timestamp_ms": what.at_ms,
                    "anonymous_id": record["user_pseudo_id"],
                    "user_id": what.visitor.user_id,
                    "product_id": product.sku,
                    "price": product.price,
                    "currency": "EUR",
                    "quantity": what.quantity if what.kind == "cart" else None,
                    "page.url": what.url,
                    "page.title": what.title,
                    "page.referrer": "https://search.example/",
                    "locale": "de-de",
                    "region": "Bavaria",
                    "campaign.name": "autumn" if _utm(what) else None,
                    "campaign.source": "newsletter" if _utm(what) else None,
                    "campaign.medium": "email" if _utm(what) else None,
                },
            )
    _own_products(shape, "catalogue", by="sku")
    return shape


def _next(product: Product) -> Product:
    return PRODUCTS[(PRODUCTS.index(product) + 1) % len(PRODUCTS)]


def ga4_measurement_protocol() -> Shape:
    """Google Analytics 4, the measurement protocol: a request with a list of events."""
    shape = Shape()
    names = {"view": "view_item", "cart": "add_to_cart", "other": "scroll"}
    for what in happened():
        client = f"{what.visitor.anonymous_id[-6:]}.1795160000"
        params: dict[str, Any] = {
            "session_id": str(1_795_160_000 + what.number // 20),
            "engagement_time_msec": 1200,
            "page_location": what.url,
            "page_title": what.title,
        }
        if what.kind != "other":
            params |= {
                "currency": "EUR",
                "value": what.product.price,
                "items": [
                    {
                        "item_id": what.product.sku,
                        "item_name": what.product.name,
                        "item_brand": what.product.brand,
                        "price": what.product.price,
                        "quantity": what.quantity,
                    }
                ],
            }
        record = {
            "client_id": client,
            "timestamp_micros": what.at_ms * 1000,
            "user_properties": {"tier": {"value": "gold"}},
            "consent": {"ad_user_data": "GRANTED", "ad_personalization": "DENIED"},
            "events": [{"name": names[what.kind], "params": params}],
        }
        if what.visitor.user_id:
            record["user_id"] = what.visitor.user_id
        shape.add("ga4-mp", record, client)
        if what.kind == "other":
            shape.left_over += 1
            continue
        shape.means(
            what,
            {
                "timestamp_ms": what.at_ms,
                "anonymous_id": client,
                "user_id": what.visitor.user_id,
                "product_id": what.product.sku,
                "sku": what.product.sku,
                "price": what.product.price,
                "currency": "EUR",
                "quantity": what.quantity if what.kind == "cart" else None,
                "page.url": what.url,
                "page.title": what.title,
            },
        )
    return shape


def segment() -> Shape:
    """Segment or RudderStack: ``track`` and ``identify`` calls on one topic."""
    shape = Shape()
    names = {"view": "Product Viewed", "cart": "Product Added", "other": "Checkout Started"}
    for visitor in VISITORS:
        if visitor.user_id is None:
            continue
        shape.add(
            "segment",
            {
                "type": "identify",
                "messageId": f"ajs-id-{visitor.user_id}",
                "anonymousId": visitor.anonymous_id,
                "userId": visitor.user_id,
                "traits": {"email": visitor.email, "plan": "club"},
                "context": {"library": {"name": "analytics.js", "version": "2.11.0"}},
                "timestamp": "2026-11-20T09:58:00.000Z",
            },
            visitor.anonymous_id,
        )
        shape.users[visitor.anonymous_id] = {"user_id": visitor.user_id, "email": visitor.email}
    for what in happened():
        campaign = {"name": "autumn", "source": "newsletter", "medium": "email"}
        record = {
            "type": "track",
            "event": names[what.kind],
            "messageId": f"ajs-next-{what.number:06d}",
            "anonymousId": what.visitor.anonymous_id,
            "userId": what.visitor.user_id,
            "properties": {
                "product_id": what.product.id,
                "sku": what.product.sku,
                "name": what.product.name,
                "brand": what.product.brand,
                "price": what.product.price,
                "quantity": what.quantity,
                "currency": "EUR",
            },
            "context": {
                "library": {"name": "analytics.js", "version": "2.11.0"},
                "ip": _ip(what),
                "locale": "de-DE",
                "userAgent": AGENT,
                "page": {
                    "url": what.url,
                    "path": f"/p/{what.product.id}",
                    "referrer": "https://search.example/",
                    "title": what.title,
                },
                "campaign": campaign if _utm(what) else None,
            },
            "originalTimestamp": iso(what.at_ms - 400),
            "sentAt": iso(what.at_ms + 900),
            "receivedAt": iso(what.at_ms + 1100),
            "timestamp": iso(what.at_ms),
        }
        shape.add("segment", record, what.visitor.anonymous_id)
        if what.kind == "other":
            shape.left_over += 1
            continue
        shape.means(
            what,
            {
                "event_id": record["messageId"],
                "timestamp_ms": what.at_ms,
                "anonymous_id": what.visitor.anonymous_id,
                "user_id": what.visitor.user_id,
                "product_id": what.product.id,
                "sku": what.product.sku,
                "price": what.product.price,
                "currency": "EUR",
                "quantity": what.quantity if what.kind == "cart" else None,
                "page.url": what.url,
                "page.title": what.title,
                "page.referrer": "https://search.example/",
                "user_agent": AGENT,
                "locale": "de-DE",
                "ip": _ip(what),
                **(
                    {f"campaign.{name}": value for name, value in campaign.items()}
                    if _utm(what)
                    else {}
                ),
            },
        )
    return shape


def snowplow() -> Shape:
    """Snowplow's enriched events as JSON, with the entities of its e-commerce plug-in."""
    shape = Shape()
    action = "unstruct_event_com_snowplowanalytics_snowplow_ecommerce_snowplow_ecommerce_action_1"
    product_entity = "contexts_com_snowplowanalytics_snowplow_ecommerce_product_1"
    for what in happened():
        record: dict[str, Any] = {
            "app_id": "shop",
            "platform": "web",
            "etl_tstamp": iso(what.at_ms + 2000),
            "collector_tstamp": iso(what.at_ms + 700),
            "dvce_created_tstamp": iso(what.at_ms - 20),
            "event": "page_view" if what.kind == "other" else "unstruct",
            "event_id": f"c6ef3124-b53a-4b13-a233-{what.number:012d}",
            "v_tracker": "js-3.24.0",
            "user_id": what.visitor.user_id,
            "user_ipaddress": _ip(what),
            "domain_userid": what.visitor.anonymous_id,
            "domain_sessionidx": 3,
            "network_userid": f"ecdff4d0-9175-40ac-a8bb-{what.number // 20:012d}",
            "geo_country": "DE",
            "geo_region": "BY",
            "page_url": what.url,
            "page_title": what.title,
            "page_referrer": "https://search.example/",
            "mkt_medium": "email" if _utm(what) else None,
            "mkt_source": "newsletter" if _utm(what) else None,
            "mkt_campaign": "autumn" if _utm(what) else None,
            "useragent": AGENT,
            "br_lang": "de-DE",
            "derived_tstamp": iso(what.at_ms),
            "event_vendor": "com.snowplowanalytics.snowplow",
            "event_name": "page_view" if what.kind == "other" else "snowplow_ecommerce_action",
        }
        shape.add("snowplow.enriched.good", record)
        if what.kind == "other":
            shape.left_over += 1
            continue
        record[action] = {"type": "product_view" if what.kind == "view" else "add_to_cart"}
        record[product_entity] = [
            {
                "id": what.product.id,
                "name": what.product.name,
                "category": "/".join(what.product.category),
                "price": what.product.price,
                "list_price": what.product.price + 5,
                "quantity": what.quantity,
                "brand": what.product.brand,
                "currency": "EUR",
            }
        ]
        shape.topics["snowplow.enriched.good"][-1] = (None, _bytes(record))
        shape.means(
            what,
            {
                "event_id": record["event_id"],
                "timestamp_ms": what.at_ms,
                "anonymous_id": what.visitor.anonymous_id,
                "user_id": what.visitor.user_id,
                "product_id": what.product.id,
                "price": what.product.price,
                "currency": "EUR",
                "quantity": what.quantity if what.kind == "cart" else None,
                "page.url": what.url,
                "page.title": what.title,
                "page.referrer": "https://search.example/",
                "user_agent": AGENT,
                "locale": "de-DE",
                "region": "BY",
                "ip": _ip(what),
                "campaign.name": record["mkt_campaign"],
                "campaign.source": record["mkt_source"],
                "campaign.medium": record["mkt_medium"],
            },
        )
    return shape


def shopify_variant(product: Product) -> str:
    """Return the id of a product's variant."""
    return f"4484303{product.id}"


def shopify_pixel() -> Shape:
    """Shopify's customer events, as a web pixel passes them on."""
    shape = Shape()
    names = {"view": "product_viewed", "cart": "product_added_to_cart", "other": "page_viewed"}
    for what in happened():
        variant = {
            "id": shopify_variant(what.product),
            "image": {"src": f"//cdn.shop.example/{what.product.id}.jpg"},
            "price": {"amount": what.product.price, "currencyCode": "EUR"},
            "product": {
                "id": f"88{what.product.group}",
                "title": what.product.name,
                "untranslatedTitle": what.product.name,
                "url": f"/products/{what.product.id}",
                "vendor": what.product.brand,
                "type": what.product.category[-1],
            },
            "sku": what.product.sku,
            "title": "M",
            "untranslatedTitle": "M",
        }
        data: dict[str, Any] = {}
        if what.kind == "view":
            data = {"productVariant": variant}
        elif what.kind == "cart":
            total = round(what.product.price * what.quantity, 2)
            data = {
                "cartLine": {
                    "cost": {"totalAmount": {"amount": total, "currencyCode": "EUR"}},
                    "merchandise": variant,
                    "quantity": what.quantity,
                }
            }
        record = {
            "id": f"sh-{what.number:08d}-2A20-436E-D1AC-731D262C99FD",
            "clientId": what.visitor.anonymous_id,
            "name": names[what.kind],
            "type": "standard",
            "timestamp": iso(what.at_ms),
            "seq": what.number,
            "context": {
                "document": {
                    "characterSet": "UTF-8",
                    "location": {"href": what.url, "host": "shop.example", "pathname": "/p"},
                    "referrer": "https://search.example/",
                    "title": what.title,
                },
                "navigator": {"language": "de-DE", "cookieEnabled": True, "userAgent": AGENT},
                "window": {
                    "innerHeight": 900,
                    "innerWidth": 1440,
                    "origin": "https://shop.example",
                },
            },
            "data": data,
        }
        shape.add("pixel", record)
        if what.kind == "other":
            shape.left_over += 1
            continue
        shape.means(
            what,
            {
                "event_id": record["id"],
                "timestamp_ms": what.at_ms,
                "anonymous_id": what.visitor.anonymous_id,
                "product_id": variant["id"],
                "sku": what.product.sku,
                "price": what.product.price,
                "currency": "EUR",
                "quantity": what.quantity if what.kind == "cart" else None,
                "page.url": what.url,
                "page.title": what.title,
                "page.referrer": "https://search.example/",
                "user_agent": AGENT,
                "locale": "de-DE",
            },
        )
    return shape


def magento_cart() -> Shape:
    """A flat event of a PHP shop: numeric ids, prices as text, local times, a products table."""
    shape = Shape(timezone="Europe/Berlin")
    berlin = ZoneInfo("Europe/Berlin")
    for what in happened():
        if what.kind == "other":
            continue
        at = datetime.fromtimestamp(what.at_ms / 1000, berlin)
        record = {
            "action": "product_view" if what.kind == "view" else "cart_add",
            "created_at": at.strftime("%Y-%m-%d %H:%M:%S"),
            "visitor_id": 880_000 + VISITORS.index(what.visitor),
            "customer_id": int(what.visitor.user_id) if what.visitor.user_id else None,
            "store_id": 1,
            "product_id": int(what.product.id),
            "sku": what.product.sku,
            "qty": str(what.quantity),
            "price": f"{what.product.price:.4f}",
            "row_total": f"{what.product.price * what.quantity:.4f}",
            "currency_code": "EUR",
            "request_url": what.url,
            "http_user_agent": AGENT,
            "remote_addr": _ip(what),
        }
        shape.add("magento_events", record, str(what.number))
        shape.means(
            what,
            {
                "timestamp_ms": what.at_ms // 1000 * 1000,
                "anonymous_id": str(record["visitor_id"]),
                "user_id": what.visitor.user_id,
                "product_id": what.product.id,
                "sku": what.product.sku,
                "price": what.product.price,
                "currency": "EUR",
                "quantity": what.quantity if what.kind == "cart" else None,
                "page.url": what.url,
                "user_agent": AGENT,
                "ip": _ip(what),
            },
        )
    for product in PRODUCTS:
        row = {
            "entity_id": int(product.id),
            "sku": product.sku,
            "name": product.name,
            "manufacturer": product.brand,
            "price": f"{product.price:.4f}",
            "currency": "EUR",
            "status": 1,
        }
        shape.add("catalog_product", row, product.id)
        shape.products[product.id] = _flat_row(product)
    return shape


def foreign_csv() -> Shape:
    """A CSV of another analytics tool as JSON lines: everything is text, names are its own."""
    shape = Shape()
    names = {"view": "detail", "cart": "in_den_warenkorb", "other": "suche"}
    for what in happened():
        record = {
            "zeitpunkt": datetime.fromtimestamp(what.at_ms / 1000, UTC).strftime(
                "%d.%m.%Y %H:%M:%S+0000"
            ),
            "besucher": what.visitor.anonymous_id,
            "kundennummer": what.visitor.user_id or "",
            "aktion": names[what.kind],
            "artikelnummer": "" if what.kind == "other" else what.product.id,
            "stueckpreis": "" if what.kind == "other" else f"{what.product.price:.2f}",
            "waehrung": "EUR",
            "anzahl": "" if what.kind == "other" else str(what.quantity),
            "seite": what.url,
            "herkunft": "https://search.example/",
            "bemerkung": "",
        }
        shape.add("export.csv", record)
        if what.kind == "other":
            shape.left_over += 1
            continue
        shape.means(
            what,
            {
                "timestamp_ms": what.at_ms // 1000 * 1000,
                "anonymous_id": what.visitor.anonymous_id,
                "user_id": what.visitor.user_id,
                "product_id": what.product.id,
                "price": what.product.price,
                "currency": "EUR",
                "quantity": what.quantity if what.kind == "cart" else None,
                "page.url": what.url,
                "page.referrer": "https://search.example/",
            },
        )
    for product in PRODUCTS:
        shape.add(
            "artikel",
            {
                "nr": product.id,
                "bestellnummer": product.sku,
                "bezeichnung": product.name,
                "marke": product.brand,
                "preis": f"{product.price:.2f}",
                "waehrung": "EUR",
            },
        )
        shape.products[product.id] = _flat_row(product)
    return shape


def session_log() -> Shape:
    """A flat log in English with an event type and second-precision times in UTC."""
    shape = Shape()
    names = {"view": "view", "cart": "cart", "other": "purchase"}
    for what in happened():
        record = {
            "event_time": datetime.fromtimestamp(what.at_ms / 1000, UTC).strftime(
                "%Y-%m-%d %H:%M:%S UTC"
            ),
            "event_type": names[what.kind],
            "product_id": what.product.id,
            "category_code": ".".join(what.product.category).lower(),
            "brand": what.product.brand,
            "price": f"{what.product.price:.2f}",
            "user_id": what.visitor.anonymous_id,
            "user_session": f"s-{what.number // 9}",
        }
        shape.add("behaviour", record)
        if what.kind == "other":
            shape.left_over += 1
            continue
        shape.means(
            what,
            {
                "timestamp_ms": what.at_ms // 1000 * 1000,
                "anonymous_id": what.visitor.anonymous_id,
                "user_id": what.visitor.anonymous_id,
                "product_id": what.product.id,
                "price": what.product.price,
            },
        )
    return shape


def debezium() -> Shape:
    """Tables that Debezium copies: updates, deletes and the tombstones that follow them."""
    shape = Shape()

    def change(topic: str, key: Any, before: Any, after: Any) -> None:
        operation = "d" if after is None else "u" if before else "c"
        source = {"version": "3.0.0.Final", "connector": "mysql", "db": "shop", "table": topic}
        shape.add(
            topic,
            {
                "before": before,
                "after": after,
                "source": source,
                "op": operation,
                "ts_ms": 1_795_160_000_000,
            },
            key,
        )

    for visitor in VISITORS:
        row = {
            "visitor_id": visitor.anonymous_id,
            "customer_id": visitor.user_id,
            "email": visitor.email,
            "consent_miso": 1,
            "consent_voyado": 0,
        }
        change("db.shop.visitors", {"visitor_id": visitor.anonymous_id}, None, row)
        shape.users[visitor.anonymous_id] = {
            name: value
            for name, value in (
                ("user_id", visitor.user_id),
                ("email", visitor.email),
                ("consent", {"miso": True, "voyado": False}),
            )
            if value is not None
        }
    gone = VISITORS[3]
    row = json.loads(shape.topics["db.shop.visitors"][3][1] or b"")["after"]
    change("db.shop.visitors", {"visitor_id": gone.anonymous_id}, row, None)
    shape.add("db.shop.visitors", None, {"visitor_id": gone.anonymous_id})
    del shape.users[gone.anonymous_id]
    for product in PRODUCTS:
        change("db.shop.products", {"id": int(product.id)}, None, _database_row(product))
        shape.products[product.id] = _meant_row(product)
    dropped = PRODUCTS[5]
    change("db.shop.products", {"id": int(dropped.id)}, _database_row(dropped), None)
    shape.add("db.shop.products", None, {"id": int(dropped.id)})
    del shape.products[dropped.id]
    return shape


def connect() -> Shape:
    """Tables that Kafka Connect's JSON converter writes, schemas included; null is a delete."""
    shape = Shape()

    def wrapped(row: Any) -> dict[str, Any]:
        return {"schema": {"type": "struct", "optional": True, "fields": []}, "payload": row}

    for visitor in VISITORS:
        row = {
            "cookie_id": visitor.anonymous_id,
            "user_id": visitor.user_id or f"c-{visitor.anonymous_id[-2:]}",
            "newsletter": True,
        }
        key = {"schema": {"type": "string", "optional": False}, "payload": visitor.anonymous_id}
        shape.add("visitors", wrapped(row), key)
        shape.users[visitor.anonymous_id] = {
            "user_id": visitor.user_id or f"c-{visitor.anonymous_id[-2:]}"
        }
    gone = {"schema": {"type": "string", "optional": False}, "payload": VISITORS[1].anonymous_id}
    shape.add("visitors", wrapped(None), gone)
    del shape.users[VISITORS[1].anonymous_id]
    for product in PRODUCTS:
        number = {"schema": {"type": "int64", "optional": False}, "payload": int(product.id)}
        shape.add("products", wrapped(_database_row(product)), number)
        shape.products[product.id] = _meant_row(product)
    return shape


def _database_row(product: Product) -> dict[str, Any]:
    return {
        "id": int(product.id),
        "sku": product.sku,
        "parent_id": int(product.group),
        "title": product.name,
        "brand_name": product.brand,
        "category_path": list(product.category),
        "price": f"{product.price:.2f}",
        "currency": "EUR",
    }


def _meant_row(product: Product) -> dict[str, Any]:
    return {
        "sku": product.sku,
        "product_group_id": product.group,
        "name": product.name,
        "brand": product.brand,
        "category": list(product.category),
        "price": product.price,
        "currency": "EUR",
    }


def _flat_row(product: Product) -> dict[str, Any]:
    return {
        "sku": product.sku,
        "name": product.name,
        "brand": product.brand,
        "price": product.price,
        "currency": "EUR",
    }


def _own_products(shape: Shape, topic: str, by: str) -> None:
    """Write a products table whose key is a field of the product."""
    for product in PRODUCTS:
        key = getattr(product, by)
        row = {
            "sku": product.sku,
            "title": product.name,
            "brand": product.brand,
            "price": product.price,
            "currency": "EUR",
        }
        shape.add(topic, row, key)
        shape.products[key] = _flat_row(product)


EVENTS: Mapping[str, Callable[[], Shape]] = {
    made.__name__: made
    for made in (
        ga4_bigquery,
        ga4_measurement_protocol,
        segment,
        snowplow,
        shopify_pixel,
        magento_cart,
        session_log,
        foreign_csv,
    )
}
TABLES: Mapping[str, Callable[[], Shape]] = {made.__name__: made for made in (debezium, connect)}
ALL: Mapping[str, Callable[[], Shape]] = {**EVENTS, **TABLES}
FIVE_FORMATS: Sequence[str] = (
    "ga4_bigquery",
    "ga4_measurement_protocol",
    "segment",
    "snowplow",
    "shopify_pixel",
)
