"""A partition that goes to another worker is neither sent nor judged here any more."""

import asyncio

from streams.core.outcome import SkipReason, Verdict
from streams.delivery.courier import CLOSE_SECONDS
from tests.delivery.test_courier import (
    ACCEPTED,
    MISCONFIGURED,
    FakeOutcomeHandler,
    FakeVendor,
    Request,
    add,
    courier,
    until,
)
from tests.delivery.test_courier_lanes import World
from tests.delivery.virtual_time import run


def test_what_waited_is_the_next_owners_however_the_rows_look_here() -> None:
    """With the partition its visitors' rows have gone: without them all would be skipped."""

    async def main() -> World:
        world = World(lambda *_: ACCEPTED, concurrency=1, seconds=1.0)
        for number in range(5):
            world.add(f"gone{number}", key=f"v{number}", partition=0)
            world.add(f"kept{number}", key=f"v{number}", partition=1)
        await until(lambda: len(world.fake.requests) == 1)
        await world.courier.quiesce(3.0)
        world.send_filter.stops = {f"gone{n}": SkipReason.NO_CONSENT for n in range(5)}
        world.courier.leave_partition(0)
        world.courier.resume()
        await until(lambda: len(world.outcome_handler.accepted_ids) == 6)
        await asyncio.sleep(60)
        return world

    world = run(main())
    # The queues take turns; which one comes first is theirs.
    assert world.outcome_handler.accepted_ids[0] == "gone0"
    assert sorted(world.outcome_handler.accepted_ids[1:]) == [
        f"kept{number}" for number in range(5)
    ]
    assert world.outcome_handler.skipped_ids == []


def test_what_waits_for_its_turn_in_the_quota_is_let_go_of_too() -> None:
    """Its turn comes after the partition has gone, and is taken by nobody."""

    async def main() -> World:
        world = World(lambda *_: ACCEPTED, per_second=1.0)
        for number in range(4):
            world.add(f"e{number}", key=f"v{number}", partition=number)
        await asyncio.sleep(0.5)
        world.send_filter.stops["e2"] = SkipReason.NO_CONSENT
        world.courier.leave_partition(2)
        await until(lambda: len(world.outcome_handler.accepted_ids) == 3)
        await asyncio.sleep(60)
        return world

    world = run(main())
    assert sorted(world.outcome_handler.accepted_ids) == ["e0", "e1", "e3"]
    assert world.sent("e2") == []
    assert world.outcome_handler.skipped_ids == []


def test_partitions_that_hang_are_closed_together() -> None:
    """Twelve of them take as long as one: 3 s for answers, then 30 s."""

    async def main() -> float:
        fake, loop = FakeVendor(lambda *_: ACCEPTED, seconds=119.0), asyncio.get_running_loop()
        made = courier(fake, FakeOutcomeHandler(), batch=1, concurrency=32)
        for partition in range(12):
            add(made, f"e{partition}", partition=partition)
        await asyncio.sleep(1)
        began = loop.time()
        await made.quiesce(3.0)
        await made.close_partitions(range(12))
        assert made.in_flight == 0
        return loop.time() - began

    assert run(main()) == 3.0 + CLOSE_SECONDS


def test_a_vendor_is_tried_again_after_a_trial_that_a_rebalance_gave_up() -> None:
    """It hung, so the rebalance cancelled it; the vendor is well and gets all that waits."""

    def judge(request: Request, number: int) -> Verdict:
        if not request.ids:
            fake.seconds = 60.0  # it answers a probe, and hangs over the event after it
        return ACCEPTED if number else MISCONFIGURED

    fake, outcome_handler = FakeVendor(judge), FakeOutcomeHandler()

    async def main() -> None:
        made = courier(fake, outcome_handler, batch=1)
        add(made, "a0", "a1")
        await until(lambda: made.client.breaker.is_trying)
        await until(lambda: made.in_flight == 1)
        await made.quiesce(3.0)
        await made.close_partitions([0])
        fake.seconds = 0.01
        made.open_partition(0, 0)
        made.resume()
        add(made, "a0", "a1")
        await until(lambda: len(outcome_handler.accepted_ids) == 2, 60.0)
        assert made.client.breaker.state == "running"

    run(main())
    assert outcome_handler.accepted_ids == ["a0", "a1"]
