"""Carrying out faults: which function does which."""

import time
from collections.abc import Awaitable, Callable, Mapping

from tests.chaos import processes, surroundings
from tests.chaos.schedule import (
    BROKER_FAULTS,
    CLOCK,
    FROZEN,
    FROZEN_BESIDE,
    JOIN_KILL,
    KILL,
    ONE_EVENT_FAULTS,
    RECEIPTS_REFUSED,
    SECOND_KILL,
    SECOND_TERM,
    START_KILL,
    STAY_KILL,
    TERM,
    TRICKLE_KILL,
    VENDOR_FAULTS,
    WIPE,
    Plan,
)
from tests.chaos.site import Happened, Site

_DO: Mapping[str, Callable[[Site, Plan, Happened], Awaitable[None]]] = {
    KILL: processes.kill,
    WIPE: processes.kill,
    TERM: processes.terminate,
    START_KILL: processes.kill_starts,
    TRICKLE_KILL: processes.kill_at_trickle,
    SECOND_TERM: processes.second_worker,
    SECOND_KILL: processes.second_worker,
    JOIN_KILL: processes.kill_at_rebalance,
    STAY_KILL: processes.kill_at_rebalance,
    FROZEN: processes.freeze,
    FROZEN_BESIDE: processes.freeze,
    CLOCK: processes.step_clock,
    RECEIPTS_REFUSED: surroundings.refuse_receipts,
    **dict.fromkeys(BROKER_FAULTS, surroundings.break_broker),
    **dict.fromkeys(VENDOR_FAULTS, surroundings.break_vendor),
    **dict.fromkeys(ONE_EVENT_FAULTS, surroundings.refuse_one_event),
}


async def carry_out(site: Site, number: int, plan: Plan) -> Happened:
    """Do it, and return when the way is free again."""
    now = time.monotonic()
    happened = Happened(number, plan, now, now)
    await _DO[plan.kind](site, plan, happened)
    return happened
