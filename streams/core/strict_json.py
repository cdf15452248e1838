"""JSON as RFC 8259 has it, with the bounds of this project: 64-bit integers, 128 levels."""

from typing import Any

import msgspec

MAX_LEVELS = 128
MIN_INTEGER = -(2**63)
MAX_INTEGER = 2**64 - 1

_decode = msgspec.json.Decoder().decode


class StrictJsonError(ValueError):
    """The bytes are no strict JSON; the message says why."""


def decode_strict(value: bytes) -> Any:
    """Return the decoded JSON value; raises StrictJsonError, and nothing else, where it is none."""
    try:
        document = _decode(value)
    except UnicodeDecodeError:
        raise StrictJsonError("not valid UTF-8") from None
    except RecursionError:
        raise StrictJsonError(f"nested deeper than {MAX_LEVELS} levels") from None
    except msgspec.DecodeError as problem:
        raise StrictJsonError(f"not valid JSON: {_without_prefix(str(problem))}") from None
    check_bounds(document)
    return document


def check_bounds(document: Any) -> None:
    """Raise StrictJsonError where a number or the nesting is beyond the bounds."""
    level = [document]
    depth = 0
    while level:
        below: list[Any] = []
        nested = False
        for value in level:
            kind = type(value)
            if kind is str:
                continue
            if kind is dict:
                nested = True
                below.extend(value.values())
            elif kind is list:
                nested = True
                below.extend(value)
            elif kind is int:
                if not MIN_INTEGER <= value <= MAX_INTEGER:
                    raise StrictJsonError("an integer of more than 64 bits")
            elif kind is float and (value != value or value in _INFINITE):
                raise StrictJsonError("a number that is not finite")
        depth += nested
        if depth > MAX_LEVELS:
            raise StrictJsonError(f"nested deeper than {MAX_LEVELS} levels")
        level = below


_INFINITE = (float("inf"), float("-inf"))


def _without_prefix(message: str) -> str:
    return message.removeprefix("JSON is malformed: ")
