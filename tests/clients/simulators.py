"""What tests of the clients share: a running sandbox, and settings that lead there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl

from streams.lab.sandbox.exchange import Call, Simulator
from streams.lab.sandbox.server import Sandbox
from streams.settings import Settings, load_settings
from streams.vendors.base import HttpRequest, HttpResponse

KEY = "sandbox-secret-0815"
USER = "c57a43f7-eefc-462b-b5a8-0ef421e90f67"
CONTACT = "cf6d21fa-6e2b-481c-ab38-afa1012233ff"
JSON = {"content-type": "application/json"}


def settings_for(url: str, key: str = KEY, **environ: str) -> Settings:
    """Settings with which every vendor is this address."""
    return load_settings(
        {
            "STREAMS_EIGHTSELECT_BASE_URL": url,
            "STREAMS_EIGHTSELECT_API_ID": key,
            "STREAMS_VOYADO_BASE_URL": url,
            "STREAMS_VOYADO_API_KEY": key,
            "STREAMS_VOYADO_REQUESTS_PER_SECOND": "200",
            "STREAMS_MISO_BASE_URL": url,
            "STREAMS_MISO_API_KEY": key,
            **environ,
        }
    )


@asynccontextmanager
async def sandbox(*faults: str) -> AsyncIterator[Sandbox]:
    """A running sandbox; its simulators can be reached through it."""
    server = Sandbox(faults=faults)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


class Scripted:
    """A transport that answers in turn, and keeps what it was sent."""

    def __init__(self, *answers: HttpResponse) -> None:
        self.requests: list[HttpRequest] = []
        self._answers = list(answers)

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Return the next answer."""
        self.requests.append(request)
        return self._answers.pop(0)

    async def close(self) -> None:
        """Nothing is open."""


def answer(status: int, body: bytes = b"", **headers: str) -> HttpResponse:
    """An answer in JSON."""
    return HttpResponse(status, JSON | headers, body)


def no_answer() -> HttpResponse:
    """A request that was sent, and then nothing came."""
    return HttpResponse(None, {}, b"", failure="no answer within 60 s")


def kept(server: Sandbox, vendor: str) -> list[Any]:
    """The payloads that a simulator stored, oldest first."""
    return server.ledgers[vendor].payloads()


class InMemory:
    """Carries requests to one simulator without a network; may lose answers."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.requests: list[HttpRequest] = []
        self.lost: set[int] = set()
        """Numbers of requests, from 0, that the simulator answers and whose answer never comes."""

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Let the simulator answer."""
        is_lost = len(self.requests) in self.lost
        self.requests.append(request)
        number = self.simulator.ledger.open_request()
        path, _, query = request.path.partition("?")
        asked = dict(parse_qsl(query))
        at = len(self.requests) / 10
        call = Call(request.method, path, asked, request.headers, request.body, number, at)
        found = self.simulator.answer(call)
        return no_answer() if is_lost else HttpResponse(found.status, JSON, found.body)

    async def close(self) -> None:
        """Nothing is open."""
