"""Times: RFC 3339 in and out, cut to the millisecond."""

import pytest

from streams.core.times import MAX_MS, YEAR_2000_MS, arrived_ms, to_ms, utc_text


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (YEAR_2000_MS, "2000-01-01T00:00:00.000Z"),
        (1_795_168_800_007, "2026-11-20T10:00:00.007Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (MAX_MS, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_text_and_milliseconds_are_each_others_inverse(ms: int, text: str) -> None:
    """Text in UTC with three digits stands for exactly one number of milliseconds."""
    assert utc_text(ms) == text
    assert to_ms(text) == ms


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-11-20T10:00:00Z", "2026-11-20T10:00:00.000Z"),
        ("2026-11-20T10:00:00.9999999Z", "2026-11-20T10:00:00.999Z"),
        ("2026-11-20T10:00:00.5Z", "2026-11-20T10:00:00.500Z"),
        ("2026-11-20T10:00:00.123+01:00", "2026-11-20T09:00:00.123Z"),
        ("2026-11-20T10:00:00-05:30", "2026-11-20T15:30:00.000Z"),
        ("2026-11-20t10:00:00z", "2026-11-20T10:00:00.000Z"),
        ("2026-11-20 10:00:00.000Z", "2026-11-20T10:00:00.000Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z"),
        ("2016-12-31T23:59:60.250Z", "2017-01-01T00:00:00.250Z"),
        ("2024-02-29T23:59:59.999999Z", "2024-02-29T23:59:59.999Z"),
    ],
)
def test_every_rfc_3339_form_is_read_and_cut(text: str, utc: str) -> None:
    """Offsets, fractions of any length, small letters and leap seconds are all read."""
    assert utc_text(to_ms(text)) == utc


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-11-20",
        "2026-11-20T10:00:00",
        "2026-11-20T10:00Z",
        "20261120T100000Z",
        "2026-W47-5T10:00:00.000Z",
        "2026-W01-1T00:00:00.000Z",
        "2026-02-30T10:00:00.000Z",
        "2026-11-20T24:00:00.000Z",
        "2026-11-20T10:61:00.000Z",
        "2026-11-20T10:00:00.12²Z",
        "٢٠٢٦-11-20T10:00:00.000Z",
        "2026-11-20T10:00:00.000Z\n",
        "2026-11-20T10:00:00+25:00",
        "2026-11-20T10:00:00.000+0100",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:00x",
    ],
)
def test_what_is_no_rfc_3339_with_an_offset_is_refused(text: str) -> None:
    """A time without an offset, or that does not exist, is a ValueError and nothing else."""
    with pytest.raises(ValueError, match=r"RFC 3339|no such date"):
        to_ms(text)


def test_an_integer_is_milliseconds_already() -> None:
    """Integers pass unchanged; a truth value is no integer here."""
    assert to_ms(1_795_168_800_007) == 1_795_168_800_007
    with pytest.raises(ValueError, match="RFC 3339"):
        to_ms(True)


@pytest.mark.parametrize(
    ("kafka_ms", "came_ms"),
    [(0, 0), (10**12 + 300_000, 10**12 + 300_000), (10**12 + 300_001, 10**12)],
)
def test_a_kafka_time_more_than_5_minutes_ahead_is_when_the_record_came(
    kafka_ms: int, came_ms: int
) -> None:
    """Clocks differ a little; days are a mistake."""
    assert arrived_ms(kafka_ms, 10**12) == came_ms
