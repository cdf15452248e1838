"""Offsets that are missing from a log while it is read: deleted by retention, or never records."""

from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from streams.engine.consumer import Consumer
from streams.engine.offset_tracker import OffsetTracker
from streams.engine.thread import Committed, Fetched, FetchState
from tests.engine.consumer_in_memory import OurConsumer, consumer_in_memory

CLICKS = TP("shop.clicks", 0)


class Reader:
    """As much of a consumer as takes fetched records of one partition, read up to offset 10."""

    def __init__(self, log_start: int) -> None:
        self.expired: list[tuple[TP, int, int]] = []
        self.app = SimpleNamespace(
            options=SimpleNamespace(stage="enrich"),
            stage=SimpleNamespace(on_expired=self._on_expired),
        )
        self._log_start = log_start
        self._next_offset = {CLICKS: 10}
        self.stash: dict[TP, Any] = {}
        self.epoch = 1

    async def take(self, *offsets: int) -> list[int]:
        """Take fetched records; return the offsets that wait to be handed out."""
        records: Any = [
            SimpleNamespace(offset=offset, value=b"", key=None, headers=()) for offset in offsets
        ]
        await Consumer._stash_records(self, CLICKS, records)  # type: ignore[arg-type]
        return [record.offset for record in self.stash[CLICKS]._records]

    async def earliest_offsets(self, tp: TP) -> dict[TP, int]:
        """Where the log starts now."""
        return {tp: self._log_start}

    async def _note_gap(self, tp: TP, expected: int, found: int) -> None:
        await Consumer._note_gap(self, tp, expected, found)  # type: ignore[arg-type]

    def _on_expired(self, tp: TP, first: int, end: int) -> None:
        self.expired.append((tp, first, end))


@pytest.mark.parametrize(
    ("log_start", "expired"),
    [
        (0, []),  # compaction, or the markers of transactions
        (10, []),
        (13, [(CLICKS, 10, 13)]),  # and from 13 to 14 something that is no record
        (15, [(CLICKS, 10, 15)]),
        (17, [(CLICKS, 10, 15)]),  # deleted meanwhile, and yet in our hands
    ],
)
async def test_only_what_lies_below_the_start_of_the_log_has_expired(
    log_start: int, expired: list[tuple[TP, int, int]]
) -> None:
    """Whatever has come is handed out, in any case."""
    reader = Reader(log_start)
    assert await reader.take(15, 16) == [15, 16]
    assert reader.expired == expired
    assert await reader.take(17) == [15, 16, 17]
    assert reader.expired == expired


async def test_what_is_fetched_and_not_settled_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even while a gap is looked at, when the position lies behind it and nothing is open."""
    consumer = consumer_in_memory(monkeypatch, {})
    thread: Any = consumer.thread
    thread.fetch_state = lambda _: FetchState(16, 0, is_buffered=False)
    assert consumer.read_below(CLICKS) is None
    consumer.offset_trackers[CLICKS] = OffsetTracker()
    consumer._next_offset[CLICKS] = 10
    assert consumer.read_below(CLICKS) == 10
    record = SimpleNamespace(offset=15, value=b"", key=None, headers=(), timestamp=0)
    seen: list[int | None] = []

    async def fetch(*_: object) -> Fetched:
        return Fetched({CLICKS: [record]})

    async def look_at_gap(*_: object) -> None:
        seen.append(consumer.read_below(CLICKS))

    thread.fetch = fetch
    monkeypatch.setattr(consumer, "_note_gap", look_at_gap)
    monkeypatch.setattr(OurConsumer, "_get_active_partitions", lambda _: {CLICKS}, raising=False)
    monkeypatch.setattr(
        consumer,
        "recovery",
        SimpleNamespace(
            began_anew=lambda _: None,
            record_current=lambda _: None,
            maybe_end=lambda _: None,
        ),
    )
    await consumer._fetch_once()
    seen.append(consumer.read_below(CLICKS))
    chunk = consumer._next_chunk(CLICKS)
    seen.append(consumer.read_below(CLICKS))
    consumer.ack(chunk)
    assert [*seen, consumer.read_below(CLICKS)] == [10, None, None, 16]


class Fetches:
    """A consumer that fetched up to some position; its log starts at another one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.consumer: Any = consumer_in_memory(monkeypatch, {})
        self.expired: list[tuple[int, int]] = []
        self.position, self.log_start, self.records = 10, 0, list[Any]()
        self.consumer.offset_trackers[CLICKS] = OffsetTracker()
        self.consumer._next_offset[CLICKS] = 10
        self.consumer.thread.fetch = self._fetch
        self.consumer.thread.fetch_state = lambda _: FetchState(self.position, 0, False)
        self.consumer.app.stage.on_expired = lambda _, *gap: self.expired.append(gap)
        recovery = SimpleNamespace(
            began_anew=lambda _: None, record_current=lambda _: None, maybe_end=lambda _: None
        )
        monkeypatch.setattr(self.consumer, "recovery", recovery)
        monkeypatch.setattr(self.consumer, "earliest_offsets", self._log_start_of)
        active: Any = lambda _: {CLICKS}  # noqa: E731
        monkeypatch.setattr(OurConsumer, "_get_active_partitions", active, raising=False)

    async def _fetch(self, *_: object) -> Fetched:
        return Fetched({CLICKS: self.records} if self.records else {})

    async def _log_start_of(self, tp: TP) -> dict[TP, int]:
        return {tp: self.log_start}

    async def fetch(self, *offsets: int, position: int) -> int | None:
        """Fetch these records, up to this position; return up to where all is settled."""
        self.records = [
            SimpleNamespace(offset=at, value=b"", key=None, headers=(), timestamp=0)
            for at in offsets
        ]
        self.position = position
        await self.consumer._fetch_once()
        settled: int | None = self.consumer.committable(CLICKS)
        return settled


async def test_markers_and_aborted_records_at_the_end_of_a_log_are_settled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They would wait until the next record; with a record open before them they do wait."""
    fetches = Fetches(monkeypatch)
    assert await fetches.fetch(position=10) == 10
    assert await fetches.fetch(position=62) == 62
    assert await fetches.fetch(62, 63, position=65) is None
    chunk = fetches.consumer._next_chunk(CLICKS)
    assert fetches.consumer.committable(CLICKS) == 62
    fetches.consumer.ack(chunk)
    assert fetches.consumer.committable(CLICKS) == 65
    assert await fetches.fetch(65, position=66) == 64
    fetches.consumer._committed[CLICKS] = (65, "")
    assert fetches.consumer.committable(CLICKS) == 65
    assert fetches.expired == []


async def test_what_retention_deleted_is_counted_where_the_position_jumps_before_records_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Once: the records behind it begin where it ends."""
    fetches = Fetches(monkeypatch)
    fetches.log_start = 40
    assert await fetches.fetch(position=40) == 40
    await fetches.fetch(40, position=41)
    assert fetches.expired == [(10, 40)]


async def test_records_that_a_stop_dropped_are_not_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The position is behind them, and the next owner has to read them."""
    fetches = Fetches(monkeypatch)
    whole = fetches.consumer._note_gap

    async def stopped(*gap: Any) -> None:
        await whole(*gap)
        fetches.consumer.cancel_seek()

    monkeypatch.setattr(fetches.consumer, "_note_gap", stopped)
    assert await fetches.fetch(15, position=16) == 10
    assert CLICKS not in fetches.consumer.stash


def test_a_group_without_offsets_says_that_it_starts_from_the_beginning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Once a topic; nothing where there is nothing to read, or an offset to go on from."""
    group: Any = SimpleNamespace(app=SimpleNamespace(options=SimpleNamespace(group="streams-miso")))
    found = {
        TP("events", 0): Committed(None, "", 5, 15),
        TP("events", 1): Committed(None, "", 0, 7),
        TP("events", 2): Committed(3, "", 0, 9),
        TP("redelivery", 0): Committed(None, "", 0, 0),
    }
    Consumer._warn_of_missing_offsets(group, found)
    (message,) = caplog.messages
    assert message.startswith(
        "the group streams-miso has no committed offset for events and starts from the beginning: "
        "17 records. If this stage has run before, its offsets are gone"
    )
