"""The page's data: one view, or a view a second as server-sent events."""

import asyncio
from contextlib import suppress
from typing import Final

from aiohttp import web

from streams.web.authentication import refusal
from streams.web.dashboard import Dashboard

MAX_VIEWERS = 50
RECONNECT_MS = 2_000
WRITE_SECONDS = 30.0
"""Who does not take what is sent for so long has gone."""
MAX_PULSES: Final = 900
"""A stream ends after a quarter of an hour; the browser comes back and shows its cookie again."""


class Stream:
    """The handlers of ``/api/pipeline`` and ``/api/stream``."""

    def __init__(self, dashboard: Dashboard) -> None:
        self._dashboard = dashboard

    async def pipeline(self, request: web.Request) -> web.StreamResponse:  # noqa: ARG002
        """Return the view as of now, as JSON."""
        return web.json_response(self._dashboard.current())

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Send the curves and a view at once, then views as they are made."""
        dashboard = self._dashboard
        if dashboard.viewers >= MAX_VIEWERS:
            return refusal(503, f"{MAX_VIEWERS} pages are open here already.")
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
        )
        await response.prepare(request)
        seen, samples = dashboard.pulse, -1
        with dashboard.watching(), suppress(ConnectionError, TimeoutError):  # who looked has gone
            await _write(response, b"retry: %d\n\n" % RECONNECT_MS)
            for _ in range(MAX_PULSES):
                seen, body = await dashboard.next_view(seen)
                taken, curves = dashboard.history()
                if taken != samples:
                    samples = taken
                    await _write(response, b"event: history\ndata: " + curves + b"\n\n")
                await _write(response, b"event: view\ndata: " + body + b"\n\n")
        return response


async def _write(response: web.StreamResponse, body: bytes) -> None:
    async with asyncio.timeout(WRITE_SECONDS):
        await response.write(body)
