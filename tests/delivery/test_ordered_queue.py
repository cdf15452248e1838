"""Ordered queues: what stays in order."""

from hypothesis import given
from hypothesis import strategies as st

from streams.core.outcome import RequestOutcome, Verdict
from streams.delivery.batching import Batcher
from streams.delivery.ordered_queue import Item, OrderedQueue, queue_number

REFUSED = Verdict(RequestOutcome.REJECTED, "400", 400)


def item(event_id: str) -> Item:
    """An event on its way."""
    return Item(0, 0, event_id, "t/0/0", "2026-01-01T00:00:00.000Z", b"", 0)


def queue(*ids: str) -> OrderedQueue:
    """An ordered queue in which these events wait, in batches of three that linger for a second."""
    made = OrderedQueue(0, Batcher(3, 1_000, 1.0))
    for event_id in ids:
        made.add(item(event_id), b"x", 0.0)
    return made


def ids(batch: object) -> list[str]:
    """The events of a batch."""
    return [each.event_id for each in batch.positions]  # type: ignore[attr-defined]


def test_only_one_request_is_unanswered() -> None:
    """The next batch goes when the first is judged."""
    made = queue("a", "b", "c", "d", "e", "f")
    assert ids(made.next_batch(0.0)) == ["a", "b", "c"]
    assert made.next_batch(100.0) is None
    made.on_verdict()
    assert ids(made.next_batch(0.0)) == ["d", "e", "f"]


def test_a_batch_that_is_not_full_waits_for_its_linger() -> None:
    """``due_at`` says until when."""
    made = queue("a")
    assert made.next_batch(0.9) is None
    assert made.due_at() == 1.0
    assert ids(made.next_batch(1.0)) == ["a"]


def test_a_failed_request_goes_again_before_all_others_and_not_too_early() -> None:
    """With the same events, even if a larger batch would now be possible."""
    made = queue("a")
    batch = made.next_batch(1.0)
    assert batch is not None
    made.add(item("b"), b"x", 1.0)
    made.put_back_failed(batch, 5.0)
    assert made.failures == 1
    assert made.due_at() == 5.0
    assert made.next_batch(4.9) is None
    assert ids(made.next_batch(5.0)) == ["a"]
    assert len(made) == 1


def test_what_was_not_refused_goes_first() -> None:
    """The rest of a batch stands before the events that came later."""
    made = queue("a", "b", "c", "d")
    batch = made.next_batch(0.0)
    assert batch is not None
    made.on_verdict()
    made.put_back_open(batch, {0, 2})
    assert ids(made.next_batch(0.0)) == ["b"]


def test_what_is_too_large_goes_again_in_halves() -> None:
    """In order, also when a half is halved again: no event of it is to blame."""
    made = queue("a", "b", "c")
    batch = made.next_batch(0.0)
    assert batch is not None
    made.on_verdict()
    made.split(batch)
    assert len(made) == 3
    assert ids(made.next_batch(0.0)) == ["a"]
    made.on_verdict()
    second = made.next_batch(0.0)
    assert second is not None
    made.on_verdict()
    made.split(second)
    assert ids(made.next_batch(0.0)) == ["b"]
    made.on_verdict()
    assert ids(made.next_batch(0.0)) == ["c"]


def test_a_failed_request_of_a_search_goes_again_as_it_was() -> None:
    """A timeout says nothing of what is refused."""
    made = queue("a", "b", "c")
    batch = made.next_batch(0.0)
    assert batch is not None
    made.on_verdict()
    made.bisect(batch, REFUSED)
    front = made.next_batch(0.0)
    assert front is not None
    assert ids(front) == ["a"]
    assert len(made) == 2
    made.put_back_failed(front, 5.0)
    assert len(made) == 3
    assert made.next_batch(4.9) is None
    assert ids(made.next_batch(5.0)) == ["a"]
    assert made.on_accepted() is None
    assert ids(made.next_batch(5.0)) == ["b"]


def test_too_large_in_the_middle_of_a_search_ends_it() -> None:
    """What is accepted of it says nothing of the rest, which goes again in order."""
    made = OrderedQueue(0, Batcher(8, 1_000, 1.0))
    for event_id in "abcdefgh":
        made.add(item(event_id), b"x", 0.0)
    batch = made.next_batch(0.0)
    assert batch is not None
    made.on_verdict()
    made.bisect(batch, REFUSED)
    front = made.next_batch(0.0)
    assert front is not None
    made.on_verdict()
    made.split(front)
    sent = []
    while (batch := made.next_batch(0.0)) is not None:
        sent.append("".join(ids(batch)))
        assert made.on_accepted() is None
    assert sent == ["ab", "cd", "efgh"]


def test_a_closed_queue_gives_nothing() -> None:
    """Its partition belongs to somebody else."""
    made = queue("a", "b", "c")
    made.closed = True
    assert made.next_batch(100.0) is None


def test_the_queue_of_a_key_is_the_same_in_every_process() -> None:
    """No seeded hash."""
    assert [queue_number(key, 8) for key in ("anna", "bert", "", "é")] == [7, 6, 0, 6]


@given(st.text(), st.integers(1, 64))
def test_a_queue_number_lies_among_the_queues(key: str, queues: int) -> None:
    """For any key that UTF-8 can carry."""
    key = key.encode(errors="replace").decode()
    assert 0 <= queue_number(key, queues) < queues
