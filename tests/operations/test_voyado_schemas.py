"""Voyado's schemas from files: rules, differences, what replacing breaks, and files written."""

# ruff: noqa: E501 - the sentences stand whole

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streams.core.errors import SettingsError, SetupError
from streams.lab.sandbox.voyado_schemas import judge_payload, schema_problem
from streams.operations.check.samples import sample_payloads
from streams.operations.voyado_schemas import voyado_schemas as operations
from streams.operations.voyado_schemas.files import (
    load_definitions,
    shipped_folder,
    write_definitions,
)
from streams.operations.voyado_schemas.plan import (
    State,
    compatibility,
    creation_problems,
    plan,
    without_file,
)
from streams.settings import load_settings
from streams.vendors import VENDORS
from streams.vendors.voyado.definition import (
    Definition,
    DefinitionError,
    read_definition,
    set_problems,
)
from streams.vendors.voyado.events import VoyadoEventSettings
from streams.vendors.voyado.inquiries import schema_uses
from streams.vendors.voyado.mapping import InteractionPayload
from streams.vendors.voyado.registered import read_registered
from tests.operations.voyado_schemas_in_process import (
    DIALECT,
    InProcess,
    document,
    rules,
    schema,
    section_of,
    voyado_of,
)

NOW_MS = 1_795_168_800_000
EXAMPLES = {
    "wishlist": "Wishlist",
    "wholeSalePurchase": "Whole sale purchases",
    "repair": "Repair",
    "preownedProduct": "Pre-owned",
    "recycled": "Recycled",
    "engagement": "Engagement",
}


def problems_of(content: Any) -> tuple[str, ...]:
    """The rules that a file breaks."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    with pytest.raises(DefinitionError) as caught:
        read_definition(raw)
    return caught.value.problems


# -- the shipped files


def test_shipped_files_are_the_two_that_the_relay_sends() -> None:
    """Under the ids of the settings, in the order click, add-to-cart."""
    definitions = load_definitions(None, section_of())
    assert [(d.id, d.display_name) for d in definitions] == [
        ("productClick", "Product click"),
        ("addToCart", "Add to cart"),
    ]
    renamed = load_definitions(
        None,
        section_of(
            STREAMS_VOYADO_CLICK_SCHEMA_ID="Click-2", STREAMS_VOYADO_ADD_TO_CART_SCHEMA_ID="Cart_2"
        ),
    )
    assert [d.id for d in renamed] == ["Click-2", "Cart_2"]
    assert [d.json_schema for d in renamed] == [d.json_schema for d in definitions]


def test_a_schema_that_is_not_used_is_not_asked_for() -> None:
    """Clicks that are off need none, and one schema for both has what carts have."""
    off = load_definitions(None, section_of(STREAMS_VOYADO_CLICKS="off"))
    assert [d.id for d in off] == ["addToCart"]
    both = load_definitions(None, section_of(STREAMS_VOYADO_CLICK_SCHEMA_ID="addToCart"))
    assert [(d.id, "quantity" in d.properties) for d in both] == [("addToCart", True)]


def test_shipped_files_have_each_property_of_the_mapping_and_no_other() -> None:
    """Property by property, with its type."""
    click, cart = load_definitions(None, section_of())
    sent = {
        "eventId": "string",
        "productSku": "string",
        "productName": "string",
        "category": "string",
        "brand": "string",
        "price": "number",
        "currency": "string",
        "url": "string",
    }
    assert {name: rule["type"] for name, rule in click.properties.items()} == sent
    assert {name: rule["type"] for name, rule in cart.properties.items()} == {
        **sent,
        "quantity": "integer",
    }
    assert click.required == cart.required == ("eventId", "productSku")
    mapped = {field.encode_name for field in msgspec.structs.fields(InteractionPayload)}
    assert mapped == set(cart.properties)


def test_what_the_mapping_makes_fits_the_shipped_files() -> None:
    """The simulator keeps every property of a click and of an add-to-cart."""
    click, cart = load_definitions(None, section_of())
    payloads, refusals = sample_payloads(VENDORS["voyado"], section_of(), NOW_MS)
    assert refusals == []
    for raw, definition in zip(payloads, (click, cart), strict=True):
        payload = json.loads(raw)["payload"]
        judged = judge_payload(payload, definition.json_schema)
        assert (judged.ignored, judged.dropped) == (None, ())
        assert judged.kept == payload
        assert set(payload) == set(definition.properties)


@pytest.mark.parametrize(
    "path", sorted(shipped_folder().glob("**/*.json")), ids=lambda path: path.stem
)
def test_each_shipped_file_is_taken_by_the_simulator(path: Path) -> None:
    """Examples, too; each file is named after its id."""
    assert schema_problem(json.loads(path.read_bytes())) is None
    assert read_definition(path.read_bytes()).id == path.stem


def test_the_use_cases_of_the_vendors_page_are_there() -> None:
    """All six, with the page's ids and names."""
    there = load_definitions(shipped_folder() / "examples", section_of())
    assert {d.id: d.display_name for d in there} == EXAMPLES


async def test_shipped_files_are_what_the_simulator_starts_with() -> None:
    """Nothing is to be done there."""
    rows = plan(load_definitions(None, section_of()), await voyado_of(InProcess()).list_schemas())
    assert [(row.id, row.state) for row in rows] == [
        ("productClick", State.EQUAL),
        ("addToCart", State.EQUAL),
    ]


async def test_the_event_id_on_contact_cards_is_no_difference() -> None:
    """Not alone: a schema cannot be changed, and this is not worth its interactions."""
    shown, hidden = rules(), rules(showInContactCard="false")
    alone = plan([schema(eventId=hidden)], [schema(eventId=shown)])
    assert [(row.state, row.differences) for row in alone] == [(State.EQUAL, ())]
    for file in (schema(eventId=hidden, b=rules()), schema(eventId=hidden | {"type": "integer"})):
        (row,) = plan([file], [schema(eventId=shown)])
        assert row.state is State.DIFFERENT
    (other,) = plan([schema(a=hidden)], [schema(a=shown)])
    assert other.state is State.DIFFERENT


def test_shipped_schemas_keep_the_event_id_off_contact_cards() -> None:
    """It says nothing to people; everything else does."""
    for definition in load_definitions(None, section_of()):
        flags = {name: rule["showInContactCard"] for name, rule in definition.properties.items()}
        assert {name for name, flag in flags.items() if flag == "false"} == {"eventId"}


# -- rules, before any request


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\xff", "it is not UTF-8"),
        (b"[" * 100_000, "it is nested without end"),
        (b'{"id": NaN}', "NaN is no number of JSON"),
        (b'{"displayName": "\\ud800"}', "a text holds half a surrogate pair"),
        (b'{"id": "a", "id": "b"}', "id stands twice in one object"),
        (
            b'{"id": "a" // the id\n}',
            "it is not JSON: Expecting ',' delimiter in line 1, column 12 (JSON has no comments)",
        ),
        ([], "it must be one object with id, displayName and jsonSchema"),
        (document("Höst-kampanj", a=rules()), 'id must consist of a-z, A-Z, 0-9, _ and -, not "H'),
        (document("a b", a=rules()), 'id must consist of a-z, A-Z, 0-9, _ and -, not "a b"'),
        (document("a\n", a=rules()), 'id must consist of a-z, A-Z, 0-9, _ and -, not "a\\n"'),
        (document("", a=rules()), 'id must consist of a-z, A-Z, 0-9, _ and -, not ""'),
        (document("a" * 201, a=rules()), "id must have at most 200 characters, not 201"),
        (document(), "jsonSchema.properties must be an object with properties, not {}"),
        (
            document(a=rules("object")),
            (
                'property a: type "object" is nested: it must be "string", "number", "integer" or '
                '"boolean"'
            ),
        ),
        (
            document(a=rules("date")),
            'property a: type must be "string", "number", "integer" or "boolean", not "date"',
        ),
        (
            document(a=rules(items={"type": "string"})),
            "property a: items is nested: Voyado takes single values only",
        ),
        (document(a="string"), 'property a: it must be an object, not "string"'),
        (
            document(a=rules(showInContactCard=True)),
            'property a: showInContactCard must be the string "true" or "false", not true',
        ),
        (
            document(a=rules(showInContactCard="True")),
            'property a: showInContactCard must be the string "true" or "false", not "True"',
        ),
        (
            document(a={"type": "string", "displayName": "A"}),
            'property a: showInContactCard must be the string "true" or "false", and is missing',
        ),
        (
            document(a=rules(addToSegmentation=1)),
            'property a: addToSegmentation must be the string "true" or "false", not 1',
        ),
        (
            document(a=rules(sortOrder=0)),
            'property a: sortOrder must be a string of digits such as "0", not 0',
        ),
        (
            document(a=rules(sortOrder="1.5")),
            'property a: sortOrder must be a string of digits such as "0", not "1.5"',
        ),
        (document(a=rules(displayName="")), 'property a: displayName must be a text, not ""'),
        (
            document(a=rules("number", format="date-time")),
            'property a: format is for type "string", and a text such as "date-time"',
        ),
        (
            document(productSku=rules("integer")),
            (
                'property productSku: type must be "string": Voyado reserves the name productSku for '
                "the SKU"
            ),
        ),
        (
            document("wishlist", "b", a=rules()),
            'jsonSchema.required names "b", which is no property',
        ),
        (document("wishlist", "a", "a", a=rules()), "jsonSchema.required names a twice"),
        (
            document("wishlist", a=rules(pattern="(")),
            'jsonSchema is no valid JSON Schema: "(" is not a "regex"',
        ),
        (
            document("wishlist", **{f"p{n}": rules(addToSegmentation="true") for n in range(7)}),
            "7 properties are segmentable, and Voyado takes at most 6: p0, p1, p2, p3, p4, p5, p6",
        ),
        (
            document(a=rules()) | {"version": 1},
            "version is unknown; there are id, displayName, jsonSchema",
        ),
    ],
)
def test_each_broken_rule_is_named(content: Any, problem: str) -> None:
    """One sentence a rule, with what stands there."""
    (found,) = problems_of(content)
    assert found.startswith(problem)


def test_all_broken_rules_of_a_file_are_named_at_once() -> None:
    """Nobody has to come back for the next one."""
    broken = {
        "id": "ä",
        "displayName": "",
        "jsonSchema": {"$schema": "x", "type": "array", "allOf": [], "properties": {}},
    }
    assert problems_of(broken) == (
        'id must consist of a-z, A-Z, 0-9, _ and -, not "\\u00e4"',
        'displayName must be a text, not ""',
        f'jsonSchema.$schema must be "{DIALECT}", not "x"',
        'jsonSchema.type must be "object", not "array"',
        "jsonSchema.allOf is nested: Voyado takes no more levels than properties",
        "jsonSchema.properties must be an object with properties, not {}",
    )


def test_six_segmentable_properties_are_taken() -> None:
    """Any number of others beside them."""
    six = {f"p{n}": rules(addToSegmentation="true") for n in range(6)}
    assert len(schema("a", **six, more=rules(addToSegmentation="false")).properties) == 7


def test_fifteen_files_are_taken_and_sixteen_are_not() -> None:
    """The environment has no room for more."""
    files = {f"{n}.json": schema(f"s{n}", a=rules()) for n in range(16)}
    assert list(set_problems(files)) == ["there are 16 schemas, and Voyado takes at most 15"]
    del files["15.json"]
    assert list(set_problems(files)) == []


def test_ids_must_differ_by_more_than_case() -> None:
    """The mail editor could not tell them apart."""
    files = {
        "a.json": schema("Wish", a=rules()),
        "b.json": schema("wish", a=rules()),
        "c.json": schema("Wish", a=rules()),
    }
    assert list(set_problems(files)) == [
        (
            "b.json: id wish differs from that of a.json in case alone, and the mail editor knows "
            "both as wish"
        ),
        "c.json: id Wish is that of a.json, too",
    ]


def test_what_the_relay_sends_must_be_taken(tmp_path: Path) -> None:
    """eventId, types, and nothing required that never comes; only for the two in use."""
    click = document("productClick", "colour", productSku=rules(), colour=rules())
    cart = document("addToCart", eventId=rules("integer"), price=rules("integer"))
    (tmp_path / "click.json").write_text(json.dumps(click))
    (tmp_path / "cart.json").write_text(json.dumps(cart))
    (tmp_path / "wishlist.json").write_text(json.dumps(document(a=rules())))
    with pytest.raises(SettingsError) as caught:
        load_definitions(tmp_path, section_of())
    assert caught.value.problems == (
        'cart.json: property eventId: type must be "string", as the relay sends it, not "integer".',
        'cart.json: property price: type must be "number", as the relay sends it, not "integer".',
        (
            "click.json: property eventId is missing: the relay sends interactions of productClick, "
            'and recognises a repeat by it; it must be of type "string".'
        ),
        (
            "click.json: property colour is required, and the relay never sends it: Voyado would "
            "ignore every interaction."
        ),
        "Nothing was asked of Voyado.",
    )


def test_what_named_events_send_must_be_taken_too(tmp_path: Path) -> None:
    """By each section that names the schema; what is required must be among its fields."""
    wishlist = document("wishlist", "size", size=rules(), date=rules())
    (tmp_path / "wishlist.json").write_text(json.dumps(wishlist))
    events = {
        "wish": VoyadoEventSettings(
            voyado_schema_id="wishlist", voyado_fields={"size": "properties.size"}
        ),
        "unwish": VoyadoEventSettings(voyado_schema_id="wishlist"),
        "review": VoyadoEventSettings(),
    }
    with pytest.raises(SettingsError) as caught:
        load_definitions(tmp_path, section_of(), events)
    assert caught.value.problems == (
        (
            "wishlist.json: property eventId is missing: the relay sends interactions of wishlist, "
            'and recognises a repeat by it; it must be of type "string".'
        ),
        (
            "wishlist.json: property size is required, and the relay never sends it: Voyado would "
            "ignore every interaction."
        ),
        "Nothing was asked of Voyado.",
    )


def test_schemas_in_use_that_nobody_defines_are_named() -> None:
    """Once each, with the settings that name them."""
    events = {name: VoyadoEventSettings(voyado_schema_id="wishlist") for name in ("wish", "unwish")}
    uses = schema_uses(section_of(), events)
    here = plan([schema("addToCart", eventId=rules())], [schema("productClick", eventId=rules())])
    assert without_file(uses, here) == [
        (
            "wishlist, named by [events.wish] voyado_schema_id and [events.unwish] voyado_schema_id, "
            "is not at Voyado, and no file defines it: the workers of stage voyado would wait. Put "
            "its file into a folder, and give that as --dir."
        )
    ]
    assert without_file(uses, [*here, *plan([schema("wishlist", eventId=rules())], [])]) == []


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_a_folder_without_files_is_no_folder(tmp_path: Path, name: str) -> None:
    """Rather than nothing to do."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingsError, match=r"--dir: there (is|are) no"):
        load_definitions(tmp_path / name, section_of())


def test_missing_key_and_address_are_named() -> None:
    """Both, by variable."""
    with pytest.raises(SettingsError) as caught:
        operations.voyado_settings(load_settings({}))
    assert caught.value.problems == (
        "STREAMS_VOYADO_BASE_URL: is missing; Voyado cannot be asked without it.",
        "STREAMS_VOYADO_API_KEY: is missing; Voyado cannot be asked without it.",
    )


# -- differences


def test_each_difference_is_one_line() -> None:
    """The schema as a whole first, then property by property."""
    file = schema("wishlist", "a", a=rules(sortOrder="1"), b=rules("number"), c=rules())
    there = schema("wishlist", a=rules(format="date-time"), b=rules(), d=rules())
    there = there.model_copy(update={"display_name": "Wishes"})
    (row,) = plan([file], [there])
    assert row.state is State.DIFFERENT
    assert [str(difference) for difference in row.differences] == [
        'displayName is "Wishlist", at Voyado "Wishes"',
        'required is ["a"], at Voyado []',
        'a: sortOrder is "1", at Voyado left out',
        'a: format is left out, at Voyado "date-time"',
        'b: type is "number", at Voyado "string"',
        "c is only in the file",
        "d is only at Voyado",
    ]


def test_defaults_are_no_differences() -> None:
    """A flag that is left out is "false"; an order that is left out is Voyado's matter."""
    file = schema(a=rules())
    there = schema(a=rules(addToSegmentation="false", sortOrder="3", hint="x"))
    (row,) = plan([file], [there])
    assert (row.state, row.differences) == (State.EQUAL, ())
    (row,) = plan([there], [file])
    assert [str(difference) for difference in row.differences] == [
        'a: sortOrder is "3", at Voyado left out',
        'a: hint is "x", at Voyado left out',
    ]


def test_a_plan_names_what_has_no_file_and_what_differs_in_case() -> None:
    """Missing first in the files' order; nothing at Voyado is left unsaid."""
    rows = plan([schema("Wish", a=rules())], [schema("wish", a=rules())])
    assert [(row.id, row.state, row.remark) for row in rows] == [
        ("Wish", State.MISSING, "Voyado has wish: the ids differ in case alone"),
        ("wish", State.NO_FILE, ""),
    ]
    assert creation_problems(rows) == [
        (
            "Wish cannot be created. Voyado has wish: the ids differ in case alone, and the mail "
            "editor knows no case."
        ),
        "Nothing was changed.",
    ]


def test_what_cannot_be_read_is_not_called_equal() -> None:
    """An answer without properties says nothing."""
    there = read_registered({"id": "wishlist", "displayName": "Wishlist"})
    assert there is not None
    (row,) = plan([schema(a=rules())], [there])
    assert row.state is State.DIFFERENT
    assert row.remark == "Voyado's answer does not show the schema itself: it cannot be compared"
    with pytest.raises(SetupError, match="nobody can say what would be lost"):
        operations.judge_replacement(row)


# -- replacing: what would break


def test_only_additions_break_nothing() -> None:
    """New properties, names and an integer that becomes a number."""
    old = schema(a=rules(), n=rules("integer"))
    new = schema(a=rules(displayName="New"), n=rules("number"), b=rules(addToSegmentation="true"))
    judged = compatibility(old, new)
    assert (judged.breaks, judged.cautions) == ((), ())


def test_gone_and_changed_properties_break() -> None:
    """Voyado wants the new schema to be backward compatible."""
    old = schema(a=rules(), n=rules("number"), s=rules())
    new = schema(n=rules("integer"), s=rules("boolean"))
    assert compatibility(old, new).breaks == (
        "a is gone, which existing interactions may have",
        "n was number and would be integer",
        "s was string and would be boolean",
    )


def test_narrowed_properties_are_cautions() -> None:
    """Allowed, and said: requirements, formats, segments."""
    old = schema(a=rules(addToSegmentation="true"), b=rules())
    new = schema("wishlist", "b", a=rules(), b=rules(format="date-time"))
    judged = compatibility(old, new)
    assert judged.breaks == ()
    assert judged.cautions == (
        "segments by a would find nobody: it is segmentable now",
        'interactions whose b is not of format "date-time" would be ignored: it was left out',
        "interactions without b would be ignored: it was not required",
    )


def test_an_incompatible_replacement_is_refused() -> None:
    """With the way out: only add, or take another id."""
    (row,) = plan([schema(b=rules())], [schema(a=rules())])
    with pytest.raises(SetupError) as caught:
        operations.judge_replacement(row)
    assert str(caught.value) == (
        "wishlist is not replaced: Voyado wants the new schema to be backward compatible, and a "
        "is gone, which existing interactions may have. Keep what is there and only add to it, or "
        "give the new schema another id. Nothing was changed."
    )


def test_the_explanation_says_what_is_lost_and_what_brings_back() -> None:
    """The replay's window ends now and begins where raw topics begin by default."""
    (row,) = plan([schema(a=rules(), b=rules())], [schema(a=rules())])
    judged = operations.judge_replacement(row)
    lines = operations.explanation(row, judged, is_sent=True, now_ms=NOW_MS)
    text = "\n".join(lines)
    assert "deletes ALL its interactions, of all contacts, whoever sent them" in text
    assert "  b is only in the file" in lines
    assert "The new schema takes all that the old one took." in lines
    assert "nothing does so by itself. The command for it:" in text
    assert (
        "  streams replay --vendor voyado --from 2026-11-13T10:00:00.000Z "
        "--to 2026-11-20T10:00:00.000Z --again"
    ) in lines
    offer = lines.index("To keep its interactions, stop here and export them first:")
    assert lines[offer + 1 : offer + 4] == [
        f"  streams voyado-interactions export --schema {row.id} --contacts FILE > saved.jsonl",
        "and, once the new schema is there:",
        "  streams voyado-interactions import saved.jsonl",
    ]
    others = operations.explanation(row, judged, is_sent=False, now_ms=NOW_MS)
    assert others[-1].startswith("The relay sends no interactions of this schema")
    assert not any("streams replay" in line for line in others)


# -- export


async def test_what_is_exported_plans_as_equal(tmp_path: Path) -> None:
    """Files as plan reads them; a second export leaves them alone."""
    there = await voyado_of(InProcess()).list_schemas()
    folder = tmp_path / "new" / "folder"
    assert write_definitions(folder, there, overwrite=False) == [
        (folder / "productClick.json", True),
        (folder / "addToCart.json", True),
    ]
    rows = plan(load_definitions(folder, section_of()), there)
    assert {row.state for row in rows} == {State.EQUAL}
    again = write_definitions(folder, there, overwrite=False)
    assert [was_written for _, was_written in again] == [False, False]


def files_of(folder: Path) -> list[str]:
    """The names in a folder."""
    return sorted(path.name for path in folder.iterdir())


async def test_a_changed_file_is_not_overwritten_unasked(tmp_path: Path) -> None:
    """Nor is any other file written then."""
    there = await voyado_of(InProcess()).list_schemas()
    (tmp_path / "addToCart.json").write_text("mine")
    with pytest.raises(SetupError) as caught:
        write_definitions(tmp_path, there, overwrite=False)
    assert str(caught.value) == (
        f"{tmp_path / 'addToCart.json'} is there with other content; --overwrite replaces it.\n"
        "Nothing was written."
    )
    assert files_of(tmp_path) == ["addToCart.json"]
    write_definitions(tmp_path, there, overwrite=True)
    assert files_of(tmp_path) == ["addToCart.json", "productClick.json"]


def test_an_id_that_is_none_makes_no_file_name(tmp_path: Path) -> None:
    """Voyado's word is not trusted with a path."""
    with pytest.raises(SetupError, match="which is none"):
        write_definitions(
            tmp_path / "a",
            [Definition(id="../b", display_name="B", json_schema={})],
            overwrite=True,
        )
    assert list(tmp_path.iterdir()) == []
