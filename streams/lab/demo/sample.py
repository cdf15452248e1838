"""The sample that the demo and tests run on: real sessions, moved to now, with a made-up shop."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from itertools import pairwise
from typing import Any, NamedTuple

from streams.lab.demo.catalogue import is_listed, price_of, product_row, sku_of
from streams.lab.demo.visitors import Visitor, made_id, visitor_of

SPAN_MS = 5 * 60 * 1000
"""From the first event to the last."""
_LONGEST_GAP_MS = 2000
_KINDS = {"clicks": "clicks", "carts": "add-to-carts", "orders": "orders"}


class SampleEvent(NamedTuple):
    """One raw event and the topic kind it belongs to."""

    kind: str
    key: str
    event: dict[str, Any]


class SampleRow(NamedTuple):
    """One row of ``shop.users`` or ``shop.products``."""

    key: str
    row: dict[str, Any]


class BrokenRecord(NamedTuple):
    """A record that becomes a dead letter."""

    kind: str
    key: bytes | None
    value: bytes | None
    reason: str
    """The dead letter's."""


@dataclass(frozen=True, slots=True)
class SampleSessions:
    """Everything that the demo writes, in the order in which to write it."""

    events: list[SampleEvent]
    users: list[SampleRow]
    products: list[SampleRow]
    broken: list[BrokenRecord]


class _Seen(NamedTuple):
    """An event of the data set, sortable by time."""

    ts: int
    place: int
    """Of its session in the file."""
    position: int
    """Within the session."""
    session: int
    aid: int
    kind: str
    bought: tuple[int, ...] = ()
    """The products of an order; ``aid`` is the first of them."""


def load_sample(now_ms: int) -> SampleSessions:
    """The sample as it would look if the last event happened at ``now_ms``.

    The same ``now_ms`` gives the same sample. Events come in the order of their times; a gap of
    more than two seconds becomes two, then all are shrunk alike to fit ``SPAN_MS``.
    """
    text = resources.files("streams.lab.demo").joinpath("otto-20-sessions.jsonl").read_text("utf-8")
    sessions = [json.loads(line) for line in text.splitlines()]
    seen = sorted(one for place, session in enumerate(sessions) for one in _seen(place, session))
    visitors = [visitor_of(place) for place in range(len(sessions))]
    times = _moved([one.ts for one in seen], now_ms)
    keys = [_visitor_id(session["session"]) for session in sessions]
    updated = _utc(now_ms - SPAN_MS)
    return SampleSessions(
        events=[
            SampleEvent(one.kind, keys[one.place], _event(one, visitors[one.place], ms))
            for one, ms in zip(seen, times, strict=True)
        ],
        users=[
            SampleRow(key, visitor.row | {"updated_at": updated})
            for key, visitor in zip(keys, visitors, strict=True)
            if visitor.row is not None
        ],
        products=[
            SampleRow(str(aid), product_row(aid))
            for aid in sorted({aid for one in seen for aid in (one.aid, *one.bought)})
            if is_listed(aid)
        ],
        broken=_broken(keys[0], keys[1], _utc(now_ms)),
    )


def _seen(place: int, session: dict[str, Any]) -> Iterator[_Seen]:
    """Yield a session's events; products that were ordered at one time are one order."""
    orders: dict[int, tuple[int, ...]] = {}
    for one in session["events"]:
        if one["type"] == "orders":
            orders[one["ts"]] = (*orders.get(one["ts"], ()), one["aid"])
    for index, one in enumerate(session["events"]):
        bought: tuple[int, ...] = ()
        if one["type"] == "orders":
            bought = orders.pop(one["ts"], ())
            if not bought:
                continue
        kind = _KINDS[one["type"]]
        yield _Seen(one["ts"], place, index, session["session"], one["aid"], kind, bought)


def _moved(times: list[int], now_ms: int) -> list[int]:
    """Ascending times with their long gaps cut, spread over the span that ends now."""
    offsets = [0]
    for earlier, later in pairwise(times):
        offsets.append(offsets[-1] + min(later - earlier, _LONGEST_GAP_MS))
    total = offsets[-1]
    return [now_ms - (total - offset) * SPAN_MS // total for offset in offsets]


def _event(one: _Seen, visitor: Visitor, ms: int) -> dict[str, Any]:
    if one.bought:
        return _order(one, visitor, ms)
    url = f"https://shop.example/p/{one.aid}"
    event: dict[str, Any] = {
        "event_id": f"otto-{one.session}-{one.position}",
        "timestamp": _utc(ms),
        "anonymous_id": _visitor_id(one.session),
        "product_id": str(one.aid),
        "page": {"url": url, "referrer": "https://shop.example/"},
        **visitor.on_events,
    }
    if is_listed(one.aid):
        event["page"]["title"] = product_row(one.aid)["name"]
    elif one.aid % 2:  # the page knew the variant although the catalogue does not
        event["sku"] = sku_of(one.aid)
    if one.kind == "add-to-carts":
        event |= {"quantity": 1 + one.aid % 2, "price": price_of(one.aid), "currency": "EUR"}
    if one.aid % 4 == 0:
        event["content"] = {"type": "customSet", "id": f"set-{one.aid % 7}"}
    if one.aid % 10 == 1:
        event["miso_id"] = made_id("answer", one.session, one.aid)
    if one.place % 5 == 1:
        event["campaign"] = {"name": "summer", "source": "newsletter", "medium": "email"}
    return event


def _order(one: _Seen, visitor: Visitor, ms: int) -> dict[str, Any]:
    lines = [
        {
            "product_id": str(aid),
            "sku": sku_of(aid),
            "quantity": 1 + aid % 2,
            "price": price_of(aid),
            "currency": "EUR",
        }
        for aid in one.bought
    ]
    total = sum(price_of(aid) * (1 + aid % 2) for aid in one.bought)
    return {
        "event_id": f"otto-{one.session}-{one.position}",
        "timestamp": _utc(ms),
        "anonymous_id": _visitor_id(one.session),
        "order_id": f"order-{one.session}-{one.position}",
        "lines": lines,
        "revenue": round(total, 2),
        **visitor.on_events,
    }


def _broken(key: str, other: str, now: str) -> list[BrokenRecord]:
    """A handful of what arrives in real life, told apart by reason."""

    def record(kind: str, reason: str, **event: object) -> BrokenRecord:
        whole = {"timestamp": now, "anonymous_id": key, "product_id": "1517085"} | event
        whole = {name: value for name, value in whole.items() if value is not None}
        return BrokenRecord(kind, key.encode(), json.dumps(whole).encode(), reason)

    return [
        BrokenRecord("clicks", key.encode(), b'{"event_id": "broken-1", "timest', "invalid_json"),
        BrokenRecord("clicks", key.encode(), b'{"event_id": "broken-2\xff"}', "invalid_json"),
        BrokenRecord("clicks", key.encode(), b"\0" * 1000, "invalid_json"),
        BrokenRecord("add-to-carts", key.encode(), None, "empty"),
        record("clicks", "key_mismatch", event_id="broken-3", anonymous_id=other),
        record("clicks", "invalid_field", event_id="broken-4", product_id=None),
        record("clicks", "invalid_field", event_id="broken-5", timestamp="yesterday"),
        record("clicks", "invalid_field", event_id="broken-6", timestamp=86_400),
        record("add-to-carts", "invalid_field", event_id="broken-7", quantity=0),
        record("clicks", "too_large", event_id="broken-8", note="x" * 300_000),
    ]


def _visitor_id(session: int) -> str:
    return f"visitor-{session}"


def _utc(ms: int) -> str:
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
