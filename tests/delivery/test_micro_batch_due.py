"""When the courier wants its next events: shortly before the request of a micro-batch is due."""

import asyncio

from tests.delivery.test_courier import (
    ACCEPTED,
    UNAVAILABLE,
    FakeOutcomeHandler,
    FakeVendor,
    add,
    courier,
    until,
)
from tests.delivery.virtual_time import run


def test_the_oldest_waiting_event_says_when_its_micro_batch_is_due() -> None:
    """Of all partitions; nothing is due before the first event and after the request."""

    async def main() -> None:
        outcome_handler = FakeOutcomeHandler()
        made = courier(FakeVendor(lambda *_: ACCEPTED), outcome_handler, batch=10)
        now = asyncio.get_running_loop().time
        assert made.micro_batch_due_at() is None
        add(made, "a", partition=0)
        due = made.micro_batch_due_at()
        assert due == now() + 0.2
        await asyncio.sleep(0.1)
        add(made, "b", partition=1)
        assert made.micro_batch_due_at() == due
        await until(lambda: len(outcome_handler.accepted_ids) == 2)
        assert now() < due + 0.1
        assert made.micro_batch_due_at() is None

    run(main())


def test_an_event_that_waits_for_its_retry_makes_no_other_wait() -> None:
    """New events are wanted at once: they may be of other partitions."""

    async def main() -> None:
        made = courier(FakeVendor(lambda *_: UNAVAILABLE), FakeOutcomeHandler(), batch=10)
        add(made, "a")
        await until(lambda: made.may_be_silent(0) and made.in_flight == 0)
        await asyncio.sleep(6.0)
        assert made.waiting() == 1
        assert made.micro_batch_due_at() is None

    run(main())
