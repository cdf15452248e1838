"""Voyado's request flows over HTTP, led by the courier, judged by the simulator."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import msgspec
import pytest

from streams.core.enrich import Enricher, Send
from streams.core.events import EventParser
from streams.core.outcome import Verdict
from streams.core.rows import Product, User
from streams.delivery.courier import Courier
from streams.delivery.http import HttpClient
from streams.delivery.ordered_queue import Item
from streams.lab.sandbox import Sandbox, server
from streams.lab.sandbox.voyado import VoyadoSimulator
from streams.settings import HttpSettings
from streams.vendors import plan_for
from streams.vendors.voyado import VENDOR, VoyadoSettings

QUICK = replace(VENDOR, retry_waits=(0.01,))
KAFKA_MS = 1_795_168_800_000
YES: dict[str, bool | None] = {"voyado": True}
USERS = {
    "by-id": User(contact_id="5c0d7a52-6f0a-4f1c-8a3e-1d2c3b4a5f66", consent=YES),
    "by-key": User(custom_key="C7001", consent=YES),
    "by-mail": User(email="ann@shop.example", consent=YES),
    "nobody": User(custom_key="sandbox-unknown-1", consent=YES),
    "two": User(custom_key="sandbox-twice-1", consent=YES),
}


@pytest.fixture
async def sandbox(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sandbox]:
    """Run a sandbox of Voyado's simulator alone."""
    monkeypatch.setattr(server, "SIMULATORS", (VoyadoSimulator,))
    running = Sandbox()
    await running.start()
    yield running
    await running.stop()


class FakeOutcomeHandler:
    """Keeps every outcome in the order in which it came."""

    def __init__(self) -> None:
        self.outcomes: list[tuple[str, str]] = []
        self.references: dict[str, str | None] = {}

    def write_accepted(self, items: tuple[Item, ...], verdict: Verdict) -> None:
        """Keep that the vendor took these events."""
        for item in items:
            self.outcomes.append((item.event_id, "accepted"))
            self.references[item.event_id] = verdict.vendor_ref

    def write_rejected(self, item: Item, words: str, verdict: Verdict) -> None:  # noqa: ARG002
        """Keep that the vendor refused this event."""
        self.outcomes.append((item.event_id, "rejected"))

    def write_skipped(self, items: tuple[Item, ...], verdict: Verdict) -> None:
        """Keep that these events are not sent."""
        self.outcomes += [(item.event_id, str(verdict.skip)) for item in items]

    def pass_over(self, items: Sequence[Item]) -> None:
        """No run is stopped here."""
        raise AssertionError(items)


def records(settings: VoyadoSettings, visitor: str, count: int) -> list[bytes]:
    """Return the vendor records of this many add-to-carts and clicks of one visitor, by turns."""
    enricher = Enricher([plan_for(VENDOR, settings)], "required")
    product = Product("8S-row", "8S-10", "Shirt", "Acme", ["Men", "Shirts"], 24.9, "EUR")
    made = []
    for number in range(count):
        kind = "click" if number % 2 else "add_to_cart"
        raw = {
            "event_id": f"{visitor}-{number}",
            "timestamp": KAFKA_MS - 60_000 + number,
            "anonymous_id": visitor,
            "product_id": "p-1042",
            "page": {"url": "https://shop.example/p/1042"},
        }
        parser = EventParser(kind, f"shop.{kind}s")
        event = parser.parse(visitor.encode(), msgspec.json.encode(raw), 0, number, KAFKA_MS)
        user = USERS[visitor]
        (decision,) = enricher.decide(event, user, None, product, KAFKA_MS, KAFKA_MS)
        assert isinstance(decision, Send)
        made.append(decision.value)
    return made


async def deliver(
    sandbox: Sandbox, visitors: dict[str, int], **settings: object
) -> FakeOutcomeHandler:
    """Deliver events of these visitors and return what became of them."""
    section = VoyadoSettings.model_validate(
        {"base_url": sandbox.url, "api_key": "sandbox-secret", "lookup_email": True} | settings
    )
    outcome_handler, defects = FakeOutcomeHandler(), list[BaseException]()
    client = HttpClient(sandbox.url, concurrency=8, current_http=HttpSettings)
    courier = Courier(
        QUICK,
        section,
        client,
        outcome_handler,
        clock=time.monotonic,
        random=lambda: 0.0,
        on_defect=defects.append,
    )
    position = 0
    for visitor, count in visitors.items():
        for value in records(section, visitor, count):
            raw = msgspec.json.decode(value, type=dict[str, msgspec.Raw])
            fields = msgspec.json.decode(value)
            item = Item(
                0,
                position,
                fields["event_id"],
                f"shop.clicks/0/{position}",
                fields["timestamp"],
                value,
                KAFKA_MS,
            )
            key = f"{fields.get('contact') or fields['payload'].get('contactId')}"
            courier.add(item, bytes(raw["payload"]), key)
            position += 1
    courier.start_requests()
    async with asyncio.timeout(20):
        while len(outcome_handler.outcomes) < position and not defects:  # noqa: ASYNC110 - no one tells
            await asyncio.sleep(0.005)
    await client.close()
    assert defects == []
    return outcome_handler


async def test_events_of_every_kind_of_contact_are_delivered(sandbox: Sandbox) -> None:
    """By id, key and e-mail; without contact none; clicks after the first one are thinned."""
    outcome_handler = await deliver(sandbox, dict.fromkeys(USERS, 4))
    by_visitor: dict[str, list[str]] = {}
    for event_id, outcome in outcome_handler.outcomes:
        by_visitor.setdefault(event_id.rpartition("-")[0], []).append(outcome)
    sent = ["accepted", "accepted", "accepted", "thinned"]
    none = ["no_contact"] * 4
    assert by_visitor == {
        "by-id": sent,
        "by-key": sent,
        "by-mail": sent,
        "nobody": none,
        "two": none,
    }
    summary = sandbox.ledgers["voyado"].summary()
    assert (summary["records"], summary["duplicates"], summary["ignored"]) == (9, 0, 0)
    assert (summary["flagged"], summary["dropped_properties"]) == ({}, {})
    assert summary["types"] == {"addToCart": 6, "productClick": 3}
    assert all(outcome_handler.references.values())


async def test_events_of_a_contact_arrive_in_their_order(sandbox: Sandbox) -> None:
    """Through failures of all kinds, and each once."""
    for fault in (
        "500,times=2,after=3",
        "500,stored=true,times=2,after=5,method=POST",
        "store_then_drop,times=3,after=8,method=POST",
        "drop_before_store,times=3,after=2",
        "down,times=2,after=12",
    ):
        sandbox.faults.set(f"voyado:{fault}")
    outcome_handler = await deliver(sandbox, {"by-key": 12, "by-id": 12}, clicks="all")
    assert Counter(outcome for _, outcome in outcome_handler.outcomes) == {"accepted": 24}
    ledger = sandbox.ledgers["voyado"]
    assert ledger.duplicates() == {}
    for visitor in ("by-key", "by-id"):
        arrived = [id_ for id_ in ledger.event_ids() if id_.startswith(visitor)]
        assert arrived == [f"{visitor}-{number}" for number in range(12)]


async def test_what_the_vendor_finished_is_never_sent_again(sandbox: Sandbox) -> None:
    """Every POST is stored, and every response lost, in pages of 50 and more."""
    sandbox.faults.set("voyado:store_then_drop,method=POST")
    outcome_handler = await deliver(sandbox, {"by-id": 60}, clicks="all")
    assert Counter(outcome for _, outcome in outcome_handler.outcomes) == {"accepted": 60}
    ledger = sandbox.ledgers["voyado"]
    assert ledger.event_ids() == [f"by-id-{number}" for number in range(60)]
    assert all(outcome_handler.references.values())


async def test_refused_event_does_not_hold_the_next(sandbox: Sandbox) -> None:
    """One dead letter, the rest accepted."""
    sandbox.faults.set("voyado:refuse,times=1,after=1")
    outcome_handler = await deliver(sandbox, {"by-id": 4}, clicks="all")
    assert [outcome for _, outcome in outcome_handler.outcomes] == [
        "accepted",
        "rejected",
        "accepted",
        "accepted",
    ]
