"""While the partitions may be another worker's already, nothing is sent."""

import asyncio

from tests.delivery.test_courier import (
    ACCEPTED,
    FakeOutcomeHandler,
    FakeVendor,
    add,
    courier_of,
    until,
    vendor,
)
from tests.delivery.virtual_time import run


class World:
    """A courier whose worker may or may not act."""

    def __init__(self) -> None:
        self.may_act = True
        self.fake, self.outcome_handler = (
            FakeVendor(lambda *_: ACCEPTED, seconds=1.0),
            FakeOutcomeHandler(),
        )
        self.courier = courier_of(
            vendor(self.fake, batch=1),
            self.fake,
            self.outcome_handler,
            may_act=lambda: self.may_act,
        )


def test_no_request_is_started_until_the_membership_is_confirmed() -> None:
    """Its response is kept; the next request goes once the broker has answered."""

    async def main() -> World:
        world = World()
        add(world.courier, "e1", "e2")
        await until(lambda: len(world.fake.requests) == 1)
        world.may_act = False
        await asyncio.sleep(60)
        assert world.outcome_handler.accepted_ids == ["e1"]
        assert len(world.fake.requests) == 1
        world.may_act = True
        await until(lambda: world.outcome_handler.accepted_ids == ["e1", "e2"])
        return world

    run(main())


def test_a_partition_that_is_lost_meanwhile_is_not_sent_at_all() -> None:
    """Also where the worker is confirmed as a member again, of other partitions."""

    async def main() -> World:
        world = World()
        world.may_act = False
        add(world.courier, "e1", partition=0)
        add(world.courier, "e2", partition=1)
        await asyncio.sleep(5)
        await world.courier.close_partitions({0})
        world.may_act = True
        await asyncio.sleep(60)
        return world

    assert run(main()).outcome_handler.accepted_ids == ["e2"]


def test_a_worker_that_stops_does_not_wait_for_the_word() -> None:
    """It leaves the rest uncommitted, as always."""

    async def main() -> None:
        world = World()
        world.may_act = False
        add(world.courier, "e1")
        await asyncio.sleep(5)
        before = asyncio.get_running_loop().time()
        await world.courier.quiesce(8.0)
        assert asyncio.get_running_loop().time() - before < 0.5
        assert world.fake.requests == []
        assert world.courier.unclear(0, 0) == []

    run(main())
