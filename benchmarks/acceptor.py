"""A server that takes any POST and says yes: for measuring clients, so it does as little as it can.

Prints its port; ends with its standard input.
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
                self._transport.write(ANSWER)


async def main() -> None:
    """Serve until nobody holds the standard input any more."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Acceptor, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
