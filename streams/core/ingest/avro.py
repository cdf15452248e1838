"""Avro as JSON values: what field maps see of a record that its schema describes. Pure.

Times and dates are integers in the schema's unit, decimals are numbers, UUIDs are text, and bytes
are Base64 text. Unions give the value itself.
"""

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Any
from uuid import UUID

import fastavro
from fastavro._read_py import schemaless_reader as read_with_bounded_stack
from fastavro.read import LOGICAL_READERS
from fastavro.schema import SchemaParseException, UnknownType

from streams.core.errors import InvalidEvent
from streams.core.outcome import DeadLetterReason
from streams.core.strict_json import (
    MAX_INTEGER,
    MIN_INTEGER,
    StrictJsonError,
    check_bounds,
    decode_strict,
)

_BASE64, _DECIMAL, _UUID = "streams-base64", "streams-decimal", "streams-uuid"
_UUID_BYTES = 16
_WRAPPER = "StreamsValue"
_MAX_SCALE = 300
"""About what a double can hold."""
_NAMED = frozenset({"record", "error", "enum", "fixed"})
_MISFITS = (
    *(EOFError, LookupError, ValueError, ArithmeticError),
    *(TypeError, RecursionError, StrictJsonError),
)
"""What fastavro raises for bytes that their schema does not describe."""


class SchemaError(ValueError):
    """A text that is no Avro schema, or one that cannot be used; the text is one clause."""


class AvroSchema:
    """One schema, compiled."""

    def __init__(self, text: str, references: Sequence[str] = ()) -> None:
        """Compile; ``references`` define the named types that ``text`` refers to, in this order.

        Raises SchemaError.
        """
        named: dict[str, Any] = {}
        rewriter = _Rewriter()
        try:
            for reference in references:
                fastavro.parse_schema(rewriter.rewrite(_json(reference)), named)
            schema = rewriter.rewrite(_json(text))
            self._is_wrapped = type(schema) is not dict or schema.get("type") not in _NAMED
            if self._is_wrapped:
                # fastavro would parse it again for each value; a record adds no bytes of its own.
                field = {"name": "value", "type": schema}
                schema = {"type": "record", "name": _WRAPPER, "fields": [field]}
            self._parsed: Any = fastavro.parse_schema(schema, named)
        except UnknownType as problem:
            raise SchemaError(f"it refers to {problem.name}, which is not defined") from None
        except SchemaParseException as problem:
            raise SchemaError(" ".join(str(problem).split())[:300]) from None
        except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as problem:
            if isinstance(problem, SchemaError):
                raise
            raise SchemaError(f"{type(problem).__name__}: {problem}"[:300]) from None
        self._read: Callable[[BytesIO, Any], Any] = (
            # fastavro's compiled reader has no bound for its depth: the process would die.
            read_with_bounded_stack if rewriter.is_recursive else fastavro.schemaless_reader
        )
        self._needs_check = rewriter.is_recursive or rewriter.has_doubles

    def decode(self, content: bytes | memoryview) -> Any:
        """Return the value as JSON has it.

        Raises InvalidEvent where the bytes do not fit the schema, or more follow.
        """
        stream = BytesIO(content)
        try:
            value = self._read(stream, self._parsed)
            if self._needs_check:
                check_bounds(value)
        except _MISFITS as problem:
            why = "it is nested too deeply" if isinstance(problem, RecursionError) else str(problem)
            raise misfit(f"the bytes do not fit: {why}") from None
        rest = len(content) - stream.tell()
        if rest:
            raise misfit(f"{rest} bytes follow the value")
        return value["value"] if self._is_wrapped else value


def misfit(why: str) -> InvalidEvent:
    """Return the error of a record that cannot be read by its schema."""
    return InvalidEvent(
        DeadLetterReason.INVALID_AVRO, f"the record is not what its Avro schema says: {why}"
    )


def _json(text: str) -> Any:
    try:
        return decode_strict(text.encode())
    except (StrictJsonError, UnicodeEncodeError) as problem:
        raise SchemaError(str(problem)) from None


class _Rewriter:
    """Replaces a schema's logical types by those that give JSON values."""

    def __init__(self) -> None:
        self.is_recursive = False
        self.has_doubles = False
        self._open: list[str] = []
        self._empty: set[str] = set()
        """Full names of types whose values have no bytes."""

    def rewrite(self, schema: Any, namespace: str = "") -> Any:
        """Return the schema for fastavro; raises SchemaError for one that has no bound."""
        if type(schema) is str:
            self._see(schema, namespace)
            return {"type": "bytes", "logicalType": _BASE64} if schema == "bytes" else schema
        if type(schema) is list:
            return [self.rewrite(branch, namespace) for branch in schema]
        if type(schema) is not dict:
            raise SchemaError(f"{schema!r} is no type"[:300])
        kind = schema.get("type")
        if type(kind) is not str:
            return self.rewrite(kind, namespace)
        plain = {name: value for name, value in schema.items() if name != "logicalType"}
        if kind in ("record", "error"):
            return self._record(plain, namespace)
        if kind in ("bytes", "fixed"):
            if schema.get("size") == 0:
                self._empty.add(_full_name(schema, namespace))
            return plain | _logical_bytes(schema)
        if kind in ("array", "map"):
            return self._container(plain, namespace)
        self._see(kind, namespace)
        return plain

    def _container(self, schema: dict[str, Any], namespace: str) -> dict[str, Any]:
        inner = "items" if schema["type"] == "array" else "values"
        rewritten = self.rewrite(schema.get(inner), namespace)
        if inner == "items" and self._is_empty(rewritten, namespace):
            # A few bytes could stand for any number of them.
            raise SchemaError("it has an array whose items take no bytes")
        return schema | {inner: rewritten}

    def _record(self, schema: dict[str, Any], namespace: str) -> dict[str, Any]:
        name = _full_name(schema, namespace)
        inner = name.rpartition(".")[0]
        self._open.append(name)
        fields = [
            # Without the default, which need not fit the type that is rewritten.
            {"name": field["name"], "type": self.rewrite(field["type"], inner)}
            for field in schema["fields"]
        ]
        self._open.pop()
        if all(self._is_empty(field["type"], inner) for field in fields):
            self._empty.add(name)
        return schema | {"fields": fields}

    def _see(self, name: str, namespace: str) -> None:
        self.has_doubles |= name in ("double", "float")
        self.is_recursive |= name in self._open or f"{namespace}.{name}" in self._open

    def _is_empty(self, schema: Any, namespace: str) -> bool:
        if type(schema) is str:
            return schema == "null" or not {schema, f"{namespace}.{schema}"}.isdisjoint(self._empty)
        if type(schema) is dict and type(schema.get("name")) is str:
            return _full_name(schema, namespace) in self._empty
        return type(schema) is dict and self._is_empty(schema.get("type"), namespace)


def _full_name(schema: Mapping[str, Any], namespace: str) -> str:
    name = schema.get("name")
    if type(name) is not str:
        raise SchemaError("a type has no name")
    within = schema.get("namespace", namespace)
    return name if "." in name or not within else f"{within}.{name}"


def _logical_bytes(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return how bytes of this type are shown."""
    logical, size = schema.get("logicalType"), schema.get("size")
    precision, scale = schema.get("precision"), schema.get("scale", 0)
    # As the specification has it, a logical type that is out of shape is ignored.
    if logical == "decimal" and type(precision) is int and type(scale) is int:
        if 0 <= scale <= min(precision, _MAX_SCALE):
            return {"logicalType": _DECIMAL, "scale": scale}
    elif logical == "uuid" and size == _UUID_BYTES:
        return {"logicalType": _UUID}
    return {"logicalType": _BASE64}


def _base64(data: bytes, *_: Any) -> str:
    return b64encode(data).decode()


def _decimal(data: bytes, schema: Any, *_: Any) -> int | float:
    unscaled = int.from_bytes(data, "big", signed=True)
    divisor: int = 10 ** schema["scale"]
    integer, rest = divmod(unscaled, divisor)
    if rest == 0 and MIN_INTEGER <= integer <= MAX_INTEGER:
        return integer
    return unscaled / divisor


def _uuid(data: bytes, *_: Any) -> str:
    return str(UUID(bytes=data))


# Names of our own: nothing else in the process reads them.
for _kind in ("bytes", "fixed"):
    LOGICAL_READERS[f"{_kind}-{_BASE64}"] = _base64
    LOGICAL_READERS[f"{_kind}-{_DECIMAL}"] = _decimal
    LOGICAL_READERS[f"{_kind}-{_UUID}"] = _uuid
