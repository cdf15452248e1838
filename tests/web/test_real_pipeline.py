"""The web view of real workers: closed doors, planted data, pause and resume, dead letters."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from streams.core.masking import masked_id
from streams.lab.sandbox.faults import Fault, FaultKind
from tests.broker_fixtures import Broker
from tests.kafka.pipeline import Pipeline, Worker, cart, click, product, user

pytestmark = pytest.mark.kafka

TOKEN = "token-4711-secret"
KEY = "sandbox-secret"
EMAIL = "anna.example@mail.example"
IPV4 = "203.0.113.77"
IPV6 = "2001:db8:0:7::77"
VISITOR = "visitor-0123456789abcdef"
CUSTOMER = "customer-9876543210"
MARKUP = "<script>alert(1)</script>[bold red]\x1b[2J\u202e"
PLANTED = f"{MARKUP} {EMAIL} {IPV4} {IPV6} {KEY} {TOKEN}"
NEVER_SHOWN = (KEY, TOKEN, EMAIL, EMAIL.replace("@", "%40"), IPV4, IPV6)
NEVER_ON_PAGES = (*NEVER_SHOWN, VISITOR, CUSTOMER)

CLOSED = (
    "/graph/",
    "/router/",
    "/table/",
    "/tables/",
    "/live",
    "/stats",
    "/assignment",
    "/performance",
)
PAGES = (
    "/",
    "/assets/dashboard.js",
    "/api/status",
    "/api/pipeline",
    "/api/dead-letters",
    "/api/replays",
    "/metrics",
    "/health/live",
    "/health/ready",
)


class View:
    """What a program with the token sees of one worker."""

    def __init__(self, session: aiohttp.ClientSession, worker: Worker) -> None:
        self._session = session
        self.url = f"http://127.0.0.1:{worker.port}"

    async def get(self, path: str, *, anonymous: bool = False) -> tuple[int, str]:
        """Return status and body."""
        headers = {} if anonymous else {"Authorization": f"Bearer {TOKEN}"}
        async with self._session.get(self.url + path, headers=headers) as answer:
            return answer.status, await answer.text()

    async def json(self, path: str) -> Any:
        """Return the JSON of a page that answers 200."""
        status, body = await self.get(path)
        assert status == 200, body
        return json.loads(body)

    async def post(self, path: str, body: Any = None) -> Any:
        """Return the JSON answer to a change."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with self._session.post(self.url + path, headers=headers, json=body) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def miso(self) -> dict[str, Any]:
        """Return what the dashboard shows of Miso."""
        vendors = (await self.json("/api/pipeline"))["vendors"]
        found: dict[str, Any] = next(one for one in vendors if one["key"] == "miso")
        return found


@asynccontextmanager
async def view_of(worker: Worker) -> AsyncIterator[View]:
    """Yield the view of a worker."""
    async with aiohttp.ClientSession() as session:
        yield View(session, worker)


async def first_events(view: View, wanted: int) -> str:
    """Return the beginning of the live stream: so many events of it."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    text = ""
    async with (
        asyncio.timeout(20),
        aiohttp.ClientSession() as session,
        session.get(f"{view.url}/api/stream", headers=headers) as answer,
    ):
        assert answer.headers["Content-Type"] == "text/event-stream"
        while text.count("event: ") < wanted:
            text += (await answer.content.readany()).decode()
    return text


def hostile_records() -> list[Any]:
    """Events with planted data in all places that a browser can fill."""
    page = {
        "url": f"https://shop.example/p?mail={EMAIL}&key={KEY}",
        "referrer": f"https://{IPV4}/?{EMAIL}",
        "title": PLANTED,
    }
    fields = {"page": page, "user_agent": PLANTED, "ip": IPV4, "user_id": CUSTOMER, "locale": "de"}
    return [
        click(VISITOR, event_id="good-1", **fields),
        cart(VISITOR, event_id="good-2", sku=f"SKU {MARKUP}", **fields),
        click(VISITOR, event_id=f"id {PLANTED}"[:128], **fields),
        click(VISITOR, event_id="no-row", **(fields | {"product_id": f"p {PLANTED}"})),
        click(VISITOR, event_id="v6", **(fields | {"ip": IPV6})),
        # No events: their dead letters keep the record, with what can be masked masked.
        click(VISITOR, event_id="bad", **(fields | {"timestamp": "yesterday"})),
        ("shop.clicks", VISITOR.encode(), f'{{"ip": "{IPV4}", "broken'.encode()),
    ]


@pytest.mark.slow
async def test_what_strangers_planted_is_shown_nowhere_and_the_view_works(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """One pipeline with a token: doors, planted data, live view, dead letters, pause and resume."""
    async with Pipeline(
        broker, prefix, tmp_path, env={"STREAMS_WEB_TOKEN": TOKEN, "STREAMS_MISO_API_KEY": KEY}
    ) as pipeline:
        row = {"user_id": CUSTOMER, "email": EMAIL, "consent": {"miso": True}}
        await pipeline.send(product("p1"), user(VISITOR, row), *hostile_records())
        refused = Fault(kind=FaultKind.REFUSE, vendor="miso", skus=(f"SKU {MARKUP}",))
        pipeline.sandbox.faults.set(refused)
        enrich, miso = await pipeline.both()
        async with view_of(enrich) as view, view_of(miso) as at_miso:
            await _doors_are_shut(view)
            await pipeline.until(lambda: "good-1" in pipeline.stored(), what="good-1")
            await pipeline.until(lambda: _are_settled(pipeline), what="five receipts")
            await pipeline.until(lambda: _knows_all(view), what="both workers' news")

            seen = "".join([(await view.get(path))[1] for path in PAGES])
            seen += "".join([(await at_miso.get(path))[1] for path in PAGES])
            seen += await first_events(view, 3)
            shown = await view.miso()
            sent = json.dumps(shown["requests"])
            for masked in (
                "***",
                masked_id(VISITOR),
                "203.0.113.0",
                "?\\u2026",
                "product_detail_page_view",
            ):
                assert masked in sent, masked
            letters = (await view.json("/api/dead-letters"))["groups"]
            assert letters
            for one in letters:
                query = f"?vendor={one['vendor']}&fingerprint={one['fingerprint']}"
                seen += (await view.get(f"/api/dead-letters/example{query}"))[1]
            for shown_masked in ("***", "invalid_json", "timestamp", "SKU <script>", "good-2"):
                assert shown_masked in seen, shown_masked
            assert [text for text in NEVER_ON_PAGES if text in seen] == []
            assert "<script>alert" not in (await view.get("/"))[1]

            logs = "".join(worker.output() for worker in pipeline.workers)
            status = await _all_of(pipeline, pipeline.topics.status)
            assert [text for text in NEVER_ON_PAGES if text in logs] == []
            assert [text for text in NEVER_ON_PAGES if text in status] == []
            kept = await _all_of(pipeline, pipeline.topics.enrich_dead_letters)
            kept += "\n" + await _all_of(pipeline, pipeline.topics.dead_letters("miso"))
            # A letter's record is the event itself, so what its visitor typed stays; the ip goes.
            assert [text for text in NEVER_SHOWN if text in _around_records(kept)] == []
            assert [
                ip for ip in (IPV4, IPV6) if f'"ip": "{ip}' in kept or f'"ip":"{ip}' in kept
            ] == []

            await _letters_are_dropped(view, letters)
            await _a_pause_holds(pipeline, view)


async def _are_settled(pipeline: Pipeline) -> bool:
    outcomes = await pipeline.outcomes()
    if sum(outcomes.values()) < 5:
        return False
    assert outcomes == {
        ("accepted", None): 3,
        ("dead_lettered", "rejected"): 1,
        ("skipped", "unknown_product"): 1,
    }
    return True


async def _doors_are_shut(view: View) -> None:
    """Without the token nothing but health answers, and Faust's own pages are gone."""
    for path in (*PAGES, *CLOSED):
        status, _ = await view.get(path, anonymous=True)
        assert status == (200 if path.startswith("/health/") else 401), path
    for path in CLOSED:
        assert (await view.get(path))[0] == 404, path
    status, body = await view.get("/")
    assert status == 200
    assert "<title>streams</title>" in body


async def _knows_all(view: View) -> bool:
    shown = await view.json("/api/pipeline")
    shares = next(one for one in shown["vendors"] if one["key"] == "miso")["shares"]
    ready = [worker for worker in shown["workers"] if worker["state"] == "ready"]
    return len(ready) == 2 and shares["rows"][0]["count"] != "0"


async def _all_of(pipeline: Pipeline, topic: str) -> str:
    records = await pipeline.read(topic)
    return "\n".join((record.value or b"").decode("utf-8", "replace") for record in records)


def _around_records(letters: str) -> str:
    """Return dead letters without the records in them."""
    documents = [json.loads(line) for line in letters.splitlines() if line]
    return json.dumps([{k: v for k, v in d.items() if k != "record"} for d in documents])


async def _letters_are_dropped(view: View, letters: list[dict[str, Any]]) -> None:
    one = next(group for group in letters if group["vendor"] == "enrich")
    asked = {"vendor": "enrich", "fingerprint": one["fingerprint"], "until": one["until"]}
    assert (await view.post("/api/dead-letters/drop", asked))["dropped"] == int(one["open"])
    left = (await view.json("/api/dead-letters?vendor=enrich"))["groups"]
    assert one["fingerprint"] not in [group["fingerprint"] for group in left]


async def _a_pause_holds(pipeline: Pipeline, view: View) -> None:
    """Asked for at one worker, obeyed by another, shown by both."""
    said = await view.post("/api/vendors/miso/pause")
    assert said["sentence"] == "Miso is paused, for all its workers."

    async def is_paused() -> bool:
        return bool((await view.miso())["state"] == "paused")

    await pipeline.until(is_paused, what="the pause to be shown")
    await pipeline.send(click("berta", event_id="later"))

    async def waits() -> bool:
        findings = (await view.json("/api/pipeline"))["findings"]
        return any(one["kind"] == "paused" and "1 event waits" in one["cause"] for one in findings)

    await pipeline.until(waits, what="the waiting event to be shown")
    assert "later" not in pipeline.stored()
    await view.post("/api/vendors/miso/resume")
    await pipeline.until(lambda: "later" in pipeline.stored(), what="the resumed event")
