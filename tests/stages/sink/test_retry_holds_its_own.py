"""A retry holds its own visitor only, however many records a chunk has and however fast they come.

Consumer, offset tracker, progress and courier are real; fetching and the vendor are simulated, in
virtual time.
"""

import asyncio
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from faust.types import TP
from pydantic import SecretStr

from streams.core.outcome import Verdict
from streams.delivery.courier import Courier
from streams.delivery.ordered_queue import Item, queue_number
from streams.delivery.progress import Metadata, PartitionProgress
from streams.engine.chunks import Chunk
from streams.engine.offset_tracker import KEPT_BYTES, Credit, OffsetTracker
from streams.engine.stash import Batch
from streams.engine.thread import Committed
from streams.vendors import VENDORS
from streams.vendors.base import HttpRequest, HttpResponse
from streams.vendors.eightselect import EightSelectSettings
from tests.delivery.test_courier import fail
from tests.delivery.virtual_time import run
from tests.engine.consumer_in_memory import consumer_in_memory

EVENTS = TP("vendor.eightselect.events", 0)
VENDOR = VENDORS["eightselect"]
SETTINGS = EightSelectSettings(api_id=SecretStr("a" * 8), user_id_secret=SecretStr("b" * 8))
FETCH_SECONDS = 0.05
ANSWER_SECONDS = 0.01
BAD = 20
"""The event that the vendor does not take at first."""


class Record:
    """A vendor record of a visitor of its own."""

    timestamp = timestamp_type = 0
    headers = ()
    key = b""

    def __init__(self, offset: int, size: int) -> None:
        self.offset = offset
        self.value = b"x" * size


class Shop:
    """Events of one partition, each of another visitor, on their way to a vendor."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, failures: int) -> None:
        loop = asyncio.get_running_loop()
        monkeypatch.setattr("streams.engine.consumer.monotonic", loop.time)
        self.failures = failures
        self.came: dict[int, float] = {}
        self.taken: dict[int, float] = {}
        self.most_in_hand = 0
        self._wanted = -1
        self._all_taken = asyncio.Event()
        self.consumer = consumer_in_memory(monkeypatch, {EVENTS: Committed(0, "", 0, 0)})
        monkeypatch.setattr(self.consumer, "callback", self._take, raising=False)
        monkeypatch.setattr(self.consumer, "wait_first", self._first, raising=False)
        self.progress = PartitionProgress(0, Metadata(), {}, 0)
        self.courier = Courier(
            replace(VENDOR, retry_waits=(0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)),
            SETTINGS,
            self,
            self,
            clock=loop.time,
            random=lambda: 1.0,
            on_defect=fail,
        )

    async def run(self, rate: float, events: int, size: int = 500) -> None:
        """Let so many events come, so many a second, until the vendor has taken all of them."""
        self._wanted = events
        loop = asyncio.get_running_loop()
        await self.consumer.perform_seek()
        self.consumer.resume_flow()
        handing_out = asyncio.ensure_future(self._hand_out())
        while len(self.came) < events:
            due = min(events, 1 + int(loop.time() * rate))
            if self.consumer.has_room(EVENTS) and due > len(self.came):
                records: Any = [Record(offset, size) for offset in range(len(self.came), due)]
                self.came |= {record.offset: loop.time() for record in records}
                await self.consumer._stash_records(EVENTS, records)
                self.consumer._work.set()
            await asyncio.sleep(FETCH_SECONDS)
        await handing_out

    def late(self, seconds: float) -> list[int]:
        """Return which events of other queues took longer than this."""
        bad = queue_number(f"visitor{BAD}", VENDOR.queues)
        return [
            offset
            for offset, came in self.came.items()
            if self.taken[offset] - came > seconds
            and queue_number(f"visitor{offset}", VENDOR.queues) != bad
        ]

    # -- the engine

    async def _hand_out(self) -> None:
        while not self._all_taken.is_set():
            self.consumer._work.clear()
            if not await self.consumer._hand_out_round():
                try:
                    await asyncio.wait_for(self.consumer._work.wait(), 0.05)
                except TimeoutError:
                    continue

    async def _first(self, handed_out: Any, suspended: Any) -> None:
        suspended.close()
        await handed_out

    async def _take(self, message: Any) -> None:
        (chunk,) = message.value
        for record in chunk.value:
            offset = record.offset
            self.progress.admit(offset, f"shop.clicks/0/{offset}", 1, offset)
            item = Item(
                *(0, offset, f"e{offset}", "s", "2026-01-01T00:00:00.000Z", record.value, offset),
                tag=self.progress,
            )
            self.courier.add(item, b"BAD" if offset == BAD else b"good", f"visitor{offset}")
        chunk.release()
        self.courier.start_requests()
        self._settle()

    def _settle(self) -> None:
        below = self.progress.safe_below()
        self.consumer.settle_below(EVENTS, below, self.progress.settled_ahead)
        self.most_in_hand = max(
            self.most_in_hand, self.consumer.offset_trackers[EVENTS].open_records
        )

    # -- the vendor, and who keeps its answers

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Answer after a moment; the bad event is refused so many times."""
        await asyncio.sleep(ANSWER_SECONDS)
        if b"BAD" in request.body and self.failures:
            self.failures -= 1
            return HttpResponse(503, {}, b"")
        return HttpResponse(200, {}, b"")

    def write_accepted(self, items: Sequence[Item], _verdict: Verdict) -> None:
        """Settle at once."""
        now = asyncio.get_running_loop().time()
        for item in items:
            self.progress.settle(item.position, item.position)
            self.taken[item.position] = now
        self._settle()
        if len(self.taken) == self._wanted:
            self._all_taken.set()

    def write_rejected(self, _item: Item, words: str, _verdict: Verdict) -> None:
        """Nothing is refused for good."""
        raise AssertionError(words)

    def write_skipped(self, items: Sequence[Item], _verdict: Verdict) -> None:
        """Nothing is skipped."""
        raise AssertionError(items)

    def pass_over(self, items: Sequence[Item]) -> None:
        """No run is stopped here."""
        raise AssertionError(items)


@pytest.mark.parametrize(
    ("rate", "failures", "held_seconds", "events"),
    [
        (1, 8, 91.5, 150),
        (10, 8, 91.5, 1_000),
        (100, 7, 61.5, 7_000),
        (1_000, 5, 15.5, 18_000),
    ],
)
def test_an_event_that_waits_makes_no_other_visitor_late(
    monkeypatch: pytest.MonkeyPatch, rate: int, failures: int, held_seconds: float, events: int
) -> None:
    """It is sent again after each wait, and nobody else waits with it."""

    async def main() -> None:
        shop = Shop(monkeypatch, failures)
        await shop.run(rate, events)
        assert shop.taken[BAD] - shop.came[BAD] == pytest.approx(held_seconds, abs=2.0)
        assert shop.late(0.5) == []

    run(main())


def test_large_records_are_bounded_in_bytes_and_come_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 300 records of 256 KiB no more are in hand than 16 MiB, and the one more that begins."""

    async def main() -> None:
        shop = Shop(monkeypatch, failures=0)
        await shop.run(rate=100_000, events=300, size=256 * 1024)
        assert len(shop.taken) == 300
        assert 1 < shop.most_in_hand <= 64

    run(main())


def test_what_is_settled_behind_an_open_head_stays_small_and_its_span_is_bounded() -> None:
    """A thousand bytes a record at most where each comes alone; metadata fit in a commit."""
    tracker, progress = OffsetTracker(), PartitionProgress(0, Metadata(), {}, 0)
    credit = Credit(span=10_000)
    tracemalloc.start()
    try:
        for offset in range(credit.span):
            assert tracker.room(credit).records > 0
            records: Any = [Record(offset, 600)]
            chunk = Chunk(EVENTS, records)
            tracker.hand_out(chunk, Batch(records, 600, 600))
            progress.admit(offset, f"shop.clicks/0/{2 * offset}", 1, offset)
            chunk.release()
            if offset:
                progress.settle(offset, offset)
            tracker.settle_below(progress.safe_below(), progress.settled_ahead)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used - KEPT_BYTES < credit.span * 1_000
    assert tracker.open_records == 1
    assert tracker.room(credit).records == 0
    assert len(progress.metadata(unclear=[])) < 100
    progress.settle(0, 0)
    for ended in tracker.settle_below(progress.safe_below(), progress.settled_ahead):
        ended.acked = True
    assert (tracker.committable(), len(tracker)) == (credit.span, 0)
