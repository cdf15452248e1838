"""Connections that keep a request to themselves: over real sockets, with bounds made small."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from streams.web import authentication, connections
from tests.web.scenes import TOKEN, Scene, calm, now_ms, scene

HEAD = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n"
WHOLE = b"GET /api/pipeline HTTP/1.1\r\nHost: localhost\r\n\r\n"
FORM = (
    b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 11\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n\r\n"
)


@pytest.fixture
async def small(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    """A view that takes five connections and waits for a fifth of a second."""
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 5)
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.2)
    monkeypatch.setattr(authentication, "BODY_SECONDS", 0.2)
    async with scene(calm(now_ms())) as found:
        yield found


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def opened(found: Scene, *sent: bytes) -> Streams:
    """Open a connection and send this."""
    reader, writer = await asyncio.open_connection("127.0.0.1", found.server.port)
    writer.write(b"".join(sent))
    await writer.drain()
    return reader, writer


async def rest(streams: Streams) -> bytes:
    """Return what comes until the other side closes, which is to be soon."""
    try:
        async with asyncio.timeout(5):
            return await streams[0].read()
    except ConnectionResetError:
        return b""
    finally:
        streams[1].close()


@pytest.mark.parametrize("sent", [b"", HEAD, WHOLE, WHOLE + HEAD])
async def test_a_connection_without_a_whole_request_is_closed(small: Scene, sent: bytes) -> None:
    """At its beginning, in the midst of a head, and after an answer."""
    answer = await rest(await opened(small, sent))
    assert answer.count(b"HTTP/1.1 200 OK") == (1 if sent.startswith(WHOLE) else 0)


async def test_a_head_that_trickles_in_is_cut_off(small: Scene) -> None:
    """Each byte is not a new beginning."""
    reader, writer = await opened(small, HEAD)
    end = asyncio.ensure_future(reader.read())
    async with asyncio.timeout(5):
        while not end.done():
            writer.write(b"X: y\r\n")
            await asyncio.wait({end}, timeout=0.05)
    assert end.exception() is not None or end.result() == b""
    writer.close()


@pytest.mark.usefixtures("small")
async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    """The head of a login is there, its form is not."""
    async with scene(calm(now_ms()), token=TOKEN) as locked:
        answer = await rest(await opened(locked, FORM, b"token="))
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"did not come whole" in answer


@pytest.mark.usefixtures("small")
async def test_unfinished_requests_give_way_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens connections without end shuts nobody out: the oldest goes for a new one."""
    monkeypatch.setattr(connections, "IDLE_SECONDS", 60.0)
    monkeypatch.setattr(authentication, "BODY_SECONDS", 60.0)
    async with scene(calm(now_ms()), token=TOKEN) as locked:
        held = [await opened(locked, (HEAD, FORM)[n % 2]) for n in range(20)]
        answer = await rest(
            await opened(locked, WHOLE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        )
        assert answer.startswith(b"HTTP/1.1 401")
        assert [await rest(one) for one in held[:10]] == [b""] * 10
        for _, writer in held:
            writer.close()


async def test_those_that_are_answered_stay(small: Scene) -> None:
    """Five pages look on; a sixth is closed at once, and none of the five is."""
    watch = b"GET /api/stream HTTP/1.1\r\nHost: localhost\r\n\r\n"
    watching = [await opened(small, watch) for _ in range(5)]
    for reader, _ in watching:
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    assert await rest(await opened(small, WHOLE)) == b""
    for reader, writer in watching:
        await reader.readuntil(b"event: view")
        writer.close()
