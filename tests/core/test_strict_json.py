"""Strict JSON: RFC 8259 within our bounds."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.strict_json import (
    MAX_VALUES,
    StrictJsonError,
    check_bounds,
    decode_fields,
    decode_repaired,
    decode_strict,
    mend_half_pairs,
)


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
    decoded = decode_repaired(f'{{"a":"{text}"}}'.encode())
    assert decoded.value["a"] == f"\ufffd 😀 \\ud83d A {filler}\ufffd"
    assert decoded.repaired
    assert decode_repaired(rf'{{"a":"\ud83d\ude00{filler}"}}'.encode()).repaired is False


@given(st.lists(st.sampled_from([r"\ud83d", r"\ude00", r"\\", r"\u0041", "a", r"\n"])))
def test_each_half_pair_and_nothing_else_is_mended(parts: list[str]) -> None:
    """As Python itself tells halves from pairs."""
    text = "".join(parts)
    halves = json.loads(f'"{text}"')
    whole = halves.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert decode_strict(f'"{text}"'.encode()) == whole
    assert len(mend_half_pairs(text.encode())) == len(text)


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
            decode_repaired(value, ["a"])
    else:
        assert decode_repaired(value, ["a"]).value["a"] == filler


@pytest.mark.parametrize("element", ["1", "1.5", "1e19", '"a,[{"', "null"])
@pytest.mark.parametrize("needed", [None, ["a"]])
def test_as_many_values_as_may_be_are_read_and_no_more(
    element: str, needed: list[str] | None
) -> None:
    """However they are written; commas and brackets in texts are none."""
    most = MAX_VALUES - 1 - (needed is None)
    inside = ",".join([element] * most)
    assert len(decode_repaired(f'{{"a":[{inside},1]}}'.encode(), needed).value["a"]) == most + 1
    value = f'{{"a":[{inside},1,2]}}'.encode()
    if needed is None:
        with pytest.raises(StrictJsonError, match="more than 8,000 values"):
            decode_strict(value)
    else:
        assert "more than 8,000 values" in str(decode_repaired(value, needed).value["a"])


def test_what_is_not_needed_is_passed_over_in_a_record_with_many_values() -> None:
    """Nobody looks at it; what follows it is read."""
    value = b'{"zz":[%b1],"a":12345678901234567.0,"b":"\\ud83d"}' % (b"1e19," * 60_000)
    decoded = decode_repaired(value, ["a", "b"])
    assert (decoded.value["a"], decoded.value["b"]) == (12345678901234567, "\ufffd")
    assert decoded.repaired


def test_needed_fields_have_the_values_together() -> None:
    """One with which they would be too many is refused, and the others are read."""
    bulk = b"[%b1]" % (b'",",' * 5_999)
    record = decode_fields(b'{"a":%b,"b":%b,"c":3}' % (bulk, bulk), ["a", "b", "c"]).value
    assert (len(record["a"]), record["c"]) == (6_000, 3)
    assert isinstance(record["b"], StrictJsonError)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (b'{"zz":[%b1],"a":"\xff"}' % (b"1," * 20_000), "not valid UTF-8"),
        (b'{"zz":[%b}' % (b"1," * 20_000), "not valid JSON"),
        (b'{"a":"%b' % (b'\\",' * 60_000), "not valid JSON"),
    ],
)
def test_damage_beside_many_values_is_named(value: bytes, problem: str) -> None:
    """Also in what is passed over."""
    with pytest.raises(StrictJsonError, match=problem):
        decode_repaired(value, ["a"])
