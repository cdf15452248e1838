"""Registered schemas as Voyado's answers show them, in all known forms."""

from collections.abc import Mapping
from typing import Any

from streams.vendors.responses import UNREADABLE, read_json
from streams.vendors.voyado.definition import FLAGS, Definition


def registered_rows(document: Any) -> list[Any] | None:
    """Return the list of schemas, in the forms in which Voyado's lists have been seen.

    None: there is no list.
    """
    if type(document) is dict:
        document = next(
            (document[name] for name in ("items", "data") if type(document.get(name)) is list),
            None,
        )
    return document if type(document) is list else None


def read_registered(document: Any) -> Definition | None:
    """Return a schema as an answer shows it, None where it names none.

    Answers are read with patience: the schema as an object or as text, and flags as values, too.
    """
    if document is UNREADABLE or type(document) is not dict or type(document.get("id")) is not str:
        return None
    if not document["id"]:
        return None
    found = document.get("jsonSchema", document)
    if type(found) is str:
        found = read_json(found.encode())
    name = document.get("displayName")
    display_name = name if type(name) is str else ""
    properties = found.get("properties") if type(found) is dict else None
    if type(properties) is not dict or not all(type(p) is dict for p in properties.values()):
        return Definition(
            id=document["id"], display_name=display_name, json_schema={}, is_readable=False
        )
    json_schema: dict[str, Any] = {
        key: value
        for key, value in found.items()
        if value is not None and (found is not document or key not in ("id", "displayName"))
    }
    json_schema["properties"] = {key: _rules(rules) for key, rules in properties.items()}
    required = json_schema.get("required", [])
    if type(required) is not list or not all(type(entry) is str for entry in required):
        json_schema.pop("required")
    return Definition(id=document["id"], display_name=display_name, json_schema=json_schema)


def _rules(rules: Mapping[str, Any]) -> dict[str, Any]:
    read = {key: value for key, value in rules.items() if value is not None}
    for flag in FLAGS:
        value = read.get(flag)
        if type(value) is bool:
            read[flag] = "true" if value else "false"
        elif type(value) is str:
            read[flag] = value.lower()
    if type(read.get("sortOrder")) is int:
        read["sortOrder"] = str(read["sortOrder"])
    return read
