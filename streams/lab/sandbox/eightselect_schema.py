"""What 8SELECT's documents say of an event, as a JSON Schema, and Ajv's words for what is wrong.

Written from the vendor's pages alone; shares nothing with the mapping it judges. The pages show one
error (``required``) and the name of one definition; the others follow Ajv 8. Stricter than the
pages in two things they do not speak of: members that are not documented are refused, and so is a
second entry of one type in ``context``.
"""

from collections.abc import Mapping
from typing import Any

from jsonschema_rs import Draft202012Validator, ValidationError

Error = dict[str, Any]
"""One Ajv error: instancePath, schemaPath, keyword, params, message."""
Schema = dict[str, Any]

_TEXT: Schema = {"type": "string", "minLength": 1}


def _object(required: Mapping[str, Any], optional: Mapping[str, Any] | None = None) -> Schema:
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **(optional or {})},
        "additionalProperties": False,
    }


def _by_type(kinds: Mapping[str, Schema]) -> Schema:
    """Return a schema whose member ``type`` chooses among these."""
    return {
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"enum": list(kinds)}},
        "allOf": [{"if": _is_of(name), "then": schema} for name, schema in kinds.items()],
    }


def _is_of(type_: str) -> Schema:
    return {"type": "object", "required": ["type"], "properties": {"type": {"const": type_}}}


def _named(name: str, payload: Schema, optional: Mapping[str, Any] | None = None) -> Schema:
    """Return the schema of ``{"type": NAME, NAME: payload}``, the form of everything here."""
    return _object({"type": True, name: payload}, optional)


def _ref(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


def _entries(type_: str, *, least: int, most: int | None) -> Schema:
    """Return how many entries of a type ``context`` has."""
    rule = {"contains": _is_of(type_), "minContains": least}
    return rule if most is None else rule | {"maxContains": most}


CONTENT_TYPES = ("customSet", "matchingProductClusters", "similarProducts")
_PAYLOADS = {name: f"Payload{name[0].upper()}{name[1:]}" for name in CONTENT_TYPES}
_ONCE = ("user", "content")
_CONTEXT: Schema = {
    "type": "array",
    "minItems": 1,
    "items": _ref("Context"),
    "allOf": [
        *(_entries(name, least=0, most=1) for name in _ONCE),
        _entries("user", least=1, most=None),
    ],
}
_SCHEMA: Schema = _by_type(
    {
        "interact": _named("interact", _ref("Interact")) | {"required": ["interact", "context"]},
        "order": _named("order", _ref("Order")) | {"required": ["order", "context"]},
        "view": _named("view", _ref("Content")),
    }
) | {
    "definitions": {
        "Content": _by_type({name: _ref(payload) for name, payload in _PAYLOADS.items()}),
        **{payload: _named(name, _object({"id": _TEXT})) for name, payload in _PAYLOADS.items()},
        "Context": _by_type({"content": _ref("ContextContent"), "user": _ref("ContextUser")}),
        "ContextContent": _named("content", _ref("Content")),
        "ContextUser": _named("user", _ref("User")),
        "User": _object({"id": {"type": "string", "format": "uuid"}}),
        "Interact": _by_type({"product": _ref("PayloadProduct")}),
        "PayloadProduct": _named("product", _ref("Product"), {"action": _TEXT}),
        "Product": _object({"sku": _TEXT}),
        "Order": _object(
            {"id": _TEXT, "lines": {"type": "array", "minItems": 1, "items": _ref("OrderLine")}}
        ),
        "OrderLine": _object(
            {
                "sku": _TEXT,
                "quantity": {"type": "integer", "minimum": 1},
                "grossPrice": _ref("GrossPrice"),
            }
        ),
        "GrossPrice": _object(
            {
                "amount": {"type": "number", "minimum": 0},
                "currency": {"type": "string", "pattern": "^[A-Z]{3}$"},
            }
        ),
    }
}
for _branch in _SCHEMA["allOf"]:
    _branch["then"]["properties"]["context"] = _CONTEXT
_VALIDATOR = Draft202012Validator(_SCHEMA, validate_formats=True)


def error(where: str, schema: str, keyword: str, params: Mapping[str, Any], message: str) -> Error:
    """Return one Ajv error."""
    return {
        "instancePath": where,
        "schemaPath": f"#{schema}/{keyword}",
        "keyword": keyword,
        "params": dict(params),
        "message": message,
    }


def event_errors(body: Any) -> list[Error]:
    """Return what is wrong with a decoded body, empty where it is acceptable."""
    return [one for found in _VALIDATOR.iter_errors(body) for one in _in_ajvs_words(found)]


def _in_ajvs_words(found: ValidationError) -> list[Error]:
    where = "".join(f"/{part}" for part in found.instance_path)
    # Ajv names where a rule stands, without the branch by which it applies.
    *path, _ = (p for p in found.schema_path if p not in ("allOf", "then") and type(p) is str)
    place = "".join(f"/{part}" for part in path)
    kind, of = found.kind.name, found.kind.as_dict()
    if kind == "additionalProperties":
        message = "must NOT have additional properties"
        return [
            error(where, place, kind, {"additionalProperty": name}, message)
            for name in of["unexpected"]
        ]
    return [error(where, place, kind, *_params_and_message(kind, of, found))]


def _params_and_message(
    kind: str, of: Mapping[str, Any], found: ValidationError
) -> tuple[dict[str, Any], str]:
    match kind:
        case "required":
            name = of["property"]
            return {"missingProperty": name}, f"must have required property '{name}'"
        case "type":
            expected = of["types"][0]
            return {"type": expected}, f"must be {expected}"
        case "enum":
            message = "must be equal to one of the allowed values"
            return {"allowedValues": list(of["options"])}, message
        case "minLength" | "minItems":
            what = "characters" if kind == "minLength" else "items"
            return {"limit": of["limit"]}, f"must NOT have fewer than {of['limit']} {what}"
        case "minimum":
            limit = of["limit"]
            return {"comparison": ">=", "limit": limit}, f"must be >= {limit}"
        case "format" | "pattern":
            return {kind: of[kind]}, f'must match {kind} "{of[kind]}"'
    rule = int(found.schema_path[found.schema_path.index("context") + 2])
    if rule == len(_ONCE):
        return {"minContains": 1}, "must contain at least 1 valid item(s)"
    message = f"must contain at most 1 valid item(s) of type {_ONCE[rule]}"
    return {"minContains": 0, "maxContains": 1}, message
