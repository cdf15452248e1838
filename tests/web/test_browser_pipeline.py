"""A real pipeline in a real browser: log in, look, search, pause, resend, and a restart."""

from pathlib import Path

import pytest

from streams.lab.sandbox import parse_fault
from tests.broker_fixtures import Broker
from tests.kafka.pipeline import Pipeline, cart, click
from tests.web.browser import Tab, browser, needs_browser, tab

pytestmark = [pytest.mark.browser, pytest.mark.kafka, needs_browser]

TOKEN = "token-for-the-browser"


async def test_a_real_pipeline_is_looked_at_searched_paused_and_restarted(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """What an operator does on a day, in one go."""
    env = {"STREAMS_WEB_TOKEN": TOKEN}
    async with (
        Pipeline(broker, prefix, tmp_path, env=env) as pipeline,
        browser() as chrome,
        tab(chrome) as found,
    ):
        await pipeline.products("p1")
        await pipeline.send(click("anna", event_id="e-1"), cart("anna", event_id="e-2"))
        enrich, _ = await pipeline.both()
        await pipeline.until(lambda: sorted(pipeline.stored()) == ["e-1", "e-2"], what="both")
        page = found.page
        page.set_default_timeout(30_000)
        await page.goto(f"http://127.0.0.1:{enrich.port}/")
        await page.fill("#token", TOKEN)
        await page.keyboard.press("Enter")
        await found.shows("#vendor-miso .pill", "running")
        await found.shows("#headline", "All is well")

        await page.fill("#search-text", "e-2")
        await page.keyboard.press("Enter")
        await found.shows("#search-found .found h3", "e-2")
        await found.shows("#search-found .line .pill", "accepted")
        assert "anna" not in await found.text("#search-found")

        await page.get_by_role("button", name="Pause Miso").click()
        await page.get_by_role("button", name="Pause", exact=True).click()
        await found.shows("#vendor-miso .pill", "paused")
        await pipeline.send(click("anna", event_id="e-3"))
        await found.shows("#headline-cause", "1 event waits.")
        await page.locator("#headline-remedy button", has_text="Resume Miso").click()
        await page.get_by_role("button", name="Resume", exact=True).click()
        await found.shows("#vendor-miso .pill", "running")
        await pipeline.until(lambda: "e-3" in pipeline.stored(), what="the event that waited")

        await a_dead_letter_is_resent(pipeline, found)

        enrich.terminate()
        await enrich.ended(15)
        await found.shows("#link", "not connected since")
        again = pipeline.start("enrich")
        await pipeline.ready(again)
        await found.shows("#link", "live")
        # What was resent is new no longer.
        await page.wait_for_function(
            "() => !document.querySelector('#headline').innerText.includes('dead letter')"
        )
        assert await found.text("#vendor-miso .pill") == "running"
        assert found.hosts == {f"127.0.0.1:{enrich.port}"}


async def a_dead_letter_is_resent(pipeline: Pipeline, found: Tab) -> None:
    """Previewed, asked for and begun on the page, done by a process beside the worker."""
    page = found.page
    pipeline.sandbox.faults.set(parse_fault("miso:refuse"))
    await pipeline.send(click("anna", event_id="e-4"))
    await found.shows("#headline h1", "Miso: 1 new dead letter")
    pipeline.sandbox.faults.clear(None)
    await page.locator("#headline-remedy button").click()
    await found.shows("#letters-found", "1 \u00d7 rejected")
    await page.get_by_role("button", name="Resend…").click()
    await found.shows("#ask-title", "Send 1 events?")
    assert "dead letters of miso, fingerprint" in await found.text("#ask-text")
    assert "= would be sent\t1" in await found.text("#ask-more table")
    await page.get_by_role("button", name="Send", exact=True).click()
    await found.shows("#letters-found", "has begun")
    await pipeline.until(lambda: "e-4" in pipeline.stored(), what="the event that was refused")
    await found.shows("#replays-found .group", "Done, ended")
    await found.shows("#replays-found .group", "1 selected, 1 accepted.")
