"""HTTP with httpx's types over aiohttp's connections, and every failure as a value.

The transport is called directly: httpx's client around it merges headers, cookies and addresses
anew for each request and costs as much again (client 340, transport 160, aiohttp alone 120 µs of
CPU a request; httpx's own pool 1,200 to 4,500, growing with concurrency). ``benchmarks/deliver.py
--clients`` measures it.
"""

import asyncio

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from streams import __version__
from streams.vendors.base import HttpAnswer, HttpRequest

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0
"""Vendors ask to wait for a late answer rather than to repeat."""
WHOLE_SECONDS = 120.0
"""For one request in all, however slowly its answer drips."""
MAX_ANSWER_BYTES = 1024 * 1024

_TIMEOUT = {"connect": CONNECT_SECONDS, "read": ANSWER_SECONDS, "pool": ANSWER_SECONDS}
_OWN_HEADERS = [
    (b"accept", b"application/json"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"user-agent", f"clickstream-relay/{__version__}".encode()),
]

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
        self._base_url = base_url.rstrip("/")
        self._concurrency = concurrency
        self._transport = transport or AiohttpTransport(client=self._new_session)
        self._addresses: dict[str, httpx.URL] = {}

    async def send(self, request: HttpRequest) -> HttpAnswer:
        """Send one request and return its answer; a failure is an answer without status."""
        try:
            async with asyncio.timeout(WHOLE_SECONDS):
                response = await self._transport.handle_async_request(self._prepare(request))
                try:
                    body = await _read(response)
                finally:
                    await response.aclose()
        except _FAILURES as error:
            return _failure(error)
        return HttpAnswer(response.status_code, _lowered(response.headers), body)

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    def _prepare(self, request: HttpRequest) -> httpx.Request:
        headers = [(name.encode(), value.encode()) for name, value in request.headers.items()]
        given = {name.lower() for name, _ in headers}
        headers += [header for header in _OWN_HEADERS if header[0] not in given]
        return httpx.Request(
            request.method,
            self._address(request.path),
            headers=headers,
            content=request.body,
            extensions={"timeout": _TIMEOUT},
        )

    def _address(self, path: str) -> httpx.URL:
        if "?" in path:  # look-ups differ from each other: nothing to remember
            return httpx.URL(self._base_url + path)
        address = self._addresses.get(path)
        if address is None:
            address = self._addresses[path] = httpx.URL(self._base_url + path)
        return address

    def _new_session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._concurrency),
            # A vendor's cookies would tie the requests of many visitors together.
            cookie_jar=aiohttp.DummyCookieJar(),
        )


async def _read(response: httpx.Response) -> bytes:
    body = bytearray()
    async for part in response.aiter_bytes():
        body += part
        if len(body) > MAX_ANSWER_BYTES:
            break
    return bytes(body)


def _lowered(headers: httpx.Headers) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _failure(error: Exception) -> HttpAnswer:
    # The transport calls a connection that broke after the request "ConnectTimeout", too: only
    # aiohttp's own word for "never connected" proves that the vendor has seen nothing.
    never = isinstance(error.__cause__, _NEVER_CONNECTED) or isinstance(error, httpx.InvalidURL)
    words = str(error) or type(error).__name__
    return HttpAnswer(None, {}, b"", failure=words, was_sent=not never)
