"""Moments as people write them, read in their own zone and shown back with it."""

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.moments import read_moment, shown_moment, shown_span
from streams.core.times import YEAR_2000_MS, to_ms, utc_text

BERLIN = ZoneInfo("Europe/Berlin")
NOW = to_ms("2026-11-20T13:30:15.250Z")
"""14:30:15.250 in Berlin, a Friday."""


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("now", "2026-11-20T13:30:15.250Z"),
        ("2h ago", "2026-11-20T11:30:15.250Z"),
        ("30m ago", "2026-11-20T13:00:15.250Z"),
        ("90 seconds ago", "2026-11-20T13:28:45.250Z"),
        ("1h30m ago", "2026-11-20T12:00:15.250Z"),
        ("1 day 2 hours ago", "2026-11-19T11:30:15.250Z"),
        ("  1  Week   AGO ", "2026-11-13T13:30:15.250Z"),
        ("2026-11-20", "2026-11-19T23:00:00.000Z"),
        ("2026-07-01", "2026-06-30T22:00:00.000Z"),
        ("2026-11-20 14:00", "2026-11-20T13:00:00.000Z"),
        ("2026-11-20T14:00:01.5", "2026-11-20T13:00:01.500Z"),
        ("2026-11-20T14:00:00.123456", "2026-11-20T13:00:00.123Z"),
        ("2026-07-01 14:00", "2026-07-01T12:00:00.000Z"),
        ("2026-11-20T13:00:00Z", "2026-11-20T13:00:00.000Z"),
        ("2026-11-20 13:00z", "2026-11-20T13:00:00.000Z"),
        ("2026-11-20 9:00+01:00", "2026-11-20T08:00:00.000Z"),
        ("2026-11-20T13:00:00.007-0530", "2026-11-20T18:30:00.007Z"),
        ("2026-11-20T13:00:00+02", "2026-11-20T11:00:00.000Z"),
        ("1795181415250", "2026-11-20T13:30:15.250Z"),
        ("0", "1970-01-01T00:00:00.000Z"),
    ],
)
def test_what_people_write_is_read_in_their_zone(text: str, utc: str) -> None:
    """Without an offset in the zone handed in, with one as it says."""
    assert utc_text(read_moment(text, NOW, BERLIN)) == utc


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not a time"),
        ("soon", "is not a time"),
        ("yesterday 14:00", "is not a time"),
        ("9:05", "is not a time"),
        ("2h", "is not a time"),
        ("ago", "is not a time"),
        (" ago", "is not a time"),
        ("2 parsecs ago", "is not a time"),
        ("2h! ago", "is not a time"),
        ("9", "not a plausible time"),
        ("1795181415", "not a plausible time"),
        ("20261120", "not a plausible time"),
        ("9" * 5000, "not a plausible time"),
        ("999999w ago", "before 1970"),
        ("2026-13-01", "there is no day 2026-13-01"),
        ("2026-02-30 10:00", "there is no day"),
        ("2026-02-30T10:00:00Z", "no such date"),
        ("2026-11-20 24:00", "no time of day 24:00:00"),
        ("2026-11-20T25:00:00Z", "no such date or time of day"),
        ("2026-03-29 02:30", "was shown never"),
        ("2026-10-25 02:30", "was shown twice"),
        ("2026-11-20\x1b[31m", "is not a time"),
    ],
)
def test_what_is_no_time_is_refused_with_a_clause(text: str, why: str) -> None:
    """Among them what the clocks of the zone showed twice or never."""
    with pytest.raises(ValueError, match=why):
        read_moment(text, NOW, BERLIN)


def test_a_moment_of_a_clock_change_is_read_with_an_offset() -> None:
    """The remedy that the refusal names works, for both of the two."""
    assert utc_text(read_moment("2026-10-25 02:30+02:00", NOW, BERLIN)) == (
        "2026-10-25T00:30:00.000Z"
    )
    assert utc_text(read_moment("2026-10-25 02:30+01:00", NOW, BERLIN)) == (
        "2026-10-25T01:30:00.000Z"
    )


@pytest.mark.parametrize(
    ("utc", "shown"),
    [
        ("2026-11-20T13:00:00Z", "2026-11-20 14:00:00 +01:00 (CET)"),
        ("2026-07-01T12:00:00.007Z", "2026-07-01 14:00:00.007 +02:00 (CEST)"),
    ],
)
def test_a_moment_is_shown_with_its_zone(utc: str, shown: str) -> None:
    """Offset and name are those of that day."""
    assert shown_moment(to_ms(utc), BERLIN) == shown


@given(st.integers(YEAR_2000_MS, 4_000_000_000_000))
def test_what_is_shown_is_read_back(ms: int) -> None:
    """A shown moment without the zone's name is one that people may write."""
    written = shown_moment(ms, BERLIN).partition(" (")[0]
    assert read_moment(written, NOW, BERLIN) == ms


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (0.2, "under 1 s"),
        (45.4, "45 s"),
        (60, "1 min"),
        (12_000, "3 h 20 min"),
        (3_600, "1 h"),
        (90_061, "1 d 1 h"),
    ],
)
def test_a_length_of_time_is_shown_in_two_units(seconds: float, shown: str) -> None:
    """The largest that is not zero, and the next."""
    assert shown_span(seconds) == shown
