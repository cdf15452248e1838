"""The courier with a vendor that is a function, in virtual time."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.outcome import RequestOutcome, SkipReason, Verdict
from streams.delivery.courier import Courier
from streams.delivery.ordered_queue import Item
from streams.vendors.base import HttpRequest, HttpResponse, Vendor, VendorSettings
from tests.delivery.virtual_time import run

ACCEPTED = Verdict(RequestOutcome.ACCEPTED, "200", 200)
REJECTED = Verdict(RequestOutcome.REJECTED, "422 no", 422)
UNAVAILABLE = Verdict(RequestOutcome.UNAVAILABLE, "503", 503)
MISCONFIGURED = Verdict(RequestOutcome.MISCONFIGURED, "401 bad key", 401)
UNCLEAR = Verdict(RequestOutcome.UNCLEAR, "no response came")
QUEUES = 3


@dataclass
class Request:
    """One request as the vendor saw it."""

    at: float
    ids: tuple[str, ...]
    """Empty: a probe."""
    ended: float | None = None


@dataclass
class FakeVendor:
    """Judges by a function of the request; remembers all requests."""

    judge: Callable[[Request, int], Verdict]
    """(request, its number) → verdict."""
    seconds: float = 0.01
    requests: list[Request] = field(default_factory=list)
    _verdicts: dict[str, Verdict] = field(default_factory=dict)

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Answer after a while."""
        loop = asyncio.get_running_loop()
        ids = tuple(request.body.decode().split(",")) if request.body else ()
        seen = Request(loop.time(), ids)
        number = len(self.requests)
        self.requests.append(seen)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            seen.ended = loop.time()
        self._verdicts[str(number)] = self.judge(seen, number)
        return HttpResponse(200, {"number": str(number)}, b"")

    def classify(self, response: HttpResponse, _count: int) -> Verdict:
        """Return what the function said."""
        return self._verdicts[response.headers["number"]]

    def deliveries(self) -> list[Request]:
        """The requests that were no probes."""
        return [request for request in self.requests if request.ids]


class FakeOutcomeHandler:
    """Keeps what it is told, in order."""

    def __init__(self) -> None:
        self.accepted_ids: list[str] = []
        self.rejected_ids: list[str] = []
        self.skipped_ids: list[str] = []
        self.passed_over_ids: list[str] = []
        self.words: dict[str, str] = {}

    def write_accepted(self, items: tuple[Item, ...], _verdict: Verdict, /) -> None:
        """Note what was taken."""
        self.accepted_ids += [item.event_id for item in items]

    def write_rejected(self, item: Item, words: str, _verdict: Verdict, /) -> None:
        """Note what was refused, and why."""
        self.rejected_ids.append(item.event_id)
        self.words[item.event_id] = words

    def write_skipped(self, items: tuple[Item, ...], _verdict: Verdict, /) -> None:
        """Note what need not be sent."""
        self.skipped_ids += [item.event_id for item in items]

    def pass_over(self, items: Sequence[Item]) -> None:
        """Note what ends without an outcome."""
        self.passed_over_ids += [item.event_id for item in items]

    def outcomes(self) -> Counter[str]:
        """How many outcomes each event has; one that is passed over has its own."""
        return Counter(
            self.accepted_ids + self.rejected_ids + self.skipped_ids + self.passed_over_ids
        )


def vendor(fake: FakeVendor, *, batch: int = 3, concurrency: int = 4) -> Vendor:
    """A vendor with small batches and three queues a partition."""
    return Vendor(
        key="test",
        name="Test",
        settings=VendorSettings,
        credentials=(),
        mapper=lambda _: lambda _: SkipReason.THINNED,
        build_request=lambda payloads, _: HttpRequest("POST", "/", {}, b",".join(payloads)),
        build_probe=lambda _: HttpRequest("POST", "/probe", {}, b""),
        classify=fake.classify,
        max_batch_records=lambda _: batch,
        max_batch_bytes=lambda _: 10_000,
        linger_seconds=lambda _: 0.2,
        concurrency=lambda _: concurrency,
        queues=QUEUES,
    )


def fail(error: BaseException) -> None:
    """Let no defect pass."""
    raise AssertionError from error


def courier_of(
    of: Vendor, fake: FakeVendor, outcome_handler: FakeOutcomeHandler, **more: Any
) -> Courier:
    """A vendor's courier on the running loop's clock, without jitter."""
    usual = {"clock": asyncio.get_running_loop().time, "random": lambda: 1.0, "on_defect": fail}
    return Courier(of, None, fake, outcome_handler, **(usual | more))


def courier(fake: FakeVendor, outcome_handler: FakeOutcomeHandler, **options: Any) -> Courier:
    """A courier with the usual vendor."""
    return courier_of(vendor(fake, **options), fake, outcome_handler)


def add(made: Courier, *ids: str, partition: int = 0, key: str = "anna") -> None:
    """Hand over events of one visitor."""
    for event_id in ids:
        item = Item(partition, 0, event_id, "t/0/0", "2026-01-01T00:00:00.000Z", b"", 0)
        made.add(item, event_id.encode(), key)
    made.start_requests()


async def until(condition: Callable[[], bool], seconds: float = 100_000.0) -> None:
    """Wait in virtual time."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not condition():
        assert loop.time() < deadline, "it never came to that"
        await asyncio.sleep(0.05)


def play(
    judge: Callable[[Request, int], Verdict], ids: Sequence[str], **options: Any
) -> tuple[FakeVendor, FakeOutcomeHandler, Courier]:
    """Deliver these events of one visitor to their outcomes."""
    fake, outcome_handler = FakeVendor(judge), FakeOutcomeHandler()

    async def main() -> Courier:
        made = courier(fake, outcome_handler, **options)
        add(made, *ids)
        await until(lambda: len(outcome_handler.outcomes()) == len(ids))
        return made

    return fake, outcome_handler, run(main())


IDS = [f"e{n}" for n in range(7)]


def test_events_travel_in_full_batches_and_the_rest_after_its_linger() -> None:
    """Seven events in batches of three; the last one waits 0.2 s for company."""
    fake, outcome_handler, _ = play(lambda *_: ACCEPTED, IDS)
    assert [r.ids for r in fake.requests] == [
        ("e0", "e1", "e2"),
        ("e3", "e4", "e5"),
        ("e6",),
    ]
    assert outcome_handler.accepted_ids == IDS
    assert fake.requests[2].at == pytest.approx(0.2)


def test_named_refusals_are_cut_out_and_the_rest_goes_again_at_once() -> None:
    """The second event is refused, the others are delivered in order."""

    def judge(request: Request, _number: int) -> Verdict:
        if "e1" in request.ids:
            return Verdict(
                RequestOutcome.REJECTED, "422", 422, refused={request.ids.index("e1"): "no sku"}
            )
        return ACCEPTED

    fake, outcome_handler, _ = play(judge, IDS)
    assert [r.ids for r in fake.requests[:3]] == [("e0", "e1", "e2"), ("e0", "e2"), IDS_3_TO_5]
    assert outcome_handler.rejected_ids == ["e1"]
    assert outcome_handler.words == {"e1": "no sku"}
    assert outcome_handler.accepted_ids == ["e0", "e2", "e3", "e4", "e5", "e6"]
    assert fake.requests[1].at == fake.requests[0].ended


IDS_3_TO_5 = ("e3", "e4", "e5")


def test_unnamed_refusals_are_found_by_bisection() -> None:
    """The front half goes first; the event that is left over is asked about alone."""
    fake, outcome_handler, _ = play(lambda r, _: REJECTED if "e2" in r.ids else ACCEPTED, IDS)
    assert [r.ids for r in fake.requests] == [
        ("e0", "e1", "e2"),
        ("e0",),
        ("e1",),
        ("e2",),
        IDS_3_TO_5,
        ("e6",),
    ]
    assert outcome_handler.rejected_ids == ["e2"]
    assert outcome_handler.words == {"e2": "422 no"}


def test_the_last_event_of_a_range_that_was_refused_twice_is_not_asked_about_alone() -> None:
    """The others of the smaller range were accepted, so it is the one; the rest is one batch."""
    fake, outcome_handler, _ = play(
        lambda r, _: REJECTED if "e1" in r.ids else ACCEPTED, IDS[:4], batch=4
    )
    assert [r.ids for r in fake.requests] == [
        ("e0", "e1", "e2", "e3"),
        ("e0", "e1"),
        ("e0",),
        ("e2", "e3"),
    ]
    assert outcome_handler.rejected_ids == ["e1"]
    assert outcome_handler.words == {"e1": "422 no"}
    assert outcome_handler.accepted_ids == ["e0", "e2", "e3"]


def test_a_request_that_is_too_large_is_halved_and_no_event_is_blamed() -> None:
    """413 where more than one event is sent: each goes in a smaller request."""
    too_large = Verdict(RequestOutcome.REJECTED, "413", 413)
    fake, outcome_handler, _ = play(
        lambda r, _: ACCEPTED if len(r.ids) < 3 else too_large, IDS, batch=7
    )
    assert outcome_handler.accepted_ids == IDS
    assert outcome_handler.rejected_ids == []
    assert [len(r.ids) for r in fake.requests] == [7, 3, 1, 2, 4, 2, 2]


def test_pauses_between_failures_grow() -> None:
    """0.5 s, 1, 2, 4, 8 and 16; after a minute of it the vendor would be parked."""
    fake, _, made = play(lambda _, n: ACCEPTED if n > 5 else UNAVAILABLE, ["e0"])
    gaps = [b.at - (a.ended or 0) for a, b in pairwise(fake.requests)]
    assert gaps == pytest.approx([0.5, 1, 2, 4, 8, 16])
    assert made.client.breaker.state == "running"


def test_a_vendor_that_fails_for_a_minute_is_asked_by_probes_only() -> None:
    """With good probes one event goes after each of them, until it is accepted."""
    fake, _, made = play(lambda r, _: ACCEPTED if not r.ids or r.at > 200 else UNAVAILABLE, ["e0"])
    after = [request for request in fake.requests if 65 < request.at < 200]
    assert all(bool(a.ids) != bool(b.ids) for a, b in pairwise(after))
    assert 8 <= len(after) <= 26
    assert made.client.breaker.state == "running"


def test_a_closed_queue_is_not_sent() -> None:
    """A partition that was taken away waits for what is in flight, and sends nothing more."""
    fake, outcome_handler = FakeVendor(lambda *_: ACCEPTED), FakeOutcomeHandler()

    async def main() -> None:
        made = courier(fake, outcome_handler)
        add(made, *IDS)
        add(made, "other", partition=1)
        await asyncio.sleep(0)
        assert made.in_flight == 1
        await made.close_partitions([0])
        assert made.in_flight == 0
        assert outcome_handler.accepted_ids == ["e0", "e1", "e2"]
        await until(lambda: "other" in outcome_handler.accepted_ids)
        await asyncio.sleep(60)

    run(main())
    assert outcome_handler.accepted_ids == ["e0", "e1", "e2", "other"]


def test_a_closed_partition_drops_what_was_to_be_repeated() -> None:
    """The next owner repeats it; here it would come too late."""
    fake, outcome_handler = FakeVendor(lambda *_: UNAVAILABLE), FakeOutcomeHandler()

    async def main() -> None:
        made = courier(fake, outcome_handler)
        add(made, *IDS)
        await until(lambda: len(fake.requests) == 3)
        await made.close_partitions([0])
        asked = len(fake.requests)
        await asyncio.sleep(600)
        assert len(fake.requests) == asked
        assert made.waiting() == 0

    run(main())
    assert not outcome_handler.outcomes()


def test_quiesce_waits_for_responses_and_resume_goes_on() -> None:
    """Nothing is begun in between."""
    fake, outcome_handler = FakeVendor(lambda *_: ACCEPTED, seconds=1.0), FakeOutcomeHandler()

    async def main() -> None:
        made = courier(fake, outcome_handler)
        add(made, *IDS)
        await asyncio.sleep(0.1)
        await made.quiesce(8.0)
        assert asyncio.get_running_loop().time() == pytest.approx(1.0)
        assert outcome_handler.accepted_ids == ["e0", "e1", "e2"]
        add(made, "e7")
        await asyncio.sleep(30)
        assert len(fake.requests) == 1
        made.resume()
        await until(lambda: len(outcome_handler.accepted_ids) == 8)

    run(main())
    assert outcome_handler.accepted_ids == [*IDS, "e7"]


def test_quiesce_gives_a_hanging_vendor_up_in_time() -> None:
    """Its requests stay in flight."""
    fake, outcome_handler = FakeVendor(lambda *_: ACCEPTED, seconds=60.0), FakeOutcomeHandler()

    async def main() -> None:
        made = courier(fake, outcome_handler)
        add(made, *IDS)
        await asyncio.sleep(0)
        await made.quiesce(8.0)
        assert asyncio.get_running_loop().time() == pytest.approx(8.0)
        assert made.in_flight == 1
        await made.close_partitions([0])

    run(main())


def test_a_parked_vendor_gets_probes_and_after_a_good_one_one_event_first() -> None:
    """401 parks; probes every 10 s; then a single request; then all at once."""
    repaired_at = 25.0

    def judge(request: Request, _number: int) -> Verdict:
        return ACCEPTED if request.at >= repaired_at else MISCONFIGURED

    fake, outcome_handler = FakeVendor(judge, seconds=0.5), FakeOutcomeHandler()

    async def main() -> Courier:
        made = courier(fake, outcome_handler)
        for partition in range(4):
            add(made, *(f"{partition}-{n}" for n in range(3)), partition=partition)
        await until(lambda: made.client.breaker.state == "parked")
        await until(lambda: len(outcome_handler.accepted_ids) == 12)
        return made

    made = run(main())
    assert made.client.breaker.state == "running"
    probes = [request.at for request in fake.requests if not request.ids]
    assert len(probes) == 3
    assert all(after - before >= 10 for before, after in pairwise(probes))
    late = [request for request in fake.deliveries() if request.at > repaired_at]
    assert len([r for r in fake.deliveries() if r.at < repaired_at]) == 4
    assert late[0].ended is not None
    assert all(request.at >= late[0].ended for request in late[1:])


def test_throttling_holds_the_whole_vendor_for_as_long_as_it_asks() -> None:
    """One 429 with Retry-After 40: no queue sends before."""
    throttled = Verdict(RequestOutcome.THROTTLED, "429", 429, retry_after_seconds=40.0)
    fake, outcome_handler = (
        FakeVendor(lambda _, n: throttled if n == 0 else ACCEPTED),
        FakeOutcomeHandler(),
    )

    async def main() -> None:
        made = courier(fake, outcome_handler)
        add(made, "a1", "a2", "a3", partition=0)
        await asyncio.sleep(0.1)
        add(made, "b1", "b2", "b3", partition=1)
        await until(lambda: len(outcome_handler.accepted_ids) == 6)

    run(main())
    assert all(request.at >= 40.0 for request in fake.requests[1:])


@pytest.mark.parametrize("outcome", [RequestOutcome.THROTTLED, RequestOutcome.UNAVAILABLE])
def test_retry_after_0_is_no_hot_loop(outcome: RequestOutcome) -> None:
    """Half a second between two requests at least, whatever the vendor says."""
    again = Verdict(outcome, "later", 429, retry_after_seconds=0.0)
    fake, _, _ = play(lambda _, n: ACCEPTED if n == 20 else again, ["e0"])
    assert min(b.at - (a.ended or 0) for a, b in pairwise(fake.requests)) >= 0.49


def test_no_more_requests_than_the_concurrency_are_in_flight() -> None:
    """Twelve queues, two requests at a time, all delivered."""
    fake, outcome_handler = FakeVendor(lambda *_: ACCEPTED, seconds=1.0), FakeOutcomeHandler()

    async def main() -> None:
        made = courier(fake, outcome_handler, concurrency=2)
        for partition in range(12):
            add(made, f"{partition}a", f"{partition}b", f"{partition}c", partition=partition)
        await until(lambda: len(outcome_handler.accepted_ids) == 36)

    run(main())
    for request in fake.requests:
        assert sum(r.at <= request.at < (r.ended or 0) for r in fake.requests) <= 2


def test_an_exception_of_our_own_is_reported_as_a_defect() -> None:
    """It must end the process: its events would otherwise wait for ever."""
    fake, outcome_handler = FakeVendor(lambda *_: ACCEPTED), FakeOutcomeHandler()
    defects: list[BaseException] = []

    async def main() -> None:
        broken = vendor(fake)
        made = courier_of(
            broken,
            fake,
            outcome_handler,
            on_defect=defects.append,
        )
        fake._verdicts = None  # type: ignore[assignment]
        add(made, "e0")
        await until(lambda: bool(defects))

    run(main())
    assert isinstance(defects[0], TypeError)


@pytest.mark.parametrize("where", ["probe", "timer", "answer"])
def test_a_defect_beside_a_request_is_reported_like_one_in_it(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A probe, a timer and the end of a request have nobody who waits for them."""
    fake, outcome_handler = (
        FakeVendor(lambda *_: MISCONFIGURED if where == "probe" else ACCEPTED),
        FakeOutcomeHandler(),
    )
    defects: list[BaseException] = []

    def break_down(*_: Any) -> Any:
        raise ZeroDivisionError(where)

    async def main() -> None:
        waits = replace(vendor(fake), linger_seconds=lambda _: 0.5)
        if where == "probe":
            waits = replace(waits, build_probe=break_down)
        made = courier_of(
            waits,
            fake,
            outcome_handler,
            on_defect=defects.append,
        )
        add(made, "e0")
        if where == "timer":
            monkeypatch.setattr(made, "_consider", break_down)
        if where == "answer":
            monkeypatch.setattr(made.client.breaker, "on_request_ended", break_down)
        await until(lambda: bool(defects))

    run(main())
    assert [str(defect) for defect in defects][:1] == [where]


VERDICTS = st.sampled_from(
    [
        ACCEPTED,
        REJECTED,
        UNAVAILABLE,
        MISCONFIGURED,
        UNCLEAR,
        Verdict(RequestOutcome.UNAVAILABLE, "503", 503, retry_after_seconds=7.0),
        Verdict(RequestOutcome.THROTTLED, "429", 429),
        Verdict(RequestOutcome.THROTTLED, "429", 429, retry_after_seconds=3.0),
        Verdict(RequestOutcome.SKIPPED, "no contact", skip=SkipReason.NO_CONTACT),
        Verdict(RequestOutcome.REJECTED, "413", 413),
        Verdict(RequestOutcome.REJECTED, "422", 422, refused={0: "first"}),
        Verdict(RequestOutcome.REJECTED, "422", 422, refused={1: "second", 2: "third"}),
    ]
)


@given(
    script=st.lists(VERDICTS, max_size=40),
    events=st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from("abcdefg"), st.sampled_from([0.0, 0.1, 5.0])),
        max_size=30,
    ),
    pauses=st.lists(st.integers(0, 29), max_size=3),
    seconds=st.sampled_from([0.0, 0.01, 3.0]),
    batch=st.sampled_from([3, 20]),
)
@settings(max_examples=150)
def test_each_event_has_one_outcome_and_each_queue_its_order_whatever_the_vendor_says(
    script: list[Verdict],
    events: list[tuple[int, str, float]],
    pauses: list[int],
    seconds: float,
    batch: int,
) -> None:
    """Any sequence of verdicts, then good ones: exactly one outcome each, in order by queue."""
    verdicts = iter(script)

    def judge(request: Request, _number: int) -> Verdict:
        verdict = next(verdicts, ACCEPTED)
        if verdict.refused and max(verdict.refused) >= len(request.ids):
            return UNAVAILABLE  # it can only name what was sent
        return verdict

    fake, outcome_handler = FakeVendor(judge, seconds=seconds), FakeOutcomeHandler()
    by_visitor: dict[tuple[int, str], list[str]] = defaultdict(list)

    async def main() -> None:
        made = courier(fake, outcome_handler, batch=batch)
        for number, (partition, visitor, pause) in enumerate(events):
            if number in pauses:
                await made.quiesce(1.0)
            add(made, f"e{number}", partition=partition, key=visitor)
            by_visitor[partition, visitor].append(f"e{number}")
            await asyncio.sleep(pause)
            if number in pauses:
                made.resume()
        await until(lambda: len(outcome_handler.outcomes()) == len(events))
        assert made.waiting() == 0
        await until(lambda: made.in_flight == 0)

    run(main())
    assert outcome_handler.outcomes() == Counter(f"e{n}" for n in range(len(events)))
    place = {event_id: n for n, event_id in enumerate(outcome_handler.accepted_ids)}
    for ids in by_visitor.values():
        delivered = [place[event_id] for event_id in ids if event_id in place]
        assert delivered == sorted(delivered)
        for first, second in pairwise(r for r in fake.deliveries() if set(r.ids) & set(ids)):
            assert first.ended is not None
            assert second.at >= first.ended, "two requests of one queue at once"


def test_what_nobody_understands_is_stored_again_at_most_six_times_a_minute() -> None:
    """60 events, each stored by a vendor whose answers cannot be read; then it is well again."""
    puzzling = Verdict(
        RequestOutcome.UNCLEAR, "200, its headers cannot be read", 200, is_puzzling=True
    )

    def judge(request: Request, _: int) -> Verdict:
        is_ill = request.ids and request.at < 300
        return puzzling if is_ill else ACCEPTED

    async def main() -> tuple[list[Request], FakeOutcomeHandler]:
        fake, outcome_handler = FakeVendor(judge), FakeOutcomeHandler()
        made = courier(fake, outcome_handler, batch=1)
        for number in range(60):
            add(made, f"e-{number}", key=f"visitor-{number}")
        await asyncio.sleep(400)
        return fake.deliveries(), outcome_handler

    requests, outcome_handler = run(main())
    assert outcome_handler.outcomes() == Counter({f"e-{number}": 1 for number in range(60)})
    assert requests[-1].at < 320
    for begin in range(0, 300, 60):
        in_minute = [request for request in requests if begin <= request.at < begin + 60]
        # What was in flight when the second response came was sent for the first time.
        assert len(in_minute) <= 6 + (4 if begin == 0 else 0)
