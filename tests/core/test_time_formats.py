"""Times as a shop writes them: units, patterns, lists of both, zones and their changes."""

from datetime import UTC, datetime
from typing import Any

import pytest

from streams.core.time_formats import TimeFormats, epoch_ms

CLOCK = "%Y-%m-%d %H:%M:%S"


def utc(*parts: int) -> int:
    """Return a moment in UTC as ms."""
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * 1000  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("unit", "value", "ms"),
    [
        ("s", 1_795_168_800, 1_795_168_800_000),
        ("s", 1_795_168_800.1239, 1_795_168_800_123),
        ("s", "1795168800.007", 1_795_168_800_007),
        ("s", "1.7951688e9", 1_795_168_800_000),
        ("ms", "1795168800007", 1_795_168_800_007),
        ("ms", 1_795_168_800_007.9, 1_795_168_800_007),
        ("us", 1_695_262_025_123_334, 1_695_262_025_123),
        ("us", "1695262025123334", 1_695_262_025_123),
        ("ns", 1_695_262_025_123_334_999, 1_695_262_025_123),
    ],
)
def test_numbers_are_read_in_their_unit_and_cut(unit: str, value: Any, ms: int) -> None:
    """Seconds to nanoseconds, as numbers or as their text, cut to the millisecond."""
    assert epoch_ms(value, unit) == ms
    assert TimeFormats([unit]).read(value) == (ms, False)


@pytest.mark.parametrize(
    ("unit", "value", "why"),
    [
        ("ms", 1_695_262_025_123_334, ("1695262025123334 as milliseconds lies beyond the year "
         '2100; it looks like microseconds (timestamp_format = "us")')),
        ("ms", 1_695_262_025_123_334_999, ("1695262025123334999 as milliseconds lies beyond the "
         'year 2100; it looks like nanoseconds (timestamp_format = "ns")')),
        ("s", 1_795_168_800_000, ("1795168800000 as seconds lies beyond the year 2100; it looks "
         'like milliseconds (timestamp_format = "ms")')),
        ("ms", 1_795_168_800, ("1795168800 as milliseconds lies before the year 2000; it looks "
         'like seconds (timestamp_format = "s")')),
        ("us", 4_133_980_800_000_000, "4133980800000000 as microseconds lies beyond the year 2100"),
        ("s", -1, "-1 as seconds lies before the year 2000"),
        ("s", "soon", '"soon" is no number of seconds'),
        ("s", "1e999990", '"1e999990" is no number of seconds'),
        ("s", "9" * 26, f'"{"9" * 26}" is no number of seconds'),
        ("ms", "9" * 100_000, f'"{"9" * 60}…" is no number of milliseconds'),
        ("s", True, "true is no number of seconds"),
        ("s", [1], "an array is no number of seconds"),
        ("s", float("nan"), "nan is no number of seconds"),
        ("s", 1e300, "1e+300 is no number of seconds"),
        ("us", 1.7e35, "1.7e+35 as microseconds lies beyond the year 2100"),
        ("ns", "9" * 25 + "e99", f'"{"9" * 25}e99" as nanoseconds lies beyond the year 2100'),
        ("s", "1_795_168_800", '"1_795_168_800" is no number of seconds'),
    ],
)  # fmt: skip
def test_number_of_another_unit_is_named(unit: str, value: Any, why: str) -> None:
    """No clock runs ahead by a thousand years: the unit is another one, and which."""
    with pytest.raises(ValueError, match=r".") as refusal:
        TimeFormats([unit]).read(value)
    assert str(refusal.value) == why


def test_the_last_millisecond_of_2100_is_a_time() -> None:
    """The bound is exact on both sides."""
    assert epoch_ms(4_133_980_799_999, "ms") == utc(2101, 1, 1) - 1
    assert epoch_ms(946_684_800_000, "ms") == utc(2000, 1, 1)
    for value in (4_133_980_800_000, 946_684_799_999):
        with pytest.raises(ValueError, match="lies"):
            epoch_ms(value, "ms")


@pytest.mark.parametrize(
    ("formats", "value", "ms"),
    [
        (["s", "ms"], 1_795_168_800, 1_795_168_800_000),
        (["s", "ms"], 1_795_168_800_007, 1_795_168_800_007),
        (["%d.%m.%Y", "%d.%m.%Y %H:%M"], "20.11.2026 10:00", utc(2026, 11, 20, 10)),
        (["%d.%m.%Y", "ms"], "20.11.2026", utc(2026, 11, 20)),
        (["%m/%d/%Y", "%d/%m/%Y"], "05/06/2026", utc(2026, 5, 6)),
        (["%m/%d/%Y", "%d/%m/%Y"], "25/06/2026", utc(2026, 6, 25)),
        (["%Y-%m-%dT%H:%M:%S.%f%z"], "2026-11-20T11:00:00.007999+0100", 1_795_168_800_007),
    ],
)
def test_first_format_that_fits_the_whole_value_counts(
    formats: list[str], value: Any, ms: int
) -> None:
    """In the order of the settings; a number outside 2000 to 2100 does not fit its unit."""
    assert TimeFormats(formats).read(value).ms == ms


@pytest.mark.parametrize(
    ("formats", "value", "why"),
    [
        (["%d.%m.%Y"], "20.11.2026 ", '"20.11.2026 " does not fit the pattern "%d.%m.%Y"'),
        (["%Y%j"], 2026324, '2026324 does not fit the pattern "%Y%j"'),
        (["%Y%j"], "2" * 200, f'"{"2" * 60}…" does not fit the pattern "%Y%j"'),
        (["s", "%Y%j"], "soon", '"soon" has none of the formats s, %Y%j'),
        (["s", "%Y%j"], 1_795_168_800_000, ("1795168800000 has none of the formats s, %Y%j: "
         "1795168800000 as seconds lies beyond the year 2100; it looks like milliseconds "
         '(timestamp_format = "ms")')),
    ],
)  # fmt: skip
def test_what_fits_no_format_says_what_was_there(formats: list[str], value: Any, why: str) -> None:
    """The value is a time, nobody's name: it is shown."""
    with pytest.raises(ValueError, match=r".") as refusal:
        TimeFormats(formats).read(value)
    assert str(refusal.value) == why


@pytest.mark.parametrize(
    ("local", "ms", "is_change"),
    [
        ("2026-11-20 10:00:00", utc(2026, 11, 20, 9), False),
        ("2026-07-20 10:00:00", utc(2026, 7, 20, 8), False),
        ("2026-03-29 02:30:00", utc(2026, 3, 29, 1, 30), True),
        ("2026-03-29 03:00:00", utc(2026, 3, 29, 1), False),
        ("2026-10-25 02:30:00", utc(2026, 10, 25, 0, 30), True),
        ("2026-10-25 03:00:00", utc(2026, 10, 25, 2), False),
    ],
)
def test_local_times_are_read_in_the_zone(local: str, ms: int, is_change: bool) -> None:
    """One that never was: the offset before the change. One that was twice: the first."""
    assert TimeFormats([CLOCK], "Europe/Berlin").read(local) == (ms, is_change)


def test_pattern_without_zone_and_without_timezone_is_utc() -> None:
    """As before there were zones."""
    assert TimeFormats([CLOCK]).read("2026-11-20 10:00:00").ms == utc(2026, 11, 20, 10)


@pytest.mark.parametrize("machine", ["UTC", "Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize(
    ("zone", "local", "ms"),
    [
        ("Europe/Berlin", "2026-11-20 10:00:00 CET", utc(2026, 11, 20, 9)),
        ("Europe/Berlin", "2026-07-20 10:00:00 CEST", utc(2026, 7, 20, 8)),
        ("Europe/Berlin", "2026-07-20 10:00:00 cest", utc(2026, 7, 20, 8)),
        ("Europe/Berlin", "2026-11-20 10:00:00 CEST", utc(2026, 11, 20, 8)),
        ("Europe/Berlin", "2026-10-25 02:30:00 CEST", utc(2026, 10, 25, 0, 30)),
        ("Europe/Berlin", "2026-10-25 02:30:00 CET", utc(2026, 10, 25, 1, 30)),
        ("Europe/Berlin", "2026-11-20 10:00:00 UTC", utc(2026, 11, 20, 10)),
        ("Europe/Berlin", "2026-11-20 10:00:00 GMT", utc(2026, 11, 20, 10)),
        ("Europe/Berlin", "2026-11-20 10:00:00 Z", utc(2026, 11, 20, 10)),
        ("Europe/London", "2026-07-20 10:00:00 BST", utc(2026, 7, 20, 9)),
        ("America/Sao_Paulo", "2026-11-20 10:00:00 -03", utc(2026, 11, 20, 13)),
    ],
)
def test_names_of_zones_do_not_depend_on_the_machine(
    monkeypatch: pytest.MonkeyPatch, machine: str, zone: str, local: str, ms: int
) -> None:
    """A name says the offset, also of an hour that was shown twice: nothing to be noted."""
    import time

    monkeypatch.setenv("TZ", machine)
    time.tzset()
    try:
        assert TimeFormats([f"{CLOCK} %Z"], zone).read(local) == (ms, False)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_name_of_another_zone_is_refused_with_those_that_are_known() -> None:
    """EST means one thing in New York and another in Sydney: nothing is guessed."""
    with pytest.raises(ValueError, match=r"in which %Z takes CET, CEST, UTC, GMT, Z$"):
        TimeFormats([f"{CLOCK} %Z"], "Europe/Berlin").read("2026-11-20 10:00:00 EST")


@pytest.mark.parametrize(
    ("formats", "zone", "problems"),
    [
        ([f"{CLOCK} %Z"], None, ((f"'{CLOCK} %Z': %Z needs a timezone, which says what the names "
         "mean"),)),
        ([CLOCK], "Europe/Berlim", (('timezone "Europe/Berlim" is no IANA name such as '
         "Europe/Berlin"),)),
        ([CLOCK], "../../etc/passwd", (('timezone "../../etc/passwd" is no IANA name such as '
         "Europe/Berlin"),)),
        ([CLOCK], "Europe", ('timezone "Europe" is no IANA name such as Europe/Berlin',)),
        (["s"], "Europe/Berlin", ("timezone is for patterns without a zone, and there is none",)),
        ([], None, ("an empty list",)),
        (["%Y %Y", "%"], None, ("'%Y %Y': a directive stands in it twice",
         "'%': stray % in format '%'")),
        ([""], None, ("'': an empty pattern",)),
    ],
)  # fmt: skip
def test_formats_that_can_never_fit_are_found_at_loading(
    formats: list[str], zone: str | None, problems: tuple[str, ...]
) -> None:
    """All problems at once; ``%%Z`` is no zone."""
    with pytest.raises(ValueError, match=r".") as refusal:
        TimeFormats(formats, zone)
    assert refusal.value.args == problems
    TimeFormats(["%Y%j %%Z"])


@pytest.mark.filterwarnings("ignore:Parsing dates:DeprecationWarning")  # since Python 3.13
@pytest.mark.parametrize(
    "pattern",
    ["%H:%M", "%m-%d %H:%M", "%Y", "%Y-%m", "%Y %d", "%H:%M %z", "%Y %U", "%G-W%V", "%Y-W%V-%u",
     "%j", "%%Y-%%m-%%d", "now", "2026-11-20"],
)  # fmt: skip
def test_pattern_without_the_day_is_found_at_loading(pattern: str) -> None:
    """Each of its texts would be read as a day of 1900, as the first of a month, or not at all."""
    with pytest.raises(ValueError, match=r".") as refusal:
        TimeFormats(["s", pattern])
    (problem,) = refusal.value.args
    assert problem == (
        f"{pattern!r}: says no day; a pattern needs the year with month and day or the day of the "
        "year, or the ISO year with week and weekday; a number needs s, ms, us, ns instead of a "
        "pattern"
    )


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("%Y-%m-%d", "2026-11-20"),
        ("%d/%b/%y", "20/Nov/26"),
        ("%Y%j", "2026324"),
        ("%G-W%V-%u", "2026-W47-5"),
        ("%a %U %Y", "Fri 46 2026"),
        ("%c", "Fri Nov 20 00:00:00 2026"),
        ("(%x) um 00.00 Uhr, %%[ü]", "(11/20/26) um 00.00 Uhr, %[ü]"),
        ("%A, %d. %B %Y %I %p %z", "Friday, 20. November 2026 12 AM +0000"),
    ],
)
def test_pattern_with_the_day_is_taken_however_it_is_said(pattern: str, text: str) -> None:
    """Also with text of its own around it."""
    assert TimeFormats([pattern]).read(text).ms == utc(2026, 11, 20)
