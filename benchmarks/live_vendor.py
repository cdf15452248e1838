"""A vendor that accepts everything and knows how old each event is when it arrives.

An event tells by its SKU, ``t`` and 13 digits, when it was sent, in ms since the epoch. Prints its
port; answers each line of its standard input with what came since the line before, as JSON, and
ends with it.
"""

import asyncio
import json
import re
import sys
import time

from acceptor import ANSWER

_LENGTH = b"content-length:"
_sent_at = re.compile(rb"t(\d{13})").findall


class Vendor(asyncio.Protocol):
    """One connection; requests one after the other, each with a Content-Length."""

    requests = 0
    ages_ms: list[float]
    """Of all connections' events, in order of arrival."""

    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport: asyncio.WriteTransport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Answer when a request is whole."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end].lower()
            at = head.index(_LENGTH) + len(_LENGTH)
            length = int(head[at:].split(b"\r\n", 1)[0])
            whole = end + 4 + length
            if len(self._received) < whole:
                return
            self._take(self._received[end + 4 : whole])
            self._received = self._received[whole:]

    def _take(self, body: bytes) -> None:
        now_ms = time.time() * 1000
        Vendor.requests += 1
        Vendor.ages_ms += [now_ms - int(sent) for sent in _sent_at(body)]
        self._transport.write(ANSWER)


def _tell() -> None:
    for _ in sys.stdin:
        ages, Vendor.ages_ms = Vendor.ages_ms, []
        requests, Vendor.requests = Vendor.requests, 0
        print(json.dumps({"requests": requests, "ages_ms": ages}), flush=True)


async def main() -> None:
    """Serve until nobody holds the standard input any more."""
    Vendor.ages_ms = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Vendor, "127.0.0.1", 0, backlog=1_000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, _tell)


if __name__ == "__main__":
    asyncio.run(main())
