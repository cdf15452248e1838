"""Outcomes are written, in the right order, before their events count as settled."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from streams.core.outcome import Outcome, RequestOutcome, SkipReason, Verdict
from streams.core.topics import Topics
from streams.delivery.ordered_queue import Item
from streams.delivery.progress import Admission, Metadata, PartitionProgress, read_metadata
from streams.stages.sink.outcome_writer import OutcomeWriter, Settlement
from streams.vendors import VENDORS
from streams.worker.counters import Counters

ACCEPTED = Verdict(RequestOutcome.ACCEPTED, "200", 200, vendor_ref="r1")
REJECTED = Verdict(RequestOutcome.REJECTED, "422 no", 422)


class FakeOutputs:
    """Outputs that write into one log when the broker is let."""

    def __init__(self, log: "Log") -> None:
        self._log = log
        self._records: list[tuple[str, int, bytes | None, dict[str, Any]]] = []

    def __bool__(self) -> bool:
        return bool(self._records)

    def append(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes,
        headers: list[tuple[str, bytes]] | None = None,
    ) -> None:
        """Take a record."""
        self._log.headers.append(headers)
        self._records.append((topic, partition, key, json.loads(value)))

    async def send(self) -> "FakeOutputs":
        """Return itself to wait for."""
        return self

    async def acknowledged(self) -> dict[tuple[str, int], list[range]]:
        """Append to the log once the broker answers; return the offsets."""
        await self._log.answers.wait()
        while any(record[1] in self._log.refused for record in self._records):
            await self._log.mended.wait()
        written: dict[tuple[str, int], list[range]] = {}
        for topic, partition, key, value in self._records:
            offset = self._log.end(topic)
            self._log.records.append((topic, partition, key, value))
            written.setdefault((topic, partition), []).append(range(offset, offset + 1))
        self._log.rounds += 1
        return written


class Log:
    """What was written, in order."""

    def __init__(self) -> None:
        self.records: list[tuple[str, int, bytes | None, dict[str, Any]]] = []
        self.headers: list[list[tuple[str, bytes]] | None] = []
        self.answers = asyncio.Event()
        self.answers.set()
        self.rounds = 0
        self.refused: set[int] = set()
        self.mended = asyncio.Event()

    def end(self, topic: str) -> int:
        """The next offset of a topic, whose partitions count together here."""
        return sum(record[0] == topic for record in self.records)

    def of(self, topic: str) -> list[dict[str, Any]]:
        """The values of a topic."""
        return [value for name, _, _, value in self.records if name == topic]


class FakeProgress:
    """Notes what is settled, and how much the log had by then."""

    def __init__(self, log: Log) -> None:
        self.settled: dict[int, int] = {}
        self._log = log

    def pass_over(self, position: int) -> None:
        """Note that it has no receipt."""
        self.settled[position] = -1

    def settle(self, position: int, receipt: int) -> None:
        """Note it; its receipt must be there."""
        assert self._log.of("vendor.miso.receipts")[receipt]["position"] == position
        self.settled[position] = receipt


class WriterAround:
    """An outcome writer with what is around it."""

    def __init__(self) -> None:
        self.log, self.counters = Log(), Counters()
        self.progress = FakeProgress(self.log)
        self.moved: list[int] = []
        self.outcome_writer = OutcomeWriter(
            VENDORS["miso"],
            Topics(),
            ("secret-key",),
            self.counters,
            new_outputs=lambda: FakeOutputs(self.log),  # type: ignore[arg-type, return-value]
            on_written=lambda: None,
            on_settled=self.moved.append,
            why_no_consent=lambda item: "said_no" if item.key else "no_row",
        )

    def item(self, position: int, partition: int = 0) -> Item:
        """An event."""
        return Item(
            partition,
            position,
            f"e{position}",
            f"shop.clicks/0/{position + 100}",
            "2026-01-01T00:00:00.000Z",
            b'{"event_id": "x"}',
            1_000,
            b"anna",
            self.progress,
            attempts=2,
        )


@pytest.fixture
async def outcome_handler() -> AsyncIterator[WriterAround]:
    """An outcome writer that works."""
    made = WriterAround()
    yield made
    for task in made.outcome_writer._writing.values():
        task.cancel()


async def test_accepted_events_have_receipts_and_are_settled(outcome_handler: WriterAround) -> None:
    """Each with its place and the vendor's reference."""
    outcome_handler.outcome_writer.write_accepted(
        (outcome_handler.item(0), outcome_handler.item(1)), ACCEPTED
    )
    await outcome_handler.outcome_writer.flush()
    first, second = outcome_handler.log.of("vendor.miso.receipts")
    first.pop("at")
    assert first == {
        "event_id": "e0",
        "outcome": "accepted",
        "attempts": 2,
        "source": "shop.clicks/0/100",
        "lane": "live",
        "position": 0,
        "status": 200,
        "vendor_ref": "r1",
    }
    assert second["event_id"] == "e1"
    assert outcome_handler.log.headers == [[("visitor", b"anna")]] * 2
    assert outcome_handler.progress.settled == {0: 0, 1: 1}
    assert outcome_handler.moved == [0]
    assert outcome_handler.counters.accepted == 2


async def test_a_refused_event_has_its_letter_before_its_receipt(
    outcome_handler: WriterAround,
) -> None:
    """A receipt without its letter would close an event that nobody could find."""
    outcome_handler.outcome_writer.write_rejected(
        outcome_handler.item(3),
        "no such product; key secret-key",
        replace(REJECTED, answer='422 {"message":"no","key":"secret-key"}'),
    )
    await outcome_handler.outcome_writer.flush()
    assert [(topic, key) for topic, _, key, _ in outcome_handler.log.records] == [
        ("vendor.miso.dead-letters", b"anna"),
        ("vendor.miso.receipts", b"e3"),
    ]
    (letter,) = outcome_handler.log.of("vendor.miso.dead-letters")
    assert letter["reason"] == "rejected"
    assert letter["source"]["offset"] == 103
    assert letter["answer"] == '422 {"message":"no","key":"***"}'
    assert "secret-key" not in json.dumps(letter)
    assert outcome_handler.counters.dead_lettered == {"rejected": 1}


async def test_nothing_is_settled_before_the_broker_has_answered(
    outcome_handler: WriterAround,
) -> None:
    """What comes meanwhile is one round behind it."""
    outcome_handler.log.answers.clear()
    outcome_handler.outcome_writer.write_accepted((outcome_handler.item(0),), ACCEPTED)
    await asyncio.sleep(0)
    for position in (1, 2, 3):
        outcome_handler.outcome_writer.write_accepted((outcome_handler.item(position),), ACCEPTED)
    await asyncio.sleep(0)
    assert outcome_handler.progress.settled == {}
    assert outcome_handler.counters.accepted == 0
    outcome_handler.log.answers.set()
    await outcome_handler.outcome_writer.flush()
    assert outcome_handler.progress.settled == {0: 0, 1: 1, 2: 2, 3: 3}
    assert outcome_handler.log.rounds == 2


async def test_a_skip_is_a_receipt_with_its_reason(outcome_handler: WriterAround) -> None:
    """And no letter."""
    outcome_handler.outcome_writer.write(
        Settlement((outcome_handler.item(0),), Outcome.SKIPPED, SkipReason.TOO_OLD, None)
    )
    await outcome_handler.outcome_writer.flush()
    (receipt,) = outcome_handler.log.of("vendor.miso.receipts")
    assert (receipt["outcome"], receipt["reason"]) == ("skipped", "too_old")
    assert len(outcome_handler.log.records) == 1
    assert outcome_handler.log.headers == [None]
    assert outcome_handler.counters.skipped == {"too_old": 1}


async def test_events_of_a_stopped_run_are_settled_without_a_receipt(
    outcome_handler: WriterAround,
) -> None:
    """The next run finds them open."""
    outcome_handler.outcome_writer.pass_over([outcome_handler.item(0), outcome_handler.item(1)])
    assert outcome_handler.progress.settled == {0: -1, 1: -1}
    assert outcome_handler.moved == [0]
    assert outcome_handler.counters.notes == {"passed_over": 2}
    assert outcome_handler.log.records == []


async def test_flushing_does_not_wait_for_a_broker_for_ever(
    outcome_handler: WriterAround, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The worker has to stop; receipts that are missing are written again."""
    monkeypatch.setattr("streams.stages.sink.outcome_writer.FLUSH_SECONDS", 0.01)
    outcome_handler.log.answers.clear()
    outcome_handler.outcome_writer.write_accepted((outcome_handler.item(0),), ACCEPTED)
    await outcome_handler.outcome_writer.flush()
    assert "not acknowledged in time" in caplog.text


async def test_a_partition_whose_receipts_are_refused_holds_up_no_other(
    outcome_handler: WriterAround,
) -> None:
    """What came of its events waits, and is written once the topic takes it."""
    outcome_handler.log.refused.add(3)
    outcome_handler.outcome_writer.write_accepted((outcome_handler.item(0, partition=3),), ACCEPTED)
    kept = outcome_handler.outcome_writer.write_accepted(
        (outcome_handler.item(1, partition=4),), ACCEPTED
    )
    await kept
    outcome_handler.outcome_writer.write_rejected(
        outcome_handler.item(2, partition=3), "no such product", REJECTED
    )
    assert outcome_handler.moved == [4]
    outcome_handler.log.refused.clear()
    outcome_handler.log.mended.set()
    await outcome_handler.outcome_writer.flush()
    assert outcome_handler.moved == [4, 3, 3]
    assert [record[:2] for record in outcome_handler.log.records] == [
        ("vendor.miso.receipts", 4),
        ("vendor.miso.receipts", 3),
        ("vendor.miso.dead-letters", 3),
        ("vendor.miso.receipts", 3),
    ]


async def test_outcomes_that_wait_while_a_partition_goes_and_comes_back_settle_it(
    outcome_handler: WriterAround,
) -> None:
    """Its events are neither sent again nor passed over before the receipts are there."""
    outcome_handler.log.refused.add(0)
    outcome_handler.outcome_writer.write_accepted(
        (outcome_handler.item(5), outcome_handler.item(7)), ACCEPTED
    )
    await asyncio.sleep(0)
    outcome_handler.outcome_writer.write_rejected(
        outcome_handler.item(9), "no such product", REJECTED
    )
    outcome_handler.outcome_writer.write_rejected(
        outcome_handler.item(4), "settled by another worker meanwhile", REJECTED
    )
    again = PartitionProgress(5, Metadata(), {}, 0)
    outcome_handler.outcome_writer.hand_over(0, again, 5, is_redelivery=False)
    other_lane = PartitionProgress(0, Metadata(), {}, 0)
    outcome_handler.outcome_writer.hand_over(0, other_lane, 0, is_redelivery=True)
    found = [again.admit(n, f"shop.clicks/0/{n + 100}", 1, n) for n in range(5, 9)]
    new, awaited = Admission.NEW, Admission.AWAITED
    assert found == [awaited, new, awaited, new]
    assert other_lane.admit(5, "shop.clicks/0/105", 1, 5, "r-1") is new
    assert again.safe_below() == 5
    outcome_handler.log.refused.clear()
    outcome_handler.log.mended.set()
    await outcome_handler.outcome_writer.flush()
    assert again.safe_below() == 6
    assert again.admit(9, "shop.clicks/0/109", 1, 9) is awaited
    assert read_metadata(again.metadata()).listed() == {7, 9}
    assert outcome_handler.progress.settled.keys() == {4}
