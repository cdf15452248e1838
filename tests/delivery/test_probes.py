"""A parked vendor is probed without an event; then one real event goes first, then all."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest

from streams.core.records import VendorRecord
from streams.delivery.courier import Courier
from streams.delivery.ordered_queue import Item
from streams.lab.sandbox.eightselect import EightSelectSimulator
from streams.lab.sandbox.exchange import Call, Simulator
from streams.lab.sandbox.miso import MisoSimulator
from streams.lab.sandbox.voyado import VoyadoSimulator
from streams.vendors import VENDORS
from streams.vendors.base import HttpRequest, HttpResponse
from tests.delivery.test_courier import FakeOutcomeHandler, fail, until
from tests.delivery.virtual_time import run
from tests.vendors.eightselect import examples as eightselect
from tests.vendors.miso import examples as miso
from tests.vendors.voyado import examples as voyado

SIMULATORS: Mapping[str, tuple[type[Simulator], ModuleType, str]] = {
    "eightselect": (EightSelectSimulator, eightselect, "api_id"),
    "voyado": (VoyadoSimulator, voyado, "api_key"),
    "miso": (MisoSimulator, miso, "api_key"),
}
PROBES = {
    "eightselect": ("POST", "/analytics/v3/events/validate"),
    "voyado": ("GET", "/api/v3/interactionschemas/productClick"),
    "miso": ("POST", "/v1/interactions?dry_run=1"),
}
"""What each vendor documents for a question that stores nothing."""


@dataclass
class Wire:
    """Carries requests to a simulator; remembers each with what was stored by then."""

    simulator: Simulator
    calls: list[tuple[str, str, int]] = field(default_factory=list)
    """(method, path, status), in order of the responses."""
    open: int = 0
    most_open: list[int] = field(default_factory=list)
    """By answer: how many requests were unanswered at once since the last one."""
    _peak: int = 0

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Answer after a while, as the vendor would."""
        path, _, query = request.path.partition("?")
        self.open += 1
        self._peak = max(self._peak, self.open)
        await asyncio.sleep(0.2)
        now = asyncio.get_running_loop().time()
        call = Call(
            request.method, path, dict(parse_qsl(query)), request.headers, request.body, 1, now
        )
        response = self.simulator.answer(call)
        self.open -= 1
        self.calls.append((request.method, request.path, response.status))
        self.most_open.append(self._peak)
        self._peak = self.open
        headers = {name.lower(): text for name, text in response.headers.items()}
        return HttpResponse(response.status, headers, response.body)


def add_events(made: Courier, payload: Mapping[str, Any], count: int) -> None:
    """Hand over one event each of so many visitors, on partitions of their own."""
    for number in range(count):
        own = dict(payload)
        if "payload" in own:
            own["payload"] = own["payload"] | {"eventId": f"e{number}"}
        record = VendorRecord(
            f"e{number}", "add_to_cart", "2026-05-01T08:00:00.000Z", f"v{number}", own
        )
        item = Item(
            number,
            0,
            f"e{number}",
            f"shop.clicks/{number}/0",
            "2026-05-01T08:00:00.000Z",
            msgspec.json.encode(record),
            0,
        )
        made.add(item, json.dumps(own).encode(), f"v{number}")
    made.start_requests()


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_wrong_key_is_found_to_be_right_again_without_sending_an_event(vendor: str) -> None:
    """Nothing is stored by a probe, the good one included; each event arrives once."""
    kind, examples, credential = SIMULATORS[vendor]
    wire, outcome_handler = Wire(kind()), FakeOutcomeHandler()
    given = {**examples.SETTINGS.model_dump(), "user_id_secret": None}
    given = {name: value for name, value in given.items() if value is not None}

    def section(key: str) -> Any:
        return type(examples.SETTINGS).model_validate(given | {credential: key})

    bad, good = section("sandbox-invalid"), section("sandbox-secret")
    repaired = [False]

    async def main() -> None:
        made = Courier(
            VENDORS[vendor],
            bad,
            wire,
            outcome_handler,
            clock=asyncio.get_running_loop().time,
            random=lambda: 1.0,
            on_defect=fail,
            current_settings=lambda: good if repaired[0] else bad,
        )
        add_events(made, examples.ADD_TO_CART_PAYLOAD, 5)
        await asyncio.sleep(45)
        assert made.client.breaker.state == "parked"
        assert len(wire.simulator.ledger) == 0
        asked = len(wire.calls)
        repaired[0] = True
        await until(lambda: (*PROBES[vendor], 200) in wire.calls[asked:], 30)
        assert len(wire.simulator.ledger) == 0
        await until(lambda: len(outcome_handler.outcomes()) == 5)

    run(main())
    good_probe = next(n for n, call in enumerate(wire.calls) if call[2] == 200)
    probes = [call for call in wire.calls[: good_probe + 1] if call[:2] == PROBES[vendor]]
    assert len(probes) >= 4
    # Until the first event is accepted, one request at a time is open.
    first = next(n for n in range(good_probe + 1, len(wire.calls)) if is_delivery(wire.calls[n]))
    assert set(wire.most_open[good_probe : first + 1]) == {1}
    assert max(wire.most_open[first + 1 :]) > 1
    assert len(wire.simulator.ledger) == 5
    assert outcome_handler.outcomes().total() == 5
    assert len(outcome_handler.accepted_ids) == 5


def is_delivery(call: tuple[str, str, int]) -> bool:
    """Whether this request stored an event."""
    method, path, status = call
    stores = ("/analytics/v3/events", "/api/v3/interactions", "/v1/interactions")
    return method == "POST" and path in stores and status == 200
