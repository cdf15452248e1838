"""Whose turn it is: live first, and nobody starves."""

from hypothesis import given
from hypothesis import strategies as st

from streams.delivery.lanes import LEAST_PERCENT, Lane, Turns

LIVE, RETRY, REDELIVERY, SUSPECT = Lane


def play(turns: Turns, waiting: list[set[Lane]]) -> list[Lane]:
    """Give one turn after the other to who wants it."""
    given_to = []
    for lanes in waiting:
        lane = turns.next(lanes)
        turns.record(lane, lanes)
        given_to.append(lane)
    return given_to


def test_live_goes_first_and_redeliveries_get_one_turn_in_twenty() -> None:
    """The twenty-first turn is the first that redeliveries are owed, then each twentieth."""
    found = play(Turns(), [{LIVE, REDELIVERY}] * 100)
    assert [n for n, lane in enumerate(found) if lane is REDELIVERY] == [20, 40, 60, 80]


def test_retries_get_one_turn_in_five() -> None:
    """They hold up their queues, so they wait less than replays do."""
    found = play(Turns(), [{LIVE, RETRY}] * 25)
    assert [n for n, lane in enumerate(found) if lane is RETRY] == [5, 10, 15, 20]


def test_without_live_events_retries_go_before_redeliveries() -> None:
    """Which still get their twentieth."""
    found = play(Turns(), [{RETRY, REDELIVERY}] * 41)
    assert [n for n, lane in enumerate(found) if lane is REDELIVERY] == [20, 40]


def test_who_waits_alone_is_served_at_once() -> None:
    """And has saved nothing up by it."""
    turns = Turns()
    assert play(turns, [{REDELIVERY}] * 1_000) == [REDELIVERY] * 1_000
    assert play(turns, [{LIVE, REDELIVERY}] * 20) == [LIVE] * 20


@given(st.lists(st.sets(st.sampled_from(list(Lane)), min_size=1), max_size=400))
def test_a_lane_gets_its_least_share_of_the_turns_for_which_it_waits(
    waiting: list[set[Lane]],
) -> None:
    """Whatever the others do, but for two turns; and nobody gets a turn who does not wait."""
    found = play(Turns(), waiting)
    assert all(lane in lanes for lane, lanes in zip(found, waiting, strict=True))
    for lane in Lane:
        wanted = sum(lane in lanes for lanes in waiting)
        assert found.count(lane) >= wanted * LEAST_PERCENT[lane] // 100 - 2


@given(st.lists(st.sets(st.sampled_from(list(Lane)), min_size=1), max_size=400))
def test_live_is_never_held_up_by_more_than_two_turns_in_a_row(waiting: list[set[Lane]]) -> None:
    """A retry and a redelivery that are both owed one."""
    row = 0
    for lane, lanes in zip(play(Turns(), waiting), waiting, strict=True):
        row = row + 1 if LIVE in lanes and lane is not LIVE else 0
        assert row <= 2
