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
    assert consumer.read_below(CLICKS) == 16
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
    assert [*seen, consumer.read_below(CLICKS)] == [None, None, None, 16]


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
