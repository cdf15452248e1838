"""What an orderly stop leaves to the next owner, where the vendor is asked before a repeat."""

import asyncio
from dataclasses import replace

from streams.core.outcome import Verdict
from streams.delivery.courier import MAX_UNCLEAR
from streams.delivery.former_owner import ANSWERED_BY_THEN_SECONDS
from streams.delivery.ordered_queue import Item
from tests.delivery.test_courier import (
    ACCEPTED,
    UNAVAILABLE,
    UNCLEAR,
    FakeOutcomeHandler,
    FakeVendor,
    Request,
    courier_of,
    vendor,
)
from tests.delivery.virtual_time import run

FIRST_WAIT = 10.0


class World:
    """A courier of a vendor that can look up events, with about one queue per visitor."""

    def __init__(self, *verdicts: Verdict) -> None:
        waiting = list(verdicts)

        def judge(_request: Request, _number: int) -> Verdict:
            return waiting.pop(0) if waiting else ACCEPTED

        self.fake, self.outcome_handler = FakeVendor(judge, seconds=1.0), FakeOutcomeHandler()
        self.items: list[Item] = []
        asked = replace(
            vendor(self.fake, batch=1),
            can_look_up_delivered=True,
            retry_waits=(FIRST_WAIT, 300.0),
            queues=1_000,
        )
        self.courier = courier_of(
            asked,
            self.fake,
            self.outcome_handler,
        )

    def add(self, *positions: int, run_id: str | None = None) -> None:
        """Hand over events, each of another visitor."""
        for position in positions:
            item = Item(0, position, f"e{position}", "s", "2026-01-01T00:00:00.000Z", b"", 0)
            item.run_id = run_id
            self.items.append(item)
            self.courier.add(item, item.event_id.encode(), f"v{position}")
        self.courier.start_requests()

    async def stopped(self, read_below: int, *, is_redelivery: bool = False) -> list[int] | None:
        """End in order; return what is left unclear."""
        await self.courier.quiesce(8.0)
        return self.courier.unclear(0, read_below, is_redelivery=is_redelivery)


def test_a_worker_that_works_may_leave_requests_at_any_time() -> None:
    """Nothing is clean before it begins nothing any more."""

    async def main() -> None:
        assert World().courier.unclear(0, 0) is None

    run(main())


def test_after_an_orderly_stop_nothing_is_unclear() -> None:
    """Answers came in time; what was refused for now was not stored."""

    async def main() -> None:
        world = World(UNAVAILABLE)
        world.add(4, 5, 6)
        await asyncio.sleep(0.5)
        assert await world.stopped(7) == []

    run(main())


def test_what_was_answered_without_a_verdict_is_named_while_it_waits() -> None:
    """In its lane only."""

    async def main() -> None:
        world = World(UNCLEAR)
        world.add(4, 5, 6)
        await asyncio.sleep(5)
        assert await world.stopped(7) == [4]
        assert world.courier.unclear(0, 7, is_redelivery=True) == []

    run(main())


def test_a_request_that_is_not_answered_in_time_leaves_its_partition_unclear() -> None:
    """The other ones are clean."""

    async def main() -> None:
        world = World()
        world.fake.seconds = 100.0
        world.add(4)
        await asyncio.sleep(0.5)
        assert await world.stopped(5) is None
        assert world.courier.unclear(1, 5) == []
        await world.courier.close_partitions({0})

    run(main())


def test_what_a_former_owner_left_open_stays_unclear_until_it_is_read() -> None:
    """A stop soon after a crash must not say that all is clear."""

    async def main() -> None:
        world = World()
        world.courier.open_partition(0, left_open_below=8)
        world.add(4)
        await asyncio.sleep(1)
        assert await world.stopped(5) is None
        world.add(7)
        assert world.courier.unclear(0, 8) == [4, 7]

    run(main())


def test_the_next_owner_asks_for_what_is_named_and_sends_all_others_at_once() -> None:
    """Its own wait is that of a first retry, not of a request that nobody saw answered."""

    async def main() -> World:
        world = World()
        world.courier.open_partition(0, 0, unclear=[5])
        world.add(4, 5, 6)
        await asyncio.sleep(FIRST_WAIT + 5)
        return world

    world = run(main())
    assert [item.unclear for item in world.items] == [False, True, False]
    assert sorted(world.outcome_handler.accepted_ids) == ["e4", "e5", "e6"]
    sent = {request.ids[0]: request.at for request in world.fake.requests}
    assert sent["e4"] < 1
    assert sent["e6"] < 1
    assert FIRST_WAIT <= sent["e5"] < FIRST_WAIT + 1 < ANSWERED_BY_THEN_SECONDS


def test_what_is_named_and_not_read_yet_is_named_again() -> None:
    """Until it is, nobody has asked for it."""

    async def main() -> None:
        world = World()
        world.courier.open_partition(0, 0, unclear=[5, 9])
        world.add(5)
        assert await world.stopped(6) == [5, 9]

    run(main())


def test_more_than_can_be_named_leaves_the_partition_unclear() -> None:
    """Then the next owner asks for whatever may be meant."""

    async def main() -> None:
        world = World()
        world.courier.open_partition(0, 0, unclear=range(MAX_UNCLEAR + 1))
        assert await world.stopped(0) is None
        world.courier.open_partition(0, 0, unclear=range(MAX_UNCLEAR))
        assert world.courier.unclear(0, 0) == list(range(MAX_UNCLEAR))

    run(main())
