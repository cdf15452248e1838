"""Miso's interaction types and what each may carry (OpenAPI 1.1.4; README.md has the source).

Every record is checked against ``additionalProperties: false``: one property too many refuses
the whole request, so each type has its own white list.
"""

from collections.abc import Mapping

_PRODUCTS = frozenset({"product_ids", "product_group_ids"})

PROPERTIES: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(
        ("product_detail_page_view", "promo_page_view", "read", "watch", "listen"),
        _PRODUCTS | {"duration"},
    ),
    "add_to_cart": _PRODUCTS | {"quantities"},
    "checkout": _PRODUCTS | {"quantities", "revenue"},
    **dict.fromkeys(
        (
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
        ),
        _PRODUCTS,
    ),
    "rate": _PRODUCTS | {"rating"},
    "custom": _PRODUCTS | {"custom_action_name"},
    "search": frozenset({"search"}),
    "category_page_view": frozenset({"category", "duration"}),
    "home_page_view": frozenset({"duration"}),
    "feedback": frozenset({"question_id", "result_type", "value"}),
}
"""Type → the properties it allows beside the common ones."""

COMMON = frozenset({"type", "user_id", "anonymous_id", "timestamp", "miso_id", "context"})

_NEEDS_MORE: Mapping[str, str] = {
    "custom": "custom_action_name",
    "rate": "a rating",
    "checkout": "the revenue of an order",
}
"""Types that mean nothing without what a click does not know."""


def click_type_problem(click_type: str) -> str | None:
    """Return why a click cannot become this type, as the end of a sentence, or None."""
    allowed = PROPERTIES.get(click_type)
    if allowed is None:
        return f"is no interaction type of Miso; the types are {', '.join(sorted(PROPERTIES))}"
    if "product_ids" not in allowed:
        return "cannot carry a product; use product_detail_page_view or click"
    if click_type in _NEEDS_MORE:
        return f"needs {_NEEDS_MORE[click_type]}, which a click does not have"
    if click_type == "add_to_cart":
        return "is what an add-to-cart becomes; a click is none"
    return None
