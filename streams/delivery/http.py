"""HTTP with httpx's API over aiohttp's transport, and every failure as a value.

httpx's own connection pool costs 1,200 to 4,500 µs of CPU a request and grows with concurrency;
this transport about 340 µs, flat (``benchmarks/deliver.py`` measures it).
"""

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from streams.vendors.base import HttpAnswer, HttpRequest

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0
"""Vendors ask to wait for a late answer rather than to repeat."""
MAX_ANSWER_BYTES = 1024 * 1024

_NEVER_CONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
_FAILURES = (
    *(httpx.HTTPError, httpx.InvalidURL, httpx.StreamError),
    *(aiohttp.ClientError, OSError, TimeoutError),
)


class HttpClient:
    """One vendor's connections; keys travel in headers, redirects are never followed."""

    def __init__(
        self, base_url: str, *, concurrency: int, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
        self._client = httpx.AsyncClient(
            base_url=base_url,
            transport=transport or AiohttpTransport(limits=limits, retries=0),
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            follow_redirects=False,
            trust_env=False,
        )

    async def send(self, request: HttpRequest) -> HttpAnswer:
        """Send one request and return its answer; a failure is an answer without status."""
        try:
            async with self._client.stream(
                request.method, request.path, headers=request.headers, content=request.body
            ) as response:
                body = bytearray()
                async for part in response.aiter_bytes():
                    body += part
                    if len(body) > MAX_ANSWER_BYTES:
                        break
                headers = {name.lower(): value for name, value in response.headers.items()}
                return HttpAnswer(response.status_code, headers, bytes(body))
        except _FAILURES as error:
            return _failure(error)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()


def _failure(error: Exception) -> HttpAnswer:
    # The transport calls a connection that broke after the request "ConnectTimeout", too: only
    # aiohttp's own word for "never connected" proves that the vendor has seen nothing.
    never = isinstance(error.__cause__, _NEVER_CONNECTED) or isinstance(error, httpx.InvalidURL)
    words = str(error) or type(error).__name__
    return HttpAnswer(None, {}, b"", failure=words, was_sent=not never)
