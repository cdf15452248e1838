"""A stage as a Faust app. The transport is ours; group, agents, tables and web view are Faust's."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import faust
import faust.auth
from aiokafka import AIOKafkaProducer
from aiokafka.errors import ClusterAuthorizationFailedError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode import CrashingSupervisor

from streams.engine.chunks import Chunk, ChunkSchema
from streams.engine.consumer import PROMPT_CHUNKS, Consumer
from streams.engine.contact import BrokerContact
from streams.engine.expired import ExpiredRecords
from streams.engine.failure import SERVICE_LOG, leave
from streams.engine.fetcher import PROMPT, Gathering
from streams.engine.limits import MAX_BATCH_BYTES, TopicLimits
from streams.engine.offset_tracker import Credit
from streams.engine.outputs import Outputs
from streams.engine.partitions import PartitionWatch
from streams.engine.positions import StartPosition
from streams.engine.recovery import TableManager
from streams.engine.refused import RefusedWrites
from streams.engine.retention import RetentionWatch
from streams.engine.tables import TopicTable
from streams.engine.wall_clock import elapsed
from streams.engine.watchdog import Watchdog

T = TypeVar("T", bound=TopicTable)


class Stage:
    """What a stage implements for the engine; every default does nothing."""

    def __init__(self, app: "StageApp") -> None:
        self.app = app
        self.expired: dict[TP, ExpiredRecords] = {}
        """Records that were deleted unread, by partition of this worker."""

    def may_hand_out(self, tp: TP) -> bool:  # noqa: ARG002
        """Return whether records of this partition may be handed to the agents now."""
        return True

    def records_wanted_at(self) -> float | None:
        """Return when the next records are wanted, in s of ``monotonic``; None: as they come."""
        return None

    def commit_metadata(self, tp: TP, offset: int) -> str | None:  # noqa: ARG002
        """Return the metadata to commit with this offset; at most 4,096 bytes.

        None: not known, because the partition is not open here; then nothing is committed. Empty
        metadata would erase those of the last owner.
        """
        return ""

    async def on_start_positions(self, positions: Mapping[TP, StartPosition]) -> None:
        """Prepare for partitions that are about to be read from these positions."""

    def not_ready(self) -> list[str]:
        """Return why the stage does not process events, one sentence each; [] where it does."""
        return []

    def may_be_silent(self, tp: TP) -> bool:  # noqa: ARG002
        """Return whether the open records of this partition have a known reason to wait.

        Such a reason ends by itself, or somebody knows about it: a parked vendor, for example.
        """
        return False

    def on_partitions_gone(self, tps: Iterable[TP]) -> None:
        """Forget partitions that were revoked."""

    async def settle(self, seconds: float) -> None:
        """Start nothing new and wait at most this long for requests in flight."""

    def may_be_compacted(self, topic: str) -> bool:  # noqa: ARG002
        """Return whether only the newest record of a key counts on this source topic."""
        return False

    def on_expired(self, tp: TP, first: int, end: int) -> None:
        """Record that Kafka deleted the offsets from ``first`` to ``end`` - 1 unread."""

    def on_refused(self, partitions: Mapping[int, str]) -> None:
        """Handle partitions that wait because a topic refuses writes: partition → reason."""

    def warnings(self) -> list[str]:
        """Return what keeps a part of the stage's work from being done, in sentences."""
        return []

    def effect_of_hidden(self, tp: TP) -> str:  # noqa: ARG002
        """Return what happens while an open transaction hides records of a source partition."""
        return "later records wait"


LOOK_AGAIN_SECONDS = 0.05
"""How soon after a pause it is asked again whether the partitions are still this worker's."""


async def _no_problems() -> list[str]:
    return []


async def _no_question() -> None:
    pass


def _plainly(reasons: Sequence[BaseException]) -> tuple[str, bool]:
    return str(reasons[0]), False


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """The options of a stage's app."""

    stage: str
    group: str
    client_options: Mapping[str, Any]
    """As aiokafka takes them: servers and security."""
    instance_id: str
    data_dir: Path
    web_host: str
    web_port: int
    arrived_ms: Callable[[int, int], int]
    """(a row's Kafka time, now), in ms → the time from which the row counts."""
    is_moved: Callable[[Iterable[tuple[str, bytes | None]]], bool]
    """A row's headers → whether it is a copy of a row on another partition."""
    topics: Mapping[str, int] = field(default_factory=dict)
    """The topics that this stage reads or writes, with their numbers of partitions."""
    appeared_topics: Callable[[], Awaitable[list[str]]] | None = None
    """Returns topics to read that exist now and did not at the start; None: all did."""
    writes: Sequence[str] = ()
    """Those to which it writes records, receipts or dead letters."""
    limits: TopicLimits = field(default_factory=TopicLimits)
    """The sizes that these topics accept."""
    ask_brokers: Callable[[], Awaitable[None]] = _no_question
    """Connects to the brokers; raises BrokersUnavailableError if that fails."""
    explain: Callable[[Sequence[BaseException]], tuple[str, bool]] = _plainly
    """Errors → why the brokers cannot be used, in a sentence; and whether they refuse the login."""
    read_elsewhere: Callable[[], int] = int
    """Returns how many records this process has read outside the engine, as a sign of progress."""
    topic_problems: Callable[[], Awaitable[list[str]]] = _no_problems
    """Returns why this stage cannot use its topics as they are now, in sentences."""
    chunk_records: int = 500
    credit: Credit = field(default_factory=Credit)
    """How many records of a partition may be open; more wait in the consumer."""
    stash_records: int = 4_000
    """Records of one partition that wait in the consumer before it stops fetching them."""
    stash_bytes: int = 16 * 2**20
    """Bytes of them, likewise."""
    settle_on_revoke_seconds: float = 3.0
    compression: str | None = None
    session_seconds: float = 10.0
    client_rack: str | None = None
    gathering: Gathering = PROMPT
    stall_seconds: float = 120.0
    """A worker without progress for this long ends: see ``Watchdog``."""
    memory_limit: int | None = None
    """In bytes; None: the container's limit, if it has one."""


class Producer(driver.Producer):
    """Faust's producer, idempotent."""

    logger = SERVICE_LOG

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}

    async def on_start(self) -> None:
        """Start, and register all topics.

        Otherwise aiokafka fetches metadata for the first topic only, and batches for the others
        wait in a hot loop.
        """
        try:
            await super().on_start()
        except ClusterAuthorizationFailedError as error:
            leave(
                "Kafka gives this user no producer id, without which it cannot write: allow it "
                "WRITE on the topics of this stage or, on brokers before 2.8, IDEMPOTENT_WRITE on "
                "the cluster, for instance with Kafka's kafka-acls.sh; starting again",
                cause=error,
            )
        producer = self._ensure_producer()
        self.app.contact.listen(producer.client)
        await self.app.options.limits.refresh(self.app.options.writes)
        await producer.client.set_topics(self.app.options.topics)
        producer._message_accumulator.refused = self.app.refused
        producer._message_accumulator.refresh = producer.client.force_metadata_update


class Transport(driver.Transport):
    """Faust's aiokafka transport with our consumer and producer."""

    logger = SERVICE_LOG

    Consumer = Consumer
    Producer = Producer


class StageApp(faust.App):
    """One stage in one process."""

    logger = SERVICE_LOG

    stage: Stage

    def __init__(self, options: EngineOptions, make_stage: Callable[["StageApp"], Stage]) -> None:
        """``make_stage`` declares the stage's tables and agents."""
        self.options = options
        whole_chunks = PROMPT_CHUNKS * options.chunk_records
        self.credit = replace(options.credit, records=max(options.credit.records, whole_chunks))
        self.settle_on_revoke_seconds = options.settle_on_revoke_seconds
        self.retention = RetentionWatch(self)
        self.refused = RefusedWrites(options.limits)
        self.watchdog = Watchdog(
            self, stall_seconds=options.stall_seconds, memory_limit=options.memory_limit
        )
        self.contact = BrokerContact(options.ask_brokers)
        self.partition_watch = PartitionWatch(
            self,
            options.topics,
            options.topic_problems,
            appeared=options.appeared_topics,
        )
        servers = options.client_options["bootstrap_servers"]
        super().__init__(
            options.group,
            env_prefix="STREAMS_FAUST_",
            broker=";".join(f"kafka://{server}" for server in servers),
            broker_credentials=BrokerLogin(options.client_options),
            broker_client_id=f"streams-{options.instance_id}",
            broker_commit_interval=0.5,
            broker_commit_livelock_soft_timeout=30 * 86400.0,
            # After a longer pause the consumer would leave its group for ever.
            broker_max_poll_interval=14 * 86400.0,
            broker_max_poll_records=6_000,
            broker_session_timeout=options.session_seconds,
            broker_heartbeat_interval=options.session_seconds / 5,
            broker_rebalance_timeout=30.0,
            broker_request_timeout=max(90.0, options.session_seconds + 30),
            consumer_auto_offset_reset="earliest",
            consumer_group_instance_id=options.instance_id,
            # Of each partition: aiokafka keeps as much of each until it is taken.
            consumer_max_fetch_size=1024 * 1024,
            producer_compression_type=options.compression,
            producer_linger=0.0,
            producer_max_batch_size=MAX_BATCH_BYTES,
            producer_max_request_size=4 * 1024 * 1024,
            producer_request_timeout=120.0,
            stream_buffer_maxsize=65_536,
            stream_processing_timeout=30 * 86400.0,
            stream_wait_empty=False,
            store="memory://",
            table_standby_replicas=0,
            topic_allow_declare=False,
            topic_disable_leader=True,
            key_serializer="raw",
            value_serializer="raw",
            datadir=options.data_dir,
            cython_optimizations=True,
            # Not used for routing. It must not change while the instance id stays: a restarted
            # worker gets its old assignment, and Faust asserts that it holds its own URL, which a
            # new web port would change.
            canonical_url=f"http://localhost/{options.instance_id}",
            web_bind=options.web_host,
            web_host=options.web_host,
            web_port=options.web_port,
            web_tables_enabled=False,
            web_router_enabled=False,
            worker_redirect_stdouts=False,
            TableManager=TableManager,
        )
        self.stage = make_stage(self)
        self.refused.on_change = self.stage.on_refused

    @property
    def started_consumer(self) -> Consumer | None:
        """The consumer, once it has connected; None before."""
        consumer: Consumer | None = self._consumer
        return consumer if consumer is not None and consumer.thread.has_begun else None

    @property
    def started_producer(self) -> AIOKafkaProducer | None:
        """Aiokafka's producer, once it has begun; None before."""
        return None if self._producer is None else self._producer._producer

    # -- used by the stage

    def may_act(self) -> bool:
        """Return whether this worker certainly owns its partitions at this moment.

        False before it has joined its group, and after a pause of the process or the heartbeats
        until the broker confirms the membership. Nothing may be sent or written then.
        """
        consumer = self.started_consumer
        return consumer is not None and consumer.thread.may_act()

    async def ours(self, chunks: Iterable[Chunk]) -> list[Chunk]:
        """Return which chunks may be written: no other worker can have their partitions.

        After a pause that may have cost the membership it waits for the broker's word.
        """
        is_in_hand = self.consumer.is_in_hand
        while (ours := list(filter(is_in_hand, chunks))) and not self.may_act():  # noqa: ASYNC110 - a clock
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        return ours

    def row_delay(self, topic: str, partition: int) -> float:
        """Return how long ago (s) a table's partition was last known to be complete."""
        delay: float = self.consumer.recovery.delay_seconds(TP(topic, partition))
        return delay

    def hidden_seconds(self, tp: TP) -> float:
        """Return for how long (s) an open transaction has hidden the next records; 0: none does."""
        fetched = self.consumer.thread.fetch_state(tp)
        since = None if fetched is None else fetched.hidden_since
        return 0.0 if since is None else elapsed() - since

    def read_chunks(
        self, *topics: str, name: str, take: Callable[[Sequence[Chunk]], Awaitable[None]]
    ) -> None:
        """Declare an agent that gives ``take`` the chunks of these topics that came together.

        A failure ends the process. What is taken is acknowledged or released by the stage.
        """

        async def read(stream: Any) -> None:
            try:
                async for event in stream.noack().events():
                    await take(event.value)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                leave(f"{name} stopped: {error!r}", cause=error)

        chunks = self.topic(*topics, schema=ChunkSchema(key_type=bytes, value_type=bytes))
        self.agent(chunks, name=name, supervisor_strategy=CrashingSupervisor)(read)

    def new_table(self, kind: type[T], name: str, **options: Any) -> T:
        """Return a new table of this kind, which reads its topic."""
        table = kind(self, name=name, beacon=self.tables.beacon, **options)
        return self.tables.add(table)  # type: ignore[no-any-return]

    @property
    def kafka_producer(self) -> AIOKafkaProducer:
        """Aiokafka's producer, once the app has started."""
        return self.producer._ensure_producer()

    def new_outputs(self) -> Outputs:
        """Return empty output batches, for use by one task."""
        return Outputs(self.kafka_producer, limits=self.options.limits)

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> Transport:
        return Transport(self.conf.broker_producer, self)


class BrokerLogin(faust.auth.Credentials):
    """Aiokafka's security options as they are; Faust knows none but those of its own classes."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = {n: v for n, v in options.items() if n != "bootstrap_servers"}


def _to_aiokafka(credentials: BrokerLogin, ssl_context: Any = None) -> Mapping[str, Any]:  # noqa: ARG001
    return credentials.options


# Called for each consumer and producer that Faust makes.
driver.credentials_to_aiokafka_auth = _to_aiokafka
