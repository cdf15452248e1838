"""The types of events: what a raw record becomes, field by field."""

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal, NamedTuple

import msgspec
from msgspec import Meta

from streams.core.uuids import UUID_PATTERN
from streams.core.values import MAX_ID_CHARS, SUSPICIOUS_IDS

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


class NamedProduct(NamedTuple):
    """A product as an event names it."""

    product_id: str | None
    sku: str | None
    """The event's own; None: that of the product row counts."""


class Event(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """The fields of all kinds, as in the raw record unless said otherwise."""

    event_type: ClassVar[str]
    """The name of its kind in vendor records."""
    is_about_one_product: ClassVar[bool] = False
    """Whether it is about exactly one product; without a SKU it is then ``unknown_product``."""

    anonymous_id: Id
    timestamp: str | Int64
    """As the shop wrote it; ``timestamp_ms`` is what counts."""
    event_id: EventId = ""
    """Never empty in a parsed event."""
    user_id: Id | None = None
    product_id: Id | None = None
    sku: Id | None = None
    price: Price | None = None
    currency: Currency | None = None
    page: Page | None = None
    user_agent: Text | None = None
    locale: Text | None = None
    region: Text | None = None
    ip: Text | None = None
    """A valid IPv4 or IPv6 address; no vendor ever receives all of it."""
    campaign: Campaign | None = None
    miso_id: Uuid | None = None
    content: Content | None = None
    eightselect_user_id: Uuid | None = None
    consent: dict[str, bool] | None = None

    # Set by the parser; because of the limits no record can contain them.
    timestamp_ms: Annotated[int, Meta(ge=0, le=0)] = 0
    """When it happened, ms since the epoch; a clock that is ahead is corrected."""
    notes: Annotated[tuple[str, ...], Meta(max_length=0)] = ()
    """What was corrected or looks wrong, to be counted.

    ``left_out:<field>``, ``lone_surrogate``, ``suspicious_id``, ``items_left``, ``dst``,
    ``clock_ahead``.
    """

    def named(self) -> Sequence[NamedProduct]:
        """Return the products that it names, in their order."""
        return (NamedProduct(self.product_id, self.sku),)

    def own_key(self) -> str | None:
        """Return what identifies the event besides its id, within its visitor; None: nothing."""
        return None


Scalar = Annotated[str, Meta(max_length=4096)] | bool | int | float | None
Duration = Annotated[float, Meta(ge=0)]
"""In seconds."""


class Click(Event, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """A visitor clicked a product."""

    event_type: ClassVar[str] = "click"
    is_about_one_product: ClassVar[bool] = True

    product_id: Id
    duration: Duration | None = None
    """How long the product was looked at."""
    custom_context: Annotated[dict[str, Scalar], Meta(max_length=20)] | None = None
    """Flat; what is nested is left out."""


class AddToCart(Event, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """A visitor put a product into the cart."""

    event_type: ClassVar[str] = "add_to_cart"
    is_about_one_product: ClassVar[bool] = True

    product_id: Id
    quantity: Quantity = 1


class OrderLine(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A product, its quantity, and the gross price of one unit."""

    product_id: Id
    quantity: Quantity
    sku: Id | None = None
    price: Price | None = None
    currency: Currency | None = None


MAX_LINES = 500


class Order(Event, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """A visitor bought something."""

    event_type: ClassVar[str] = "order"

    order_id: Id
    lines: Annotated[list[OrderLine], Meta(min_length=1, max_length=MAX_LINES)]
    revenue: Price | None = None
    """As the shop states it; never computed from the lines."""

    def named(self) -> Sequence[NamedProduct]:
        """See ``Event``."""
        return [NamedProduct(line.product_id, line.sku) for line in self.lines]

    def own_key(self) -> str | None:
        """See ``Event``."""
        return None if self.order_id in SUSPICIOUS_IDS else f"\0order\0{self.order_id}"


class ContentView(Event, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """A visitor saw content of a vendor; ``content`` or ``product_ids`` is given."""

    event_type: ClassVar[str] = "content_view"

    product_ids: list[Id] | None = None
    """The products that were seen."""

    def named(self) -> Sequence[NamedProduct]:
        """See ``Event``."""
        return [NamedProduct(id_, None) for id_ in self.product_ids or ()]


class Search(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """What a visitor searched for."""

    keywords: Text | None = None
    filters: dict[str, list[str]] | None = None


class ShopEvent(Event, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """Any other event; ``[events.NAME]`` says what vendors receive of it."""

    event_type: ClassVar[str] = "event"

    name: Annotated[str, Meta(min_length=1, max_length=128)]
    product_ids: list[Id] | None = None
    product_group_ids: list[Id] | None = None
    category: list[Text] | None = None
    """From broad to narrow; in a record also a single text."""
    search: Search | None = None
    """In a record also the keywords alone, as a text."""
    rating: Annotated[float, Meta(ge=0, le=5)] | None = None
    duration: Duration | None = None
    properties: dict[str, Scalar] | None = None
    """Flat; what is nested is left out."""

    record: Annotated[bytes, Meta(max_length=0)] = b""
    """The bytes of the raw record, for expressions; set by the parser."""

    def named(self) -> Sequence[NamedProduct]:
        """See ``Event``."""
        own = [NamedProduct(self.product_id, self.sku)] if self.product_id or self.sku else []
        others = (id_ for id_ in self.product_ids or () if id_ != self.product_id)
        return [*own, *(NamedProduct(id_, None) for id_ in others)]


EVENT_TYPES: Mapping[str, type[Event]] = {
    kind.event_type: kind for kind in (Click, AddToCart, Order, ContentView, ShopEvent)
}
SET_BY_PARSER = frozenset({"timestamp_ms", "notes", "record"})
"""Fields of events that a record cannot have."""
