"""Reading topics from one offset to another, without a consumer group."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from streams.core.errors import SetupError
from streams.engine.authorized import hidden_topics, hidden_words
from streams.kafka.connection import admin, consumer_options
from streams.settings import KafkaSettings

STALL_SECONDS = 60.0
"""Reading gives up when nothing has come for so long."""

FETCH_BYTES = 4 * 1024 * 1024
"""Of a partition, at once."""
BATCH_RECORDS, SMALL_BATCH_RECORDS = 20_000, 500

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


class LogReader:
    """Ends, commits and records of topics; one reading at a time."""

    def __init__(
        self, consumer: AIOKafkaConsumer, admin: AIOKafkaAdminClient, batch: int = BATCH_RECORDS
    ) -> None:
        self._consumer = consumer
        self._admin = admin
        self._batch = batch

    async def partitions(self, topics: Iterable[str]) -> dict[str, list[TopicPartition]]:
        """Return the partitions of each topic; none for one that does not exist.

        Raises SetupError for one that this user may not describe.
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
        # Otherwise it learns where each topic lies by itself, a tenth of a second one by one.
        await self._consumer._client.set_topics([name for name, tps in found.items() if tps])
        return found

    async def starts(self, tps: Sequence[TopicPartition], since_ms: int | None = None) -> Offsets:
        """Return the first offset of each log, or the first that may be as late as ``since_ms``."""
        starts: Offsets = await self._consumer.beginning_offsets(tps) if tps else {}
        if since_ms is None or not tps:
            return starts
        ends = await self.ends(tps)
        found = await self._consumer.offsets_for_times(dict.fromkeys(tps, max(0, since_ms)))
        return {
            tp: max(start, found[tp].offset if found.get(tp) is not None else ends[tp])
            for tp, start in starts.items()
        }

    async def at(self, tps: Sequence[TopicPartition], ms: int) -> dict[TopicPartition, int | None]:
        """Return the first offset of each log that may be as late as ``ms``; None: there is none.

        One request a leader; ``starts`` knows about logs' beginnings besides.
        """
        if not tps:
            return {}
        found = await self._consumer.offsets_for_times(dict.fromkeys(tps, max(0, ms)))
        return {tp: None if found.get(tp) is None else found[tp].offset for tp in tps}

    async def ends(self, tps: Sequence[TopicPartition]) -> Offsets:
        """Return where each log ends for readers of committed transactions."""
        return dict(await self._consumer.end_offsets(tps)) if tps else {}

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

    def open(self, starts: Offsets) -> None:
        """Begin to read these partitions piece by piece with ``take``, in place of others."""
        self._consumer.assign(list(starts))
        for tp, start in starts.items():
            self._consumer.seek(tp, start)

    async def take(
        self, tps: Sequence[TopicPartition], max_records: int
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        """Return the next records of these opened partitions, soon; none where none has come."""
        found = await self._consumer.getmany(*tps, timeout_ms=200, max_records=max_records)
        return dict(found)

    async def position(self, tp: TopicPartition) -> int:
        """Return up to where an opened partition was taken, over markers and gaps, too."""
        return int(await self._consumer.position(tp))

    async def read(
        self, starts: Offsets, ends: Offsets, tell: Tell
    ) -> AsyncGenerator[tuple[TopicPartition, list[ConsumerRecord]], None]:
        """Yield the records of each partition from its start to its end, in batches, in order."""
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


def stalled(tps: Iterable[TopicPartition]) -> SetupError:
    """Return the error of a reading for which nothing comes from these partitions."""
    names = ", ".join(sorted(f"{tp.topic}/{tp.partition}" for tp in tps))
    return SetupError(
        f"Reading stopped: nothing came from {names} for {STALL_SECONDS:.0f} s. "
        "Look at the brokers that lead these partitions, then try again."
    )


@asynccontextmanager
async def connect(kafka: KafkaSettings, fetch_bytes: int | None = None) -> AsyncIterator[LogReader]:
    """Connect for reading; raises SetupError where the brokers do not answer or refuse.

    ``fetch_bytes``: read in small pieces, of each partition at most so many bytes at once.
    """
    async with admin(kafka) as client:
        consumer = AIOKafkaConsumer(
            **consumer_options(kafka),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_partition_fetch_bytes=fetch_bytes or FETCH_BYTES,
            fetch_max_bytes=4 * (fetch_bytes or FETCH_BYTES),
        )
        try:
            await consumer.start()
            yield LogReader(consumer, client, SMALL_BATCH_RECORDS if fetch_bytes else BATCH_RECORDS)
        except KafkaError as error:
            raise SetupError(
                f"Reading from Kafka at {kafka.bootstrap_servers} failed: {error}. Check what this "
                "user may read, then try again."
            ) from error
        finally:
            await consumer.stop()
