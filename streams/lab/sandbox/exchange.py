"""What passes between the server and a simulator: one call in, one answer out, no network."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from streams.lab.sandbox.faults import SimulatedRefusals
from streams.lab.sandbox.ledger import Ledger

NO_REFUSALS = SimulatedRefusals()
_JSON_HEADERS: Mapping[str, str] = {"Content-Type": "application/json"}
encode_json = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Call:
    """One request as a simulator sees it, read to its end."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Looked up without regard to case."""
    body: bytes
    number: int
    """How many requests this vendor had got before, plus one."""
    at: float
    """Seconds since the epoch."""
    refusals: SimulatedRefusals = NO_REFUSALS


@dataclass(slots=True)
class SimulatedResponse:
    """What the simulator answers; the server may still lose it on purpose."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: _JSON_HEADERS)


def json_answer(status: int, content: Any) -> SimulatedResponse:
    """Return an answer with this content as JSON."""
    return SimulatedResponse(status, encode_json(content))


def html_page(status: int, title: str) -> SimulatedResponse:
    """Return an answer with a page such as a gateway shows."""
    body = f"<html><head><title>{status}</title></head><body><h1>{title}</h1></body></html>"
    return SimulatedResponse(status, body.encode(), {"Content-Type": "text/html; charset=utf-8"})


class Simulator(Protocol):
    """One vendor's simulator: judges requests by the vendor's documents and keeps the ledger."""

    key: str
    """The vendor key, as in topics and settings."""
    name: str
    paths: tuple[str, ...]
    """Path prefixes that belong to this vendor; no two simulators share one."""
    ledger: Ledger

    def answer(self, call: Call) -> SimulatedResponse:
        """Judge the call, store what is accepted, and return the vendor's answer."""

    def failure_body(self, status: int) -> bytes:
        """Return the JSON body with which the vendor's errors of this status come."""

    def clear(self) -> None:
        """Forget everything that was stored."""

    def example_environment(self, url: str) -> list[str]:
        """Return the settings, as NAME=value, with which a worker sends to this simulator."""
