"""An enriched event → one Miso interaction record.

| Miso | from |
| --- | --- |
| `type` | `click_type` of the settings; `add_to_cart` |
| `user_id` | the event's, else the user row's |
| `anonymous_id` | the event's |
| `timestamp` | the event's, UTC with milliseconds |
| `product_ids` | sku or product id, by the setting `product_id` |
| `quantities` | the event's (add-to-carts) |
| `miso_id` | the event's |
| `context` | campaign, truncated ip, locale, region, page, user agent; our event id |
"""

from collections.abc import Callable

import msgspec

from streams.core.enrich import EnrichedEvent, MappedEvent
from streams.core.errors import InvalidEvent
from streams.core.event_types import AddToCart, Campaign, Page
from streams.core.outcome import DeadLetterReason, SkipReason
from streams.vendors.miso.settings import MisoSettings

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

    custom_context: CustomContext
    campaign: Campaign | None = None
    truncated_ip: str | None = None
    locale: str | None = None
    region: str | None = None
    page: Page | None = None
    user_agent: str | None = None


class MisoInteraction(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One record of ``data``; only what a click or an add-to-cart can fill."""

    type: str
    anonymous_id: str
    timestamp: str
    product_ids: tuple[str, ...]
    context: Context
    user_id: str | None = None
    quantities: tuple[int, ...] | None = None
    miso_id: str | None = None


PAGE_LEFT_OUT = ("left_out:miso.page",)
"""Note: there was a page, but no address of it, and Miso takes none without (OpenAPI: required)."""


def mapper(
    settings: MisoSettings,
) -> Callable[[EnrichedEvent], MisoInteraction | MappedEvent | SkipReason]:
    """Return the mapping under these settings."""
    click_type = settings.click_type
    by_product_id = settings.product_id == "product_id"

    def map_event(enriched: EnrichedEvent) -> MisoInteraction | MappedEvent:
        event = enriched.event
        product = enriched.product_id if by_product_id else enriched.sku
        user_id = enriched.user_id
        anonymous_id = enriched.anonymous_id
        if len(anonymous_id) > MAX_ANONYMOUS_ID_CHARS:
            raise _too_long("anonymous_id", MAX_ANONYMOUS_ID_CHARS)
        if len(product) > MAX_PRODUCT_ID_CHARS:
            raise _too_long("product_ids", MAX_PRODUCT_ID_CHARS)
        if user_id is not None and len(user_id) > MAX_USER_ID_CHARS:
            raise _too_long("user_id", MAX_USER_ID_CHARS)
        quantities = (event.quantity,) if isinstance(event, AddToCart) else None
        page = event.page
        has_address = page is not None and bool(page.url)
        interaction = MisoInteraction(
            click_type if quantities is None else "add_to_cart",
            anonymous_id,
            enriched.timestamp,
            (product,),
            Context(
                CustomContext(enriched.event_id),
                event.campaign,
                None if event.ip is None else truncated_ip(event.ip),
                event.locale,
                event.region,
                page if has_address else None,
                event.user_agent,
            ),
            user_id,
            quantities,
            event.miso_id,
        )
        if page is None or has_address:
            return interaction
        return MappedEvent(interaction, notes=PAGE_LEFT_OUT)

    return map_event


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
