"""Field maps: our fields out of a shop's own records."""

from typing import Any

import pytest

from streams.core.errors import SettingsError
from streams.core.fields import FIELDS, OUT_OF_SHAPE, FieldMap


def test_named_fields_come_from_expressions_and_others_keep_their_names() -> None:
    """What the map does not name is read as it is."""
    fields = FieldMap({"anonymous_id": "who.id", "page": {"url": "href"}, "page.title": "heading"})
    record = {"who": {"id": "v"}, "href": "https://u", "heading": "T", "sku": "8S-1"}
    ours = fields.apply(record)
    assert ours["anonymous_id"] == "v"
    assert ours["page"] == {"url": "https://u", "title": "T"}
    assert ours["sku"] == "8S-1"
    assert record == {"who": {"id": "v"}, "href": "https://u", "heading": "T", "sku": "8S-1"}


def test_part_is_set_within_what_the_record_has() -> None:
    """A dotted field adds to the record's own page; the record itself is not changed."""
    record = {"page": {"title": "T", "url": "old"}, "href": "new"}
    assert FieldMap({"page.url": "href"}).apply(record)["page"] == {"title": "T", "url": "new"}
    assert record["page"] == {"title": "T", "url": "old"}


def test_part_wins_over_its_whole() -> None:
    """Whatever their order in the file, the whole is read first."""
    fields = FieldMap({"page.url": "href", "page": "there"})
    assert fields.apply({"there": {"url": "a", "title": "T"}, "href": "b"})["page"] == {
        "url": "b",
        "title": "T",
    }


def test_expression_without_a_match_makes_the_field_absent() -> None:
    """The field's own name is not a second try."""
    assert FieldMap({"sku": "a.b"}).apply({"sku": "own"})["sku"] is None


@pytest.mark.parametrize("expression", ["sum(x)", "max_by(x, &y)", "to_number(big)", "abs(x)"])
def test_expression_that_fails_over_a_record_fits_no_type(expression: str) -> None:
    """A stranger's record cannot make the map raise."""
    ours = FieldMap({"price": expression}).apply({"x": ["text", 1, None], "big": "1" * 400})
    assert ours["price"] is OUT_OF_SHAPE


@pytest.mark.parametrize(
    ("pattern", "value", "ms"),
    [
        ("s", 1_795_168_800, 1_795_168_800_000),
        ("s", 1_795_168_800.1239, 1_795_168_800_123),
        ("s", "1795168800.007", 1_795_168_800_007),
        ("ms", "1795168800007", 1_795_168_800_007),
        ("ms", 1_795_168_800_007.9, 1_795_168_800_007),
        ("%d.%m.%Y %H:%M:%S", "20.11.2026 10:00:00", 1_795_168_800_000),
        ("%Y-%m-%dT%H:%M:%S.%f%z", "2026-11-20T11:00:00.007999+0100", 1_795_168_800_007),
    ],
)
def test_timestamp_formats(pattern: str, value: Any, ms: int) -> None:
    """Seconds, milliseconds or a pattern; a pattern without an offset is UTC."""
    assert FieldMap({}, pattern).apply({"timestamp": value})["timestamp"] == ms


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        ("s", "soon"),
        ("s", True),
        ("s", [1]),
        ("s", "NaN"),
        ("ms", "Infinity"),
        ("%Y", 2026),
        ("%Y", "year"),
        ("%d.%m.%Y", "20.11.2026 "),
    ],
)
def test_timestamp_out_of_format_fits_no_type(pattern: str, value: Any) -> None:
    """It becomes the dead letter of the field, not an exception."""
    assert FieldMap({}, pattern).apply({"timestamp": value})["timestamp"] is OUT_OF_SHAPE


@pytest.mark.parametrize("value", [None, ""])
def test_empty_timestamp_is_absent(value: str | None) -> None:
    """An empty string counts as absent under any format."""
    assert FieldMap({}, "s").apply({"timestamp": value})["timestamp"] is None


def test_all_problems_are_reported_at_once() -> None:
    """Each line names the setting, and what is wrong with it."""
    with pytest.raises(SettingsError) as problem:
        FieldMap(
            {"sku": "a..b", "colour": "c", "page.size": "d", "sku.x": "e", "price": ""},
            "%Q",
            name="source.clicks.fields",
        )
    lines = problem.value.problems
    assert len(lines) == 6
    assert lines[0].startswith("source.clicks.fields.sku: 'a..b' is no JMESPath: ")
    assert lines[1] == "source.clicks.fields.colour: events have no such field"
    assert lines[2].startswith("source.clicks.fields.price: '' is no JMESPath: ")
    assert lines[3] == "source.clicks.fields.page.size: events have no such field"
    assert lines[4] == "source.clicks.fields.sku.x: events have no such field"
    assert lines[5] == (
        "source.clicks.fields: timestamp_format '%Q': 'Q' is a bad directive in format '%Q'"
    )


@pytest.mark.parametrize("pattern", ["%Y %Y", "%", ""])
def test_pattern_that_can_never_match_is_a_problem(pattern: str) -> None:
    """Doubled, stray and missing directives are found at loading."""
    with pytest.raises(SettingsError, match="timestamp_format"):
        FieldMap({}, pattern)


def test_ip_is_found_where_the_map_says() -> None:
    """Dead letters mask the address wherever the shop keeps it."""
    assert FieldMap({"ip": "client.addr"}).ip_of({"client": {"addr": "203.0.113.7"}}) == (
        "203.0.113.7"
    )
    assert FieldMap({"sku": "a"}).ip_of({"ip": "203.0.113.7"}) is None


def test_field_names_are_those_of_the_events() -> None:
    """The list that maps are checked against has no other definition to drift from."""
    from streams.core.events import _FIELD_TYPES, _PARTS, AddToCart
    from streams.core.fields import _PARTS as PARTS_OF_MAPS

    assert set(FIELDS) == set(_FIELD_TYPES[AddToCart])
    assert {name: set(parts) for name, parts in PARTS_OF_MAPS.items()} == {
        name: set(_FIELD_TYPES[kind]) for name, kind in _PARTS.items()
    }
