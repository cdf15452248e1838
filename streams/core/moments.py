"""Moments as people write them: ``2h ago``, a date with or without a zone.

Pure: the present moment and the zone in which people read clocks are handed in.
"""

import re
from datetime import date, datetime, time, timedelta, tzinfo

from streams.core.times import EPOCH, MAX_MS, YEAR_2000_MS, datetime_to_ms, to_ms

FORMS = (
    "give a time such as 2026-11-20 14:00, 2026-11-20T13:00:00Z, 2h ago, 1h30m ago, now, "
    "or ms since the epoch"
)

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("h", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "day", "days"), "d"),
    **dict.fromkeys(("w", "week", "weeks"), "w"),
}
_SPAN = re.compile(r"(\d{1,6})\s?([a-z]+)\s*", re.ASCII)
_CLOCK = r"(\d{1,2}):(\d\d)(?::(\d\d)(?:\.(\d{1,3}))?)?"
_ISO = re.compile(
    rf"(\d{{4}})-(\d\d)-(\d\d)(?:[t ]{_CLOCK}\d* ?(z|[+-]\d\d(?::?\d\d)?)?)?", re.ASCII
)


def read_moment(text: str, now_ms: int, zone: tzinfo) -> int:
    """Return what a person means by ``text``, as ms since the epoch.

    A day without a time of day is its first moment; without an offset it is read in ``zone``.
    Raises ValueError with one clause for what is no time, or what the clocks of the zone showed
    twice or never.
    """
    words = " ".join(text.lower().split())
    if words == "now":
        return now_ms
    if words.isascii() and words.isdigit():
        return _from_digits(words)
    if words.endswith(" ago"):
        return _ago(words.removesuffix(" ago"), now_ms)
    found = _ISO.fullmatch(words)
    if found is None:
        raise ValueError(f'"{text}" is not a time; {FORMS}')
    day, offset = found.group(1, 2, 3), found[8]
    if offset is not None:
        return _with_offset(words, offset)
    return _local(_date(*map(int, day)), _time(found.group(4, 5, 6, 7)), zone)


def shown_moment(ms: int, zone: tzinfo) -> str:
    """Return a moment as a clock of the zone shows it, with its offset and the zone's name.

    Milliseconds are left out where there are none: ``2026-11-20 14:00:00 +01:00 (CET)``.
    """
    moment = (EPOCH + timedelta(milliseconds=ms)).astimezone(zone)
    digits = "milliseconds" if ms % 1000 else "seconds"
    clock = moment.replace(tzinfo=None).isoformat(" ", digits)
    offset = moment.isoformat()[len(moment.replace(tzinfo=None).isoformat()) :]
    name = moment.tzname()
    return f"{clock} {offset} ({name})" if name and name[0].isalpha() else f"{clock} {offset}"


def shown_span(seconds: float) -> str:
    """Return a length of time in at most two units: ``3 h 20 min``, ``45 s``, ``under 1 s``."""
    if seconds < 1:
        return "under 1 s" if seconds > 0 else "0 s"
    whole = round(seconds)
    parts: list[tuple[int, str]] = []
    for unit, name in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, whole = divmod(whole, unit)
        if count or parts:
            parts.append((count, name))
        if len(parts) == 2:
            break
    return " ".join(f"{count} {name}" for count, name in parts if count)


def _from_digits(digits: str) -> int:
    ms = int(digits[:20])
    if ms and not YEAR_2000_MS <= ms <= MAX_MS:
        raise ValueError(f"{digits[:20]} is not a plausible time in ms since the epoch; {FORMS}")
    return ms


def _ago(span: str, now_ms: int) -> int:
    seconds, end = 0, 0
    for part in _SPAN.finditer(span):
        unit = _UNITS.get(part[2])
        if part.start() != end or unit is None:
            break
        seconds += int(part[1]) * _SECONDS[unit]
        end = part.end()
    if end != len(span) or not span:
        raise ValueError(f'"{span} ago" is not a time; {FORMS}')
    if seconds * 1000 > now_ms:
        raise ValueError(f'"{span} ago" lies before 1970')
    return now_ms - seconds * 1000


def _with_offset(words: str, offset: str) -> int:
    body = words[: -len(offset)].strip().replace(" ", "T").upper()
    whole = re.sub(r"T(\d):", r"T0\1:", body)
    if whole.count(":") == 1:
        whole += ":00"
    if offset != "z":
        digits = offset[1:].replace(":", "").ljust(4, "0")
        offset = f"{offset[0]}{digits[:2]}:{digits[2:]}"
    try:
        return to_ms(whole + offset.upper())
    except ValueError:
        raise ValueError(f'"{words}": there is no such date or time of day') from None


def _date(year: int, month: int, day: int) -> date:
    try:
        return date(year, month, day)
    except ValueError:
        raise ValueError(f"there is no day {year:04}-{month:02}-{day:02}") from None


def _time(parts: tuple[str | None, ...]) -> time:
    hour, minute, second = (int(part or 0) for part in parts[:3])
    microsecond = int((parts[3] or "0").ljust(3, "0")) * 1000
    try:
        return time(hour, minute, second, microsecond)
    except ValueError:
        raise ValueError(f"there is no time of day {hour}:{minute:02}:{second:02}") from None


def _local(day: date, clock: time, zone: tzinfo) -> int:
    moment = datetime.combine(day, clock, zone)
    first, second = moment.utcoffset(), moment.replace(fold=1).utcoffset()
    if first is None or second is None:
        raise ValueError("the zone has no offset")
    if first != second:
        often = "never" if first < second else "twice"
        raise ValueError(
            f"{day} {clock:%H:%M:%S} was shown {often}, when the clocks changed; give an offset, "
            f"such as {moment.isoformat(' ', 'seconds')}"
        )
    return datetime_to_ms(moment)
