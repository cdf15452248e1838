"""A circuit breaker that closes while queues wait for a request slot, in virtual time."""

from streams.core.outcome import RequestOutcome, Verdict
from tests.delivery.test_courier import (
    ACCEPTED,
    FakeOutcomeHandler,
    FakeVendor,
    add,
    courier,
    until,
)
from tests.delivery.virtual_time import run


def test_who_waited_for_a_slot_goes_on_once_the_breaker_is_open_again() -> None:
    """The circuit breaker was open when they began to wait, so nobody looked at it for them."""
    slow_down = Verdict(RequestOutcome.THROTTLED, "429", 429, retry_after_seconds=3.0)
    fake = FakeVendor(lambda _, number: ACCEPTED if number else slow_down)
    outcome_handler = FakeOutcomeHandler()

    async def main() -> None:
        made = courier(fake, outcome_handler, batch=1, concurrency=1)
        add(made, "a0")
        add(made, "b0", key="bert")
        add(made, "c0", partition=1)
        await until(lambda: len(outcome_handler.outcomes()) == 3, 60.0)

    run(main())
    assert [request.ids for request in fake.requests] == [("a0",), ("b0",), ("c0",), ("a0",)]
    assert fake.requests[1].at - (fake.requests[0].ended or 0.0) >= 3.0
