"""Samples without their envelopes, and expressions over them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from streams.core.errors import InvalidEvent
from streams.core.expressions import Expression, ExpressionError
from streams.core.ingest.envelopes import FLAT, UNWRAP, Present
from streams.core.proposal.model import FoundField, TopicSample
from streams.core.quick_expressions import is_false
from streams.core.values import id_text, is_absent

MANY = 0.8
"""A sample is of a shape if so many of its records are."""


class Documents(NamedTuple):
    """What expressions see of a sample."""

    envelope: str
    values: Sequence[Mapping[str, Any]]
    keys: Sequence[str | None]
    """The record's own key of each, as an id, where it is or holds just one."""


def unwrap(sample: TopicSample) -> Documents:
    """Return the documents of a sample; deletes and what is no object are left out."""
    objects = [(r.key, r.value) for r in sample.records if type(r.value) is dict]
    envelope = "none"
    for name, looks in (("debezium", _is_debezium), ("connect", _is_connect)):
        if objects and sum(looks(value) for _, value in objects) >= MANY * len(objects):
            envelope = name
            break
    values, keys = [], []
    for key, value in objects:
        with suppress(InvalidEvent):
            said = UNWRAP[envelope](value)
            if isinstance(said, Present):
                values.append(said.record)
                keys.append(_key_id(key))
    return Documents(envelope, values, keys)


def _is_debezium(value: Mapping[str, Any]) -> bool:
    if _is_connect(value) and type(value["payload"]) is dict:
        value = value["payload"]
    return FLAT in value or ("op" in value and ("after" in value or "before" in value))


def _is_connect(value: Mapping[str, Any]) -> bool:
    return value.keys() == {"schema", "payload"}


def _key_id(key: Any) -> str | None:
    if type(key) is dict:
        key = key.get("payload", key)
        if type(key) is dict and len(key) == 1:
            (key,) = key.values()
    text = id_text(key)
    return text if type(text) is str and text else None


def found_in(expression: str, documents: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Return what the expression finds in each document."""
    try:
        compiled = Expression(expression)
    except ExpressionError:
        return [None] * len(documents)
    found = []
    for document in documents:
        try:
            value = compiled.search(document).value
        except ExpressionError:
            value = None
        found.append(None if is_absent(value) else value)
    return found


def as_found(expression: str, documents: Sequence[Mapping[str, Any]]) -> FoundField:
    """Return the share of the documents in which the expression finds something."""
    values = [value for value in found_in(expression, documents) if value is not None]
    share = len(values) / len(documents) if documents else 0.0
    return FoundField(expression, share, values[0] if values else None)


def events_of(
    documents: Sequence[Mapping[str, Any]], when: str | None, each: str | None
) -> tuple[int, list[Mapping[str, Any]]]:
    """Return how many documents count, and what expressions see of each event of theirs."""
    taken = [
        document
        for document, counts in zip(
            documents,
            [True] * len(documents) if when is None else found_in(when, documents),
            strict=True,
        )
        if not is_false(counts)
    ]
    if each is None:
        return len(taken), taken
    return len(taken), list(_elements(taken, each))


def _elements(documents: Sequence[Mapping[str, Any]], each: str) -> Iterator[Mapping[str, Any]]:
    for document, items in zip(documents, found_in(each, documents), strict=True):
        if type(items) is list:
            for index, item in enumerate(items):
                yield {**document, "_item": item, "_index": index}
