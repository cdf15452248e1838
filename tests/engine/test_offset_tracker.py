"""The tracker: how far a partition may be committed."""

from dataclasses import dataclass
from typing import Any

import pytest
from faust.types import TP
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.engine import chunks
from streams.engine.offset_tracker import KEPT_BYTES, Credit, OffsetTracker, OpenRecord, Room
from streams.engine.stash import Batch


@dataclass(frozen=True)
class Record:
    """A record of which only the offset counts."""

    offset: int

    @property
    def timestamp(self) -> int:
        """A second for each offset."""
        return self.offset * 1_000

    @property
    def value(self) -> bytes:
        """Something of its own."""
        return b"value of %d" % self.offset


class Chunk(chunks.Chunk):
    """A chunk, by the offsets of its records."""

    def __init__(self, *offsets: int) -> None:
        records: Any = [Record(offset) for offset in offsets]
        super().__init__(TP("clicks", 0), records)


CREDIT = Credit(records=10, size=1_000, span=30)


def sized(tracker: OffsetTracker, size: int, *offsets: int) -> Chunk:
    """Hand out a chunk whose records have this many bytes each."""
    chunk = Chunk(*offsets)
    tracker.hand_out(chunk, Batch([], size * len(offsets), size))
    return chunk


def handed_out(*chunks: Chunk) -> OffsetTracker:
    """A tracker of these chunks."""
    tracker = OffsetTracker()
    for chunk in chunks:
        tracker.hand_out(chunk)
    return tracker


def test_a_new_ledger_commits_nothing() -> None:
    """Where the group stands is not its business."""
    assert OffsetTracker().committable() is None
    assert OffsetTracker().oldest_open() is None
    assert len(OffsetTracker()) == 0


def test_the_first_open_chunk_is_the_limit() -> None:
    """Whatever was acked behind it."""
    first, second = Chunk(5, 6, 7), Chunk(8, 9)
    tracker = handed_out(first, second)
    second.acked = True
    assert tracker.committable() == 5
    assert len(tracker) == 2
    first.acked = True
    assert tracker.committable() == 10
    assert len(tracker) == 0


def test_part_of_a_chunk_may_be_settled() -> None:
    """The commit moves within it, and never back."""
    chunk = Chunk(5, 6, 9)
    tracker = handed_out(chunk)
    assert list(tracker.settle_below(9)) == []
    assert tracker.committable() == 9
    assert tracker.oldest_open() == OpenRecord(9, 9_000, b"value of 9")
    tracker.settle_below(6)
    assert tracker.committable() == 9


def test_settling_to_the_end_ends_chunks() -> None:
    """They are returned once, for Faust to be told."""
    first, second, third = Chunk(1, 2), Chunk(3, 4), Chunk(5)
    tracker = handed_out(first, second, third)
    assert list(tracker.settle_below(4)) == [first]
    first.acked = True
    assert list(tracker.settle_below(5)) == [second]
    second.acked = True
    assert list(tracker.settle_below(5)) == []
    assert tracker.committable() == 5
    assert len(tracker) == 1


def test_a_gap_behind_what_is_settled_is_committed_with_the_next_chunk() -> None:
    """Offsets of markers belong to nobody."""
    first, second = Chunk(1, 2), Chunk(10, 11)
    tracker = handed_out(first, second)
    first.acked = True
    assert tracker.committable() == 10


def test_an_ack_of_a_chunk_that_was_taken_away_commits_nothing() -> None:
    """After a rebalance the same records come in other chunks of another tracker."""
    stale, fresh = Chunk(1, 2, 3, 4), Chunk(1, 2)
    handed_out(stale)
    tracker = handed_out(fresh)
    stale.acked = True
    assert tracker.committable() == 1


def test_credit_counts_open_records_and_not_chunks() -> None:
    """Nine chunks of one record leave room for one more."""
    tracker = OffsetTracker()
    assert tracker.room(CREDIT) == Room(10, 1_000)
    for offset in range(9):
        sized(tracker, 10, offset)
    assert tracker.room(CREDIT) == Room(1, 910)
    sized(tracker, 10, 9)
    assert tracker.room(CREDIT) == Room(0, 900)


def test_what_is_settled_behind_a_head_that_waits_takes_no_credit() -> None:
    """Record by record, as a sink tells it, up to the span."""
    tracker = OffsetTracker()
    sized(tracker, 10, 0, 1, 2)
    sized(tracker, 10, 3, 4, 5)
    tracker.settle_below(0, ahead=5)
    assert tracker.open_records == 1
    assert tracker.room(CREDIT) == Room(9, 990)
    for first in range(6, 28, 2):
        sized(tracker, 10, first, first + 1)
        tracker.settle_below(0, ahead=first + 1)
    assert tracker.room(CREDIT) == Room(2, 990)
    sized(tracker, 10, 28, 29)
    tracker.settle_below(0, ahead=29)
    assert tracker.room(CREDIT) == Room(0, 990)


def test_acked_chunks_behind_an_open_one_take_no_credit() -> None:
    """Chunk by chunk, as enrichment acks them, and each once."""
    tracker = OffsetTracker()
    first, second = sized(tracker, 10, 0, 1), sized(tracker, 10, 2, 3, 4)
    for _ in range(2):
        second.acked = True
        tracker.record_ack(second)
    assert tracker.open_records == 2
    first.acked = True
    tracker.record_ack(first)
    assert tracker.open_records == 0
    assert tracker.room(CREDIT) == Room(10, 1_000)


def test_an_ack_from_another_ledger_frees_nothing() -> None:
    """A rebalance has handed the same records out in another chunk."""
    stale, tracker = Chunk(0, 1), OffsetTracker()
    sized(tracker, 10, 0, 1)
    stale.acked = True
    tracker.record_ack(stale)
    assert tracker.open_records == 2


def test_credit_in_bytes_is_counted_by_the_largest_record() -> None:
    """Which of them are open is not known: never fewer bytes are counted than there are."""
    tracker = OffsetTracker()
    sized(tracker, 400, 0)
    large = sized(tracker, 10, 1, 2, 3)
    assert tracker.room(CREDIT) == Room(6, 570)
    tracker.settle_below(0, ahead=2)
    assert tracker.room(CREDIT).size == 570
    tracker.settle_below(0, ahead=3)
    assert tracker.room(CREDIT).size == 600
    for chunk in tracker.settle_below(1):
        chunk.acked = True
    assert tracker.room(CREDIT) == Room(7, 970)
    assert not large.acked


def test_of_what_is_far_behind_a_head_that_waits_no_bytes_are_kept() -> None:
    """Its place and time are known all the same."""
    tracker = OffsetTracker()
    first, second = sized(tracker, KEPT_BYTES, 0), sized(tracker, 10, 1)
    assert tracker.oldest_open() == OpenRecord(0, 0, b"value of 0")
    first.acked = True
    assert tracker.oldest_open() == OpenRecord(1, 1_000, None)
    assert not second.acked


def test_a_record_larger_than_all_credit_may_be_handed_out_alone() -> None:
    """Otherwise it would never be."""
    tracker = OffsetTracker()
    sized(tracker, 5_000, 0)
    assert tracker.room(CREDIT) == Room(9, -4_000)


@given(
    st.lists(st.lists(st.integers(1, 300), min_size=1, max_size=4), min_size=1, max_size=15),
    st.lists(st.tuples(st.booleans(), st.integers(0, 60)), max_size=40),
)
@settings(max_examples=200)
def test_open_records_are_counted_and_their_bytes_are_never_underrated(
    chunks: list[list[int]], steps: list[tuple[bool, int]]
) -> None:
    """Acks in any order, and settling below any offset, one by one above it."""
    tracker, made, offset = OffsetTracker(), [], 0
    open_: dict[int, int] = {}
    for sizes in chunks:
        offsets = range(offset, offset + len(sizes))
        made.append(Chunk(*offsets))
        tracker.hand_out(made[-1], Batch([], sum(sizes), max(sizes)))
        open_ |= dict(zip(offsets, sizes, strict=True))
        offset += len(sizes)
    for is_ack, number in steps:
        if is_ack:
            chunk = made[number % len(made)]
            chunk.acked = True
            tracker.record_ack(chunk)
            for record in chunk.value:
                open_.pop(record.offset, None)
        else:
            for ended in tracker.settle_below(number):
                ended.acked = True
                tracker.record_ack(ended)
            for settled in [each for each in open_ if each < number]:
                del open_[settled]
        room = tracker.room(Credit(1_000, 100_000, 1_000))
        assert tracker.open_records == len(open_)
        assert 100_000 - room.size >= sum(open_.values())


@pytest.mark.parametrize("partitions", [0, 1, 6])
def test_a_few_partitions_have_the_whole_credit(partitions: int) -> None:
    """A shop's usual number."""
    assert Credit().among(partitions) == Credit()


@given(st.integers(7, 1_000))
def test_many_partitions_share_the_bytes_of_six(partitions: int) -> None:
    """Of the open records each keeps enough for whole chunks behind one that waits."""
    credit = Credit().among(partitions)
    assert credit.records == (2_000 if partitions <= 12 else 1_000)
    assert partitions * credit.size <= 6 * Credit().size
    assert credit.span == max(6 * Credit().span // partitions, 2 * credit.records)


@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=12),
    st.lists(st.tuples(st.booleans(), st.integers(0, 40)), max_size=40),
)
@settings(max_examples=200)
def test_no_open_record_is_ever_below_the_commit(
    gaps: list[int], steps: list[tuple[bool, int]]
) -> None:
    """Acks in any order and settling up to any offset: the commit grows and skips no open one."""
    offset, chunks = 0, []
    for gap in gaps:
        chunks.append(Chunk(*range(offset, offset + 3)))
        offset += 2 + gap
    tracker = handed_out(*chunks)
    open_ = {record.offset for chunk in chunks for record in chunk.value}
    last = 0
    for is_ack, number in steps:
        if is_ack:
            chunk = chunks[number % len(chunks)]
            chunk.acked = True
            open_ -= {record.offset for record in chunk.value}
        else:
            for ended in tracker.settle_below(number):
                ended.acked = True
            open_ -= set(range(number))
        committable = tracker.committable()
        assert committable is not None
        assert committable >= last
        assert all(each >= committable for each in open_)
        last = committable
    if not open_:
        assert last == chunks[-1].offset + 1
