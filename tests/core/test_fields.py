"""Field maps: our fields out of a shop's own records."""

from typing import Any

import pytest

from streams.core.errors import SettingsError
from streams.core.fields import FIELDS, Failed, FieldMap


def test_named_fields_come_from_expressions_and_others_keep_their_names() -> None:
    """What the map does not name is read as it is."""
    fields = FieldMap({"anonymous_id": "who.id", "page": {"url": "href"}, "page.title": "heading"})
    record = {"who": {"id": "v"}, "href": "https://u", "heading": "T", "sku": "8S-1"}
    ours = fields.apply(record).record
    assert ours["anonymous_id"] == "v"
    assert ours["page"] == {"url": "https://u", "title": "T"}
    assert ours["sku"] == "8S-1"
    assert record == {"who": {"id": "v"}, "href": "https://u", "heading": "T", "sku": "8S-1"}


def test_part_is_set_within_what_the_record_has() -> None:
    """A dotted field adds to the record's own page; the record itself is not changed."""
    record = {"page": {"title": "T", "url": "old"}, "href": "new"}
    assert FieldMap({"page.url": "href"}).apply(record).record["page"] == {
        "title": "T",
        "url": "new",
    }
    assert record["page"] == {"title": "T", "url": "old"}


def test_part_wins_over_its_whole() -> None:
    """Whatever their order in the file, the whole is read first."""
    fields = FieldMap({"page.url": "href", "page": "there"})
    assert fields.apply({"there": {"url": "a", "title": "T"}, "href": "b"}).record["page"] == {
        "url": "b",
        "title": "T",
    }


def test_expression_without_a_match_makes_the_field_absent() -> None:
    """The field's own name is not a second try."""
    assert FieldMap({"sku": "a.b"}).apply({"sku": "own"}).record["sku"] is None


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("contains(none, 'C0004')", "contains() got null, not array or string"),
        ("to_number('NaN')", 'to_number() got string "NaN", which is no number'),
        ("to_number('1_000')", 'to_number() got string "1_000", which is no number'),
        ("to_number(long)", f'to_number() got string "{"1" * 40}…", which is no number'),
        ("to_number(mail)", 'to_number() got string "***", which is no number'),
        ("to_number('1e400')", 'to_number() got string "1e400", which is no number'),
        ("to_string(to_number('-1e400'))", 'to_number() got string "-1e400", which is no number'),
        ("to_string(sum([huge, huge]))", "a number that is not finite"),
        ("to_string([sum([huge, huge])])", "a number that is not finite"),
        ("to_number(x)", "to_number() got array, which is no number"),
        ("divide(mail, `100`)", "divide() got string, not number or null"),
        ("divide(`1`, `0`)", "divide() got number and number"),
        ("divide(to_number(mail), `100`)", 'to_number() got string "***", which is no number'),
        ("replace(`1`, ',', '.')", "replace() got number, not string or null"),
        ("to_number(yes)", "to_number() got boolean, which is no number"),
        (
            "to_number(word) || to_number(none)",
            'to_number() got string "w", which is no number',
        ),
        ("sum(x)", "sum() got string, not array of number"),
        ("max_by(x, &y)", "max_by() got null, not number or string"),
        ("abs(word)", "abs() got string, not number"),
        ("contains(word, one)", "contains() got string and number"),
        ("join('-', [word, none])", "join() got null, not array of string"),
        (
            "word < one",
            (
                "values of types that do not go together "
                "('<' not supported between instances of 'str' and 'int')"
            ),
        ),
        ("many[*].id", "it goes through more than 5000 elements"),
        ("sort(many)", "it goes through more than 5000 elements"),
        ("sum([big, big])", "an integer of more than 64 bits"),
        ("x[::0]", "values of types that do not go together (slice step cannot be zero)"),
    ],
)
def test_expression_that_fails_over_a_record_says_so_in_words(expression: str, why: str) -> None:
    """A stranger's record cannot make the map raise; the expression, function and value are named.

    Whoever reads the dead letter has to find the line in the settings.
    """
    record = {
        "x": ["text", 1], "word": "w", "one": 1, "many": [0] * 5_001, "big": 2**64 - 1,
        "long": "1" * 100_000, "mail": "anna@example.org", "yes": True,
        "huge": 1e308,
    }  # fmt: skip
    failed = FieldMap({"price": expression}).apply(record).record["price"]
    assert type(failed) is Failed
    assert failed.why == f"the expression {expression} failed: {why}"


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("to_string(none)", None),
        ("to_string(missing.path)", None),
        ("to_string(number)", "39910"),
        ("to_string(double)", "12345"),
        ("to_string(text)", "null"),
        ("to_string(flag)", "true"),
        ("to_number(none)", None),
        ("to_number(blank)", None),
        ("to_number(text) || digits", "17"),
        ("not_null(to_number(text), to_number(digits))", 17),
        ("to_number(digits)", 17),
        ("to_number('1e3')", 1000.0),
        ("not_null(none, number)", 39910),
    ],
)
def test_what_is_absent_stays_absent(expression: str, found: Any) -> None:
    """The text of null would be an id, and the same for everybody who has none."""
    record = {
        "none": None, "number": 39910, "double": 12345.0, "text": "null", "flag": True,
        "digits": "17", "blank": " ",
    }  # fmt: skip
    assert FieldMap({"sku": expression}).apply(record).record["sku"] == found


@pytest.mark.parametrize(
    ("expression", "notes"),
    [
        ("items[0].id", ("items_left",)),
        ("items[-1].id", ("items_left",)),
        ("one[0].id", ()),
        ("items[?id == 'B'] | [0].id", ()),
        ("id", ()),
    ],
)
def test_item_that_is_left_in_a_list_is_noted(expression: str, notes: tuple[str, ...]) -> None:
    """One record with several products gives one event: the others do not go without a word."""
    record = {"items": [{"id": "A"}, {"id": "B"}], "one": [{"id": "A"}], "id": "A"}
    assert FieldMap({"product_id": expression}).apply(record).notes == notes


def test_parts_of_a_map_that_can_never_work_are_found_at_loading() -> None:
    """Unknown functions and wrong numbers of arguments fail over every record."""
    with pytest.raises(SettingsError) as problem:
        FieldMap({"sku": "lower(sku)", "page.url": "join(',')", "locale": '`"\\ud800"`'}, name="m")
    assert problem.value.problems == (
        "m.sku: 'lower(sku)': JMESPath has no function lower()",
        """m.locale: '`"\\\\ud800"`': half a surrogate pair stands in it""",
        """m.page.url: "join(',')": join() takes 2 arguments, not 1""",
    )


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
    assert lines[0].startswith("source.clicks.fields.sku: 'a..b' is not valid JMESPath: ")
    assert lines[1] == "source.clicks.fields.colour: events have no such field"
    assert lines[2].startswith("source.clicks.fields.price: '' is not valid JMESPath: ")
    assert lines[3] == "source.clicks.fields.page.size: events have no such field"
    assert lines[4] == "source.clicks.fields.sku.x: events have no such field"
    assert lines[5] == (
        "source.clicks.fields: timestamp_format '%Q': 'Q' is a bad directive in format '%Q'"
    )


def test_ip_is_found_where_the_map_says() -> None:
    """Dead letters mask the address wherever the shop keeps it."""
    assert FieldMap({"ip": "client.addr"}).value_of("ip", {"client": {"addr": "203.0.113.7"}}) == (
        "203.0.113.7"
    )
    assert FieldMap({"sku": "a"}).value_of("ip", {"ip": "203.0.113.7"}) is None


def test_field_names_are_those_of_the_events() -> None:
    """The list that maps are checked against has no other definition to drift from."""
    from streams.core.event_types import AddToCart
    from streams.core.fields import PARTS as PARTS_OF_MAPS
    from streams.core.present_fields import FIELD_TYPES, PART_TYPES

    assert set(FIELDS) == set(FIELD_TYPES[AddToCart])
    assert {name: set(parts) for name, parts in PARTS_OF_MAPS.items()} == {
        name: set(FIELD_TYPES[kind]) for name, kind in PART_TYPES.items()
    }


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("a.b[0].c", {"a"}),
        ("a[?b == 'x'].c | [0]", {"a"}),
        ("a[].b || c", {"a", "c"}),
        ("{x: a.b, y: [c, d]}", {"a", "c", "d"}),
        ("not_null(a, `1`) && !b", {"a", "b"}),
        ("to_string(@)", None),
        ("*.a", None),
        ("[0]", None),
        ("'text'", set()),
    ],
)
def test_a_map_says_which_fields_it_looks_at(expression: str, names: set[str] | None) -> None:
    """None: at the record as a whole."""
    fields = FieldMap({"sku": expression, "page.url": "href"})
    assert fields.names_read() == (None if names is None else frozenset(names | {"href"}))
    assert fields.names_read(("page",)) == frozenset({"href"})


def test_the_expressions_of_a_map_share_what_they_may_go_through() -> None:
    """Twenty of them over one long array would hold up all other records."""
    parts = ("name", "source", "medium", "term", "content")
    fields = FieldMap({f"campaign.{part}": "many[*].id | [0]" for part in parts})
    found = fields.apply({"many": [{"id": "x"}] * 4_000}).record["campaign"]
    assert (found["name"], found["source"]) == ("x", "x")
    assert found["medium"].why.endswith("with others it goes through more than 10000 elements")
