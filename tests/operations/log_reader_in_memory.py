"""Topics in memory behind the seam of ``LogReader``: one partition each, gaps allowed."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from aiokafka import ConsumerRecord, TopicPartition

from streams.kafka.reader import Commit, LogReader, Offsets, Tell, silent


def record(
    topic: str,
    offset: int,
    value: bytes | None,
    key: bytes | None = b"anna",
    *,
    at_ms: int = 1_777_622_400_000,
    headers: Mapping[str, str] | None = None,
) -> ConsumerRecord[Any, Any]:
    """A record of partition 0."""
    shown = [(name, text.encode()) for name, text in (headers or {}).items()]
    return ConsumerRecord(topic, 0, offset, at_ms, 0, key, value, None, 0, 0, tuple(shown))


class LogsInMemory:
    """Some topics; ``starts`` says what retention has deleted."""

    def __init__(self, *records: ConsumerRecord[Any, Any], starts: Mapping[str, int] | None = None):
        self.logs: dict[str, dict[int, ConsumerRecord[Any, Any]]] = {}
        self.log_starts = dict(starts or {})
        self.committed: dict[tuple[str, str], Commit] = {}
        for one in records:
            self.logs.setdefault(one.topic, {})[one.offset] = one

    read_at: Any = LogReader.read_at
    read_topic: Any = LogReader.read_topic

    async def partitions(
        self,
        topics: Sequence[str],
        needed: Sequence[str] = (),  # noqa: ARG002
    ) -> dict[str, list[TopicPartition]]:
        """Every topic has one partition."""
        return {topic: [TopicPartition(topic, 0)] for topic in topics}

    async def starts(self, tps: Sequence[TopicPartition], since_ms: int | None = None) -> Offsets:
        """As a broker answers: the first that is late enough, else the end."""
        found = {}
        for tp in tps:
            start = self.log_starts.get(tp.topic, 0)
            if since_ms is not None:
                late = [
                    offset
                    for offset, one in self.logs.get(tp.topic, {}).items()
                    if offset >= start and one.timestamp >= since_ms
                ]
                start = min(late, default=self._end(tp.topic))
            found[tp] = start
        return found

    async def ends(self, tps: Sequence[TopicPartition]) -> Offsets:
        """One beyond the last record."""
        return {tp: self._end(tp.topic) for tp in tps}

    async def commits(
        self, group: str, tps: Sequence[TopicPartition]
    ) -> dict[TopicPartition, Commit]:
        """What was set in ``committed``."""
        return {
            tp: self.committed[group, tp.topic] for tp in tps if (group, tp.topic) in self.committed
        }

    async def read(
        self, starts: Offsets, ends: Offsets, tell: Tell = silent
    ) -> AsyncIterator[tuple[TopicPartition, list[ConsumerRecord[Any, Any]]]]:
        """Yield what retention has left of these ranges."""
        for tp, end in ends.items():
            first = max(starts[tp], self.log_starts.get(tp.topic, 0))
            log = self.logs.get(tp.topic, {})
            found = [log[offset] for offset in sorted(log) if first <= offset < end]
            if found:
                yield tp, found
            tell(tp.topic, end, end)

    def _end(self, topic: str) -> int:
        log = self.logs.get(topic, {})
        return max([*(offset + 1 for offset in log), self.log_starts.get(topic, 0)])
