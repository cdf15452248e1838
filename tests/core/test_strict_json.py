"""Strict JSON: RFC 8259 within our bounds."""

from typing import Any

import pytest

from streams.core.strict_json import StrictJsonError, check_bounds, decode_strict


@pytest.mark.parametrize(
    ("value", "decoded"),
    [
        (b" [1, -2.5e3, true, null] ", [1, -2500.0, True, None]),
        (b"18446744073709551615", 18446744073709551615),
        (b"-9223372036854775808", -9223372036854775808),
        (b'"\\ud83d\\ude00"', "😀"),
        (b"1e-400", 0.0),
    ],
)
def test_what_is_in_bounds_is_decoded(value: bytes, decoded: Any) -> None:
    """64-bit integers, signed or not, and every finite number."""
    assert decode_strict(value) == decoded


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (b'"\xff"', "not valid UTF-8"),
        (b"[" * 500_000, "nested deeper than 128 levels"),
        (b"[" * 129 + b"]" * 129, "nested deeper than 128 levels"),
        (b"18446744073709551616", "an integer of more than 64 bits"),
        (b"1e999", "not valid JSON: Number out of range"),
        (b"[1,]", "not valid JSON: trailing comma in array"),
        (b"", "not valid JSON: Input data was truncated"),
    ],
)
def test_what_is_out_of_bounds_is_named(value: bytes, problem: str) -> None:
    """The message is one plain line for the dead letter."""
    with pytest.raises(StrictJsonError) as refusal:
        decode_strict(value)
    assert str(refusal.value).startswith(problem)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_cannot_write_are_out_of_bounds(number: float) -> None:
    """A field map's function may yield them."""
    with pytest.raises(StrictJsonError, match="not finite"):
        check_bounds([number])
