"""``/api/trace``: lines of progress, one answer, one search at a time, none for nobody."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from streams.core.errors import SetupError
from streams.operations.trace.timeline import Trace
from streams.settings import load_settings
from streams.web.trace import TracePage

NOW = 1_777_000_000_000


class Searches:
    """Stands in for the search: remembers what was asked, and ends when it is told to."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.may_end = asyncio.Event()
        self.began = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(
        self, _settings: object, kind: str, text: str, *, tell: Callable[..., None], **more: Any
    ) -> Trace:
        """Take part in the protocol of ``operations.trace.trace``."""
        self.asked.append({"kind": kind, "text": text, **more})
        tell("shop.clicks", 5, 10)
        self.began.set()
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        if self.error is not None:
            raise self.error
        return Trace(asked={kind: text}, since="a", until="b")


@pytest.fixture
def searches() -> Searches:
    """What is asked of the search."""
    return Searches()


@pytest.fixture
async def page(searches: Searches) -> AsyncIterator[str]:
    """The address of the page, served on loopback."""
    app = web.Application()
    app.router.add_get(
        "/api/trace", TracePage(load_settings({}), lambda: NOW, searches, 0.2).answer
    )
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/api/trace"
    await runner.cleanup()


async def lines(address: str) -> list[dict[str, Any]]:
    """Return all lines of an answer."""
    async with aiohttp.ClientSession() as session, session.get(address) as answer:
        assert answer.status == 200
        return [json.loads(line) for line in (await answer.text()).splitlines()]


async def test_progress_comes_first_and_the_answer_last(page: str, searches: Searches) -> None:
    """The last line is the trace; the time is an hour ago unless it is said."""
    searches.may_end.set()
    *before, last = await lines(f"{page}?event=e1")
    assert all(list(line) == ["progress"] for line in before)
    assert last["trace"]["asked"] == {"event": "e1"}
    asked = searches.asked[0]
    assert (asked["kind"], asked["text"], asked["since_ms"]) == ("event", "e1", NOW - 3_600_000)
    await lines(f"{page}?visitor=anna&since=2h%20ago")
    assert searches.asked[1]["since_ms"] == NOW - 7_200_000


@pytest.mark.parametrize(
    "query", ["", "?event=a&sku=b", f"?event={'x' * 513}", "?event=a&since=soon"]
)
async def test_what_cannot_be_asked_is_400_in_a_sentence(page: str, query: str) -> None:
    """Nothing, two things, too much, and a time that is none."""
    async with aiohttp.ClientSession() as session, session.get(page + query) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"].endswith(".")


async def test_a_second_search_is_refused_while_one_runs(page: str, searches: Searches) -> None:
    """429 says to try again; afterwards it is taken."""
    first = asyncio.ensure_future(lines(f"{page}?event=e1"))
    await searches.began.wait()
    async with aiohttp.ClientSession() as session, session.get(f"{page}?event=e2") as answer:
        assert answer.status == 429
    searches.may_end.set()
    await first
    assert "trace" in (await lines(f"{page}?event=e2"))[-1]


async def test_a_search_ends_when_nobody_listens(page: str, searches: Searches) -> None:
    """Closing the connection cancels it, and the next one may begin."""
    async with aiohttp.ClientSession() as session:
        answer = await session.get(f"{page}?event=e1")
        await searches.began.wait()
        answer.close()
    await asyncio.wait_for(searches.cancelled.wait(), 10)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (SetupError("The broker is away."), "The broker is away."),
        (
            KeyError("a secret"),
            "The search failed because of a bug in streams. See the worker's log.",
        ),
    ],
)
async def test_a_failure_is_told_in_the_last_line(
    page: str, searches: Searches, error: Exception, sentence: str
) -> None:
    """What people can mend in its own words, a fault of ours without its details."""
    searches.error = error
    searches.may_end.set()
    assert (await lines(f"{page}?sku=s"))[-1] == {"error": sentence}
