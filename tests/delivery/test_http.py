"""The HTTP client on loopback: answers as they are, and every failure as a value."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from streams.delivery import http
from streams.delivery.http import HttpClient
from streams.vendors.base import HttpAnswer, HttpRequest

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
    client = HttpClient(f"http://127.0.0.1:{port}", concurrency=4)
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


async def ask(serve: Connection) -> HttpAnswer:
    """Send the request to such a server."""
    async with listening(serve) as client:
        return await client.send(REQUEST)


async def test_status_headers_and_body_are_returned_as_they_are() -> None:
    """Header names in lower case."""
    raw = b"HTTP/1.1 422 No\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\nno"
    answer = await ask(answers(raw))
    assert (answer.status, answer.body) == (422, b"no")
    assert answer.headers["retry-after"] == "7"


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
        client = HttpClient(f"http://127.0.0.1:{taken.getsockname()[1]}", concurrency=1)
        answer = await client.send(REQUEST)
        await client.close()
    assert answer.status is None
    assert answer.was_sent is False
    assert answer.failure != ""


async def test_a_name_that_does_not_exist_was_never_sent() -> None:
    """``.invalid`` never does."""
    client = HttpClient("http://vendor.invalid", concurrency=1)
    answer = await client.send(REQUEST)
    await client.close()
    assert (answer.status, answer.was_sent) == (None, False)


async def test_a_connection_dropped_after_the_request_may_have_been_sent() -> None:
    """The vendor read it all: it may be stored."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)

    answer = await ask(serve)
    assert (answer.status, answer.was_sent) == (None, True)


async def test_a_connection_reset_after_the_request_may_have_been_sent() -> None:
    """As by a vendor's crash."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.transport.abort()

    answer = await ask(serve)
    assert (answer.status, answer.was_sent) == (None, True)


async def test_a_connection_dropped_at_once_may_have_been_sent() -> None:
    """It was open: what the other side read of it is not known."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    answer = await ask(serve)
    assert (answer.status, answer.was_sent) == (None, True)


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
            answer = await client.send(REQUEST)
            assert answer.status == 200 or answer.was_sent
    assert connections >= 2


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        b"",
    ],
)
async def test_an_answer_that_is_cut_off_or_broken_is_no_answer(raw: bytes) -> None:
    """The request went out; what became of it is unclear."""
    answer = await ask(answers(raw))
    assert (answer.status, answer.was_sent) == (None, True)


async def test_silence_ends_after_the_time_for_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The request may have been stored."""
    monkeypatch.setitem(http._TIMEOUT, "read", 0.05)
    hung = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hung.wait()

    async with listening(serve) as client:
        answer = await client.send(REQUEST)
        hung.set()
    assert (answer.status, answer.was_sent) == (None, True)


async def test_an_answer_that_drips_for_ever_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a byte comes."""
    monkeypatch.setattr(http, "WHOLE_SECONDS", 0.2)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await asyncio.sleep(0.01)

    answer = await ask(serve)
    assert (answer.status, answer.was_sent) == (None, True)


async def test_a_redirect_is_returned_and_not_followed() -> None:
    """The key would go to whomever it names."""
    requests = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        requests += 1
        await read_request(reader)
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: /moved\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    answer = await ask(serve)
    assert (answer.status, requests) == (302, 1)


async def test_a_huge_answer_is_cut() -> None:
    """A megabyte says enough."""

    async def handle(request: web.BaseRequest) -> web.Response:
        return web.Response(body=b"x" * 5_000_000)

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    client = HttpClient(f"http://127.0.0.1:{runner.addresses[0][1]}", concurrency=1)
    answer = await client.send(REQUEST)
    assert answer.status == 200
    assert len(answer.body) < 2 * http.MAX_ANSWER_BYTES
    assert (await client.send(REQUEST)).status == 200
    await client.close()
    await runner.cleanup()
