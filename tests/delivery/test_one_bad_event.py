"""One event over which its vendor fails stops nobody; a vendor that fails has no bad events."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.vendors.base import HttpRequest, HttpResponse, Vendor
from tests.delivery.shop import (
    COUNTING,
    EIGHTSELECT,
    MINUTE,
    MISO,
    NO_ANSWER,
    PARTITIONS,
    VISITORS,
    Answer,
    Delivered,
    deliver,
    is_odd,
    one_event,
    status,
)
from tests.delivery.virtual_time import run

KINDS = [
    pytest.param(EIGHTSELECT, id="one event a request"),
    pytest.param(MISO, id="batches"),
    pytest.param(COUNTING, id="quota"),
]
FAILURES = [status(500), status(403), status(503, retry_after=120), status(429, 30), NO_ANSWER]
ODD = "0/40"


def failing_over(response: HttpResponse) -> Answer:
    """A vendor that answers this to every request with a marked event."""
    return lambda request, _: response if is_odd(request) else None


def with_one_bad_event(
    vendor: Vendor, response: HttpResponse, minutes: float = 14, per_second: float = 12.0
) -> Delivered:
    """What a shop's events come to."""
    return run(
        deliver(
            vendor,
            failing_over(response),
            seconds=minutes * MINUTE,
            per_second=per_second,
            mark=one_event,
        )
    )


def holds(seen: Delivered) -> None:
    """All but what came in the last seconds is accepted, as soon as without the bad event."""
    assert len(seen.accepted) >= 0.99 * seen.handed_over
    assert seen.median_age < 0.5


@pytest.mark.parametrize("response", FAILURES, ids=["500", "403", "503", "429", "no response"])
@pytest.mark.parametrize("vendor", KINDS)
def test_one_event_that_always_fails_becomes_a_dead_letter_and_the_others_go_on(
    vendor: Vendor, response: HttpResponse
) -> None:
    """After five tries over ten minutes, and not much later."""
    seen = with_one_bad_event(vendor, response)
    holds(seen)
    assert [*seen.given_up] == [ODD]
    assert 600.0 <= seen.given_up[ODD] < 800.0
    assert seen.attempts[ODD] >= 5
    assert seen.refused == []
    assert seen.states["running"] >= 0.9 * seen.states.total()


@given(
    code=st.integers(300, 599),
    retry_after=st.sampled_from([None, 0, 1, 60, 600]),
    vendor=st.sampled_from([EIGHTSELECT, MISO]),
)
@settings(max_examples=6)
def test_whatever_the_status_the_others_go_on(
    code: int, retry_after: int | None, vendor: Vendor
) -> None:
    """Given up or refused: one event, and no other."""
    seen = with_one_bad_event(vendor, status(code, retry_after), minutes=45, per_second=2.0)
    holds(seen)
    assert [*seen.given_up, *seen.refused] in ([ODD], [])


def test_the_innocent_events_of_a_batch_are_through_within_seconds() -> None:
    """Of 500 in one request one is bad; nothing is known of any before it failed twice."""
    seen = run(
        deliver(
            MISO,
            failing_over(status(500)),
            seconds=MINUTE,
            per_second=600.0,
            mark=one_event,
        )
    )
    assert max(seen.ages) < 5.0
    assert seen.handed_over - len(seen.accepted) <= 600


@pytest.mark.parametrize("response", [status(500), status(403)], ids=["500", "403"])
def test_where_nobody_else_could_be_tried_the_first_ones_make_way(response: HttpResponse) -> None:
    """One partition, one order, and the bad event is the first of all."""
    seen = run(
        deliver(
            MISO,
            failing_over(response),
            seconds=14 * MINUTE,
            per_second=2.0,
            partitions=[0],
            mark=lambda _, position: b',"odd":true' if position == 0 else b"",
        )
    )
    assert [*seen.given_up] == ["0/0"]
    assert len(seen.accepted) >= 0.99 * seen.handed_over


def test_only_the_visitors_own_later_events_wait_and_then_go_in_order() -> None:
    """200 visitors take turns, so every 200th event is theirs."""
    seen = with_one_bad_event(MISO, status(500), minutes=20)
    late = [event for event, age in zip(seen.accepted, seen.ages, strict=True) if age > 10.0]
    theirs = [f"0/{position}" for position in range(240, 1_400, 200)]
    assert late == theirs[: len(late)]
    assert len(late) >= 5


# -- a vendor that fails


def nothing_is_given_up(vendor: Vendor, response: Answer, minutes: float = 15) -> Delivered:
    """Neither while it fails, nor after; once it is well, all is accepted."""
    failing = minutes * MINUTE
    seen = run(
        deliver(
            vendor,
            lambda request, now: response(request, now) if now < failing else None,
            seconds=failing,
            per_second=2.0,
            mark=lambda _, position: b',"odd":true' if position % VISITORS % 3 == 0 else b"",
            drain=30 * MINUTE,
        )
    )
    assert seen.given_up == {}
    assert sorted(seen.accepted) == sorted(set(seen.accepted))
    assert len(seen.accepted) == seen.handed_over
    return seen


@pytest.mark.parametrize("response", FAILURES, ids=["500", "403", "503", "429", "no response"])
@pytest.mark.parametrize("vendor", KINDS)
def test_a_vendor_that_fails_over_everything_is_closed_and_gives_up_nothing(
    vendor: Vendor, response: HttpResponse
) -> None:
    """Parked as ever, or throttled where it asks for that."""
    seen = nothing_is_given_up(vendor, lambda *_: response, minutes=25)
    closed = seen.states["parked"] + seen.states["throttled"]
    assert closed >= 20 * MINUTE


@given(
    share=st.sampled_from([0.1, 0.3, 0.5, 0.9]),
    failure=st.sampled_from([500, 503]),
    seed=st.integers(0, 1_000),
    vendor=st.sampled_from([EIGHTSELECT, MISO, COUNTING]),
)
@settings(max_examples=6)
def test_a_vendor_that_fails_at_random_gives_up_nothing(
    share: float, failure: int, seed: int, vendor: Vendor
) -> None:
    """However often it fails."""
    chance = random.Random(seed)
    nothing_is_given_up(vendor, lambda *_: status(failure) if chance.random() < share else None)


@given(
    period=st.sampled_from([20.0, 120.0, 600.0]),
    failure=st.sampled_from([500, 403, 429]),
    vendor=st.sampled_from([EIGHTSELECT, MISO, COUNTING]),
)
@settings(max_examples=6)
def test_outages_that_come_and_go_give_up_nothing(
    period: float, failure: int, vendor: Vendor
) -> None:
    """It fails over everything for half of each period."""
    nothing_is_given_up(
        vendor, lambda _, now: status(failure) if now % period < period / 2 else None
    )


@pytest.mark.parametrize("vendor", KINDS)
def test_a_vendor_that_fails_over_a_whole_kind_of_events_gives_up_nothing(vendor: Vendor) -> None:
    """A third of all visitors: that is no bad event. The others go on."""

    def response(request: HttpRequest, _now: float) -> HttpResponse | None:
        return status(500) if is_odd(request) else None

    seen = nothing_is_given_up(vendor, response)
    assert len([age for age in seen.ages if age < MINUTE]) >= 0.4 * seen.handed_over


def test_the_events_of_a_bad_product_are_given_up_and_no_others() -> None:
    """One in a hundred, of two visitors a partition: each event has its ten minutes."""
    seen = run(
        deliver(
            EIGHTSELECT,
            failing_over(status(500)),
            seconds=30 * MINUTE,
            mark=lambda _, position: b',"odd":true' if position % 100 == 7 else b"",
        )
    )
    holds_for = len(seen.accepted) / seen.handed_over
    assert holds_for >= 0.98 * 0.99
    assert {int(name.partition("/")[2]) % 100 for name in seen.given_up} == {7}
    assert len(seen.given_up) >= 4 * len(PARTITIONS)
    assert all(age >= 600.0 for age in seen.given_up.values())
