"""The client of one vendor: sends requests one by one, by rate limit and circuit breaker."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from streams.core.control import VendorControl
from streams.core.errors import SettingsError
from streams.core.outcome import JUDGED, RequestOutcome, SkipReason, Verdict
from streams.delivery.batching import MicroBatch
from streams.delivery.circuit_breaker import CircuitBreaker
from streams.delivery.exchanges import Exchanges
from streams.delivery.lanes import Lane
from streams.delivery.ordered_queue import Item
from streams.delivery.poison_detection import GiveUpRule, PoisonDetection
from streams.delivery.rate_limit import RateLimit
from streams.delivery.rate_limiter import RateLimiter
from streams.metrics import REQUEST_SECONDS, Histogram
from streams.vendors.base import HttpRequest, HttpResponse, Parcel, Vendor
from streams.vendors.responses import with_answer

log = logging.getLogger("streams.delivery")

LOOK_AGAIN_SECONDS = 0.05
"""How often it is checked whether the partitions are still this worker's."""


class HttpTransport(Protocol):
    """Sends a request: ``HttpClient``, or a fake in a test."""

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Return the response; a failure is a response without status."""


class SendFilter(Protocol):
    """Decides, right before each request, which events must no longer be sent."""

    def is_current(self, partition: int) -> bool:
        """Return whether the rows that it needs for this partition are recent enough."""

    def stopped(self, items: Sequence[Item]) -> Mapping[int, SkipReason | None]:
        """Return the events that must not be sent: index → reason.

        None: they belong to a stopped run and get no outcome.
        """


class SendAll:
    """A send filter that stops nothing."""

    def is_current(self, partition: int) -> bool:  # noqa: ARG002
        """Always."""
        return True

    def stopped(self, items: Sequence[Item]) -> Mapping[int, SkipReason | None]:  # noqa: ARG002
        """None of them."""
        return {}


class RequestResult(NamedTuple):
    """The result of a request flow."""

    verdict: Verdict | None
    """None: it ended early."""
    requests: int
    stopped: Mapping[int, SkipReason | None] = {}
    """It ended early because the send filter stopped these events."""
    contrasted: bool = False
    """It failed, and its events are the cause: see ``poison_detection``."""


class VendorClient:
    """One vendor's requests in one worker, with its circuit breaker, rate limit and memory."""

    def __init__(
        self,
        vendor: Vendor,
        settings: Any,
        sender: HttpTransport,
        clock: Callable[[], float],
        current_settings: Callable[[], Any] | None = None,
        send_filter: SendFilter | None = None,
        give_up: GiveUpRule | None = None,
        may_act: Callable[[], bool] = lambda: True,
    ) -> None:
        self._vendor = vendor
        self._settings = settings
        self._may_act = may_act
        self._current_settings = current_settings or (lambda: settings)
        self._sender = sender
        self._clock = clock
        self._send_filter = send_filter or SendAll()
        limit = vendor.requests_per_second(settings)
        self.poison_detection = PoisonDetection(give_up or GiveUpRule(), clock())
        self.breaker = CircuitBreaker(vendor.name, clock(), vendor.key)
        self.rate_limit = None if limit is None else RateLimit(limit, clock())
        self._rate_limiter = (
            None if self.rate_limit is None else RateLimiter(self.rate_limit, clock, self._may_pass)
        )
        self.memory = vendor.new_memory()
        self.is_quiesced = False
        """No request is started: the worker waits for those in flight."""
        self.requests_by_status: Counter[str] = Counter()
        self.request_seconds = Histogram(REQUEST_SECONDS)
        self.exchanges = Exchanges()

    async def start_flow(
        self, batch: MicroBatch[Item], lane: Lane, is_revoked: Callable[[], bool] = lambda: False
    ) -> RequestResult:
        """Send the requests of the vendor's flow for these events; record the verdict.

        Once ``is_revoked`` returns true, the partition is another worker's: no further request is
        sent, and there is no verdict.
        """
        items = batch.positions
        if is_revoked():
            return RequestResult(None, 0)
        if stopped := self._send_filter.stopped(items):
            return RequestResult(None, 0, stopped)
        parcel = Parcel(
            batch.payloads,
            records=tuple(item.record for item in items),
            unclear=any(item.unclear for item in items),
            partition=items[0].partition,
            now=self._clock(),
        )
        flow = self._vendor.start_flow(parcel, self._settings, self.memory)
        sent = 0
        verdict: Verdict | None = None
        try:
            request = next(flow)
            while await self._may_send(lane, is_revoked) and not is_revoked():
                # Rows may have changed between two requests and while waiting for the rate limit.
                may_differ = sent or self._rate_limiter is not None
                if may_differ and not self._is_current(items):
                    break
                if may_differ and (stopped := self._send_filter.stopped(items)):
                    break
                sent += 1
                response = await self._send(request)
                request = flow.send(response)
            flow.close()
        except StopIteration as end:
            verdict = end.value
            # A vendor's own flow knows which response was judged. That to several events may show
            # what is another visitor's.
            if sent and len(batch) == 1 and self._vendor.request_flow is None:
                verdict = with_answer(end.value, response)
        contrasted = bool(sent) and verdict is not None and self._record(items, verdict)
        return RequestResult(verdict, sent, stopped, contrasted)

    def quiesce(self) -> None:
        """Start no request until ``is_quiesced`` is set to false."""
        self.is_quiesced = True
        if self._rate_limiter is not None:
            self._rate_limiter.release()

    async def probe(self) -> None:
        """Probe a parked vendor with the newest key; nothing is stored."""
        try:
            self._settings = self._current_settings()
        except SettingsError as error:
            log.warning("the settings were not read again: %s", error)
        response = await self._send(self._vendor.build_probe(self._settings))
        self.breaker.on_probe(self._vendor.classify(response, 0), self._clock())

    def apply(self, control: VendorControl, wall_ms: int) -> None:
        """Apply operator commands; ``wall_ms``: the time of day in ms since the epoch."""
        before = self.breaker.state
        self.breaker.apply(control, self._clock(), wall_ms)
        self._log_change(before)

    def record_outcomes(self, *, accepted: int, refused: int) -> None:
        """Count accepted and refused events."""
        before = self.breaker.state
        self.breaker.on_outcomes(accepted=accepted, refused=refused, now=self._clock())
        self._log_change(before)

    def _is_current(self, items: Sequence[Item]) -> bool:
        return all(map(self._send_filter.is_current, {item.partition for item in items}))

    async def _may_send(self, lane: Lane, is_revoked: Callable[[], bool]) -> bool:
        """Wait for the rate limit and the lease; return whether the request may be sent.

        The lease: while the partition may already be another worker's, nothing is sent.
        """
        if self._rate_limiter is not None and not await self._rate_limiter.acquire(lane):
            return False
        while self._may_pass() and not is_revoked() and not self._may_act():  # noqa: ASYNC110 - a clock
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        return self._may_pass()

    def _may_pass(self) -> bool:
        return not (self.is_quiesced or self.breaker.is_blocked(self._clock()))

    async def _send(self, request: HttpRequest) -> HttpResponse:
        began = self._clock()
        response = await self._sender.send(request)
        ended = self._clock()
        self.exchanges.record(request, response, began, ended)
        self.request_seconds.observe(ended - began)
        status = "none" if response.status is None else str(response.status)
        self.requests_by_status[status] += 1
        return response

    def _record(self, items: Sequence[Item], verdict: Verdict) -> bool:
        """Record a verdict for the circuit breaker, or as a failure that its events cause.

        Return whether its events cause it.
        """
        now, before = self._clock(), self.breaker.state
        if verdict.outcome in JUDGED:
            self.poison_detection.record_verdict(items, verdict, now)
        elif self.poison_detection.record_failure(items, verdict, now):
            return True
        # Events of the same queue are adjacent.
        is_shared = items[0].queue is not items[-1].queue
        self.breaker.on_verdict(verdict, now, is_shared=is_shared)
        if verdict.outcome is RequestOutcome.THROTTLED and self.rate_limit is not None:
            self.rate_limit.halve(now)
        self._log_change(before)
        return False

    def _log_change(self, before: str) -> None:
        breaker = self.breaker
        if breaker.state != before:
            words = " ".join(filter(None, (breaker.reason, breaker.advice)))
            level = logging.INFO if breaker.state == "running" else logging.WARNING
            log.log(level, "%s is %s%s", breaker.name, breaker.state, f": {words}" if words else "")
