"""Times as a shop writes them: numbers in a unit, patterns of strptime, with or without a zone.

Nothing here reads a clock, and nothing depends on the zone of the machine.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from datetime import timezone as fixed_offset
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from streams.core.times import YEAR_2000_MS, YEAR_2101_MS, datetime_to_ms

UNITS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
"""Unit of a number → its name."""
MAX_TEXT_CHARS = 100
"""No time is longer; what is longer is not looked at."""

_PER_MS = {"ms": 1, "us": 1_000, "ns": 1_000_000}
# Bounded before it is converted: an integer of a million digits takes half a minute.
_NUMBER = re.compile(r"[+-]?\d{1,25}(?:\.\d{0,25})?(?:[eE][+-]?\d{1,2})?", re.ASCII)
_DIRECTIVE = re.compile(r"%.", re.DOTALL)
_SOME_DAY = datetime(2026, 11, 20, 10, 7, 38, tzinfo=UTC)
_NO_DAY = (
    "says no day; a pattern needs the year with month and day or the day of the year, or the ISO "
    f"year with week and weekday; a number needs {', '.join(UNITS)} instead of a pattern"
)
_UTC_NAMES = ("UTC", "GMT", "Z")
_NAMED_YEARS = range(2000, 2101)
_SHOWN_CHARS = 60


class ReadTime(NamedTuple):
    """A moment, and whether the zone's clocks showed that local time twice or never."""

    ms: int
    is_dst_change: bool = False


class _Unfit(ValueError):
    """The value does not have this format; the message is one clause."""


class OutOfRangeTimeError(_Unfit):
    """A number that is read, and lies before the year 2000 or beyond 2100."""


def epoch_ms(value: Any, unit: str) -> int:
    """Return a number of this unit, or its text, as ms since the epoch, cut to the millisecond.

    Raises ValueError with one clause for what is no number, or lies before the year 2000 or beyond
    2100: then it is a number of another unit, which the clause names where one fits.
    """
    number = _number(value)
    if number is None:
        raise _Unfit(f"{_shown(value)} is no number of {UNITS[unit]}")
    ms = _in_ms(number, unit)
    if not YEAR_2000_MS <= ms < YEAR_2101_MS:
        where = "before the year 2000" if ms < YEAR_2000_MS else "beyond the year 2100"
        raise OutOfRangeTimeError(
            f"{_shown(value)} as {UNITS[unit]} lies {where}{_other_unit(number)}"
        )
    return ms


def _number(value: Any) -> int | Decimal | None:
    if type(value) is int:
        return value
    if type(value) is float:
        text = repr(value)
    elif type(value) is str and len(value) <= MAX_TEXT_CHARS:
        text = value
    else:
        return None
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def _in_ms(number: int | Decimal, unit: str) -> int:
    # Not Decimal's own division, which fails where the quotient has more than 28 digits.
    return int(number * 1000) if unit == "s" else int(number) // _PER_MS[unit]


def _other_unit(number: int | Decimal) -> str:
    for unit, name in UNITS.items():
        if YEAR_2000_MS <= _in_ms(number, unit) < YEAR_2101_MS:
            return f'; it looks like {name} (timestamp_format = "{unit}")'
    return ""


def _shown(value: Any) -> str:
    if type(value) is str:
        cut = value if len(value) <= _SHOWN_CHARS else f"{value[:_SHOWN_CHARS]}…"
        return f'"{cut}"'
    if type(value) in {int, float}:
        return str(value)
    if type(value) is bool:
        return str(value).lower()
    return {type(None): "null", list: "an array"}.get(type(value), "an object")


class TimeFormats:
    """The formats of one source, tried in order: the first that fits the whole value counts."""

    def __init__(self, formats: Sequence[str], timezone: str | None = None) -> None:
        """Take units (``s``, ``ms``, ``us``, ``ns``) and patterns, and an IANA zone.

        Patterns without an offset are read in the zone, without one in UTC. Raises ValueError
        whose ``args`` are one clause for each problem.
        """
        problems = [
            f"{pattern!r}: {problem}"
            for pattern in formats
            if pattern not in UNITS and (problem := _pattern_problem(pattern))
        ]
        zone: ZoneInfo | None = None
        if timezone is not None:
            try:
                zone = ZoneInfo(timezone)
            except (LookupError, ValueError, OSError):
                problems.append(f'timezone "{timezone}" is no IANA name such as Europe/Berlin')
            if all(pattern in UNITS for pattern in formats):
                problems.append("timezone is for patterns without a zone, and there is none")
        else:
            problems += [
                f"{pattern!r}: %Z needs a timezone, which says what the names mean"
                for pattern in formats
                if "%Z" in _DIRECTIVE.findall(pattern)
            ]
        if not formats and timezone is None:
            problems.append("an empty list")
        if problems:
            raise ValueError(*problems)
        self._formats = tuple(formats)
        self._zone = None if zone is None else _Zone(zone)

    def read(self, value: Any) -> ReadTime:
        """Return the moment; raises ValueError with one clause for the person who reads it."""
        problems: list[str] = []
        out_of_range = False
        for pattern in self._formats:
            try:
                if pattern in UNITS:
                    return ReadTime(epoch_ms(value, pattern))
                return self._read_pattern(value, pattern)
            except _Unfit as problem:
                problems.append(str(problem))
                out_of_range |= isinstance(problem, OutOfRangeTimeError)
            except ArithmeticError:
                problems.append(f"{_shown(value)} is no moment that can be counted")
        error = OutOfRangeTimeError if out_of_range else ValueError
        if len(problems) == 1:
            raise error(problems[0])
        # A number in another unit says more than that the patterns do not fit.
        telling = next((f": {one}" for one in problems if " as " in one and " lies " in one), "")
        raise error(f"{_shown(value)} has none of the formats {', '.join(self._formats)}{telling}")

    def _read_pattern(self, value: Any, pattern: str) -> ReadTime:
        if type(value) is not str or len(value) > MAX_TEXT_CHARS:
            raise _Unfit(f'{_shown(value)} does not fit the pattern "{pattern}"')
        if "%Z" in _DIRECTIVE.findall(pattern):
            assert self._zone is not None
            return self._read_named(value, pattern, self._zone)
        moment = _strptime(value, pattern)
        if moment is None:
            raise _Unfit(f'{_shown(value)} does not fit the pattern "{pattern}"')
        if moment.tzinfo is not None:
            return ReadTime(datetime_to_ms(moment))
        if self._zone is None:
            return ReadTime(datetime_to_ms(moment.replace(tzinfo=UTC)))
        return self._zone.read(moment)

    def _read_named(self, value: str, pattern: str, zone: "_Zone") -> ReadTime:
        """Read a time with the name of a zone, which strptime would take from the machine."""
        for found in reversed(list(zone.names.finditer(value))):
            moment = _strptime(f"{value[: found.start()]}UTC{value[found.end() :]}", pattern)
            if moment is not None:
                if moment.tzinfo is not None:
                    return ReadTime(datetime_to_ms(moment))
                return ReadTime(zone.read_named(moment, found[0].upper()))
        raise _Unfit(
            f'{_shown(value)} does not fit the pattern "{pattern}", in which %Z takes '
            f"{', '.join(zone.known)}"
        )


class _Zone:
    """An IANA zone and the names that it goes by."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._offsets = _named_offsets(zone)
        self.known = (*self._offsets, *(name for name in _UTC_NAMES if name not in self._offsets))
        # Some zones have names like "-03", so a digit may stand before one.
        longest_first = sorted(map(re.escape, self.known), key=len, reverse=True)
        self.names = re.compile(
            rf"(?<![A-Za-z])(?:{'|'.join(longest_first)})(?![A-Za-z0-9])", re.IGNORECASE
        )

    def read(self, local: datetime) -> ReadTime:
        """Return a local time as the clocks showed it.

        One that never was is read with the offset before the change; of one that was shown twice
        the first counts.
        """
        first = local.replace(tzinfo=self._zone, fold=0)
        changed = first.utcoffset() != first.replace(fold=1).utcoffset()
        return ReadTime(datetime_to_ms(first), changed)

    def read_named(self, local: datetime, name: str) -> int:
        """Return a local time to which the zone's name stands, which says the offset."""
        for fold in (0, 1):
            moment = local.replace(tzinfo=self._zone, fold=fold)
            if (moment.tzname() or "").upper() == name:
                return datetime_to_ms(moment)
        offset = timedelta() if name in _UTC_NAMES else self._offsets[name]
        return datetime_to_ms(local.replace(tzinfo=fixed_offset(offset)))


@lru_cache(maxsize=32)
def _named_offsets(zone: ZoneInfo) -> dict[str, timedelta]:
    """Return the names of a zone in these years, each with the offset that it had last."""
    found: dict[str, timedelta] = {}
    for year in _NAMED_YEARS:
        for month in range(1, 13):
            moment = datetime(year, month, 1, tzinfo=zone)
            name, offset = moment.tzname(), moment.utcoffset()
            if name and offset is not None:
                found[name.upper()] = offset
    return found


def _strptime(text: str, pattern: str) -> datetime | None:
    try:
        return datetime.strptime(text, pattern)  # noqa: DTZ007 - the caller adds the zone
    except (ValueError, OverflowError):
        return None


def _pattern_problem(pattern: str) -> str | None:
    try:
        datetime.strptime("", pattern)  # noqa: DTZ007
    except re.error:
        return "a directive stands in it twice"
    except ValueError as problem:
        text = str(problem)
        if "directive" in text or "stray" in text:
            return text
        return None if _says_the_day(pattern) else _NO_DAY
    return "an empty pattern"


def _says_the_day(pattern: str) -> bool:
    """Return whether a text of this pattern is read as the day for which it was written."""
    text = _DIRECTIVE.sub(lambda found: _SOME_DAY.strftime(found[0]), pattern)
    moment = _strptime(text, pattern)
    return moment is not None and moment.date() == _SOME_DAY.date()
