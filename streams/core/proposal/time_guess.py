"""Which ``timestamp_format`` reads the times of a sample."""

import re
from collections.abc import Sequence
from datetime import datetime
from itertools import product
from typing import Any, NamedTuple

from streams.core.time_formats import TimeFormats
from streams.core.times import YEAR_2000_MS, to_ms

_TRIED = 200
_DATES = {
    "%Y-%m-%d": r"\d{4}-\d\d?-\d\d?",
    "%d.%m.%Y": r"\d\d?\.\d\d?\.\d{4}",
    "%d/%m/%Y": r"\d\d?/\d\d?/\d{4}",
    "%m/%d/%Y": r"\d\d?/\d\d?/\d{4}",
    "%Y/%m/%d": r"\d{4}/\d\d?/\d\d?",
    "%d-%m-%Y": r"\d\d?-\d\d?-\d{4}",
    "%Y%m%d": r"\d{8}",
    "%d %b %Y": r"\d\d? [A-Za-z]{3} \d{4}",
    "%b %d, %Y": r"[A-Za-z]{3} \d\d?, \d{4}",
    "%d-%b-%Y": r"\d\d?-[A-Za-z]{3}-\d{4}",
    "%d/%b/%Y": r"\d\d?/[A-Za-z]{3}/\d{4}",
    "%d.%m.%y": r"\d\d?\.\d\d?\.\d\d",
}
_JOINTS = (" ", "T", ", ", ":", "")
_CLOCKS = {
    "%H:%M:%S": r"\d\d?:\d\d:\d\d",
    "%H:%M:%S.%f": r"\d\d?:\d\d:\d\d\.\d{1,6}",
    "%H:%M": r"\d\d?:\d\d",
    "%I:%M:%S %p": r"\d\d?:\d\d:\d\d [AaPp][Mm]",
    "%I:%M %p": r"\d\d?:\d\d [AaPp][Mm]",
    "%H%M%S": r"\d{6}",
}
_ZONES = {
    "": "",
    "%z": r"(?:Z|[+-]\d\d:?\d\d)",
    " %z": r" [+-]\d\d:?\d\d",
    " UTC": " UTC",
    " GMT": " GMT",
}
_PATTERNS = {
    f"{date}{joint}{clock}{zone}": re.compile(f"{date_re}{joint}{clock_re}{zone_re}", re.ASCII)
    for (date, date_re), joint, (clock, clock_re), (zone, zone_re) in product(
        _DATES.items(), _JOINTS, _CLOCKS.items(), _ZONES.items()
    )
    if joint or (date == "%Y%m%d" and clock == "%H%M%S")
} | {date: re.compile(looks, re.ASCII) for date, looks in _DATES.items()}
_NAMED_ZONE = re.compile(r"(?:UTC|GMT)$")
_AMBIGUOUS = (("%d/%m/%Y", "%m/%d/%Y"),)


class TimeGuess(NamedTuple):
    """How times are written."""

    formats: tuple[str, ...]
    """For ``timestamp_format``; none: RFC 3339 or ms since the epoch."""
    has_no_zone: bool = False
    """They are local times, and nothing in them says where."""
    or_else: str | None = None
    """Another format that reads all of them, as another day."""
    example: str | None = None
    """A time without a zone, where others have one."""

    @property
    def is_day_only(self) -> bool:
        """Whether they say no time of day."""
        return any(pattern in _DATES for pattern in self.formats)


def guess_times(values: Sequence[Any]) -> TimeGuess | None:
    """Return how nearly all of these values are times; None where they are none."""
    sample = list(values[:_TRIED])
    if not sample or any(type(value) not in {str, int, float} for value in sample):
        return None
    if _share(sample, _is_read_as_it_is) >= 0.95:
        return TimeGuess(())
    for unit in ("s", "ms", "us", "ns"):
        reader = TimeFormats((unit,))
        if _share(sample, lambda value, reader=reader: _reads(reader, value)) >= 0.95:
            return TimeGuess((unit,))
    texts = [value for value in sample if type(value) is str]
    if len(texts) < 0.95 * len(sample):
        return None
    fitting = [
        pattern
        for pattern in dict.fromkeys(p for text in texts[:20] for p in _patterns_for(text))
        if sum(_fits(text, pattern) for text in texts) >= 0.95 * len(texts)
    ]
    if not fitting:
        return _two_formats(texts)
    best = fitting[0]
    other = next(
        (
            rival
            for one, another in _AMBIGUOUS
            if one in best and (rival := best.replace(one, another)) in fitting
        ),
        None,
    )
    return TimeGuess((best,), _has_no_zone(best), other)


def _two_formats(texts: Sequence[str]) -> TimeGuess | None:
    """Return two formats that share these values, as with and without fractions of a second."""
    counts: dict[str, int] = {}
    for pattern in dict.fromkeys(p for text in texts[:50] for p in _patterns_for(text)):
        counts[pattern] = sum(_fits(text, pattern) for text in texts)
    if not counts:
        return None
    first = max(counts, key=counts.__getitem__)
    rest = [text for text in texts if not _fits(text, first)]
    second = max(counts, key=lambda pattern: sum(_fits(text, pattern) for text in rest))
    if sum(_fits(text, second) for text in rest) + counts[first] < 0.95 * len(texts):
        return None
    if _has_no_zone(first) == _has_no_zone(second):
        return TimeGuess((first, second), _has_no_zone(first))
    # The zone of the one must not be that of the other, whose name is no more than letters there.
    named = tuple(_NAMED_ZONE.sub("%Z", pattern) for pattern in (first, second))
    local = first if _has_no_zone(first) else second
    return TimeGuess(named, True, example=next(text for text in texts if _fits(text, local)))


def _has_no_zone(pattern: str) -> bool:
    return not pattern.endswith(("%z", "UTC", "GMT"))


def _share(values: Sequence[Any], accepts: Any) -> float:
    return sum(1 for value in values if accepts(value)) / max(1, len(values))


def _is_read_as_it_is(value: Any) -> bool:
    if type(value) is float or (type(value) is str and value.isdigit()):
        return False
    try:
        ms = to_ms(value)
    except ValueError:
        return False
    return YEAR_2000_MS <= ms < 4_133_980_800_000


def _reads(reader: TimeFormats, value: Any) -> bool:
    try:
        reader.read(value)
    except ValueError:
        return False
    return True


def _patterns_for(text: str) -> tuple[str, ...]:
    if not 8 <= len(text) <= 40 or not text[-1:].isalnum() or sum(map(str.isdigit, text)) < 6:
        return ()
    return tuple(
        pattern
        for pattern, looks in _PATTERNS.items()
        if looks.fullmatch(text) and _fits(text, pattern)
    )


def _fits(text: str, pattern: str) -> bool:
    try:
        datetime.strptime(text, pattern)  # noqa: DTZ007 - only whether it fits
    except ValueError:
        return False
    return True
