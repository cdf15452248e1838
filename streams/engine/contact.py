"""Whether Kafka responds, and why not.

A working client gets a response at least every few seconds, for its heartbeats. If none comes, a
separate connection is opened, whose error tells why.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

from streams.engine.errors import BrokersUnavailableError

log = logging.getLogger("streams.engine")

LOOK_SECONDS = 0.5
ASK_AFTER_SECONDS = 3.0
"""Longer than the heartbeat interval."""
ASK_AGAIN_SECONDS = 3.0
"""Rare enough not to be locked out after refused logins."""
SAY_AFTER_SECONDS = 4.0
SILENT_SECONDS = 15.0
"""After this time without a response a worker is not ready."""


class BrokerContact:
    """One worker's contact with the brokers."""

    def __init__(
        self, ask: Callable[[], Awaitable[None]], clock: Callable[[], float] = monotonic
    ) -> None:
        """``ask`` connects to the brokers; raises BrokersUnavailableError if that fails."""
        self._ask = ask
        self._clock = clock
        self._answered_at = clock()
        self._asking: asyncio.Task[None] | None = None
        self._why = ""
        self._is_refused = False
        self._said_at: float | None = None

    def listen(self, client: Any) -> None:
        """Record each response that this aiokafka client gets from now on."""
        send = client.send

        async def noted(*args: Any, **kwargs: Any) -> Any:
            answer = await send(*args, **kwargs)
            self.record_response()
            return answer

        client.send = noted

    def record_response(self) -> None:
        """Record that a broker has responded."""
        self._answered_at = self._clock()

    def silent_seconds(self) -> float:
        """Return the seconds since a broker last responded."""
        return self._clock() - self._answered_at

    @property
    def why(self) -> str:
        """Why the brokers do not respond, in a sentence; empty if not known."""
        return self._why

    def problem(self) -> str:
        """Return why this worker cannot work, in a sentence; empty while the brokers respond."""
        silent = self.silent_seconds()
        if self._is_refused and silent >= ASK_AFTER_SECONDS:
            return self._why
        if silent < SILENT_SECONDS:
            return ""
        return f"Kafka has not answered for {silent:.0f} s. {self._why}".rstrip()

    async def run(self) -> None:
        """Check regularly, for the worker's life."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.check()

    def check(self) -> None:
        """Connect if the brokers are silent; log it once, and when it is over."""
        silent = self.silent_seconds()
        if silent < ASK_AFTER_SECONDS:
            if self._said_at is not None:
                log.info("Kafka answers again, after %.0f s", self._clock() - self._said_at)
            self._why, self._is_refused, self._said_at = "", False, None
            return
        if self._asking is None or self._asking.done():
            self._asking = asyncio.ensure_future(self._find_out())
        if self._said_at is None and (self._why or silent >= SAY_AFTER_SECONDS):
            self._said_at = self._answered_at
            log.error(
                "Kafka has not answered for %.0f s; nothing is lost, and work goes on when it "
                "does. %s",
                silent,
                self._why,
            )

    async def _find_out(self) -> None:
        try:
            await self._ask()
        except BrokersUnavailableError as error:
            self._why, self._is_refused = str(error), error.is_refused
            await asyncio.sleep(ASK_AGAIN_SECONDS)
        else:
            self.record_response()
