"""Records that name no visitor wait until it is known whose they are, or that nobody says it.

An order of the shop's server may come before the row that names its visitor. The records of its
topic wait with it, so that their order stays; other topics go on. Old records wait no longer than
it takes to read what other topics say of their time.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf

from streams.core.ingest.outcomes import IngestOutcome, IngestRefusal
from streams.core.ingest.section import NOT_KNOWN
from streams.core.ingest.topic_mapping import TopicMapping
from streams.core.ingest.visitors import VisitorIndex
from streams.core.outcome import DeadLetterReason
from streams.core.topics import Topics
from streams.engine.app import StageApp
from streams.engine.backlog import oldest_by_partition
from streams.engine.chunks import Chunk, Record
from streams.engine.wall_clock import ForwardTime, elapsed

VISITOR_SECONDS = 30.0
"""So long after a record, by Kafka times, its visitor may still become known."""
LOOK_SECONDS = 0.5
"""How often waiting records are looked at."""


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
        self._tables = [(topic, n) for topic in topics.of_join for n in range(partitions[topic])]
        app.follow(
            "users",
            topic=topics.users,
            partitions=partitions[topics.users],
            apply_row=visitors.apply_user,
            size=lambda: visitors.users,
        )
        if topics.visitors in topics.of_join:
            app.follow(
                "visitors",
                topic=topics.visitors,
                partitions=partitions[topics.visitors],
                apply_row=visitors.apply_link,
                size=lambda: visitors.links,
            )
        mappings = list(mappings)
        self._joined = {one.topic for one in mappings if any(s.visitor_from for s in one.sections)}
        tell = ("users", "visitors")
        # Those that wait themselves are left out: two of them would wait for each other.
        self._tellers = {m.topic for m in mappings if any(s.to in tell for s in m.sections)}
        self._tellers -= self._joined

    async def until_known(self, mapping: TopicMapping, chunks: Sequence[Chunk]) -> None:
        """Return once each visitor of these records is known, or nobody says it; or they are gone.

        They are gone where a rebalance has revoked all chunks.
        """
        if mapping.topic not in self._joined:
            return
        now_ms, told_ms = self._now_ms(), -inf
        written_ms, asked_at = self._written_until_ms(), elapsed()
        waiting = [
            (min(record.timestamp, now_ms) + VISITOR_SECONDS * 1000, chunk.tp.partition, record)
            for chunk in chunks
            for record in chunk.value
        ]
        try:
            while True:
                waiting = [
                    (until_ms, partition, record)
                    for until_ms, partition, record in waiting
                    if until_ms > told_ms and self._lacks_visitor(mapping, partition, record)
                ]
                if not waiting or not any(map(self._app.consumer.is_in_hand, chunks)):
                    return
                self.waiting.add(mapping.topic)
                await asyncio.sleep(LOOK_SECONDS)
                if self._tables_delay() < elapsed() - asked_at:
                    told_ms = written_ms  # and those rows are known by now
                    written_ms, asked_at = self._written_until_ms(), elapsed()
        finally:
            self.waiting.discard(mapping.topic)

    def _lacks_visitor(self, mapping: TopicMapping, partition: int, record: Record) -> bool:
        return any(
            isinstance(one, IngestRefusal)
            and one.error.reason == DeadLetterReason.UNKNOWN_VISITOR
            and one.error.cause == NOT_KNOWN
            for one in self._read(mapping, partition, record)
        )

    def _written_until_ms(self) -> float:
        """Return up to which Kafka time rows are written of what this worker's topics say."""
        consumer = self._app.consumer
        oldest = oldest_by_partition(consumer)
        until_ms: float = self._now_ms()
        for tp in consumer.offset_trackers:
            if tp.topic not in self._tellers:
                continue
            if (record := oldest.get(tp)) is not None:
                until_ms = min(until_ms, record.timestamp)
                continue
            fetched, end = consumer.thread.fetch_state(tp), consumer.highwater(tp)
            position = None if fetched is None else fetched.position
            if position is None or end is None or position < end:
                return -inf  # there is more that is not fetched
        return until_ms

    def _tables_delay(self) -> float:
        """Return since when (s) the rows of a partition are known that are known the worst."""
        return max(self._app.row_delay(topic, number) for topic, number in self._tables)
