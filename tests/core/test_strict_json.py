"""Strict JSON: RFC 8259 within our bounds."""

from typing import Any

import msgspec
import pytest

from streams.core import strict_json
from streams.core.strict_json import (
    StrictJsonError,
    check_bounds,
    decode_repaired,
    decode_strict,
    known_decoder,
)


class Known(msgspec.Struct):
    """The fields of an object that are looked at."""

    a: Any = msgspec.UNSET


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


@pytest.mark.parametrize("filler", ["", "x" * 20_000])
@pytest.mark.parametrize(
    ("literal", "number"),
    [
        ("1.0", 1), ("2e0", 2), ("-0.0", 0), ("12345.000", 12345), ("1e17", 10**17),
        ("12345678901234567.0", 12345678901234567), ("18446744073709551615.0", 2**64 - 1),
        ("99999999999999999e1", 999999999999999990), ("18446744073709551616.0", 2.0**64),
        ("1.5", 1.5), ("0.1e1", 1), ("1e22", 1e22), ("1e-999990999999999", 0),
        ("123456789012345678e-999990999999999999999", 0.0),
    ],
)  # fmt: skip
def test_a_number_that_is_an_integer_is_one(filler: str, literal: str, number: float) -> None:
    """However it is written, to the last digit, in small records and in large ones."""
    document = f'{{"a":{literal},"b":[{literal}],"c":"{filler}"}}'
    decoded = decode_strict(document.encode())
    assert decoded["a"] == decoded["b"][0] == number
    if type(number) is int and number > 2**53:
        assert type(decoded["a"]) is int


@pytest.mark.parametrize("filler", ["", "x" * 20_000, r"[{\"[" * 5_000])
@pytest.mark.parametrize(("levels", "is_refused"), [(127, False), (128, True), (3_000, True)])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_levels_are_counted_exactly(
    filler: str, levels: int, is_refused: bool, opening: str, closing: str
) -> None:
    """Brackets within texts are none; the object around is the first level."""
    inside = "1" if opening != "[" else ""
    value = f'{{"f":"{filler}","a":{opening * levels}{inside}{closing * levels}}}'.encode()
    if is_refused:
        with pytest.raises(StrictJsonError, match="nested deeper than 128 levels"):
            decode_strict(value)
    else:
        assert decode_strict(value)["f"] is not None


@pytest.mark.parametrize("filler", ["", "x" * 20_000])
def test_half_a_surrogate_pair_is_repaired_and_told(filler: str) -> None:
    """Whole pairs, escaped backslashes and other escapes stay what they are."""
    text = rf"\ud83d \ud83d\ude00 \\ud83d \u0041 {filler}\udc00"
    value, repaired = decode_repaired(f'{{"a":"{text}"}}'.encode())
    assert value["a"] == f"\ufffd 😀 \\ud83d A {filler}\ufffd"
    assert repaired
    assert decode_repaired(rf'{{"a":"\ud83d\ude00{filler}"}}'.encode()).repaired is False


def test_a_long_integer_sends_no_other_number_of_a_large_record_through_python(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ids of 19 digits are usual, also as text; 60,000 fractions beside one took 20 ms."""
    monkeypatch.setattr(strict_json, "_decode", None)
    for literal, wanted in (
        (b"1234567890123456789", 1234567890123456789),
        (b'"1234567890123456789"', "1234567890123456789"),
    ):
        found = decode_strict(b'{"id":%b,"x":[%b1]}' % (literal, b"1.5," * 10_000))
        assert found == {"id": wanted, "x": [1.5] * 10_000 + [1]}
    with pytest.raises(StrictJsonError, match="an integer of more than 64 bits"):
        decode_strict(b'{"id":18446744073709551616,"x":[%b1]}' % (b"1.5," * 10_000))


@pytest.mark.parametrize("filler", ["", "x" * 20_000])
@pytest.mark.parametrize("place", ['{{"zz":{},"a":"{}"}}', '{{"zz":[1, {}],"a":"{}"}}'])
@pytest.mark.parametrize(
    ("literal", "is_refused"),
    [
        ("1e400", True), ("-1.5E+400", True), ("0.1e310", True), ("1e0000400", True),
        ("1" + "0" * 400 + ".5", True), ("1" + "0" * 250 + "e99", True),
        ("18446744073709551616", True), ("-9223372036854775809", True),
        ("1e308", False), ("1e-400", False), ("1" + "0" * 200 + "e99", False),
        ("18446744073709551615", False), ("-9223372036854775808", False), ('"1e400"', False),
    ],
)  # fmt: skip
def test_numbers_are_held_to_the_bounds_in_fields_that_are_passed_over(
    literal: str, is_refused: bool, place: str, filler: str
) -> None:
    """A large record is no way round what a small one is refused for."""
    value = place.format(literal, filler).encode()
    if is_refused:
        with pytest.raises(StrictJsonError, match=r"out of range|more than 64 bits"):
            decode_repaired(value, known_decoder(Known))
    else:
        assert decode_repaired(value, known_decoder(Known)).value["a"] == filler


def test_a_positive_number_of_19_digits_keeps_no_large_record_from_being_passed_over() -> None:
    """Ids and nanoseconds have 19 digits, and each of them fits 64 bits."""
    value = b'{"a":1695262025123334999,"zz":[%b1]}' % (b"1e2," * 10_000)
    assert decode_repaired(value, known_decoder(Known)).value == {"a": 1_695_262_025_123_334_999}
