"""What this worker's clients wait for: responses that do not come, and refused requests.

A worker that waits for a broker is not stuck, even if that broker responds to other requests: a
leader with slow followers still returns the end of its log at once. aiokafka gives up a request
after a while and sends another one, so that no client waits for ever.
"""

from collections.abc import Iterable
from time import monotonic
from typing import Any, NamedTuple

import aiokafka.errors
import aiokafka.producer.sender
from aiokafka.client import ConnectionGroup
from aiokafka.conn import AIOKafkaConnection
from aiokafka.producer.sender import SendProduceReqHandler

RECENT_SECONDS = 10.0
"""How long a wait counts after it was last seen: between two requests there is a pause."""
LONG_SECONDS = 1.0
"""A longer wait counts as pending; fetches get a response after at most 250 ms."""

BROKERS_OWN = (
    aiokafka.errors.NotEnoughReplicasError,
    aiokafka.errors.NotEnoughReplicasAfterAppendError,
    aiokafka.errors.KafkaStorageError,
    aiokafka.errors.RequestTimedOutError,
    aiokafka.errors.GroupCoordinatorNotAvailableError,
    aiokafka.errors.GroupLoadInProgressError,
)
"""Refusals because of a broker's state, not because of this worker's request or metadata.

Refusals by a wrong leader are not among them: a new process has no stale metadata.
"""


class BrokerRefusal(NamedTuple):
    """A refused request that is retried."""

    what: str
    """As the start of a sentence."""
    error: str
    at: float


class BrokerRefusals:
    """The newest refusal of what is produced, and of what is committed."""

    def __init__(self) -> None:
        self._newest: dict[str, BrokerRefusal] = {}

    def record(self, kind: str, what: str, error: BaseException) -> None:
        """Record an error if it is one of ``BROKERS_OWN``; ``kind``: ``produce`` or ``commit``."""
        if isinstance(error, BROKERS_OWN):
            self._newest[kind] = BrokerRefusal(what, type(error).__name__, monotonic())

    def recent(self, kind: str, now: float) -> BrokerRefusal | None:
        """Return the newest one if it is recent; ``now`` in seconds of ``monotonic``."""
        found = self._newest.get(kind)
        return None if found is None or now - found.at > RECENT_SECONDS else found


refusals = BrokerRefusals()
"""Of this process: aiokafka itself creates the objects that record them."""


class TellingHandler(SendProduceReqHandler):
    """aiokafka's handler, which records why a batch is sent again."""

    def _can_retry(self, error: Any, batch: Any) -> bool:
        can_retry: bool = super()._can_retry(error, batch)
        if can_retry:
            refusals.record("produce", f"{batch.tp.topic} partition {batch.tp.partition}", error)
        return can_retry


aiokafka.producer.sender.SendProduceReqHandler = TellingHandler


class Unanswered:
    """How long each connection has waited for the response to its oldest request.

    Observed once a second: a request with a response in between is never seen twice.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, tuple[Any, float]] = {}
        self._seen: dict[str, tuple[float, float]] = {}
        """By kind of connection: when one was last seen to wait for long, and for how long."""

    def observe(self, connections: Iterable[tuple[str, AIOKafkaConnection]], now: float) -> None:
        """Record the connections as they are now, with their kinds; ``now`` in seconds."""
        known, self._waiting = self._waiting, {}
        for kind, connection in connections:
            oldest = next(iter(connection._requests), None)
            if oldest is None:
                continue
            before = known.get(id(connection))
            since = before[1] if before is not None and before[0] is oldest else now
            self._waiting[id(connection)] = oldest, since
            if now - since >= LONG_SECONDS:
                self._seen[kind] = now, now - since

    def recent(self, kinds: Iterable[str], now: float) -> float | None:
        """Return the longest recent wait (s) of these kinds; None: none waited."""
        found = [self._seen[kind] for kind in kinds if kind in self._seen]
        return max((for_ for at, for_ in found if now - at <= RECENT_SECONDS), default=None)


def connections_of(app: Any) -> Iterable[tuple[str, AIOKafkaConnection]]:
    """Yield the connections of a worker with their kinds: produce, fetch, group."""
    if (producer := app.started_producer) is not None:
        yield from (("produce", each) for each in tuple(producer.client._conns.values()))
    if (consumer := app.started_consumer) is not None:
        for (_, group), each in tuple(consumer.thread.client._conns.items()):
            kind = "group" if group == ConnectionGroup.COORDINATION else "fetch"
            yield kind, each
