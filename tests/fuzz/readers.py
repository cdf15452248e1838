"""All that reads a stranger's record before anybody has judged it, and the CPU it takes."""

from collections.abc import Callable
from time import thread_time

from streams.core.dead_letter import build_dead_letter
from streams.core.errors import InvalidEvent
from streams.core.events import EventParser
from streams.core.fields import FieldMap
from streams.core.records import Origin
from streams.core.topics import Topics
from streams.operations.produce import parse_line
from streams.vendors import VENDORS

KAFKA_MS = 1_795_168_800_000
MAX_CPU_SECONDS = 0.020
"""Of one record in one reader (a stage that takes longer stalls a hundred others)."""

_GA4 = FieldMap(
    {
        "anonymous_id": "who.id || anonymous_id",
        "user_id": "to_string(user_id)",
        "product_id": "product_id || items[0].item_id",
        "sku": "join('-', items[*].item_id)",
        "price": "to_number(items[0].price)",
        "quantity": "sum(items[*].amount) || quantity",
        "event_id": "event_id || max_by(items, &amount).item_id",
        "locale": "to_string(@)",
        "region": "sort_by(items, &item_id)[-1].item_id",
        "timestamp": "at || timestamp",
        "consent": "consent || {miso: contains(who.groups, 'C0004')}",
        "page.url": "not_null(page.url, items[].url | [0])",
    },
    ["us", "s", "%Y-%m-%d %H:%M:%S %Z", "%Y-%m-%dT%H:%M:%S.%f%z"],
    "Europe/Berlin",
)
_SECONDS = FieldMap({"product_id": "to_string(product_id)"}, "s")
_LETTER = Origin("shop.clicks", 0, 1, KAFKA_MS)


def _letter_of(parser: EventParser, fields: FieldMap | None) -> Callable[[bytes], str]:
    def read(value: bytes) -> str:
        try:
            parser.parse(b"v", value, 0, 1, KAFKA_MS)
        except InvalidEvent as error:
            build_dead_letter(
                stage="enrich",
                reason=error.reason,
                detail=error.detail,
                field=error.field,
                source=_LETTER,
                record=value,
                at="2026-11-20T10:00:00.000Z",
                fields=fields,
            )
            return str(error.reason)
        return "event"

    return read


def _parse(parser: EventParser) -> Callable[[bytes], str]:
    def read(value: bytes) -> str:
        try:
            parser.parse(b"v", value, 0, 1, KAFKA_MS)
        except InvalidEvent as error:
            return str(error.reason)
        return "event"

    return read


def _inspect(parser: EventParser) -> Callable[[bytes], str]:
    def read(value: bytes) -> str:
        parser.inspect(value)
        return "inspected"

    return read


def _line(value: bytes) -> str:
    try:
        parse_line(value, Topics())
    except ValueError:
        return "unreadable"
    return "line"


def _parser(kind: str, fields: FieldMap | None) -> EventParser:
    topic = "shop.clicks" if kind == "click" else "shop.add-to-carts"
    return EventParser(kind, topic, fields, vendors=VENDORS)  # type: ignore[arg-type]


READERS: dict[str, Callable[[bytes], str]] = {
    "click": _parse(_parser("click", None)),
    "add_to_cart": _parse(_parser("add_to_cart", None)),
    "click, in seconds": _parse(_parser("click", _SECONDS)),
    "add_to_cart, mapped": _parse(_parser("add_to_cart", _GA4)),
    "add_to_cart, mapped, inspected": _inspect(_parser("add_to_cart", _GA4)),
    "line": _line,
    "envelope": lambda value: _line(b'{"topic":"clicks","value":' + value + b"}"),
}
LETTERS: dict[str, Callable[[bytes], str]] = {
    "dead letter": _letter_of(_parser("click", None), None),
    "dead letter, mapped": _letter_of(_parser("add_to_cart", _GA4), _GA4),
}


def read_in(read: Callable[[bytes], str], value: bytes) -> tuple[str, float]:
    """Return what became of the record, and the CPU seconds; anything raised escapes.

    What takes long is read again: a stall stalls each time, a busy machine does not.
    """
    began = thread_time()
    became = read(value)
    seconds = thread_time() - began
    for _ in range(4):
        if seconds <= MAX_CPU_SECONDS:
            break
        began = thread_time()
        read(value)
        seconds = min(seconds, thread_time() - began)
    return became, seconds
