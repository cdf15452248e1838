"""The one reader of topics: from one offset to another, without a consumer group."""

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from streams.core.errors import SetupError
from streams.engine.authorized import hidden_topics, hidden_words
from streams.kafka.connection import admin, consumer_options
from streams.kafka.topic_search import BytePattern, FoundRecord, Keep, TopicSearch
from streams.settings import KafkaSettings

STALL_SECONDS = 60.0
"""Reading gives up when nothing has come for so long."""

FETCH_BYTES = 4 * 1024 * 1024
"""Of a partition, at once."""
BATCH_RECORDS, SMALL_BATCH_RECORDS = 20_000, 500
NEAR_OFFSETS = 5_000
"""Records so close to each other are read in one go."""

COMMIT_TRIES, COMMIT_RETRY_SECONDS = 30, 0.5
"""How long the coordinator of a group may take to be found."""

Offsets = dict[TopicPartition, int]
Tell = Callable[[str, int, int], None]
"""Called with (topic, offsets read, offsets to read) while it reads."""


def silent(_topic: str, _read: int, _total: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Commit:
    """What a group has committed for one partition."""

    offset: int
    metadata: str


class RangeReader:
    """Ends and records of partitions that are known to exist; one reading at a time."""

    def __init__(self, consumer: AIOKafkaConsumer, batch: int = BATCH_RECORDS) -> None:
        self._consumer = consumer
        self._batch = batch

    async def starts(self, tps: Sequence[TopicPartition], since_ms: int | None = None) -> Offsets:
        """Return the first offset of each log, or the first that may be as late as ``since_ms``."""
        starts: Offsets = await self._consumer.beginning_offsets(tps) if tps else {}
        if since_ms is None or not tps:
            return starts
        ends = await self.ends(tps)
        found = await self.at(dict.fromkeys(tps, since_ms))
        return {
            tp: max(start, ends[tp] if (at := found[tp]) is None else at)
            for tp, start in starts.items()
        }

    async def at(self, times: Mapping[TopicPartition, int]) -> dict[TopicPartition, int | None]:
        """Return the first offset of each log that may be as late as its time (ms); None: none is.

        One request a leader; ``starts`` knows about logs' beginnings besides.
        """
        if not times:
            return {}
        wanted = {tp: max(0, ms) for tp, ms in times.items()}
        found = await self._consumer.offsets_for_times(wanted)
        return {tp: None if found.get(tp) is None else found[tp].offset for tp in times}

    async def ends(self, tps: Iterable[TopicPartition]) -> Offsets:
        """Return where each log ends for readers of committed transactions."""
        wanted = list(tps)
        return dict(await self._consumer.end_offsets(wanted)) if wanted else {}

    def open(self, starts: Offsets) -> None:
        """Begin to read these partitions piece by piece with ``fetch``, in place of others."""
        self._consumer.assign(list(starts))
        for tp, start in starts.items():
            self._consumer.seek(tp, start)

    async def fetch(
        self, tps: Sequence[TopicPartition], max_records: int, wait_ms: int = 200
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        """Return the next records of these opened partitions, soon; none where none has come."""
        found = await self._consumer.getmany(*tps, timeout_ms=wait_ms, max_records=max_records)
        return dict(found)

    async def position(self, tp: TopicPartition) -> int:
        """Return up to where an opened partition was taken, over markers and gaps, too."""
        return int(await self._consumer.position(tp))

    async def read(
        self, starts: Offsets, ends: Offsets, tell: Tell = silent
    ) -> AsyncGenerator[tuple[TopicPartition, list[ConsumerRecord]], None]:
        """Yield the records of each partition from its start to its end, in batches, in order.

        Who lowers an end meanwhile has read enough of that partition. Raises SetupError where
        nothing comes for long.
        """
        open_ = {tp for tp in ends if starts[tp] < ends[tp]}
        if not open_:
            return
        total = sum(ends[tp] - starts[tp] for tp in open_)
        at = dict(starts)
        self._consumer.assign(list(open_))
        for tp in open_:
            self._consumer.seek(tp, starts[tp])
        loop = asyncio.get_running_loop()
        progress_at = loop.time()
        while open_:
            batches = await self._consumer.getmany(*open_, timeout_ms=500, max_records=self._batch)
            for tp, records in batches.items():
                yield tp, [r for r in records if r.offset < ends[tp]]
            for tp in list(open_):
                # Positions move over transaction markers and compacted records, records do not.
                position = await self._consumer.position(tp)
                if position != at[tp]:
                    at[tp], progress_at = position, loop.time()
                if position >= ends[tp]:
                    open_.discard(tp)
                    self._consumer.pause(tp)
            read = sum(min(at[tp], ends[tp]) - starts[tp] for tp in starts if starts[tp] < ends[tp])
            tell(next(iter(starts)).topic, read, total)
            if open_ and loop.time() - progress_at > STALL_SECONDS:
                raise stalled(open_)

    async def read_at(
        self, tp: TopicPartition, offsets: Iterable[int]
    ) -> dict[int, ConsumerRecord]:
        """Return the records at these offsets of a partition, as far as they are still there."""
        begin, end = (await self.starts([tp]))[tp], (await self.ends([tp]))[tp]
        groups: list[list[int]] = []
        for offset in sorted({offset for offset in offsets if begin <= offset < end}):
            if groups and offset - groups[-1][-1] <= NEAR_OFFSETS:
                groups[-1].append(offset)
            else:
                groups.append([offset])
        found: dict[int, ConsumerRecord] = {}
        for group in groups:
            wanted = set(group)
            async for _, records in self.read({tp: group[0]}, {tp: group[-1] + 1}):
                found |= {record.offset: record for record in records if record.offset in wanted}
        return found

    async def first_times(self, offsets: Offsets) -> dict[TopicPartition, int]:
        """Return the Kafka time (ms) of the first record from each offset on, where there is one.

        Raises SetupError where nothing comes for long.
        """
        ends, found = await self.ends(offsets), dict[TopicPartition, int]()
        async for tp, records in self.read(offsets, ends):
            if records:
                found[tp], ends[tp] = records[0].timestamp, 0
        return found

    async def search(
        self,
        starts: Offsets,
        ends: Offsets,
        byte_pattern: BytePattern,
        tell: Tell = silent,
        keep: Keep | None = None,
    ) -> AsyncGenerator[list[FoundRecord], None]:
        """Yield the records of the batches that have the pattern; see ``TopicSearch.find``."""
        tps = [tp for tp in starts if starts[tp] < ends[tp]]
        if not tps:
            return
        await self._consumer._client.set_topics({tp.topic for tp in tps})
        begins = await self.starts(tps)
        async for found in TopicSearch(self._consumer._client).find(
            {tp: max(starts[tp], begins[tp]) for tp in tps},
            {tp: ends[tp] for tp in tps},
            byte_pattern,
            tell,
            keep=keep,
        ):
            yield found


class LogReader(RangeReader):
    """Topics, too, and what groups have committed."""

    def __init__(
        self, consumer: AIOKafkaConsumer, admin: AIOKafkaAdminClient, batch: int = BATCH_RECORDS
    ) -> None:
        super().__init__(consumer, batch)
        self._admin = admin

    async def partitions(
        self, topics: Iterable[str], needed: Iterable[str] = ()
    ) -> dict[str, list[TopicPartition]]:
        """Return the partitions of each topic; none for one that does not exist.

        Raises SetupError for one of ``needed`` that does not exist, and for one that this user may
        not describe.
        """
        found: dict[str, list[TopicPartition]] = {topic: [] for topic in topics}
        # Asking for a topic by name would create it where the brokers do so on their own.
        for entry in await self._admin.describe_topics():
            if entry["topic"] in found:
                numbers = sorted(p["partition"] for p in entry["partitions"])
                found[entry["topic"]] = [TopicPartition(entry["topic"], n) for n in numbers]
        absent = [name for name, tps in found.items() if not tps]
        if hidden := await hidden_topics(self._admin, absent):
            raise SetupError("\n".join(map(hidden_words, hidden)))
        require(needed, found)
        # Otherwise it learns where each topic lies by itself, a tenth of a second one by one.
        await self._consumer._client.set_topics([name for name, tps in found.items() if tps])
        return found

    async def own(self, topic: str) -> list[TopicPartition]:
        """Return the partitions of a topic of the relay; raises SetupError if there is none."""
        tps = (await self.partitions([topic]))[topic]
        if not tps:
            raise SetupError(
                f"The topic {topic} does not exist. Create it with: streams topics create"
            )
        return tps

    async def read_topic(
        self, topic: str, since_ms: int | None = None, tell: Tell = silent
    ) -> AsyncGenerator[tuple[TopicPartition, list[ConsumerRecord]], None]:
        """Yield the records of a topic to its ends as they are now; see ``read``."""
        tps = (await self.partitions([topic]))[topic]
        ends = await self.ends(tps)
        async for batch in self.read(await self.starts(tps, since_ms), ends, tell):
            yield batch

    async def commits(
        self, group: str, tps: Sequence[TopicPartition]
    ) -> dict[TopicPartition, Commit]:
        """Return what a group has committed; partitions without a commit are left out.

        Raises SetupError where the brokers do not say: no answer is not the answer "nothing".
        """
        reason = "its coordinator does not answer"
        for _ in range(COMMIT_TRIES):
            try:
                found = await self._admin.list_consumer_group_offsets(group, partitions=list(tps))
            except KafkaError as error:
                # A coordinator that is just starting; the first group ever asked for makes one.
                reason = str(error)
            else:
                # On an error about the whole group aiokafka returns no partitions and says nothing.
                if all(tp in found for tp in tps):
                    return {
                        tp: Commit(found[tp].offset, found[tp].metadata)
                        for tp in tps
                        if found[tp].offset >= 0
                    }
            await asyncio.sleep(COMMIT_RETRY_SECONDS)
        raise SetupError(
            f"The committed offsets of group {group} cannot be read ({reason}). Look at the "
            "brokers and at what this user may read, then try again."
        )


class Following:
    """Partitions that are read again and again, each time from where the last reading ended."""

    def __init__(self, starts: Offsets) -> None:
        self._next = dict(starts)

    async def news(
        self, reader: RangeReader, tell: Tell = silent
    ) -> AsyncGenerator[list[ConsumerRecord], None]:
        """Yield what has come since, to the ends as they are now."""
        ends = await reader.ends(self._next)
        # A log that is shorter than what was read of it began anew: its topic was recreated.
        self._next = {tp: at if at <= ends[tp] else 0 for tp, at in self._next.items()}
        async for _, records in reader.read(self._next, ends, tell):
            yield records
        self._next = {tp: max(at, ends[tp]) for tp, at in self._next.items()}


def require(topics: Iterable[str], found: Mapping[str, Sequence[TopicPartition]]) -> None:
    """Raise SetupError for those of these topics that have no partitions."""
    if missing := [topic for topic in topics if not found[topic]]:
        raise SetupError(
            f"Topics are missing: {', '.join(missing)}. Create them with: streams topics create"
        )


def stalled(tps: Iterable[TopicPartition]) -> SetupError:
    """Return the error of a reading for which nothing comes from these partitions."""
    names = ", ".join(sorted(f"{tp.topic}/{tp.partition}" for tp in tps))
    return SetupError(
        f"Reading stopped: nothing came from {names} for {STALL_SECONDS:.0f} s. "
        "Check the brokers that lead these partitions, then try again."
    )


class _ReadAtStart:
    """What this process has read to take up partitions: the watchdog sees that it goes on."""

    records = 0

    def counted(self) -> Tell:
        """Return a callback for one reading."""
        before = self.records

        def tell(_topic: str, read: int, _total: int) -> None:
            self.records = before + read

        return tell


read_at_start = _ReadAtStart()


@asynccontextmanager
async def _consumer(options: Mapping[str, Any], **more: Any) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        **options,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        **more,
    )
    try:
        await consumer.start()
        # Stopping it before its own tasks have begun raises CancelledError.
        await asyncio.sleep(0)
        yield consumer
    finally:
        await consumer.stop()


@asynccontextmanager
async def connect_ranges(
    client_options: Mapping[str, Any], client_id: str = "streams-reader"
) -> AsyncIterator[RangeReader]:
    """Connect for reading partitions that are known to exist; raises KafkaError.

    It asks often, for those who wait for little.
    """
    async with _consumer(client_options, client_id=client_id, fetch_max_wait_ms=50) as consumer:
        yield RangeReader(consumer)


@asynccontextmanager
async def connect(kafka: KafkaSettings, fetch_bytes: int | None = None) -> AsyncIterator[LogReader]:
    """Connect for reading; raises SetupError where the brokers do not answer or refuse.

    ``fetch_bytes``: read in small pieces, of each partition at most so many bytes at once.
    """
    at_once = fetch_bytes or FETCH_BYTES
    batch = SMALL_BATCH_RECORDS if fetch_bytes else BATCH_RECORDS
    more = {"max_partition_fetch_bytes": at_once, "fetch_max_bytes": 4 * at_once}
    async with admin(kafka) as client:
        try:
            async with _consumer(consumer_options(kafka), **more) as consumer:
                yield LogReader(consumer, client, batch)
        except KafkaError as error:
            raise SetupError(
                f"Reading from Kafka at {kafka.bootstrap_servers} failed: {error}. Check what this "
                "user may read, then try again."
            ) from error
