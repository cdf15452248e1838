"""The HTTP client on loopback: answers as they are, and every failure as a value."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.delivery import http
from streams.delivery.http import HttpClient
from streams.settings import HttpSettings
from streams.vendors.base import HttpRequest, HttpResponse
from streams.vendors.responses import retry_after_seconds

REQUEST = HttpRequest("POST", "/v1/interactions", {"X-API-KEY": "k"}, b'{"data":[]}')

Connection = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(serve: Connection) -> AsyncIterator[HttpClient]:
    """Serve each connection by a function; yield a client of this server."""
    writers: list[asyncio.StreamWriter] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = HttpClient(f"http://127.0.0.1:{port}", concurrency=4, current_http=HttpSettings)
    try:
        yield client
    finally:
        await client.close()
        server.close()
        for writer in writers:
            writer.close()
        await server.wait_closed()


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Read the whole of ``REQUEST``."""
    head = await reader.readuntil(b"\r\n\r\n")
    return head + await reader.readexactly(len(REQUEST.body))


def answers(raw: bytes) -> Connection:
    """Return these bytes to the first request, then close."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(raw)
        await writer.drain()

    return serve


async def ask(serve: Connection) -> HttpResponse:
    """Send the request to such a server."""
    async with listening(serve) as client:
        return await client.send(REQUEST)


async def test_status_headers_and_body_are_returned_as_they_are() -> None:
    """Header names in lower case."""
    raw = b"HTTP/1.1 422 No\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\nno"
    response = await ask(answers(raw))
    assert (response.status, response.body) == (422, b"no")
    assert response.headers["retry-after"] == "7"


async def test_a_response_without_a_date_has_the_time_when_it_came() -> None:
    """RFC 9110, 6.6.1; without one a ``Retry-After`` with a date would say nothing."""
    raw = b"HTTP/1.1 429 No\r\nRetry-After: Fri, 31 Dec 2100 00:00:00 GMT\r\nContent-Length: 0\r\n"
    before = int(time.time())
    response = await ask(answers(raw + b"\r\n"))
    came = parsedate_to_datetime(response.headers["date"]).timestamp()
    assert before <= came <= time.time()
    assert retry_after_seconds(response.headers) == 3600.0

    dated = await ask(answers(raw + b"Date: Thu, 30 Dec 2100 23:59:50 GMT\r\n\r\n"))
    assert dated.headers["date"] == "Thu, 30 Dec 2100 23:59:50 GMT"


async def test_the_request_is_sent_as_it_was_built() -> None:
    """Method, path, key and body; and who we are."""
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    await ask(serve)
    head, _, body = seen[0].partition(b"\r\n\r\n")
    lines = {line.lower() for line in head.split(b"\r\n")}
    assert head.startswith(b"POST /v1/interactions HTTP/1.1\r\n")
    assert b"x-api-key: k" in lines
    assert body == REQUEST.body


async def test_a_refused_port_was_never_sent() -> None:
    """The vendor cannot have stored anything."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        client = HttpClient(
            f"http://127.0.0.1:{taken.getsockname()[1]}", concurrency=1, current_http=HttpSettings
        )
        response = await client.send(REQUEST)
        await client.close()
    assert response.status is None
    assert response.was_sent is False
    assert response.failure != ""


async def test_a_name_that_does_not_exist_was_never_sent() -> None:
    """``.invalid`` never does."""
    client = HttpClient("http://vendor.invalid", concurrency=1, current_http=HttpSettings)
    response = await client.send(REQUEST)
    await client.close()
    assert (response.status, response.was_sent) == (None, False)


async def test_a_connection_dropped_after_the_request_may_have_been_sent() -> None:
    """The vendor read it all: it may be stored."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)

    response = await ask(serve)
    assert (response.status, response.was_sent) == (None, True)


async def test_a_connection_reset_after_the_request_may_have_been_sent() -> None:
    """As by a vendor's crash."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.transport.abort()

    response = await ask(serve)
    assert (response.status, response.was_sent) == (None, True)


async def test_a_connection_dropped_at_once_may_have_been_sent() -> None:
    """It was open: what the other side read of it is not known."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    response = await ask(serve)
    assert (response.status, response.was_sent) == (None, True)


async def test_a_kept_connection_that_the_vendor_closed_is_a_failure_or_a_new_connection() -> None:
    """Never an exception."""
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with listening(serve) as client:
        for _ in range(5):
            response = await client.send(REQUEST)
            assert response.status == 200 or response.was_sent
    assert connections >= 2


OK = b"HTTP/1.1 200 OK\r\n"
END = b"Content-Length: 2\r\n\r\n{}"


def header(size: int) -> bytes:
    """Return one header of this many bytes, its line end left out."""
    return b"X-Policy: " + b"a" * (size - 10) + b"\r\n"


@pytest.mark.parametrize(
    "head",
    [
        header(8_193),
        header(64 * 1024),
        header(60_000) * 4,
        b"".join(b"X-%d: a\r\n" % number for number in range(20_000)),
        b"Set-Cookie: a=b\r\nServer: a\r\nServer: b\r\nX: \xe4\xff\r\nX: a\r\n folded\r\n",
    ],
    ids=["8 KiB", "64 KiB", "four of 60 kB", "20,000", "odd"],
)
async def test_a_success_is_a_response_whatever_its_headers_weigh(head: bytes) -> None:
    """Up to 64 KiB each and 256 KiB in all: what is not understood would be sent again."""
    response = await ask(answers(OK + head + END))
    assert (response.status, response.body, response.failure) == (200, b"{}", "")


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (OK + header(65_540) + END, 200),
        (OK + header(60_000) * 5 + END, 200),
        (b"HTTP/1.1 102 Processing\r\n\r\n" + OK + header(60_000) * 20 + END, 200),
        (OK + b"bad header\r\n" + END, 200),
        (OK + b"Content-Length: 2\r\n" + END, 200),
        (OK + b"Transfer-Encoding: chunked\r\n" + END, 200),
        (OK + b"X: a\x00b\r\n" + END, 200),
        (OK + b"Content-Type: text", 200),
        (b"HTTP/1.1 503 Sorry\r\nbad header\r\n\r\n", 503),
        (b"HTTP/1.1 401\r\nbad header\r\n\r\n", 401),
    ],
    ids=range(10),
)
async def test_a_status_that_was_read_stands_whatever_comes_of_the_headers(
    raw: bytes, status: int
) -> None:
    """With the reason why nothing more is known."""
    response = await ask(answers(raw))
    assert (response.status, response.body, response.headers) == (status, b"", {})
    assert response.failure.startswith("its headers cannot be read: ")


@pytest.mark.parametrize(
    ("raw", "body", "failure"),
    [
        (b"Content-Length: 10\r\n\r\nhalf", b"half", "Not enough data to satisfy content length"),
        (b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc", b"abc", "Not enough data to satisfy"),
        (b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", b"", "Invalid character in chunk size"),
        (b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", b"", "Error -3 while decomp"),
    ],
)
async def test_a_status_stands_whatever_comes_of_the_body(
    raw: bytes, body: bytes, failure: str
) -> None:
    """As far as it was read, and at once."""
    async with asyncio.timeout(5):
        response = await ask(answers(b"HTTP/1.1 429 Slow\r\nRetry-After: 9\r\n" + raw))
    assert (response.status, response.body, response.headers["retry-after"]) == (429, body, "9")
    assert response.failure.startswith(f"its body cannot be read to the end: {failure}")


async def test_a_body_that_decodes_to_nothing_is_none() -> None:
    """Else it would count as empty."""
    raw = b"Content-Encoding: deflate\r\nContent-Length: 3\r\n\r\nabc"
    response = await ask(answers(OK + raw))
    assert (response.status, response.failure) == (200, "its body cannot be decoded")


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.0 200 OK\r\n\r\n{}",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + END,
        b"HTTP/1.1 200\r\n" + END,
        b"HTTP/1.1 200 \xc9tat \x80\r\n" + END,
        OK + END + b"more than was announced",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}",
    ],
)
async def test_whatever_can_be_read_is_a_response(raw: bytes) -> None:
    """Old, interim, without a phrase, with something behind it."""
    response = await ask(answers(raw))
    assert (response.status, response.body, response.failure) == (200, b"{}", "")


async def test_a_204_with_a_body_is_a_204() -> None:
    """The body cannot be one, and takes nothing back."""
    response = await ask(answers(b"HTTP/1.1 204 No Content\r\n" + END))
    assert (response.status, response.body, response.failure) == (204, b"", "")


@pytest.mark.parametrize(
    "raw", [b"nonsense\r\n\r\n", b"HTTP/1.1 2", b"\x16\x03\x01\x02", b"HTTP/1.1 abc No\r\n\r\n"]
)
async def test_what_is_no_response_is_unclear_and_said_to_be_unreadable(raw: bytes) -> None:
    """The request went out; what became of it is not known."""
    response = await ask(answers(raw))
    assert (response.status, response.was_sent, response.is_garbled) == (None, True, True)
    assert response.failure.startswith("the response cannot be read: ")


async def test_silence_is_no_response_that_cannot_be_read() -> None:
    """Nothing came at all."""
    response = await ask(answers(b""))
    assert (response.status, response.was_sent, response.is_garbled) == (None, True, False)
    assert response.failure == "the connection was closed"


@given(st.binary(max_size=60), st.integers(0, 80))
@settings(max_examples=60)
def test_no_bytes_of_a_vendor_are_an_exception(noise: bytes, place: int) -> None:
    """A response with noise in it is one, or none."""
    head = b"Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    whole = OK + head + b"2\r\n{}\r\n0\r\n\r\n"
    raw = whole[:place] + noise + whole[place + len(noise) // 2 :]
    response = asyncio.run(ask(answers(raw)))
    assert response.status is None or 100 <= response.status <= 999


async def test_silence_ends_after_the_time_for_a_response(monkeypatch: pytest.MonkeyPatch) -> None:
    """The request may have been stored."""
    monkeypatch.setitem(http._TIMEOUT, "read", 0.05)
    hung = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hung.wait()

    async with listening(serve) as client:
        response = await client.send(REQUEST)
        hung.set()
    assert (response.status, response.was_sent) == (None, True)


async def test_a_response_that_drips_for_ever_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a byte comes."""
    monkeypatch.setattr(http, "WHOLE_SECONDS", 0.2)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await asyncio.sleep(0.01)

    response = await ask(serve)
    assert response.status == 200
    assert response.failure == "its body cannot be read to the end: TimeoutError"


async def test_a_redirect_is_returned_and_not_followed() -> None:
    """The key would go to whomever it names."""
    requests = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        requests += 1
        await read_request(reader)
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: /moved\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    response = await ask(serve)
    assert (response.status, requests) == (302, 1)


async def test_a_huge_response_is_cut() -> None:
    """A megabyte says enough."""

    async def handle(request: web.BaseRequest) -> web.Response:
        return web.Response(body=b"x" * 5_000_000)

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    client = HttpClient(
        f"http://127.0.0.1:{runner.addresses[0][1]}", concurrency=1, current_http=HttpSettings
    )
    response = await client.send(REQUEST)
    assert response.status == 200
    assert len(response.body) < 2 * http.MAX_RESPONSE_BYTES
    assert response.failure == "its body has more than 1,048,576 bytes"
    assert (await client.send(REQUEST)).status == 200
    await client.close()
    await runner.cleanup()


async def test_a_connection_may_break_before_it_has_carried_a_request() -> None:
    """A vendor that closes at once, or a request that is cancelled while it connects."""
    handler = http._Handler(asyncio.get_running_loop())
    handler.connection_lost(OSError("gone"))
    assert "gone" in str(handler.exception())
