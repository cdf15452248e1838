"""Health and status as JSON, and who may read them (contract §9)."""

import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from streams.agents.report import Reporter

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def register(app: Any, reporter: Reporter) -> None:
    """Add the pages to the app's web view."""

    @app.page("/health/live")
    async def live(view: Any, request: Any) -> Any:  # noqa: ARG001
        return view.json({"live": True})

    @app.page("/health/ready")
    async def ready(view: Any, request: Any) -> Any:  # noqa: ARG001
        snapshot = reporter.snapshot()
        body = {
            "ready": snapshot.ready,
            "reasons": snapshot.not_ready,
            "vendor": msgspec.to_builtins(snapshot.vendor),
        }
        return view.json(body, status=200 if snapshot.ready else 503)

    @app.page("/api/status")
    async def status(view: Any, request: Any) -> Any:  # noqa: ARG001
        return view.json(msgspec.to_builtins(reporter.snapshot()))


def token_guard(token: str | None) -> Any:
    """Return the aiohttp middleware that asks for the token, on every page but health.

    Without a token the server is bound to loopback only, and nothing may be changed.
    """

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if token is None:
            if request.method not in ("GET", "HEAD"):
                return _refusal(403, "set STREAMS_WEB_TOKEN to change anything from here")
        elif not request.path.startswith("/health/"):
            given = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(given.encode(), token.encode()):
                return _refusal(401, "the token is missing or wrong")
        return await handler(request)

    return guard


def _refusal(status: int, sentence: str) -> web.Response:
    return web.Response(
        status=status, text=json.dumps({"error": sentence}), content_type="application/json"
    )
