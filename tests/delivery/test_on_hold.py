"""Nothing is sent for partitions whose outcomes cannot be kept; at first one request goes alone."""

import asyncio

from streams.core.outcome import Verdict
from streams.delivery.ordered_queue import Item
from tests.delivery.test_courier import (
    ACCEPTED,
    FakeOutcomeHandler,
    FakeVendor,
    add,
    courier,
    until,
)
from tests.delivery.virtual_time import run


class SlowOutcomeHandler(FakeOutcomeHandler):
    """An outcome handler that writes receipts when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = asyncio.Event()

    async def _keep(self) -> None:
        await self.kept.wait()

    def write_accepted(  # type: ignore[override]
        self, items: tuple[Item, ...], verdict: Verdict, /
    ) -> "asyncio.Task[None]":
        """Note what was taken."""
        super().write_accepted(items, verdict)
        return asyncio.ensure_future(self._keep())


def test_at_first_one_request_goes_alone_until_its_outcome_is_kept() -> None:
    """However many partitions and visitors wait; then all go at once."""

    async def main() -> None:
        fake, outcome_handler = FakeVendor(lambda *_: ACCEPTED), SlowOutcomeHandler()
        made = courier(fake, outcome_handler, batch=1)
        made.send_one_at_a_time()
        for partition in range(4):
            add(made, f"e{partition}", partition=partition)
        await asyncio.sleep(3_600)
        assert len(fake.requests) == 1
        assert all(made.may_be_silent(partition) for partition in (1, 2, 3))
        made.on_outcomes_written()
        await asyncio.sleep(0.001)
        assert len(fake.requests) == 4
        outcome_handler.kept.set()
        await until(lambda: made.in_flight == 0)
        assert sorted(outcome_handler.accepted_ids) == ["e0", "e1", "e2", "e3"]

    run(main())


def test_a_partition_on_hold_sends_nothing_and_the_others_go_on() -> None:
    """Once it is released its events go, in order."""

    async def main() -> None:
        fake, outcome_handler = FakeVendor(lambda *_: ACCEPTED), FakeOutcomeHandler()
        made = courier(fake, outcome_handler, batch=1)
        made.hold([0])
        assert made.is_on_hold is True
        add(made, "a1", "a2", partition=0)
        add(made, "b1", "b2", partition=1)
        await asyncio.sleep(3_600)
        assert outcome_handler.accepted_ids == ["b1", "b2"]
        assert made.is_on_hold is None
        assert made.may_be_silent(0)
        add(made, "a3", partition=0)
        made.hold([])
        assert made.is_on_hold is False
        await until(lambda: len(outcome_handler.accepted_ids) == 5)
        assert outcome_handler.accepted_ids[2:] == ["a1", "a2", "a3"]

    run(main())


def test_leaving_a_partition_on_hold_does_not_wait_for_its_receipts() -> None:
    """They may take hours, and a rebalance must not."""

    async def main() -> None:
        fake, outcome_handler = FakeVendor(lambda *_: ACCEPTED), SlowOutcomeHandler()
        made = courier(fake, outcome_handler)
        add(made, "a")
        await until(lambda: outcome_handler.accepted_ids == ["a"])
        made.hold([0])
        began = asyncio.get_running_loop().time()
        await made.close_partitions({0})
        assert asyncio.get_running_loop().time() == began
        assert made.in_flight == 0

    run(main())
