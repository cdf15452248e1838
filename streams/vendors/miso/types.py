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

CLICK_TYPES = (
    *("product_detail_page_view", "click", "product_image_view", "promo_page_view"),
    *("read", "watch", "listen", "like", "bookmark", "share", "add_to_collection"),
)
"""What a click can mean: interest in a product, and nothing else that a click does not tell.

Miso learns from each type: a click that arrives as ``refund`` or ``impression`` teaches the
opposite of what happened.
"""


def click_type_problem(click_type: str) -> str | None:
    """Return why a click cannot become this type, as the end of a sentence, or None."""
    if click_type in CLICK_TYPES:
        return None
    what = (
        "means no interest in a product, which is all that a click tells"
        if click_type in PROPERTIES
        else "is no interaction type of Miso"
    )
    return f"{what}; a click can be sent as {', '.join(CLICK_TYPES)}"
