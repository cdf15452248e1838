"""Voyado's simulator over loopback: the faults of the sandbox as a client meets them."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from streams.lab.sandbox import Sandbox, server
from streams.lab.sandbox.voyado import VoyadoSimulator

CONTACT = "5c0d7a52-6f0a-4f1c-8a3e-1d2c3b4a5f66"
HEADERS = {
    "apikey": "sandbox-secret",
    "User-Agent": "SandboxShop/1.0",
    "Content-Type": "application/json",
}
CLICK: dict[str, Any] = {
    "contactId": CONTACT,
    "schemaId": "productClick",
    "createdDate": "2026-11-20T09:59:58.120Z",
    "payload": {"eventId": "e-1", "productSku": "8S-1042"},
}


@pytest.fixture
async def sandbox(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sandbox]:
    """Run a sandbox of this simulator alone."""
    monkeypatch.setattr(server, "SIMULATORS", (VoyadoSimulator,))
    running = Sandbox()
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    """Open a client of the running sandbox."""
    async with httpx.AsyncClient(base_url=sandbox.url, timeout=5, headers=HEADERS) as client:
        yield client


async def post(client: httpx.AsyncClient, **options: Any) -> httpx.Response:
    """Send one interaction."""
    return await client.post("/api/v3/interactions", json=CLICK, **options)


async def stored(client: httpx.AsyncClient) -> list[str]:
    """Return the event ids that a list shows."""
    query = {"contactId": CONTACT, "schemaId": "productClick"}
    answer = await client.get("/api/v3/interactions", params=query)
    return [item["payload"]["eventId"] for item in answer.json()["items"]]


async def test_interaction_is_stored_over_http(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    """Stored, listed, and the same counts in the sandbox's own ledger page."""
    assert (await post(client)).status_code == 200
    assert await stored(client) == ["e-1"]
    shown = (await client.get("/ledger?ids=1")).json()["voyado"]
    assert (shown["ids"], shown["records"], shown["ignored"]) == (["e-1"], 1, 0)
    assert shown["answers"] == {"200": 2}
    assert (await client.delete("/ledger?vendor=voyado")).status_code == 200
    assert await stored(client) == []


async def test_key_of_a_contact_is_decoded(client: httpx.AsyncClient) -> None:
    """The look-up's query may hold anything."""
    known = await client.get("/api/v3/contacts/id", params={"email": "a+b@shop.example"})
    assert known.status_code == 200
    unknown = await client.get("/api/v3/contacts/id?customKey=sandbox%2Dunknown")
    assert unknown.status_code == 404


@pytest.mark.parametrize(
    ("fault", "event_ids"),
    [
        ("down", []),
        ("drop_before_store", []),
        ("store_then_drop", ["e-1"]),
    ],
)
async def test_connection_that_breaks_may_have_stored(
    sandbox: Sandbox, client: httpx.AsyncClient, fault: str, event_ids: list[str]
) -> None:
    """Only a list tells, as at the real vendor."""
    sandbox.faults.set(f"voyado:{fault},times=1,method=POST")
    with pytest.raises(httpx.TransportError):
        await post(client)
    assert await stored(client) == event_ids


@pytest.mark.parametrize(("fault", "event_ids"), [("hang", []), ("hang,stored=true", ["e-1"])])
async def test_call_that_hangs_may_have_stored(
    sandbox: Sandbox, client: httpx.AsyncClient, fault: str, event_ids: list[str]
) -> None:
    """The ambiguous read timeout."""
    sandbox.faults.set(f"voyado:{fault},method=POST")
    with pytest.raises(httpx.ReadTimeout):
        await post(client, timeout=0.1)
    assert await stored(client) == event_ids


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        ("500", 500, {"message": "An error has occurred"}),
        ("500,stored=true", 500, {"message": "An error has occurred"}),
        ("429,retry_after=3", 429, {"message": "Too many requests."}),
        ("401", 401, {"message": "Authorization has been denied for this request."}),
        ("404", 404, {"message": "Error 404."}),
    ],
)
async def test_status_comes_with_the_vendors_body(
    sandbox: Sandbox, client: httpx.AsyncClient, fault: str, status: int, body: dict[str, str]
) -> None:
    """A 500 may come after storing."""
    sandbox.faults.set(f"voyado:{fault},times=1")
    answer = await post(client)
    assert (answer.status_code, answer.json()) == (status, body)
    assert await stored(client) == (["e-1"] if "stored" in fault else [])


@pytest.mark.parametrize(
    ("fault", "status"),
    [("html", 502), ("html,status=200", 200), ("redirect", 302), ("refuse,skus=8S-1042", 400)],
)
async def test_other_faults_store_nothing(
    sandbox: Sandbox, client: httpx.AsyncClient, fault: str, status: int
) -> None:
    """A page with status 200 is no acceptance."""
    sandbox.faults.set(f"voyado:{fault},times=1")
    assert (await post(client)).status_code == status
    assert await stored(client) == []


async def test_slow_call_is_stored_in_the_end(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    """It waits, and then it is judged."""
    sandbox.faults.set("voyado:slow,seconds=0.05,times=1")
    assert (await post(client)).status_code == 200
