"""Miso's interaction records by type, as its API description and upload page document them.

A field's description is the sentence of Miso's pages on which it rests; README.md names them.
``types.PROPERTIES`` lists the same properties; a test holds the two together.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    TypeAdapter,
    model_validator,
)

from streams.core.uuids import is_uuid
from streams.vendors.base import RequestModel, is_single

MAX_RATING = 5
ProductIds = Annotated[list[Annotated[str, Field(min_length=1, max_length=512)]], Field()]
Seconds = Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


def _uuid(text: str) -> str:
    if not is_uuid(text):
        raise ValueError("must be a UUID, and not the nil one")
    return text


def _text_or_time(value: Any) -> Any:
    if not isinstance(value, str | datetime):
        # A number could be seconds or milliseconds; pydantic would guess.
        raise ValueError("must be a time of RFC 3339 with an offset")  # noqa: TRY004 - pydantic's
    return value


def _truncated(ip: str) -> str:
    parts = ip.split(".")
    if len(parts) != 4 or not all(part.isdecimal() and int(part) < 256 for part in parts):
        raise ValueError("must be an IPv4 address")
    if parts[-1] != "0":
        raise ValueError("must have the last octet 0")
    return ip


def _custom_value(value: Any) -> Any:
    items = value if isinstance(value, list) else []
    kinds = {type(item) for item in items}
    is_list = isinstance(value, list) and (
        ((kinds <= {int, float} or kinds == {str}) and all(map(is_single, items)))
        or (kinds == {dict} and all(is_single(v) for item in items for v in item.values()))
    )
    if not (is_single(value) or is_list):
        raise ValueError(
            "must be a single value, or a list of numbers, of texts or of flat objects"
        )
    return value


def _without_nulls(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: member for name, member in value.items() if member is not None}


def _utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("must lie in the years 1 to 9999, in UTC") from None


def _iso(moment: datetime) -> str:
    digits = "microseconds" if moment.microsecond % 1000 else "milliseconds"
    return moment.isoformat(timespec=digits).replace("+00:00", "Z")


Timestamp = Annotated[
    AwareDatetime,
    BeforeValidator(_text_or_time),
    AfterValidator(_utc),
    PlainSerializer(_iso, return_type=str),
]
Uuid = Annotated[str, AfterValidator(_uuid)]
CustomValue = Annotated[Any, AfterValidator(_custom_value)]


class MisoModel(RequestModel):
    """A part of a record; Miso writes names with underscores."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=None)


class MisoCampaign(MisoModel):
    """The marketing campaign that led here."""

    name: str | None = None
    source: str | None = None
    medium: str | None = None
    term: str | None = None
    content: str | None = None


class MisoPage(MisoModel):
    """The page on which it happened."""

    url: str
    referrer: str | None = None
    title: str | None = None


class MisoContext(MisoModel):
    """An object of extra information that provides useful context about an interaction."""

    campaign: MisoCampaign | None = None
    truncated_ip: Annotated[str, AfterValidator(_truncated)] | None = Field(
        None, description="The IPv4 address with its last octet set to 0."
    )
    locale: str | None = None
    region: str | None = None
    page: MisoPage | None = None
    user_agent: str | None = None
    custom_context: Annotated[dict[str, CustomValue], BeforeValidator(_without_nulls)] | None = None
    """Null says nothing: Miso's pages take it, its API description does not."""


class MisoRecord(MisoModel):
    """What every type has; a record names a user, a visitor, or both."""

    type: str = Field(description="The type of event.")
    user_id: str | None = Field(
        None,
        min_length=1,
        max_length=512,
        description="Identifies the signed-in user who performed the interaction. We will use "
        "user_id to link Interaction records to your User records.",
    )
    anonymous_id: str | None = Field(
        None,
        min_length=1,
        max_length=1024,
        description="A pseudo-unique substitute for user_id. When a visitor signs in and the "
        "user_id and anonymous_id are both present, the anonymous_id will be linked to the user_id "
        "along with the past interactions associated with it.",
    )
    timestamp: Timestamp | None = Field(
        None,
        description="The ISO-8601 timestamp specifying when the interaction occurred. If the "
        "interaction just happened, leave it out and we will default to the server's time.",
    )
    miso_id: Uuid | None = Field(
        None, description="Miso-generated unique Id for each recommendation or search result."
    )
    context: MisoContext | None = Field(
        None,
        description="An object of extra information that provides useful context about an "
        "interaction.",
    )

    @model_validator(mode="after")
    def _names_somebody(self) -> "MisoRecord":
        if self.user_id is None and self.anonymous_id is None:
            raise ValueError(
                "needs user_id or anonymous_id: Miso would make one up from the sender's address, "
                "the same for everybody"
            )
        return self


class ProductRecord(MisoRecord):
    """Something was done with products."""

    type: Literal[
        "remove_from_cart",
        "refund",
        "subscribe",
        "unsubscribe",
        "add_to_collection",
        "remove_from_collection",
        "like",
        "dislike",
        "share",
        "bookmark",
        "complete",
        "impression",
        "viewable_impression",
        "click",
        "submit",
        "product_image_view",
    ]
    product_ids: ProductIds | None = Field(
        None, description="Products or content the user is interacting with. Default: []"
    )
    product_group_ids: ProductIds | None = Field(
        None, description="The product groups the user is interacting with."
    )


class WatchRecord(ProductRecord):
    """Products were looked at, read, watched or listened to, for a while."""

    type: Literal["product_detail_page_view", "promo_page_view", "read", "watch", "listen"]  # type: ignore[assignment]
    duration: Seconds | None = Field(
        None,
        description="How long (in seconds) the user stayed on this page, or consumed (listened, "
        "read, or watched) a product.",
    )


class CartRecord(ProductRecord):
    """Products were put into the cart."""

    type: Literal["add_to_cart"]  # type: ignore[assignment]
    quantities: list[Annotated[int, Field(ge=1, strict=True)]] | None = Field(
        None,
        description="The quantities of products the user adds to their cart or checks out with.",
    )

    @model_validator(mode="after")
    def _has_a_quantity_for_each_product(self) -> "CartRecord":
        products = self.product_ids or self.product_group_ids or []
        if self.quantities is not None and len(self.quantities) != len(products):
            raise ValueError(
                f"quantities must be as many as the products: {len(self.quantities)} are given "
                f"for {len(products)}"
            )
        return self


class CheckoutRecord(CartRecord):
    """Products were bought."""

    type: Literal["checkout"]  # type: ignore[assignment]
    revenue: Number | None = Field(
        None,
        description="Total revenue associated with the checkout. The revenue should include "
        "generally shipping, tax, etc. that you want to include as part of your revenue "
        "calculations.",
    )


class RateRecord(ProductRecord):
    """Products were rated."""

    type: Literal["rate"]  # type: ignore[assignment]
    rating: Annotated[float, Field(ge=0, le=MAX_RATING, strict=True)] | None = Field(
        None,
        description="The rating the user gave in the range of [0, 5]. If you use any other rating "
        "scale, please normalize it to a [0, 5] scale.",
    )


class CustomRecord(ProductRecord):
    """What only this shop has."""

    type: Literal["custom"]  # type: ignore[assignment]
    custom_action_name: str = Field(
        min_length=1, description="The name of the custom interaction that you have defined."
    )


class SearchTerms(MisoModel):
    """What was searched for."""

    keywords: str | None = None
    filters: dict[str, list[str]] | None = None


class SearchRecord(MisoRecord):
    """Somebody searched; names no product."""

    type: Literal["search"]
    search: SearchTerms | None = Field(
        None, description="The search keywords and filters the user uses."
    )


class CategoryRecord(MisoRecord):
    """A category was looked at; names no product."""

    type: Literal["category_page_view"]
    category: list[str] | None = Field(
        None,
        description="A hierarchical list describing the product category. For example, ['home', "
        "'kitchen', 'tools'].",
    )
    duration: Seconds | None = None


class HomeRecord(MisoRecord):
    """The home page was looked at."""

    type: Literal["home_page_view"]
    duration: Seconds | None = None


class FeedbackRecord(MisoRecord):
    """What somebody thinks of an answer of Miso."""

    type: Literal["feedback"]
    question_id: str | None = Field(None, max_length=512)
    result_type: str | None = None
    value: str | None = None


AnyRecord = Annotated[
    ProductRecord
    | WatchRecord
    | CartRecord
    | CheckoutRecord
    | RateRecord
    | CustomRecord
    | SearchRecord
    | CategoryRecord
    | HomeRecord
    | FeedbackRecord,
    Field(discriminator="type"),
]
"""Any documented record; what its type does not allow is refused."""

_adapter: TypeAdapter[MisoRecord] = TypeAdapter(AnyRecord)


def read_record(value: Mapping[str, Any] | MisoRecord) -> MisoRecord:
    """Return the record of this content; raises pydantic's ValidationError."""
    return value if isinstance(value, MisoRecord) else _adapter.validate_python(value)


class UserDeletion(MisoModel):
    """The body of a deletion."""

    user_ids: list[Annotated[str, Field(min_length=1)]] = Field(min_length=1)
