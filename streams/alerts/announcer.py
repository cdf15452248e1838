"""One worker of the pipeline tells people what is wrong, beside its other work."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass
from typing import Protocol

from streams.alerts.book import Alert, AlertBook, Message
from streams.alerts.receivers import Receiver
from streams.status.findings import Finding
from streams.status.status import STALE_MS, WorkerStatus

log = logging.getLogger("streams.alerts")

LOOK_SECONDS = 5.0
TAKE_OVER_SECONDS = STALE_MS / 1000 + 5
"""The first of the workers waits so long before it tells anything: whoever told people before it
has then seen it, or was not heard of for so long that it has stopped telling."""
DEAF_SECONDS = STALE_MS / 1000
"""Who has not looked, or heard of the others, for so long is no longer the one that tells."""


class Pipeline(Protocol):
    """What a worker knows of the whole pipeline."""

    def findings(self) -> Sequence[Finding]:
        """Return the judgement on it."""

    def workers(self) -> Sequence[WorkerStatus]:
        """Return its workers, this one among them."""

    def deaf_seconds(self) -> float:
        """Return how long nothing was heard of Kafka or of the workers' snapshots."""


class AlertLog(Protocol):
    """What people were told, where all workers find it."""

    async def read(self) -> Sequence[Alert]:
        """Return what was written last."""

    async def write(self, sent: Sequence[Alert]) -> None:
        """Write it in place of what was there."""


def is_first(workers: Sequence[WorkerStatus], own: str) -> bool:
    """Return whether this worker is the first by name of those that live and can send alerts."""
    able = [
        one.snapshot.worker for one in workers if one.snapshot.sends_alerts and not one.is_stale
    ]
    return min(able, default=None) == own


@dataclass(eq=False)
class Announcer:
    """Tells people while its worker is the first of all; forgets what it knew when it is not."""

    own: str
    """The worker's id."""
    pipeline: Pipeline
    sent: AlertLog
    receivers: Sequence[Receiver]
    _: KW_ONLY
    names: Mapping[str, str]
    """The stages' as people call them."""
    shop: str
    wall_ms: Callable[[], int]
    clock: Callable[[], float]

    def __post_init__(self) -> None:
        self._book: AlertBook | None = None
        self._written: tuple[Alert, ...] = ()
        self._first_since: float | None = None
        self._looked_at = float("-inf")
        self._undelivered: Counter[Message] = Counter()
        self._received = asyncio.Event()
        """Somebody has a message: what people were told is written at once."""

    async def run(self) -> None:
        """Go on for as long as the worker lives."""
        sending = [asyncio.ensure_future(receiver.run()) for receiver in self.receivers]
        try:
            while True:
                try:
                    await self.look()
                except Exception:
                    # Alerts must never end a worker.
                    log.exception("alerts: looking at the pipeline failed")
                self._received.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._received.wait(), LOOK_SECONDS)
        finally:
            for task in sending:
                task.cancel()

    async def look(self) -> None:
        """Look once at the pipeline; queue what people should know if this is the one to tell."""
        if not self._is_the_one():
            self._step_down()
            return
        if self._book is None:
            sent = tuple(await self.sent.read())
            self._book = AlertBook(self.names, shop=self.shop, sent=sent)
            self._written = self._book.sent
        for message in self._book.read(self.pipeline.findings(), self.wall_ms()):
            self._post(message)
        # Not before somebody has the messages: who takes over would leave them out.
        if not self._undelivered and self._written != self._book.sent:
            sent = self._book.sent
            await self.sent.write(sent)
            self._written = sent

    def _is_the_one(self) -> bool:
        now = self.clock()
        was_away = now - self._looked_at > DEAF_SECONDS
        self._looked_at = now
        is_deaf = was_away or self.pipeline.deaf_seconds() >= DEAF_SECONDS
        if is_deaf or not is_first(self.pipeline.workers(), self.own):
            self._first_since = None
            return False
        if self._first_since is None:
            self._first_since = now
        return now - self._first_since >= TAKE_OVER_SECONDS

    def _step_down(self) -> None:
        if self._book is not None:
            self._book = None
            self._undelivered.clear()
            for receiver in self.receivers:
                receiver.clear()

    def _post(self, message: Message) -> None:
        log.info("alert: %s", message.title)
        self._undelivered[message] = len(self.receivers)
        for receiver in self.receivers:
            receiver.post(message, self._settled)

    def _settled(self, message: Message, is_delivered: bool) -> None:
        """Take note that one receiver has a message, which is enough, or never gets it."""
        left = 0 if is_delivered else self._undelivered[message] - 1
        if left > 0:
            self._undelivered[message] = left
        else:
            del self._undelivered[message]
            self._received.set()
