"""An enriched event → one Voyado interaction.

| Voyado | from |
| --- | --- |
| `contactId` | the user row's `contact_id`; else the sink looks it up by `customKey` or `email` |
| `schemaId` | `click_schema_id` or `add_to_cart_schema_id` of the settings |
| `createdDate` | the event's time, UTC with milliseconds |
| `payload.eventId` | the event's id: by it a repeat is recognised |
| `payload.productSku` | the event's, else the row's |
| `payload.productName`, `payload.brand` | the product row's |
| `payload.category` | the product row's, joined by ` > ` |
| `payload.price`, `payload.currency` | the event's, else the product row's |
| `payload.quantity` | the event's (add-to-carts) |
| `payload.url` | the event's page |
| `payload.NAME` | attribute NAME of the product row, if the schema names it |
"""

from collections.abc import Callable
from typing import Any

import msgspec

from streams.core.enrich import EnrichedEvent, MappedEvent
from streams.core.event_types import AddToCart, Event
from streams.core.outcome import SkipReason
from streams.core.rows import Product, User
from streams.vendors.voyado.settings import VoyadoSettings

CATEGORY_SEPARATOR = " > "


class InteractionPayload(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, rename="camel"):
    """What the interaction says; flat, since Voyado takes no nested values."""

    event_id: str
    product_sku: str
    """A reserved name: Voyado may enrich the interaction by it."""
    product_name: str | None = None
    category: str | None = None
    brand: str | None = None
    price: float | None = None
    currency: str | None = None
    quantity: int | None = None
    url: str | None = None


class VoyadoInteraction(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, rename="camel"):
    """The body of ``POST /api/v3/interactions``."""

    schema_id: str
    created_date: str
    payload: InteractionPayload | dict[str, Any]
    contact_id: str | None = None
    """None: the sink adds it."""


def mapper(
    settings: VoyadoSettings,
) -> Callable[[EnrichedEvent], VoyadoInteraction | MappedEvent | SkipReason]:
    """Return the mapping under these settings."""
    click_schema_id = settings.click_schema_id
    add_to_cart_schema_id = settings.add_to_cart_schema_id
    takes_clicks = settings.clicks != "off"
    lookup_email = settings.lookup_email

    def map_event(enriched: EnrichedEvent) -> VoyadoInteraction | MappedEvent | SkipReason:
        event, user = enriched.event, enriched.user
        contact_id = user.contact_id if user is not None else None
        contact = None if contact_id else contact_key(user, by_email=lookup_email)
        if contact_id is None and contact is None:
            return SkipReason.NO_CONTACT
        is_cart = isinstance(event, AddToCart)
        if not is_cart and not takes_clicks:
            return SkipReason.THINNED
        interaction = VoyadoInteraction(
            add_to_cart_schema_id if is_cart else click_schema_id,
            enriched.timestamp,
            _payload(enriched),
            contact_id,
        )
        return interaction if contact is None else MappedEvent(interaction, contact)

    return map_event


def own_pathway(_: VoyadoSettings) -> Callable[[EnrichedEvent], SkipReason]:
    """Return the mapping of what has another way into Voyado Engage than interactions."""
    return lambda _: SkipReason.OWN_PATHWAY


def contact_key(user: User | None, *, by_email: bool) -> dict[str, str] | None:
    """Return what the contact is looked up by; None: nothing is known."""
    if user is None:
        return None
    if user.custom_key:
        return {"customKey": user.custom_key}
    return {"email": user.email} if by_email and user.email else None


def _payload(enriched: EnrichedEvent) -> InteractionPayload | dict[str, Any]:
    """Return the payload; the sink leaves out what the schema does not name."""
    event, product = enriched.event, enriched.product
    page = event.page
    price, currency = _price(event, product)
    quantity = event.quantity if isinstance(event, AddToCart) else None
    url = page.url if page is not None else None
    if product is None:
        return InteractionPayload(
            enriched.event_id,
            enriched.sku,
            price=price,
            currency=currency,
            quantity=quantity,
            url=url,
        )
    payload = InteractionPayload(
        enriched.event_id,
        enriched.sku,
        product.name,
        None if product.category is None else CATEGORY_SEPARATOR.join(product.category),
        product.brand,
        price,
        currency,
        quantity,
        url,
    )
    if not product.attributes:
        return payload
    return {**product.attributes, **msgspec.to_builtins(payload)}


def _price(event: Event, product: Product | None) -> tuple[float | None, str | None]:
    """Return price and currency, never the price of one with the currency of the other.

    Unless one of them names no currency: a shop's own is then meant.
    """
    of_row = (product.price, product.currency) if product is not None else (None, None)
    if event.price is not None:
        return event.price, event.currency or of_row[1]
    if of_row[0] is not None:
        return of_row[0], of_row[1] or event.currency
    return None, event.currency or of_row[1]
