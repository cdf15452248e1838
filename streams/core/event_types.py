"""The types of events: what a raw record becomes, field by field."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from streams.core.uuids import UUID_PATTERN
from streams.core.values import MAX_ID_CHARS

Id = Annotated[str, Meta(min_length=1, max_length=MAX_ID_CHARS)]
EventId = Annotated[str, Meta(min_length=1, max_length=128)]
Text = Annotated[str, Meta(min_length=1, max_length=4096)]
Uuid = Annotated[str, Meta(pattern=UUID_PATTERN)]
Price = Annotated[float, Meta(ge=0, le=1e13)]
"""Above the limit a double can no longer hold the cents."""
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]
Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Quantity = Annotated[int, Meta(ge=1, le=2**63 - 1)]


class Page(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """The page on which it happened."""

    url: Text | None = None
    referrer: Text | None = None
    title: Text | None = None


class Campaign(
    msgspec.Struct, frozen=True, gc=False, omit_defaults=True, forbid_unknown_fields=True
):
    """The campaign that brought the visitor."""

    name: Text | None = None
    source: Text | None = None
    medium: Text | None = None
    term: Text | None = None
    content: Text | None = None


class Content(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """The 8SELECT content in which it happened."""

    type: Literal["customSet", "matchingProductClusters", "similarProducts"]
    id: Id


class Event(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """What clicks and add-to-carts share; fields as in the raw record unless said otherwise."""

    event_type: ClassVar[str]
    """``click`` or ``add_to_cart``."""

    anonymous_id: Id
    timestamp: str | Int64
    """As the shop wrote it; ``timestamp_ms`` is what counts."""
    product_id: Id
    event_id: EventId = ""
    """Never empty in a parsed event."""
    user_id: Id | None = None
    sku: Id | None = None
    price: Price | None = None
    currency: Currency | None = None
    page: Page | None = None
    user_agent: Text | None = None
    locale: Text | None = None
    region: Text | None = None
    ip: Text | None = None
    """A valid IPv4 or IPv6 address; no vendor ever gets it whole."""
    campaign: Campaign | None = None
    miso_id: Uuid | None = None
    content: Content | None = None
    eightselect_user_id: Uuid | None = None
    consent: dict[str, bool] | None = None

    # Set by the parser; the limits keep a record from bringing them along.
    timestamp_ms: Annotated[int, Meta(ge=0, le=0)] = 0
    """When it happened, ms since the epoch, a browser's wrong clock put right."""
    notes: Annotated[tuple[str, ...], Meta(max_length=0)] = ()
    """What was put right or is odd, to be counted.

    ``left_out:<field>``, ``lone_surrogate``, ``suspicious_id``, ``items_left``, ``dst``,
    ``clock_ahead``.
    """


class Click(Event, frozen=True, gc=False, forbid_unknown_fields=True):
    """A visitor clicked a product."""

    event_type: ClassVar[str] = "click"


class AddToCart(Event, frozen=True, gc=False, forbid_unknown_fields=True):
    """A visitor put a product into the cart."""

    event_type: ClassVar[str] = "add_to_cart"

    quantity: Quantity = 1


EVENT_TYPES: Mapping[str, type[Event]] = {kind.event_type: kind for kind in (Click, AddToCart)}
