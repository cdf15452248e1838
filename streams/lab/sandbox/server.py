"""The sandbox: one server, on loopback by default, for all simulators and their faults."""

import asyncio
import ssl
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from aiohttp import web

from streams.core.errors import SetupError
from streams.lab.sandbox.control import Control
from streams.lab.sandbox.eightselect import EightSelectSimulator
from streams.lab.sandbox.exchange import NO_REFUSALS, Call, SimulatedResponse, Simulator, html_page
from streams.lab.sandbox.faults import Fault, FaultKind, FaultPlan, Faults
from streams.lab.sandbox.ledger import Ledger
from streams.lab.sandbox.miso import MisoSimulator
from streams.lab.sandbox.voyado import VoyadoSimulator

SIMULATORS: tuple[Callable[[], Simulator], ...] = (
    EightSelectSimulator,
    VoyadoSimulator,
    MisoSimulator,
)
DEFAULT_MAX_BODY_BYTES = 16 * 1024 * 1024
_NO_FAULT = FaultPlan()


class Sandbox:
    """The simulators as a running server; callers read ``ledgers`` and set ``faults``."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        faults: Sequence[Fault | str] = (),
        *,
        seed: int = 0,
        max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
        clock: Callable[[], float] = time.time,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Prepare the simulators; port 0 takes a free one. Raises SettingsError for a bad fault.

        ``tls``: the certificate with which it answers, as vendors do; None: plain HTTP.
        """
        self.simulators = {
            simulator.key: simulator for simulator in (make() for make in SIMULATORS)
        }
        self.ledgers: dict[str, Ledger] = {key: s.ledger for key, s in self.simulators.items()}
        self.faults = Faults(tuple(self.simulators), seed)
        self.faults.set(*faults)
        self._control = Control(self.simulators, self.faults)
        self._host = host
        self._port = port
        self._max_body_bytes = max_body_bytes
        self._clock = clock
        self._tls = tls
        self._paths = [(path, s) for s in self.simulators.values() for path in s.paths]
        self._runner: web.ServerRunner | None = None
        self._stopping = asyncio.Event()

    @property
    def url(self) -> str:
        """Scheme, host and port, without a slash at the end; the vendors' ``base_url``."""
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://{self._host}:{self._port}"

    def example_environment(self) -> list[str]:
        """Return the settings, as NAME=value, with which workers send to this sandbox."""
        return [line for s in self.simulators.values() for line in s.example_environment(self.url)]

    async def start(self) -> None:
        """Listen. Raises SetupError if the port is taken."""
        self._stopping.clear()
        server = web.Server(
            self._serve,
            request_factory=self._make_request,
            access_log=None,
            auto_decompress=False,  # no vendor documents compressed requests
        )
        runner = web.ServerRunner(server, shutdown_timeout=0.2)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port, ssl_context=self._tls).start()
        except OSError as error:
            await runner.cleanup()
            raise SetupError(
                f"The sandbox cannot listen on {self._host}:{self._port} ({error.strerror}): "
                "choose another port with --port, or 0 for a free one."
            ) from None
        self._runner = runner
        self._port = runner.addresses[0][1]

    async def stop(self) -> None:
        """Close all connections, hanging ones included; the ledgers stay readable."""
        self._stopping.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _make_request(
        self,
        message: Any,
        payload: Any,
        protocol: Any,
        writer: Any,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        loop = asyncio.get_running_loop()
        return web.BaseRequest(
            message, payload, protocol, writer, task, loop, client_max_size=self._max_body_bytes
        )

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        for prefix, simulator in self._paths:
            if path.startswith(prefix):
                return await self._serve_vendor(request, path, simulator)
        body = await request.read()
        return _respond(self._control.answer(request.method, path, request.query, body))

    async def _serve_vendor(
        self, request: web.BaseRequest, path: str, simulator: Simulator
    ) -> web.StreamResponse:
        ledger = simulator.ledger
        number = ledger.open_request()
        plan = _NO_FAULT
        try:
            seen = await request.read() if self.faults.look_into_bodies else b""
            if self.faults:
                plan = self.faults.plan(simulator.key, request.method, path, seen)
            ending = plan.ending
            if ending is not None and ending.kind is FaultKind.DOWN:
                return _cut(request, ledger, "down")
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            ledger.close_request(413)
            return _respond(html_page(413, "Request Entity Too Large"))
        except (ConnectionError, asyncio.IncompleteReadError):
            return _cut(request, ledger, "client_left")
        if plan.delay_seconds:
            await asyncio.sleep(plan.delay_seconds)
        answer = None
        if ending is None or ending.stored or ending.kind is FaultKind.STORE_THEN_DROP:
            answer = self._judge(request, path, simulator, body, number, plan)
        if ending is not None:
            if ending.kind is FaultKind.HANG:
                ledger.close_request("hung")
                await self._stopping.wait()
                return _cut(request)
            if ending.kind in (FaultKind.STORE_THEN_DROP, FaultKind.DROP_BEFORE_STORE):
                return _cut(request, ledger, "dropped")
            answer = self._faulty_answer(ending, simulator)
        assert answer is not None
        ledger.close_request(answer.status)
        return _respond(answer)

    def _judge(
        self,
        request: web.BaseRequest,
        path: str,
        simulator: Simulator,
        body: bytes,
        number: int,
        plan: FaultPlan,
    ) -> SimulatedResponse:
        call = Call(
            request.method,
            path,
            request.query,
            request.headers,
            body,
            number,
            self._clock(),
            plan.refusals or NO_REFUSALS,
        )
        try:
            return simulator.answer(call)
        except Exception:
            simulator.ledger.close_request("defect")
            raise

    def _faulty_answer(self, fault: Fault, simulator: Simulator) -> SimulatedResponse:
        if fault.kind is FaultKind.REDIRECT:
            return SimulatedResponse(302, b"", {"Location": f"{self.url}/moved"})
        if fault.kind is FaultKind.HTML:
            answer = html_page(fault.status or 502, "Bad Gateway")
        else:
            status = fault.status or 500
            body = simulator.failure_body(status)
            answer = SimulatedResponse(status, body, {"Content-Type": "application/json"})
        if fault.retry_after is not None:
            value = str(fault.retry_after)
            if fault.retry_after_form == "date":
                now = datetime.fromtimestamp(self._clock(), UTC)
                value = format_datetime(now + timedelta(seconds=fault.retry_after), usegmt=True)
            answer.headers = {**answer.headers, "Retry-After": value}
        return answer


def _respond(answer: SimulatedResponse) -> web.Response:
    return web.Response(status=answer.status, body=answer.body, headers=answer.headers)


def _cut(
    request: web.BaseRequest, ledger: Ledger | None = None, word: str = ""
) -> web.StreamResponse:
    """Close the connection without an answer; what is returned is never sent."""
    if ledger is not None:
        ledger.close_request(word)
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
