"""An interaction schema as a file defines it, and the rules it must keep before it is sent.

Pure. The rules are those of Voyado's page on interactions; what Voyado would refuse, or take and
then ignore interactions for, is found here, all of it at once and in plain words.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import Field

from streams.vendors.base import RequestModel
from streams.vendors.voyado.schema import compile_schema

MAX_SCHEMAS = 15
"""Of one Voyado environment."""
MAX_SEGMENTABLE = 6
"""Properties of one schema with ``addToSegmentation`` "true"."""
DIALECT = "https://json-schema.org/draft/2020-12/schema"
TYPES = ("string", "number", "integer", "boolean")
FLAGS = ("showInContactCard", "addToSegmentation")
MAX_ID_CHARS = 200
"""As in the settings that name a schema."""

ID: Final = re.compile(r"[A-Za-z0-9_-]+")
_SORT_ORDER: Final = re.compile(r"[0-9]{1,9}")
MAX_SHOWN_CHARS = 60
_NESTED = (dict, list)
_OWN_KEYS = ("id", "displayName", "jsonSchema")
_SCHEMA_KEYS = ("$schema", "type", "properties", "required")


class Definition(RequestModel):
    """One interaction schema, of a file or as Voyado shows it."""

    id: str = Field(
        description="The identifier for this schema, must be unique. Can only contain the "
        "characters a-z, A-Z, 0-9, underscore (_) and dash (-)."
    )
    display_name: str = Field(
        description="The name that will be displayed in the Engage UI for this kind of interaction."
    )
    json_schema: dict[str, Any] = Field(description="The body of the actual schema.")
    is_readable: bool = Field(True, exclude=True)
    """False: Voyado's answer did not show the schema itself."""

    @property
    def mail_editor_name(self) -> str:
        """By what the mail editor knows the schema."""
        return self.id.lower()

    @property
    def properties(self) -> Mapping[str, Mapping[str, Any]]:
        """Name → its rules."""
        found: Mapping[str, Mapping[str, Any]] = self.json_schema.get("properties", {})
        return found

    @property
    def required(self) -> tuple[str, ...]:
        """The properties without which an interaction is ignored."""
        return tuple(self.json_schema.get("required", ()))

    def named(self, id_: str) -> "Definition":
        """Return the same schema under another id."""
        return self.model_copy(update={"id": id_})

    def text(self, *, indent: int | None = None) -> str:
        """Return it as JSON, in the form in which it is sent and lies in files."""
        content = {"id": self.id, "displayName": self.display_name, "jsonSchema": self.json_schema}
        return json.dumps(content, indent=indent, ensure_ascii=False)


class DefinitionError(ValueError):
    """A file that defines no schema; ``problems`` holds a sentence each, without the file."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


def read_definition(content: bytes) -> Definition:
    """Return what a file defines; raises DefinitionError with every rule it breaks."""
    try:
        document = json.loads(
            content.decode("utf-8-sig"),
            object_pairs_hook=_without_repeats,
            parse_constant=_no_number,
        )
    except UnicodeDecodeError:
        raise DefinitionError(["it is not UTF-8"]) from None
    except RecursionError:
        raise DefinitionError(["it is nested without end"]) from None
    except json.JSONDecodeError as error:
        words = f"it is not JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        if b"//" in content:
            words += " (JSON has no comments)"
        raise DefinitionError([words]) from None
    except ValueError as error:
        raise DefinitionError([str(error)]) from None
    if not is_unicode(document):
        raise DefinitionError(["a text holds half a surrogate pair, which is no Unicode"])
    problems = list(_document_problems(document))
    if not problems:
        try:
            compile_schema(document["jsonSchema"])
        except ValueError as error:
            problems = [f"jsonSchema is no valid JSON Schema: {error}"]
    if problems:
        raise DefinitionError(problems)
    return Definition.model_validate(document)


def is_unicode(document: Any) -> bool:
    """Return whether all texts of a JSON document can be sent."""
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{shown(twice)} stands twice in one object")
    return found


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


def _document_problems(document: Any) -> Iterator[str]:
    if type(document) is not dict:
        yield "it must be one object with id, displayName and jsonSchema"
        return
    for key in document:
        if key not in _OWN_KEYS:
            yield f"{shown(key)} is unknown; there are {', '.join(_OWN_KEYS)}"
    yield from id_problems(document.get("id"))
    name = document.get("displayName")
    if type(name) is not str or not name.strip():
        yield f"displayName must be a text, {_not(name)}"
    json_schema = document.get("jsonSchema")
    if type(json_schema) is not dict:
        yield f"jsonSchema must be an object, {_not(json_schema)}"
        return
    yield from _schema_problems(json_schema)


def id_problems(id_: Any) -> Iterator[str]:
    """Yield why this cannot be the id of a schema."""
    if type(id_) is not str or ID.fullmatch(id_) is None:
        yield f"id must consist of a-z, A-Z, 0-9, _ and -, {_not(id_)}"
    elif len(id_) > MAX_ID_CHARS:
        yield f"id must have at most {MAX_ID_CHARS} characters, not {len(id_)}"


def _schema_problems(json_schema: Mapping[str, Any]) -> Iterator[str]:
    if json_schema.get("$schema") != DIALECT:
        yield f'jsonSchema.$schema must be "{DIALECT}", {_not(json_schema.get("$schema"))}'
    if json_schema.get("type") != "object":
        yield f'jsonSchema.type must be "object", {_not(json_schema.get("type"))}'
    for key, value in json_schema.items():
        if key not in _SCHEMA_KEYS and type(value) in _NESTED:
            yield f"jsonSchema.{key} is nested: Voyado takes no more levels than properties"
    properties = json_schema.get("properties")
    if type(properties) is not dict or not properties:
        yield f"jsonSchema.properties must be an object with properties, {_not(properties)}"
        return
    for name, rules in properties.items():
        for problem in _property_problems(name, rules):
            yield f"property {shown(name)}: {problem}"
    segmentable = [name for name, rules in properties.items() if is_segmentable(rules)]
    if len(segmentable) > MAX_SEGMENTABLE:
        yield (
            f"{len(segmentable)} properties are segmentable, and Voyado takes at most "
            f"{MAX_SEGMENTABLE}: {', '.join(map(shown, segmentable))}"
        )
    yield from _required_problems(json_schema.get("required", []), properties)


def _required_problems(required: Any, properties: Mapping[str, Any]) -> Iterator[str]:
    if type(required) is not list:
        yield f"jsonSchema.required must be a list of properties, {_not(required)}"
        return
    for number, name in enumerate(required):
        if type(name) is not str or name not in properties:
            yield f"jsonSchema.required names {_cut(json.dumps(name))}, which is no property"
        elif name in required[:number]:
            yield f"jsonSchema.required names {shown(name)} twice"


def is_segmentable(rules: Any) -> bool:
    """Whether a property is one of the six."""
    return type(rules) is dict and rules.get("addToSegmentation") == "true"


def _property_problems(name: str, rules: Any) -> Iterator[str]:
    if not name.strip():
        yield "it needs a name"
    if type(rules) is not dict:
        yield f"it must be an object, {_not(rules)}"
        return
    for key, value in rules.items():
        if type(value) in _NESTED:
            yield f"{key} is nested: Voyado takes single values only"
    yield from _type_problems(name, rules)
    display_name = rules.get("displayName")
    if type(display_name) is not str or not display_name.strip():
        yield f"displayName must be a text, {_not(display_name)}"
    yield from _flag_problems(rules)


def _type_problems(name: str, rules: Mapping[str, Any]) -> Iterator[str]:
    type_ = rules.get("type")
    if type_ in ("object", "array"):
        yield f'type "{type_}" is nested: it must be {_either(TYPES)}'
    elif type_ not in TYPES and type(type_) not in _NESTED:
        yield f"type must be {_either(TYPES)}, {_not(type_)}"
    elif name == "productSku" and type_ in TYPES and type_ != "string":
        yield 'type must be "string": Voyado reserves the name productSku for the SKU'
    if "format" in rules and (type(rules["format"]) is not str or type_ != "string"):
        yield 'format is for type "string", and a text such as "date-time"'


def _flag_problems(rules: Mapping[str, Any]) -> Iterator[str]:
    for flag in FLAGS:
        value = rules.get(flag, None if flag == "showInContactCard" else "false")
        if value not in ("true", "false") and type(value) not in _NESTED:
            yield f'{flag} must be the string "true" or "false", {_not(value)}'
    order = rules.get("sortOrder", "0")
    if type(order) not in _NESTED and (
        type(order) is not str or _SORT_ORDER.fullmatch(order) is None
    ):
        yield f'sortOrder must be a string of digits such as "0", {_not(order)}'


def relay_problems(definition: Definition, sent: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """Yield why what the relay sends by this schema would be of no use.

    ``sent``: property → the types by which a schema may call it, the first being what is sent.
    """
    properties = definition.properties
    if "eventId" not in properties:
        yield (
            f"property eventId is missing: the relay sends interactions of {definition.id}, and "
            'recognises a repeat by it; it must be of type "string"'
        )
    for name in definition.required:
        if name not in sent:
            yield (
                f"property {shown(name)} is required, and the relay never sends it: Voyado would "
                "ignore every interaction"
            )
    for name, rules in properties.items():
        if name in sent and rules["type"] not in sent[name]:
            yield (
                f"property {name}: type must be {_either(sent[name])}, as the relay sends it, not "
                f'"{rules["type"]}"'
            )


def set_problems(files: Mapping[str, Definition]) -> Iterator[str]:
    """Yield what does not fit together in a folder; ``files``: name → what it defines."""
    if len(files) > MAX_SCHEMAS:
        yield f"there are {len(files)} schemas, and Voyado takes at most {MAX_SCHEMAS}"
    owners: dict[str, tuple[str, str]] = {}
    for file, definition in files.items():
        other, id_ = owners.setdefault(definition.mail_editor_name, (file, definition.id))
        if other == file:
            continue
        if id_ == definition.id:
            yield f"{file}: id {definition.id} is that of {other}, too"
        else:
            yield (
                f"{file}: id {definition.id} differs from that of {other} in case alone, and the "
                f"mail editor knows both as {definition.mail_editor_name}"
            )


def _either(texts: Sequence[str]) -> str:
    quoted = [f'"{text}"' for text in texts]
    return " or ".join(filter(None, (", ".join(quoted[:-1]), quoted[-1])))


def _not(value: Any) -> str:
    return "and is missing" if value is None else f"not {_cut(json.dumps(value))}"


def shown(name: Any) -> str:
    """Return a name as it is where it is a plain one, anything else as JSON writes it."""
    return _cut(name if type(name) is str and ID.fullmatch(name) else json.dumps(name))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[: MAX_SHOWN_CHARS - 1]}…"
