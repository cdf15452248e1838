"""Whether two sections can give events of the same id: judged from the settings alone."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from streams.core.ingest.section import IngestSection
from streams.core.ingest.topic_mapping import name_in_ids

OWN_ID = "event_id"
"""The field of a record that is the event's id where a section names none."""


class _Values(NamedTuple):
    """What a path may be where a condition is true: one of these, or none of these."""

    texts: frozenset[str]
    only: bool


def same_ids(
    sections: Sequence[tuple[str, IngestSection]],
) -> Iterator[tuple[IngestSection, IngestSection]]:
    """Yield each two sections, given with their topics, whose events could have the same id.

    That is, two that write to one topic of events and take the same record. Where both ``when``
    ask one path for different texts no record is taken by both.
    """
    for number, (topic, section) in enumerate(sections):
        for other_topic, other in sections[:number]:
            if section.to == other.to and section.target.writes_events:
                if topic == other_topic:
                    if _give_the_same(section, other) and not _exclude(section, other):
                        yield other, section
                elif _derive_the_same((topic, section), (other_topic, other)):
                    yield other, section


def _give_the_same(one: IngestSection, other: IngestSection) -> bool:
    """Return whether the ids of events of one record can be the same."""
    if (one.event_id or OWN_ID) != (other.event_id or OWN_ID):
        return False
    if bool(one.each) == bool(other.each):
        return True
    # Without an expression each element's id has its number.
    return (one if one.each else other).event_id is not None


def _derive_the_same(one: tuple[str, IngestSection], other: tuple[str, IngestSection]) -> bool:
    """Return whether ``a-1-2-3`` is element 3 of topic a and a record of topic a-1."""
    for (topic, section), (longer, whole) in ((one, other), (other, one)):
        if section.each is None or whole.each is not None:
            continue
        if section.event_id is None and whole.event_id is None:
            shape = re.escape(name_in_ids(topic)) + r"-\d+"
            if re.fullmatch(shape, name_in_ids(longer)):
                return True
    return False


def _exclude(one: IngestSection, other: IngestSection) -> bool:
    if one.envelope != other.envelope or one.when is None or other.when is None:
        return False
    first, second = _demanded(one.when.tree), _demanded(other.when.tree)
    return any(_apart(first[path], second[path]) for path in first.keys() & second.keys())


def _apart(one: _Values, other: _Values) -> bool:
    if one.only and other.only:
        return not one.texts & other.texts
    if one.only or other.only:
        only, without = (one, other) if one.only else (other, one)
        return only.texts <= without.texts
    return False


def _demanded(tree: Any) -> dict[str, _Values]:
    """Return what a condition that is true says of paths, each as the text of its tree."""
    kind, children = tree["type"], tree.get("children", ())
    if kind == "comparator" and tree["value"] in ("eq", "ne"):
        for path, literal in (children, children[::-1]):
            if literal["type"] == "literal" and type(literal["value"]) is str:
                return {repr(path): _Values(frozenset({literal["value"]}), tree["value"] == "eq")}
    if kind == "function_expression" and tree["value"] == "contains":
        of, path = children
        texts = _texts(of)
        return {repr(path): _Values(frozenset(texts), only=True)} if texts else {}
    if kind == "and_expression":
        first, second = map(_demanded, children)
        return second | first  # one of the two is enough where both speak of one path
    if kind == "or_expression":
        first, second = map(_demanded, children)
        return {
            path: _Values(first[path].texts | second[path].texts, only=True)
            for path in first.keys() & second.keys()
            if first[path].only and second[path].only
        }
    return {}


def _texts(tree: Any) -> list[str]:
    """Return the texts of a literal list; none where anything else is in it."""
    if tree["type"] == "multi_select_list":
        literals = tree["children"]
        items = [child.get("value") for child in literals if child["type"] == "literal"]
    else:
        items = literals = tree["value"] if type(tree.get("value")) is list else []
    texts = [item for item in items if type(item) is str]
    return texts if len(texts) == len(literals) else []
