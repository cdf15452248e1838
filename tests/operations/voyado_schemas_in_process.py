"""What tests of Voyado's schemas share: short schemas, and the simulator without a network."""

import json
from typing import Any
from urllib.parse import parse_qsl

from streams.clients import Voyado
from streams.lab.sandbox.exchange import Call
from streams.lab.sandbox.voyado import VoyadoSimulator
from streams.operations.voyado_schemas import voyado_schemas as operations
from streams.settings import load_settings
from streams.vendors.base import HttpRequest, HttpResponse
from streams.vendors.voyado import VoyadoSettings
from streams.vendors.voyado.definition import Definition, read_definition

KEY = "voyado-secret-0815"
URL = "https://shop.voyado.com"
ENVIRON = {"STREAMS_VOYADO_BASE_URL": URL, "STREAMS_VOYADO_API_KEY": KEY}
DIALECT = "https://json-schema.org/draft/2020-12/schema"
JSON = {"content-type": "application/json"}


def section_of(**environ: str) -> VoyadoSettings:
    """Voyado's settings."""
    return operations.voyado_settings(load_settings({**ENVIRON, **environ}))


def rules(type_: str = "string", **more: Any) -> dict[str, Any]:
    """One property, as short as Voyado allows."""
    return {"type": type_, "displayName": "Shown", "showInContactCard": "true", **more}


def document(id_: str = "wishlist", /, *required: str, **properties: Any) -> dict[str, Any]:
    """A schema as a file has it."""
    json_schema = {"$schema": DIALECT, "type": "object", "properties": properties}
    if required:
        json_schema["required"] = list(required)
    return {"id": id_, "displayName": "Wishlist", "jsonSchema": json_schema}


def schema(id_: str = "wishlist", *required: str, **properties: Any) -> Definition:
    """A schema read from a file."""
    return read_definition(json.dumps(document(id_, *required, **properties)).encode())


class InProcess:
    """Carries requests to the simulator without a network; keeps them, and may lose some."""

    def __init__(self, voyado: VoyadoSimulator | None = None) -> None:
        self.voyado = voyado or VoyadoSimulator()
        self.requests: list[HttpRequest] = []
        self.instead: dict[tuple[str, int], HttpResponse] = {}
        """(method, how many of this method came before) → an answer; the simulator sees none."""
        self.lost: set[tuple[str, int]] = set()
        """Those that the simulator answers, and whose answer never comes."""
        self.is_closed = False

    def asked(self, method: str) -> int:
        """How many requests of a method came."""
        return sum(request.method == method for request in self.requests)

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Keep the request and let the simulator answer it."""
        key = request.method, self.asked(request.method)
        self.requests.append(request)
        if key in self.instead:
            return self.instead[key]
        number = self.voyado.ledger.open_request()
        path, _, text = request.path.partition("?")
        query = dict(parse_qsl(text))
        call = Call(request.method, path, query, request.headers, request.body, number, 0.0)
        answer = self.voyado.answer(call)
        if key in self.lost:
            return HttpResponse(None, {}, b"", failure="no answer within 60 s", was_sent=True)
        return HttpResponse(answer.status, JSON, answer.body)

    async def close(self) -> None:
        """Note that it is over."""
        self.is_closed = True


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        """The time."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Move on."""
        self.slept.append(seconds)
        self.now += seconds


def voyado_of(client: InProcess, clock: Clock | None = None, **environ: str) -> Voyado:
    """The client over this transport."""
    clock = clock or Clock()
    settings = load_settings({**ENVIRON, **environ})
    return Voyado(settings, transport=client, clock=clock, sleep=clock.sleep)
