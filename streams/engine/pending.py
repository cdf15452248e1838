"""What this worker's clients wait for at the brokers: answers that do not come, and refusals.

Whoever waits for a broker is not stuck, however quickly that broker answers other questions: a
leader whose followers are slow is quick to say where its log ends. aiokafka gives up on a request
after a while and makes another one, so that nobody waits for an answer that can never come.
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
"""So long ago it was last seen: between a request that was given up and the next one is a pause."""
LONG_SECONDS = 1.0
"""An answer that takes longer is waited for; fetches are answered after 50 ms."""

BROKERS_OWN = (
    aiokafka.errors.NotEnoughReplicasError,
    aiokafka.errors.NotEnoughReplicasAfterAppendError,
    aiokafka.errors.KafkaStorageError,
    aiokafka.errors.RequestTimedOutError,
    aiokafka.errors.GroupCoordinatorNotAvailableError,
    aiokafka.errors.GroupLoadInProgressError,
)
"""Refusals for which a broker's state is to blame, and not what this worker knows or asks for.

One that is sent to a wrong leader for long may have stale metadata: a fresh process has none.
"""


class BrokerRefusal(NamedTuple):
    """What a broker refused, to be tried again."""

    what: str
    """As the beginning of a sentence."""
    error: str
    at: float


class BrokerRefusals:
    """The newest refusal of what is produced, and of what is committed."""

    def __init__(self) -> None:
        self._newest: dict[str, BrokerRefusal] = {}

    def record(self, kind: str, what: str, error: BaseException) -> None:
        """Note an error, if it is of the brokers' own; ``kind`` is ``produce`` or ``commit``."""
        if isinstance(error, BROKERS_OWN):
            self._newest[kind] = BrokerRefusal(what, type(error).__name__, monotonic())

    def recent(self, kind: str, now: float) -> BrokerRefusal | None:
        """Return the newest one, unless it is long ago; ``now`` in seconds of ``monotonic``."""
        found = self._newest.get(kind)
        return None if found is None or now - found.at > RECENT_SECONDS else found


refusals = BrokerRefusals()
"""Of this process: aiokafka makes what tells of them by itself."""


class TellingHandler(SendProduceReqHandler):
    """Aiokafka's, which notes why a batch is sent again."""

    def _can_retry(self, error: Any, batch: Any) -> bool:
        can_retry: bool = super()._can_retry(error, batch)
        if can_retry:
            refusals.record("produce", f"{batch.tp.topic} partition {batch.tp.partition}", error)
        return can_retry


aiokafka.producer.sender.SendProduceReqHandler = TellingHandler


class Unanswered:
    """Since when each connection has waited for the answer to its oldest request.

    Looked at once a second: what is answered in between is never seen twice.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, tuple[Any, float]] = {}
        self._seen: dict[str, tuple[float, float]] = {}
        """By kind of connection: when one was last seen to wait for long, and for how long."""

    def observe(self, connections: Iterable[tuple[str, AIOKafkaConnection]], now: float) -> None:
        """Take the connections as they are now, each with its kind; ``now`` in seconds."""
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
        """Return for how long (s) one of these waited that was seen lately; None: none did."""
        found = [self._seen[kind] for kind in kinds if kind in self._seen]
        return max((for_ for at, for_ in found if now - at <= RECENT_SECONDS), default=None)


def connections_of(app: Any) -> Iterable[tuple[str, AIOKafkaConnection]]:
    """Yield the connections of a worker with their kinds: produce, fetch, group."""
    producer = None if app._producer is None else app._producer._producer
    if producer is not None:
        yield from (("produce", each) for each in tuple(producer.client._conns.values()))
    consumer = None if app._consumer is None else app._consumer._thread._consumer
    if consumer is not None:
        for (_, group), each in tuple(consumer._client._conns.items()):
            kind = "group" if group == ConnectionGroup.COORDINATION else "fetch"
            yield kind, each
