"""Refused events that the vendor does not name: found in few requests, order kept."""

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from math import ceil, log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.outcome import RequestOutcome, Verdict
from streams.delivery.batching import Batcher
from streams.delivery.ordered_queue import Item, OrderedQueue

REFUSED = Verdict(RequestOutcome.REJECTED, "400 bad request", 400)
Judge = Callable[[Sequence[int]], bool | set[int]]
"""The numbers of a request's events → whether it is accepted, or which of them it names."""


class Played:
    """What became of events 0 to n-1, which travel in one batch at first."""

    def __init__(self, n: int, judge: Judge, *, at_most: int = 10_000) -> None:
        self.requests: list[list[int]] = []
        self.accepted: list[int] = []
        self.refused: list[int] = []
        queue = OrderedQueue(0, Batcher(n, 10**9, 0.0))
        for number in range(n):
            queue.add(Item(0, number, str(number), "t/0/0", "", b"", 0), b"x", 0.0)
        while (batch := queue.next_batch(0.0)) is not None:
            asked = [item.position for item in batch.positions]
            self.requests.append(asked)
            assert len(self.requests) <= at_most, self.requests
            assert len(queue) == n - len(self.accepted) - len(self.refused) - len(asked)
            response = judge(asked)
            if response is True:
                self.accepted += asked
                if (found := queue.on_accepted()) is not None:
                    self.refused.append(found[0].position)
                    assert found[1] is REFUSED
                continue
            queue.on_verdict()
            if not response and len(asked) > 1:
                queue.bisect(batch, REFUSED)
            else:
                named = response or set(asked)
                self.refused += sorted(named)
                queue.put_back_open(batch, {asked.index(number) for number in named})
        assert len(queue) == 0


def refusing(bad: set[int]) -> Judge:
    """A vendor that refuses what holds one of these, and does not say which."""
    return bad.isdisjoint


def bound(n: int, refused: int) -> int:
    """At most so many requests: the first, and ⌈log2 n⌉ + 1 for each refused event."""
    return 1 + refused * (ceil(log2(n)) + 1)


def test_only_the_half_that_holds_the_refused_event_is_looked_into() -> None:
    """One bad event of 16: one request, four bisections, and the rest in one batch."""
    played = Played(16, refusing({5}))
    assert played.requests == [
        list(range(16)),
        [0, 1, 2, 3, 4, 5, 6, 7],
        [0, 1, 2, 3],
        [4, 5],
        [4],
        [6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    ]
    assert played.refused == [5]


def test_the_last_event_is_asked_about_alone_before_it_is_given_up() -> None:
    """It would otherwise be given up after one refusal of the whole."""
    played = Played(8, refusing({7}))
    assert played.requests == [list(range(8)), [0, 1, 2, 3], [4, 5], [6], [7]]
    assert played.refused == [7]


def every_choice(n: int) -> Iterator[set[int]]:
    """All sets of refused events."""
    for picks in product((False, True), repeat=n):
        yield {number for number, is_picked in enumerate(picks) if is_picked}


@pytest.mark.parametrize("n", range(1, 13))
def test_up_to_twelve_events_every_choice_of_refused_ones_stays_within_the_bound(n: int) -> None:
    """All 2^n choices: each refused once, all others accepted in order."""
    for bad in every_choice(n):
        played = Played(n, refusing(bad))
        assert played.refused == sorted(bad)
        assert played.accepted == [number for number in range(n) if number not in bad]
        assert len(played.requests) <= bound(n, len(bad)), (n, bad, played.requests)


sizes_with_refused = st.integers(1, 500).flatmap(
    lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1), max_size=40))
)


@given(sizes_with_refused)
def test_up_to_500_events_any_refused_ones_stay_within_the_bound(
    case: tuple[int, set[int]],
) -> None:
    """The same for as many as a batch to Miso holds."""
    n, bad = case
    played = Played(n, refusing(bad))
    assert played.refused == sorted(bad)
    assert played.accepted == [number for number in range(n) if number not in bad]
    assert len(played.requests) <= bound(n, len(bad))


@pytest.mark.parametrize("n", [2, 3, 16, 255, 256, 257, 500])
def test_one_refused_event_at_any_place_stays_within_the_bound(n: int) -> None:
    """Powers of two and their neighbours are where one request too many would show."""
    for place in range(n):
        assert len(Played(n, refusing({place})).requests) <= bound(n, 1)


@pytest.mark.parametrize("n", [2, 7, 64, 500])
def test_a_vendor_that_refuses_once_and_then_accepts_costs_no_event(n: int) -> None:
    """Its mind changed after the first response."""
    answers = iter([False])
    played = Played(n, lambda _: next(answers, True))
    assert played.refused == []
    assert played.accepted == list(range(n))
    assert len(played.requests) <= bound(n, 1)


@given(st.integers(1, 40), st.lists(st.booleans(), max_size=60))
def test_whatever_is_answered_each_event_has_one_outcome_and_it_ends(
    n: int, script: list[bool]
) -> None:
    """Also where answers contradict each other; accepted events keep their order."""
    answers = iter(script)
    played = Played(n, lambda _: next(answers, True), at_most=200)
    assert played.accepted == sorted(played.accepted)
    assert sorted(played.accepted + played.refused) == list(range(n))
    assert len(played.refused) <= script.count(False)


@given(sizes_with_refused, st.data())
def test_named_ones_end_a_search_whose_range_they_may_explain(
    case: tuple[int, set[int]], data: st.DataObject
) -> None:
    """A vendor that names some of the refused, now and then: nobody else is given up."""
    n, bad = case

    def judge(asked: Sequence[int]) -> bool | set[int]:
        held = bad.intersection(asked)
        if not held:
            return True
        return data.draw(st.sets(st.sampled_from(sorted(held)), max_size=3)) or False

    played = Played(n, judge)
    assert sorted(played.refused) == sorted(bad)
    assert played.accepted == [number for number in range(n) if number not in bad]
    assert len(played.requests) <= bound(n, len(bad))
