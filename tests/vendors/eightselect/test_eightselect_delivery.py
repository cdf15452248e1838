"""8SELECT from event to response: mapping, courier and classify meet the simulator."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.enrich import Enricher, Send
from streams.core.event_types import AddToCart, Click, Content
from streams.core.outcome import RequestOutcome, Verdict
from streams.core.records import VendorRecord
from streams.delivery.courier import Courier
from streams.delivery.ordered_queue import Item
from streams.lab.sandbox.eightselect import EightSelectSimulator, digest
from streams.lab.sandbox.exchange import Call, SimulatedResponse
from streams.lab.sandbox.faults import Faults
from streams.vendors import plan_for
from streams.vendors.base import HttpRequest, HttpResponse
from streams.vendors.eightselect import VENDOR, EightSelectSettings

SETTINGS = EightSelectSettings.model_validate(
    {"api_id": "account", "user_id_secret": "secret-of-the-ids", "require_content": False}
)
KAFKA_MS = 1_795_168_800_000


def judged(
    simulator: EightSelectSimulator, request: HttpRequest, fault: str | None = None
) -> SimulatedResponse:
    """Return the simulator's answer to a request as it would arrive."""
    call = Call(request.method, request.path, {}, request.headers, request.body, 1, 1.0)
    if fault is not None:
        faults = Faults(("eightselect",))
        faults.set(fault)
        plan = faults.plan("eightselect", request.method, request.path)
        assert plan.refusals is not None
        call.refusals = plan.refusals
    return simulator.answer(call)


def as_read(response: SimulatedResponse) -> HttpResponse:
    """Return the response as the courier reads it."""
    headers = {name.lower(): text for name, text in response.headers.items()}
    return HttpResponse(response.status, headers, response.body)


def record(event: Click | AddToCart) -> bytes:
    """Return the vendor record that enrichment writes."""
    enricher = Enricher([plan_for(VENDOR, SETTINGS)], "assumed")
    (decision,) = enricher.decide(event, None, None, None, KAFKA_MS, KAFKA_MS)
    assert isinstance(decision, Send)
    return decision.value


def payload_of(value: bytes) -> bytes:
    """Return the payload within a vendor record, as it stands there."""
    return bytes(msgspec.json.decode(value, type=dict[str, msgspec.Raw])["payload"])


ids = st.text(min_size=1, max_size=512)
contents = st.builds(
    Content, st.sampled_from(["customSet", "matchingProductClusters", "similarProducts"]), ids
)


@given(st.sampled_from([Click, AddToCart]), ids, ids, st.none() | contents, st.none() | st.uuids())
def test_whatever_is_mapped_is_accepted(
    kind: Any, anonymous_id: str, sku: str, content: Content | None, cookie: Any
) -> None:
    """The simulator shares no code with the mapping and takes all that it makes."""
    event = kind(
        anonymous_id,
        "2026-11-20T09:59:58.120Z",
        product_id="p-1",
        event_id="e-1",
        sku=sku,
        content=content,
        eightselect_user_id=None if cookie is None else str(cookie),
        timestamp_ms=KAFKA_MS,
    )
    payload = payload_of(record(event))
    simulator = EightSelectSimulator()
    response = judged(simulator, VENDOR.build_request([payload], SETTINGS))
    assert VENDOR.classify(as_read(response), 1) == Verdict(RequestOutcome.ACCEPTED, "200 {}", 200)
    assert simulator.ledger.event_ids() == [digest(json.loads(payload))]
    assert set(simulator.ledger.flagged) == ({"no_content"} if content is None else set())


CLICK = payload_of(
    record(
        Click(
            "visitor-7",
            "2026-11-20T09:59:58.120Z",
            product_id="p-1",
            event_id="e-1",
            sku="8S-1042",
            content=Content("customSet", "set-9"),
            timestamp_ms=KAFKA_MS,
        )
    )
)
REFUSED = "/interact/product/sku must be taken by this sandbox: '8S-1042' is refused"


def test_probe_and_validation_store_nothing() -> None:
    """The simulator takes both for what they are."""
    simulator = EightSelectSimulator()
    assert VENDOR.validation is not None
    for request in (VENDOR.build_probe(SETTINGS), VENDOR.validation([CLICK], SETTINGS).request):
        response = judged(simulator, request)
        assert VENDOR.classify(as_read(response), 0).outcome is RequestOutcome.ACCEPTED
    assert (len(simulator.ledger), simulator.ledger.dry_run_records) == (0, 2)


@pytest.mark.parametrize("fault", ["refuse,skus=8S-1042", "refuse_unreadable", "errors_true"])
def test_each_refusal_of_the_simulator_is_understood(fault: str) -> None:
    """Behind whatever status it comes."""
    response = judged(EightSelectSimulator(), VENDOR.build_request([CLICK], SETTINGS), fault)
    verdict = VENDOR.classify(as_read(response), 1)
    assert verdict.outcome is RequestOutcome.REJECTED
    words = {} if fault == "refuse_unreadable" else {0: REFUSED}
    assert verdict.refused == words
    assert verdict.detail == f"{response.status} {words.get(0, 'Bad Request')}"


@pytest.mark.parametrize(("api_id", "status"), [(None, 401), ("sandbox-invalid", 403)])
def test_a_wrong_account_parks(api_id: str | None, status: int) -> None:
    """Events and probes alike."""
    settings = EightSelectSettings.model_validate({"api_id": api_id})
    for request in (VENDOR.build_request([CLICK], settings), VENDOR.build_probe(settings)):
        verdict = VENDOR.classify(as_read(judged(EightSelectSimulator(), request)), 1)
        assert (verdict.outcome, verdict.status) == (RequestOutcome.MISCONFIGURED, status)


class Line:
    """A sender to the simulator with memory; answers come a few turns of the loop later."""

    def __init__(self, failures: dict[int, int]) -> None:
        self.simulator = EightSelectSimulator()
        self.open = 0
        self.most_open = 0
        self.requests = 0
        self._failures = failures

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Return the simulator's response, or a failure where one is due."""
        self.requests += 1
        status = self._failures.get(self.requests)
        turns = 1 + self.requests % 5
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        for _ in range(turns):
            await asyncio.sleep(0)
        self.open -= 1
        if status is not None:
            return HttpResponse(status, {}, b"")
        return as_read(judged(self.simulator, request))


class FakeOutcomeHandler:
    """Keeps outcomes."""

    def __init__(self) -> None:
        self.settled: Counter[str] = Counter()

    def write_accepted(self, items: tuple[Item, ...], verdict: Verdict) -> None:
        """Count them."""
        assert verdict.outcome is RequestOutcome.ACCEPTED
        self.settled.update(item.event_id for item in items)

    def write_rejected(self, item: Item, words: str, verdict: Verdict) -> None:
        """Nothing here may be refused."""
        raise AssertionError(item, words, verdict)

    def write_skipped(self, items: tuple[Item, ...], verdict: Verdict) -> None:
        """Nothing here may be skipped."""
        raise AssertionError(items, verdict)

    def pass_over(self, items: Sequence[Item]) -> None:
        """No run is stopped here."""
        raise AssertionError(items)


async def test_one_partition_uses_the_whole_concurrency_and_keeps_visitors_in_order() -> None:
    """600 events of 150 visitors: 32 requests at once, each visitor in order, none twice."""
    line, outcome_handler = Line({}), FakeOutcomeHandler()
    visitors = 150
    await deliver(line, outcome_handler, visitors, rounds=4)
    assert line.most_open == 32
    assert set(outcome_handler.settled.values()) == {1}
    assert line.requests == 600
    expect_order(line, visitors, rounds=4)


async def test_a_retry_holds_its_visitor_and_nobody_else() -> None:
    """Outages in between change no visitor's order and lose nothing."""
    line, outcome_handler = Line({5: 503, 17: 500, 40: 502}), FakeOutcomeHandler()
    await deliver(line, outcome_handler, 40, rounds=3)
    assert line.requests == 123
    assert set(outcome_handler.settled.values()) == {1}
    expect_order(line, 40, rounds=3)


async def deliver(
    line: Line, outcome_handler: FakeOutcomeHandler, visitors: int, rounds: int
) -> None:
    """Hand the courier one partition's events and wait until all are settled."""
    loop = asyncio.get_running_loop()
    defects: list[BaseException] = []
    courier = Courier(
        VENDOR,
        SETTINGS,
        line,
        outcome_handler,
        clock=loop.time,
        random=lambda: 0.0,
        on_defect=defects.append,
    )
    position = 0
    for number in range(rounds):
        for visitor in range(visitors):
            event = Click(
                f"visitor-{visitor}",
                "2026-11-20T09:59:58.120Z",
                product_id="p-1",
                event_id=f"e-{position}",
                sku=f"8S-{number}",
                content=Content("customSet", "set-9"),
                timestamp_ms=KAFKA_MS,
            )
            value = record(event)
            known = msgspec.json.decode(value, type=VendorRecord)
            item = Item(
                0, position, f"e-{position}", f"shop.clicks/0/{position}", "", value, KAFKA_MS
            )
            courier.add(item, payload_of(value), VENDOR.ordering_key(known))
            position += 1
    courier.start_requests()
    async with asyncio.timeout(30):
        while not defects and (courier.waiting() or courier.in_flight):  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert defects == []


def expect_order(line: Line, visitors: int, rounds: int) -> None:
    """Each visitor's products were stored in the order of the clicks."""
    skus = defaultdict(list)
    for row in line.simulator.ledger.rows():
        skus[row["user_id"]].append(row["sku"])
    assert len(skus) == visitors
    assert all(seen == [f"8S-{number}" for number in range(rounds)] for seen in skus.values())
