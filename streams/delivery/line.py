"""The line to a vendor: requests one by one, each in its turn, none behind a closed gate."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from streams.core.batching import MicroBatch
from streams.core.control import Will
from streams.core.errors import SettingsError
from streams.core.outcome import Fate, Verdict
from streams.delivery.exchanges import Exchanges
from streams.delivery.gate import Gate
from streams.delivery.quota import Quota
from streams.delivery.strand import Item
from streams.vendors.base import HttpAnswer, HttpRequest, Parcel, Vendor

log = logging.getLogger("streams.delivery")


class Sender(Protocol):
    """What carries a request: ``HttpClient``, or a test's own."""

    async def send(self, request: HttpRequest) -> HttpAnswer:
        """Return the answer; a failure is an answer without status."""


class Line:
    """One vendor's gate, quota and memory in one worker, and the requests that pass them."""

    def __init__(
        self,
        vendor: Vendor,
        settings: Any,
        sender: Sender,
        clock: Callable[[], float],
        current_settings: Callable[[], Any] | None = None,
    ) -> None:
        self._vendor = vendor
        self._settings = settings
        self._current_settings = current_settings or (lambda: settings)
        self._sender = sender
        self._clock = clock
        limit = vendor.requests_per_second(settings)
        self.gate = Gate(vendor.name, clock(), vendor.key)
        self.quota = None if limit is None else Quota(limit, clock())
        self.memory = vendor.new_memory()
        self.is_quiet = False
        """No request is begun: the worker settles what is under way."""
        self.requests_by_status: Counter[str] = Counter()
        self.exchanges = Exchanges()

    async def converse(self, batch: MicroBatch[Item]) -> tuple[Verdict | None, int]:
        """Lead the vendor's conversation over these events, and tell the gate what came of it.

        Return the verdict, or None where it had to stop, and how many requests were made.
        """
        parcel = Parcel(
            batch.payloads,
            records=tuple(item.record for item in batch.positions),
            unclear=any(item.unclear for item in batch.positions),
            partition=batch.positions[0].partition,
            now=self._clock(),
        )
        talk = self._vendor.converse(parcel, self._settings, self.memory)
        sent = 0
        verdict: Verdict | None = None
        try:
            request = next(talk)
            while await self._may_ask():
                sent += 1
                request = talk.send(await self._ask(request))
            talk.close()
        except StopIteration as end:
            verdict = end.value
        if not sent or verdict is None:
            self.gate.nothing_sent()
        else:
            self._tell_gate(verdict)
        return verdict, sent

    async def probe(self) -> None:
        """Ask a parked vendor whether it answers again, storing nothing, with the newest key."""
        try:
            self._settings = self._current_settings()
        except SettingsError as error:
            log.warning("the settings were not read again: %s", error)
        answer = await self._ask(self._vendor.build_probe(self._settings))
        self.gate.on_probe(self._vendor.classify(answer, 0), self._clock())

    def obey(self, will: Will, wall_ms: int) -> None:
        """Do what an operator wants; ``wall_ms``: the time of day in ms since the epoch."""
        before = self.gate.state
        self.gate.obey(will, self._clock(), wall_ms)
        self._say_change(before)

    def note_outcomes(self, *, accepted: int, refused: int) -> None:
        """Count the vendor's last word on events."""
        before = self.gate.state
        self.gate.on_outcomes(accepted=accepted, refused=refused, now=self._clock())
        self._say_change(before)

    async def _may_ask(self) -> bool:
        """Wait for this request's turn in the quota; return whether it may still be made."""
        if self.quota is not None and (wait := self.quota.reserve(self._clock())) > 0:
            await asyncio.sleep(wait)
        return not (self.is_quiet or self.gate.is_shut(self._clock()))

    async def _ask(self, request: HttpRequest) -> HttpAnswer:
        began = self._clock()
        answer = await self._sender.send(request)
        self.exchanges.note(request, answer, began, self._clock())
        status = "none" if answer.status is None else str(answer.status)
        self.requests_by_status[status] += 1
        return answer

    def _tell_gate(self, verdict: Verdict) -> None:
        gate, now = self.gate, self._clock()
        before = gate.state
        gate.on_verdict(verdict, now)
        if verdict.fate is Fate.THROTTLED and self.quota is not None:
            self.quota.throttled(now)
        self._say_change(before)

    def _say_change(self, before: str) -> None:
        gate = self.gate
        if gate.state != before:
            words = " ".join(filter(None, (gate.reason, gate.advice)))
            level = logging.INFO if gate.state == "running" else logging.WARNING
            log.log(level, "%s is %s%s", gate.name, gate.state, f": {words}" if words else "")
