"""Faust's consumer thread without a thread: aiokafka's consumer runs in the worker's event loop.

Faust uses a thread with its own loop, so that agents cannot delay heartbeats. Our agents return to
the loop after at most one chunk, some milliseconds. Each call between threads wakes a loop by a
socket, twice for each fetch and each commit. At the rate of a shop this was most of the CPU cost of
a worker, and under load two threads compete for the interpreter.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiokafka.consumer.consumer
import aiokafka.errors
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode import Service
from mode.utils.futures import maybe_async

from streams.engine.chunks import Record
from streams.engine.coordinator import Coordinator
from streams.engine.failure import SERVICE_LOG, FencedError, leave_deleted
from streams.engine.fetcher import Fetcher, FetchPace

ENDS_SECONDS = 2.0
"""Timeout for reading log ends, which are only shown."""


class FencedInstanceIdError(aiokafka.errors.BrokerResponseError):
    """Another consumer joined with the same instance id (aiokafka does not know this code)."""

    errno = 82
    message = "FENCED_INSTANCE_ID"
    description = "Another worker runs with the same stage, host and slot."


# Otherwise aiokafka reports it as UnknownError.
aiokafka.errors.kafka_errors[82] = FencedInstanceIdError
# Each consumer with a group creates one when it starts; a worker has one such consumer.
aiokafka.consumer.consumer.GroupCoordinator = Coordinator
# Every consumer creates one when it starts; without a pace it works as aiokafka's.
aiokafka.consumer.consumer.Fetcher = Fetcher


def _as_decoded(tp: Any, record: Any) -> Any:  # noqa: ARG001 - aiokafka's signature
    """Return the decoder's own record object.

    aiokafka wraps each record in a dataclass of eleven fields, which costs about 2 µs.
    """
    return record


async def _has_news(fetcher: Any, seconds: float) -> bool:
    """Wait at most this long for fetched records; raises aiokafka's errors."""
    waiter = fetcher._create_fetch_waiter()
    done, _ = await asyncio.wait([waiter], timeout=seconds)
    if not done:
        waiter.cancel()
        return False
    waiter.result()
    return True


@dataclass(slots=True)
class Fetched:
    """One fetch: records by partition, and the positions of the tables."""

    records: Mapping[TP, list[Record]]
    positions: dict[TP, int] = field(default_factory=dict)
    """Tables only: positions of partitions without buffered records."""
    ends: dict[TP, int] = field(default_factory=dict)
    """Tables only: the last known ends of their logs; -1: not known yet."""
    current_at: dict[TP, float] = field(default_factory=dict)
    """Tables only: up to when (``elapsed``, s) all is read, if that has changed."""


@dataclass(frozen=True, slots=True)
class Committed:
    """A group's commit on one partition, and the ends of its log."""

    offset: int | None
    metadata: str
    log_start: int
    log_end: int


@dataclass(frozen=True, slots=True)
class FetchState:
    """How far one partition is fetched."""

    position: int | None
    """None: not known yet."""
    answered_at: int
    """When the broker last responded for it, in ms since the epoch; 0: never."""
    is_buffered: bool
    """Whether fetched records are buffered."""
    hidden_since: float | None = None
    """Since when (``elapsed``, s) an open transaction hides the next records; None: none does."""


class LoopInPlaceOfThread:
    """A task in the worker's loop that Faust starts and stops like a thread."""

    def __init__(self, service: "ConsumerThread") -> None:
        self._service = service

    def start(self) -> None:
        """Start the task."""
        self._serving = asyncio.ensure_future(self._service._serve())
        # A failure has already crashed the app.
        self._serving.add_done_callback(lambda task: task.cancelled() or task.exception())

    def stop(self) -> None:
        """Do nothing: the service ends its own task."""


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread with fetches by wanted partitions and commits with metadata."""

    logger = SERVICE_LOG
    Worker = LoopInPlaceOfThread

    def __init__(self, *args: Any, loop: asyncio.AbstractEventLoop, **kwargs: Any) -> None:
        super().__init__(*args, loop=loop, thread_loop=loop, **kwargs)
        self._known_topics: set[str] = set()
        """Topics to be read that the brokers have named."""

    async def call_thread(self, fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call directly: there is no other loop."""
        return await maybe_async(fun(*args, **kwargs))

    async def _keepalive2(self) -> None:
        """Do nothing: there is no thread."""

    @Service.task
    async def _thread_keepalive(self) -> None:
        """Do nothing: the loop needs no wake-ups."""

    async def _gather_remaining_tasks(self) -> None:
        """Do nothing: the loop's other tasks belong to the worker."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Records of aborted transactions are neither events nor rows.
        consumer._isolation_level = "read_committed"
        consumer._client_rack = self.app.options.client_rack
        self.app.contact.listen(consumer._client)
        return consumer

    async def on_start(self) -> None:
        """Start aiokafka's consumer."""
        await super().on_start()
        fetcher = self._ensure_consumer()._fetcher
        fetcher.pace = FetchPace(self.app.options.gathering)
        fetcher.wanted_at = self.app.stage.records_wanted_at
        self.client.cluster.add_listener(self._on_metadata)

    def _on_metadata(self, cluster: Any) -> None:
        """End the process, before anything else is committed, if a topic to be read is gone."""
        unknown = self.unknown_topics()
        if gone := self._known_topics & unknown - cluster.unauthorized_topics:
            leave_deleted(gone)
        self._known_topics.update(set(self._topics()) - unknown)

    async def fetch(self, wanted: set[TP], tables: set[TP], seconds: float) -> Fetched:
        """Return buffered records of the wanted partitions; wait at most this long for some."""
        consumer = self._ensure_consumer()
        fetcher = consumer._fetcher
        if consumer._closed or fetcher._closed:
            raise driver.ConsumerStoppedError
        if not self.consumer.flow_active:
            return Fetched({})
        try:
            with fetcher._subscriptions.fetch_context():
                records = await self._drain(fetcher, wanted)
                if not records and await _has_news(fetcher, seconds):
                    records = await self._drain(fetcher, wanted)
        except aiokafka.errors.KafkaError as error:
            raise_if_fenced(error)
            raise
        fetched = Fetched({TP(*tp): list(found) for tp, found in records.items()})
        assignment = consumer._subscription.subscription.assignment
        for tp in tables:
            if assignment is None or tp not in assignment.tps:
                continue
            state = assignment.state_value(tp)
            ends = fetcher.ends.get(state)
            if ends is None:
                continue
            fetched.ends[tp] = ends.end
            if tp in fetcher._records or not state.has_valid_position:
                continue
            fetched.positions[tp] = state.position
            if (known_at := ends.known_at(state.position)) is not None:
                fetched.current_at[tp] = known_at
        return fetched

    async def _drain(self, fetcher: Any, wanted: set[TP]) -> Mapping[Any, list[Record]]:
        for result in fetcher._records.values():
            if getattr(result, "_partition_records", None) is not None:
                result._partition_records._consumer_record = _as_decoded
        most = self._ensure_consumer()._max_poll_records
        drained: Mapping[Any, list[Record]] = await fetcher.fetched_records(
            wanted, timeout=0, max_records=most
        )
        fetcher.handed_over(sum(map(len, drained.values())))
        return drained

    @property
    def has_begun(self) -> bool:
        """Whether aiokafka's consumer has been made."""
        return self._consumer is not None

    @property
    def _group(self) -> Coordinator | None:
        return None if self._consumer is None else self._consumer._coordinator

    @property
    def client(self) -> Any:
        """Aiokafka's client, with its connections."""
        return self._ensure_consumer()._client

    def unknown_topics(self) -> set[str]:
        """Return the topics to be read that the brokers, when asked last, did not know."""
        known = self.client.cluster.partitions_for_topic
        return {topic for topic in self._topics() if not known(topic)}

    def _topics(self) -> Iterable[str]:
        subscription = self._ensure_consumer()._subscription.subscription
        return () if subscription is None else subscription.topics

    def is_member(self) -> bool:
        """Return whether this consumer is now a member of its group."""
        group = self._group
        return group is not None and group.refusal is None and bool(group.member_id)

    def group_refusal(self) -> str | None:
        """Return why the group refuses this consumer and what to do; None: it does not."""
        return None if self._group is None else self._group.refusal

    def may_act(self) -> bool:
        """Return whether this worker certainly owns its partitions at this moment."""
        return self._group is not None and bool(self._group.lease.holds())

    def fetch_state(self, tp: TP) -> FetchState | None:
        """Return how far a partition is fetched; None: it is not assigned."""
        consumer = self._ensure_consumer()
        subscription = consumer._subscription.subscription
        assignment = None if subscription is None else subscription.assignment
        state = None if assignment is None else assignment.state_value(tp)
        if state is None:
            return None
        position, ends = state._position, consumer._fetcher.ends.get(state)
        return FetchState(
            position,
            state.timestamp or 0,
            tp in consumer._fetcher._records,
            None if position is None or ends is None else ends.hidden_since(position),
        )

    async def committed(self, tps: Sequence[TP]) -> dict[TP, Committed]:
        """Return the group's offset and metadata, and the log's start and end, by partition."""
        consumer = self._ensure_consumer()
        plain = [TopicPartition(*tp) for tp in tps]
        offsets = await consumer._coordinator.fetch_committed_offsets(plain)
        starts = await consumer.beginning_offsets(plain)
        ends = await consumer.end_offsets(plain)
        found = {}
        for tp, key in zip(tps, plain, strict=True):
            known = offsets.get(key)
            found[tp] = Committed(
                offset=known.offset if known else None,
                metadata=known.metadata if known else "",
                log_start=starts[key],
                log_end=ends[key],
            )
        return found

    async def log_ends(self, tps: Iterable[TP]) -> dict[TP, int]:
        """Return the ends of these logs; raises KafkaError or TimeoutError."""
        asked = self._ensure_consumer().end_offsets([TopicPartition(*tp) for tp in tps])
        ends = await asyncio.wait_for(asked, ENDS_SECONDS)
        return {TP(*tp): end for tp, end in ends.items()}

    async def offsets_at(self, tps: Iterable[TP], ms: int) -> dict[TP, int]:
        """Return the offset of the first record at or after this Kafka time, where there is one."""
        times = {TopicPartition(*tp): ms for tp in tps}
        found = await self._ensure_consumer().offsets_for_times(times)
        return {TP(*tp): at.offset for tp, at in found.items() if at is not None}

    def seek_all(self, offsets: Mapping[TP, int]) -> None:
        """Set the positions and drop buffered records."""
        consumer = self._ensure_consumer()
        for tp, offset in offsets.items():
            consumer.seek(TopicPartition(*tp), offset)

    async def commit_with_metadata(self, offsets: Mapping[TP, tuple[int, str]]) -> bool:
        """Commit; return False if a rebalance has revoked the partitions meanwhile.

        Raises KafkaError for errors that a retry does not repair.
        """
        consumer = self._ensure_consumer()
        assigned = self.assignment()
        wanted = {
            TopicPartition(*tp): OffsetAndMetadata(offset, metadata)
            for tp, (offset, metadata) in offsets.items()
            if tp in assigned
        }
        if not wanted:
            return False
        try:
            await consumer.commit(wanted)
        except (aiokafka.errors.CommitFailedError, aiokafka.errors.IllegalStateError):
            return False
        except aiokafka.errors.KafkaError as error:
            raise_if_fenced(error)
            raise
        return True


def raise_if_fenced(error: BaseException) -> None:
    """Raise FencedError if the broker says that another worker has replaced this one."""
    if isinstance(error, FencedInstanceIdError) or "FencedInstanceIdError" in repr(error):
        raise FencedError(str(error)) from error
