"""What the courier tells the watchdog: whether a partition that stands still has a reason to."""

import asyncio

from streams.delivery.courier import LONGEST_REQUEST_SECONDS, Courier
from tests.delivery.test_courier import (
    ACCEPTED,
    MISCONFIGURED,
    UNAVAILABLE,
    FakeOutcomeHandler,
    FakeVendor,
    add,
    courier,
)
from tests.delivery.virtual_time import run


async def _settled(made: Courier, outcome_handler: FakeOutcomeHandler, *ids: str) -> None:
    while sorted(outcome_handler.accepted_ids) != sorted(ids):
        assert made.may_be_silent(0)
        await asyncio.sleep(0.5)


def test_waiting_for_company_for_a_response_or_for_the_next_try_is_a_reason() -> None:
    """All the way from the first event to its acceptance, through a failure."""

    async def main() -> None:
        fake = FakeVendor(lambda _, n: ACCEPTED if n else UNAVAILABLE, seconds=3.0)
        outcome_handler = FakeOutcomeHandler()
        made = courier(fake, outcome_handler)
        add(made, "a")
        await _settled(made, outcome_handler, "a")
        assert len(fake.requests) == 2
        assert not made.may_be_silent(0)

    run(main())


def test_a_parked_vendor_is_a_reason_for_every_partition() -> None:
    """For hours."""

    async def main() -> None:
        made = courier(FakeVendor(lambda *_: MISCONFIGURED), FakeOutcomeHandler())
        add(made, "a")
        for _ in range(100):
            await asyncio.sleep(60)
            assert made.may_be_silent(0)
            assert made.may_be_silent(1)

    run(main())


def test_events_that_got_lost_have_no_reason() -> None:
    """Nothing is in flight, nothing is timed, the vendor is there."""

    async def main() -> None:
        made = courier(FakeVendor(lambda *_: ACCEPTED), FakeOutcomeHandler())
        assert not made.may_be_silent(0)

    run(main())


def test_a_request_that_never_ends_is_no_reason_for_ever() -> None:
    """Its partition's newest request began too long ago."""

    async def main() -> None:
        fake = FakeVendor(lambda *_: ACCEPTED, seconds=2 * LONGEST_REQUEST_SECONDS)
        made = courier(fake, FakeOutcomeHandler())
        add(made, "a")
        await asyncio.sleep(LONGEST_REQUEST_SECONDS - 1)
        assert made.may_be_silent(0)
        await asyncio.sleep(2)
        assert not made.may_be_silent(0)
        await made.close_partitions([0])

    run(main())


def test_slots_that_others_hold_are_a_reason() -> None:
    """The queue goes when one is free."""

    async def main() -> None:
        fake = FakeVendor(lambda *_: ACCEPTED, seconds=5.0)
        outcome_handler = FakeOutcomeHandler()
        made = courier(fake, outcome_handler, batch=1, concurrency=1)
        add(made, "x", partition=1)
        await asyncio.sleep(1)
        add(made, "a")
        await _settled(made, outcome_handler, "x", "a")

    run(main())
