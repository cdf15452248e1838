"""A server that takes any POST and says yes: for measuring clients, so it does as little as it can.

Its argument: the milliseconds it takes for an answer (0). Prints its port; answers each line of
its standard input with the number of requests so far, and ends with it.
"""

import asyncio
import sys

_YES = b'{"message":"success"}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(_YES),
    _YES,
)
_LENGTH = b"content-length:"


class Acceptor(asyncio.Protocol):
    """One connection; requests one after the other, each with a Content-Length."""

    delay_seconds = 0.0
    requests = 0
    """Of all connections."""

    def __init__(self) -> None:
        self._head = b""
        self._missing = -1
        """Bytes of the body that are still to come; below 0: the head is being read."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport: asyncio.WriteTransport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Count bytes; answer when a request is whole."""
        while data:
            if self._missing < 0:
                self._head += data
                end = self._head.find(b"\r\n\r\n")
                if end < 0:
                    return
                data = self._head[end + 4 :]
                head = self._head[:end].lower()
                self._head = b""
                at = head.index(_LENGTH) + len(_LENGTH)
                self._missing = int(head[at:].split(b"\r\n", 1)[0])
            taken = min(self._missing, len(data))
            self._missing -= taken
            data = data[taken:]
            if self._missing == 0:
                self._missing = -1
                self._answer()

    def _answer(self) -> None:
        Acceptor.requests += 1
        if self.delay_seconds:
            loop = asyncio.get_running_loop()
            loop.call_later(self.delay_seconds, self._transport.write, ANSWER)
        else:
            self._transport.write(ANSWER)


def _tell_requests() -> None:
    for _ in sys.stdin:
        print(Acceptor.requests, flush=True)


async def main() -> None:
    """Serve until nobody holds the standard input any more."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Acceptor, "127.0.0.1", 0, backlog=1_000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, _tell_requests)


if __name__ == "__main__":
    Acceptor.delay_seconds = float(sys.argv[1]) / 1000 if len(sys.argv) > 1 else 0.0
    asyncio.run(main())
