"""Warns before retention deletes records that are not settled."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code
from faust.types import TP

from streams.engine import wall_clock
from streams.engine.backlog import oldest_by_partition

log = logging.getLogger("streams.engine")

ANNOUNCED_FROM = 0.8
"""Of a topic's ``retention.ms``."""
READ_SECONDS = 60.0
LOOK_SECONDS = 1.0
LOG_SECONDS = 3_600.0
ANSWER_SECONDS = 10.0
_FOR_EVER = -1
"""Kafka's value for keeping everything."""
_POLICY = "cleanup.policy"


@dataclass(frozen=True, slots=True)
class NearExpiry:
    """A topic with open records that may soon be deleted; the worst of its partitions."""

    topic: str
    partition: int
    age_ms: int
    """The age of its oldest open record."""
    retention_ms: int
    partitions: int
    """How many of this worker's partitions of the topic are affected."""

    def sentence(self) -> str:
        """Return what will happen, when, and what to do."""
        left = self.retention_ms - self.age_ms
        when = f"in {_time(left)}" if left > 0 else "at any moment"
        others = f" ({self.partitions} partitions are as late)" if self.partitions > 1 else ""
        return (
            f"{self.topic} partition {self.partition}{others}: the oldest record that is not "
            f"settled is {_time(self.age_ms)} old, and retention may delete it {when}. Remove what "
            f"it waits for, or give the topic more time than its retention.ms of "
            f"{self.retention_ms} ({_time(self.retention_ms)}) with Kafka's own tools."
        )


def near_expiry(
    oldest_ms: Mapping[TP, int], retention_ms: Mapping[str, int], now_ms: int
) -> list[NearExpiry]:
    """Return the topics whose oldest open record is near the end of its retention, by name.

    ``oldest_ms``: by partition, the Kafka time of the oldest open record.
    ``retention_ms``: by topic; without topics that keep everything.
    """
    late: dict[str, list[tuple[int, int]]] = {}
    for tp, written_ms in oldest_ms.items():
        age = now_ms - written_ms
        if tp.topic in retention_ms and age >= ANNOUNCED_FROM * retention_ms[tp.topic]:
            late.setdefault(tp.topic, []).append((age, tp.partition))
    return [
        NearExpiry(topic, max(found)[1], max(found)[0], retention_ms[topic], len(found))
        for topic, found in sorted(late.items())
    ]


class TopicRetention(NamedTuple):
    """What Kafka deletes of a topic with records of ours."""

    keep_ms: int
    """``retention.ms``; -1: nothing is deleted by age."""
    is_compacted: bool


def compacted_words(topic: str) -> str:
    """Return what is wrong with a topic of events that is compacted, and what to do."""
    return (
        f"{topic} is compacted, so Kafka keeps only the newest of a visitor's events on it, and "
        "what it removes unread is lost and counted nowhere: set its cleanup.policy to delete with "
        "Kafka's own tools."
    )


class RetentionWatch:
    """Watches the retention of one worker's topics."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._retention_ms: dict[str, int] = {}
        self._compacted: list[str] = []
        self._known: set[str] = set()
        self._logged_at: dict[str, float] = {}

    def sentences(self) -> list[str]:
        """Return the warnings, for each topic at most one of a kind."""
        return [text for _, text in self._warnings()]

    def _warnings(self) -> list[tuple[str, str]]:
        """Return them with what tells them apart when they are said again."""
        late = [(found.topic, found.sentence()) for found in self._near_expiry()]
        compacted = [(text, text) for text in map(compacted_words, self._compacted)]
        return compacted + late

    def used(self) -> dict[str, float]:
        """Return, by topic, the age of its oldest open record as a part of its retention."""
        consumer = self._app.started_consumer
        found = dict.fromkeys(self._retention_ms, 0.0)
        if consumer is None:
            return found
        now_ms = wall_clock.now_ms()
        for tp, record in oldest_by_partition(consumer).items():
            if tp.topic in found:
                part = (now_ms - record.timestamp) / max(1, self._retention_ms[tp.topic])
                found[tp.topic] = max(found[tp.topic], part)
        return found

    async def run(self) -> None:
        """Read the topics' retention regularly, and log each warning once an hour."""
        read_at = -READ_SECONDS
        while True:
            consumer = self._app.started_consumer
            topics = set() if consumer is None else {tp.topic for tp in consumer.offset_trackers}
            now = monotonic()
            if topics and (now - read_at >= READ_SECONDS or topics - self._known):
                read_at = now
                await self._read(topics)
            for name, text in self._warnings():
                if now - self._logged_at.get(name, -LOG_SECONDS) >= LOG_SECONDS:
                    self._logged_at[name] = now
                    log.warning(text)
            await asyncio.sleep(LOOK_SECONDS)

    def _near_expiry(self) -> list[NearExpiry]:
        consumer = self._app.started_consumer
        if consumer is None or not self._retention_ms:
            return []
        oldest = {tp: record.timestamp for tp, record in oldest_by_partition(consumer).items()}
        return near_expiry(oldest, self._retention_ms, wall_clock.now_ms())

    async def _read(self, topics: set[str]) -> None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                found = await read_retention(self._app.options.client_options, topics)
        except (KafkaError, OSError, TimeoutError) as error:
            if not topics <= self._known:
                log.warning(
                    "the retention of %s cannot be read, so nothing warns before Kafka deletes "
                    "records: %r",
                    ", ".join(sorted(topics)),
                    error,
                )
            self._known |= topics
            return
        self._known |= topics
        self._retention_ms = {t: one.keep_ms for t, one in found.items() if one.keep_ms > _FOR_EVER}
        may_be = self._app.stage.may_be_compacted
        self._compacted = sorted(
            t for t, one in found.items() if one.is_compacted and not may_be(t)
        )


async def read_retention(
    client_options: Mapping[str, Any], topics: Iterable[str]
) -> dict[str, TopicRetention]:
    """Return what Kafka deletes of these topics.

    Raises KafkaError if the broker does not say.
    """
    client = AIOKafkaAdminClient(**client_options, client_id="streams-retention")
    try:
        await client.start()
        wanted = [
            ConfigResource(ConfigResourceType.TOPIC, topic, {"retention.ms": "", _POLICY: ""})
            for topic in topics
        ]
        found = {}
        for response in await client.describe_configs(wanted):
            for code, message, _, name, entries in response.resources:
                if code:
                    raise for_code(code)(message)
                config = dict(entry[:2] for entry in entries)
                policy = (config.get(_POLICY) or "delete").split(",")
                keep = config.get("retention.ms") if "delete" in policy else None
                found[name] = TopicRetention(int(keep or _FOR_EVER), "compact" in policy)
        return found
    finally:
        await client.close()


def _time(ms: int) -> str:
    """Return a duration for people, with at least two digits."""
    for unit, size in (("days", 86_400_000), ("h", 3_600_000), ("min", 60_000)):
        if ms >= 2 * size:
            return f"{ms / size:.1f} {unit}"
    return f"{ms / 1000:.0f} s"
