"""Shapes of well-known trackers: how each is told from others, and where our fields lie in it."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Document = Mapping[str, Any]


class LinesPart(NamedTuple):
    """The lines of a shape's orders."""

    list_of: str
    """JMESPath to their list."""
    fields: Mapping[str, tuple[str, ...]]
    """Our field → expressions over an element, of which the first that finds values counts."""


class Part(NamedTuple):
    """One section that a shape gives."""

    to: str
    """``clicks``, ``add-to-carts``, ``orders`` or ``users``."""
    names: tuple[str, ...]
    """Values of the shape's event name that count; for clicks the first that occurs."""
    fields: Mapping[str, tuple[str, ...]]
    """Our field → expressions, of which the first that finds values counts."""
    each: str | None = None
    """``{name}`` is the literal of the event's name."""
    lines: LinesPart | None = None


class KnownShape(NamedTuple):
    """A shape."""

    title: str
    looks: Callable[[Document], bool]
    event_name: str
    """JMESPath; of a list of events: all their names."""
    parts: tuple[Part, ...]
    has_many_events: bool = False
    """One record holds a list of events."""


def _ga4_parameter(name: str, value: str = "string_value") -> str:
    return f"event_params[?key=='{name}'].value.{value} | [0]"


def _is_ga4_export(document: Document) -> bool:
    return {"event_name", "event_timestamp"} <= document.keys() and (
        "event_params" in document or "user_pseudo_id" in document
    )


def _is_measurement_protocol(document: Document) -> bool:
    events = document.get("events")
    return (
        ("client_id" in document or "app_instance_id" in document)
        and type(events) is list
        and all(type(event) is dict and "name" in event for event in events)
    )


def _is_segment(document: Document) -> bool:
    calls = {"track", "identify", "page", "screen", "group", "alias"}
    return document.get("type") in calls and bool(
        {"anonymousId", "userId", "messageId"} & document.keys()
    )


def _is_snowplow(document: Document) -> bool:
    return {"event_id", "collector_tstamp"} <= document.keys() and bool(
        {"domain_userid", "network_userid", "v_tracker", "v_collector"} & document.keys()
    )


def _is_shopify(document: Document) -> bool:
    return {"clientId", "name", "timestamp"} <= document.keys() and bool(
        {"context", "data", "customData"} & document.keys()
    )


_GA4_FIELDS: Mapping[str, tuple[str, ...]] = {
    "timestamp": ("event_timestamp",),
    "anonymous_id": ("user_pseudo_id",),
    "user_id": ("user_id",),
    "product_id": ("_item.item_id",),
    "price": ("_item.price", "_item.price_in_usd"),
    "currency": (_ga4_parameter("currency"), "_item.currency"),
    "page.url": (_ga4_parameter("page_location"),),
    "page.referrer": (_ga4_parameter("page_referrer"),),
    "page.title": (_ga4_parameter("page_title"),),
    "locale": ("device.language",),
    "region": ("geo.region",),
    "campaign.name": ("collected_traffic_source.manual_campaign_name", _ga4_parameter("campaign")),
    "campaign.source": ("collected_traffic_source.manual_source", _ga4_parameter("source")),
    "campaign.medium": ("collected_traffic_source.manual_medium", _ga4_parameter("medium")),
    "campaign.term": ("collected_traffic_source.manual_term", _ga4_parameter("term")),
    "campaign.content": ("collected_traffic_source.manual_content", _ga4_parameter("content")),
}


def _of_event(name: str) -> str:
    return f"events[?name=={{name}}].params.{name} | [0]"


_MP_FIELDS: Mapping[str, tuple[str, ...]] = {
    "timestamp": (
        "timestamp_micros",
        "events[?name=={name}].timestamp_micros | [0]",
    ),
    "anonymous_id": ("client_id", "app_instance_id"),
    "user_id": ("user_id",),
    "product_id": ("_item.item_id",),
    "price": ("_item.price",),
    "currency": (_of_event("currency"), "_item.currency"),
    "page.url": (_of_event("page_location"),),
    "page.referrer": (_of_event("page_referrer"),),
    "page.title": (_of_event("page_title"),),
    "locale": (_of_event("language"), "device.language"),
    "user_agent": ("user_agent",),
    "ip": ("ip_override",),
    "campaign.name": (_of_event("campaign"),),
    "campaign.source": (_of_event("source"),),
    "campaign.medium": (_of_event("medium"),),
}
_SEGMENT_FIELDS: Mapping[str, tuple[str, ...]] = {
    "event_id": ("messageId",),
    "timestamp": ("timestamp", "originalTimestamp", "receivedAt", "sentAt"),
    "anonymous_id": ("anonymousId", "userId"),
    "user_id": ("userId", "context.traits.userId"),
    "product_id": ("properties.product_id", "properties.productId", "properties.id"),
    "sku": ("properties.sku",),
    "price": ("properties.price",),
    "currency": ("properties.currency",),
    "page.url": ("context.page.url", "properties.url"),
    "page.referrer": ("context.page.referrer",),
    "page.title": ("context.page.title",),
    "user_agent": ("context.userAgent",),
    "locale": ("context.locale",),
    "region": ("context.location.region",),
    "ip": ("context.ip", "request_ip"),
    **{
        f"campaign.{part}": (f"context.campaign.{part}",)
        for part in ("name", "source", "medium", "term", "content")
    },
}
_SNOW_ACTION = "unstruct_event_com_snowplowanalytics_snowplow_ecommerce_snowplow_ecommerce_action_1"
_SNOW_PRODUCTS = "contexts_com_snowplowanalytics_snowplow_ecommerce_product_1"
_SNOWPLOW_FIELDS: Mapping[str, tuple[str, ...]] = {
    "event_id": ("event_id",),
    "timestamp": ("derived_tstamp", "dvce_created_tstamp", "collector_tstamp"),
    "anonymous_id": ("domain_userid", "network_userid"),
    "user_id": ("user_id",),
    "product_id": ("_item.id",),
    "price": ("_item.price",),
    "currency": ("_item.currency",),
    "page.url": ("page_url",),
    "page.referrer": ("page_referrer",),
    "page.title": ("page_title",),
    "user_agent": ("useragent",),
    "locale": ("br_lang",),
    "region": ("geo_region",),
    "ip": ("user_ipaddress",),
    "campaign.name": ("mkt_campaign",),
    "campaign.source": ("mkt_source",),
    "campaign.medium": ("mkt_medium",),
    "campaign.term": ("mkt_term",),
    "campaign.content": ("mkt_content",),
}


def _shopify_fields(variant: str) -> Mapping[str, tuple[str, ...]]:
    return {
        "event_id": ("id",),
        "timestamp": ("timestamp",),
        "anonymous_id": ("clientId",),
        "user_id": ("data.customer.id", "customer.id"),
        "product_id": (f"{variant}.id",),
        "sku": (f"{variant}.sku",),
        "price": (f"{variant}.price.amount",),
        "currency": (f"{variant}.price.currencyCode",),
        "page.url": ("context.document.location.href",),
        "page.referrer": ("context.document.referrer",),
        "page.title": ("context.document.title",),
        "user_agent": ("context.navigator.userAgent",),
        "locale": ("context.navigator.language",),
    }


def _without_product(fields: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Return the fields that do not say something of one product."""
    return {
        name: expressions
        for name, expressions in fields.items()
        if name not in {"product_id", "sku", "price"}
    }


def _of_request(name: str) -> str:
    return f"_item.params.{name}"


_GA4_ITEMS = {"quantity": ("_item.quantity",)}
_GA4_LINE = {"product_id": ("item_id",), "quantity": ("quantity",), "price": ("price",)}
_GA4_ORDER = _without_product(_GA4_FIELDS) | {
    "currency": (_ga4_parameter("currency"),),
    # Where the export has no id it says so in words, which all these orders would share.
    "order_id": (
        f"[ecommerce.transaction_id, {_ga4_parameter('transaction_id')}][?@ != '(not set)'] | [0]",
    ),
    "revenue": (
        "ecommerce.purchase_revenue",
        *(_ga4_parameter("value", f"{kind}_value") for kind in ("double", "float", "int")),
    ),
}
_MP_ORDER = _without_product(_MP_FIELDS) | {
    "timestamp": ("timestamp_micros", "_item.timestamp_micros"),
    "currency": (_of_request("currency"),),
    "page.url": (_of_request("page_location"),),
    "page.referrer": (_of_request("page_referrer"),),
    "page.title": (_of_request("page_title"),),
    "order_id": (_of_request("transaction_id"),),
    "revenue": (_of_request("value"),),
}
_SEGMENT_ORDER = _without_product(_SEGMENT_FIELDS) | {
    "order_id": ("properties.order_id", "properties.orderId"),
    "revenue": ("properties.revenue", "properties.total", "properties.value"),
}
_SEGMENT_LINE = {
    "product_id": ("product_id", "productId", "id"),
    "sku": ("sku",),
    "quantity": ("quantity",),
    "price": ("price",),
}
_SNOW_TRANSACTION = "contexts_com_snowplowanalytics_snowplow_ecommerce_transaction_1[0]"
_SNOWPLOW_ORDER = _without_product(_SNOWPLOW_FIELDS) | {
    "currency": (f"{_SNOW_TRANSACTION}.currency",),
    "order_id": (f"{_SNOW_TRANSACTION}.transaction_id",),
    "revenue": (f"{_SNOW_TRANSACTION}.revenue",),
}
_SNOWPLOW_LINE = {
    "product_id": ("id",),
    "quantity": ("quantity",),
    "price": ("price",),
    "currency": ("currency",),
}
_SHOPIFY_ORDER = _without_product(_shopify_fields("")) | {
    "user_id": ("data.checkout.order.customer.id",),
    "currency": ("data.checkout.currencyCode", "data.checkout.totalPrice.currencyCode"),
    "order_id": ("data.checkout.order.id", "data.checkout.token"),
    "revenue": ("data.checkout.totalPrice.amount",),
}
_SHOPIFY_LINE = {
    "product_id": ("variant.id",),
    "sku": ("variant.sku",),
    "quantity": ("quantity",),
    "price": ("variant.price.amount",),
}
KNOWN = (
    KnownShape(
        "GA4, BigQuery export",
        _is_ga4_export,
        "event_name",
        (
            Part("clicks", ("view_item", "select_item"), _GA4_FIELDS, "items"),
            Part("add-to-carts", ("add_to_cart",), {**_GA4_FIELDS, **_GA4_ITEMS}, "items"),
            Part("orders", ("purchase",), _GA4_ORDER, lines=LinesPart("items", _GA4_LINE)),
        ),
    ),
    KnownShape(
        "GA4, measurement protocol",
        _is_measurement_protocol,
        "events[].name",
        (
            Part(
                "clicks",
                ("view_item", "select_item"),
                _MP_FIELDS,
                "events[?name=={name}].params.items[]",
            ),
            Part(
                "add-to-carts",
                ("add_to_cart",),
                {**_MP_FIELDS, **_GA4_ITEMS},
                "events[?name=={name}].params.items[]",
            ),
            Part(
                "orders",
                ("purchase",),
                _MP_ORDER,
                "events[?name=={name}]",
                LinesPart(_of_request("items"), _GA4_LINE),
            ),
        ),
        has_many_events=True,
    ),
    KnownShape(
        "Segment or RudderStack",
        _is_segment,
        "event",
        (
            Part(
                "clicks",
                ("Product Viewed", "Viewed Product", "Product Clicked"),
                _SEGMENT_FIELDS,
            ),
            Part(
                "add-to-carts",
                ("Product Added", "Added Product"),
                {**_SEGMENT_FIELDS, "quantity": ("properties.quantity",)},
            ),
            Part(
                "orders",
                ("Order Completed", "Completed Order"),
                _SEGMENT_ORDER,
                lines=LinesPart("properties.products", _SEGMENT_LINE),
            ),
            Part(
                "users",
                (),
                {
                    "key": ("anonymousId",),
                    "user_id": ("userId",),
                    "email": ("traits.email", "context.traits.email"),
                },
            ),
        ),
    ),
    KnownShape(
        "Snowplow, enriched events as JSON",
        _is_snowplow,
        f"{_SNOW_ACTION}.type",
        (
            Part(
                "clicks",
                ("product_view", "list_click"),
                _SNOWPLOW_FIELDS,
                _SNOW_PRODUCTS,
            ),
            Part(
                "add-to-carts",
                ("add_to_cart",),
                {**_SNOWPLOW_FIELDS, "quantity": ("_item.quantity",)},
                _SNOW_PRODUCTS,
            ),
            Part(
                "orders",
                ("transaction",),
                _SNOWPLOW_ORDER,
                lines=LinesPart(_SNOW_PRODUCTS, _SNOWPLOW_LINE),
            ),
        ),
    ),
    KnownShape(
        "Shopify, web pixel events",
        _is_shopify,
        "name",
        (
            Part("clicks", ("product_viewed",), _shopify_fields("data.productVariant")),
            Part(
                "add-to-carts",
                ("product_added_to_cart",),
                {
                    **_shopify_fields("data.cartLine.merchandise"),
                    "quantity": ("data.cartLine.quantity",),
                },
            ),
            Part(
                "orders",
                ("checkout_completed",),
                _SHOPIFY_ORDER,
                lines=LinesPart("data.checkout.lineItems", _SHOPIFY_LINE),
            ),
        ),
    ),
)
