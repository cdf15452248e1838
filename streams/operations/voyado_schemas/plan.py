"""What lies between files and Voyado: differences, and what replacing a schema would break.

Pure. What a file leaves out is left to Voyado, but for flags and formats: a flag that is left out
is "false", and a format that is left out is none.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from streams.vendors.voyado.definition import (
    FLAGS,
    MAX_SCHEMAS,
    Definition,
    is_segmentable,
    shown,
)
from streams.vendors.voyado.inquiries import SchemaUse
from streams.vendors.voyado.schema import EVENT_ID

_LOOKS = ("displayName", "sortOrder", "title", "description", *FLAGS)
"""What says nothing of the values that a property takes."""
_OF_THE_WHOLE = ("type", "properties", "required")


class State(StrEnum):
    """How a schema stands."""

    MISSING = "missing"
    EQUAL = "equal"
    DIFFERENT = "different"
    NO_FILE = "no file"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same in a file and at Voyado."""

    property: str | None
    """None: it is about the schema as a whole."""
    attribute: str | None
    """None: the property as a whole is on one side only."""
    file: Any
    """None: not there."""
    voyado: Any

    def __str__(self) -> str:
        """Return one line."""
        if self.attribute is None:
            side = "in the file" if self.voyado is None else "at Voyado"
            return f"{shown(self.property)} is only {side}"
        subject = "" if self.property is None else f"{shown(self.property)}: "
        return f"{subject}{self.attribute} is {_one(self.file)}, at Voyado {_one(self.voyado)}"


def _one(value: Any) -> str:
    if value is None:
        return "left out"
    return f'"{value}"' if type(value) is str else shown(value)


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One schema: what the files say of it and what Voyado has."""

    id: str
    state: State
    definition: Definition
    """The file's; Voyado's where there is no file."""
    there: Definition | None
    differences: tuple[Difference, ...] = ()
    remark: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return what ``--json`` shows."""
        return {
            "id": self.id,
            "display_name": self.definition.display_name,
            "state": str(self.state),
            "differences": [
                {"property": d.property, "attribute": d.attribute}
                | {"file": d.file, "voyado": d.voyado}
                for d in self.differences
            ],
            "remark": self.remark,
        }


def plan(files: Sequence[Definition], there: Sequence[Definition]) -> list[PlanRow]:
    """Return a row for each file, in their order, and then for what only Voyado has."""
    by_id = {definition.id: definition for definition in there}
    by_name = {definition.mail_editor_name: definition.id for definition in there}
    rows = []
    for definition in files:
        found = by_id.pop(definition.id, None)
        if found is None:
            other = by_name.get(definition.mail_editor_name)
            remark = "" if other is None else f"Voyado has {other}: the ids differ in case alone"
            rows.append(PlanRow(definition.id, State.MISSING, definition, None, remark=remark))
        elif not found.is_readable:
            remark = "Voyado's answer does not show the schema itself: it cannot be compared"
            rows.append(PlanRow(definition.id, State.DIFFERENT, definition, found, remark=remark))
        else:
            found_differences = tuple(differences(definition, found))
            if all(map(_is_card_of_event_id, found_differences)):
                found_differences = ()
            state = State.DIFFERENT if found_differences else State.EQUAL
            rows.append(PlanRow(definition.id, state, definition, found, found_differences))
    return rows + [PlanRow(d.id, State.NO_FILE, d, d) for d in by_id.values()]


def _is_card_of_event_id(difference: Difference) -> bool:
    """Whether it is only whether contact cards show the relay's own event id.

    Schemas that an earlier version made do; making them anew would delete all their interactions.
    """
    return (difference.property, difference.attribute) == (EVENT_ID, "showInContactCard")


def creation_problems(rows: Sequence[PlanRow]) -> list[str]:
    """Return why what is missing cannot all be created, a sentence each."""
    missing = [row for row in rows if row.state is State.MISSING]
    problems = [
        f"{row.id} cannot be created. {row.remark}, and the mail editor knows no case."
        for row in missing
        if row.remark
    ]
    there = sum(row.there is not None for row in rows)
    if missing and there + len(missing) > MAX_SCHEMAS:
        problems.append(
            f"Voyado has {there} schemas and takes at most {MAX_SCHEMAS}: {len(missing)} more do "
            "not fit. Leave some out."
        )
    return [*problems, "Nothing was changed."] if problems else []


def without_file(uses: Sequence[SchemaUse], rows: Sequence[PlanRow]) -> list[str]:
    """Return a sentence for each schema in use that neither a file defines nor Voyado has."""
    known = {row.id for row in rows}
    settings: dict[str, list[str]] = {}
    for use in uses:
        if use.schema_id not in known:
            settings.setdefault(use.schema_id, []).append(use.setting)
    return [
        f"{id_}, named by {' and '.join(named)}, is not at Voyado, and no file defines it: the "
        "workers of stage voyado would wait. Put its file into a folder, and give that as --dir."
        for id_, named in settings.items()
    ]


def differences(file: Definition, there: Definition) -> Iterator[Difference]:
    """Yield what is not the same, the schema as a whole first."""
    if file.display_name != there.display_name:
        yield Difference(None, "displayName", file.display_name, there.display_name)
    for key, value in file.json_schema.items():
        if key not in _OF_THE_WHOLE and value != there.json_schema.get(key):
            yield Difference(None, key, value, there.json_schema.get(key))
    if set(file.required) != set(there.required):
        yield Difference(None, "required", sorted(file.required), sorted(there.required))
    for name, rules in file.properties.items():
        if name in there.properties:
            yield from _of_property(name, rules, there.properties[name])
        else:
            yield Difference(name, None, rules, None)
    for name, rules in there.properties.items():
        if name not in file.properties:
            yield Difference(name, None, None, rules)


def _of_property(
    name: str, rules: Mapping[str, Any], there: Mapping[str, Any]
) -> Iterator[Difference]:
    compared = [*rules, *(key for key in ("format", *FLAGS) if key in there and key not in rules)]
    for key in compared:
        default = "false" if key in FLAGS else None
        values = rules.get(key, default), there.get(key, default)
        if values[0] != values[1]:
            yield Difference(name, key, *values)


@dataclass(frozen=True, slots=True)
class Compatibility:
    """What a replacement does to what was made for the old schema, a sentence's part each."""

    breaks: tuple[str, ...]
    """Against Voyado's rule that the new schema must be backward compatible."""
    cautions: tuple[str, ...]
    """What would no longer fit although the rule is kept, or no longer be found."""


def compatibility(old: Definition, new: Definition) -> Compatibility:
    """Return what existing interactions, automations and segments would no longer fit."""
    breaks: list[str] = []
    cautions: list[str] = []
    for name, rules in old.properties.items():
        now = new.properties.get(name)
        if now is None:
            breaks.append(f"{shown(name)} is gone, which existing interactions may have")
            continue
        was, is_ = rules.get("type"), now.get("type")
        if was != is_ and (was, is_) != ("integer", "number"):
            breaks.append(f"{shown(name)} was {was} and would be {is_}")
        cautions += _narrowed(name, rules, now)
        if is_segmentable(rules) and not is_segmentable(now):
            cautions.append(f"segments by {shown(name)} would find nobody: it is segmentable now")
    cautions += [
        f"interactions without {shown(name)} would be ignored: it was not required"
        for name in new.required
        if name not in old.required
    ]
    return Compatibility(tuple(breaks), tuple(cautions))


def _narrowed(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for key, value in new.items():
        if key != "type" and key not in _LOOKS and value != old.get(key):
            yield (
                f"interactions whose {shown(name)} is not of {key} {_one(value)} would be ignored: "
                f"it was {_one(old.get(key))}"
            )
