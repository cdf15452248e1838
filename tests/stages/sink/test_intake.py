"""The intake: which records become events, of which lane, and which become dead letters."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from streams.core.consent import ConsentMode
from streams.delivery.ordered_queue import Item
from streams.delivery.progress import Metadata, PartitionProgress
from streams.stages.sink.intake import Intake
from streams.stages.sink.outcome_writer import Settlement
from streams.vendors import VENDORS
from streams.worker.counters import Counters

VALUE = {
    "event_id": "e1",
    "event_type": "click",
    "timestamp": "2026-01-01T00:00:00.000Z",
    "anonymous_id": "anna",
    "payload": {"sku": "S-p1"},
}
HEADERS = (
    ("source", b"shop.clicks/0/7"),
    ("consent", b"event"),
    ("source-time", b"1700000000000"),
    ("run-id", b"r-1"),
)


@dataclass
class Record:
    """A record of a vendor's topic."""

    offset: int = 0
    headers: Sequence[tuple[str, bytes | None]] = HEADERS
    value: bytes | None = json.dumps(VALUE).encode()
    key: bytes | None = b"anna"
    timestamp: int = 1_700_000_000_500
    timestamp_type: int = 0


@dataclass
class Around:
    """An intake with fakes that remember."""

    items: list[Item] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    kept: list[Settlement] = field(default_factory=list)
    counters: Counters = field(default_factory=Counters)

    def __post_init__(self) -> None:
        self.runs: Any = SimpleNamespace(stopped=frozenset())
        self.progress = PartitionProgress(0, Metadata(), {}, 0, of_runs=True)

    def add(self, item: Item, payload: bytes, _key: str) -> None:
        """Be the courier."""
        self.items.append(item)
        self.payloads.append(payload)

    def write(self, settlement: Settlement) -> None:
        """Be the outcome writer."""
        self.kept.append(settlement)

    def admit(
        self, *records: Record, is_redelivery: bool = True, mode: ConsentMode = "required"
    ) -> None:
        """Read records."""
        me: Any = self
        if not is_redelivery:
            self.progress = PartitionProgress(0, Metadata(), {}, 0)
        intake = Intake(VENDORS["miso"], me, me, self.counters, self.runs, mode)
        found: Any = records
        intake.admit(TP("t", 0), found, self.progress, is_redelivery=is_redelivery)


def without(name: str) -> tuple[tuple[str, bytes | None], ...]:
    """The headers but one."""
    return tuple(header for header in HEADERS if header[0] != name)


def test_a_redelivery_carries_its_run_its_ground_and_the_raw_records_time() -> None:
    """What consent and receipts need of it; its payload goes as it is."""
    around = Around()
    around.admit(Record())
    (item,) = around.items
    assert (item.run_id, item.ground, item.raw_ms) == ("r-1", "event", 1_700_000_000_000)
    assert (item.source, item.key, item.event_id) == ("shop.clicks/0/7", b"anna", "e1")
    assert around.payloads == [b'{"sku": "S-p1"}']


def test_on_the_live_topic_a_run_id_means_nothing() -> None:
    """The topic says which lane a record is of."""
    around = Around()
    around.admit(Record(), is_redelivery=False)
    assert around.items[0].run_id is None


@pytest.mark.parametrize("consent", [None, b"", b"yes", b"EVENT"])
def test_an_unknown_ground_is_the_strictest(consent: bytes | None) -> None:
    """The row must say yes."""
    around = Around()
    around.admit(Record(headers=(*without("consent"), ("consent", consent))))
    around.admit(Record(1, headers=(("source", b"shop.clicks/0/8"), ("run-id", b"r-1"))))
    assert [item.ground for item in around.items] == ["row", "row"]


def test_what_was_assumed_counts_only_while_the_mode_says_so() -> None:
    """After a change to required the row must say yes."""
    record = Record(headers=(*without("consent"), ("consent", b"assumed")))
    around = Around()
    around.admit(record, mode="assumed")
    around.admit(replace(record, offset=1), is_redelivery=False, mode="required")
    assert [item.ground for item in around.items] == ["assumed", "row"]


@pytest.mark.parametrize("run", [b"", b"r 1", b"r/1", b"\xff", b"r" * 65, None])
def test_a_redelivery_of_no_run_is_a_dead_letter_of_its_lane(run: bytes | None) -> None:
    """It has a receipt like any other, without a run."""
    around = Around()
    around.admit(Record(headers=(*without("run-id"), ("run-id", run))))
    assert around.items == []
    (settlement,) = around.kept
    assert settlement.reason == "invalid_json"
    assert settlement.items[0].run_id == ""
    assert settlement.items[0].source == "t/0/0"


def test_a_record_whose_key_is_not_its_visitor_is_no_vendor_record() -> None:
    """Its consent would be looked up for somebody else."""
    around = Around()
    around.admit(Record(key=b"bert"), Record(1, key=None), is_redelivery=False)
    assert around.items == []
    assert [s.words for s in around.kept] == [
        "no vendor record: ValueError('its key is not its anonymous_id')"
    ] * 2


def test_of_a_stopped_run_nothing_is_taken_and_the_partition_goes_on() -> None:
    """It leaves no mark: the run may write it once more."""
    around = Around()
    around.runs.stopped = frozenset({"r-1"})
    around.admit(Record(), Record(1))
    assert (around.items, around.kept) == ([], [])
    assert around.progress.safe_below() == 2
    assert around.counters.notes["passed_over"] == 2
    around.runs.stopped = frozenset()
    around.admit(Record(2))
    assert len(around.items) == 1
