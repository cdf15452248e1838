"""Voyado's interaction schemas: what may be registered, and what a payload makes of one.

Written from the vendor's page on interactions alone; shares nothing with the mapping it judges.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from jsonschema_rs import Draft202012Validator, ValidationError

from streams.lab.sandbox.exchange import encode_json

MAX_SCHEMAS = 15
MAX_SEGMENTABLE = 6
DIALECT = "https://json-schema.org/draft/2020-12/schema"

_ID = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_SORT_ORDER = re.compile(r"\d{1,9}", re.ASCII)
_TYPES = ("string", "number", "integer", "boolean")


def schema_problem(schema: Any) -> str | None:
    """Return why this cannot be registered as a schema, or None."""
    if type(schema) is not dict:
        return "The body must be an object."
    id_, json_schema = schema.get("id"), schema.get("jsonSchema")
    if type(id_) is not str or _ID.fullmatch(id_) is None:
        return "id can only contain the characters a-z, A-Z, 0-9, underscore and dash."
    if type(schema.get("displayName")) is not str or not schema["displayName"]:
        return "displayName is required."
    if type(json_schema) is not dict:
        return "jsonSchema is required."
    return _json_schema_problem(json_schema)


def _json_schema_problem(json_schema: Mapping[str, Any]) -> str | None:
    if json_schema.get("$schema") != DIALECT:
        return f"jsonSchema.$schema must be {DIALECT}."
    if json_schema.get("type") != "object":
        return "jsonSchema.type must be object."
    properties, required = json_schema.get("properties"), json_schema.get("required", [])
    if type(properties) is not dict or not properties:
        return "jsonSchema.properties is required."
    for name, rule in properties.items():
        problem = _property_problem(rule)
        if problem is not None:
            return f"Property {name}: {problem}"
    if type(required) is not list or not all(
        type(name) is str and name in properties for name in required
    ):
        return "jsonSchema.required must list properties."
    try:
        _compiled(encode_json(json_schema))
    except ValidationError as error:
        return f"jsonSchema is no JSON Schema: {error.message}"
    segmentable = sum(rule.get("addToSegmentation") == "true" for rule in properties.values())
    if segmentable > MAX_SEGMENTABLE:
        return f"A schema can have at most {MAX_SEGMENTABLE} segmentable properties."
    return None


def _property_problem(rule: Any) -> str | None:
    if type(rule) is not dict:
        return "it must be an object."
    if rule.get("type") not in _TYPES:
        return "type must be string, number, integer or boolean."
    if any(type(value) in (dict, list) for value in rule.values()):
        return "nested structures are not supported."
    if type(rule.get("displayName")) is not str:
        return "displayName is required."
    if "showInContactCard" not in rule:
        return "showInContactCard is required."
    for flag in ("showInContactCard", "addToSegmentation"):
        if rule.get(flag, "false") not in ("true", "false"):
            return f'{flag} must be the string "true" or "false".'
    order = rule.get("sortOrder", "0")
    if type(order) is not str or _SORT_ORDER.fullmatch(order) is None:
        return "sortOrder must be an integer in a string."
    return None


def removed_properties(deleted: Mapping[str, Any] | None, schema: Mapping[str, Any]) -> list[str]:
    """Return the properties of a deleted schema that its successor lacks."""
    if deleted is None:
        return []
    properties = schema["jsonSchema"]["properties"]
    return [name for name in deleted["jsonSchema"]["properties"] if name not in properties]


class Judgement(NamedTuple):
    """What a schema makes of a payload."""

    ignored: str | None
    """Why the interaction breaks the schema's rules and is ignored; None: it keeps them."""
    kept: dict[str, Any]
    """The properties that the schema has."""
    dropped: tuple[str, ...]
    """The properties that it does not have: not sent on, without a word."""


def judge_payload(payload: Any, json_schema: Mapping[str, Any]) -> Judgement:
    """Return what becomes of a payload under a registered schema."""
    if type(payload) is not dict:
        return Judgement("payload is no object", {}, ())
    properties = json_schema["properties"]
    kept = {name: value for name, value in payload.items() if name in properties}
    dropped = tuple(name for name in payload if name not in properties)
    return Judgement(_broken_rule(payload, kept, json_schema), kept, dropped)


def _broken_rule(
    payload: Mapping[str, Any], kept: Mapping[str, Any], json_schema: Mapping[str, Any]
) -> str | None:
    for name, value in payload.items():
        if type(value) in (dict, list):
            return f"{name} is nested"
    for error in _compiled(encode_json(json_schema)).iter_errors(dict(kept)):
        return _rule(error)
    return None


@lru_cache(maxsize=4 * MAX_SCHEMAS)
def _compiled(json_schema: bytes) -> Draft202012Validator:
    """Return what judges payloads by JSON Schema's own rules, formats included."""
    return Draft202012Validator(msgspec.json.decode(json_schema), validate_formats=True)


def _rule(error: ValidationError) -> str:
    kind, of = error.kind.name, error.kind.as_dict()
    if kind == "required":
        return f"{of['property']} is required"
    name = error.instance_path[0] if error.instance_path else "payload"
    if kind in ("type", "format"):
        return f"{name} is no {of['format'] if kind == 'format' else ' or '.join(of['types'])}"
    return f"{name} breaks {error.schema_path[-1]}"


def _property(type_: str, display_name: str, order: int) -> dict[str, str]:
    return {
        "type": type_,
        "displayName": display_name,
        "showInContactCard": "false" if display_name == "Event ID" else "true",
        "sortOrder": str(order),
    }


def _product_schema(id_: str, display_name: str, *more: tuple[str, str, str]) -> dict[str, Any]:
    names = (
        ("eventId", "string", "Event ID"),
        ("productSku", "string", "SKU"),
        ("productName", "string", "Product name"),
        ("category", "string", "Category"),
        ("brand", "string", "Brand"),
        ("price", "number", "Price"),
        ("currency", "string", "Currency"),
        ("url", "string", "URL"),
        *more,
    )
    return {
        "id": id_,
        "displayName": display_name,
        "jsonSchema": {
            "$schema": DIALECT,
            "type": "object",
            "properties": {
                name: _property(type_, shown, order)
                for order, (name, type_, shown) in enumerate(names)
            },
            "required": ["eventId", "productSku"],
        },
    }


def default_schemas() -> dict[str, dict[str, Any]]:
    """Return the schemas that are registered from the start, by id."""
    schemas = (
        _product_schema("productClick", "Product click"),
        _product_schema("addToCart", "Add to cart", ("quantity", "integer", "Quantity")),
    )
    return {schema["id"]: schema for schema in schemas}
