"""An enriched event → one 8SELECT event: ``interact`` about a product, ``order``, ``view``.

| 8SELECT | from |
| --- | --- |
| `type` | `interact` |
| `interact.type` | `product`, the only one that counts |
| `interact.action` | `click`; `addToCart` |
| `interact.product.sku` | the event's sku, else the product row's |
| `context[content]` | the event's `content`, where it has one |
| `context[user].user.id` | the event's `eightselect_user_id`, else the row's, else made of \
`anonymous_id`; never of `user_id` |
| `view` | the `content` of a content view |
| `order.id` | the order's `order_id` |
| `order.lines[]` | each line's `sku`, else the product row's; its quantity; its own price of one \
unit, gross, in its currency, else the order's |
"""

import hmac
from collections.abc import Callable, Mapping

import msgspec

from streams.core.enrich import EnrichedEvent
from streams.core.errors import InvalidEvent, SettingsError
from streams.core.event_types import Event, NamedProduct, Order, OrderLine
from streams.core.outcome import DeadLetterReason, SkipReason
from streams.core.rows import User
from streams.core.uuids import is_uuid
from streams.vendors.eightselect.settings import EightSelectSettings

ACTIONS: Mapping[str, str] = {"click": "click", "add_to_cart": "addToCart"}
"""Our event type → ``interact.action``."""


class Identified(msgspec.Struct, frozen=True, gc=False):
    """What is named by its id alone: a user, a set."""

    id: str


class EightSelectProduct(msgspec.Struct, frozen=True, gc=False):
    """The product that was clicked or put into the cart."""

    sku: str


class Interact(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="product"):
    """The payload of an ``interact`` event."""

    action: str
    product: EightSelectProduct


class CustomSet(
    msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="customSet", rename="camel"
):
    """Content: a set made by hand, by its own id."""

    custom_set: Identified


class MatchingProductClusters(
    msgspec.Struct,
    frozen=True,
    gc=False,
    tag_field="type",
    tag="matchingProductClusters",
    rename="camel",
):
    """Content: what goes with a product, by the SKU it was asked for."""

    matching_product_clusters: Identified


class SimilarProducts(
    msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="similarProducts", rename="camel"
):
    """Content: what is like a product, by the SKU it was asked for."""

    similar_products: Identified


ContentPayload = CustomSet | MatchingProductClusters | SimilarProducts
_CONTENTS: Mapping[str, type[ContentPayload]] = {
    "customSet": CustomSet,
    "matchingProductClusters": MatchingProductClusters,
    "similarProducts": SimilarProducts,
}


class ContentContext(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="content"):
    """The content in which it happened."""

    content: ContentPayload


class UserContext(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="user"):
    """Who it was; every event has one."""

    user: Identified


class InteractEvent(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="interact"):
    """The body of one request."""

    interact: Interact
    context: tuple[ContentContext | UserContext, ...]


class GrossPrice(msgspec.Struct, frozen=True, gc=False):
    """Of one unit, in major units."""

    amount: float
    currency: str


class EightSelectOrderLine(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """So many of one variant."""

    sku: str
    quantity: int
    gross_price: GrossPrice


class EightSelectOrder(msgspec.Struct, frozen=True, gc=False):
    """The payload of an ``order`` event; 8SELECT counts an id once."""

    id: str
    lines: tuple[EightSelectOrderLine, ...]


class OrderEvent(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="order"):
    """The body of one request."""

    order: EightSelectOrder
    context: tuple[UserContext, ...]


class ViewEvent(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="view"):
    """The body of one request: content was seen."""

    view: ContentPayload
    context: tuple[UserContext, ...]


def _secret_of(settings: EightSelectSettings) -> bytes:
    if settings.user_id_secret is None:
        raise SettingsError(
            ["STREAMS_EIGHTSELECT_USER_ID_SECRET: is missing; 8SELECT's user ids are made with it."]
        )
    return settings.user_id_secret.get_secret_value().encode()


def mapper(
    settings: EightSelectSettings,
) -> Callable[[EnrichedEvent], InteractEvent | SkipReason]:
    """Return the mapping under these settings; raises SettingsError without user_id_secret."""
    interact = interaction_maker(settings)
    return lambda enriched: interact(enriched, ACTIONS[enriched.event_type], enriched.sku)


def interaction_maker(
    settings: EightSelectSettings,
) -> Callable[[EnrichedEvent, str, str], InteractEvent | SkipReason]:
    """Return what makes an interaction of an event, its action and SKU; raises SettingsError."""
    secret = _secret_of(settings)
    require_content = settings.require_content

    def interact(enriched: EnrichedEvent, action: str, sku: str) -> InteractEvent | SkipReason:
        event = enriched.event
        content = event.content
        if content is None and require_content:
            return SkipReason.OUTSIDE_CONTENT
        user = UserContext(Identified(user_id_of(event, enriched.user, secret)))
        return InteractEvent(
            Interact(action, EightSelectProduct(sku)),
            (user,)
            if content is None
            else (ContentContext(_CONTENTS[content.type](Identified(content.id))), user),
        )

    return interact


def order_mapper(settings: EightSelectSettings) -> Callable[[EnrichedEvent], OrderEvent]:
    """Return the mapping of orders; raises SettingsError without user_id_secret."""
    secret = _secret_of(settings)

    def map_order(enriched: EnrichedEvent) -> OrderEvent:
        order = enriched.event
        assert isinstance(order, Order)
        user = UserContext(Identified(user_id_of(order, enriched.user, secret)))
        lines = tuple(
            _order_line(number, line, enriched, order.currency)
            for number, line in enumerate(order.lines, start=1)
        )
        return OrderEvent(EightSelectOrder(order.order_id, lines), (user,))

    return map_order


def view_mapper(
    settings: EightSelectSettings,
) -> Callable[[EnrichedEvent], ViewEvent | SkipReason]:
    """Return the mapping of content views; raises SettingsError without user_id_secret."""
    secret = _secret_of(settings)

    def map_view(enriched: EnrichedEvent) -> ViewEvent | SkipReason:
        content = enriched.event.content
        if content is None:
            return SkipReason.OUTSIDE_CONTENT
        user = UserContext(Identified(user_id_of(enriched.event, enriched.user, secret)))
        return ViewEvent(_CONTENTS[content.type](Identified(content.id)), (user,))

    return map_view


def _order_line(
    number: int, line: OrderLine, enriched: EnrichedEvent, currency: str | None
) -> EightSelectOrderLine:
    """Return a line; raises InvalidEvent where 8SELECT could not count it."""
    sku = enriched.sku_of(NamedProduct(line.product_id, line.sku))
    currency = line.currency or currency
    if sku is None:
        missing = "SKU, neither its own nor one in shop.products"
    elif line.price is None:
        missing = "price of its own"
    elif currency is None:
        missing = "currency"
    else:
        return EightSelectOrderLine(sku, line.quantity, GrossPrice(line.price, currency))
    raise InvalidEvent(
        DeadLetterReason.INVALID_PAYLOAD, f"lines: line {number} has no {missing}", "lines", missing
    )


def user_id_of(event: Event, user: User | None, secret: bytes) -> str:
    """Return the UUID under which 8SELECT knows the visitor.

    Never made of ``user_id``: that would make two users of one visitor at login.
    """
    if event.eightselect_user_id is not None:
        return event.eightselect_user_id
    if user is not None and user.eightselect_user_id is not None:
        return user.eightselect_user_id
    anonymous_id = event.anonymous_id
    return anonymous_id if is_uuid(anonymous_id) else keyed_uuid(anonymous_id, secret)


def keyed_uuid(anonymous_id: str, secret: bytes) -> str:
    """Return the first 16 bytes of HMAC-SHA256(secret, id) in the shape of a UUID v5.

    Keyed, since a plain UUID v5 of an id that can be guessed is undone by trying.
    """
    digits = hmac.digest(secret, anonymous_id.encode(), "sha256")[:16].hex()
    variant = "89ab"[int(digits[16], 16) & 0b11]
    return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
