"""A real pipeline in a real browser: log in, look, search, pause, resend, replay, and a restart."""

import asyncio
import os
import re
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from streams.lab.sandbox import parse_fault
from streams.replay.run_store import list_runs
from tests.broker_fixtures import Broker
from tests.kafka.pipeline import Pipeline, cart, click, many, now_ms, visitors
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
    await found.shows("#ask-title", "Send 1 event?")
    assert "dead letters of miso, fingerprint" in await found.text("#ask-text")
    assert "= would be sent\t1" in await found.text("#ask-more table")
    await page.get_by_role("button", name="Send", exact=True).click()
    await found.shows("#letters-found", "has started")
    await pipeline.until(lambda: "e-4" in pipeline.stored(), what="the event that was refused")
    await found.shows("#replays-found .group", "Done, ended")
    await found.shows("#replays-found .group", "1 selected, 1 accepted.")


async def test_a_window_is_replayed_as_in_the_terminal_stopped_and_resumed(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """The same preview; a run that is stopped, one that dies and is resumed, and their receipts."""
    async with (
        Pipeline(broker, prefix, tmp_path, env={"STREAMS_WEB_TOKEN": TOKEN}) as pipeline,
        browser() as chrome,
        tab(chrome, zone="UTC") as found,
    ):
        await pipeline.products("p1")
        enrich, _ = await pipeline.both()
        await pipeline.send(*many(20, visitors(3), product_id="p9"), click("anna", event_id="had"))
        await pipeline.settled(21)
        await pipeline.products("p9")
        found.page.set_default_timeout(30_000)
        await found.log_in(f"http://127.0.0.1:{enrich.port}/", TOKEN)
        from_ms = now_ms() // 1_000 * 1_000 - 3_600_000
        to_ms = from_ms + 3_660_000
        for name, ms in (("from", from_ms), ("to", to_ms)):
            clock = datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            await found.page.fill(f"#replay-{name}", clock)
        await found.page.select_option("#replay-vendor", "miso")
        await found.page.click("#replay summary")

        await found.page.fill("#replay-rate", "0.001")
        window = ("--from", str(from_ms), "--to", str(to_ms), "--rate", "0.001")
        figures = await in_the_terminal(pipeline, *window)
        assert figures["events"] == "21"
        assert figures["- already accepted"] == "1"
        assert figures["= would be sent"] == "20"
        await found.page.click("#replay-preview")
        await found.shows("#ask-title", "Send 20 events?")
        assert await shown_figures(found) == figures
        first = await begun(found)
        await found.shows("#replays-found .group", "Running since")
        await pipeline.until(lambda: len(pipeline.stored()) == 2, what="the first event")
        await found.page.get_by_role("button", name=f"Stop run {first}").click()
        await found.page.get_by_role("button", name="Stop", exact=True).click()
        await found.shows("#replays-found .group", "Stopped, ended")
        receipt = await found.text("#replays-found .group")
        looked_at = re.search(r"(\d+) selected, 1 accepted,.* (\d+) raw records not read", receipt)
        assert looked_at is not None, receipt
        assert sum(map(int, looked_at.groups())) == 21

        await found.page.fill("#replay-rate", "2")
        await found.page.click("#replay-preview")
        await found.shows("#ask-title", "Send 19 events?")
        second = await begun(found)
        await killed(pipeline, second)
        await found.shows("#replays-found .group", "Interrupted since")
        await found.page.get_by_role("button", name=f"Resume run {second}").click()
        await found.page.get_by_role("button", name="Resume", exact=True).click()
        await found.shows("#replays-found .group", "Done, ended")
        receipt = await found.text("#replays-found .group")
        assert "21 selected, 19 accepted, 2 already accepted." in receipt
        assert sorted(pipeline.stored()) == sorted(["had", *(f"e{n}" for n in range(20))])


async def in_the_terminal(pipeline: Pipeline, *window: str) -> dict[str, str]:
    """The figures of ``streams replay --preview``, by name."""
    command = ("-m", "streams", "replay", "--vendor", "miso", *window, "--preview")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        env={"PATH": os.environ["PATH"]} | pipeline.env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    rows = [line.split("\u2502") for line in out.decode().splitlines() if "\u2502" in line]
    return {name.strip(): value.strip() for name, value in rows if name.strip()}


async def shown_figures(found: Tab) -> dict[str, str]:
    """The figures of the preview on the page, by name."""
    rows: list[list[str]] = await found.page.eval_on_selector_all(
        "#ask-more tbody tr", "rows => rows.map(row => [...row.cells].map(c => c.textContent))"
    )
    return {name.strip(): value.strip() for name, value in rows}


async def begun(found: Tab) -> str:
    """Confirm the preview; return the id of the run that the page names."""
    await found.page.get_by_role("button", name="Send", exact=True).click()
    await found.shows("#replays-said", "has started")
    named = re.search(r"r-\d{8}-\d{6}-\w{4}", await found.text("#replays-said"))
    assert named is not None
    return named[0]


async def killed(pipeline: Pipeline, run_id: str) -> None:
    """Kill the process that is at this run."""

    async def process() -> Any:
        runs = {run.run_id: run for run in await list_runs(pipeline.settings)}
        return runs[run_id].pid

    pid = await process()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
