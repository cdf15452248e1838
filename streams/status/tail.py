"""``streams.status`` followed live by a worker itself: one assigned partition, no group."""

import logging
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.kafka.connection import consumer_options
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
        self._consumer: AIOKafkaConsumer | None = None
        self._heard_ms = wall_ms()

    def silent_seconds(self) -> float:
        """Return since when nothing has come from the topic."""
        return max(0, self._wall_ms() - self._heard_ms) / 1000

    async def refresh(self) -> None:
        """Read to the topic's end; a broker that does not answer is asked again next time."""
        try:
            consumer = await self._connected()
            for _ in range(_READINGS):
                batches = await consumer.getmany(self._tp, timeout_ms=QUIET_MS, max_records=5_000)
                records = batches.get(self._tp, ())
                if not records:
                    return
                self._heard_ms = self._wall_ms()
                # Of each worker only the newest counts, so only that one is decoded.
                for record in {record.key: record for record in records}.values():
                    self.board.take(record.key, record.value)
        except KafkaError as error:
            log.warning("the status topic cannot be read: %s", error)
            await self.close()

    async def close(self) -> None:
        """Leave the broker."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    async def _connected(self) -> AIOKafkaConsumer:
        if self._consumer is not None:
            return self._consumer
        consumer = AIOKafkaConsumer(
            **consumer_options(self._kafka),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="latest",
            isolation_level="read_committed",
            client_id="streams-status",
        )
        try:
            await consumer.start()
            consumer.assign([self._tp])
            since = {self._tp: self._wall_ms() - LOOK_BACK_MS}
            found = (await consumer.offsets_for_times(since)).get(self._tp)
            if found is None:
                await consumer.seek_to_end(self._tp)
            else:
                consumer.seek(self._tp, found.offset)
        except BaseException:
            await consumer.stop()
            raise
        self._consumer = consumer
        return consumer
