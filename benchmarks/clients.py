"""HTTP clients alone: CPU of one POST by each of four, without Kafka and without Faust."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from table import conditions, render
from worker_process import cpu_seconds

from streams.delivery.http import HttpClient
from streams.settings import HttpSettings
from streams.vendors.base import HttpRequest

HEADERS = {"Content-Type": "application/json", "X-API-KEY": "benchmark"}
Post = Callable[[bytes], Awaitable[int]]


class Load(NamedTuple):
    """One column: what is sent, how often, how much of it at once."""

    name: str
    body_bytes: int
    in_flight: int
    requests: int


LOADS = (
    Load("one record, 8 in flight", 300, 8, 1_500),
    Load("one record, 32 in flight", 300, 32, 1_500),
    Load("500 records, 8 in flight", 150_000, 8, 500),
)


async def _httpx(url: str, _load: Load) -> tuple[Post, Callable[[], Awaitable[None]]]:
    return _posting(httpx.AsyncClient(base_url=url))


async def _over_aiohttp(url: str, load: Load) -> tuple[Post, Callable[[], Awaitable[None]]]:
    limits = httpx.Limits(max_connections=load.in_flight)
    return _posting(httpx.AsyncClient(base_url=url, transport=AiohttpTransport(limits=limits)))


def _posting(client: httpx.AsyncClient) -> tuple[Post, Callable[[], Awaitable[None]]]:
    async def post(body: bytes) -> int:
        return (await client.post("/v1/interactions", headers=HEADERS, content=body)).status_code

    return post, client.aclose


async def _ours(url: str, load: Load) -> tuple[Post, Callable[[], Awaitable[None]]]:
    client = HttpClient(url, concurrency=load.in_flight, current_http=HttpSettings)

    async def post(body: bytes) -> int:
        answer = await client.send(HttpRequest("POST", "/v1/interactions", HEADERS, body))
        return answer.status or 0

    return post, client.close


async def _aiohttp(url: str, load: Load) -> tuple[Post, Callable[[], Awaitable[None]]]:
    session = aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=load.in_flight))

    async def post(body: bytes) -> int:
        async with session.post("/v1/interactions", headers=HEADERS, data=body) as answer:
            await answer.read()
            return answer.status

    return post, session.close


CLIENTS = {
    "httpx, its own transport": _httpx,
    "httpx over httpx-aiohttp": _over_aiohttp,
    "streams.delivery.http": _ours,
    "aiohttp": _aiohttp,
}


def measure_clients(rounds: int, *, quick: bool, as_json: bool) -> None:
    """Measure each client under each load by turns; print the table."""
    found: dict[tuple[str, str], list[float]] = {}
    facts = conditions("none", requests=", ".join(f"{load.requests:,}" for load in LOADS))
    facts["rounds"] = rounds
    with acceptor() as server:
        for _ in range(rounds):
            for load in LOADS:
                requests = load.requests // 5 if quick else load.requests
                for name, make in CLIENTS.items():
                    used = asyncio.run(_cpu_seconds(make, server.url, load, requests))
                    found.setdefault((name, load.name), []).append(used / requests * 1e6)
    title = "HTTP clients: CPU µs of the client for one POST, median"
    if as_json:
        rows = [
            {"client": name, "load": load, "us": round(median(values), 1), "rounds": values}
            for (name, load), values in found.items()
        ]
        print(json.dumps({"benchmark": title, "conditions": facts, "rows": rows}, indent=2))
        return
    cells = [("", *(load.name for load in LOADS))]
    cells += [
        (name, *(f"{median(found[name, load.name]):,.0f}" for load in LOADS)) for name in CLIENTS
    ]
    print(render(title, cells, facts))


async def _cpu_seconds(make: Any, url: str, load: Load, requests: int) -> float:
    post, close = await make(url, load)
    body = b"x" * load.body_bytes
    left = requests

    async def keep_posting() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            status = await post(body)
            if status != 200:
                raise SystemExit(f"a POST was answered with {status}")

    await asyncio.gather(*(post(body) for _ in range(load.in_flight)))
    before = time.process_time()
    await asyncio.gather(*(keep_posting() for _ in range(load.in_flight)))
    used = time.process_time() - before
    await close()
    return used


class Server:
    """A server process that says yes to everything."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._pid = process.pid
        self._in, self._out = process.stdin, process.stdout
        self.url = f"http://127.0.0.1:{int(self._out.readline())}"

    def requests(self) -> int:
        """Return how many it has had so far."""
        self._in.write("\n")
        self._in.flush()
        return int(self._out.readline())

    def cpu_seconds(self) -> float:
        """Return what it has used so far; 0 where no /proc tells."""
        return cpu_seconds(self._pid) or 0.0


@contextmanager
def acceptor(answer_ms: float = 0) -> Iterator[Server]:
    """Run the server, which answers after so many milliseconds."""
    script = str(Path(__file__).with_name("acceptor.py"))
    with subprocess.Popen(
        [sys.executable, script, str(answer_ms)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Server(process)
        process.terminate()
