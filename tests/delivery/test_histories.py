"""Whatever happens around a vendor, and in whatever order: every event ends once, in order."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.control import VendorControl
from streams.core.outcome import RequestOutcome, SkipReason, Verdict
from streams.delivery.ordered_queue import Item
from streams.vendors.base import HttpRequest, HttpResponse
from tests.delivery.test_courier import (
    ACCEPTED,
    MISCONFIGURED,
    UNAVAILABLE,
    VERDICTS,
    FakeOutcomeHandler,
    FakeVendor,
    Request,
    courier_of,
    vendor,
)
from tests.delivery.test_courier_lanes import FakeSendFilter
from tests.delivery.virtual_time import run

PARTITIONS = range(3)
RUN = "run-1"
TWO_DAYS = 2 * 86_400.0
TIMED_OUT = 60.0
"""``HttpClient`` gives a response up after this long."""


@dataclass(frozen=True)
class Event:
    """One record of a topic, as it was written."""

    event_id: str
    partition: int
    position: int
    visitor: str
    run_id: str | None


HANGS = Verdict(RequestOutcome.UNCLEAR, "no response came")
LATE = [
    Verdict(outcome, "at last", 200)
    for outcome in (RequestOutcome.ACCEPTED, RequestOutcome.REJECTED, RequestOutcome.UNAVAILABLE)
]
LATE_SECONDS = 50.0
"""After this long a response still comes, and a rebalance has stopped waiting for it."""


class Hanging(FakeVendor):
    """Answers at once, or only after the client's patience is over."""

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Answer, in time or not."""
        loop = asyncio.get_running_loop()
        seen = Request(loop.time(), tuple(request.body.decode().split(",")) if request.body else ())
        number = len(self.requests)
        self.requests.append(seen)
        verdict = self._verdicts[str(number)] = self.judge(seen, number)
        try:
            late = LATE_SECONDS if verdict in LATE else 0.01
            await asyncio.sleep(TIMED_OUT if verdict is HANGS else late)
        finally:
            seen.ended = loop.time()
        return HttpResponse(200, {"number": str(number)}, b"")


class SlowOutcomeHandler(FakeOutcomeHandler):
    """Takes its time to keep what was accepted, as a slow broker does."""

    def __init__(self) -> None:
        super().__init__()
        self.refusing: set[int] = set()
        """Partitions whose receipts their topic refuses."""

    def write_accepted(self, items: tuple[Item, ...], verdict: Verdict, /) -> Awaitable[None]:  # type: ignore[override]
        """Note it at once, and say so later."""
        assert len({item.partition for item in items}) == 1, "receipts are written by partition"
        super().write_accepted(items, verdict)
        return asyncio.ensure_future(self._keep(items[0].partition))

    async def _keep(self, partition: int) -> None:
        await asyncio.sleep(0.05)
        while partition in self.refusing:  # noqa: ASYNC110 - a clock
            await asyncio.sleep(1.0)


class History:
    """A courier, what is written for it, and everything that can happen to it."""

    def __init__(self, script: list[Verdict], *, per_second: float | None, batch: int) -> None:
        verdicts = iter(script)

        def judge(request: Request, _number: int) -> Verdict:
            verdict = next(verdicts, ACCEPTED)
            if not request.ids and verdict is HANGS:
                return UNAVAILABLE  # what stores nothing is answered
            if verdict.refused and max(verdict.refused) >= len(request.ids):
                return UNAVAILABLE  # it can only name what was sent
            return verdict

        self.fake, self.outcome_handler, self.send_filter = (
            Hanging(judge),
            SlowOutcomeHandler(),
            FakeSendFilter(),
        )
        self.written: list[Event] = []
        self.given_up: dict[int, dict[int, float]] = {}
        """By request and partition: when its response ceased to matter for the partition."""
        self.resumed = 0
        self.courier = courier_of(
            replace(
                vendor(self.fake, batch=batch, concurrency=3),
                requests_per_second=lambda _: per_second,
            ),
            self.fake,
            self.outcome_handler,
            send_filter=self.send_filter,
        )

    def write(self, partition: int, visitor: str, *, is_redelivery: bool) -> None:
        """Append an event to its topic and hand it over."""
        number = len(self.written)
        run_id = RUN if is_redelivery else None
        event = Event(f"e{number}", partition, number, visitor, run_id)
        self.written.append(event)
        self._hand_over(event)
        self.courier.start_requests()

    def _hand_over(self, event: Event) -> None:
        item = Item(
            event.partition,
            event.position,
            event.event_id,
            f"t/{event.partition}/{event.position}",
            "2026-01-01T00:00:00.000Z",
            b"",
            0,
            run_id=event.run_id,
        )
        self.courier.add(item, event.event_id.encode(), event.visitor)

    def ended(self) -> Counter[str]:
        """How many outcomes each event has."""
        return self.outcome_handler.outcomes()

    async def rebalance(self, partitions: list[int], away_seconds: float) -> None:
        """Lose partitions, and get them again from their commits, as ``SinkStage`` does it."""
        await self.courier.quiesce(3.0)
        for partition in partitions:
            self.courier.leave_partition(partition)
        await asyncio.sleep(away_seconds)
        await self.courier.close_partitions(partitions)
        now = asyncio.get_running_loop().time()
        for request in self.fake.requests:
            if request.ended is None:  # the other partitions of a request still wait for it
                self.given_up.setdefault(id(request), {}).update(dict.fromkeys(partitions, now))
        for partition in partitions:
            self.courier.open_partition(partition, 0)
        ended = self.ended()
        for event in self.written:
            if event.partition in partitions and not ended[event.event_id]:
                self._hand_over(event)
        self.courier.resume()
        self.courier.start_requests()

    def refuse_receipts(self, partitions: list[int]) -> None:
        """Let the receipts of just these partitions be refused, which the engine notices."""
        self.outcome_handler.refusing = set(partitions)
        self.courier.hold(partitions)

    def ended_for(self, request: Request, partition: int) -> float:
        """Return until when a request was about a partition's events."""
        assert request.ended is not None
        return self.given_up.get(id(request), {}).get(partition, request.ended)

    def apply(self, *, paused: bool) -> None:
        """Pause or resume."""
        self.resumed += not paused
        resumed_at = f"2026-01-01T00:00:{self.resumed:02}.000Z"
        self.courier.apply(VendorControl(paused=paused, at=resumed_at, resumed_at=resumed_at), 0)

    def stop(self, number: int, reason: SkipReason | None) -> None:
        """Let the send_filter stop an event from now on; None is for redeliveries only."""
        if number < len(self.written):
            event = self.written[number]
            is_live = event.run_id is None
            self.send_filter.stops[event.event_id] = SkipReason.NO_CONSENT if is_live else reason

    async def all_is_well(self) -> None:
        """Mend everything outside, and wait until every event has ended."""
        self.send_filter.current, self.send_filter.stale = True, set()
        self.refuse_receipts([])
        self.apply(paused=False)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + TWO_DAYS
        while len(self.ended()) < len(self.written):
            breaker = self.courier.client.breaker
            assert loop.time() < deadline, f"{self.ended()} {breaker}"
            if breaker.state == "parked":
                self.apply(paused=False)  # parked for good, where most events were refused
            await asyncio.sleep(60)
        await asyncio.sleep(TIMED_OUT)


Step = Callable[[History], Coroutine[Any, Any, None] | None]


def _stale(history: History, partitions: list[int]) -> None:
    history.send_filter.stale = set(partitions)


async def _wait(seconds: float) -> None:
    await asyncio.sleep(seconds)


writes = st.builds(
    lambda partition, visitor, is_redelivery: (
        lambda h: h.write(partition, visitor, is_redelivery=is_redelivery)
    ),
    st.sampled_from(PARTITIONS),
    st.sampled_from("abc"),
    st.booleans(),
)


def _write_to_all(history: History, visitor: str, is_redelivery: bool) -> None:
    for partition in PARTITIONS:
        history.write(partition, visitor, is_redelivery=is_redelivery)


writes_to_all = st.tuples(st.sampled_from("abc"), st.booleans()).map(
    lambda t: lambda h: _write_to_all(h, *t)
)
some = st.lists(st.sampled_from(PARTITIONS), unique=True)
waits = st.sampled_from([0.0, 0.3, 11.0, 70.0]).map(lambda s: lambda _: _wait(s))
rebalances = st.tuples(
    st.lists(st.sampled_from(PARTITIONS), min_size=1, unique=True),
    st.sampled_from([0.0, 5.0]),
).map(lambda t: lambda h: h.rebalance(*t))
happenings = st.one_of(
    rebalances,
    st.booleans().map(lambda paused: lambda h: h.apply(paused=paused)),
    some.map(lambda partitions: lambda h: _stale(h, partitions)),
    some.map(lambda partitions: lambda h: h.refuse_receipts(partitions)),
    st.tuples(st.integers(0, 20), st.sampled_from([None, SkipReason.TOO_OLD])).map(
        lambda t: lambda h: h.stop(*t)
    ),
    waits,
)
histories = st.lists(
    st.one_of(writes, writes_to_all, waits, rebalances, happenings), min_size=20, max_size=60
)
scripts = st.lists(
    st.one_of(VERDICTS, st.sampled_from([HANGS, *LATE, MISCONFIGURED, ACCEPTED])),
    min_size=15,
    max_size=40,
)
"""What the vendor answers, one request after the other; then all is accepted."""


@given(
    steps=histories,
    script=scripts,
    per_second=st.sampled_from([None, 0.5, 20.0]),
    batch=st.sampled_from([1, 3, 20]),
)
@settings(max_examples=120)
def test_every_event_ends_once_and_in_order_whatever_happens(
    steps: list[Step], script: list[Verdict], per_second: float | None, batch: int
) -> None:
    """Rebalances, hangs, pauses, send filters, rate limits, both lanes: all events get outcomes."""

    async def main() -> History:
        history = History(script, per_second=per_second, batch=batch)
        for step in steps:
            waited = step(history)
            if waited is not None:
                await waited
        await history.all_is_well()
        return history

    history = run(main())
    made, written = history.courier, history.written
    assert history.ended() == Counter(event.event_id for event in written)
    assert (made.waiting(), made.in_flight) == (0, 0)
    place = {event_id: n for n, event_id in enumerate(history.outcome_handler.accepted_ids)}
    of_visitor: dict[tuple[int, str, str | None], list[str]] = defaultdict(list)
    for event in written:
        of_visitor[event.partition, event.visitor, event.run_id].append(event.event_id)
    for (partition, _, _), ids in of_visitor.items():
        delivered = [place[event_id] for event_id in ids if event_id in place]
        assert delivered == sorted(delivered)
        about = [request for request in history.fake.deliveries() if set(request.ids) & set(ids)]
        for first, second in pairwise(about):
            ended = history.ended_for(first, partition)
            assert second.at >= ended, "two requests about one visitor at once"
