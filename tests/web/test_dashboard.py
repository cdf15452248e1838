"""The dashboard's pulse: fast while somebody looks, slow otherwise, and never in anybody's way."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from streams.operations.status.status import StatusBoard
from streams.web.dashboard import Dashboard
from streams.web.stream import MAX_VIEWERS
from tests.kafka.pipeline import until
from tests.web.scenes import calm, frame, now_ms, refused_key, scene


class Seams:
    """A dashboard's surroundings with memory."""

    def __init__(self, *, fails: bool = False) -> None:
        self.refreshed = 0
        self.fails = fails
        self.time = 1_000.0
        self.board = StatusBoard({one.worker: one for one in calm(now_ms())})

    async def refresh(self) -> None:
        """Count the look at the topic."""
        self.refreshed += 1
        if self.fails:
            raise RuntimeError("a fault of ours")

    def dashboard(self, silent: float = 0.0) -> Dashboard:
        """Return a dashboard in these surroundings."""
        return Dashboard(
            frame(),
            self.board,
            own=lambda: None,
            refresh=self.refresh,
            silent_seconds=lambda: silent,
            wall_ms=now_ms,
            clock=lambda: self.time,
        )


async def test_nobody_looking_costs_one_look_and_no_view() -> None:
    """The curves are fed, views are not made."""
    seams = Seams()
    dashboard = seams.dashboard()
    beating = asyncio.ensure_future(dashboard.run())
    await until(lambda: dashboard.history()[0] == 1, 5, "the first sample")
    assert (seams.refreshed, dashboard.pulse) == (1, 0)
    with dashboard.watching():
        number, body = await asyncio.wait_for(dashboard.next_view(0), 5)
    assert number == 1
    assert json.loads(body)["verdict"]["level"] == "good"
    assert dashboard.viewers == 0
    beating.cancel()


async def test_a_fault_in_the_view_is_logged_and_passes(caplog: pytest.LogCaptureFixture) -> None:
    """The page is for looking at: it must never end a worker."""
    seams = Seams(fails=True)
    dashboard = seams.dashboard()
    beating = asyncio.ensure_future(dashboard.run())
    with dashboard.watching():
        await until(lambda: seams.refreshed == 1, 5, "the failing look")
        assert "the dashboard's view could not be made" in caplog.text
        seams.fails = False
        assert (await asyncio.wait_for(dashboard.next_view(0), 5))[0] >= 1
    beating.cancel()


async def test_this_workers_own_word_is_fresh_while_the_broker_is_away() -> None:
    """Then the others fall silent, and the page says whose fault that is."""
    seams = Seams()
    shown = seams.dashboard(silent=30.0).current()
    assert shown["verdict"]["level"] == "bad"
    assert shown["verdict"]["text"][0].startswith("Kafka has told this worker nothing for 30 s")


async def events_of(answer: aiohttp.ClientResponse, wanted: int) -> list[tuple[str, Any]]:
    """Read so many server-sent events."""
    found: list[tuple[str, Any]] = []
    name = ""
    async with asyncio.timeout(10):
        async for line in answer.content:
            text = line.decode().rstrip("\n")
            if text.startswith("event: "):
                name = text.removeprefix("event: ")
            elif text.startswith("data: "):
                found.append((name, json.loads(text.removeprefix("data: "))))
            if len(found) == wanted:
                break
    return found


async def test_all_who_look_get_the_same_view() -> None:
    """Made once; the curves first, then views that change with the pipeline."""
    async with scene(calm(now_ms())) as shown, aiohttp.ClientSession() as session:
        url = f"{shown.url}/api/stream"
        async with session.get(url) as one, session.get(url) as two:
            first, second = await asyncio.gather(events_of(one, 2), events_of(two, 2))
            assert [name for name, _ in first] == ["history", "view"]
            assert first[0][1]["vendors"].keys() == {"eightselect", "voyado", "miso"}
            assert second[1][1]["verdict"]["level"] == "good"
            shown.show(refused_key(now_ms()))
            changed = await events_of(one, 2)
            assert changed[-1][1]["verdict"]["vendor"] == "miso"
        await until(lambda: shown.site.dashboard.viewers == 0, 5, "both to have gone")


async def test_viewers_are_bounded() -> None:
    """One page too many is told so."""
    async with scene(calm(now_ms())) as shown, aiohttp.ClientSession() as session:
        shown.site.dashboard.viewers = MAX_VIEWERS
        async with session.get(f"{shown.url}/api/stream") as answer:
            assert answer.status == 503
            assert (await answer.json())["error"] == "50 pages are open here already."
