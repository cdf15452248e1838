"""Tables of products and users: which column is the key, and which is which of our fields."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from streams.core.proposal.consent import consent_remarks, vendors_consent
from streams.core.proposal.documents import Documents
from streams.core.proposal.fields import chosen_leaves
from streams.core.proposal.leaves import Leaf, quoted_name, words_of
from streams.core.proposal.model import TopicSample
from streams.core.proposal.names import PRODUCT_FIELDS, USER_FIELDS, is_id
from streams.core.values import id_text

_PRODUCT_TOPIC = re.compile(r"product|produkt|artikel|article|catalog|katalog|item|sku|assortment")
_USER_TOPIC = re.compile(
    r"user|customer|visitor|kunde|besucher|profile|contact|consent|member|cookie"
)
_CATEGORY = re.compile(r"(?:^|_)(?:categor\w*|kategori\w*|breadcrumb\w*|taxonomy|warengruppe)")
_UNIQUE = 0.95


@dataclass(slots=True)
class Table:
    """A table as it was recognised."""

    title: str
    score: float
    """2 and more: probably; events are scored alike."""
    key: str | None
    """The expression of the key; None: the record's own."""
    expressions: dict[str, str]
    keys: frozenset[str] = frozenset()
    skus: frozenset[str] = frozenset()
    remarks: list[str] = field(default_factory=list)


def product_table(
    documents: Documents,
    leaves: Sequence[Leaf],
    sample: TopicSample,
    others: Sequence[Sequence[Leaf]] = (),
) -> Table | None:
    """Return the sample as a table of products; None where no column can be its key.

    ``others`` are the leaves of topics of events: their values say which column these mean.
    """
    rows = len(documents.values)
    flat = [leaf for leaf in leaves if leaf.list_of is None]
    taken = chosen_leaves(flat, PRODUCT_FIELDS, rows)
    key = _met_key(flat, others) or taken.pop("key", None) or taken.get("sku")
    taken.pop("key", None)
    if key is None:
        return None
    if "sku" not in taken:
        taken["sku"] = key
    expressions = {name: leaf.expression for name, leaf in taken.items()}
    category = _category(documents.values)
    if category is not None:
        expressions["category"] = category
    score = 0.5 + 0.7 * ("name" in taken) + 0.5 * ("brand" in taken) + 0.4 * ("price" in taken)
    score += 1.2 * bool(_PRODUCT_TOPIC.search(words_of(sample.topic)))
    score += _row_like(documents, key, sample)
    return Table(
        _title("products", documents),
        score,
        key.expression,
        expressions,
        frozenset(key.ids),
        frozenset(taken["sku"].ids),
    )


def user_table(documents: Documents, leaves: Sequence[Leaf], sample: TopicSample) -> Table | None:
    """Return the sample as a table of users; None where no column can be its key."""
    rows = len(documents.values)
    flat = [leaf for leaf in leaves if leaf.list_of is None]
    taken = chosen_leaves(flat, USER_FIELDS, rows)
    key = taken.pop("key", None)
    if key is None:
        return None
    expressions = {name: leaf.expression for name, leaf in taken.items()}
    consent = vendors_consent(flat)
    if consent is not None:
        expressions["consent"] = consent
    score = 0.5 + 1.0 * ("email" in taken) + 0.5 * ("user_id" in taken)
    score += 0.7 * (consent is not None) + 0.5 * ("contact_id" in taken)
    score += 1.2 * bool(_USER_TOPIC.search(words_of(sample.topic)))
    score += _row_like(documents, key, sample)
    return Table(
        _title("users", documents),
        score,
        key.expression,
        expressions,
        frozenset(key.ids),
        remarks=consent_remarks(flat) if consent is None else [],
    )


def _title(what: str, documents: Documents) -> str:
    wrapped = {"debezium": "Debezium, ", "connect": "Kafka Connect, "}
    return f"{wrapped.get(documents.envelope, '')}a table of {what}"


def _row_like(documents: Documents, key: Leaf, sample: TopicSample) -> float:
    """Return how much a sample looks like rows: by its clean-up, its keys and its envelope."""
    score = 0.0
    if documents.envelope != "none":
        score += 1.0
    if sample.is_compacted is not None:
        score += 1.5 if sample.is_compacted else -0.5
    unique = key.distinct >= _UNIQUE * len(key.values)
    own = {text for text in documents.keys if text is not None}
    if own and own == {id_text(value) for value in key.values}:
        score += 0.7
    return score + (0.7 if unique else -0.7)


def _met_key(leaves: Sequence[Leaf], others: Sequence[Sequence[Leaf]]) -> Leaf | None:
    """Return the unique column whose values are found most in other topics; None: none is."""
    best: tuple[float, Leaf] | None = None
    for leaf in leaves:
        if leaf.distinct < max(3, _UNIQUE * len(leaf.values)) or not leaf.fits(_may_be_key):
            continue
        ids = leaf.ids
        for other in (one for topic in others for one in topic):
            theirs = other.ids
            if len(theirs) < 3:
                continue
            met = len(ids & theirs) / len(theirs)
            # Equal overlap: the column that does not call itself a SKU is the key.
            score = met - (0.01 if "sku" in leaf.words else 0.0)
            if met >= 0.5 and (best is None or score > best[0]):
                best = score, leaf
    return None if best is None else best[1]


def _may_be_key(value: Any) -> bool:
    # Names of products are met in events, too, and are no ids.
    return is_id(value) and " " not in str(value)


def _category(documents: Sequence[Mapping[str, Any]]) -> str | None:
    for document in documents[:50]:
        for name, value in document.items():
            if not _CATEGORY.search(words_of(name)):
                continue
            text = quoted_name(name)
            if type(value) is list and value and all(type(item) is str for item in value):
                return text
            if type(value) is str and value.strip():
                return f"[{text}]"
    return None
