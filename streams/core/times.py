"""Times as integers: milliseconds since the epoch in, RFC 3339 text out, and back.

Nothing here reads a clock.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR_MS = 3_600_000
YEAR_2000_MS = 946_684_800_000
"""2000-01-01T00:00:00Z: nothing of a shop's traffic is older."""
YEAR_2101_MS = 4_133_980_800_000
"""2101-01-01T00:00:00Z: an integer that is not before it counts another unit than milliseconds."""
MAX_MS = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z: the last moment that RFC 3339 can write."""
CLOCK_TOLERANCE_MS = 5 * 60 * 1000
"""How far one clock may be ahead of another before it passes for wrong."""

_MILLISECOND = timedelta(milliseconds=1)
_SECOND = r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d"
_RFC_3339_SECOND = re.compile(_SECOND, re.ASCII)
_RFC_3339 = re.compile(_SECOND + r"(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)
_USUAL_CHARS = len("2026-11-20T09:15:27.042Z")
_ENDS = tuple(f".{ms:03d}Z" for ms in range(1000))
_FRACTIONS = {end: ms for ms, end in enumerate(_ENDS)}
_MAX_CHARS = 100
"""No time is longer; what is longer is not looked at."""


# A stream's events share their seconds, so the two conversions are remembered by second.
@lru_cache(maxsize=8192)
def _second_text(seconds: int) -> str:
    return (EPOCH + timedelta(seconds=seconds)).isoformat()[:19]


@lru_cache(maxsize=8192)
def _second_ms(text: str) -> int:
    if _RFC_3339_SECOND.fullmatch(text) is None:
        raise ValueError(_NO_TIME)
    return _from_rfc_3339(f"{text}Z")


_NO_TIME = "neither RFC 3339 with an offset nor an integer of milliseconds"
_NO_SUCH_TIME = "no such date or time of day"


def arrived_ms(kafka_ms: int, now_ms: int) -> int:
    """Return the Kafka time of a record that is read now; now, where that lies in the future.

    A producer's clock that is wrong must not make a record count until some day to come.
    """
    return kafka_ms if kafka_ms <= now_ms + CLOCK_TOLERANCE_MS else now_ms


def utc_text(ms: int) -> str:
    """Return the moment as RFC 3339 in UTC with three digits of milliseconds and ``Z``.

    Raises OverflowError outside the years 1 to 9999.
    """
    seconds, rest = divmod(ms, 1000)
    return _second_text(seconds) + _ENDS[rest]


def to_ms(value: str | int) -> int:
    """Return RFC 3339 text with an offset, or an integer of ms, as ms since the epoch.

    Fractions are cut to the millisecond. Raises ValueError where the text is none.
    """
    if type(value) is not str:
        if type(value) is int:
            return value
        raise ValueError(_NO_TIME)
    if len(value) == _USUAL_CHARS:
        milliseconds = _FRACTIONS.get(value[19:])
        if milliseconds is not None:
            return _second_ms(value[:19]) + milliseconds
    if len(value) > _MAX_CHARS or _RFC_3339.fullmatch(value) is None:
        raise ValueError(_NO_TIME)
    return _from_rfc_3339(value)


def _from_rfc_3339(text: str) -> int:
    # A leap second, which RFC 3339 allows and datetime does not know, is the second after :59.
    if text[17:19] == "60":
        return _from_rfc_3339(f"{text[:17]}59{text[19:]}") + 1000
    if text[11:13] == "24":  # since Python 3.14 datetime takes 24:00 for 0:00 of the next day
        raise ValueError(_NO_SUCH_TIME)
    try:
        return datetime_to_ms(datetime.fromisoformat(text.upper()))
    except (ValueError, OverflowError):
        raise ValueError(_NO_SUCH_TIME) from None


def datetime_to_ms(moment: datetime) -> int:
    """Return an aware datetime as ms since the epoch, cut to the millisecond."""
    return (moment - EPOCH) // _MILLISECOND
