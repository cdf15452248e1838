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

from streams.core.snapshot import LastRequest, Outcomes, VendorStatus
from tests.kafka.pipeline import until
from tests.web.browser import PHONE, WIDE, browser, needs_browser, tab
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
ALL_SOURCES = {
    f"STREAMS_SOURCE_{name}_ENABLED": "true" for name in ("ORDERS", "CONTENT_VIEWS", "EVENTS")
}
MISPLACED = """() => {
  const box = document.querySelector("#flow rect.node").getBoundingClientRect();
  const isInside = (at) =>
    at.top >= box.top && at.bottom <= box.bottom && at.left >= box.left && at.right <= box.right;
  return [...document.querySelectorAll("#flow text.strong")]
    .filter((text) => isInside(text.getBoundingClientRect()) !== /^shop/.test(text.textContent))
    .map((text) => text.textContent);
}"""

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
        """The headline says what is wrong and what to do; that vendor's card is next."""
        async with scene(refused_key(now_ms())) as shown, tab(chrome) as found:
            await found.open(shown.url)
            await found.shows("#headline h1", "Miso is parked since")
            assert "Miso refuses the key (401). 18,204 events wait. Nothing is lost." in (
                await found.text("#headline-cause")
            )
            assert await found.text("#headline-remedy") == (
                "Put the new key into STREAMS_MISO_API_KEY and restart its workers."
            )
            first = found.page.locator("article.vendor").first
            assert await first.get_attribute("aria-label") == "Miso"
            place = await first.bounding_box()
            assert place["y"] < 300
            assert await found.page.title() == "(!!) streams"
            assert found.hosts == {f"127.0.0.1:{shown.server.port}"}

    async def test_on_a_phone_the_failing_vendor_comes_first_too(self, chrome: Any) -> None:
        """Headline, then its card, in the first screen; what is calm comes below."""
        async with scene(refused_key(now_ms())) as shown, tab(chrome, size=PHONE) as found:
            await found.open(shown.url)
            await found.shows("#headline h1", "Miso is parked since")
            cards = found.page.locator("article.vendor")
            names = [await cards.nth(n).get_attribute("aria-label") for n in range(3)]
            assert names == ["Miso", "8SELECT", "Voyado Engage"]
            place = await found.page.locator("#vendor-miso .pill").bounding_box()
            assert place["y"] < 844

    async def test_the_card_that_moves_up_keeps_the_focus(self, chrome: Any) -> None:
        """Who is about to press a button there presses that one."""
        async with scene(calm(now_ms()), token=TOKEN) as shown, tab(chrome) as found:
            await found.log_in(shown.url, TOKEN)
            await found.page.get_by_role("button", name="Pause Miso").focus()
            shown.show(refused_key(now_ms()))
            await found.shows("#headline h1", "Miso is parked since")
            focused = await found.page.evaluate("document.activeElement.getAttribute('aria-label')")
            assert focused == "Pause Miso"

    async def test_a_stage_without_a_worker_is_a_row(self, chrome: Any) -> None:
        """With what waits by the brokers' offsets; what nobody tells is a question mark."""
        workers = [w for w in calm(now_ms()) if w.stage != "voyado"]
        async with scene(workers, waiting={"voyado": 1_204}) as shown, tab(chrome) as found:
            await found.open(shown.url)
            await found.shows("#headline h1", "No worker for Voyado Engage is running.")
            await found.shows("#headline-remedy", "Start one with streams worker voyado.")
            row = found.page.locator("#workers tbody tr", has_text="voyado")
            assert (await row.inner_text()).split() == ["voyado", "no", "worker", "0", "0", "1,204"]
            assert "accepted\n?" in await found.text("#vendor-voyado .shares")

    async def test_curves_fill_their_width_from_the_first_minute(self, chrome: Any) -> None:
        """Six samples reach from edge to edge, and so does one."""
        for minutes, points in ((1, 6), (0, 1)):
            async with (
                scene(calm(now_ms()), past_minutes=minutes) as shown,
                tab(chrome) as found,
            ):
                await found.open(shown.url)
                line = found.page.locator("#vendor-miso .curve path.line").first
                await line.wait_for(state="attached")
                ends = await line.evaluate(
                    "e => [e.getPointAtLength(0).x, e.getPointAtLength(e.getTotalLength()).x]"
                )
                assert [round(x) for x in ends] == [0, 300], points

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
            await found.shows("#vendor-miso .pill", "no worker")

    async def test_nothing_and_ten_million_fit(self, chrome: Any) -> None:
        """Numbers keep their separators and the page its width."""
        status = VendorStatus("parked", now_ms() - 90_000_000, "503: down", "")
        async with scene([]) as shown, tab(chrome, size=PHONE) as found:
            await found.open(shown.url)
            await found.shows("#headline", "No enrichment worker is running")
            shown.show(in_state(now_ms(), "miso", status, 10_000_000))
            await found.shows("#vendor-miso .facts", "10,000,000")
            assert await found.page.evaluate("document.documentElement.scrollWidth") == 390

    async def test_a_narrow_screen_needs_no_sideways_scrolling(self, chrome: Any) -> None:
        """Also with everything open and with words that nobody can break."""
        long = "x" * 300
        workers = [replace(w, host=long) for w in refused_key(now_ms())]
        async with scene(workers) as shown, tab(chrome, size=PHONE) as found:
            await found.open(shown.url)
            await found.page.evaluate(
                "document.querySelectorAll('details').forEach(d => d.open = 1)"
            )
            assert await found.page.evaluate("document.documentElement.scrollWidth") == 390

    @pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
    async def test_the_box_of_raw_topics_holds_those_of_all_sources(
        self, chrome: Any, size: dict[str, int]
    ) -> None:
        """However many sources are on; nothing else is drawn over it."""
        async with (
            scene(calm(now_ms()), environ=ALL_SOURCES) as shown,
            tab(chrome, size=size) as found,
        ):
            await found.open(shown.url)
            assert (await found.page.text_content("#flow")).count("shop.") == 5
            assert await found.page.evaluate(MISPLACED) == []

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    async def test_text_can_be_read(self, chrome: Any, scheme: str) -> None:
        """Contrast of at least 4.5 in both schemes, for every text that is seen."""
        async with scene(refused_key(now_ms())) as shown, tab(chrome, scheme=scheme) as found:
            await found.open(shown.url)
            await found.page.evaluate(
                "document.querySelectorAll('details').forEach(d => d.open = 1)"
            )
            assert await found.page.evaluate(TOO_FAINT) == []

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
    async def test_axe_finds_nothing(self, chrome: Any, scheme: str, size: dict[str, int]) -> None:
        """In trouble, with everything open, letters and runs listed, and a question asked."""
        pages = [
            web.get("/api/dead-letters", answers(LETTERS)),
            web.get("/api/replays", answers({"runs": [RUN]})),
            web.post("/api/replays/preview", answers(PREVIEW)),
        ]
        async with (
            scene(refused_key(now_ms()), token=TOKEN, pages=pages, past_minutes=5) as shown,
            tab(chrome, size=size, scheme=scheme) as found,
        ):
            await found.page.goto(shown.url)
            await found.page.wait_for_selector("#token")
            assert await found.barriers() == []
            await found.log_in(shown.url, TOKEN)
            await found.page.click("#letters-go")
            await found.page.click("#replays-go")
            await found.page.wait_for_selector("#letters-found .group")
            await found.page.wait_for_selector("#replays-found .group")
            await found.page.evaluate(
                "document.querySelectorAll('details').forEach(d => d.open = 1)"
            )
            assert await found.barriers() == []
            await found.page.click("#replay-preview")
            await found.shows("#ask-title", "Send about 480 events?")
            assert await found.barriers() == []

    async def test_everything_is_reached_by_keyboard(self, chrome: Any) -> None:
        """Tab comes to each control in order, / to the search, Escape out of a question."""
        async with scene(calm(now_ms()), token=TOKEN) as shown, tab(chrome) as found:
            await found.page.goto(shown.url)
            await found.page.wait_for_function("document.activeElement.id === 'token'")
            await found.page.keyboard.type(TOKEN)
            await found.page.keyboard.press("Enter")
            await found.page.wait_for_selector("article.vendor")
            reached = []
            for _ in range(60):
                await found.page.keyboard.press("Tab")
                reached.append(
                    await found.page.evaluate(
                        "(e => e.getAttribute('aria-label') || e.id || e.innerText)"
                        "(document.activeElement)"
                    )
                )
            for control in ("Skip to the vendors", "Log out", "Pause Miso", "search-text"):
                assert control in reached
            for control in ("search-go", "letters-go", "replays-go", "replay-preview"):
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
                await found.shows("#headline h1", "Miso is parked since")
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
            web.get("/api/trace", trace),
            web.get("/api/dead-letters", answers(letters)),
            web.get("/api/dead-letters/example", answers({"letter": {HTML: HTML}})),
        ]
        async with scene(workers, pages=pages) as shown, tab(chrome) as found:
            await found.open(shown.url)
            await found.shows("#headline", "onerror")
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
            assert await found.page.title() == "(!) streams"

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
            scene(calm(now_ms()), pages=[web.get("/api/trace", trace)]) as shown,
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
            web.get(
                "/api/dead-letters",
                answers({"groups": [group("SKU-9 is unknown")], "more_groups": 0}),
            ),
            web.get("/api/dead-letters/example", answers({"letter": {"reason": "rejected"}})),
            web.post("/api/dead-letters/drop", drop),
        ]
        async with (
            scene(calm(now_ms()), token=TOKEN, pages=pages) as shown,
            tab(chrome) as found,
        ):
            await found.log_in(shown.url, TOKEN)
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

    async def test_dead_letters_are_resent_after_the_terminals_question(self, chrome: Any) -> None:
        """The preview's own lines and figures; what is begun is what was previewed."""
        asked: list[Any] = []

        async def preview(request: web.Request) -> web.StreamResponse:
            asked.append(await request.json())
            return web.json_response(PREVIEW | {"asked": {"command": "resend", "vendor": "miso"}})

        async def start(request: web.Request) -> web.StreamResponse:
            asked.append(await request.json())
            return web.json_response({"run_id": "r-20260501-080000-ab12"})

        pages = [
            web.get("/api/dead-letters", answers(LETTERS)),
            web.get("/api/replays", answers({"runs": [RUN]})),
            web.post("/api/replays/preview", preview),
            web.post("/api/replays/start", start),
        ]
        async with (
            scene(calm(now_ms()), token=TOKEN, pages=pages) as shown,
            tab(chrome) as found,
        ):
            await found.log_in(shown.url, TOKEN)
            await found.page.click("#letters-go")
            resend = found.page.get_by_role("button", name="Resend…")
            await resend.click()
            await found.shows("#ask-title", "Send about 480 events?")
            assert "SAMPLE: 200,000 of them" in await found.text("#ask-more")
            assert "Miso is paused" in await found.text("#ask-more")
            assert "= would be sent\t480" in await found.text("#ask-more table")
            zone = await found.page.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone")
            letters = {"command": "resend", "vendor": "miso", "fingerprint": "h7k2mnpq"}
            assert asked == [letters | {"since_ms": 1_700_000_000_000, "zone": zone}]
            await found.page.keyboard.press("Escape")
            await found.shows("#letters-found", "Nothing was sent.")
            await resend.click()
            await found.page.get_by_role("button", name="Send", exact=True).click()
            await found.shows("#letters-found", "Run r-20260501-080000-ab12 has started")
            await found.shows("#replays-found h3", "r-20260501-080000-ab12")
            assert asked[-1] == {"command": "resend", "vendor": "miso"}

    async def test_a_window_is_replayed_from_the_page(self, chrome: Any) -> None:
        """Times are of the browser's clock; a preview that would send nothing asks nothing."""
        asked: list[Any] = []

        async def preview(request: web.Request) -> web.StreamResponse:
            asked.append(await request.json())
            return web.json_response(PREVIEW | {"is_empty": True})

        pages = [web.post("/api/replays/preview", preview)]
        async with (
            scene(calm(now_ms()), token=TOKEN, pages=pages) as shown,
            tab(chrome, zone="Europe/Berlin") as found,
        ):
            await found.log_in(shown.url, TOKEN)
            await found.page.fill("#replay-from", "2026-05-01T10:00:00")
            await found.page.fill("#replay-to", "2026-05-01T11:00:00")
            await found.page.select_option("#replay-vendor", "voyado")
            await found.page.select_option("#replay-only", "dead_lettered")
            await found.page.click("#replay-preview")
            await found.shows("#replays-said", "Nothing would be sent.")
            await found.page.click("#replay summary")
            await found.page.fill("#replay-visitor", "anna")
            await found.page.fill("#replay-sku", "SKU-1")
            await found.page.fill("#replay-rate", "0.5")
            await found.page.check("#replay-again")
            await found.page.click("#replay-preview")
            await until(lambda: len(asked) == 2, 10.0, "the second preview")
            request = {
                "command": "replay",
                "vendor": "voyado",
                "from_ms": 1_777_622_400_000,
                "to_ms": 1_777_626_000_000,
                "only": ["dead_lettered"],
                "visitor": None,
                "sku": None,
                "rate": None,
                "again": False,
                "zone": "Europe/Berlin",
            }
            options = {"visitor": "anna", "sku": "SKU-1", "rate": 0.5, "again": True}
            assert asked == [request, request | options]

    async def test_a_preview_can_be_cancelled(self, chrome: Any) -> None:
        """The worker hears of it, and the form can be used again."""
        came: list[web.Request] = []

        async def preview(request: web.Request) -> web.StreamResponse:
            came.append(request)
            await until(lambda: request.transport is None, 30.0, "the browser to hang up")
            return web.json_response({})

        pages = [web.post("/api/replays/preview", preview)]
        async with scene(calm(now_ms()), token=TOKEN, pages=pages) as shown, tab(chrome) as found:
            await found.log_in(shown.url, TOKEN)
            await found.page.click("#replay-preview")
            await until(lambda: bool(came), 10.0, "the preview")
            await found.page.get_by_role("button", name="Cancel preview").click()
            await found.shows("#replays-said", "The preview was cancelled. Nothing was sent.")
            await until(lambda: came[0].transport is None, 10.0, "the worker to hear of it")
            assert await found.page.get_by_role("button", name="Cancel preview").count() == 0
            assert await found.page.is_enabled("#replay-preview")

    async def test_without_a_token_the_buttons_say_why_they_do_nothing(self, chrome: Any) -> None:
        """They are there, and each names the setting."""
        pages = [web.get("/api/dead-letters", answers(LETTERS))]
        async with scene(calm(now_ms()), pages=pages) as shown, tab(chrome) as found:
            await found.open(shown.url)
            await found.page.click("#letters-go")
            for name in ("Resend…", "Drop…", "Preview…", "Pause Miso"):
                button = found.page.get_by_role("button", name=name)
                await button.wait_for()
                assert await button.is_disabled(), name
                assert "STREAMS_WEB_TOKEN" in str(await button.get_attribute("title")), name

    async def test_the_headline_has_the_button_that_its_remedy_names(self, chrome: Any) -> None:
        """Resume for a pause; the list for new dead letters."""
        now = now_ms()
        paused = VendorStatus("paused", now, "", "Resume it with `streams resume miso`.")
        refused = Outcomes(90, {}, {"rejected": 10})
        pages = [web.get("/api/dead-letters", answers(LETTERS))]
        async with (
            scene(in_state(now, "miso", paused, 7), token=TOKEN, pages=pages) as shown,
            tab(chrome) as found,
        ):
            await found.log_in(shown.url, TOKEN)
            await found.page.locator("#headline-remedy button", has_text="Resume Miso").click()
            await found.page.get_by_role("button", name="Resume", exact=True).click()
            await until(lambda: shown.paused == [("miso", False)], 5, "the resume")
            shown.show(
                [
                    replace(w, lately={"miso": refused}) if w.stage == "miso" else w
                    for w in calm(now_ms())
                ]
            )
            await found.shows("#letters-count", "10 new in the last hour")
            button = found.page.locator("#headline-remedy button", has_text="Show the dead letters")
            await button.click()
            await found.shows("#letters-found", "14 \u00d7 rejected")
            assert "1 cause of Miso" in await found.text("#letters-said")

    async def test_a_run_that_goes_on_is_followed_and_stopped(self, chrome: Any) -> None:
        """Until it has ended; the button asks first."""
        looks: list[int] = []
        stopped: list[str] = []

        async def runs(request: web.Request) -> web.StreamResponse:
            looks.append(len(looks))
            part = {"name": "Miso", "sentence": f"{len(looks)} accepted.", "done": 0.5}
            can = [] if stopped else ["stop"]
            run = RUN | {"goes_on": not stopped, "parts": [part], "can": can}
            return web.json_response({"runs": [run]})

        async def stop(request: web.Request) -> web.StreamResponse:
            stopped.append(request.match_info["run_id"])
            return web.json_response({"run_id": stopped[0]})

        pages = [
            web.get("/api/replays", runs),
            web.post("/api/replays/{run_id}/stop", stop),
        ]
        async with (
            scene(calm(now_ms()), token=TOKEN, pages=pages) as shown,
            tab(chrome) as found,
        ):
            await found.log_in(shown.url, TOKEN)
            await found.page.click("#replays-go")
            await found.shows("#replays-found .group", "2 accepted.")
            await found.page.get_by_role("button", name=f"Stop run {RUN['run_id']}").click()
            await found.shows("#ask-title", f"Stop run {RUN['run_id']}?")
            await found.page.get_by_role("button", name="Stop", exact=True).click()
            await until(lambda: stopped == [RUN["run_id"]], 5, "the stop")
            await found.page.wait_for_function(
                "() => !document.querySelector('#replays-found button')"
            )

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
            scene(calm(now_ms()), pages=[web.get("/api/trace", trace)]) as shown,
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


RUN: dict[str, Any] = {
    "run_id": "r-20260501-080000-ab12",
    "goes_on": False,
    "can": ["resume", "stop"],
    "what": ["replay"],
    "sentence": [
        "Interrupted since ",
        {"at": 1_777_622_400_000},
        ". Resume or stop it.",
    ],
    "parts": [{"name": "Miso", "sentence": "480 selected, 200 accepted.", "done": 0.4}],
}
PREVIEW: dict[str, Any] = {
    "lines": ["dead letters of miso: 480 open", "SAMPLE: 200,000 of them were read."],
    "vendors": ["miso"],
    "rows": [
        {"name": "events", "values": ["500"], "weight": ""},
        {"name": "= would be sent", "values": ["480"], "weight": "bold"},
        {"name": "  dead letters before", "values": ["480"], "weight": "dim"},
    ],
    "warnings": ["Miso is paused: what is sent waits until `streams resume miso`."],
    "question": "Send about 480 events?",
    "is_empty": False,
    "asked": {"command": "replay", "vendor": "miso", "from_ms": 1, "to_ms": 2},
}


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


LETTERS = {"groups": [group("SKU-9 is unknown")], "more_groups": 0, "since": 1_700_000_000_000}
