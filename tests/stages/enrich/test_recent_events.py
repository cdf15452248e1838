"""What was passed on lately, read back from the vendors' topics: what is read, and what counts."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest
from faust.types import TP

from streams.core.duplicates import identity
from streams.core.topics import Topics
from streams.engine.positions import StartPosition
from streams.stages.enrich import recent_events
from streams.stages.enrich.recent_events import RecentEvents

NOW_MS = 1_795_168_800_000
MINUTE = 60_000
CLICKS, CARTS = TP("shop.clicks", 0), TP("shop.add-to-carts", 0)
EVENTS = ("vendor.miso.events", 0)


class Record(NamedTuple):
    """A record of a vendor's topic, or of a raw one."""

    offset: int
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]
    timestamp: int = NOW_MS


class Broker:
    """The vendor's topic, and what is read of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.records: list[Record] = []
        self.last_raw_ms = NOW_MS
        self.asked_since: dict[tuple[str, int], int] = {}
        self.starts: list[dict[tuple[str, int], int]] = []
        monkeypatch.setattr(recent_events, "connect_ranges", self._reader)

    @asynccontextmanager
    async def _reader(self, _options: Any) -> AsyncIterator[Any]:
        yield self

    async def first_times(self, offsets: Mapping[TP, int]) -> dict[TP, int]:
        """Answer with the same time for all."""
        return dict.fromkeys(offsets, self.last_raw_ms)

    async def at(self, times: Mapping[TP, int]) -> dict[TP, int | None]:
        """Answer with the first record that is young enough."""
        self.asked_since = {tuple(tp): ms for tp, ms in times.items()}
        found: dict[TP, int | None] = {}
        for tp, ms in times.items():
            young = [record.offset for record in self.records if record.timestamp >= ms]
            found[tp] = young[0] if young else None
        return found

    async def ends(self, tps: Iterable[TP]) -> dict[TP, int]:
        """Answer with the log's end."""
        return dict.fromkeys(tps, len(self.records))

    async def read(
        self, starts: Mapping[TP, int], _ends: object, _tell: object
    ) -> AsyncIterator[tuple[TP, list[Record]]]:
        """Yield all records from there on."""
        self.starts.append({tuple(tp): start for tp, start in starts.items()})
        for tp, start in starts.items():
            yield tp, self.records[start:]

    def passed_on(
        self, event_id: str, source: str = "shop.clicks/0/1", ms: int = NOW_MS, **other: Any
    ) -> None:
        """Append a vendor record of Anna's."""
        headers = [("source", source.encode()), ("source-time", str(ms).encode())]
        value = json.dumps({"event_id": event_id, "payload": {}}).encode()
        record = Record(len(self.records), b"anna", value, headers, ms)
        self.records.append(record._replace(**other))


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    """A vendor's topic in memory."""
    return Broker(monkeypatch)


def made() -> RecentEvents:
    """What is remembered of Miso for ten minutes."""
    derived = {"shop.clicks": "shop.clicks", "shop.add-to-carts": "shop.add-to-carts"}
    return RecentEvents(Topics(), ["miso"], 10 * MINUTE, derived, Counter())


async def start(remembered: RecentEvents, **offsets: int) -> None:
    """Begin at these offsets of partition 0."""
    positions = {
        tp: StartPosition(offsets[name], offsets[name], "", 1000)
        for name, tp in (("clicks", CLICKS), ("carts", CARTS))
        if name in offsets
    }
    await remembered.start(positions, {}, NOW_MS)


def knows(remembered: RecentEvents, event_id: str, tp: TP = CLICKS, offset: int = 99) -> bool:
    """Whether this event of Anna's is one that was passed on from another offset."""
    passed_on = remembered._passed_on.get(tp)
    if passed_on is None:
        return False
    who = identity(b"anna", event_id)
    return bool(passed_on.vendors_of(who, offset, NOW_MS, None))


async def test_what_lies_on_the_vendors_topic_was_passed_on(broker: Broker) -> None:
    """By its headers: from which raw topic, offset and time."""
    broker.passed_on("e1", "shop.clicks/0/7")
    broker.passed_on("e2", "shop.add-to-carts/0/7")
    remembered = made()
    await start(remembered, clicks=8, carts=8)
    assert knows(remembered, "e1")
    assert not knows(remembered, "e1", offset=7)
    assert not knows(remembered, "e1", CARTS)
    assert knows(remembered, "e2", CARTS)


async def test_only_the_window_before_the_last_record_is_read(broker: Broker) -> None:
    """After an outage of hours, too; a minute more, since clocks differ."""
    broker.last_raw_ms = NOW_MS - 120 * MINUTE
    broker.passed_on("too-old", ms=NOW_MS - 132 * MINUTE)
    broker.passed_on("of-the-minute-more", ms=NOW_MS - 130 * MINUTE - 30_000)
    broker.passed_on("old-enough", ms=NOW_MS - 129 * MINUTE)
    remembered = made()
    await start(remembered, clicks=8)
    assert broker.asked_since == {EVENTS: NOW_MS - 131 * MINUTE}
    assert broker.starts == [{EVENTS: 1}]
    assert len(remembered._passed_on[CLICKS]) == 1


async def test_what_is_read_is_bounded(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest records count."""
    monkeypatch.setattr(recent_events, "MAX_RECALLED", 10)
    for number in range(100):
        broker.passed_on(f"e{number}", f"shop.clicks/0/{number}")
    remembered = made()
    await start(remembered, clicks=1000)
    assert broker.starts == [{EVENTS: 90}]
    assert not knows(remembered, "e89", offset=-1)
    assert knows(remembered, "e90", offset=-1)


async def test_what_enrichment_did_not_write_and_derived_ids_are_passed_over(
    broker: Broker,
) -> None:
    """Nothing of it ends the worker."""
    broker.passed_on("no-headers", headers=[])
    broker.passed_on("no-key", key=None)
    broker.passed_on("no-value", value=None)
    broker.passed_on("no-json", value=b"{")
    broker.passed_on("no-time", headers=[("source", b"shop.clicks/0/1"), ("source-time", b"x")])
    broker.passed_on("no-source", "nonsense")
    broker.passed_on("other-partition", "shop.clicks/5/1")
    broker.passed_on("shop.clicks-0-1", "shop.clicks/0/1")
    broker.passed_on("good", "shop.clicks/0/2")
    remembered = made()
    await start(remembered, clicks=8)
    assert len(remembered._passed_on[CLICKS]) == 1
    assert knows(remembered, "good")


async def test_what_an_order_is_told_by_is_recalled(broker: Broker) -> None:
    """Also of one without an event id of its own."""
    headers = [
        ("source", b"shop.clicks/0/1"),
        ("source-time", str(NOW_MS).encode()),
        ("own-key", b"\0order\0A-1"),
    ]
    broker.passed_on("shop.clicks-0-1", headers=headers)
    remembered = made()
    await start(remembered, clicks=8)
    assert knows(remembered, "\0order\0A-1")
    assert not knows(remembered, "shop.clicks-0-1")


async def test_a_partition_that_stays_is_not_read_again(broker: Broker) -> None:
    """A rebalance that gives it back, with a commit at or below what was read here."""
    remembered = made()
    await start(remembered, clicks=0)
    assert broker.starts == []
    passed_on = remembered.of(CLICKS, [Record(499, b"anna", b"", [])], NOW_MS)  # type: ignore[list-item]
    assert passed_on is not None
    passed_on.add(identity(b"anna", "e1"), 499, NOW_MS, 1)
    await start(remembered, clicks=500)
    assert broker.starts == []
    assert knows(remembered, "e1")


async def test_a_partition_that_another_worker_had_is_read(broker: Broker) -> None:
    """Its commit lies beyond what was read here; a partition that is gone is forgotten."""
    remembered = made()
    await start(remembered, clicks=0, carts=0)
    for tp in (CLICKS, CARTS):
        remembered.of(tp, [Record(499, b"anna", b"", [])], NOW_MS)  # type: ignore[list-item]
    broker.passed_on("e9", "shop.clicks/0/600")
    await start(remembered, clicks=700)
    assert broker.starts == [{EVENTS: 0}]
    assert knows(remembered, "e9")
    assert CARTS not in remembered._passed_on


async def test_with_0_minutes_nothing_is_read(broker: Broker) -> None:
    """Nor remembered."""
    remembered = RecentEvents(Topics(), ["miso"], 0, {}, Counter())
    await start(remembered, clicks=700)
    assert broker.starts == []
    assert remembered.of(CLICKS, [Record(700, b"anna", b"", [])], NOW_MS) is None  # type: ignore[list-item]
