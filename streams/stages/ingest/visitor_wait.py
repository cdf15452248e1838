"""Records without a visitor wait until a row names it, or until no row can any more.

An order of the shop's server may come before the row that names its visitor. The records of its
topic wait with it, so that their order stays; other topics go on. An old record only waits until
the rows of its time are read.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf

from aiokafka.errors import KafkaError
from faust.types import TP

from streams.core.ingest.outcomes import IngestOutcome, IngestRefusal
from streams.core.ingest.section import NOT_KNOWN
from streams.core.ingest.topic_mapping import TopicMapping
from streams.core.ingest.visitors import VisitorIndex
from streams.core.outcome import DeadLetterReason
from streams.core.topics import Topics
from streams.engine.app import StageApp
from streams.engine.backlog import oldest_by_partition
from streams.engine.chunks import Chunk, Record
from streams.engine.freshness import LONG_TRANSACTION_SECONDS
from streams.engine.tables import FollowedTopic
from streams.engine.wall_clock import ForwardTime, elapsed

VISITOR_SECONDS = 30.0
"""How long after a record, by Kafka times, a row may still name its visitor."""
LOOK_SECONDS = 0.5
"""How often waiting records are looked at."""
NOT_JOINED = (
    "later records are not read, and records whose visitor they name become dead letters "
    f"(unknown_visitor) {VISITOR_SECONDS:.0f} s after their Kafka time"
)
"""What happens while an open transaction hides records or rows that name visitors."""


class VisitorWait:
    """What one worker knows of visitors, and what waits for it."""

    def __init__(
        self,
        app: StageApp,
        topics: Topics,
        mappings: Iterable[TopicMapping],
        visitors: VisitorIndex,
        *,
        partitions: Mapping[str, int],
        read: Callable[[TopicMapping, int, Record], Sequence[IngestOutcome]],
        wall_ms: Callable[[], int],
    ) -> None:
        """Read both tables whole before the stage begins, and follow them.

        ``read`` returns what comes of a record of a partition.
        """
        self.waiting: set[str] = set()
        """Topics of the shop whose records wait."""
        self._app = app
        self._read = read
        self._now_ms = ForwardTime(wall_ms).now_ms
        self._tables = [TP(topic, n) for topic in topics.of_join for n in range(partitions[topic])]
        rows = {
            topics.users: ("users", visitors.apply_user, lambda: visitors.users),
            topics.visitors: ("visitors", visitors.apply_link, lambda: visitors.links),
        }
        for topic in topics.of_join:
            name, apply_row, size = rows[topic]
            app.new_table(
                FollowedTopic,
                name,
                topic=topic,
                partitions=partitions[topic],
                hidden_rows=NOT_JOINED,
                apply_row=apply_row,
                size=size,
            )
        mappings = list(mappings)
        self._joined = {one.topic for one in mappings if any(s.visitor_from for s in one.sections)}
        rows_of = ("users", "visitors")
        # Those that wait themselves are left out: two of them would wait for each other.
        naming = {m.topic for m in mappings if any(s.to in rows_of for s in m.sections)}
        self._naming = [
            TP(topic, n)
            for topic in sorted(naming - self._joined)
            for n in range(partitions[topic])
        ]
        """The partitions of the shop's topics that name visitors."""

    async def until_known(self, mapping: TopicMapping, chunks: Sequence[Chunk]) -> None:
        """Return once these records have visitors or no row can name them, or all are revoked."""
        if mapping.topic not in self._joined:
            return
        now_ms, written_at = self._now_ms(), None
        waiting = [
            (min(record.timestamp, now_ms) + VISITOR_SECONDS * 1000, chunk.tp.partition, record)
            for chunk in chunks
            for record in chunk.value
        ]
        try:
            while True:
                waiting = [one for one in waiting if self._lacks_visitor(mapping, *one[1:])]
                if not waiting or not any(map(self._app.consumer.is_in_hand, chunks)):
                    return
                self.waiting.add(mapping.topic)
                if written_at is not None:
                    if self._are_rows_known(written_at):
                        return
                elif await self._is_written(max(until_ms for until_ms, *_ in waiting)):
                    written_at = elapsed()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            self.waiting.discard(mapping.topic)

    def names_visitors(self, tp: TP) -> bool:
        """Return whether records of this partition may say whose others are."""
        return tp in self._naming

    def _lacks_visitor(self, mapping: TopicMapping, partition: int, record: Record) -> bool:
        return any(
            isinstance(one, IngestRefusal)
            and one.error.reason == DeadLetterReason.UNKNOWN_VISITOR
            and one.error.cause == NOT_KNOWN
            for one in self._read(mapping, partition, record)
        )

    async def _is_written(self, until_ms: float) -> bool:
        """Return whether all that names visitors up to this Kafka time is written as rows."""
        consumer = self._app.consumer
        if self._written_until_ms() < until_ms:
            return False
        others = [tp for tp in self._naming if tp not in consumer.offset_trackers]
        if not others:
            return True
        try:
            commits = await consumer.thread.committed(others)
            first_after = await consumer.thread.offsets_at(others, int(until_ms))
        except KafkaError:
            return False  # it is asked again
        return all(
            max(at.offset or 0, at.log_start) >= first_after.get(tp, at.log_end)
            for tp, at in commits.items()
        )

    def _written_until_ms(self) -> float:
        """Return up to which Kafka time this worker has written the rows of its own partitions."""
        consumer = self._app.consumer
        oldest = oldest_by_partition(consumer)
        until_ms: float = self._now_ms()
        for tp in consumer.offset_trackers:
            if tp not in self._naming:
                continue
            if (record := oldest.get(tp)) is not None:
                until_ms = min(until_ms, record.timestamp)
                continue
            read, end = consumer.read_below(tp), consumer.highwater(tp)
            if read is not None and end is not None and read >= end:
                continue
            hidden = self._app.hidden_seconds(tp)
            if not hidden:
                return -inf  # there is more that is not fetched
            if hidden < LONG_TRANSACTION_SECONDS:
                until_ms = min(until_ms, self._now_ms() - hidden * 1000)
        return until_ms

    def _are_rows_known(self, written_at: float) -> bool:
        """Return whether this worker has all rows that were written by then, or can read."""
        since = elapsed() - written_at
        return all(
            self._app.row_delay(*tp) < since
            or self._app.hidden_seconds(tp) >= LONG_TRANSACTION_SECONDS
            for tp in self._tables
        )
