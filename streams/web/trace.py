"""``/api/trace``: where is my event, line by line: how far the search is, then the answer.

Each line is one JSON object: ``{"progress": {"step", "read", "total"}}`` about twice a second, and
at the end ``{"trace": …}`` (``operations/trace/timeline.py``) or ``{"error": sentence}``.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC
from typing import Any, get_args

import msgspec
from aiohttp import web

from streams.core.errors import StreamsError
from streams.core.moments import read_moment
from streams.operations.trace.timeline import Trace
from streams.operations.trace.trace import DEFAULT_WINDOW_MS, MAX_ASKED_CHARS, Kind, run_trace
from streams.settings import Settings
from streams.web.authentication import refusal

log = logging.getLogger("streams.web")

PROGRESS_SECONDS = 0.5
MAX_SECONDS = 300.0
"""A search that nobody could wait for any longer."""
EVENTS = 50
WAIT_SECONDS = 2.0
"""So long a new search waits for the one before it to end."""

Tracer = Callable[..., Awaitable[Trace]]


class TracePage:
    """The handler; one search at a time in a worker, since each reads a lot."""

    def __init__(
        self,
        settings: Settings,
        wall_ms: Callable[[], int],
        tracer: Tracer = run_trace,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._settings = settings
        self._wall_ms = wall_ms
        self._trace = tracer
        self._patience_seconds = wait_seconds
        self._one_at_a_time = asyncio.Lock()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Search for what the query names, for as long as the client listens."""
        asked = [(kind, request.query[kind]) for kind in get_args(Kind) if request.query.get(kind)]
        now_ms = self._wall_ms()
        if len(asked) != 1 or len(asked[0][1]) > MAX_ASKED_CHARS:
            return refusal(400, "Give one of event, visitor, user and sku; since is optional.")
        try:
            since = request.query.get("since")
            # Without an offset, times are read as UTC: whose clock is meant nobody can tell here.
            since_ms = read_moment(since, now_ms, UTC) if since else now_ms - DEFAULT_WINDOW_MS
        except ValueError as problem:
            return refusal(400, f"since: {problem}.")
        try:
            # Who stops a search and asks for something else must not be told to wait.
            await asyncio.wait_for(self._one_at_a_time.acquire(), self._patience_seconds)
        except TimeoutError:
            return refusal(429, "Another search is running on this worker. Try again in a moment.")
        try:
            return await self._search(request, asked[0], now_ms, since_ms)
        finally:
            self._one_at_a_time.release()

    async def _search(
        self, request: web.Request, asked: tuple[Any, str], now_ms: int, since_ms: int
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        told: dict[str, Any] = {"step": "connecting", "read": 0, "total": 0}

        def tell(step: str, read: int, total: int) -> None:
            told.update(step=step, read=read, total=total)

        kind, text = asked
        search = asyncio.ensure_future(
            self._trace(
                self._settings,
                kind,
                text,
                now_ms=now_ms,
                since_ms=since_ms,
                limit=EVENTS,
                tell=tell,
            )
        )
        try:
            async with asyncio.timeout(MAX_SECONDS):
                while not search.done():
                    # Writing is what tells that the client has gone.
                    await _write(response, {"progress": told})
                    await asyncio.wait([search], timeout=PROGRESS_SECONDS)
            await _write(response, _said(search))
        except TimeoutError:
            await _write(response, {"error": f"The search took more than {MAX_SECONDS:.0f} s."})
        except ConnectionError:
            pass  # nobody listens any more, so nobody is to be told
        finally:
            search.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await search
        return response


def _said(search: "asyncio.Future[Trace]") -> dict[str, Any]:
    error = search.exception()
    if error is None:
        return {"trace": search.result()}
    if isinstance(error, StreamsError):
        return {"error": str(error)}
    log.error("a trace failed", exc_info=error)
    return {"error": "The search failed because of a bug in streams. See the worker's log."}


async def _write(response: web.StreamResponse, line: dict[str, Any]) -> None:
    await response.write(msgspec.json.encode(line) + b"\n")
