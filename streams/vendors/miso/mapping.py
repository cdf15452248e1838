"""An enriched event → one Miso interaction record.

| Miso | from |
| --- | --- |
| `type` | `click_type` of the settings; `add_to_cart`; `checkout`; `viewable_impression` |
| `user_id` | the event's, else the user row's |
| `anonymous_id` | the event's |
| `timestamp` | the event's, UTC with milliseconds |
| `product_ids` | sku or product id, by the setting `product_id` |
| `quantities` | the event's (add-to-carts), each line's (orders) |
| `revenue` | the order's own |
| `duration` | the click's, if `click_type` has one |
| `miso_id` | the event's |
| `context` | campaign, truncated ip, locale, region, page, user agent; our event id, beside \
the click's `custom_context` |
"""

from collections.abc import Callable, Mapping

import msgspec

from streams.core.enrich import EnrichedEvent, MappedEvent
from streams.core.errors import InvalidEvent
from streams.core.event_types import AddToCart, Campaign, Click, NamedProduct, Order, Page, Scalar
from streams.core.outcome import DeadLetterReason, SkipReason
from streams.vendors.miso.settings import MisoSettings
from streams.vendors.miso.types import PROPERTIES

MAX_USER_ID_CHARS = 512
"""OpenAPI: ``user_id`` maxLength 512."""
MAX_ANONYMOUS_ID_CHARS = 1024
"""OpenAPI: ``anonymous_id`` maxLength 1024."""
MAX_PRODUCT_ID_CHARS = 512
"""OpenAPI: items of ``product_ids`` maxLength 512."""


class CustomContext(msgspec.Struct, frozen=True, gc=False):
    """Free properties; Miso's own browser SDK puts the record's id here as ``uuid``."""

    uuid: str


class Context(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What surrounds an interaction."""

    custom_context: CustomContext | dict[str, Scalar]
    campaign: Campaign | None = None
    truncated_ip: str | None = None
    locale: str | None = None
    region: str | None = None
    page: Page | None = None
    user_agent: str | None = None


class MisoInteraction(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One record of ``data``."""

    type: str
    anonymous_id: str
    timestamp: str
    context: Context
    product_ids: tuple[str, ...] | None = None
    user_id: str | None = None
    quantities: tuple[int, ...] | None = None
    miso_id: str | None = None
    revenue: float | None = None
    duration: float | None = None


PAGE_LEFT_OUT = ("left_out:miso.page",)
"""Note: there was a page, but no address of it, and Miso takes none without (OpenAPI: required)."""


NO_NOTES: tuple[str, ...] = ()
DURATION_LEFT_OUT = ("left_out:miso.duration",)
"""Note: the type that clicks become has none."""
PRODUCT_LEFT_OUT = "left_out:miso.product_ids"
"""Note: a product of several has no SKU, and Miso's catalogue goes by it."""


def mapper(
    settings: MisoSettings,
) -> Callable[[EnrichedEvent], MisoInteraction | MappedEvent | SkipReason]:
    """Return the mapping under these settings."""
    click_type = settings.click_type
    has_duration = "duration" in PROPERTIES[click_type]
    by_product_id = settings.product_id == "product_id"

    def map_event(enriched: EnrichedEvent) -> MisoInteraction | MappedEvent:
        event = enriched.event
        product = enriched.product_id if by_product_id else enriched.sku
        if len(product) > MAX_PRODUCT_ID_CHARS:
            raise _too_long("product_ids", MAX_PRODUCT_ID_CHARS)
        if isinstance(event, Click):
            duration, notes = event.duration, NO_NOTES
            if duration is not None and not has_duration:
                duration, notes = None, DURATION_LEFT_OUT
            custom = event.custom_context
            return record_of(enriched, click_type, (product,), None, None, duration, custom, notes)
        assert isinstance(event, AddToCart)
        return record_of(enriched, "add_to_cart", (product,), (event.quantity,))

    return map_event


def order_mapper(
    settings: MisoSettings,
) -> Callable[[EnrichedEvent], MisoInteraction | MappedEvent | SkipReason]:
    """Return the mapping of orders under these settings."""
    by_product_id = settings.product_id == "product_id"

    def map_order(enriched: EnrichedEvent) -> MisoInteraction | MappedEvent | SkipReason:
        order = enriched.event
        assert isinstance(order, Order)
        products, quantities = [], []
        for named, line in zip(order.named(), order.lines, strict=True):
            product = _known_id(enriched, named, by_product_id=by_product_id)
            if product is not None:
                products.append(product)
                quantities.append(line.quantity)
        if not products:
            return SkipReason.UNKNOWN_PRODUCT
        left_out = len(order.lines) - len(products)
        return record_of(
            enriched,
            "checkout",
            tuple(products),
            tuple(quantities),
            order.revenue,
            notes=("left_out:miso.lines",) * left_out,
        )

    return map_order


def view_mapper(
    settings: MisoSettings,
) -> Callable[[EnrichedEvent], MisoInteraction | MappedEvent | SkipReason]:
    """Return the mapping of content views: products that were seen."""
    by_product_id = settings.product_id == "product_id"

    def map_view(enriched: EnrichedEvent) -> MisoInteraction | MappedEvent | SkipReason:
        seen, left_out = products_of(enriched, by_product_id=by_product_id)
        if not seen:
            return SkipReason.NO_PRODUCTS
        notes = (PRODUCT_LEFT_OUT,) * left_out
        return record_of(enriched, "viewable_impression", tuple(seen), notes=notes)

    return map_view


def products_of(enriched: EnrichedEvent, *, by_product_id: bool) -> tuple[list[str], int]:
    """Return the products that an event names, as Miso knows them, and how many it does not."""
    named = enriched.event.named()
    found = [_known_id(enriched, one, by_product_id=by_product_id) for one in named]
    known = [product for product in found if product is not None]
    return known, len(found) - len(known)


def _known_id(enriched: EnrichedEvent, named: NamedProduct, *, by_product_id: bool) -> str | None:
    """Return a product's id in Miso's catalogue, if it is known; raises InvalidEvent."""
    id_ = named.product_id if by_product_id else enriched.sku_of(named)
    if id_ is not None and len(id_) > MAX_PRODUCT_ID_CHARS:
        raise _too_long("product_ids", MAX_PRODUCT_ID_CHARS)
    return id_


def record_of(
    enriched: EnrichedEvent,
    type_: str,
    products: tuple[str, ...] | None,
    quantities: tuple[int, ...] | None = None,
    revenue: float | None = None,
    duration: float | None = None,
    custom: Mapping[str, Scalar] | None = None,
    notes: tuple[str, ...] = (),
) -> MisoInteraction | MappedEvent:
    """Return a record of this type; raises InvalidEvent where Miso would not take it."""
    event, user_id, anonymous_id = enriched.event, enriched.user_id, enriched.anonymous_id
    if len(anonymous_id) > MAX_ANONYMOUS_ID_CHARS:
        raise _too_long("anonymous_id", MAX_ANONYMOUS_ID_CHARS)
    if user_id is not None and len(user_id) > MAX_USER_ID_CHARS:
        raise _too_long("user_id", MAX_USER_ID_CHARS)
    page = event.page
    has_address = page is not None and bool(page.url)
    interaction = MisoInteraction(
        type_,
        anonymous_id,
        enriched.timestamp,
        Context(
            CustomContext(enriched.event_id)
            if not custom
            else {**custom, "uuid": enriched.event_id},
            event.campaign,
            None if event.ip is None else truncated_ip(event.ip),
            event.locale,
            event.region,
            page if has_address else None,
            event.user_agent,
        ),
        products,
        user_id,
        quantities,
        event.miso_id,
        revenue,
        duration,
    )
    if page is not None and not has_address:
        notes = (*notes, *PAGE_LEFT_OUT)
    return MappedEvent(interaction, notes=notes) if notes else interaction


def _too_long(field: str, limit: int) -> InvalidEvent:
    return InvalidEvent(
        DeadLetterReason.INVALID_PAYLOAD,
        f"{field}: Miso takes at most {limit} characters",
        field,
    )


def truncated_ip(ip: str) -> str | None:
    """Return an IPv4 address with its last octet 0; None for IPv6, which Miso does not take."""
    head, dot, _ = ip.rpartition(".")
    return f"{head}.0" if dot and ":" not in ip else None
