"""Expressions for our fields: of known shapes by their paths, of others by names and types."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, get_args, get_type_hints

from streams.core.event_types import Content
from streams.core.fields import FIELDS
from streams.core.proposal.consent import is_by_vendor
from streams.core.proposal.documents import as_found, found_in
from streams.core.proposal.leaves import Leaf, literal
from streams.core.proposal.model import FoundField
from streams.core.proposal.names import EVENT_FIELDS, Wanted, is_number, is_quantity, worth
from streams.core.proposal.time_guess import TimeGuess, guess_times
from streams.core.values import SUSPICIOUS_IDS, id_text

_CONTENT_ID = re.compile(r"(?:^|_)(?:content|set|widget|cluster|8s|eightselect)_(?:\w+_)?id$")
_ENOUGH = 0.98
_LEAST = 0.3
"""A leaf that is worth less serves only where its type says enough."""
_PRODUCT_FIELDS = ("product_id", "sku", "quantity", "price", "currency")
_OF_THE_LINE = frozenset({"id", "_id", "uuid", "key"})
"""What may be the id of an item in a list itself, where another calls itself the product's."""
_FIRST_OF_LIST = ("anonymous_id", "user_id")
"""What may stand in a list of which the first element counts."""
_READ = {"price": is_number, "revenue": is_number, "quantity": is_quantity}
_AMOUNTS = frozenset({"price", "revenue"})
_WITH_COMMA = re.compile(r"\d{1,13}(?:[.,]\d{1,2})?", re.ASCII)
_WITH_THOUSANDS = re.compile(r"\d{1,3}(?:\.\d{3})*(?:,\d{1,2})?", re.ASCII)
_WITH_POINT = re.compile(r"\d+\.\d{1,2}", re.ASCII)
_MOSTLY = 0.9
_GUESTS = frozenset({"0", "-1", "guest", "anonymous"})
_NOBODY = _GUESTS | SUSPICIOUS_IDS
_WORTH_BY_KEY = 1.5
"""What a field whose values are keys of the products table is worth more than any name."""


_CONTENT_TYPES = frozenset(get_args(get_type_hints(Content)["type"]))


class Joins(NamedTuple):
    """Ids of products and visitors that tables hold."""

    products: frozenset[str] = frozenset()
    skus: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()


def first_that_finds(
    candidates: Sequence[str], documents: Sequence[Mapping[str, Any]]
) -> str | None:
    """Return the expression that finds most, others added where they find what it does not."""
    chosen: str | None = None
    missing = list(documents)
    for candidate in candidates:
        values = found_in(candidate, missing)
        rest = [document for document, value in zip(missing, values, strict=True) if value is None]
        if len(rest) < len(missing):
            chosen = candidate if chosen is None else f"{chosen} || {candidate}"
            missing = rest
        if len(missing) <= (1 - _ENOUGH) * len(documents):
            break
    return chosen


def chosen_leaves(
    leaves: Sequence[Leaf],
    wanted: Mapping[str, Wanted],
    documents: int,
    joins: Joins | None = None,
) -> dict[str, Leaf]:
    """Return the best leaf for each field; a leaf serves one field, required ones first."""
    scores: dict[str, list[tuple[float, Leaf]]] = {}
    for field, how in wanted.items():
        scores[field] = [
            (score, leaf)
            for leaf in leaves
            if (score := _score(field, how, leaf, documents, joins)) > 0
        ]
    taken: dict[str, Leaf] = {}
    used: set[int] = set()
    required = {"product_id", "key", "anonymous_id", "timestamp"}
    ranked = sorted(
        (
            (field not in required, -score, number, leaf.expression, field, leaf)
            for number, field in enumerate(scores)
            for score, leaf in scores[field]
        ),
        key=lambda entry: entry[:4],
    )
    for *_, field, leaf in ranked:
        if field not in taken and id(leaf) not in used:
            taken[field] = leaf
            used.add(id(leaf))
    return taken


def content_leaves(leaves: Sequence[Leaf]) -> dict[str, Leaf]:
    """Return type and id of 8SELECT content: the values say which field is the type."""
    flat = [leaf for leaf in leaves if leaf.list_of is None]
    for kind in flat:
        if not kind.fits(lambda value: type(value) is str and value in _CONTENT_TYPES):
            continue
        within = kind.expression.rpartition(".")[0]
        for leaf in flat:
            if leaf.expression.rpartition(".")[0] == within and _CONTENT_ID.search(leaf.words):
                return {"content.type": kind, "content.id": leaf}
    return {}


def _score(field: str, wanted: Wanted, leaf: Leaf, documents: int, joins: Joins | None) -> float:
    if leaf.list_of is not None and field not in (*_PRODUCT_FIELDS, *_FIRST_OF_LIST):
        return 0.0
    score = worth(field, wanted, leaf)
    if leaf.list_of is not None and field in _FIRST_OF_LIST:
        score = score * 0.7 if score >= 0.5 else 0.0
    if field == "product_id" and leaf.list_of is not None and leaf.expression in _OF_THE_LINE:
        score *= 0.95
    share = min(1.0, leaf.documents / max(1, documents))
    if joins is not None and field in {"product_id", "sku"}:
        score = _joined(field, score, leaf, joins)
    if field == "timestamp" and score > 0:
        guess = guess_times(leaf.values)
        if guess is None:
            return 0.0
        score *= 0.3 if guess.is_day_only else 1.0
    if score < _LEAST and not _type_says_enough(field, leaf):
        return 0.0
    if field == "anonymous_id":
        if not _tells_visitors_apart(leaf):
            return 0.0
        # Who has it on some events only is no visitor's id.
        score *= share**3
    # Of two equals the one that is nearer to the top.
    return score * (0.5 + 0.5 * share) - 0.001 * leaf.expression.count(".")


def _joined(field: str, score: float, leaf: Leaf, joins: Joins) -> float:
    known = joins.products if field == "product_id" else joins.skus
    ids = leaf.ids
    if not known or not ids:
        return score
    overlap = len(ids & known) / len(ids)
    return _WORTH_BY_KEY * overlap + score if overlap >= 0.3 else score * 0.3


def _type_says_enough(field: str, leaf: Leaf) -> bool:
    if field in {"timestamp", "currency", "ip", "user_agent", "email"}:
        return True
    if field == "page.url":
        return leaf.distinct > 1
    if field in {"anonymous_id", "product_id"}:
        return 1 < leaf.distinct < 0.9 * len(leaf.values)
    return False


def _tells_visitors_apart(leaf: Leaf) -> bool:
    # A zero stands for guests, who are many.
    if (len(leaf.values) >= 20 and leaf.distinct < 3) or not _GUESTS.isdisjoint(leaf.ids):
        return False
    return leaf.fits(
        lambda value: (
            type(value) is not str
            or (" " not in value and (any(map(str.isdigit, value)) or len(value) >= 12))
        ),
        0.8,
    )


def leaf_expressions(taken: Mapping[str, Leaf]) -> tuple[str | None, dict[str, str]]:
    """Return ``each``, if the product stands in a list, and the expression of each field."""
    product = taken.get("product_id") or taken.get("sku")
    each = product.list_of if product is not None else None
    expressions = {}
    for field, leaf in taken.items():
        if leaf.list_of is None:
            expressions[field] = leaf.expression
        elif leaf.list_of == each:
            expressions[field] = f"_item.{leaf.expression}"
        elif field in _FIRST_OF_LIST:
            expressions[field] = f"{leaf.list_of}[0].{leaf.expression}"
    return each, expressions


def adapted(
    expressions: Mapping[str, str], events: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, FoundField], TimeGuess | None, list[str]]:
    """Return the fields as our types need them, how times are read, and what cannot be used."""
    fields: dict[str, FoundField] = {}
    remarks: list[str] = []
    times: TimeGuess | None = None
    for field, given in expressions.items():
        expression = given
        values = [value for value in found_in(expression, events) if value is not None]
        if not values:
            fields[field] = as_found(expression, events)
            continue
        if field == "timestamp":
            times = guess_times(values)
            if times is None:
                remarks.append(
                    f"timestamp: {given} contains no times that can be read ({_shown(values)})."
                )
        if field in _READ and any(type(value) is str for value in values):
            number = _number_of(field, given, values)
            if number is None:
                remarks.append(
                    f"{field}: {given} is text and not a number ({_shown(values)}); it is left out."
                )
                continue
            expression = number
        if field in _AMOUNTS and all(type(value) is int for value in values):
            remarks.append(
                f"{field}: {given} is always a whole number ({_shown(values)}). If it is in cents, "
                f'write {field} = "divide({given}, `100`)".'
            )
        if field == "user_id" and (
            guests := [v for v in set(map(_hashable, values)) if id_text(v) in _NOBODY]
        ):
            is_somebody = " && ".join(f"@ != {literal(v)}" for v in sorted(guests, key=repr))
            expression = f"[{given}][?{is_somebody}] | [0]"
        if field == "currency" and not all(EVENT_FIELDS["currency"].accepts(v) for v in values):
            remarks.append(f"currency: {given} is no ISO 4217 code ({_shown(values)}); left out.")
            continue
        fields[field] = as_found(expression, events)
    return fields, times, remarks


def _number_of(field: str, given: str, values: Sequence[Any]) -> str | None:
    """Return the expression that makes numbers of texts; None: nothing can."""

    def fits(accepts: Callable[[Any], Any]) -> bool:
        return sum(map(bool, map(accepts, values))) >= _MOSTLY * len(values)

    if fits(_READ[field]):
        return f"to_number({given})"
    if field not in _AMOUNTS:
        return None
    text = given if all(type(value) is str for value in values) else f"to_string({given})"
    if fits(lambda value: _WITH_COMMA.fullmatch(str(value))):
        return f"to_number(replace({text}, ',', '.'))"
    # Where each has cents after a comma, a point can only be that of the thousands.
    is_cents = any(_WITH_POINT.fullmatch(str(value)) for value in values)
    if not is_cents and fits(lambda v: _WITH_THOUSANDS.fullmatch(str(v)) and "," in str(v)):
        return f"to_number(replace(replace({text}, '.', ''), ',', '.'))"
    return None


def _hashable(value: Any) -> Any:
    return value if type(value) in {str, int, float, bool} else repr(value)


def _shown(values: Sequence[Any]) -> str:
    return f"such as {str(values[0])[:40]}"


def other_meanings(
    fields: Mapping[str, FoundField],
    documents: Sequence[Mapping[str, Any]],
    names: Sequence[str] = FIELDS,
) -> dict[str, str]:
    """Return expressions for top-level names that are ours by chance and mean something else."""
    heads = {name.partition(".")[0] for name in fields}
    found: dict[str, str] = {}
    for name in names:
        if name in heads:
            continue
        values = [document[name] for document in documents if document.get(name) is not None]
        if values and not all(_fits(name, value) for value in values[:100]):
            found[name] = "`null`"
    return found


def _fits(name: str, value: Any) -> bool:
    if name in {"page", "campaign"}:
        return type(value) is dict
    if name == "consent":
        return is_by_vendor(value)
    if name == "content":
        return type(value) is dict and {"type", "id"} == value.keys()
    wanted = EVENT_FIELDS.get(name)
    return wanted is None or wanted.accepts(value)
