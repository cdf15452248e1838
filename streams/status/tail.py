"""``streams.status`` followed live by a worker itself: one assigned partition, no group."""

import logging
from collections.abc import Callable
from contextlib import AsyncExitStack

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from streams.kafka.connection import consumer_options
from streams.kafka.reader import RangeReader, connect_ranges
from streams.settings import KafkaSettings
from streams.status.status import LOOK_BACK_MS, StatusBoard

log = logging.getLogger("streams.status")

QUIET_MS = 150
"""Nothing for so long, and the end of the topic is reached: a backlog comes without a wait."""
_READINGS = 20
"""A bound on how often one refresh asks for more."""


class StatusTail:
    """Keeps a board up to date; every refresh reads what has come since the last."""

    def __init__(self, kafka: KafkaSettings, topic: str, wall_ms: Callable[[], int]) -> None:
        self.board = StatusBoard()
        self._kafka = kafka
        self._tp = TopicPartition(topic, 0)
        self._wall_ms = wall_ms
        self._reader: RangeReader | None = None
        self._connection = AsyncExitStack()
        self._heard_ms = wall_ms()

    def silent_seconds(self) -> float:
        """Return since when nothing has come from the topic."""
        return max(0, self._wall_ms() - self._heard_ms) / 1000

    async def refresh(self) -> None:
        """Read to the topic's end; a broker that does not answer is asked again next time."""
        try:
            reader = await self._connected()
            for _ in range(_READINGS):
                records = (await reader.fetch([self._tp], 5_000, QUIET_MS)).get(self._tp)
                if not records:
                    self.board.is_live = True
                    return
                self._heard_ms = self._wall_ms()
                self.board.apply_all(records, self._heard_ms)
        except KafkaError as error:
            log.warning("the status topic cannot be read: %s", error)
            self._reader, self.board.is_live = None, False
            await self._connection.aclose()

    async def _connected(self) -> RangeReader:
        if self._reader is None:
            connecting = connect_ranges(consumer_options(self._kafka), "streams-status")
            reader = await self._connection.enter_async_context(connecting)
            found = await reader.at({self._tp: self._wall_ms() - LOOK_BACK_MS})
            ends = await reader.ends([self._tp])
            reader.open({tp: ends[tp] if at is None else at for tp, at in found.items()})
            self._reader = reader
        return self._reader
