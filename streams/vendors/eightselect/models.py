"""The three events of 8SELECT's analytics API, as its pages document them.

A field's description is the sentence of 8SELECT's pages on which it rests; README.md names them.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from streams.core.uuids import is_uuid
from streams.vendors.base import AnswerModel, RequestModel

ContentType = Literal["customSet", "matchingProductClusters", "similarProducts"]
Text = Annotated[str, Field(min_length=1)]


def _uuid(text: str) -> str:
    if not is_uuid(text):
        raise ValueError("must be a UUID, and not the nil one")
    return text


class IdPart(RequestModel):
    """What is named by an id alone."""

    id: Text


class UserPart(RequestModel):
    """Who it was."""

    id: Annotated[str, AfterValidator(_uuid)] = Field(
        description="The id sent in the user context within the context array must be consistent "
        "for all events concerning a single user. It should be anonymized, i.e. a generated id "
        "without any connection to personal data."
    )


class ContentPart(RequestModel):
    """One piece of 8SELECT content; exactly the member that is named like ``type`` is there."""

    type: ContentType
    custom_set: IdPart | None = Field(None, description="Its id is the id of the set.")
    matching_product_clusters: IdPart | None = Field(
        None, description="Its id is the SKU of the product for which the content was requested."
    )
    similar_products: IdPart | None = Field(
        None, description="Its id is the SKU of the product for which the content was requested."
    )

    @classmethod
    def of(cls, type_: ContentType, id_: str) -> "ContentPart":
        """Return the content of this type and id."""
        return cls.model_validate({"type": type_, type_: {"id": id_}})

    @model_validator(mode="after")
    def _has_the_member_of_its_type(self) -> "ContentPart":
        given = self.model_dump(by_alias=True, exclude_none=True, exclude={"type"})
        if list(given) != [self.type]:
            raise ValueError(f"must have the member {self.type}, and no other")
        return self


class UserEntry(RequestModel):
    """The entry of ``context`` that says who it was."""

    type: Literal["user"] = "user"
    user: UserPart


class ContentEntry(RequestModel):
    """The entry of ``context`` that says in which content it happened."""

    type: Literal["content"] = "content"
    content: ContentPart


Entries = tuple[Annotated[UserEntry | ContentEntry, Field(discriminator="type")], ...]
"""At most one entry of each type."""


def _once_each(context: Entries) -> Entries:
    types = [entry.type for entry in context]
    if len(types) != len(set(types)):
        raise ValueError("must have at most one entry of each type")
    return context


def _with_user(context: Entries) -> Entries:
    if all(entry.type != "user" for entry in context):
        raise ValueError("must contain an entry of type user")
    return context


AnyContext = Annotated[Entries, AfterValidator(_once_each)]
ContextWithUser = Annotated[
    AnyContext,
    AfterValidator(_with_user),
    Field(description="The context array must currently always contain an object with type user."),
]


class ViewRequest(RequestModel):
    """Content was seen; to be sent once a page view and set, when half of it is visible."""

    type: Literal["view"] = "view"
    view: ContentPart
    context: AnyContext = Field(
        (),
        description="Every event has to contain a type and a type-specific payload, as well as an "
        "optional context array.",
    )

    @classmethod
    def of(
        cls, content_type: ContentType, content_id: str, *, user_id: str | None = None
    ) -> "ViewRequest":
        """Return the view of this content."""
        view = ContentPart.of(content_type, content_id)
        return cls.model_validate({"view": view, "context": _context(user_id, None)})


class ProductPart(RequestModel):
    """The product of an interaction."""

    sku: Text


class InteractPart(RequestModel):
    """What was done, and with which product."""

    type: Literal["product"] = Field(
        "product", description="Currently, only product interactions are taken into consideration."
    )
    product: ProductPart = Field(
        description="An interact event with type product must contain a product property "
        "containing the sku of the respective product and can contain an action."
    )
    action: Text | None = Field(
        None,
        description="If you are not sure how to name the action simply omit the property.",
        examples=["click", "addToCart", "navigateTo", "addToWishlist", "like", "share"],
    )


class InteractRequest(RequestModel):
    """A person did something with a product inside 8SELECT content."""

    type: Literal["interact"] = "interact"
    interact: InteractPart
    context: ContextWithUser

    @classmethod
    def of(
        cls,
        sku: str,
        *,
        user_id: str,
        action: str | None = None,
        content: ContentPart | None = None,
    ) -> "InteractRequest":
        """Return the interaction with this product."""
        interact = {"product": {"sku": sku}, "action": action}
        return cls.model_validate({"interact": interact, "context": _context(user_id, content)})


class GrossPricePart(RequestModel):
    """The gross price of one unit."""

    amount: float = Field(
        ge=0, strict=True, allow_inf_nan=False, description="In major units: 0.99, not 99."
    )
    currency: str = Field(pattern="^[A-Z]{3}$", description="ISO 4217.")


class LinePart(RequestModel):
    """One line of an order."""

    sku: Text
    quantity: int = Field(ge=1, strict=True)
    gross_price: GrossPricePart


class OrderPart(RequestModel):
    """An order; 8SELECT leaves out an order whose id it has already."""

    id: Text
    lines: tuple[LinePart, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _has_one_currency(self) -> "OrderPart":
        currencies = dict.fromkeys(line.gross_price.currency for line in self.lines)
        if len(currencies) > 1:
            raise ValueError(f"must have one currency, not {', '.join(currencies)}")
        return self


class OrderRequest(RequestModel):
    """An order was placed; 8SELECT counts conversions and commission with it."""

    type: Literal["order"] = "order"
    order: OrderPart
    context: ContextWithUser

    @classmethod
    def of(
        cls, order_id: str, lines: Sequence[LinePart | dict[str, Any]], *, user_id: str
    ) -> "OrderRequest":
        """Return the order with these lines."""
        order = {"id": order_id, "lines": lines}
        return cls.model_validate({"order": order, "context": _context(user_id, None)})


class ValidationProblem(AnswerModel):
    """One entry of what the validation endpoint answers: an error of Ajv."""

    instance_path: str = ""
    schema_path: str = ""
    keyword: str = ""
    params: dict[str, Any] = Field(default_factory=dict)
    message: str = ""


def _context(user_id: str | None, content: ContentPart | None) -> list[Any]:
    entries: list[Any] = [] if content is None else [ContentEntry(content=content)]
    return entries if user_id is None else [*entries, UserEntry(user=UserPart(id=user_id))]
