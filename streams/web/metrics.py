"""``/metrics`` for Prometheus, in the format that the client asks for."""

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder


class MetricsPage:
    """The handler over one worker's registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Return all metrics as they are now."""
        encoder, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encoder(self._registry), headers={"Content-Type": content_type})
