"""The courier under operator commands, in virtual time."""

import asyncio

from streams.core.control import VendorControl
from streams.core.outcome import RequestOutcome, Verdict
from tests.delivery.test_courier import (
    ACCEPTED,
    MISCONFIGURED,
    FakeOutcomeHandler,
    FakeVendor,
    add,
    courier,
    until,
)
from tests.delivery.virtual_time import run

PAUSE = VendorControl(paused=True, at="2026-11-21T10:02:30.000Z")
RESUME = VendorControl(at="2026-11-21T11:00:00.000Z", resumed_at="2026-11-21T11:00:00.000Z")
NOW_MS = 1_795_255_360_000


def test_requests_in_flight_end_and_none_starts_until_the_resume() -> None:
    """The response to the open request counts; an hour later the rest leaves at once, in order."""
    fake, outcome_handler = FakeVendor(lambda *_: ACCEPTED), FakeOutcomeHandler()

    async def main() -> float:
        made, loop = courier(fake, outcome_handler), asyncio.get_running_loop()
        add(made, "e0", "e1", "e2", "e3", "e4")
        await asyncio.sleep(0.001)
        made.apply(PAUSE, NOW_MS)
        add(made, "e5", "e6")
        await asyncio.sleep(3600)
        assert outcome_handler.accepted_ids == ["e0", "e1", "e2"]
        resumed_at = loop.time()
        made.apply(RESUME, NOW_MS)
        await until(lambda: len(outcome_handler.outcomes()) == 7)
        return resumed_at

    resumed_at = run(main())
    assert [request.ids for request in fake.requests] == [
        ("e0", "e1", "e2"),
        ("e3", "e4", "e5"),
        ("e6",),
    ]
    assert fake.requests[1].at == resumed_at


def test_a_pause_that_was_read_before_the_first_event_lets_none_out() -> None:
    """As at the start of a worker; what comes meanwhile waits."""
    fake, outcome_handler = FakeVendor(lambda *_: ACCEPTED), FakeOutcomeHandler()

    async def main() -> None:
        made = courier(fake, outcome_handler)
        made.apply(PAUSE, NOW_MS)
        add(made, "e0", "e1", "e2", "e3")
        add(made, "b0", key="bert")
        await asyncio.sleep(600)
        assert made.waiting() == 5

    run(main())
    assert fake.requests == []


def test_a_paused_vendor_is_not_probed_and_after_it_probe_then_one_event_then_all() -> None:
    """A wrong key that is put right during the pause is found out at once after it."""
    wrong = [True]
    fake, outcome_handler = (
        FakeVendor(lambda *_: MISCONFIGURED if wrong[0] else ACCEPTED),
        FakeOutcomeHandler(),
    )

    async def main() -> float:
        made, loop = courier(fake, outcome_handler), asyncio.get_running_loop()
        add(made, "a0")
        add(made, "b0", key="bert")
        add(made, "c0", key="carl", partition=1)
        await asyncio.sleep(5)
        assert made.client.breaker.state == "parked"
        made.apply(PAUSE, NOW_MS)
        before = len(fake.requests)
        await asyncio.sleep(3600)
        assert len(fake.requests) == before
        add(made, "a1", "a2", "a3")
        wrong[0] = False
        resumed_at = loop.time()
        made.apply(RESUME, NOW_MS)
        await until(lambda: len(outcome_handler.outcomes()) == 6)
        probe, first, *rest = fake.requests[before:]
        assert (probe.ids, first.ids) == ((), ("a0",))
        ids = sorted(request.ids for request in rest)
        assert ids == [("a1", "a2", "a3"), ("b0",), ("c0",)]
        assert probe.at - resumed_at < 1.0
        assert first.ended is not None
        assert all(request.at >= first.ended for request in rest)
        return resumed_at

    run(main())


def test_a_resume_after_most_were_refused_lets_one_event_decide() -> None:
    """The mapping is right again: the first response opens for all others, without a probe."""
    bad = [True]
    refused = Verdict(RequestOutcome.REJECTED, "422 no", 422)
    fake, outcome_handler = (
        FakeVendor(lambda *_: refused if bad[0] else ACCEPTED),
        FakeOutcomeHandler(),
    )

    async def main() -> None:
        made = courier(fake, outcome_handler, batch=6, concurrency=1)
        add(made, *(f"e{n}" for n in range(30)))
        await asyncio.sleep(600)
        assert made.client.breaker.state == "parked"
        before, given_up = len(fake.requests), len(outcome_handler.rejected_ids)
        assert given_up >= 20
        bad[0] = False
        made.apply(RESUME, NOW_MS)
        await until(lambda: len(outcome_handler.outcomes()) == 30)
        assert made.client.breaker.state == "running"
        assert len(fake.requests[before].ids) == 1
        assert outcome_handler.accepted_ids == [f"e{n}" for n in range(given_up, 30)]

    run(main())
    assert all(request.ids for request in fake.requests)
