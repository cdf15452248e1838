"""The courier's lanes and its send_filter, with a vendor that is a function, in virtual time."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.control import VendorControl
from streams.core.outcome import RequestOutcome, SkipReason, Verdict
from streams.delivery.ordered_queue import Item
from tests.delivery.test_courier import (
    ACCEPTED,
    MISCONFIGURED,
    REJECTED,
    UNAVAILABLE,
    VERDICTS,
    FakeOutcomeHandler,
    FakeVendor,
    Request,
    courier_of,
    until,
    vendor,
)
from tests.delivery.virtual_time import run

NO_CONSENT = SkipReason.NO_CONSENT
Stopped = SkipReason | None


class FakeSendFilter:
    """Stops the events that it is told to; notes which it saw when."""

    def __init__(self) -> None:
        self.stops: dict[str, Stopped] = {}
        self.current = True
        self.stale: set[int] = set()
        """Partitions of which it cannot judge."""

    def is_current(self, partition: int) -> bool:
        """Whether it can judge."""
        return self.current and partition not in self.stale

    def stopped(self, items: Sequence[Item]) -> Mapping[int, Stopped]:
        """Return which of these are stopped."""
        names = [(number, item.event_id) for number, item in enumerate(items)]
        return {number: self.stops[name] for number, name in names if name in self.stops}


class World:
    """A courier with all that is around it, on the running loop."""

    def __init__(
        self,
        judge: Callable[[Request, int], Verdict],
        *,
        seconds: float = 0.01,
        batch: int = 1,
        concurrency: int = 4,
        per_second: float | None = None,
    ) -> None:
        self.fake, self.outcome_handler, self.send_filter = (
            FakeVendor(judge, seconds),
            FakeOutcomeHandler(),
            FakeSendFilter(),
        )
        self.bad_runs: list[tuple[str, str]] = []
        self.attempts: dict[str, Item] = {}
        made = vendor(self.fake, batch=batch, concurrency=concurrency)
        self.courier = courier_of(
            replace(made, requests_per_second=lambda _: per_second),
            self.fake,
            self.outcome_handler,
            send_filter=self.send_filter,
            on_bad_run=lambda name, why: self.bad_runs.append((name, why)),
        )

    def add(
        self, *ids: str, run_id: str | None = None, partition: int = 0, key: str = "anna"
    ) -> None:
        """Hand over events of one visitor."""
        for event_id in ids:
            at = "2026-01-01T00:00:00.000Z"
            item = Item(partition, 0, event_id, "t/0/0", at, b"", 0, run_id=run_id)
            self.attempts[event_id] = item
            self.courier.add(item, event_id.encode(), key)
        self.courier.start_requests()

    def sent(self, event_id: str) -> list[float]:
        """When requests with this event began."""
        return [request.at for request in self.fake.requests if event_id in request.ids]

    def outcomes(self) -> Counter[str]:
        """How many outcomes each event has."""
        return self.outcome_handler.outcomes()


def test_the_guard_is_asked_before_each_attempt_and_the_others_of_the_batch_go() -> None:
    """The first attempt fails; meanwhile one event's visitor says no."""

    async def main() -> World:
        world = World(lambda _, n: UNAVAILABLE if n == 0 else ACCEPTED, batch=3)
        world.add("a", "b", "c")
        await until(lambda: len(world.fake.requests) == 1)
        world.send_filter.stops["b"] = NO_CONSENT
        await until(lambda: len(world.outcomes()) == 3)
        return world

    world = run(main())
    assert [request.ids for request in world.fake.requests] == [("a", "b", "c"), ("a", "c")]
    assert world.outcome_handler.skipped_ids == ["b"]
    assert world.attempts["b"].attempts == 1
    assert world.outcome_handler.accepted_ids == ["a", "c"]


def test_after_an_hour_parked_nothing_is_sent_of_who_said_no_meanwhile() -> None:
    """Of 40 events of four visitors, those of the one are skipped without a request."""
    opened_at = 3_600.0

    async def main() -> World:
        world = World(lambda r, _: ACCEPTED if r.at > opened_at else MISCONFIGURED)
        for number in range(10):
            for visitor in ("anna", "bert", "carl", "dora"):
                world.add(f"{visitor}{number}", key=visitor)
        await until(lambda: world.courier.client.breaker.state == "parked")
        tried = Counter(event_id for request in world.fake.deliveries() for event_id in request.ids)
        assert sum(tried.values()) <= 4
        await asyncio.sleep(1_800)
        world.send_filter.stops = {f"bert{number}": NO_CONSENT for number in range(10)}
        await until(lambda: len(world.outcomes()) == 40)
        return world

    world = run(main())
    assert sorted(world.outcome_handler.skipped_ids) == [f"bert{number}" for number in range(10)]
    late = [event_id for r in world.fake.deliveries() if r.at > 1_900 for event_id in r.ids]
    assert not [event_id for event_id in late if event_id.startswith("bert")]
    assert len(world.outcome_handler.accepted_ids) == 30


def test_while_waiting_for_a_turn_in_the_quota_consent_may_go() -> None:
    """The turn is lost, the request is not made."""

    async def main() -> World:
        world = World(lambda *_: ACCEPTED, per_second=1.0)
        for number in range(5):
            world.add(f"e{number}", key=f"v{number}", partition=number)
        await asyncio.sleep(0.5)
        world.send_filter.stops["e1"] = NO_CONSENT
        await until(lambda: len(world.outcomes()) == 5)
        return world

    world = run(main())
    assert world.sent("e1") == []
    assert world.outcome_handler.skipped_ids == ["e1"]
    assert world.attempts["e1"].attempts == 0


def test_nothing_is_sent_by_rows_that_are_too_old() -> None:
    """It waits, however long, without being tried; a partition that goes is not held up by it."""

    async def main() -> World:
        world = World(lambda *_: ACCEPTED)
        world.send_filter.current = False
        world.add("a")
        await asyncio.sleep(100)
        assert world.fake.requests == []
        world.send_filter.current = True
        await until(lambda: world.outcome_handler.accepted_ids == ["a"])
        world.send_filter.current = False
        world.add("b", partition=1)
        await asyncio.sleep(1)
        began = asyncio.get_running_loop().time()
        await world.courier.close_partitions([1])
        assert asyncio.get_running_loop().time() - began < 1
        return world

    world = run(main())
    assert world.outcome_handler.accepted_ids == ["a"]


def test_a_request_whose_turn_comes_when_the_guard_knows_too_little_waits_for_it() -> None:
    """The send_filter was current when it began to wait for its turn: one a second goes."""

    async def main() -> World:
        world = World(lambda *_: ACCEPTED, per_second=1.0)
        world.add("a", key="anna")
        world.add("b", key="bert", partition=1)
        await until(lambda: len(world.fake.requests) == 1)
        world.send_filter.current = False
        await asyncio.sleep(30.0)
        assert len(world.fake.requests) == 1
        world.send_filter.stops["b"] = NO_CONSENT
        world.send_filter.current = True
        await until(lambda: len(world.outcomes()) == 2)
        return world

    world = run(main())
    assert [request.ids for request in world.fake.requests] == [("a",)]
    assert world.outcome_handler.skipped_ids == ["b"]


def test_a_live_event_finds_a_slot_however_many_redeliveries_are_in_flight() -> None:
    """Half of the slots stay free of them."""

    async def main() -> tuple[World, float]:
        world = World(lambda *_: ACCEPTED, seconds=10.0, concurrency=4)
        for partition in range(20):
            world.add(*(f"r{partition}-{n}" for n in range(3)), run_id="r-1", partition=partition)
        await asyncio.sleep(5)
        assert world.courier.in_flight == 2
        began = asyncio.get_running_loop().time()
        world.add("live", "live2", partition=7)
        await until(lambda: "live2" in world.outcome_handler.accepted_ids)
        await until(lambda: len(world.outcomes()) == 62)
        return world, began

    world, began = run(main())
    assert world.sent("live") == [began]
    assert world.sent("live2") == pytest.approx([began + 10.0], abs=0.1)


def test_live_goes_first_where_the_vendor_counts_requests_and_redeliveries_end_nevertheless() -> (
    None
):
    """Live events exceed the rate limit for ten minutes; each 20th turn is a redelivery."""

    async def main() -> tuple[World, list[int]]:
        world = World(lambda *_: ACCEPTED, per_second=10.0, concurrency=40, seconds=0.1)
        for number in range(20):
            world.add(f"r{number}", run_id="r-1", partition=number, key=f"v{number}")
        await asyncio.sleep(0)
        backlog = []
        for number in range(7_200):
            world.add(f"l{number}", partition=number % 30, key=f"v{number}")
            await asyncio.sleep(0.05)
            if number % 20 == 0:
                backlog.append(
                    sum(name.startswith("r") for name in world.outcome_handler.accepted_ids)
                )
        await world.courier.quiesce(10.0)
        return world, backlog

    world, done = run(main())
    assert done[-1] == 20
    assert 10 <= done[30] <= 20
    assert len(world.fake.requests) <= 10 * 360 + 1


def test_a_run_that_is_mostly_refused_is_told_of_and_the_vendor_is_not_parked() -> None:
    """Live events of the same vendor are accepted all the while."""

    async def main() -> World:
        world = World(lambda r, _: REJECTED if r.ids[0].startswith("bad") else ACCEPTED)
        world.add(*(f"bad{number}" for number in range(30)), run_id="r-bad")
        world.add(*(f"good{number}" for number in range(30)), run_id="r-good", partition=1)
        world.add(*(f"live{number}" for number in range(30)), partition=2)
        await until(lambda: len(world.outcomes()) == 90)
        return world

    world = run(main())
    assert world.bad_runs == [("r-bad", "20 of its last 20 events were refused")]
    assert world.courier.client.breaker.state == "running"


def test_what_waits_of_a_stopped_run_is_dropped_even_while_the_vendor_is_parked() -> None:
    """Batches that go again, those that never went, and nothing of other runs."""

    async def main() -> World:
        world = World(lambda r, _: ACCEPTED if r.at > 100 else MISCONFIGURED, batch=2)
        world.add("a1", "a2", "a3", run_id="r-1")
        world.add("b1", "b2", run_id="r-2")
        world.add("live", partition=1)
        await until(lambda: world.courier.client.breaker.state == "parked")
        await until(lambda: world.courier.in_flight == 0)
        world.courier.drop_redeliveries(lambda item: item.run_id == "r-1")
        assert sorted(world.outcome_handler.passed_over_ids) == ["a1", "a2", "a3"]
        assert world.courier.waiting() == 3
        await until(lambda: len(world.outcomes()) == 6)
        return world

    world = run(main())
    assert sorted(world.outcome_handler.accepted_ids) == ["b1", "b2", "live"]


def test_a_redelivery_that_goes_again_and_again_holds_up_no_live_event_of_its_visitor() -> None:
    """Their queues are two."""

    async def main() -> World:
        world = World(
            lambda r, _: (
                Verdict(RequestOutcome.UNAVAILABLE, "503", 503, retry_after_seconds=None)
                if r.ids and r.ids[0] == "replayed" and r.at < 20
                else ACCEPTED
            )
        )
        world.add("replayed", run_id="r-1")
        await asyncio.sleep(1)
        world.add("live")
        await until(lambda: len(world.outcomes()) == 2)
        return world

    world = run(main())
    assert world.outcome_handler.accepted_ids == ["live", "replayed"]
    assert world.sent("live") == [1.0]


def _meanwhile(world: World, what: str, victim: str, runs: Mapping[str, str | None]) -> None:
    """Let something happen beside the requests."""
    if what == "no consent":
        world.send_filter.stops.setdefault(victim, NO_CONSENT)
    elif what == "stop r-1":
        stopped = [name for name, of_run in runs.items() if of_run == "r-1"]
        world.send_filter.stops.update(dict.fromkeys(stopped))
        world.courier.drop_redeliveries(lambda item: item.run_id == "r-1")
    elif what:
        world.send_filter.current = what == "current"


STEPS = st.tuples(
    st.integers(0, 2),
    st.sampled_from("abcde"),
    st.sampled_from([None, None, "r-1", "r-2"]),
    st.sampled_from([0.0, 0.1, 5.0]),
    st.sampled_from(["", "", "", "no consent", "stop r-1", "stale", "current"]),
)


@given(
    script=st.lists(VERDICTS, max_size=40),
    steps=st.lists(STEPS, max_size=30),
    batch=st.sampled_from([1, 3, 20]),
    concurrency=st.sampled_from([1, 4]),
    per_second=st.sampled_from([None, 5.0]),
)
@settings(max_examples=150)
def test_each_event_ends_once_and_each_queue_in_order_whatever_happens(
    script: list[Verdict],
    steps: list[tuple[int, str, str | None, float, str]],
    batch: int,
    concurrency: int,
    per_second: float | None,
) -> None:
    """Any verdicts and probes, withdrawals, a stopped run, rows that lag; then all is well."""
    verdicts = iter(script)

    def judge(request: Request, _number: int) -> Verdict:
        verdict = next(verdicts, ACCEPTED)
        if verdict.refused and max(verdict.refused) >= len(request.ids):
            return UNAVAILABLE  # it can only name what was sent
        return verdict

    by_queue: dict[tuple[int, str, bool], list[str]] = defaultdict(list)
    runs: dict[str, str | None] = {}
    withdrawn_at: dict[str, float] = {}

    async def main() -> World:
        world = World(judge, batch=batch, concurrency=concurrency, per_second=per_second)
        for number, (partition, visitor, run_id, pause, also) in enumerate(steps):
            name = f"e{number}"
            runs[name] = run_id
            by_queue[partition, visitor, run_id is not None].append(name)
            world.add(name, run_id=run_id, partition=partition, key=visitor)
            if also == "no consent":
                withdrawn_at.setdefault(f"e{number // 2}", asyncio.get_running_loop().time())
            _meanwhile(world, also, f"e{number // 2}", runs)
            await asyncio.sleep(pause)
        world.send_filter.current = True
        for hour in range(40):
            # Whatever was refused so often that no probe could open the circuit breaker again.
            world.courier.apply(VendorControl(resumed_at=f"hour {hour}"), 0)
            await asyncio.sleep(3_600)
        assert len(world.outcomes()) == len(steps)
        assert world.courier.waiting() == 0
        await until(lambda: world.courier.in_flight == 0)
        return world

    world = run(main())
    assert world.outcomes() == Counter(f"e{n}" for n in range(len(steps)))
    assert {runs[name] for name in world.outcome_handler.passed_over_ids} <= {"r-1"}
    place = {event_id: n for n, event_id in enumerate(world.outcome_handler.accepted_ids)}
    for ids in by_queue.values():
        delivered = [place[event_id] for event_id in ids if event_id in place]
        assert delivered == sorted(delivered)
        for first, second in pairwise(r for r in world.fake.deliveries() if set(r.ids) & set(ids)):
            assert first.ended is not None
            assert second.at >= first.ended, "two requests of one queue at once"
    for name, at in withdrawn_at.items():
        assert not [began for began in world.sent(name) if began > at]
