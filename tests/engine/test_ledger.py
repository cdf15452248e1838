"""The ledger: how far a partition may be committed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.engine.ledger import Ledger


@dataclass(frozen=True)
class Record:
    """A record of which only the offset counts."""

    offset: int


class Chunk:
    """A chunk as the consumer hands it out."""

    def __init__(self, *offsets: int) -> None:
        self.value: Sequence[Any] = [Record(offset) for offset in offsets]
        self.offset = offsets[-1]
        self.settled_below = offsets[0]
        self.acked = False


def handed_out(*chunks: Chunk) -> Ledger:
    """A ledger of these chunks."""
    ledger = Ledger()
    for chunk in chunks:
        ledger.hand_out(chunk)
    return ledger


def test_a_new_ledger_commits_nothing() -> None:
    """Where the group stands is not its business."""
    assert Ledger().committable() is None
    assert Ledger().oldest_open() is None
    assert len(Ledger()) == 0


def test_the_first_open_chunk_is_the_limit() -> None:
    """Whatever was acked behind it."""
    first, second = Chunk(5, 6, 7), Chunk(8, 9)
    ledger = handed_out(first, second)
    second.acked = True
    assert ledger.committable() == 5
    assert len(ledger) == 2
    first.acked = True
    assert ledger.committable() == 10
    assert len(ledger) == 0


def test_part_of_a_chunk_may_be_settled() -> None:
    """The commit moves within it, and never back."""
    chunk = Chunk(5, 6, 9)
    ledger = handed_out(chunk)
    assert list(ledger.settle_below(9)) == []
    assert ledger.committable() == 9
    assert ledger.oldest_open() == Record(9)
    ledger.settle_below(6)
    assert ledger.committable() == 9


def test_settling_to_the_end_ends_chunks() -> None:
    """They are returned once, for Faust to be told."""
    first, second, third = Chunk(1, 2), Chunk(3, 4), Chunk(5)
    ledger = handed_out(first, second, third)
    assert list(ledger.settle_below(4)) == [first]
    first.acked = True
    assert list(ledger.settle_below(5)) == [second]
    second.acked = True
    assert list(ledger.settle_below(5)) == []
    assert ledger.committable() == 5
    assert len(ledger) == 1


def test_a_gap_behind_what_is_settled_is_committed_with_the_next_chunk() -> None:
    """Offsets of markers belong to nobody."""
    first, second = Chunk(1, 2), Chunk(10, 11)
    ledger = handed_out(first, second)
    first.acked = True
    assert ledger.committable() == 10


def test_an_ack_of_a_chunk_that_was_taken_away_commits_nothing() -> None:
    """After a rebalance the same records come in other chunks of another ledger."""
    stale, fresh = Chunk(1, 2, 3, 4), Chunk(1, 2)
    handed_out(stale)
    ledger = handed_out(fresh)
    stale.acked = True
    assert ledger.committable() == 1


@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=12),
    st.lists(st.tuples(st.booleans(), st.integers(0, 40)), max_size=40),
)
@settings(max_examples=200, deadline=None)
def test_no_open_record_is_ever_below_the_commit(
    gaps: list[int], steps: list[tuple[bool, int]]
) -> None:
    """Acks in any order and settling up to any offset: the commit grows and skips no open one."""
    offset, chunks = 0, []
    for gap in gaps:
        chunks.append(Chunk(*range(offset, offset + 3)))
        offset += 2 + gap
    ledger = handed_out(*chunks)
    open_ = {record.offset for chunk in chunks for record in chunk.value}
    last = 0
    for is_ack, number in steps:
        if is_ack:
            chunk = chunks[number % len(chunks)]
            chunk.acked = True
            open_ -= {record.offset for record in chunk.value}
        else:
            for ended in ledger.settle_below(number):
                ended.acked = True
            open_ -= set(range(number))
        committable = ledger.committable()
        assert committable is not None
        assert committable >= last
        assert all(each >= committable for each in open_)
        last = committable
    if not open_:
        assert last == chunks[-1].offset + 1
