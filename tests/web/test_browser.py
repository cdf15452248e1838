"""The dashboard in a real browser: what people see, do and are spared."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from msgspec.structs import replace

from streams.core.snapshot import LastRequest, VendorStatus
from streams.web.site import Page
from tests.kafka.pipeline import until
from tests.web.browser import PHONE, browser, needs_browser, tab
from tests.web.scenes import (
    TOKEN,
    calm,
    enrich,
    in_state,
    now_ms,
    refused_key,
    scene,
    sink,
)

TOO_FAINT = (Path(__file__).parent / "too_faint.js").read_text("utf-8")

pytestmark = [pytest.mark.browser, needs_browser]

HTML = "<img src=x onerror=\"document.title='owned'\"><b>[red]bold[/red]</b>\x1b[31m\u202e"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chrome() -> AsyncIterator[Any]:
    """One browser for all tests of this module."""
    async with browser() as started:
        yield started


def answers(value: Any) -> Any:
    """A page that answers with this."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return web.json_response(value)

    return handle


@pytest.mark.asyncio(loop_scope="module")
class TestDashboard:
    """Against snapshots, without a broker."""

    async def test_ten_seconds_are_enough(self, chrome: Any) -> None:
        """What is wrong, with whom, since when and what to do stand in the first screen."""
        async with scene(refused_key(now_ms())) as shown, tab(chrome) as found:
            await found.open(shown.url)
            await found.shows("#verdict h1", "Miso refuses the key (401). 18,204 events wait.")
            assert "Nothing is lost." in await found.text("#verdict")
            said = await found.text("#vendor-miso .said")
            assert "Put the new key into STREAMS_MISO_API_KEY" in said
            place = await found.page.locator("#vendor-miso .said").bounding_box()
            assert place["y"] + place["height"] < 900
            assert await found.page.title() == "(!!) Clickstream relay"
            assert found.hosts == {f"127.0.0.1:{shown.server.port}"}

    async def test_every_state_is_shown_as_it_comes(self, chrome: Any) -> None:
        """Live, without a reload; each state by word and by its own colour."""
        now = now_ms()
        async with scene(calm(now)) as shown, tab(chrome) as found:
            await found.open(shown.url)
            await found.shows("#vendor-miso .pill", "running")
            colours = {}
            for state in ("degraded", "throttled", "parked", "paused", "running"):
                status = VendorStatus(state, now, "503: down", "")
                shown.show(in_state(now_ms(), "miso", status, 7))
                await found.shows("#vendor-miso .pill", state)
                pill = found.page.locator("#vendor-miso .pill")
                colours[state] = await pill.evaluate("e => getComputedStyle(e).color")
            assert len(set(colours.values())) == 5
            shown.show([w for w in calm(now_ms()) if w.stage != "miso"])
            await found.shows("#vendor-miso .pill", "gone")

    async def test_nothing_and_ten_million_fit(self, chrome: Any) -> None:
        """Numbers keep their separators and the page its width."""
        status = VendorStatus("parked", now_ms() - 90_000_000, "503: down", "")
        async with scene([]) as shown, tab(chrome, size=PHONE) as found:
            await found.open(shown.url)
            await found.shows("#verdict", "No enrichment worker runs")
            shown.show(in_state(now_ms(), "miso", status, 10_000_000))
            await found.shows("#vendor-miso .facts", "10,000,000")
            assert await found.page.evaluate("document.documentElement.scrollWidth") == 360

    async def test_a_narrow_screen_needs_no_sideways_scrolling(self, chrome: Any) -> None:
        """Also with everything open and with words that nobody can break."""
        long = "x" * 300
        workers = [replace(w, host=long) for w in refused_key(now_ms())]
        async with scene(workers) as shown, tab(chrome, size=PHONE) as found:
            await found.open(shown.url)
            await found.page.evaluate(
                "document.querySelectorAll('details').forEach(d => d.open = 1)"
            )
            assert await found.page.evaluate("document.documentElement.scrollWidth") == 360

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    async def test_text_can_be_read(self, chrome: Any, scheme: str) -> None:
        """Contrast of at least 4.5 in both schemes, for every text that is seen."""
        async with scene(refused_key(now_ms())) as shown, tab(chrome, scheme=scheme) as found:
            await found.open(shown.url)
            await found.page.evaluate(
                "document.querySelectorAll('details').forEach(d => d.open = 1)"
            )
            assert await found.page.evaluate(TOO_FAINT) == []

    async def test_everything_is_reached_by_keyboard(self, chrome: Any) -> None:
        """Tab comes to each control in order, / to the search, Escape out of a question."""
        async with scene(calm(now_ms()), token=TOKEN) as shown, tab(chrome) as found:
            await found.page.goto(shown.url)
            await found.page.wait_for_function("document.activeElement.id === 'token'")
            await found.page.keyboard.type(TOKEN)
            await found.page.keyboard.press("Enter")
            await found.page.wait_for_selector("article.vendor")
            reached = []
            for _ in range(40):
                await found.page.keyboard.press("Tab")
                reached.append(
                    await found.page.evaluate(
                        "(e => e.getAttribute('aria-label') || e.id || e.innerText)"
                        "(document.activeElement)"
                    )
                )
            for control in ("Skip to the vendors", "Log out", "Pause Miso", "search-text"):
                assert control in reached
            for control in ("search-go", "letters-go", "replays-go"):
                assert control in reached
            assert {text.split()[0] for text in reached} >= {"Skipped", "Last", "Dead"}
            await found.page.locator("h1").click()
            await found.page.keyboard.press("/")
            assert await found.page.evaluate("document.activeElement.id") == "search-text"
            pause = found.page.get_by_role("button", name="Pause Miso")
            await pause.focus()
            await found.page.keyboard.press("Enter")
            await found.shows("#ask-title", "Pause Miso?")
            await found.page.keyboard.press("Escape")
            await found.page.wait_for_function("!document.getElementById('ask').open")
            assert shown.paused == []
            await pause.focus()
            await found.page.keyboard.press("Enter")
            await found.page.get_by_role("button", name="Pause", exact=True).focus()
            async with found.page.expect_response("**/api/vendors/miso/pause"):
                await found.page.keyboard.press("Enter")
            await found.page.wait_for_function(
                "document.activeElement.getAttribute('aria-label') === 'Pause Miso'"
            )
            assert shown.paused == [("miso", True)]

    async def test_what_is_open_or_focused_stays_so(self, chrome: Any) -> None:
        """A new view every second takes nothing out of anybody's hands."""
        async with scene(calm(now_ms())) as shown, tab(chrome) as found:
            await found.open(shown.url)
            await found.page.locator("#vendor-miso summary", has_text="Last requests").click()
            await found.page.fill("#search-text", "half an id")
            changed = [
                replace(w, accepted_rate=77.0) if w.stage == "miso" else w for w in calm(now_ms())
            ]
            shown.show(changed)
            await found.shows("#vendor-miso .facts", "77 /s")
            assert "SKU-10442" in await found.text("#vendor-miso details[open] pre")
            assert await found.page.evaluate("document.activeElement.id") == "search-text"
            assert await found.page.input_value("#search-text") == "half an id"

    async def test_it_comes_back_after_a_restart(self, chrome: Any) -> None:
        """It says that it is not connected, keeps what it knew, and goes on by itself."""
        async with tab(chrome) as found:
            async with scene(calm(now_ms())) as shown:
                port = shown.server.port
                await found.open(shown.url)
            await found.shows("#link", "not connected since")
            assert await found.text("#vendor-miso .pill") == "running"
            async with scene(refused_key(now_ms()), port=port):
                await found.shows("#verdict h1", "Miso refuses the key (401)")
                await found.shows("#link", "live")

    async def test_a_token_that_has_gone_leads_back_to_the_form(self, chrome: Any) -> None:
        """A session ends with its token; the page does not go on showing what it has."""
        async with tab(chrome) as found:
            async with scene(calm(now_ms()), token=TOKEN) as shown:
                port = shown.server.port
                await found.page.goto(shown.url)
                await found.page.fill("#token", "not the token")
                await found.page.keyboard.press("Enter")
                await found.shows("[role=alert]", "That is not the token.")
                await found.page.fill("#token", TOKEN)
                await found.page.keyboard.press("Enter")
                await found.page.wait_for_selector("article.vendor")
                assert TOKEN not in found.page.url
                (cookie,) = await found.page.context.cookies()
                assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
                assert TOKEN not in cookie["value"]
                assert await found.page.evaluate("document.cookie") == ""
            async with scene(calm(now_ms()), token="another-token", port=port):
                await found.page.wait_for_selector("#token")

    async def test_strangers_text_is_text(self, chrome: Any) -> None:
        """Whatever stands in ids, words of vendors, hosts and notes, none of it becomes markup."""
        now = now_ms()
        evil = VendorStatus("degraded", now, f"418: {HTML}", HTML)
        workers = [
            enrich(now, host=HTML, notes={HTML: 3}),
            sink(now, "eightselect"),
            sink(now, "voyado"),
            sink(
                now,
                "miso",
                vendor=evil,
                host=HTML,
                last_requests=[LastRequest(now, "POST", HTML, 418, 0.1, HTML, HTML)],
            ),
        ]
        found_event = {
            "trace": {
                "events": [
                    {
                        "event_id": HTML,
                        "source": "shop.clicks/0/1",
                        "text": HTML,
                        "raw": {HTML: HTML},
                        "steps": [{"kind": "raw", "text": HTML}],
                        "vendors": [
                            {
                                "vendor": "miso",
                                "name": HTML,
                                "outcome": "accepted",
                                "text": HTML,
                                "steps": [{"kind": "accepted", "text": HTML, "payload": HTML}],
                            }
                        ],
                    }
                ],
                "more": False,
                "notes": [HTML],
                "records": 1,
                "seconds": 0.1,
            }
        }

        async def trace(request: web.Request) -> web.StreamResponse:
            assert dict(request.query) == {"event": HTML, "since": "1h ago"}
            return web.Response(text=json.dumps(found_event) + "\n")

        letters = {"groups": [group(HTML)], "more_groups": 0}
        pages = [
            Page("GET", "/api/trace", trace),
            Page("GET", "/api/dead-letters", answers(letters)),
            Page("GET", "/api/dead-letters/example", answers({"letter": {HTML: HTML}})),
        ]
        async with scene(workers, pages=pages) as shown, tab(chrome) as found:
            await found.open(shown.url)
            await found.shows("#vendor-miso .said", "onerror")
            # What is typed cannot hold control characters; the rest goes as it is.
            await found.page.evaluate(
                "text => { document.getElementById('search-text').value = text }", HTML
            )
            await found.page.click("#search-go")
            await found.page.wait_for_selector("#search-found .found")
            await found.page.click("#letters-go")
            await found.page.get_by_role("button", name="Example").click()
            await found.page.wait_for_selector("#letters-found pre")
            await found.page.evaluate(
                "document.querySelectorAll('details').forEach(d => d.open = 1)"
            )
            assert (
                await found.page.evaluate("document.querySelectorAll('main img, main b b').length")
                == 0
            )
            assert "onerror" in await found.text("#search-found")
            assert await found.page.title() == "(!) Clickstream relay"

    async def test_many_found_events_are_a_list_to_open(self, chrome: Any) -> None:
        """Each with its sentence; opened, it has its timeline."""
        events = [
            {"event_id": f"e-{n}", "source": f"shop.clicks/0/{n}", "text": "Accepted by Miso."}
            | {"steps": [{"kind": "raw", "text": "The shop wrote it."}], "vendors": []}
            for n in range(12)
        ]
        found_all = {"events": events, "more": True, "notes": [], "records": 40_000, "seconds": 0.4}

        async def trace(request: web.Request) -> web.StreamResponse:
            return web.Response(text=json.dumps({"trace": found_all}) + "\n")

        async with (
            scene(calm(now_ms()), pages=[Page("GET", "/api/trace", trace)]) as shown,
            tab(chrome) as found,
        ):
            await found.open(shown.url)
            await found.page.fill("#search-text", "x")
            await found.page.keyboard.press("Enter")
            await found.shows("#search-said", "12 events, and there are more: narrow the time.")
            rows = found.page.locator("#search-found > details")
            assert await rows.count() == 12
            assert "The shop wrote it." not in await found.text("#search-found")
            await rows.nth(7).locator("summary").first.click()
            await found.shows("#search-found > details[open]", "The shop wrote it.")

    async def test_dead_letters_are_looked_at_and_dropped(self, chrome: Any) -> None:
        """By cause, with an example and the likely fix; dropping asks first."""
        dropped: list[Any] = []

        async def drop(request: web.Request) -> web.StreamResponse:
            dropped.append(await request.json())
            return web.json_response({"dropped": 14, "gone": 0})

        pages = [
            Page(
                "GET",
                "/api/dead-letters",
                answers({"groups": [group("SKU-9 is unknown")], "more_groups": 0}),
            ),
            Page("GET", "/api/dead-letters/example", answers({"letter": {"reason": "rejected"}})),
            Page("POST", "/api/dead-letters/drop", drop),
        ]
        async with (
            scene(calm(now_ms()), token=TOKEN, pages=pages) as shown,
            tab(chrome) as found,
        ):
            await found.page.goto(shown.url)
            await found.page.fill("#token", TOKEN)
            await found.page.keyboard.press("Enter")
            await found.page.wait_for_selector("article.vendor")
            await found.page.click("#letters-go")
            await found.shows("#letters-found", "14 \u00d7 rejected")
            await found.page.get_by_role("button", name="Drop…").click()
            await found.shows("#ask-title", "Drop 14 dead letters?")
            await found.page.get_by_role("button", name="Drop them").click()
            await found.shows("#letters-said", "14 dropped.")
            assert dropped == [
                {"vendor": "miso", "fingerprint": "h7k2mnpq", "until": 1_800_000_000_000}
            ]
            assert await found.text("#letters-found") == ""

    async def test_a_run_that_goes_on_is_followed(self, chrome: Any) -> None:
        """Until it has ended; its sentences name the command that ends it."""
        looks: list[int] = []

        async def runs(request: web.Request) -> web.StreamResponse:
            looks.append(len(looks))
            is_over = len(looks) > 1
            sentence = ["Done."] if is_over else ["End it with `streams replay stop r-1`."]
            part = {"name": "Miso", "sentence": f"{len(looks)} accepted.", "done": float(is_over)}
            run = {"run_id": "r-1", "goes_on": not is_over, "what": ["replay"], "parts": [part]}
            return web.json_response({"runs": [run | {"sentence": sentence}]})

        pages = [Page("GET", "/api/replays", runs)]
        async with scene(calm(now_ms()), pages=pages) as shown, tab(chrome) as found:
            await found.open(shown.url)
            await found.page.click("#replays-go")
            await found.shows("#replays-found code", "streams replay stop r-1")
            await found.shows("#replays-found .group", "2 accepted.")
            assert len(looks) == 2

    async def test_a_search_can_be_stopped(self, chrome: Any) -> None:
        """It says how far it is until then, and the worker hears that nobody waits."""
        begun: list[str] = []
        left: list[bool] = []

        async def trace(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            begun.append(request.query["visitor"])
            try:
                for read in range(1, 10_000):
                    line = {"progress": {"step": "reading receipts", "read": read, "total": 9_000}}
                    await response.write(json.dumps(line).encode() + b"\n")
                    await asyncio.sleep(0.02)
            finally:
                left.append(True)
            return response

        async with (
            scene(calm(now_ms()), pages=[Page("GET", "/api/trace", trace)]) as shown,
            tab(chrome) as found,
        ):
            await found.open(shown.url)
            await found.page.select_option("#search-what", "visitor")
            await found.page.fill("#search-text", "anna")
            await found.page.keyboard.press("Enter")
            await found.shows("#search-said", "of 9,000 records")
            await found.page.click("#search-stop")
            await found.shows("#search-said", "Stopped.")
            assert begun == ["anna"]
            await until(lambda: bool(left), 10.0, "the worker to hear of it")


def group(detail: str) -> dict[str, Any]:
    """A group of dead letters as the worker sends it."""
    return {
        "vendor": "miso",
        "reason": "rejected",
        "fingerprint": "h7k2mnpq",
        "open": "14",
        "first_seen": "2026-11-20T09:15:27.042Z",
        "last_seen": "2026-11-20T10:15:27.042Z",
        "example": {"event_id": "e-1", "detail": detail, "source": "shop.clicks/0/7"},
        "fix": "Compare the record with the catalogue.",
        "until": 1_800_000_000_000,
    }
