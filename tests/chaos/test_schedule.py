"""The schedule of a chaos run follows from its seed and leaves no fault out."""

from dataclasses import fields
from typing import Any

from streams.engine.app import EngineOptions
from tests.chaos.schedule import (
    BROKER_FAULTS,
    BROKER_STOPPED,
    CLOCK,
    DISK_FULL,
    FROZEN,
    FROZEN_BESIDE,
    JOIN_KILL,
    KILL,
    OF_EACH_STAGE,
    ONE_EVENT_FAULTS,
    ORDER,
    RECEIPTS_REFUSED,
    SECOND_TERM,
    STAGES,
    START_KILL,
    STAY_KILL,
    TRICKLE_KILL,
    VENDOR_FAULTS,
    Lengths,
    only,
    schedule,
    short_schedule,
    without,
)
from tests.chaos.shop import VENDORS


def test_the_same_seed_makes_the_same_schedule() -> None:
    """And another one another."""
    assert schedule(60, 5, Lengths()) == schedule(60, 5, Lengths())
    assert schedule(60, 5, Lengths()) != schedule(60, 6, Lengths())
    assert short_schedule(5) == short_schedule(5)


def test_a_long_run_has_every_fault_at_every_target() -> None:
    """What befalls workers at each stage, all broker faults, each vendor fault at each vendor."""
    plans = [plan for one in schedule(80, 1, Lengths()) for plan in one]
    done = {(plan.kind, plan.target) for plan in plans}
    assert {(kind, stage) for kind in OF_EACH_STAGE for stage in STAGES} <= done
    assert {(kind, "") for kind in BROKER_FAULTS} <= done
    of_vendors = (*VENDOR_FAULTS, *ONE_EVENT_FAULTS, RECEIPTS_REFUSED)
    assert {(kind, vendor) for kind in of_vendors for vendor in VENDORS} <= done
    assert {plan.kind for plan in plans} == set(ORDER)


def test_clocks_are_stepped_both_ways_and_starts_are_killed_within_a_second() -> None:
    """Of each stage; a start is aimed at four times in a row."""
    plans = [plan for one in schedule(80, 1, Lengths()) for plan in one]
    steps = {(plan.target, plan.step > 0) for plan in plans if plan.kind == CLOCK}
    assert steps == {(stage, forward) for stage in STAGES for forward in (True, False)}
    aims = [plan.aims for plan in plans if plan.kind == START_KILL]
    assert {len(each) for each in aims} == {4}
    assert all(0 <= aim < 1 for each in aims for aim in each)
    assert len(set(aims)) == len(aims)


def test_workers_are_frozen_for_twice_their_session() -> None:
    """In the short run, too: less would be forgiven."""
    session: Any = next(
        one.default for one in fields(EngineOptions) if one.name == "session_seconds"
    )
    for one in (*schedule(80, 1, Lengths()), *short_schedule(1)):
        for plan in one:
            if plan.kind in (FROZEN, FROZEN_BESIDE):
                assert plan.seconds == 2 * session


def test_the_short_run_has_kills_of_all_stages_a_killed_start_and_a_frozen_worker() -> None:
    """And each vendor fault; what takes long or needs a second worker is left to the long run."""
    plans = [plan for one in short_schedule(1) for plan in one]
    kinds = {plan.kind for plan in plans}
    assert {plan.target for plan in plans if plan.kind == KILL} == set(STAGES)
    assert {*VENDOR_FAULTS, START_KILL, FROZEN, CLOCK} <= kinds
    assert set(ORDER) - kinds == {
        *(TRICKLE_KILL, SECOND_TERM, JOIN_KILL, STAY_KILL, FROZEN_BESIDE),
        *(BROKER_STOPPED, DISK_FULL, RECEIPTS_REFUSED, *ONE_EVENT_FAULTS),
    }


def test_rounds_are_chosen_by_words_and_left_out_by_kind() -> None:
    """Order and targets stay."""
    rounds = schedule(80, 1, Lengths())
    chosen = only(rounds, ["receipts refused", "disk"])
    kinds = [plan.kind for one in chosen for plan in one]
    assert sorted(kinds) == [*([DISK_FULL] * 2), *([RECEIPTS_REFUSED] * 3)]
    assert chosen == [one for one in rounds if one in chosen]
    assert len(without(chosen, DISK_FULL)) == 3
