"""Bounds on connections: how many there are, and how long one may keep a request to itself."""

import asyncio
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

MAX_CONNECTIONS = 200
"""Beside the event streams of 50 pages there is room for probes, scrapes and assets."""
IDLE_SECONDS = 15.0
"""A connection without a whole request head for so long is closed, whatever trickles in."""


LINGERING_SECONDS = 2.0
"""So long what is left of a refused request is read, so that its answer arrives."""


class BoundedServer(web.Server):
    """aiohttp's server with at most ``MAX_CONNECTIONS``.

    One more takes the place of the oldest whose request has not come whole; where all are being
    answered it is closed itself.
    """

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Take a connection, and close one where there are too many."""
        super().connection_made(handler, transport)
        connections = self.connections
        if len(connections) <= MAX_CONNECTIONS:
            return
        # What was closed a moment ago is still listed, and is no room made anew.
        there = [c for c in connections if c.transport and not c.transport.is_closing()]
        idle = (c.transport for c in there if c is not handler and not _is_answered(c))
        (next(idle, None) or transport).abort()


def _is_answered(connection: RequestHandler) -> bool:
    """Return whether a whole request has come, which a page is at work on."""
    request = connection._current_request
    return request is not None and request.content.is_eof()


class BoundedRunner(web.AppRunner):
    """Runs an app behind a ``BoundedServer``."""

    def __init__(self, app: web.Application, **options: Any) -> None:
        """``options``: aiohttp's."""
        super().__init__(
            app,
            access_log=None,
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=LINGERING_SECONDS,
            **options,
        )

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return BoundedServer(
            made.request_handler, request_factory=made.request_factory, **made._kwargs
        )
