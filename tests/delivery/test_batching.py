"""Micro-batching: when a batch is full, and that nothing is lost or reordered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.delivery.batching import BatchCause, Batcher, MicroBatch, halves, without


def batcher(records: int = 3, size: int = 100, linger: float = 0.25) -> Batcher[int]:
    """Return a batcher with small limits."""
    return Batcher(records, size, linger)


def test_empty_batcher_is_never_ready() -> None:
    """There is nothing to wait for."""
    waiting = batcher()
    assert waiting.ready(1e9) is None
    assert waiting.due_at() is None
    assert len(waiting) == 0


def test_full_by_count() -> None:
    """The third of three makes the batch ready at once."""
    waiting = batcher()
    waiting.add(1, b"a", 0.0)
    waiting.add(2, b"b", 0.0)
    assert waiting.ready(0.0) is None
    waiting.add(3, b"c", 0.0)
    assert waiting.ready(0.0) is BatchCause.COUNT
    assert waiting.next_batch(BatchCause.COUNT) == MicroBatch(
        (1, 2, 3), (b"a", b"b", b"c"), BatchCause.COUNT
    )


def test_full_by_bytes_counts_separators() -> None:
    """Two payloads of 4 bytes and a comma are 9 bytes."""
    waiting = batcher(size=9)
    waiting.add(1, b"aaaa", 0.0)
    assert waiting.ready(0.0) is None
    waiting.add(2, b"bbbb", 0.0)
    assert waiting.ready(0.0) is BatchCause.BYTES
    waiting.add(3, b"c", 0.0)
    assert waiting.next_batch(BatchCause.BYTES).positions == (1, 2)
    assert len(waiting) == 1


def test_full_by_age_of_the_oldest() -> None:
    """Later events do not make the first one wait longer."""
    waiting = batcher()
    waiting.add(1, b"a", 10.0)
    waiting.add(2, b"b", 10.2)
    assert waiting.due_at() == 10.25
    assert waiting.ready(10.24) is None
    assert waiting.ready(10.25) is BatchCause.AGE
    waiting.next_batch(BatchCause.AGE)
    assert waiting.due_at() is None


def test_payload_beyond_the_limit_travels_alone() -> None:
    """It cannot be made smaller here, and must not hold up the others."""
    waiting = batcher(size=10)
    for position, payload in enumerate((b"a", b"x" * 50, b"b")):
        waiting.add(position, payload, 0.0)
    assert [waiting.next_batch(BatchCause.BYTES).positions for _ in range(3)] == [(0,), (1,), (2,)]


def test_taking_from_an_empty_batcher_is_an_error() -> None:
    """A courier asks before it takes."""
    with pytest.raises(IndexError):
        batcher().next_batch(BatchCause.AGE)


def test_one_event_cannot_be_halved() -> None:
    """The search for a refused event ends at one."""
    with pytest.raises(ValueError, match="one event"):
        halves(MicroBatch((1,), (b"a",), BatchCause.COUNT))


payloads = st.lists(st.binary(min_size=1, max_size=40), max_size=60)


@given(payloads, st.integers(1, 7), st.integers(1, 90))
def test_nothing_is_lost_order_is_kept_and_limits_are_respected(
    given_payloads: list[bytes], records: int, size: int
) -> None:
    """Whatever comes in leaves once, in order, in requests that keep to the limits."""
    waiting = batcher(records, size)
    batches = []
    for position, payload in enumerate(given_payloads):
        waiting.add(position, payload, float(position))
        while (cause := waiting.ready(float(position))) in {BatchCause.COUNT, BatchCause.BYTES}:
            assert cause is not None
            batches.append(waiting.next_batch(cause))
    while len(waiting):
        batches.append(waiting.next_batch(BatchCause.AGE))
    assert [p for batch in batches for p in batch.positions] == list(range(len(given_payloads)))
    assert [p for batch in batches for p in batch.payloads] == given_payloads
    for batch in batches:
        assert 1 <= len(batch) <= records
        assert len(b",".join(batch.payloads)) <= size or len(batch) == 1


@given(st.lists(st.binary(max_size=4), min_size=2, max_size=20))
def test_halves_are_the_whole_in_order(some: list[bytes]) -> None:
    """Both halves have events, and together they are the batch."""
    batch = MicroBatch(tuple(range(len(some))), tuple(some), BatchCause.AGE)
    first, second = halves(batch)
    assert len(first) > 0
    assert len(second) > 0
    assert first.positions + second.positions == batch.positions
    assert first.payloads + second.payloads == batch.payloads
    assert first.cause is second.cause is BatchCause.AGE


@given(st.lists(st.binary(max_size=4), max_size=20), st.sets(st.integers(0, 19)))
def test_without_takes_out_exactly_the_refused(some: list[bytes], refused: set[int]) -> None:
    """The rest keeps its order."""
    batch = MicroBatch(tuple(range(len(some))), tuple(some), BatchCause.COUNT)
    kept = without(batch, refused)
    assert list(kept.positions) == [p for p in range(len(some)) if p not in refused]
    assert list(kept.payloads) == [some[p] for p in kept.positions]
