"""What a stored test interaction proves: key, contact and schema go together."""

import pytest

from streams.lab.sandbox.voyado import VoyadoSimulator
from streams.operations.check.store_test import store_test
from streams.status.findings import Finding, Level
from tests.clients.simulators import CONTACT, InMemory, settings_for

NOW_MS = 1_795_168_800_000


async def check(transport: InMemory, contact: str = CONTACT, **environ: str) -> Finding:
    """The one finding."""
    settings = settings_for("https://shop.voyado.com", **environ)
    (finding,) = [one async for one in store_test(settings, contact, NOW_MS, transport)]
    return finding


async def test_one_marked_interaction_is_stored_read_and_deleted() -> None:
    """An add-to-cart, with whatever the relay would send of one."""
    transport = InMemory(VoyadoSimulator())
    finding = await check(transport)
    assert (finding.level, finding.text) == (
        Level.OK,
        (
            "Voyado Engage, schema addToCart: a test interaction of the contact was stored, read "
            "and deleted."
        ),
    )
    (row,) = transport.simulator.ledger.rows()
    assert row["event_id"].startswith("streams-check-")
    assert (row["user_id"], row["erased"]) == (CONTACT, True)
    assert [r.method for r in transport.requests] == ["GET", "POST", "GET", "DELETE"]


async def test_properties_that_the_schema_does_not_have_are_named() -> None:
    """They are not sent."""
    simulator = VoyadoSimulator()
    del simulator.schemas["addToCart"]["jsonSchema"]["properties"]["brand"]
    finding = await check(InMemory(simulator))
    assert finding.level is Level.OK
    assert "was stored, without brand, read and deleted" in finding.text


async def test_an_interaction_that_voyado_does_not_show_is_a_problem() -> None:
    """It was taken with an id, and ignored."""

    class Ignoring(InMemory):
        """Shows no interaction."""

        async def send(self, request):  # type: ignore[no-untyped-def]
            if request.method == "GET" and "/interactions/" in request.path:
                request = type(request)("GET", "/api/v3/interactions/x", request.headers, b"")
            return await super().send(request)

    transport = Ignoring(VoyadoSimulator())
    finding = await check(transport)
    assert finding.level is Level.PROBLEM
    assert "but is missing." in finding.text
    assert [row["erased"] for row in transport.simulator.ledger.rows()] == [True]


@pytest.mark.parametrize(
    ("contact", "environ", "words"),
    [
        ("00000000-0000-4000-8000-000000000000", {}, "404 ContactNotFound"),
        (CONTACT, {"STREAMS_VOYADO_ADD_TO_CART_SCHEMA_ID": "cart"}, "404, there is no schema cart"),
        (CONTACT, {"STREAMS_VOYADO_API_KEY": "sandbox-invalid-1"}, "refuses the key: 401"),
    ],
)
async def test_what_is_wrong_is_said(contact: str, environ: dict[str, str], words: str) -> None:
    """And nothing is stored."""
    transport = InMemory(VoyadoSimulator())
    finding = await check(transport, contact, **environ)
    assert finding.level is Level.PROBLEM
    assert words in finding.text
    assert len(transport.simulator.ledger) == 0


async def test_after_a_lost_answer_it_is_found_and_deleted() -> None:
    """By its mark."""
    transport = InMemory(VoyadoSimulator())
    transport.lost = {1}
    finding = await check(transport)
    assert finding.level is Level.OK
    assert [row["erased"] for row in transport.simulator.ledger.rows()] == [True]
