"""A schema as it is registered at Voyado, and whether a payload fits it.

Voyado answers a misfit with a success and ignores it, so it has to be found out before.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from streams.vendors.answers import UNREADABLE, read_json

EVENT_ID = "eventId"


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


_TYPES: Final[Mapping[str, Callable[[Any], bool]]] = {
    "string": lambda value: type(value) is str,
    "number": _is_number,
    # JSON Schema: a number without a fraction is an integer, however it is written.
    "integer": lambda value: _is_number(value) and value == int(value),
    "boolean": lambda value: type(value) is bool,
}


@dataclass(frozen=True, slots=True)
class Schema:
    """What a registered schema takes."""

    properties: Mapping[str, str] | None
    """Name → JSON type; an empty type is not checked. None: the answer did not show them."""
    required: tuple[str, ...] = ()

    def problem(self) -> str | None:
        """Return why nothing can be sent by this schema, or None."""
        if self.properties is not None and EVENT_ID not in self.properties:
            return f"has no property {EVENT_ID}, by which a repeat is recognised"
        return None

    def misfit(self, payload: Mapping[str, Any]) -> str | None:
        """Return why Voyado would ignore this payload, or None."""
        for name, value in payload.items():
            if isinstance(value, dict | list) or value is None:
                return f"{name} is not a single value"
        if self.properties is None:
            return None
        for name in self.required:
            if name not in payload:
                return f"{name} is missing, which the schema requires"
        for name, value in payload.items():
            wanted = self.properties.get(name, "")
            if wanted in _TYPES and not _TYPES[wanted](value):
                return f"{name} is no {wanted}, as the schema wants it"
        return None

    def unlisted(self, payload: Mapping[str, Any]) -> list[str]:
        """Return the properties that the schema does not have."""
        if self.properties is None:
            return []
        return [name for name in payload if name not in self.properties]


def read_schema(body: bytes) -> Schema:
    """Return what an answer of ``GET /interactionschemas/{id}`` says, in either known form.

    The JSON schema lies under ``jsonSchema``, as an object or as text, or is the answer itself.
    """
    answer = read_json(body)
    found = answer.get("jsonSchema", answer) if type(answer) is dict else None
    if type(found) is str:
        found = read_json(found.encode())
    properties = found.get("properties") if type(found) is dict else None
    if found is UNREADABLE or type(found) is not dict or type(properties) is not dict:
        return Schema(None)
    required = found.get("required")
    return Schema(
        {name: _type_of(rule) for name, rule in properties.items()},
        tuple(name for name in required if type(name) is str) if type(required) is list else (),
    )


def _type_of(rule: Any) -> str:
    name = rule.get("type") if type(rule) is dict else None
    return name if type(name) is str else ""
