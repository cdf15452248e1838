"""The largest batch that each topic accepts (``max.message.bytes``), and records cut to it."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from aiokafka.record.default_records import DefaultRecordBatchBuilder

from streams.engine.errors import BrokersUnavailableError

log = logging.getLogger("streams.engine")

DEFAULT_MESSAGE_BYTES = 1_048_588
"""Kafka's default of ``max.message.bytes``."""
MAX_BATCH_BYTES = 1_000_000
"""Below that default."""
BATCH_OVERHEAD_BYTES = 61
"""The header of a batch, which counts as part of it."""

Shorten = Callable[[bytes, int], bytes | None]
"""(record value, maximum bytes) → shorter value; None: it cannot be cut to that."""
ReadLimits = Callable[[Sequence[str]], Awaitable[Mapping[str, int]]]
"""Topics → their ``max.message.bytes``. Raises BrokersUnavailableError if the broker does not
say."""


class TopicLimits:
    """The known limits of the topics that one worker writes to."""

    def __init__(
        self,
        max_message_bytes: Mapping[str, int] | None = None,
        *,
        shorten: Mapping[str, Shorten] | None = None,
        read: ReadLimits | None = None,
    ) -> None:
        """``max_message_bytes`` and ``shorten`` (how to shorten records) are by topic."""
        self._max = dict(max_message_bytes or {})
        self._shorten = shorten or {}
        self._read = read

    def batch_bytes(self, topic: str) -> int:
        """Return the maximum size of a batch for this topic."""
        return min(MAX_BATCH_BYTES, self._max.get(topic, MAX_BATCH_BYTES))

    async def refresh(self, topics: Sequence[str]) -> Mapping[str, int]:
        """Read and return these topics' limits; empty if the broker does not say."""
        if self._read is None:
            return {}
        try:
            found = await self._read(topics)
        except BrokersUnavailableError as error:
            log.warning(
                "max.message.bytes of the topics could not be read: %s A batch that is too large "
                "is halved until its topic takes it.",
                error,
            )
            return {}
        self._max.update(found)
        return found

    def fitted(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes | None]],
        limit: int | None = None,
    ) -> bytes | None:
        """Return the value, shortened if its record fits no batch of the topic and that helps.

        ``limit``: the size of the batch, if the topic's own limit is not known.
        """
        shorten = self._shorten.get(topic)
        if shorten is None or value is None:
            return value
        room = (self.batch_bytes(topic) if limit is None else limit) - BATCH_OVERHEAD_BYTES
        excess = record_bytes(key, value, headers) - room
        if excess <= 0:
            return value
        shorter = shorten(value, len(value) - excess)
        return value if shorter is None else shorter


def record_bytes(
    key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]]
) -> int:
    """Return how many bytes this record takes in a batch, at most."""
    alone: int = DefaultRecordBatchBuilder.estimate_size_in_bytes(key, value, list(headers))
    return alone - BATCH_OVERHEAD_BYTES
