"""Every page of the web view beside health and metrics, and what stands around them all."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from typing import Any

from aiohttp import web

from streams.vendors import VENDORS
from streams.web.authentication import Authentication, Handler, protect, refusal
from streams.web.dashboard import Dashboard
from streams.web.stream import Stream

ASSETS = {
    "dashboard.html": "text/html",
    "dashboard.js": "text/javascript",
    "dashboard.css": "text/css",
    "drawing.js": "text/javascript",
    "event.js": "text/javascript",
    "letters.js": "text/javascript",
    "runs.js": "text/javascript",
    "server.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Site:
    """The parts of which the pages are made."""

    dashboard: Dashboard
    guard: Authentication
    set_paused: Callable[[str, bool], Awaitable[str]]
    """(vendor, paused) → what is true now, in one sentence."""
    pages: tuple[web.RouteDef, ...] = ()
    """Further ones: dead letters, replays, traces."""

    def all_pages(self) -> list[web.RouteDef]:
        """Return every page in the order in which they are registered."""
        stream = Stream(self.dashboard)
        assets = [name for name in ASSETS if "html" not in name]
        return [
            web.get("/", _asset("dashboard.html")),
            *(web.get(f"/assets/{name}", _asset(name)) for name in assets),
            web.post("/login", self.guard.login),
            web.post("/logout", self.guard.logout),
            web.get("/api/pipeline", stream.pipeline),
            web.get("/api/stream", stream.stream),
            web.post("/api/vendors/{vendor}/pause", self._pause(paused=True)),
            web.post("/api/vendors/{vendor}/resume", self._pause(paused=False)),
            *self.pages,
        ]

    def install(self, app: web.Application) -> None:
        """Add the pages, the headers of every answer, and the dashboard's pulse to an app."""
        app.add_routes(self.all_pages())

        async def with_headers(_request: web.Request, response: web.StreamResponse) -> None:
            protect(response)

        app.middlewares.append(self.guard.middleware)
        app.on_response_prepare.append(with_headers)
        app.cleanup_ctx.append(self._pulse)

    async def _pulse(self, app: web.Application) -> Any:  # noqa: ARG002
        beating = asyncio.ensure_future(self.dashboard.run())
        yield
        beating.cancel()
        with suppress(asyncio.CancelledError):
            await beating

    def _pause(self, *, paused: bool) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            vendor = request.match_info["vendor"]
            if vendor not in VENDORS:
                return refusal(404, "There is no such vendor.")
            sentence = await self.set_paused(vendor, paused)
            return web.json_response({"vendor": vendor, "sentence": sentence})

        return handle


def _asset(name: str) -> Handler:
    body = resources.files("streams.web").joinpath("assets", name).read_bytes()
    content_type = ASSETS[name]
    charset = None if content_type == "image/svg+xml" else "utf-8"

    async def answer(request: web.Request) -> web.StreamResponse:  # noqa: ARG001
        return web.Response(body=body, content_type=content_type, charset=charset)

    return answer
