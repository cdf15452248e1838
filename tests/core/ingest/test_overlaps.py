"""Two sections whose events could have the same id are found when settings are read."""

from typing import Any

import pytest

from streams.core.fields import FieldMap
from streams.core.ingest.overlaps import same_ids
from streams.core.ingest.section import IngestSection


def clash(one: dict[str, str], other: dict[str, str], topics: tuple[str, str] = ("t", "t")) -> bool:
    """Whether two sections to clicks are found to be one too many."""
    sections = []
    for name, topic, given in zip("ab", topics, (one, other), strict=True):
        more: dict[str, Any] = dict(given)
        id_ = more.pop("event_id", None)
        fields = FieldMap({} if id_ is None else {"event_id": id_})
        section = IngestSection(name, more.pop("to", "clicks"), fields=fields, **more)
        sections.append((topic, section))
    return bool(list(same_ids(sections)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {}),
        ({"when": "a == 'x'"}, {}),
        ({"when": "a == 'x'"}, {"when": "b == 'y'"}),
        ({"when": "a == 'x' || b == 'y'"}, {"when": "a == 'z'"}),
        ({"when": "a != 'x'"}, {"when": "a != 'y'"}),
        ({"when": "a == `1`"}, {"when": "a == `2`"}),
        ({"each": "x"}, {"each": "y"}),
        ({"event_id": "id"}, {"event_id": "id"}),
        ({"event_id": "id", "each": "x"}, {"event_id": "id"}),
        ({"event_id": "event_id"}, {}),
        ({"event_id": "event_id", "each": "x"}, {}),
        ({"event_id": "event_id", "each": "x"}, {"each": "y"}),
        ({"when": "a == 'x'", "envelope": "connect"}, {"when": "a == 'y'"}),
    ],
)
def test_sections_that_may_both_take_a_record(one: dict[str, str], other: dict[str, str]) -> None:
    """What is not proved apart is taken for the same."""
    assert clash(one, other)
    assert clash(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"to": "add-to-carts"}),
        ({"to": "users"}, {"to": "users"}),
        ({}, {"each": "x"}),
        ({"event_id": "id"}, {}),
        ({"event_id": "event_id"}, {"each": "x"}),
        ({"event_id": "id"}, {"event_id": "other"}),
        ({"when": "a == 'x'"}, {"when": "a == 'y'"}),
        ({"when": "a == 'x'"}, {"when": "'y' == a"}),
        ({"when": "a == 'x' && b"}, {"when": "c && a == 'y'"}),
        ({"when": "a == 'x' || a == 'y'"}, {"when": "a == 'z'"}),
        ({"when": "a == 'x'"}, {"when": "a != 'x'"}),
        ({"when": "contains(['x', 'y'], a)"}, {"when": "a == 'z'"}),
        ({"when": 'contains(`["x", "y"]`, a)'}, {"when": "a == 'z'"}),
    ],
)
def test_sections_whose_ids_differ(one: dict[str, str], other: dict[str, str]) -> None:
    """Since they write elsewhere, name ids of their own, or never take one record both."""
    assert not clash(one, other)
    assert not clash(other, one)


def test_topic_that_is_called_as_another_with_a_number() -> None:
    """``web-1-2-3`` is element 3 of a record of web, and a record of web-1."""
    assert clash({"each": "x"}, {}, ("web", "web-1"))
    assert not clash({"each": "x"}, {"each": "x"}, ("web", "web-1"))
    assert not clash({}, {}, ("web", "web-1"))
    assert not clash({"each": "x"}, {}, ("web", "web-b"))
