"""The dashboard's pulse: fast while somebody looks, slow otherwise, and never in anybody's way."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from streams.status.known import Known
from streams.web.dashboard import Dashboard
from streams.web.stream import MAX_VIEWERS
from tests.kafka.pipeline import until
from tests.web.scenes import Watched, calm, installation, now_ms, refused_key, scene


class Seams:
    """A dashboard's surroundings with memory."""

    def __init__(self, *, fails: bool = False) -> None:
        self.refreshed = 0
        self.fails = fails
        self.time = 1_000.0
        self.watched = Watched()
        self.watched.board.snapshots.update({one.worker: one for one in calm(now_ms())})

    async def refresh(self) -> None:
        """Count the look at the topic."""
        self.refreshed += 1
        if self.fails:
            raise RuntimeError("a fault of ours")

    def note_expired(self, lately: Callable[[], dict[str, int]]) -> None:
        """Take what tells what retention deleted."""
        self.watched.note_expired(lately)

    def known(self) -> Known:
        """Return what is known as of now."""
        return self.watched.known()

    def dashboard(self) -> Dashboard:
        """Return a dashboard in these surroundings."""
        return Dashboard(installation(), self, clock=lambda: self.time)


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
    assert json.loads(body)["findings"][0]["level"] == "ok"
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
            assert second[1][1]["findings"][0]["level"] == "ok"
            shown.show(refused_key(now_ms()))
            changed = await events_of(one, 2)
            assert changed[-1][1]["findings"][0]["subject"] == "miso"
        await until(lambda: shown.site.dashboard.viewers == 0, 5, "both to have gone")


async def test_viewers_are_bounded() -> None:
    """One page too many is told so."""
    async with scene(calm(now_ms())) as shown, aiohttp.ClientSession() as session:
        shown.site.dashboard.viewers = MAX_VIEWERS
        async with session.get(f"{shown.url}/api/stream") as answer:
            assert answer.status == 503
            assert (await answer.json())["error"] == "50 pages are open here already."
