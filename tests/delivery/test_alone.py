"""An ordered queue's first event alone: what goes first after a parking."""

from tests.delivery.test_ordered_queue import REFUSED, ids, queue


def test_the_first_event_goes_alone_and_the_others_stay_behind_it_in_order() -> None:
    """They go as one request afterwards, before what came later."""
    made = queue("a", "b", "c", "d")
    assert ids(made.next_batch(0.0, alone=True)) == ["a"]
    assert len(made) == 3
    made.on_verdict()
    assert ids(made.next_batch(0.0)) == ["b", "c"]
    made.on_verdict()
    assert ids(made.next_batch(1.0)) == ["d"]


def test_a_request_that_failed_goes_again_one_event_at_a_time() -> None:
    """A second parking cuts off no second event."""
    made = queue("a", "b", "c")
    whole = made.next_batch(0.0)
    assert whole is not None
    made.put_back_failed(whole, 0.0)
    first = made.next_batch(0.0, alone=True)
    assert first is not None
    assert ids(first) == ["a"]
    made.put_back_failed(first, 0.0)
    assert ids(made.next_batch(0.0, alone=True)) == ["a"]
    made.on_verdict()
    assert ids(made.next_batch(0.0)) == ["b", "c"]


def test_a_search_for_a_refused_event_begins_anew() -> None:
    """What it has found out by then stays found; nothing is lost and nothing goes twice."""
    made = queue("a", "b", "c")
    whole = made.next_batch(0.0)
    assert whole is not None
    made.on_verdict()
    made.bisect(whole, REFUSED)
    assert ids(made.next_batch(0.0, alone=True)) == ["a"]
    assert len(made) == 2
    assert made.on_accepted() is None
    assert ids(made.next_batch(0.0)) == ["b", "c"]
    assert made.on_accepted() is None
    assert len(made) == 0


def test_where_nothing_is_due_nothing_goes() -> None:
    """Alone or not."""
    made = queue("a")
    assert made.next_batch(0.5, alone=True) is None
    assert not made.in_flight
    assert ids(made.next_batch(1.0, alone=True)) == ["a"]
    assert made.next_batch(9.0, alone=True) is None
    assert made.in_flight
