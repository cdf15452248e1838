"""JSON as RFC 8259 has it, with the bounds of this project: 64-bit integers, 128 levels.

Every cost is bounded: numbers are looked at before they are converted, and at most ``MAX_VALUES``
values are handled one by one. What stands in fields that nobody reads is not counted.
"""

import re
from collections.abc import Callable, Collection
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

MAX_LEVELS = 128
MIN_INTEGER = -(2**63)
MAX_INTEGER = 2**64 - 1
MAX_VALUES = 8_000
"""Counted are commas and opening brackets outside texts; an exact number costs a microsecond."""
MAX_NUMBER_CHARS = 1_000
"""A longer number with a fraction or an exponent is not looked at for an integer in it."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class StrictJsonError(ValueError):
    """The bytes are no strict JSON; the message says why."""


class Decoded(msgspec.Struct, frozen=True, gc=False):
    """A JSON value, and whether halves of surrogate pairs in it became U+FFFD.

    A struct, since it is made of every record of a shop: a named tuple takes five times as long.
    """

    value: Any
    repaired: bool = False


def _number(literal: str) -> int | float:
    """Return what a number with a fraction or an exponent says: an integer where it is one."""
    number = float(literal)
    if number.is_integer() and len(literal) <= MAX_NUMBER_CHARS:
        if len(literal) <= _EXACT_CHARS and -_EXACT <= number <= _EXACT:
            return int(number)
        if MIN_INTEGER <= number <= 2.0**64:
            try:
                exact = Decimal(literal)
            except InvalidOperation:  # its exponent has more digits than Decimal's
                return number
            integer = int(exact)
            if integer == exact and integer <= MAX_INTEGER:
                return integer
    if number in _INFINITE:
        raise StrictJsonError("Number out of range")
    return number


_INFINITE = (float("inf"), float("-inf"))
_EXACT = 2.0**53
"""Up to here a double says which integer was written, if that has few digits."""
_EXACT_CHARS = 15
_decode = msgspec.json.Decoder(float_hook=_number).decode
_to_msgpack = msgspec.msgpack.Encoder().encode
_decode_raw = msgspec.json.Decoder(msgspec.Raw).decode
_decode_raw_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_HALF_PAIR = re.compile(
    rb"\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])[c-fC-F][0-9a-fA-F]{2})"
)
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_MAX_TEXTS = 2 * MAX_VALUES + 2
"""A value has at most two: its name and itself."""


def decode_strict(value: bytes) -> Any:
    """Return the decoded JSON value; raises StrictJsonError, and nothing else, where it is none.

    Integers may be written as ``1.0`` or ``2e0``; half a surrogate pair becomes U+FFFD.
    """
    return decode_repaired(value).value


def decode_repaired(value: bytes, needed: Collection[str] | None = None) -> Decoded:
    """Return what ``decode_strict`` does, and whether half a surrogate pair was in it.

    With ``needed`` an object that may have too many values is read as by ``decode_fields``.
    """
    if (
        (b"\\" not in value or b"\\u" not in value)
        and len(value) <= MAX_VALUES
        and value.count(b"{") + value.count(b"[") <= MAX_LEVELS
    ):
        # What nearly all values are; of any other the way below says what it is.
        try:
            document = _decode(value)
            _to_msgpack(document)  # see _is_surely_within_bounds
        except (ValueError, OverflowError, msgspec.DecodeError):
            pass
        else:
            return Decoded(document)
    if may_have_many_values(value):
        if needed is not None and value.lstrip()[:1] == b"{":
            return decode_fields(value, needed)
        _decode_any(value, _decode_raw)  # else its texts might have no end, and take forever
        if _count_values(value) > MAX_VALUES:
            raise _too_many()
    mended = _mended(value)
    document = _decode_any(mended, _decode)
    if not _is_surely_within_bounds(mended, document):
        check_bounds(document)
    return Decoded(document, mended is not value and mended != value)


def decode_fields(value: bytes, needed: Collection[str]) -> Decoded:
    """Return the fields of a JSON object; those that are needed are decoded each by itself.

    One that ``decode_strict`` refuses holds the StrictJsonError, so does one with which the needed
    fields before it would have too many values. Raises one where the whole is no JSON object.
    """
    try:
        value.decode()  # also what is passed over
    except UnicodeDecodeError:
        raise StrictJsonError("not valid UTF-8") from None
    mended = _mended(value)
    fields = _decode_any(mended, _decode_object)
    values_left = MAX_VALUES
    for name in needed:
        if name in fields:
            raw = bytes(fields[name])
            values = _count_values(raw)
            if values > values_left:
                fields[name] = _too_many()
            else:
                values_left -= values
                try:
                    fields[name] = decode_strict(raw)
                except StrictJsonError as problem:
                    fields[name] = problem
    return Decoded(fields, mended != value)


def _decode_object(value: bytes) -> dict[str, Any]:
    try:
        return _decode_raw_fields(value)
    except msgspec.ValidationError:
        raise StrictJsonError("it is not a JSON object") from None


def may_have_many_values(value: bytes) -> bool:
    """Return whether JSON may have more than ``MAX_VALUES``: what stands in texts counts, too."""
    return len(value) > MAX_VALUES and _count_separators(value) > MAX_VALUES


def _count_values(valid: bytes) -> int:
    bare, texts = _STRING.subn(b"", valid, _MAX_TEXTS)
    return max(texts // 2, _count_separators(bare))


def _count_separators(value: bytes) -> int:
    return value.count(b",") + value.count(b"[") + value.count(b"{")


def _mended(value: bytes) -> bytes:
    # Not after a first try, which would convert all its numbers.
    return mend_half_pairs(value) if b"\\u" in value else value


def _decode_any(value: bytes, decode: Callable[[bytes], Any]) -> Any:
    try:
        return decode(value)
    except UnicodeDecodeError:
        raise StrictJsonError("not valid UTF-8") from None
    except RecursionError:
        raise _too_deep() from None
    except msgspec.DecodeError as problem:
        if value.startswith(BYTE_ORDER_MARK):
            raise StrictJsonError("not valid JSON: a byte order mark stands before it") from None
        raise StrictJsonError(f"not valid JSON: {_without_prefix(str(problem))}") from None


def mend_half_pairs(value: bytes) -> bytes:
    """Return JSON of the same length with the escape of U+FFFD for each half surrogate pair."""
    if b"\0" in value:  # no JSON, and what hides escaped backslashes here
        return value
    return _HALF_PAIR.sub(rb"\\ufffd", value.replace(rb"\\", b"\0\0")).replace(b"\0\0", rb"\\")


def _too_deep() -> StrictJsonError:
    return StrictJsonError(f"nested deeper than {MAX_LEVELS} levels")


def _too_many() -> StrictJsonError:
    return StrictJsonError(f"more than {MAX_VALUES:,} values in the fields that are read")


def _is_surely_within_bounds(value: bytes, document: Any) -> bool:
    """Return whether a walk through the document would find nothing, at a fifth of its cost.

    ``_number`` has refused numbers that are not finite, and msgpack has no longer integers.
    """
    if value.count(b"{") + value.count(b"[") > MAX_LEVELS:
        return False
    try:
        _to_msgpack(document)
    except (OverflowError, ValueError):
        return False
    return True


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
            raise _too_deep()
        level = below


def _without_prefix(message: str) -> str:
    return message.removeprefix("JSON is malformed: ")
