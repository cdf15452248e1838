"""The rate limit: evenly spaced turns, shared, halved and slowly raised again."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.delivery.rate_limit import HEADROOM, RateLimit


def turns(limit: RateLimit, asked_at: list[float]) -> list[float]:
    """Return when each request may go, for the times at which they ask."""
    return [now + limit.reserve(now) for now in asked_at]


def busiest_second(moments: list[float]) -> int:
    """Return how many moments at most lie within any one second."""
    ordered = sorted(moments)
    return max(sum(1 for m in ordered if first <= m < first + 1.0) for first in ordered)


def test_first_request_goes_at_once_and_the_next_a_turn_later() -> None:
    """Nothing is saved up, so there is no burst either."""
    limit = RateLimit(10, now=100.0)
    assert limit.reserve(100.0) == 0.0
    assert limit.reserve(100.0) == pytest.approx(0.1 / HEADROOM)
    assert limit.reserve(100.05) == pytest.approx(0.2 / HEADROOM - 0.05)
    assert limit.taken == 3
    assert limit.backlog_seconds(100.05) == pytest.approx(0.3 / HEADROOM - 0.05)


def test_idle_time_is_not_saved_up() -> None:
    """After a quiet hour the requests are spaced as ever."""
    limit = RateLimit(40, now=0.0)
    assert turns(limit, [3600.0] * 3) == pytest.approx(
        [3600.0, 3600.0 + 0.025 / HEADROOM, 3600.0 + 0.05 / HEADROOM]
    )
    assert limit.backlog_seconds(9000.0) == 0.0


def test_no_second_holds_more_than_the_limit() -> None:
    """Not even when 400 requests ask at once."""
    moments = turns(RateLimit(40, now=0.0), [0.0] * 400)
    assert busiest_second(moments) <= 40
    assert 400 / moments[-1] == pytest.approx(38, abs=0.2)


@given(st.lists(st.floats(0, 20), min_size=1, max_size=200), st.sampled_from([1.0, 7.5, 40.0]))
def test_however_requests_come_the_limit_holds(asked_at: list[float], limit: float) -> None:
    """Waits are never negative, turns never closer than the limit allows."""
    moments = turns(RateLimit(limit, now=0.0), sorted(asked_at))
    assert all(moment >= asked for moment, asked in zip(moments, sorted(asked_at), strict=True))
    gaps = [after - before for before, after in pairwise(moments)]
    assert all(gap >= 1 / limit for gap in gaps)


def test_workers_share_the_limit_by_their_partitions() -> None:
    """Three workers with 3, 2 and 1 of 6 partitions stay below the limit together."""
    moments: list[float] = []
    for partitions in (3, 2, 1):
        moments += turns(RateLimit(40, now=0.0, share=partitions / 6), [0.0] * (partitions * 40))
    assert busiest_second(moments) <= 42  # each begins with one turn at the very same moment
    assert len(moments) / max(moments) == pytest.approx(38, rel=0.03)


def test_share_changes_with_the_partitions() -> None:
    """What a rebalance takes away slows down what comes after it."""
    limit = RateLimit(40, now=0.0)
    assert limit.per_second(0.0) == 40
    limit.set_share(1 / 4, 1.0)
    assert limit.per_second(1.0) == 10
    limit.set_share(3 / 4, 2.0)
    assert limit.per_second(2.0) == 30
    limit.set_share(7.0, 3.0)
    assert limit.per_second(3.0) == 40


def test_worker_without_partitions_may_probe() -> None:
    """A tenth of a request a second, and never more than the limit itself."""
    assert RateLimit(40, now=0.0, share=0.0).per_second(0.0) == 0.1
    assert RateLimit(0.05, now=0.0, share=0.0).per_second(0.0) == 0.05


def test_429_halves_the_rate_once_and_it_is_slowly_raised_again() -> None:
    """Answers to what was already in flight count as the same warning."""
    limit = RateLimit(40, now=0.0)
    for now in (10.0, 10.1, 12.0, 14.9):
        limit.halve(now)
    assert limit.throttled_times == 1
    assert limit.per_second(10.0) == 20
    assert limit.per_second(40.0) == pytest.approx(30)
    assert limit.per_second(70.0) == 40
    assert limit.per_second(10_000.0) == 40


def test_further_429_halve_further_and_never_to_nothing() -> None:
    """The rate falls with each warning, down to a trickle."""
    limit = RateLimit(40, now=0.0)
    limit.halve(0.0)
    limit.halve(5.0)
    assert limit.per_second(5.0) == pytest.approx(40 * (0.5 + 5 / 120) / 2)
    for number in range(2, 40):
        limit.halve(5.0 * number)
    assert limit.per_second(195.0) >= 40 / 64


def test_share_and_429_go_together() -> None:
    """A rebalance does not forget the warning."""
    limit = RateLimit(40, now=0.0)
    limit.halve(0.0)
    limit.set_share(0.5, 0.0)
    assert limit.per_second(0.0) == 10
    assert limit.per_second(60.0) == 20


def test_rate_is_never_above_the_limit() -> None:
    """Neither time nor share nor recovery lifts it."""
    limit = RateLimit(40, now=50.0)
    for now in (0.0, 49.0, 50.0, 51.0, 1e9):
        assert limit.per_second(now) == 40


@pytest.mark.parametrize("limit", [0, -1, float("nan")])
def test_limit_has_to_be_positive(limit: float) -> None:
    """A rate limit of nothing would wait for ever."""
    with pytest.raises(ValueError, match="positive"):
        RateLimit(limit, now=0.0)
