"""Forward proxies on loopback that ask for a password: Debian's tinyproxy, and a small one of ours.

Both keep their port when they are stopped and started again, and say which hosts they connected.
"""

import asyncio
import re
import shutil
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Protocol

import pytest

from streams.lab.embedded.ports import free_port

USER, PASSWORD = "relay", "proxySecret1"
CONNECT_SECONDS = 10


class Proxy(Protocol):
    """A proxy of a test."""

    password: str
    """What it lets in; another one counts from the next start on."""

    @property
    def url(self) -> str:
        """Its address, with the user's name."""

    async def start(self) -> None:
        """Listen."""

    async def stop(self) -> None:
        """Be away, every connection cut."""

    def connected(self) -> list[str]:
        """The ``host:port`` of every tunnel that it opened."""


class OwnProxy:
    """CONNECT alone, with Basic authentication."""

    def __init__(self) -> None:
        self.password = PASSWORD
        self._port = free_port()
        self._opened: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Its address, with the user's name."""
        return f"http://{USER}@127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)

    async def stop(self) -> None:
        """Be away, every connection cut."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def connected(self) -> list[str]:
        """The ``host:port`` of every tunnel that it opened."""
        return self._opened

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._serve(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines if line)
        wanted = b64encode(f"{USER}:{self.password}".encode()).decode().lower()
        if headers.get("proxy-authorization") != f"basic {wanted}":
            writer.write(
                b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                b'Proxy-Authenticate: Basic realm="test"\r\nContent-Length: 0\r\n\r\n'
            )
            await writer.drain()
            return
        method, target, _ = first.split(" ")
        assert method == "CONNECT"
        host, _, port = target.rpartition(":")
        try:
            there, back = await asyncio.open_connection(host, int(port))
        except OSError:
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        self._opened.append(target)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))
        finally:
            back.close()


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        target.write(data)
        await target.drain()
    target.close()


class Tinyproxy:
    """Debian's tinyproxy as a process of this test."""

    def __init__(self, folder: Path) -> None:
        self.password = PASSWORD
        self._folder = folder
        self._log = folder / "tinyproxy.log"
        self._port = free_port()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Its address, with the user's name."""
        return f"http://{USER}@127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Listen."""
        config = self._folder / "tinyproxy.conf"
        config.write_text(
            f'Port {self._port}\nListen 127.0.0.1\nLogFile "{self._log}"\nLogLevel Connect\n'
            f"BasicAuth {USER} {self.password}\n"
        )
        program = shutil.which("tinyproxy")
        assert program is not None
        self._process = await asyncio.create_subprocess_exec(program, "-d", "-c", str(config))
        async with asyncio.timeout(CONNECT_SECONDS):
            while True:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self._port)
                    writer.close()
                    return
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """Be away, every connection cut."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def connected(self) -> list[str]:
        """The ``host:port`` of every tunnel that it opened."""
        return re.findall(r": CONNECT (\S+) HTTP", self._log.read_text())


KINDS = [
    "own",
    pytest.param(
        "tinyproxy",
        marks=pytest.mark.skipif(
            shutil.which("tinyproxy") is None, reason="tinyproxy is not installed"
        ),
    ),
]
"""For ``parametrize``."""


@asynccontextmanager
async def running(kind: str, folder: Path) -> AsyncIterator[Proxy]:
    """Yield a proxy that listens."""
    proxy: Proxy = OwnProxy() if kind == "own" else Tinyproxy(folder)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
