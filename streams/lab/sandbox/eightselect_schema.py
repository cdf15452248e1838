"""What 8SELECT's documents say of an event, and Ajv's words for what is wrong with it.

Written from the vendor's pages alone; shares nothing with the mapping it judges. The pages show one
error (``required``) and the name of one definition; the others follow Ajv 8. Stricter than the
pages in two things they do not speak of: members that are not documented are refused, and so is a
second entry of one type in ``context``.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

Error = dict[str, Any]
"""One Ajv error: instancePath, schemaPath, keyword, params, message."""
Check = Callable[[Any, str], list[Error]]
"""(value, where it stands) → its errors."""

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)


def error(where: str, schema: str, keyword: str, params: Mapping[str, Any], message: str) -> Error:
    """Return one Ajv error."""
    return {
        "instancePath": where,
        "schemaPath": f"#{schema}/{keyword}",
        "keyword": keyword,
        "params": dict(params),
        "message": message,
    }


def _wrong_type(where: str, schema: str, expected: str) -> list[Error]:
    return [error(where, schema, "type", {"type": expected}, f"must be {expected}")]


def _text(schema: str) -> Check:
    def check(value: Any, where: str) -> list[Error]:
        if type(value) is not str:
            return _wrong_type(where, schema, "string")
        if not value:
            message = "must NOT have fewer than 1 characters"
            return [error(where, schema, "minLength", {"limit": 1}, message)]
        return []

    return check


def _uuid(schema: str) -> Check:
    def check(value: Any, where: str) -> list[Error]:
        if type(value) is not str:
            return _wrong_type(where, schema, "string")
        if _UUID.fullmatch(value) is None:
            message = 'must match format "uuid"'
            return [error(where, schema, "format", {"format": "uuid"}, message)]
        return []

    return check


def _currency(schema: str) -> Check:
    def check(value: Any, where: str) -> list[Error]:
        if type(value) is not str:
            return _wrong_type(where, schema, "string")
        if _CURRENCY.fullmatch(value) is None:
            pattern = "^[A-Z]{3}$"
            message = f'must match pattern "{pattern}"'
            return [error(where, schema, "pattern", {"pattern": pattern}, message)]
        return []

    return check


def _number(schema: str, kind: str, least: int) -> Check:
    types = (int,) if kind == "integer" else (int, float)

    def check(value: Any, where: str) -> list[Error]:
        if type(value) not in types:
            return _wrong_type(where, schema, kind)
        if value < least:
            params = {"comparison": ">=", "limit": least}
            return [error(where, schema, "minimum", params, f"must be >= {least}")]
        return []

    return check


def _object(schema: str, required: Mapping[str, Check], optional: Mapping[str, Check]) -> Check:
    known = {**required, **optional}

    def check(value: Any, where: str) -> list[Error]:
        if type(value) is not dict:
            return _wrong_type(where, schema, "object")
        errors = [
            error(
                where,
                schema,
                "required",
                {"missingProperty": name},
                f"must have required property '{name}'",
            )
            for name in required
            if name not in value
        ]
        for name, member in value.items():
            if name in known:
                errors += known[name](member, f"{where}/{name}")
            else:
                errors.append(
                    error(
                        where,
                        schema,
                        "additionalProperties",
                        {"additionalProperty": name},
                        "must NOT have additional properties",
                    )
                )
        return errors

    return check


def _list(schema: str, check_item: Check) -> Check:
    def check(value: Any, where: str) -> list[Error]:
        if type(value) is not list:
            return _wrong_type(where, schema, "array")
        if not value:
            message = "must NOT have fewer than 1 items"
            return [error(where, schema, "minItems", {"limit": 1}, message)]
        return [e for n, item in enumerate(value) for e in check_item(item, f"{where}/{n}")]

    return check


def _anything(_value: Any, _where: str) -> list[Error]:
    return []


def _one_of(schema: str, kinds: Mapping[str, Check]) -> Check:
    """Return a check by the member ``type``, which chooses among these."""

    def check(value: Any, where: str) -> list[Error]:
        if type(value) is not dict:
            return _wrong_type(where, schema, "object")
        kind = value.get("type")
        if type(kind) is str and kind in kinds:
            return kinds[kind](value, where)
        if "type" not in value:
            return _object(schema, {"type": _anything}, dict.fromkeys(value, _anything))(
                value, where
            )
        params = {"allowedValues": list(kinds)}
        message = "must be equal to one of the allowed values"
        return [error(f"{where}/type", f"{schema}/properties/type", "enum", params, message)]

    return check


def _definition(name: str) -> str:
    return f"/definitions/{name}"


def _named_after_its_type(
    schema: str, name: str, payload: Check, optional: Mapping[str, Check] | None = None
) -> Check:
    """Return a check of ``{"type": NAME, NAME: payload}``, the form of everything here."""
    return _object(schema, {"type": _anything, name: payload}, optional or {})


def _identified(schema: str, check_id: Callable[[str], Check] = _text) -> Check:
    return _object(schema, {"id": check_id(f"{schema}/properties/id")}, {})


CONTENT_TYPES = ("customSet", "matchingProductClusters", "similarProducts")
_content = _one_of(
    _definition("Content"),
    {
        name: _named_after_its_type(
            _definition(f"Payload{name[0].upper()}{name[1:]}"),
            name,
            _identified(_definition(f"Payload{name[0].upper()}{name[1:]}/properties/{name}")),
        )
        for name in CONTENT_TYPES
    },
)
_context_entry = _one_of(
    _definition("Context"),
    {
        "content": _named_after_its_type(_definition("ContextContent"), "content", _content),
        "user": _named_after_its_type(
            _definition("ContextUser"), "user", _identified(_definition("User"), _uuid)
        ),
    },
)
_product = _object(
    _definition("Product"), {"sku": _text(_definition("Product/properties/sku"))}, {}
)
_interact = _one_of(
    _definition("Interact"),
    {
        "product": _named_after_its_type(
            _definition("PayloadProduct"),
            "product",
            _product,
            {"action": _text(_definition("PayloadProduct/properties/action"))},
        )
    },
)
_order_line = _object(
    _definition("OrderLine"),
    {
        "sku": _text(_definition("OrderLine/properties/sku")),
        "quantity": _number(_definition("OrderLine/properties/quantity"), "integer", 1),
        "grossPrice": _object(
            _definition("GrossPrice"),
            {
                "amount": _number(_definition("GrossPrice/properties/amount"), "number", 0),
                "currency": _currency(_definition("GrossPrice/properties/currency")),
            },
            {},
        ),
    },
    {},
)
_order = _object(
    _definition("Order"),
    {
        "id": _text(_definition("Order/properties/id")),
        "lines": _list(_definition("Order/properties/lines"), _order_line),
    },
    {},
)


def _context(value: Any, where: str) -> list[Error]:
    schema = "/properties/context"
    errors = _list(schema, _context_entry)(value, where)
    if type(value) is not list:
        return errors
    types = [entry.get("type") for entry in value if type(entry) is dict]
    if "user" not in types:
        message = "must contain at least 1 valid item(s)"
        errors.append(error(where, schema, "contains", {"minContains": 1}, message))
    for name in ("user", "content"):
        if types.count(name) > 1:
            params = {"minContains": 0, "maxContains": 1}
            message = f"must contain at most 1 valid item(s) of type {name}"
            errors.append(error(where, schema, "contains", params, message))
    return errors


_event = _one_of(
    "",
    {
        "interact": _object(
            "", {"type": _anything, "interact": _interact, "context": _context}, {}
        ),
        "order": _object("", {"type": _anything, "order": _order, "context": _context}, {}),
        "view": _object("", {"type": _anything, "view": _content}, {"context": _context}),
    },
)


def event_errors(body: Any) -> list[Error]:
    """Return what is wrong with a decoded body, empty where it is acceptable."""
    return _event(body, "")
