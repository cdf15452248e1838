"""Requests that several partitions share: order, receipts and failures stay each's own."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import ceil, log2

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.control import VendorControl
from streams.core.outcome import RequestOutcome, SkipReason, Verdict
from streams.delivery.attempts import KEPT_TOGETHER_SECONDS
from streams.delivery.courier import CLOSE_SECONDS, Courier
from streams.delivery.ordered_queue import Item
from streams.vendors.base import Parcel, RequestFlow
from tests.delivery.test_courier import (
    ACCEPTED,
    REJECTED,
    UNAVAILABLE,
    FakeOutcomeHandler,
    FakeVendor,
    Request,
    add,
    courier,
    courier_of,
    until,
    vendor,
)
from tests.delivery.test_courier_lanes import World
from tests.delivery.virtual_time import run

TOO_LARGE = Verdict(RequestOutcome.REJECTED, "413", 413)
Judge = Callable[[Request, int], Verdict]


def refusing(*bad: str) -> Judge:
    """A vendor that refuses each request with one of these, and does not say which."""
    return lambda request, _: ACCEPTED if set(bad).isdisjoint(request.ids) else REJECTED


def deliver(judge: Judge, of_partitions: Mapping[int, Sequence[str]], batch: int = 100) -> World:
    """Deliver these events, by partition, to their outcomes."""

    async def main() -> World:
        world = World(judge, batch=batch)
        for partition, ids in of_partitions.items():
            world.add(*ids, partition=partition)
        count = sum(map(len, of_partitions.values()))
        await until(lambda: len(world.outcomes()) == count, 120.0)
        await until(lambda: world.courier.in_flight == 0)
        return world

    world = run(main())
    assert set(world.outcomes().values()) <= {1}
    assert world.courier.waiting() == 0
    return world


def requests(world: World) -> list[tuple[str, ...]]:
    """The events of each request."""
    return [request.ids for request in world.fake.requests]


# -- what a request takes


@pytest.mark.parametrize("partitions", [6, 24])
def test_a_request_takes_what_is_ready_of_all_partitions(partitions: int) -> None:
    """500 events a second for ten seconds make five requests a second of 100, and none waits."""

    async def main() -> World:
        world = World(lambda *_: ACCEPTED, batch=500)
        for number in range(5_000):
            partition = number * 7 % partitions
            world.add(f"{partition}-{number}", partition=partition, key=f"v{number % 50}")
            await asyncio.sleep(0.002)
        await until(lambda: len(world.outcome_handler.accepted_ids) == 5_000)
        return world

    world = run(main())
    assert 80 <= 5_000 / len(world.fake.requests) <= 110
    for request in world.fake.requests:
        arrived = [0.002 * int(event_id.partition("-")[2]) for event_id in request.ids]
        assert request.at - min(arrived) <= 0.22


def test_the_linger_counts_from_an_events_arrival() -> None:
    """What came while its queue's request was on its way has waited by the time that it ends."""

    async def main() -> World:
        world = World(lambda *_: ACCEPTED, batch=100, seconds=0.3)
        world.add("a", partition=0)
        await asyncio.sleep(0.25)
        world.add("b", partition=0)  # the request with "a" is in flight from 0.2 to 0.5
        await asyncio.sleep(0.2)
        world.add("c", partition=1)
        await until(lambda: len(world.outcome_handler.accepted_ids) == 3)
        return world

    world = run(main())
    assert requests(world) == [("a",), ("b", "c")]
    assert [request.at for request in world.fake.requests] == pytest.approx([0.2, 0.5])


def test_queues_that_are_full_go_alone_and_at_the_same_time() -> None:
    """With enough load each partition has its own requests."""

    async def main() -> World:
        world = World(lambda *_: ACCEPTED, batch=3, concurrency=8)
        for partition in range(8):
            world.add(*(f"{partition}{n}" for n in "abc"), partition=partition)
        await asyncio.sleep(0)
        assert world.courier.in_flight == 8
        await until(lambda: len(world.outcome_handler.accepted_ids) == 24)
        return world

    world = run(main())
    assert {request.at for request in world.fake.requests} == {0.0}
    assert [len(request.ids) for request in world.fake.requests] == [3] * 8


def test_a_request_holds_no_more_events_than_the_vendor_takes() -> None:
    """An ordered queue shares all that waits in it or nothing; it then goes by itself."""
    world = deliver(lambda *_: ACCEPTED, {0: ["a", "b"], 1: ["c", "d"], 2: ["e"], 3: ["f"]}, 5)
    assert requests(world) == [("a", "b", "c", "d", "e"), ("f",)]
    assert [request.at for request in world.fake.requests] == pytest.approx([0.2, 0.2])


@given(st.lists(st.lists(st.integers(1, 60), max_size=6), max_size=6))
@settings(max_examples=50)
def test_a_request_holds_no_more_bytes_than_the_vendor_takes(sizes: list[list[int]]) -> None:
    """100 at most, the commas between the events included."""

    async def main() -> FakeVendor:
        fake, outcome_handler = FakeVendor(lambda *_: ACCEPTED), FakeOutcomeHandler()
        made = courier_of(
            replace(vendor(fake, batch=500), max_batch_bytes=lambda _: 100),
            fake,
            outcome_handler,
        )
        for partition, of_partition in enumerate(sizes):
            for number, size in enumerate(of_partition):
                add(made, f"{partition}{number}".ljust(size, "."), partition=partition)
        await until(lambda: len(outcome_handler.accepted_ids) == sum(map(len, sizes)))
        return fake

    fake = run(main())
    assert all(len(",".join(request.ids)) <= 100 for request in fake.requests)


def test_live_events_and_redeliveries_share_no_request() -> None:
    """Each lane has its own turns and slots."""

    async def main() -> World:
        world = World(lambda *_: ACCEPTED, batch=100)
        for partition in range(3):
            world.add(f"live{partition}", partition=partition)
            world.add(f"again{partition}", partition=partition, run_id="r-1")
        await until(lambda: len(world.outcome_handler.accepted_ids) == 6)
        return world

    world = run(main())
    assert sorted(map(sorted, requests(world))) == [
        ["again0", "again1", "again2"],
        ["live0", "live1", "live2"],
    ]


def test_a_vendor_with_a_request_flow_of_its_own_gets_one_partitions_events_a_request() -> None:
    """Its memory goes by partition."""

    def start_flow(parcel: Parcel, *_: object) -> RequestFlow:
        partitions.append(parcel.partition)
        response = yield made_vendor.build_request(parcel.payloads, None)
        return made_vendor.classify(response, len(parcel.payloads))

    partitions: list[int] = []
    fake, outcome_handler = FakeVendor(lambda *_: ACCEPTED), FakeOutcomeHandler()
    made_vendor = replace(vendor(fake, batch=100), request_flow=start_flow)

    async def main() -> None:
        made = courier_of(
            made_vendor,
            fake,
            outcome_handler,
        )
        add(made, "a", partition=0)
        add(made, "b", partition=1)
        await until(lambda: len(outcome_handler.accepted_ids) == 2)

    run(main())
    assert sorted(request.ids for request in fake.requests) == [("a",), ("b",)]
    assert sorted(partitions) == [0, 1]


def test_what_may_not_go_is_left_out_of_a_shared_request() -> None:
    """A partition on hold, and one whose visitors' rows are late; both go once they may."""

    async def main() -> World:
        world = World(lambda *_: ACCEPTED, batch=100)
        world.courier.hold([1])
        world.send_filter.stale = {2}
        for partition in range(4):
            world.add(f"e{partition}", partition=partition)
        await asyncio.sleep(60)
        assert sorted(world.outcome_handler.accepted_ids) == ["e0", "e3"]
        world.courier.hold([])
        world.send_filter.stale = set()
        await until(lambda: len(world.outcome_handler.accepted_ids) == 4)
        return world

    world = run(main())
    assert requests(world)[0] == ("e0", "e3")


def test_after_a_start_and_while_a_parked_vendor_is_tried_one_event_goes() -> None:
    """The trial's answer decides for all others."""

    async def main() -> World:
        world = World(
            lambda r, _: (
                Verdict(RequestOutcome.MISCONFIGURED, "401", 401) if r.at < 5 else ACCEPTED
            ),
            batch=100,
        )
        for partition in range(4):
            world.add(f"{partition}a", f"{partition}b", partition=partition)
        await until(lambda: len(world.outcome_handler.accepted_ids) == 8)
        return world

    world = run(main())
    sent = [ids for ids in requests(world) if ids]
    assert [len(ids) for ids in sent[:2]] == [8, 1]


# -- refusals


def test_named_events_of_any_part_are_cut_out_and_the_rest_goes_again_at_once() -> None:
    """The indexes are those of the whole request."""

    def judge(request: Request, _number: int) -> Verdict:
        bad = {n: f"no {name}" for n, name in enumerate(request.ids) if name in ("b", "c", "f")}
        return Verdict(RequestOutcome.REJECTED, "422", 422, refused=bad) if bad else ACCEPTED

    world = deliver(judge, {0: ["a", "b"], 1: ["c"], 2: ["d", "e", "f"]})
    assert requests(world) == [("a", "b", "c", "d", "e", "f"), ("a", "d", "e")]
    assert world.outcome_handler.words == {"b": "no b", "c": "no c", "f": "no f"}
    assert world.outcome_handler.accepted_ids == ["a", "d", "e"]


def test_a_refused_event_that_nobody_names_is_searched_for_over_all_parts() -> None:
    """Half of what is left of the shared request is asked about, wherever it waited."""
    of_partitions = {n: [f"{n}{name}" for name in "abcd"] for n in range(4)}
    world = deliver(refusing("1b"), of_partitions)
    assert [len(ids) for ids in requests(world)] == [16, 8, 4, 2, 1, 10]
    assert world.outcome_handler.rejected_ids == ["1b"]


def test_while_it_is_searched_for_queues_of_which_nothing_is_left_go_on() -> None:
    """The front is accepted; its partitions' next events do not wait for the rest."""

    async def main() -> World:
        world = World(refusing("3a"), batch=100, seconds=1.0)
        for partition in range(4):
            world.add(f"{partition}a", partition=partition)
        await asyncio.sleep(0.3)
        world.add("0b", partition=0)
        await until(lambda: len(world.outcomes()) == 5)
        return world

    world = run(main())
    assert requests(world)[:2] == [("0a", "1a", "2a", "3a"), ("0a", "1a")]
    assert sorted(requests(world)[2:4]) == [("0b",), ("2a",)]
    assert world.sent("0b") == pytest.approx([2.2])


sizes_with_refused = st.lists(st.integers(1, 40), min_size=1, max_size=24).flatmap(
    lambda sizes: st.tuples(
        st.just(sizes),
        st.sets(st.integers(0, sum(sizes) - 1), max_size=12),
    )
)


@given(case=sizes_with_refused, named=st.booleans())
@settings(max_examples=60)
def test_the_search_for_refused_events_stays_within_its_bound_over_all_parts(
    case: tuple[list[int], set[int]], named: bool
) -> None:
    """ceil(log2 n) + 1 more requests for each refused one of n; nobody else is given up."""
    sizes, bad = case
    names = iter(range(sum(sizes)))
    of_partitions = {n: [str(next(names)) for _ in range(size)] for n, size in enumerate(sizes)}

    def judge(request: Request, number: int) -> Verdict:
        held = {n: "no" for n, name in enumerate(request.ids) if int(name) in bad}
        says = dict([held.popitem()]) if held and named and number % 2 else {}
        return (
            Verdict(RequestOutcome.REJECTED, "422", 422, refused=says) if held or says else ACCEPTED
        )

    # More than half refused would park the vendor: good ones come first.
    async def main() -> World:
        world = World(judge, batch=1_000)
        world.courier.client.record_outcomes(accepted=200, refused=0)
        for partition, ids in of_partitions.items():
            world.add(*ids, partition=partition)
        await until(lambda: len(world.outcomes()) == sum(sizes))
        return world

    world, n = run(main()), sum(sizes)
    assert sorted(map(int, world.outcome_handler.rejected_ids)) == sorted(bad)
    assert set(world.outcomes().values()) == {1}
    assert len(world.fake.requests) <= 1 + len(bad) * (ceil(log2(n)) + 1)
    for ids in of_partitions.values():
        accepted = [name for name in world.outcome_handler.accepted_ids if name in ids]
        assert accepted == sorted(accepted, key=int)


def test_a_shared_request_that_is_too_large_goes_again_in_halves() -> None:
    """They are not joined again, and no event is blamed."""
    of_partitions = {n: [f"{n}{name}" for name in "abc"] for n in range(4)}
    world = deliver(lambda r, _: TOO_LARGE if len(r.ids) > 4 else ACCEPTED, of_partitions)
    assert [len(ids) for ids in requests(world)] == [12, 6, 3, 3, 6, 3, 3]
    assert world.outcome_handler.rejected_ids == []


def test_what_goes_again_takes_nobody_along() -> None:
    """The second half would otherwise be too large again, for ever."""

    async def main() -> World:
        world = World(lambda r, _: TOO_LARGE if len(r.ids) > 2 else ACCEPTED, batch=100)
        world.add("a", "b", "c", partition=0)
        await until(lambda: len(world.fake.requests) == 1)
        world.add("d", partition=1)
        await until(lambda: len(world.outcome_handler.accepted_ids) == 4, 60.0)
        return world

    world = run(main())
    assert requests(world) == [("a", "b", "c"), ("a",), ("b", "c"), ("d",)]


def test_who_said_no_is_left_out_and_the_other_parts_go() -> None:
    """Each is skipped on its own partition."""

    async def main() -> World:
        world = World(lambda *_: ACCEPTED, batch=100)
        for partition in range(3):
            world.add(f"{partition}a", f"{partition}b", partition=partition)
        world.send_filter.stops = dict.fromkeys(("0a", "1a", "1b"), SkipReason.NO_CONSENT)
        await until(lambda: len(world.outcomes()) == 6)
        return world

    world = run(main())
    assert requests(world) == [("0b", "2a", "2b")]
    assert sorted(world.outcome_handler.skipped_ids) == ["0a", "1a", "1b"]


# -- failures


def test_after_a_failure_each_part_goes_again_by_itself() -> None:
    """Only the one with the cause fails again, and only it waits as long as the vendor asks.

    It is the first of them, so its second response comes before any other's.
    """
    late = replace(UNAVAILABLE, retry_after_seconds=120.0)

    async def main() -> World:
        world = World(lambda r, _: late if "bad" in r.ids else ACCEPTED, batch=100)
        world.add("first")
        await until(lambda: world.outcome_handler.accepted_ids == ["first"])
        world.add("bad", partition=0)
        await asyncio.sleep(0.01)
        for partition in range(1, 4):
            world.add(f"e{partition}", partition=partition)
        await until(lambda: len(world.outcome_handler.accepted_ids) == 4)
        assert asyncio.get_running_loop().time() < 2.0
        world.add("later", partition=1)
        await until(lambda: "later" in world.outcome_handler.accepted_ids)
        assert asyncio.get_running_loop().time() < 2.0
        return world

    world = run(main())
    assert world.courier.client.breaker.state == "running"
    assert requests(world)[1] == ("bad", "e1", "e2", "e3")
    assert requests(world)[2] == ("bad",)
    assert sorted(requests(world)[2:6]) == [("bad",), ("e1",), ("e2",), ("e3",)]


def test_a_vendor_that_is_down_is_paused_after_the_second_part_failed() -> None:
    """The shared request and two parts say so; nothing more goes for as long as it asks."""
    late = replace(UNAVAILABLE, retry_after_seconds=120.0)

    async def main() -> World:
        world = World(lambda _, n: late if n else ACCEPTED, batch=100, concurrency=2)
        world.add("first")
        await until(lambda: world.outcome_handler.accepted_ids == ["first"])
        for partition in range(12):
            world.add(f"e{partition}", partition=partition)
        await asyncio.sleep(60)
        return world

    world = run(main())
    assert [len(ids) for ids in requests(world)] == [1, 12, 1, 1]


def test_parts_that_may_be_stored_already_are_tried_one_after_the_other() -> None:
    """A response that nobody understands: the second one parks the vendor, before others went."""
    puzzling = Verdict(RequestOutcome.UNCLEAR, "200, what?", 200, is_puzzling=True)

    async def main() -> World:
        world = World(lambda _, n: puzzling if n else ACCEPTED, batch=100, concurrency=16)
        world.add("first")
        await until(lambda: world.outcome_handler.accepted_ids == ["first"])
        for partition in range(12):
            world.add(f"e{partition}", partition=partition)
        await asyncio.sleep(9)
        return world

    world = run(main())
    assert world.courier.client.breaker.state == "parked"
    assert [len(ids) for ids in requests(world)] == [1, 12, 1]


def test_a_failure_in_the_middle_of_a_search_loses_and_repeats_nothing() -> None:
    """What was accepted of it stays accepted."""
    answers = iter([REJECTED, ACCEPTED, UNAVAILABLE])
    of_partitions = {n: [f"{n}{name}" for name in "abc"] for n in range(4)}
    world = deliver(lambda *_: next(answers, ACCEPTED), of_partitions)
    assert requests(world)[:3] == [
        tuple(f"{n}{name}" for n in range(4) for name in "abc"),
        ("0a", "0b", "0c", "1a", "1b", "1c"),
        ("2a", "2b", "2c"),
    ]
    assert sorted(requests(world)[3:]) == [("2a", "2b", "2c"), ("3a", "3b", "3c")]


def test_a_pause_in_the_middle_of_a_search_holds_nothing_back_afterwards() -> None:
    """Each queue has its events again, and all go once the vendor is resumed."""

    def judge(_request: Request, number: int) -> Verdict:
        if number == 1:
            worlds[0].courier.apply(VendorControl(paused=True), 0)
        return ACCEPTED if number else REJECTED

    async def main() -> World:
        world = World(judge, batch=100)
        worlds.append(world)
        for partition in range(4):
            world.add(f"{partition}a", partition=partition)
        await asyncio.sleep(600)
        assert len(world.fake.requests) == 2
        assert world.courier.waiting() == 2
        assert world.courier.in_flight == 0
        world.courier.apply(VendorControl(), 0)
        await until(lambda: len(world.outcome_handler.accepted_ids) == 4)
        return world

    worlds: list[World] = []
    assert set(run(main()).outcomes().values()) == {1}


def test_a_queue_of_a_failed_request_is_held_up_until_the_request_has_ended() -> None:
    """A process that stood still in between wakes up when the part may go again already."""
    stood_still = [0.0]

    def judge(_request: Request, number: int) -> Verdict:
        if number == 0:
            asyncio.get_running_loop().call_soon(wake_up)
        return ACCEPTED if number else UNAVAILABLE

    def wake_up() -> None:
        stood_still[0], fake.seconds = 10.0, 1.0
        add(couriers[0], "late", partition=1)

    couriers: list[Courier] = []
    fake, outcome_handler = FakeVendor(judge), FakeOutcomeHandler()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        made = courier_of(
            vendor(fake, batch=100),
            fake,
            outcome_handler,
            clock=lambda: loop.time() + stood_still[0],
        )
        couriers.append(made)
        for partition in range(3):
            add(made, f"e{partition}", partition=partition)
        await until(lambda: len(outcome_handler.accepted_ids) == 4)

    run(main())
    again, late = (r for r in fake.requests[1:] if {"e1", "late"} & set(r.ids))
    assert (again.ids, late.ids) == (("e1",), ("late",))
    assert again.ended is not None
    assert late.at >= again.ended


# -- receipts


class SlowReceipts(FakeOutcomeHandler):
    """An outcome handler that writes the receipts of some partitions when the test says so."""

    def __init__(self, *partitions: int) -> None:
        super().__init__()
        self.slow = set(partitions)
        self.kept = asyncio.Event()

    def write_accepted(  # type: ignore[override]
        self, items: tuple[Item, ...], verdict: Verdict, /
    ) -> "asyncio.Task[bool] | None":
        """Note what was taken, all of one partition."""
        assert len({item.partition for item in items}) == 1
        super().write_accepted(items, verdict)
        is_slow = items[0].partition in self.slow
        return asyncio.ensure_future(self.kept.wait()) if is_slow else None


def test_a_partition_whose_receipts_are_refused_holds_up_no_other_of_its_request() -> None:
    """The request counts as in flight until all its receipts are kept; the others go on."""

    async def main() -> None:
        fake, outcome_handler = FakeVendor(lambda *_: ACCEPTED), SlowReceipts(1)
        made = courier(fake, outcome_handler, batch=100)
        for partition in range(3):
            add(made, f"{partition}a", partition=partition)
        await until(lambda: len(outcome_handler.accepted_ids) == 3)
        for partition in range(3):
            add(made, f"{partition}b", partition=partition)
        await until(lambda: len(outcome_handler.accepted_ids) == 5)
        assert asyncio.get_running_loop().time() < KEPT_TOGETHER_SECONDS + 0.5
        await asyncio.sleep(0.1)
        assert made.in_flight == 1
        assert [request.ids for request in fake.requests][1] == ("0b", "2b")
        made.hold([1])
        began = asyncio.get_running_loop().time()
        await made.close_partitions([0])
        assert asyncio.get_running_loop().time() == began
        made.hold([])
        outcome_handler.kept.set()
        await until(lambda: len(outcome_handler.accepted_ids) == 6)
        assert fake.requests[-1].ids == ("1b",)

    run(main())


def test_queues_of_a_request_go_on_together_once_all_receipts_are_kept() -> None:
    """None of them begins one of its own meanwhile."""

    async def main() -> None:
        fake, outcome_handler = FakeVendor(lambda *_: ACCEPTED), SlowReceipts(1)
        made = courier(fake, outcome_handler, batch=100)
        for partition in range(3):
            add(made, f"{partition}a", partition=partition)
        await until(lambda: len(outcome_handler.accepted_ids) == 3)
        for partition in range(3):
            add(made, f"{partition}b", partition=partition)
        await asyncio.sleep(KEPT_TOGETHER_SECONDS / 2)
        assert len(fake.requests) == 1
        outcome_handler.kept.set()
        await until(lambda: len(outcome_handler.accepted_ids) == 6)
        assert [sorted(request.ids) for request in fake.requests][1:] == [["0b", "1b", "2b"]]

    run(main())


# -- partitions that go


def test_the_others_of_a_request_are_judged_when_one_partition_has_gone() -> None:
    """It hangs beyond the rebalance; what the response says of the partition that went is void."""

    async def main() -> World:
        world = World(lambda *_: ACCEPTED, batch=100, seconds=50.0)
        for partition in range(3):
            world.add(f"e{partition}", partition=partition)
        await until(lambda: len(world.fake.requests) == 1)
        began = asyncio.get_running_loop().time()
        await world.courier.close_partitions([1])
        assert asyncio.get_running_loop().time() - began == pytest.approx(CLOSE_SECONDS)
        assert world.courier.in_flight == 1
        world.courier.open_partition(1, 0)
        world.add("e1", partition=1)  # read again from the commit
        await until(lambda: len(world.outcome_handler.accepted_ids) == 3)
        await until(lambda: world.courier.in_flight == 0)
        return world

    world = run(main())
    assert requests(world) == [("e0", "e1", "e2"), ("e1",)]
    assert world.outcome_handler.accepted_ids == ["e0", "e2", "e1"]


@pytest.mark.parametrize(
    "verdict", [REJECTED, TOO_LARGE, UNAVAILABLE, replace(REJECTED, refused={0: "no", 1: "no"})]
)
def test_whatever_the_late_response_is_the_partition_that_went_is_not_judged(
    verdict: Verdict,
) -> None:
    """What is left of the other parts goes again, and nothing of that one."""

    async def main() -> World:
        world = World(lambda _, n: ACCEPTED if n else verdict, batch=100, seconds=50.0)
        for partition in range(3):
            world.add(f"e{partition}", partition=partition)
        await until(lambda: len(world.fake.requests) == 1)
        await world.courier.close_partitions([1])
        await until(lambda: len(world.outcomes()) == 2)
        await asyncio.sleep(600)
        return world

    world = run(main())
    assert sorted(world.outcomes()) == ["e0", "e2"]
    assert world.sent("e1") == [world.fake.requests[0].at]
    assert (world.courier.waiting(), world.courier.in_flight) == (0, 0)


def test_a_request_of_which_all_partitions_have_gone_is_given_up() -> None:
    """One after the other."""

    async def main() -> World:
        world = World(lambda *_: ACCEPTED, batch=100, seconds=100.0)
        for partition in range(2):
            world.add(f"e{partition}", partition=partition)
        await until(lambda: len(world.fake.requests) == 1)
        await world.courier.close_partitions([1])
        await world.courier.close_partitions([0])
        assert world.courier.in_flight == 0
        await asyncio.sleep(600)
        return world

    world = run(main())
    assert world.outcome_handler.accepted_ids == []
    assert len(world.fake.requests) == 1


def test_a_partition_that_goes_in_the_middle_of_a_search_takes_only_its_own_events_along() -> None:
    """The others of the search go again."""

    async def main() -> World:
        world = World(lambda _, n: ACCEPTED if n else REJECTED, batch=100, seconds=1.0)
        for partition in range(4):
            world.add(f"e{partition}", partition=partition)
        await until(lambda: len(world.fake.requests) == 2)
        world.courier.leave_partition(3)
        await until(lambda: len(world.outcome_handler.accepted_ids) == 3)
        await asyncio.sleep(600)
        return world

    world = run(main())
    assert world.outcome_handler.accepted_ids == ["e0", "e1", "e2"]
    assert [ids for ids in requests(world)[1:] if "e3" in ids] == []
    assert world.courier.waiting() == 0
