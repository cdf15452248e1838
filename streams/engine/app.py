"""A stage as a Faust app: its transport is ours, its group, agents, tables and web view Faust's."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import faust
from aiokafka import AIOKafkaProducer
from aiokafka.errors import ClusterAuthorizationFailedError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.auth import SASLMechanism
from mode import CrashingSupervisor

from streams.engine.chunks import ChunkSchema
from streams.engine.consumer import PROMPT_CHUNKS, Consumer
from streams.engine.contact import BrokerContact
from streams.engine.failure import SERVICE_LOG, leave
from streams.engine.limits import MAX_BATCH_BYTES, TopicLimits
from streams.engine.offset_tracker import Credit
from streams.engine.outputs import Outputs
from streams.engine.partitions import PartitionWatch
from streams.engine.positions import StartPosition
from streams.engine.refused import RefusedWrites
from streams.engine.retention import RetentionWatch
from streams.engine.tables import GlobalTopicTable, TopicTable
from streams.engine.watchdog import Watchdog


class Stage:
    """What the engine asks of the stage that runs on it; every default does nothing."""

    def may_hand_out(self, tp: TP) -> bool:  # noqa: ARG002
        """Return whether records of this partition may go to the agents now."""
        return True

    def commit_metadata(self, tp: TP, offset: int) -> str | None:  # noqa: ARG002
        """Return what is stored with a commit of this offset; at most 4,096 bytes.

        None: not known, since the partition is not taken up (yet, or any more); then nothing is
        committed. Empty metadata would erase what the last owner left.
        """
        return ""

    async def on_start_positions(self, positions: Mapping[TP, StartPosition]) -> None:
        """Take where each partition is about to be read from."""

    def may_be_silent(self, tp: TP) -> bool:  # noqa: ARG002
        """Return whether what was handed out of this partition has a reason to wait.

        A good reason ends by itself, or by somebody outside who knows of it: a closed vendor.
        """
        return False

    def on_partitions_gone(self, tps: Iterable[TP]) -> None:
        """Forget what is known of partitions that were revoked."""

    async def settle(self, seconds: float) -> None:
        """Begin nothing new and wait at most this long for what is in flight."""

    def on_expired(self, tp: TP, first: int, end: int) -> None:
        """Take note that retention deleted the offsets from ``first`` to ``end`` - 1 unread."""

    def on_refused(self, partitions: Mapping[int, str]) -> None:
        """Take which partitions wait since a topic refuses what is written for them, and why."""

    def expired(self) -> Mapping[str, int]:
        """Return, by topic, how much retention ever deleted unread of this worker's partitions."""
        return {}


async def _no_problems() -> list[str]:
    return []


async def _no_question() -> None:
    pass


def _plainly(reasons: Sequence[BaseException]) -> tuple[str, bool]:
    return str(reasons[0]), False


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What a stage's app is built from."""

    stage: str
    group: str
    client_options: Mapping[str, Any]
    """As aiokafka takes them: servers and security."""
    instance_id: str
    data_dir: Path
    web_host: str
    web_port: int
    arrived_ms: Callable[[int, int], int]
    """Makes of a row's Kafka time and now (ms) the time from which it counts."""
    is_moved: Callable[[Iterable[tuple[str, bytes | None]]], bool]
    """Returns by its headers whether a row only restates one that lies elsewhere."""
    topics: Mapping[str, int] = field(default_factory=dict)
    """How many partitions each topic has that this stage reads or writes."""
    limits: TopicLimits = field(default_factory=TopicLimits)
    """How much these topics take at once."""
    ask_brokers: Callable[[], Awaitable[None]] = _no_question
    """Connects to the brokers anew; raises BrokersUnavailableError where that fails."""
    explain: Callable[[Sequence[BaseException]], tuple[str, bool]] = _plainly
    """Returns in a sentence why the brokers cannot be used; and whether they refuse the login."""
    read_elsewhere: Callable[[], int] = int
    """Counts what this process reads outside the engine: while it grows, work goes on."""
    topic_problems: Callable[[], Awaitable[list[str]]] = _no_problems
    """Asks the brokers what keeps this stage from using its topics as they are now."""
    chunk_records: int = 500
    credit: Credit = field(default_factory=Credit)
    """What of one partition may be in hand; more waits in the consumer."""
    stash_records: int = 4_000
    """Records of one partition that wait in the consumer before it stops fetching them."""
    stash_bytes: int = 16 * 2**20
    """Bytes of them, likewise."""
    settle_on_revoke_seconds: float = 3.0
    compression: str | None = None
    session_seconds: float = 10.0
    stall_seconds: float = 120.0
    """After standing still for so long a worker ends: see ``Watchdog``."""
    memory_limit: int | None = None
    """In bytes; None: that of the container, if it has one."""


class Producer(driver.Producer):
    """Faust's producer, idempotent."""

    logger = SERVICE_LOG

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}

    async def on_start(self) -> None:
        """Start, and name the topics: the first unnamed one would push out all others.

        aiokafka then asks for its leader alone, and batches for the others wait in a hot loop.
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
        await self.app.options.limits.refresh(self.app.options.topics)
        await producer.client.set_topics(self.app.options.topics)
        producer._message_accumulator.refused = self.app.refused
        producer._message_accumulator.refresh = producer.client.force_metadata_update


class Transport(driver.Transport):
    """Faust's aiokafka transport with our consumer and producer."""

    logger = SERVICE_LOG

    Consumer = Consumer
    Producer = Producer


class TableRecovery(faust.tables.recovery.Recovery):
    """Faust's recovery, each of whose steps may take as long as it takes.

    After a step's timeout Faust thinks that it is being stopped, and the worker never works again.
    Steps that stand still are the watchdog's.
    """

    logger = SERVICE_LOG

    async def _wait(self, coro: Any, timeout: Any = None) -> None:  # noqa: ARG002, ASYNC109
        await super()._wait(coro)


class TableManager(faust.tables.TableManager):
    """Faust's table manager without its second of sleep at each start, and with our recovery."""

    logger = SERVICE_LOG
    _recovery: TableRecovery | None

    @property
    def recovery(self) -> TableRecovery:
        """The recovery service, made when it is first asked for."""
        if self._recovery is None:
            self._recovery = TableRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    async def on_start(self) -> None:
        """Register the tables' topics and start the recovery service."""
        await self._update_channels()
        await self.recovery.start()


class StageApp(faust.App):
    """One stage in one process."""

    logger = SERVICE_LOG

    def __init__(self, options: EngineOptions, stage: Stage) -> None:
        self.stage = options.stage
        self.logic = stage
        self.options = options
        whole_chunks = PROMPT_CHUNKS * options.chunk_records
        self.credit = replace(options.credit, records=max(options.credit.records, whole_chunks))
        self.settle_on_revoke_seconds = options.settle_on_revoke_seconds
        self.retention = RetentionWatch(self)
        self.refused = RefusedWrites(options.limits)
        self.refused.on_change = stage.on_refused
        self.watchdog = Watchdog(
            self, stall_seconds=options.stall_seconds, memory_limit=options.memory_limit
        )
        self.contact = BrokerContact(options.ask_brokers)
        self.partition_watch = PartitionWatch(self, options.topics, options.topic_problems)
        servers = options.client_options["bootstrap_servers"]
        super().__init__(
            options.group,
            env_prefix="STREAMS_FAUST_",
            broker=";".join(f"kafka://{server}" for server in servers),
            broker_credentials=_credentials(options.client_options),
            broker_client_id=f"streams-{options.instance_id}",
            broker_commit_interval=0.5,
            broker_commit_livelock_soft_timeout=30 * 86400.0,
            # The consumer leaves its group for ever when paused for longer than this.
            broker_max_poll_interval=14 * 86400.0,
            broker_max_poll_records=6_000,
            broker_session_timeout=options.session_seconds,
            broker_heartbeat_interval=options.session_seconds / 5,
            broker_rebalance_timeout=30.0,
            broker_request_timeout=90.0,
            consumer_auto_offset_reset="earliest",
            consumer_group_instance_id=options.instance_id,
            consumer_max_fetch_size=2 * 1024 * 1024,
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
            # Nobody routes by it. It must stay the same while the instance id does: the broker
            # hands a restarted worker its old assignment, and Faust asserts that the URL in it is
            # its own, which it is not after a change of the web port.
            canonical_url=f"http://localhost/{options.instance_id}",
            web_bind=options.web_host,
            web_host=options.web_host,
            web_port=options.web_port,
            web_tables_enabled=False,
            web_router_enabled=False,
            worker_redirect_stdouts=False,
            TableManager=TableManager,
        )

    # -- what the consumer asks, passed on

    def may_hand_out(self, tp: TP) -> bool:
        """See ``Stage``."""
        return self.logic.may_hand_out(tp)

    def may_be_silent(self, tp: TP) -> bool:
        """See ``Stage``."""
        return self.logic.may_be_silent(tp)

    def commit_metadata(self, tp: TP, offset: int) -> str | None:
        """See ``Stage``."""
        return self.logic.commit_metadata(tp, offset)

    async def on_start_positions(self, positions: Mapping[TP, StartPosition]) -> None:
        """See ``Stage``."""
        await self.logic.on_start_positions(positions)

    def on_partitions_gone(self, tps: Iterable[TP]) -> None:
        """See ``Stage``."""
        self.logic.on_partitions_gone(tps)

    async def settle(self, seconds: float) -> None:
        """See ``Stage``."""
        await self.logic.settle(seconds)

    def on_expired(self, tp: TP, first: int, end: int) -> None:
        """See ``Stage``."""
        self.logic.on_expired(tp, first, end)

    # -- what a stage builds on

    def may_act(self) -> bool:
        """Return whether this worker's partitions surely are its own at this moment.

        Not so before it is in its group, and after a pause of the process or of the heartbeats:
        then nothing may leave until the broker has confirmed that it is still a member.
        """
        consumer = self._consumer
        return consumer is not None and bool(consumer._thread.may_act())

    def chunks_of(self, *topics: str) -> Any:
        """Return a Faust topic whose events are chunks of these topics' records."""
        return self.topic(*topics, schema=ChunkSchema(key_type=bytes, value_type=bytes))

    def chunk_agent(self, *topics: str, name: str) -> Any:
        """Return the decorator of an agent whose failure ends the process."""
        return self.agent(
            self.chunks_of(*topics), name=name, supervisor_strategy=CrashingSupervisor
        )

    def topic_table(self, name: str, **options: Any) -> TopicTable:
        """Return a table of the rows whose partitions this worker has."""
        return self.tables.add(  # type: ignore[no-any-return]
            TopicTable(self, name=name, beacon=self.tables.beacon, **options)
        )

    def global_topic_table(self, name: str, **options: Any) -> GlobalTopicTable:
        """Return a table of all rows of a topic."""
        return self.tables.add(  # type: ignore[no-any-return]
            GlobalTopicTable(self, name=name, beacon=self.tables.beacon, **options)
        )

    @property
    def kafka_producer(self) -> AIOKafkaProducer:
        """Aiokafka's producer, once the app has started."""
        return self.producer._ensure_producer()

    def new_outputs(self) -> Outputs:
        """Return empty batches; one set for each task."""
        return Outputs(self.kafka_producer, limits=self.options.limits)

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> Transport:
        return Transport(self.conf.broker_producer, self)


def _credentials(options: Mapping[str, Any]) -> Any:
    """Return Faust's form of aiokafka's security options."""
    protocol = options.get("security_protocol", "PLAINTEXT")
    context = options.get("ssl_context")
    if protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            ssl_context=context,
            mechanism=SASLMechanism(options["sasl_mechanism"]),
        )
    return faust.SSLCredentials(context) if protocol == "SSL" else None
