"""The sandbox over loopback: faults as a client meets them, and its own paths."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import httpx
import pytest

from streams.core.errors import SettingsError, SetupError
from streams.lab.sandbox import Sandbox

NOW = 1_795_000_000.5
CLICK: dict[str, Any] = {
    "type": "click",
    "product_ids": ["8S-1042"],
    "anonymous_id": "a-1",
    "timestamp": "2026-11-20T00:25:00.073Z",
    "context": {"custom_context": {"uuid": "e-1"}},
}
BATCH = {"data": [CLICK, {**CLICK, "product_ids": ["8S-9"]}]}


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """Run a sandbox with a small body limit and a standing clock."""
    server = Sandbox(max_body_bytes=10_000, clock=lambda: NOW)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    """Open a client of the running sandbox."""
    async with httpx.AsyncClient(base_url=sandbox.url, timeout=5) as client:
        yield client


async def upload(client: httpx.AsyncClient, content: Any = BATCH, **options: Any) -> httpx.Response:
    """Send one upload with a good key."""
    headers = {"X-API-KEY": "secret"}
    return await client.post("/v1/interactions", json=content, headers=headers, **options)


async def settled(sandbox: Sandbox) -> None:
    """Wait until the first request has ended, however it did."""
    while not sandbox.ledgers["miso"].answers:  # noqa: ASYNC110 - nobody announces it
        await asyncio.sleep(0.005)


async def test_a_batch_is_stored(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    """A good request is answered and counted, and its records are in the ledger."""
    answer = await upload(client)
    assert answer.status_code == 200
    assert answer.json() == {"message": "success"}
    assert answer.headers["content-type"] == "application/json"
    ledger = sandbox.ledgers["miso"]
    assert ledger.event_ids() == ["e-1", "e-1"]
    assert (ledger.requests, dict(ledger.answers)) == (1, {"200": 1})
    assert [row["at"] for row in ledger.rows()] == [NOW, NOW]


async def test_a_key_in_the_query_is_decoded(client: httpx.AsyncClient) -> None:
    """Query parameters reach the simulator: the key, and the wish for a dry run."""
    answer = await client.post("/v1/interactions?api_key=a%2Fb&dry_run=1", json=BATCH)
    assert answer.status_code == 200
    assert (await client.get("/ledger")).json()["miso"]["dry_run_records"] == 2


async def test_a_body_above_the_limit_is_413(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    """A gateway's page, nothing stored, and the request counted."""
    answer = await upload(client, {"data": [CLICK] * 100})
    assert answer.status_code == 413
    assert answer.text.startswith("<html><head><title>413</title>")
    assert dict(sandbox.ledgers["miso"].answers) == {"413": 1}
    assert len(sandbox.ledgers["miso"]) == 0


async def test_a_compressed_body_is_not_understood(client: httpx.AsyncClient) -> None:
    """No vendor documents compressed requests, so none is unpacked."""
    body = gzip.compress(json.dumps(BATCH).encode())
    headers = {"X-API-KEY": "secret", "Content-Encoding": "gzip"}
    answer = await client.post("/v1/interactions", content=body, headers=headers)
    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("fault", "stored", "word"),
    [
        ("down", 0, "down"),
        ("drop_before_store", 0, "dropped"),
        ("store_then_drop", 2, "dropped"),
    ],
)
async def test_a_connection_is_closed_without_an_answer(
    sandbox: Sandbox, client: httpx.AsyncClient, fault: str, stored: int, word: str
) -> None:
    """The client sees no answer; only the ledger knows whether the records were stored."""
    sandbox.faults.set(f"miso:{fault},times=1")
    with pytest.raises(httpx.TransportError):
        await upload(client)
    assert len(sandbox.ledgers["miso"]) == stored
    assert dict(sandbox.ledgers["miso"].answers) == {word: 1}
    assert (await upload(client)).status_code == 200


@pytest.mark.parametrize(("fault", "stored"), [("hang", 0), ("hang,stored=true", 2)])
async def test_a_hanging_request_gets_no_answer(
    sandbox: Sandbox, client: httpx.AsyncClient, fault: str, stored: int
) -> None:
    """The connection stays open until the client gives up or the sandbox stops."""
    sandbox.faults.set(fault)
    with pytest.raises(httpx.ReadTimeout):
        await upload(client, timeout=0.1)
    assert len(sandbox.ledgers["miso"]) == stored
    assert dict(sandbox.ledgers["miso"].answers) == {"hung": 1}


async def test_a_client_that_leaves_in_the_middle_is_counted(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """Half a request stores nothing and is no error of the sandbox."""
    port = int(sandbox.url.rpartition(":")[2])
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /v1/interactions HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{")
    await writer.drain()
    while sandbox.ledgers["miso"].requests == 0:  # noqa: ASYNC110 - nobody announces it
        await asyncio.sleep(0.005)
    writer.close()
    await settled(sandbox)
    assert dict(sandbox.ledgers["miso"].answers) == {"client_left": 1}
    assert caplog.records == []


async def test_stopping_ends_hanging_requests() -> None:
    """A stop does not wait for clients that wait."""
    sandbox = Sandbox(faults=["hang"])
    await sandbox.start()
    async with aiohttp.ClientSession() as session:
        waiting = asyncio.create_task(session.post(f"{sandbox.url}/v1/interactions", data=b"{}"))
        await settled(sandbox)
        await sandbox.stop()
        with pytest.raises(aiohttp.ClientConnectionError):
            await waiting


async def test_a_slow_request_is_stored_even_if_the_client_has_left(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    """A timeout is ambiguous, as it is with the real vendor."""
    sandbox.faults.set("slow,seconds=0.2,times=1")
    with pytest.raises(httpx.ReadTimeout):
        await upload(client, timeout=httpx.Timeout(5, read=0.05))
    await settled(sandbox)
    assert len(sandbox.ledgers["miso"]) == 2


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        ("429", 429, {"message": "Too many requests."}),
        ("401", 401, {"message": "invalid api key."}),
        ("400", 400, {"message": "Request timeout."}),
        ("503", 503, {"message": "Error 503."}),
    ],
)
async def test_a_status_comes_with_the_vendors_body(
    sandbox: Sandbox, client: httpx.AsyncClient, fault: str, status: int, body: dict[str, str]
) -> None:
    """Nothing is stored, for as many requests as were asked for."""
    sandbox.faults.set(f"miso:{fault},times=2")
    answers = [await upload(client) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [status, status, 200]
    assert answers[0].json() == body
    assert "retry-after" not in answers[0].headers
    assert len(sandbox.ledgers["miso"]) == 2
    assert dict(sandbox.ledgers["miso"].answers) == {str(status): 2, "200": 1}


async def test_retry_after_comes_in_both_forms(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    """Seconds, or a date counted from the sandbox's clock."""
    sandbox.faults.set("429,retry_after=7,times=1", "503,retry_after=7,retry_after_form=date")
    assert (await upload(client)).headers["retry-after"] == "7"
    date = (await upload(client)).headers["retry-after"]
    assert date.endswith(" GMT")
    assert parsedate_to_datetime(date).timestamp() == 1_795_000_007


async def test_a_failing_answer_may_come_after_storing(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    """``stored`` makes a 5xx of a vendor that had already done its work."""
    sandbox.faults.set("502,stored=true")
    assert (await upload(client)).status_code == 502
    assert len(sandbox.ledgers["miso"]) == 2


@pytest.mark.parametrize(("fault", "status"), [("html", 502), ("html,status=200", 200)])
async def test_a_gateways_page_is_no_json(
    sandbox: Sandbox, client: httpx.AsyncClient, fault: str, status: int
) -> None:
    """Even with status 200 nothing was stored: such a page is no acceptance."""
    sandbox.faults.set(fault)
    answer = await upload(client)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.text.startswith("<html>")
    assert len(sandbox.ledgers["miso"]) == 0


async def test_a_redirect_leads_to_a_page_that_stores_nothing(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    """A client that follows it gets a 200 and must not take it for acceptance."""
    sandbox.faults.set("redirect")
    answer = await upload(client)
    assert (answer.status_code, answer.headers["location"]) == (302, f"{sandbox.url}/moved")
    assert (await upload(client, follow_redirects=True)).status_code == 200
    assert len(sandbox.ledgers["miso"]) == 0


LINES = ["data.1.product_ids is invalid. The product '8S-9' is refused by this sandbox."]


@pytest.mark.parametrize(
    ("kind", "status", "lines"),
    [
        ("refuse", 422, LINES),
        ("errors_true", 200, LINES),
        ("refuse_unreadable", 422, ["At least one record could not be inserted."]),
    ],
)
async def test_given_skus_are_refused(
    sandbox: Sandbox, client: httpx.AsyncClient, kind: str, status: int, lines: list[str]
) -> None:
    """The whole request is refused in Miso's form; without the SKU it is accepted."""
    sandbox.faults.set(f"miso:{kind},skus=8S-9|8S-10")
    answer = await upload(client)
    assert answer.status_code == status
    content = answer.json()
    assert (content["errors"], content["data"]) == (True, lines)
    assert len(sandbox.ledgers["miso"]) == 0
    assert (await upload(client, {"data": [CLICK]})).json() == {"message": "success"}
    assert sandbox.ledgers["miso"].event_ids() == ["e-1"]


async def test_refusing_without_skus_refuses_every_record(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    """Each record has its line."""
    sandbox.faults.set("refuse,times=1")
    answer = await upload(client)
    assert answer.json()["data"] == [
        "data.0.product_ids is invalid. The product '8S-1042' is refused by this sandbox.",
        "data.1.product_ids is invalid. The product '8S-9' is refused by this sandbox.",
    ]
    assert (await upload(client)).status_code == 200


async def test_faults_are_set_shown_and_cleared_over_http(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    """POST adds, GET shows with counts, DELETE clears."""
    answer = await client.post("/faults", json=["miso:429,times=5", {"kind": "down"}])
    assert [fault["kind"] for fault in answer.json()] == ["status", "down"]
    assert (await upload(client)).status_code == 429
    shown = (await client.get("/faults")).json()
    assert [(fault["fired"], fault["left"]) for fault in shown] == [(1, 4), (0, None)]
    assert len((await client.delete("/faults?vendor=miso")).json()) == 1
    assert (await client.delete("/faults")).json() == []
    assert (await upload(client)).status_code == 200


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"kind":"nap"}', "Invalid enum value 'nap'"),
        (b'"adobe:down"', "no simulator for 'adobe'; there is "),
        (b"{", "truncated"),
    ],
)
async def test_a_slip_in_a_posted_fault_is_a_400(
    sandbox: Sandbox, client: httpx.AsyncClient, body: bytes, words: str
) -> None:
    """The sentence is in the answer; nothing is set."""
    answer = await client.post("/faults", content=body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]
    assert len(sandbox.faults) == 0


async def test_the_ledger_is_read_and_cleared_over_http(client: httpx.AsyncClient) -> None:
    """Sums always; ids, rows and payloads on demand, from a position on."""
    await upload(client)
    await upload(client, {"data": [{**CLICK, "context": {"custom_context": {"uuid": "e-3"}}}]})
    shown = (await client.get("/ledger")).json()["miso"]
    assert (shown["records"], shown["distinct"], shown["duplicates"]) == (3, 2, 1)
    assert "ids" not in shown
    shown = (await client.get("/ledger?ids=1&since=1&vendor=miso")).json()["miso"]
    assert shown["ids"] == ["e-1", "e-3"]
    shown = (await client.get("/ledger?records=1&payloads=1&since=2&limit=1")).json()["miso"]
    assert [(row["event_id"], row["request"]) for row in shown["rows"]] == [("e-3", 2)]
    assert shown["payloads"][0] == CLICK
    assert (await client.delete("/ledger")).json() == {"status": "cleared"}
    assert (await client.get("/ledger?ids=1")).json()["miso"]["ids"] == []


@pytest.mark.parametrize("query", ["since=x", "since=-1", "limit=1.5", "vendor=adobe"])
async def test_a_wrong_query_is_a_400(client: httpx.AsyncClient, query: str) -> None:
    """Nothing is guessed."""
    assert (await client.get(f"/ledger?{query}")).status_code == 400


async def test_health_names_the_simulators_and_other_paths_are_404(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    """A health check for containers, and one sentence for a wrong address."""
    health = (await client.get("/health")).json()
    assert health == {"status": "ok", "vendors": list(sandbox.simulators)}
    answer = await client.post("/v2/interactions", json={})
    assert answer.status_code == 404
    assert answer.json() == {"error": "no POST /v2/interactions in this sandbox"}


async def test_a_taken_port_is_one_sentence(sandbox: Sandbox) -> None:
    """The sentence names the address and the remedy."""
    port = int(sandbox.url.rpartition(":")[2])
    with pytest.raises(SetupError, match=f"127.0.0.1:{port} .*choose another port with --port"):
        await Sandbox(port=port).start()


def test_a_bad_fault_is_refused_before_the_start() -> None:
    """A sandbox with a fault it cannot read is not made."""
    with pytest.raises(SettingsError, match="slow needs seconds"):
        Sandbox(faults=["slow"])
