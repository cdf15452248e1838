"""The schedule of a chaos run follows from its seed and leaves no fault out."""

from tests.chaos.schedule import (
    BROKER_FAULTS,
    KILL,
    ORDER,
    STAGES,
    VENDOR_FAULTS,
    Lengths,
    schedule,
    short_schedule,
)
from tests.chaos.shop import VENDORS


def test_the_same_seed_makes_the_same_schedule() -> None:
    """And another one another."""
    assert schedule(60, 5, Lengths()) == schedule(60, 5, Lengths())
    assert schedule(60, 5, Lengths()) != schedule(60, 6, Lengths())
    assert short_schedule(5) == short_schedule(5)


def test_a_long_run_has_every_fault_at_every_target() -> None:
    """Kills of each stage, all broker faults, each vendor fault at each vendor."""
    plans = [plan for one in schedule(60, 1, Lengths()) for plan in one]
    done = {(plan.kind, plan.target) for plan in plans}
    assert {(KILL, stage) for stage in STAGES} <= done
    assert {(kind, "") for kind in BROKER_FAULTS} <= done
    assert {(kind, vendor) for kind in VENDOR_FAULTS for vendor in VENDORS} <= done
    assert {plan.kind for plan in plans} == set(ORDER)


def test_the_short_run_has_kills_of_all_stages_and_each_vendor_fault() -> None:
    """It leaves out only the second worker's SIGTERM and the stopped broker."""
    plans = [plan for one in short_schedule(1) for plan in one]
    assert {plan.target for plan in plans if plan.kind == KILL} == set(STAGES)
    assert set(VENDOR_FAULTS) <= {plan.kind for plan in plans}
    assert len(set(ORDER) - {plan.kind for plan in plans}) == 2
