"""What a shop's JSON values mean: what counts as absent, and how ids are written. Pure.

Events, rows and lines share these rules: docs/reference.md, Values.
"""

from typing import Any

MAX_ID_CHARS = 512
NIL_UUID = "00000000-0000-0000-0000-000000000000"
"""Counts as absent wherever a UUID is expected; as another id it is suspicious."""
SUSPICIOUS_IDS = frozenset(
    {"null", "undefined", "NaN", "None", "[object Object]", "(not set)", NIL_UUID}
)
"""What programs write where they have no id: whoever has one of these is many people at once."""


def is_blank(value: Any) -> bool:
    """Return whether this is a text without a visible character; it counts as absent."""
    return type(value) is str and (not value or value.isspace())


def is_absent(value: Any) -> bool:
    """Return whether a field with this value is absent: null or blank."""
    return value is None or is_blank(value)


def integral(value: Any) -> Any:
    """Return a number without a fraction as the integer that it is; anything else as it is."""
    # Above 2**53 a double no longer says which integer was written.
    if type(value) is float and value.is_integer() and abs(value) <= 2**53:
        return int(value)
    return value


def id_text(value: Any) -> Any:
    """Return an id as text: the decimal text of an integer, ``12345.0`` included.

    Anything else is returned as it is, for the field's type to judge.
    """
    value = integral(value)
    return str(value) if type(value) is int else value
