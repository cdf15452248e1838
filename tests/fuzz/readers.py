"""All that reads a stranger's record and says what becomes of it, and the CPU it takes."""

from collections import Counter
from collections.abc import Callable
from time import thread_time

from streams.core.dead_letter import build_dead_letter
from streams.core.enrich import Enricher
from streams.core.errors import InvalidEvent
from streams.core.events import EventParser
from streams.core.fields import FieldMap
from streams.core.records import Origin
from streams.core.rows import InvalidRow
from streams.core.topics import Topics
from streams.operations.produce import parse_line
from streams.stages.enrich.joined_rows import admit_product, admit_user
from streams.vendors import VENDORS, plan_for
from tests.contract.test_vendors import examples

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
_ITEMS = FieldMap(
    {
        "product_id": "items[0].item_id || product_id",
        "price": "max(items[*].amount)",
        "sku": "to_string(items[-1])",
        "region": "items[?amount > `1`] | [0].item_id",
        "ip": "who.ip || items[0].ip",
        "consent": "consent",
    }
)
"""Looks at some fields of the record, and never at all of it."""
_SECONDS = FieldMap({"product_id": "to_string(product_id)"}, "s")
_LETTER = Origin("shop.clicks", 0, 1, KAFKA_MS)
_ENRICHER = Enricher(
    [plan_for(vendor, examples(key).SETTINGS) for key, vendor in VENDORS.items()], "assumed"
)


def _outcome(parser: EventParser, fields: FieldMap | None = None) -> Callable[[bytes], str]:
    """Return what reads a record up to its vendor records, or to its dead letter."""

    def read(value: bytes) -> str:
        try:
            event = parser.parse(b"v", value, 0, 1, KAFKA_MS)
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
        _ENRICHER.decide(event, None, None, None, KAFKA_MS, KAFKA_MS)
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


def _row(admit: Callable[[bytes], bytes]) -> Callable[[bytes], str]:
    def read(value: bytes) -> str:
        try:
            admit(value)
        except InvalidRow:
            return "malformed"
        return "row"

    return read


def _parser(kind: str, fields: FieldMap | None) -> EventParser:
    topic = "shop.clicks" if kind == "click" else "shop.add-to-carts"
    return EventParser(kind, topic, fields, vendors=VENDORS)


READERS: dict[str, Callable[[bytes], str]] = {
    "click": _outcome(_parser("click", None)),
    "add_to_cart": _outcome(_parser("add_to_cart", None)),
    "click, in seconds": _outcome(_parser("click", _SECONDS), _SECONDS),
    "click, items mapped": _outcome(_parser("click", _ITEMS), _ITEMS),
    "add_to_cart, mapped": _outcome(_parser("add_to_cart", _GA4), _GA4),
    "add_to_cart, mapped, inspected": _inspect(_parser("add_to_cart", _GA4)),
    "user row": _row(admit_user(Counter(), keep_email=False)),
    "product row": _row(admit_product(Counter())),
    "line": _line,
    "envelope": lambda value: _line(b'{"topic":"clicks","value":' + value + b"}"),
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
