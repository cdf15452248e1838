"""JSON as RFC 8259 has it, with the bounds of this project: 64-bit integers, 128 levels.

Every cost is bounded by the size of the text: numbers are looked at before they are converted.
"""

import gc
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import msgspec

MAX_LEVELS = 128
MIN_INTEGER = -(2**63)
MAX_INTEGER = 2**64 - 1
MAX_NUMBER_CHARS = 1_000
"""A longer number with a fraction or an exponent is not looked at for an integer in it."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class StrictJsonError(ValueError):
    """The bytes are no strict JSON; the message says why."""


class Decoded(NamedTuple):
    """A JSON value, and whether halves of surrogate pairs in it became U+FFFD."""

    value: Any
    repaired: bool = False


KnownDecoder = Callable[[bytes], Any]


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
_decode_roughly = msgspec.json.Decoder().decode
_decode_raw_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_LARGE_BYTES = 16 * 1024
"""From here on numbers go through Python one by one only where it matters for one of them."""
_NEEDS_EXACT = re.compile(
    rb"[:,\[\s]-?(?:[0-9]{16,}+\.|[0-9]{7,}+(?:\.[0-9]++)?[eE]"
    rb"|[0-9]++(?:\.[0-9]++)?[eE]\+?[0-9]{2})"
)
"""A number that may be an integer above 2**53: of a double it can be another one."""
_PIECE = re.compile(
    rb"((?:[^\\]++|\\[^u]|\\u(?![dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\\Z)*+)"
    rb"(?:\\u[dD][89a-fA-F][0-9a-fA-F]{2}|\Z)"
)
"""All up to half a surrogate pair or the end. It matches wherever it is tried: linear."""
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_AS_SQUARE = bytes.maketrans(b"{}", b"[]")
_LONG_INTEGER = re.compile(rb"-[0-9]{19}|[0-9]{20}")
"""What may be an integer of more than 64 bits."""


def decode_strict(value: bytes) -> Any:
    """Return the decoded JSON value; raises StrictJsonError, and nothing else, where it is none.

    Integers may be written as ``1.0`` or ``2e0``; half a surrogate pair becomes U+FFFD.
    """
    return decode_repaired(value).value


def known_decoder(kind: type[msgspec.Struct]) -> KnownDecoder:
    """Return what reads an object's fields that the type has, and passes over the others."""
    exactly = msgspec.json.Decoder(kind, float_hook=_number).decode
    roughly = msgspec.json.Decoder(kind).decode

    def known(value: bytes) -> dict[str, Any]:
        value.decode()  # also what is passed over
        decode = roughly
        if _NEEDS_EXACT.search(value) is not None:
            _decode_roughly(value)  # fails where a number out of range would be passed over
            decode = exactly
        found = msgspec.structs.asdict(decode(value))
        return {name: item for name, item in found.items() if item is not msgspec.UNSET}

    return known


def decode_repaired(value: bytes, known: KnownDecoder | None = None) -> Decoded:
    """Return what ``decode_strict`` does, and whether half a surrogate pair was in it.

    With ``known`` a large object may come without its other fields, held to the same rules.
    """
    decode: KnownDecoder = _decode
    # Value by value takes longer with a large one than to look at the bytes.
    is_large = len(value) > _LARGE_BYTES
    by_bytes = is_large and _LONG_INTEGER.search(value) is None
    if is_large:
        has_fractions = b"." in value or b"e" in value or b"E" in value
        if by_bytes and known is not None and value.lstrip()[:1] == b"{":
            decode = known
        elif not has_fractions or _NEEDS_EXACT.search(value) is None:
            decode = _decode_roughly
        decode = uncollected(decode)
    repaired = False
    try:
        document = _decode_any(value, decode)
    except StrictJsonError:
        mended = mend_half_pairs(value) if b"\\u" in value else value
        if mended == value:
            raise
        document, repaired = _decode_any(mended, decode), True
    if not by_bytes:
        check_bounds(document)
    elif _is_deep(value):
        raise _too_deep()
    return Decoded(document, repaired)


def decode_fields(value: bytes) -> Decoded:
    """Return the fields of a JSON object, each decoded by itself.

    A field that ``decode_repaired`` refuses holds the StrictJsonError. Raises one where the whole
    is no JSON object.
    """
    mended = mend_half_pairs(value) if b"\\u" in value else value
    try:
        mended.decode()  # also what is passed over
    except UnicodeDecodeError:
        raise StrictJsonError("not valid UTF-8") from None
    fields: dict[str, msgspec.Raw] = _decode_any(mended, _decode_raw_fields)
    return Decoded({name: _alone(bytes(raw)) for name, raw in fields.items()}, mended != value)


def _alone(value: bytes) -> Any:
    try:
        return decode_strict(value)
    except StrictJsonError as problem:
        return problem


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
    # After what stands before the end, the end itself matches once more.
    return b"\\ufffd".join(_PIECE.findall(value)[:-1])


def _too_deep() -> StrictJsonError:
    return StrictJsonError(f"nested deeper than {MAX_LEVELS} levels")


def uncollected(decode: KnownDecoder) -> KnownDecoder:
    """Return what decodes without the garbage collector.

    It would look at each of a hundred thousand lists several times, none of which can be garbage.
    """

    def read(value: bytes) -> Any:
        if not gc.isenabled():
            return decode(value)
        gc.disable()
        try:
            return decode(value)
        finally:
            gc.enable()

    return read


def _is_deep(value: bytes) -> bool:
    """Return whether JSON is nested deeper than it may be, from its brackets alone."""
    if value.count(b"[") + value.count(b"{") <= MAX_LEVELS:
        return False
    brackets = _STRING.sub(b"", value).translate(_AS_SQUARE, _NO_BRACKETS)
    for _ in range(MAX_LEVELS):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


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
