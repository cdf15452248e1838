"""A vendor is a folder and its line in the registry: the made-up one, registered and delivered to.

``docs/adding-a-vendor.md`` walks through the folder that is used here.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

import streams
from streams.core.enrich import Enricher, Refuse, Send
from streams.core.events import EventParser
from streams.core.outcome import DeadLetterReason, Verdict
from streams.core.rows import Product, User
from streams.delivery.courier import Courier
from streams.delivery.ordered_queue import Item
from streams.vendors import plan_for
from streams.vendors.base import HttpRequest, HttpResponse
from tests.contract.fourth_vendor.example import VENDOR, ExampleSettings
from tests.delivery.virtual_time import run

FOLDER = Path(__file__).parent / "fourth_vendor" / "example"
SETTINGS = ExampleSettings.model_validate({"api_key": "secret-0815"})
KAFKA_MS = 1_795_168_800_000
REGISTRY_CHANGES = {
    "from streams.vendors import eightselect, miso": (
        "from streams.vendors import eightselect, example, miso"
    ),
    "            miso.VENDOR,\n": "            miso.VENDOR,\n            example.VENDOR,\n",
}
"""What stands in the registry, and what stands there once Example is in it."""


# -- registered


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the program with the folder in it and the vendor in its registry."""
    root = tmp_path_factory.mktemp("registered")
    package = Path(streams.__file__).parent
    shutil.copytree(package, root / "streams", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(
        FOLDER,
        root / "streams" / "vendors" / "example",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    registry = root / "streams" / "vendors" / "__init__.py"
    text = registry.read_text(encoding="utf-8")
    for before, after in REGISTRY_CHANGES.items():
        assert text.count(before) == 1
        text = text.replace(before, after)
    registry.write_text(text, encoding="utf-8")
    return root


def ran(root: Path, *arguments: str, **variables: str) -> str:
    """What Python prints there, with these settings alone."""
    around = {name: text for name, text in os.environ.items() if not name.startswith("STREAMS_")}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=root,
        env=around | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


WHAT_IT_IS_GIVEN = """
import json
from streams.settings import load_settings
from streams.vendors import VENDORS

settings = load_settings()
settings.require_stage("example")
print(json.dumps({
    "stages": settings.stages(),
    "port": settings.web_port("example"),
    "linger_seconds": settings.vendors["example"].linger_seconds,
    "secrets": settings.secrets(),
    "topics": [s.name for s in settings.topics.specs(tuple(VENDORS), 6) if ".example." in s.name],
}))
"""


def test_registered_it_has_settings_a_stage_a_port_and_topics(registered: Path) -> None:
    """All that the others have, and nothing was written for it."""
    told = ran(
        registered,
        "-c",
        WHAT_IT_IS_GIVEN,
        STREAMS_EXAMPLE_API_KEY="secret-0815",
        STREAMS_EXAMPLE_LINGER_SECONDS="0.1",
    )
    assert json.loads(told) == {
        "stages": ["enrich", "example"],
        "port": 6071,
        "linger_seconds": 0.1,
        "secrets": ["secret-0815"],
        "topics": [
            "vendor.example.events",
            "vendor.example.redelivery",
            "vendor.example.receipts",
            "vendor.example.dead-letters",
        ],
    }


def test_registered_it_is_part_of_the_commands(registered: Path) -> None:
    """``streams check --mapping`` shows what it would get."""
    (registered / "events.jsonl").write_text(json.dumps(raw(1)) + "\n", encoding="utf-8")
    told = ran(
        registered,
        *("-m", "streams", "check", "--mapping", "events.jsonl", "--json"),
        STREAMS_EXAMPLE_API_KEY="secret-0815",
    )
    (shown,) = [row for row in json.loads(told) if row.get("vendor") == "example"]
    assert (shown["outcome"], shown["payload"]) == (
        "sent",
        {
            "id": "e-1",
            "kind": "view",
            "at": "2026-11-20T09:59:58.120Z",
            "visitor": "visitor-7",
            "sku": "8S-1",
        },
    )


# -- delivered


class Example:
    """The vendor as its page says, with memory: a request with a refused event stores nothing."""

    def __init__(self, *failures: HttpResponse) -> None:
        self.requests: list[HttpRequest] = []
        self.stored: list[dict[str, Any]] = []
        self._failures = list(failures)

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Judge a request a tenth of a second later."""
        await asyncio.sleep(0.1)
        self.requests.append(request)
        if self._failures:
            return self._failures.pop(0)
        assert request.headers["Authorization"] == "Bearer secret-0815"
        events = json.loads(request.body)["events"]
        assert len(events) <= 100
        assert len(request.body) <= 64 * 1024
        errors = [
            {"index": index, "reason": "sku is unknown"}
            for index, event in enumerate(events)
            if event["sku"] == "unknown"
        ]
        if errors:
            return HttpResponse(422, {}, json.dumps({"errors": errors}).encode())
        self.stored += events
        return HttpResponse(202, {}, b'{"accepted":%d}' % len(events))


class FakeOutcomeHandler:
    """Keeps outcomes by event id."""

    def __init__(self) -> None:
        self.outcomes: list[tuple[str, str]] = []

    def write_accepted(self, items: tuple[Item, ...], _verdict: Verdict, /) -> None:
        """Note what was taken."""
        self.outcomes += [(item.event_id, "accepted") for item in items]

    def write_rejected(self, item: Item, words: str, _verdict: Verdict, /) -> None:
        """Note what was refused, and why."""
        self.outcomes.append((item.event_id, words))

    def write_skipped(self, items: tuple[Item, ...], verdict: Verdict, /) -> None:
        """Example skips nothing."""
        raise AssertionError(items, verdict)

    def pass_over(self, items: Sequence[Item]) -> None:
        """No run is stopped here."""
        raise AssertionError(items)


def raw(number: int, **changes: Any) -> dict[str, Any]:
    """A click as a shop writes it."""
    event = {
        "event_id": f"e-{number}",
        "timestamp": "2026-11-20T09:59:58.120Z",
        "anonymous_id": "visitor-7",
        "product_id": "p-1042",
        "sku": f"8S-{number}",
        "consent": {"example": True},
    }
    return event | changes


def vendor_record(number: int, **changes: Any) -> bytes:
    """What enrichment writes for Example."""
    parser = EventParser("click", "shop.clicks")
    value = json.dumps(raw(number, **changes)).encode()
    event = parser.parse(b"visitor-7", value, 0, number, KAFKA_MS)
    enricher = Enricher([plan_for(VENDOR, SETTINGS)], "required")
    (decision,) = enricher.decide(event, User(), None, Product("8S-row"), KAFKA_MS, KAFKA_MS)
    assert isinstance(decision, Send)
    return decision.value


async def deliver(
    example: Example, outcome_handler: FakeOutcomeHandler, records: list[bytes]
) -> float:
    """Hand the records of one partition to a courier; return when all had their outcome."""
    loop = asyncio.get_running_loop()
    defects: list[BaseException] = []
    courier = Courier(
        VENDOR,
        SETTINGS,
        example,
        outcome_handler,
        clock=loop.time,
        random=lambda: 1.0,
        on_defect=defects.append,
    )
    for position, value in enumerate(records):
        event_id = json.loads(value)["event_id"]
        payload = bytes(msgspec.json.decode(value, type=dict[str, msgspec.Raw])["payload"])
        item = Item(0, position, event_id, f"shop.clicks/0/{position}", "", value, KAFKA_MS)
        courier.add(item, payload, "visitor-7")
    courier.start_requests()
    while not defects and (courier.waiting() or courier.in_flight):  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    assert defects == []
    return loop.time()


def test_events_reach_it_in_order_in_requests_of_a_hundred() -> None:
    """250 events: three requests, the last one after its 0.5 s of waiting for others."""
    example, outcome_handler = Example(), FakeOutcomeHandler()
    records = [vendor_record(number) for number in range(250)]
    run(deliver(example, outcome_handler, records))
    assert [event["id"] for event in example.stored] == [f"e-{number}" for number in range(250)]
    assert [len(json.loads(r.body)["events"]) for r in example.requests] == [100, 100, 50]
    assert outcome_handler.outcomes == [(f"e-{number}", "accepted") for number in range(250)]


def test_a_refused_event_is_given_up_alone() -> None:
    """Its words are kept, and the others go again at once."""
    example, outcome_handler = Example(), FakeOutcomeHandler()
    records = [vendor_record(0), vendor_record(1, sku="unknown"), vendor_record(2)]
    run(deliver(example, outcome_handler, records))
    assert [event["id"] for event in example.stored] == ["e-0", "e-2"]
    assert sorted(outcome_handler.outcomes) == [
        ("e-0", "accepted"),
        ("e-1", "sku is unknown"),
        ("e-2", "accepted"),
    ]


def test_an_outage_loses_nothing_and_changes_no_order() -> None:
    """No connection, 503 and 429, one after the other: the same event again, then the rest."""
    failures = (
        HttpResponse(None, {}, b"", "connection refused", was_sent=False),
        HttpResponse(503, {}, b""),
        HttpResponse(429, {"retry-after": "30"}, b""),
    )
    example, outcome_handler = Example(*failures), FakeOutcomeHandler()
    records = [vendor_record(number) for number in range(150)]
    seconds = run(deliver(example, outcome_handler, records))
    assert seconds > 30
    assert [event["id"] for event in example.stored] == [f"e-{number}" for number in range(150)]
    sent = [json.loads(request.body)["events"] for request in example.requests]
    assert [(events[0]["id"], len(events)) for events in sent[:4]] == [
        ("e-0", 100),
        ("e-0", 100),
        ("e-0", 1),
        ("e-0", 1),
    ]
    assert outcome_handler.outcomes == [(f"e-{number}", "accepted") for number in range(150)]


def test_what_does_not_fit_never_leaves_enrichment() -> None:
    """A visitor's id that is too long: a dead letter that names the field."""
    long = "v" * 129
    parser = EventParser("click", "shop.clicks")
    value = json.dumps(raw(1, anonymous_id=long)).encode()
    event = parser.parse(long.encode(), value, 0, 1, KAFKA_MS)
    enricher = Enricher([plan_for(VENDOR, SETTINGS)], "required")
    (decision,) = enricher.decide(event, None, None, None, KAFKA_MS, KAFKA_MS)
    assert isinstance(decision, Refuse)
    assert decision.error.reason is DeadLetterReason.INVALID_PAYLOAD
    assert str(decision.error) == "visitor: Example takes at most 128 characters"
