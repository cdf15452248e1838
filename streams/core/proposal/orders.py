"""Orders: which list of a record holds their lines, and the expression that makes ours of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from streams.core.proposal.documents import found_in
from streams.core.proposal.fields import Joins, adapted, chosen_leaves
from streams.core.proposal.leaves import Leaf, words_of
from streams.core.proposal.model import OrderLines
from streams.core.proposal.names import EVENT_FIELDS, ORDER_FIELDS, worth
from streams.core.values import id_text

LINE_FIELDS = ("product_id", "sku", "quantity", "price", "currency")
_OF_THE_WHOLE = {
    name: wanted
    for name, wanted in EVENT_FIELDS.items()
    if name not in LINE_FIELDS or name == "currency"
}
_ONE_ORDER = 0.9
"""So many of the values of what calls itself an id alone differ, or it is the id of another thing.

What calls itself an order's may repeat: shops write an order again when its status changes.
"""
_CALLED_ORDER = 0.9
"""What the name of an order's id is worth at least."""


class FoundOrder(NamedTuple):
    """What of a record is an order."""

    fields: Mapping[str, Leaf]
    """Of the order as a whole."""
    list_of: str
    """The JMESPath of the list of its lines."""
    lines: Mapping[str, str]
    """Field of a line → its expression."""


def found_order(
    leaves: Sequence[Leaf], documents: int, joins: Joins | None = None
) -> FoundOrder | None:
    """Return the order that these records hold; None: they hold none.

    It has an id that is no other's, and lines with product and quantity.
    """
    flat = [leaf for leaf in leaves if leaf.list_of is None]
    own = chosen_leaves(flat, ORDER_FIELDS, documents)
    order = own.get("order_id")
    if order is None or order.documents < _ONE_ORDER * documents:
        return None
    is_called_so = worth("order_id", ORDER_FIELDS["order_id"], order) >= _CALLED_ORDER
    if not is_called_so and order.distinct < _ONE_ORDER * len(order.values):
        return None
    wanted = {name: EVENT_FIELDS[name] for name in LINE_FIELDS}
    for list_of in dict.fromkeys(leaf.list_of for leaf in leaves if leaf.list_of is not None):
        of_list = [leaf for leaf in leaves if leaf.list_of == list_of]
        # By what they are called in the line: an ``id`` there is the line's own, where another
        # calls itself the product's.
        alone = [replace(leaf, words=words_of(leaf.expression)) for leaf in of_list]
        lines = chosen_leaves(alone, wanted, documents, joins)
        lines = chosen_leaves(of_list, wanted, documents, joins) | lines
        if "product_id" not in lines and "sku" in lines:
            lines["product_id"] = lines["sku"]
        if {"product_id", "quantity"} <= lines.keys():
            rest = [leaf for leaf in flat if all(leaf is not one for one in own.values())]
            return FoundOrder(
                chosen_leaves(rest, _OF_THE_WHOLE, documents) | own,
                list_of,
                {name: leaf.expression for name, leaf in lines.items()},
            )
    return None


def order_lines(
    list_of: str, expressions: Mapping[str, str], elements: Sequence[Mapping[str, Any]]
) -> tuple[OrderLines, list[str]]:
    """Return the lines as our types need them, and what of them cannot be used."""
    found, _, remarks = adapted(expressions, elements)
    fields = {name: found[name].expression for name in LINE_FIELDS if name in found}
    return OrderLines(list_of, fields), [f"lines: {remark}" for remark in remarks]


def repeated_orders(order_id: str, events: Sequence[Mapping[str, Any]]) -> str | None:
    """Return what to do about records that repeat an order, in a sentence; None: none does."""
    ids = [id_text(value) for value in found_in(order_id, events) if value is not None]
    repeats = len(ids) - len(set(map(repr, ids)))
    if not repeats:
        return None
    return (
        f"order_id: {repeats:,} of {len(ids):,} records repeat an order. Only repeats within "
        "enrich.duplicate_minutes are skipped, and Miso counts each of the others as one more "
        "purchase: write when so that it is true for one record of each order, such as that of "
        "its first status."
    )


def elements_of(list_of: str, events: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the lines of all orders."""
    return [
        item
        for items in found_in(list_of, events)
        if type(items) is list
        for item in items
        if type(item) is dict
    ]
