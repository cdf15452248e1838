"""HTTP with httpx's types over aiohttp's connections, and every failure as a value.

The transport is called directly: httpx's client merges headers, cookies and addresses for each
request, which costs as much again (client 340, transport 160, aiohttp alone 120 µs of
CPU a request; httpx's own pool 1,200 to 4,500, growing with concurrency). ``benchmarks/deliver.py
--clients`` measures it.
"""

import asyncio
import functools
import logging
import re
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, cast

import aiohttp
import httpx
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader
from httpx_aiohttp import AiohttpTransport

from streams import __version__, telemetry
from streams.core.errors import SettingsError
from streams.settings import HttpSettings
from streams.vendors.base import HttpRequest, HttpResponse

log = logging.getLogger("streams.delivery")

CONNECT_SECONDS = 10.0
RESPONSE_SECONDS = 60.0
"""Vendors ask clients to wait for a late response rather than to send again."""
WHOLE_SECONDS = 120.0
"""For a whole request, however slowly its response arrives."""
MAX_RESPONSE_BYTES = 1024 * 1024
MAX_HEADER_BYTES = 64 * 1024
"""Of one header, and of the status line; aiohttp's own 8 KiB are less than a policy or a set of
cookies may take, and a success that is not understood is sent again."""
MAX_HEAD_BYTES = 256 * 1024
"""Of all headers of a response."""

_TIMEOUT = {"connect": CONNECT_SECONDS, "read": RESPONSE_SECONDS, "pool": RESPONSE_SECONDS}
_OWN_HEADERS = [
    (b"accept", b"application/json"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"user-agent", f"clickstream-relay/{__version__}".encode()),
]

_ENCODING = "content-encoding"
_RETRY_AFTER = "retry-after"
_LOGIN_REFUSED = HTTPStatus.PROXY_AUTHENTICATION_REQUIRED
_HEAD_END = b"\r\n\r\n"
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?![0-9])")
_STATUS_LINE_BYTES = 16
_STATUS_NOTE = "status "
_INTERIM = frozenset({*range(100, 200)} - {101})

_NEVER_CONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
_FAILURES = (
    *(httpx.HTTPError, httpx.InvalidURL, httpx.StreamError),
    *(aiohttp.ClientError, HttpProcessingError, OSError, TimeoutError),
)


class HttpClient:
    """One vendor's connections. Keys are sent in headers; redirects are never followed."""

    def __init__(
        self, base_url: str, *, concurrency: int, current_http: Callable[[], HttpSettings]
    ) -> None:
        """Prepare connections to ``base_url``; none is made before the first request.

        ``current_http`` returns section ``[http]`` with its secrets as they are now; it is asked
        again whenever the proxy has refused the login.
        """
        self._base_url = base_url.rstrip("/")
        self._concurrency = concurrency
        self._current_http = current_http
        self._http = current_http()
        self._proxy_words = self._http.route_to(base_url).words
        self._transport = AiohttpTransport(
            client=self._new_session, proxy=self._http.proxy_to(self._base_url)
        )
        self._addresses: dict[str, httpx.URL] = {}

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send one request and return its response; a failure is a response without status.

        A status that was read counts, whatever happens to the body after it.
        """
        response: httpx.Response | None = None
        headers: dict[str, str] = {}
        body = bytearray()
        failure = ""
        try:
            async with asyncio.timeout(WHOLE_SECONDS):
                response = await self._transport.handle_async_request(self._prepare(request))
                try:
                    headers = _lowered(response.headers)
                    if _RETRY_AFTER in headers:  # it may be a date: one to measure it against
                        headers.setdefault("date", formatdate(usegmt=True))
                    failure = await _read(response, body, is_encoded=_ENCODING in headers)
                finally:
                    await response.aclose()
        except _FAILURES as error:
            if response is None:
                return self._no_response(error)
            failure = f"its body cannot be read to the end: {_words(error)}"
        if response.status_code == _LOGIN_REFUSED and self._transport.proxy is not None:
            return self._refused_by_proxy()
        return HttpResponse(response.status_code, headers, bytes(body), failure)

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    def _refused_by_proxy(self) -> HttpResponse:
        """Return an answer that blames the settings; the next request takes the newest password."""
        try:
            self._http = self._current_http()
        except SettingsError as error:
            log.warning("the proxy's password was not read again: %s", error)
        if self._http.proxy_password is not None:
            telemetry.hide([self._http.proxy_password.get_secret_value()])
        self._transport.proxy = self._http.proxy_to(self._base_url)
        words = (
            f"{self._proxy_words} refuses the login: check STREAMS_HTTP_PROXY and "
            "STREAMS_HTTP_PROXY_PASSWORD."
        ).removeprefix("through ")
        return HttpResponse(_LOGIN_REFUSED, {}, words.encode(), was_sent=False)

    def _no_response(self, error: Exception) -> HttpResponse:
        cause, where = error.__cause__, self._proxy_words.removeprefix("through ")
        if isinstance(cause, aiohttp.ClientProxyConnectionError):
            words = f"{where} cannot be reached: {_words(error)}"
            return HttpResponse(None, {}, b"", words, was_sent=False)
        if isinstance(cause, aiohttp.ClientHttpProxyError):
            if cause.status in (_LOGIN_REFUSED, HTTPStatus.UNAUTHORIZED):  # tinyproxy says 401
                return self._refused_by_proxy()
            words = f"{where} does not connect to {self._base_url}: {cause.status} {cause.message}"
            return HttpResponse(None, {}, b"", words.rstrip(), was_sent=False)
        # The transport calls a connection that broke after the request "ConnectTimeout", too: only
        # aiohttp's own word for "never connected" proves that the vendor has seen nothing.
        never = isinstance(cause, _NEVER_CONNECTED) or isinstance(error, httpx.InvalidURL)
        words = _words(error)
        notes = getattr(cause, "__notes__", ())
        status = next(
            (n.removeprefix(_STATUS_NOTE) for n in notes if n.startswith(_STATUS_NOTE)), ""
        )
        if status:
            return HttpResponse(int(status), {}, b"", f"its headers cannot be read: {words}")
        garbled = isinstance(error, aiohttp.ClientResponseError) or (
            # Its message is not a text but a partly read head.
            isinstance(cause, aiohttp.ServerDisconnectedError) and type(cause.message) is not str
        )
        words = f"the response cannot be read: {words}" if garbled else words
        return HttpResponse(None, {}, b"", words, was_sent=not never, is_garbled=garbled)

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
            connector=_Connector(limit=self._concurrency, ssl=self._http.ssl_context() or True),
            response_class=_Response,
            # A vendor's cookies would tie the requests of many visitors together.
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            max_headers=MAX_HEAD_BYTES,  # their sum is what is bounded
        )


class _Connector(aiohttp.TCPConnector):
    """Connections whose responses have a head of at most ``MAX_HEAD_BYTES``."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = functools.partial(_Handler, loop=self._loop)  # type: ignore[assignment]


class _Handler(ResponseHandler):
    """Limits the size of the head, and keeps what was read of a response that breaks later.

    aiohttp limits each header and their number. It drops a whole response if anything that arrived
    in the same piece cannot be read.
    """

    # A connection may break before it has carried a request.
    _is_in_head = False
    _status_line = b""

    def set_response_params(self, **params: Any) -> None:
        """Begin to read a response."""
        self._is_in_head = True
        self._begin_head()
        super().set_response_params(**params)

    def _begin_head(self) -> None:
        self._head_bytes = 0
        self._status_line = b""
        self._newest = b""

    def data_received(self, data: bytes) -> None:
        """Feed the head by itself, so that a fault in the body cannot break it."""
        while data and self._is_in_head:
            end = (self._newest + data).find(_HEAD_END)
            size = len(data) if end < 0 else end + len(_HEAD_END) - len(self._newest)
            head, data = data[:size], data[size:]
            self._head_bytes += size
            self._newest = (self._newest + head)[1 - len(_HEAD_END) :]
            self._status_line = (self._status_line + head)[:_STATUS_LINE_BYTES]
            if self._head_bytes > MAX_HEAD_BYTES:
                if self.transport is not None:
                    self.transport.close()
                words = f"they have more than {MAX_HEAD_BYTES:,} bytes"
                self.set_exception(HttpProcessingError(message=words))
                return
            super().data_received(head)
            if self._exception is not None:
                return
            if end >= 0 and self._is_in_head:  # a 1xx: the response is still to come
                self._begin_head()
        if data:
            super().data_received(data)

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Hand over a head that was read."""
        self._is_in_head = data[0].code in _INTERIM
        super().feed_data(data, size)

    def set_exception(self, exc: Exception, *cause: BaseException) -> None:  # type: ignore[override]
        """Record a failure, and add the status if it was read before."""
        found = _STATUS_LINE.match(self._status_line)
        if self._is_in_head and found is not None and int(found[1]) not in _INTERIM:
            exc.add_note(_STATUS_NOTE + found[1].decode())
        payload = self._payload
        super().set_exception(exc, *cause)
        if isinstance(exc, HttpProcessingError) and payload is not None and not payload.is_eof():
            # Otherwise a broken body is waited for until the request times out.
            payload.set_exception(aiohttp.ClientPayloadError(exc.message))


class _Response(aiohttp.ClientResponse):
    """A response without its reason phrase: the transport fails on an unusual one."""

    async def start(self, connection: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        """Wait for the head."""
        await super().start(connection)
        self.reason = None
        return self


async def _read(response: httpx.Response, body: bytearray, *, is_encoded: bool) -> str:
    """Append the body to ``body``; return why it is incomplete, or an empty text."""
    # httpx's own way takes 10 % of a request's CPU, even where there is nothing to decode.
    parts = response.aiter_bytes() if is_encoded else cast("httpx.AsyncByteStream", response.stream)
    async for part in parts:
        body += part
        if len(body) > MAX_RESPONSE_BYTES:
            return f"its body has more than {MAX_RESPONSE_BYTES:,} bytes"
    if is_encoded and not body and response.num_bytes_downloaded:
        return "its body cannot be decoded"
    return ""


def _lowered(headers: httpx.Headers) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _words(error: Exception) -> str:
    cause = error.__cause__
    if isinstance(cause, aiohttp.ServerDisconnectedError):
        return "the connection was closed"
    if isinstance(cause, aiohttp.ClientPayloadError) and cause.__cause__ is not None:
        cause = cause.__cause__
    words = cause.message if isinstance(cause, HttpProcessingError) else str(error)
    return words.partition("\n")[0].rstrip(": ") or type(error).__name__
