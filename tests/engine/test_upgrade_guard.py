"""The private parts of other people's libraries on which we stand, above all the engine.

Faust, mode and aiokafka are pinned exactly. An upgrade that moves, renames or reshapes one of these
parts fails here first; each entry says in one sentence what to look at again.
"""

import ast
import importlib
import inspect
import pkgutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import aiokafka.conn
import aiokafka.consumer.consumer
import aiokafka.consumer.fetcher
import aiokafka.errors
import faust
import faust.web.drivers.aiohttp
import pytest
from aiohttp import TCPConnector
from aiohttp.client_proto import ResponseHandler
from aiohttp.web import AppRunner, RequestHandler, Server
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.abc import AbstractTokenProvider
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import OAuthAuthenticator
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import Assignment, SubscriptionState, TopicPartitionState
from aiokafka.producer.message_accumulator import BatchBuilder, MessageAccumulator, MessageBatch
from aiokafka.producer.sender import Sender, SendProduceReqHandler
from aiokafka.protocol.admin import DescribeGroupsRequest, DescribeGroupsResponse_v2
from aiokafka.protocol.api import Request
from aiokafka.protocol.fetch import FetchRequest, FetchRequest_v7, FetchResponse_v7
from aiokafka.protocol.group import HeartbeatRequest
from faust.app.base import App
from faust.assignor.partition_assignor import PartitionAssignor
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport import consumer as faust_consumer
from faust.transport.conductor import Conductor
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import ConsumerMessage
from jmespath.visitor import TreeInterpreter
from mode import Service
from mode.threads import ServiceThread
from mode.utils.queues import FlowControlEvent

import streams
import streams.engine.app
import streams.engine.consumer
import streams.engine.coordinator
import streams.engine.fetch_session
import streams.engine.fetcher
import streams.engine.thread
import streams.kafka.login

Fetcher = streams.engine.fetcher.Fetcher.__mro__[1]
AIOKafkaConnection = streams.kafka.login.Connection.__mro__[1]
FetchResult = aiokafka.consumer.fetcher.FetchResult
PartitionRecords = aiokafka.consumer.fetcher.PartitionRecords

CONSUMER_MESSAGE = (
    "self, topic, partition, offset, timestamp, timestamp_type, headers, key, value, checksum, "
    "serialized_key_size, serialized_value_size, tp, time_in, time_out, time_total, generation_id"
)

PARTS: list[tuple[Any, str, str, str]] = [
    # -- Faust's consumer
    (
        driver.Consumer,
        "_new_consumer_thread",
        "self",
        "Whether it still makes the consumer thread.",
    ),
    (
        driver.Consumer,
        "_drain_messages",
        "self, fetcher",
        "Whether Faust's fetcher still runs it until it stops, and nothing else reads.",
    ),
    (
        driver.Consumer,
        "_get_active_partitions",
        "self",
        "Whether it still leaves out paused partitions.",
    ),
    (driver.Consumer, "_is_changelog_tp", "self, tp", "How tables' partitions are told apart."),
    (
        driver.Consumer,
        "force_commit",
        "self, topics, start_new_transaction",
        "Whether commit() and the commit timer still end in it.",
    ),
    (
        driver.Consumer,
        "perform_seek",
        "self",
        "Whether each assignment still calls it before the flow resumes.",
    ),
    (
        driver.Consumer,
        "resume_flow",
        "self",
        "Whether it still follows each seek, after the agents' queues were emptied.",
    ),
    (
        driver.Consumer,
        "on_partitions_revoked",
        "self, revoked",
        "What it does after our last commit, and that it awaits nothing that waits for us.",
    ),
    (
        driver.Consumer,
        "on_partitions_assigned",
        "self, assigned, generation_id",
        "Whether it is still given the whole assignment, tables included.",
    ),
    (
        driver.Consumer,
        "ack",
        "self, message",
        "Whether only event.ack() calls it: ours is for chunks.",
    ),
    (
        driver.Consumer,
        "verify_all_partitions_active",
        "self",
        "Whether Faust's livelock check, which knows no chunks, is still switched off by it.",
    ),
    (driver.Consumer, "earliest_offsets", "self, *partitions", "Whether it returns TP → offset."),
    (driver.Consumer, "stop_flow", "self", "Whether it stops the fetching at once."),
    (
        driver.Consumer,
        "wait_first",
        "self, *coros, timeout",
        "Whether it cancels what came second.",
    ),
    (
        driver.AIOKafkaConsumerThread,
        "_create_worker_consumer",
        "self, transport",
        "Whether the consumer is made but not started there: isolation and waits are set on it.",
    ),
    (
        driver.AIOKafkaConsumerThread,
        "call_thread",
        "self, fun, *args, **kwargs",
        "Whether all calls to the consumer go through it: ours makes them at once.",
    ),
    (
        driver.AIOKafkaConsumerThread,
        "_serve",
        "self",
        "Whether it is all that the thread runs: ours is a task in the worker's loop.",
    ),
    (
        driver.AIOKafkaConsumerThread,
        "_keepalive2",
        "self",
        "Whether it only looks whether the thread still runs.",
    ),
    (
        driver.AIOKafkaConsumerThread,
        "_gather_remaining_tasks",
        "self",
        "Whether it still cancels all tasks of the thread's loop, which is the worker's here.",
    ),
    (driver.AIOKafkaConsumerThread, "_ensure_consumer", "self", "Whether it returns aiokafka's."),
    (driver.Producer, "_settings_extra", "self", "Whether idempotence still reaches aiokafka."),
    (driver.Producer, "_ensure_producer", "self", "Whether it returns aiokafka's producer."),
    # -- Faust's app and tables
    (App, "_new_transport", "self", "Whether our consumer is still made by it."),
    (App, "_new_producer_transport", "self", "Whether our producer is still made by it."),
    (TableManager, "_update_channels", "self", "Whether on_start still needs nothing else."),
    (
        Recovery,
        "_wait",
        "self, coro, timeout",
        "Whether a step that takes too long still ends recovery for good.",
    ),
    (Recovery, "need_recovery", "self", "Whether it still compares offsets with highwaters."),
    (Recovery, "active_remaining_total", "self", "Whether it still counts rows to be read."),
    (faust.Table, "_changelog_topic_name", "self", "Whether the topic's name still comes from it."),
    (
        faust.Table,
        "on_start",
        "self",
        "What else but declaring the topic a table does at its start.",
    ),
    (
        faust.Schema,
        "compile",
        "self, app, on_key_decode_error, on_value_decode_error, default_propagate",
        "Whether streams still decode by what it returns.",
    ),
    (
        ConsumerMessage,
        "__init__",
        CONSUMER_MESSAGE,
        "What a chunk's message is made of.",
    ),
    (FlowControlEvent, "resume", "self", "Whether it empties agents' queues, too."),
    (FlowControlEvent, "suspend", "self", "Whether agents' queues stand still after it."),
    (FlowControlEvent, "clear", "self", "Whether it empties agents' queues: chunks of old epochs."),
    (
        PartitionAssignor,
        "on_assignment",
        "self, assignment",
        "Whether it still asserts its own URL: canonical_url must not change with the web port.",
    ),
    # -- aiokafka's consumer
    (
        PartitionRecords,
        "_consumer_record",
        "self, tp, record",
        "What the decoder's record has: offset, timestamp, key, value, headers.",
    ),
    (
        Fetcher,
        "_proc_fetch_request",
        "self, assignment, node_id, request",
        "Whether it still sends the request, and sets highwater and lso by a good answer alone.",
    ),
    (
        FetchRequest,
        "build",
        "self, request_struct_class",
        "Whether fields of what it returns can be set before they are encoded.",
    ),
    (
        Fetcher,
        "fetched_records",
        "self, partitions, timeout, max_records",
        "Whether it drops what was fetched before a seek.",
    ),
    (
        Fetcher,
        "_create_fetch_waiter",
        "self",
        "Whether it ends once something is fetched, or with what aiokafka has to say to us.",
    ),
    (
        SubscriptionState,
        "fetch_context",
        "self",
        "Whether it still keeps max_poll_interval at bay.",
    ),
    (Assignment, "state_value", "self, tp", "Whether position and last stable offset stand there."),
    (
        GroupCoordinator,
        "fetch_committed_offsets",
        "self, partitions",
        "Whether metadata comes with the offsets, and absent commits are left out.",
    ),
    (GroupCoordinator, "reset_generation", "self", "Whether losing one's membership ends in it."),
    (
        GroupCoordinator,
        "ensure_active_group",
        "self, subscription, prev_assignment",
        "Whether joining again still begins with it.",
    ),
    (
        GroupCoordinator,
        "_push_error_to_user",
        "self, exc",
        "Whether all goes through it that keeps us out of the group, and it is awaited.",
    ),
    (
        GroupCoordinator,
        "_do_commit_offsets",
        "self, assignment, offsets",
        "Whether it still raises what the coordinator refuses.",
    ),
    (GroupCoordinator, "_do_heartbeat", "self", "Whether True says that we are a member."),
    (GroupCoordinator, "_send_req", "self, request", "Whether it asks the group's coordinator."),
    (
        GroupCoordinator,
        "_coordination_routine",
        "self",
        "Whether an unexpected error still ends it without telling anybody.",
    ),
    (
        HeartbeatRequest,
        "__init__",
        "self, group, generation_id, member_id",
        "If it takes an instance id now, a replaced worker is told so and needs no asking.",
    ),
    (
        AIOKafkaConnection,
        "connect",
        "self",
        "Whether it takes TLS context and password when it is called, and no client connects else.",
    ),
    (
        AIOKafkaConnection,
        "send",
        "self, request, expect_response",
        "Whether all requests go through it, and what it returns is awaited at once.",
    ),
    (
        AIOKafkaConnection,
        "_do_sasl_handshake",
        "self",
        "Whether it can be done again on an open connection, by send alone.",
    ),
    (
        AIOKafkaConnection,
        "authenticator_oauth",
        "self",
        "Whether a token that brokers refuse still passes for an accepted one.",
    ),
    (OAuthAuthenticator, "step", "self, payload", "Whether it is given what brokers answer."),
    (AbstractTokenProvider, "token", "self", "Whether each login asks for one."),
    (AbstractTokenProvider, "extensions", "self", "Whether they go with the token."),
    (
        AIOKafkaAdminClient,
        "_send_request",
        "self, request, node_id",
        "Whether it sends any request of ours to any node.",
    ),
    (Request, "build", "self, request_struct_class", "Whether a request is built by its version."),
    (
        DescribeGroupsRequest,
        "__init__",
        "self, groups, include_authorized_operations",
        "See above.",
    ),
    (
        AIOKafkaConsumer,
        "stop",
        "self",
        "Whether it still fails with CancelledError before its own tasks have begun.",
    ),
    # -- aiokafka's producer
    (
        AIOKafkaProducer,
        "create_batch",
        "self",
        "Whether a batch may be filled outside the producer.",
    ),
    (
        AIOKafkaProducer,
        "send_batch",
        "self, batch, topic, partition",
        "Whether batches of one partition are sent in the order of the calls.",
    ),
    (
        BatchBuilder,
        "append",
        "self, timestamp, key, value, headers",
        "Whether it still returns None for a record that no longer fits.",
    ),
    (BatchBuilder, "close", "self", "Whether a closed batch goes without waiting for linger."),
    (BatchBuilder, "record_count", "self", "Whether offsets can be counted from it."),
    (
        MessageAccumulator,
        "add_batch",
        "self, builder, tp, timeout",
        "Whether it waits until the partition's earlier batch has left.",
    ),
    (
        Fetcher,
        "_get_actions_per_node",
        "self, assignment",
        "Whether its requests are made nowhere else, and its wait is the third of what it returns.",
    ),
    (
        MessageAccumulator,
        "_pop_batch",
        "self, tp",
        "Whether a batch that is given up still keeps its sequence number.",
    ),
    (
        MessageAccumulator,
        "drain_by_nodes",
        "self, ignore_nodes, muted_partitions",
        "Whether everything that leaves is taken by it, and muted partitions are passed by.",
    ),
    (
        MessageAccumulator,
        "_append_batch",
        "self, builder, tp",
        "Whether every batch is made by it: our own waits where it is refused.",
    ),
    (
        MessageBatch,
        "failure",
        "self, exception",
        "Whether a refused batch is told before its partition may send again.",
    ),
    (
        SendProduceReqHandler,
        "_can_retry",
        "self, error, batch",
        "Whether idempotent batches are never given up while later ones go on.",
    ),
]

ATTRIBUTES: list[tuple[Any, str, str]] = [
    (faust_consumer.Consumer, "_read_offset", "Faust's own positions, set by our seek."),
    (faust_consumer.Consumer, "_committed_offset", "Faust's own commits, for its monitor."),
    (faust_consumer.Consumer, "suspend_flow", "Set while nothing may be handed out."),
    (faust_consumer.Consumer, "flow_active", "False while nothing may be fetched."),
    (ServiceThread, "_thread_keepalive", "A task that only wakes the thread's loop."),
    (ServiceThread, "Worker", "What start makes and starts, and stop stops."),
    (Conductor, "_tp_to_callback_lock", "Held while topics change; then a chunk waits."),
    (AIOKafkaConnection, "_ssl_context", "Taken by connect."),
    (AIOKafkaConnection, "_sasl_plain_password", "Taken by each login."),
    (AIOKafkaConnection, "_sasl_oauth_token_provider", "Ours, whatever the mechanism is."),
    (AIOKafkaConsumer, "_client_rack", "Taken by the fetcher when the consumer starts."),
    (Fetcher, "_client_rack", "None: the leader of each partition is read."),
    (Fetcher, "_preferred_replica_ttl", "How long another copy is read."),
    (Service, "_stopped", "Set once Faust's fetcher or consumer is told to end."),
    (App, "_consumer", "None until Faust has made it."),
    (App, "_producer", "None until Faust has made it."),
    (driver.AIOKafkaConsumerThread, "_consumer", "Aiokafka's; None until its thread has begun."),
    (driver.Producer, "_producer", "Aiokafka's; None until it has begun."),
    (TableManager, "_recovery", "None until the tables' first recovery."),
    (Recovery, "active_tps", "The partitions whose rows are applied."),
    (Recovery, "active_offsets", "How far each table's partition is applied."),
    (Recovery, "active_highwaters", "The last offset of each at the start of recovery."),
    (Recovery, "tp_to_table", "Whose rows they are."),
    (Recovery, "in_recovery", "Whether a recovery is going on."),
    (AIOKafkaConsumer, "_isolation_level", "Set before the consumer starts."),
    (AIOKafkaConsumer, "_max_poll_records", "Read at each fetch."),
    (AIOKafkaConsumer, "_client", "Told all topics at once; it would ask for one after the other."),
    (AIOKafkaConsumer, "_fetcher", "Asked for records directly."),
    (AIOKafkaConsumer, "_coordinator", "Asked for committed offsets directly."),
    (AIOKafkaConsumer, "_subscription", "Holds the assignment and its positions."),
    (AIOKafkaConsumer, "_closed", "Read before each fetch."),
    (AIOKafkaProducer, "_message_accumulator", "Its queues of batches, which are our own kind."),
    (MessageAccumulator, "_batches", "Its queue of each partition, the oldest batch first."),
    (MessageAccumulator, "_batch_ttl", "Given to each batch."),
    (MessageAccumulator, "_linger_time", "Given to each batch."),
    (MessageAccumulator, "_compression_type", "Given to each builder."),
    (MessageAccumulator, "_cluster", "Knows the topics that this user may not see."),
    (MessageAccumulator, "_txn_manager", "Gives out sequence numbers; takes back those refused."),
    (MessageAccumulator, "_waiter_future", "Done: something may leave."),
    (MessageBatch, "_msg_futures", "Empty for a batch that was queued whole."),
    (MessageBatch, "_retry_count", "Above 0 once sequence numbers were given to it."),
    (Fetcher, "_records", "Partitions of which something fetched is not handed over yet."),
    (Fetcher, "_closed", "Read before each fetch."),
    (FetchResult, "_partition_records", "Where its decoder of records is given ours."),
    (Fetcher, "_subscriptions", "Gives the fetch context."),
    (
        TopicPartitionState,
        "lso",
        "The log's end for readers of committed records; nobody reads it.",
    ),
    (TopicPartitionState, "highwater", "The log's end."),
    (TopicPartitionState, "_position", "None until it is known; read from another thread."),
    (AIOKafkaProducer, "_sender", "What sends batches, and ends without a word when it cannot."),
    (Sender, "sender_task", "Whether it has ended."),
    (AIOKafkaClient, "_conns", "Its connections, by node and connection group."),
    (
        AIOKafkaConnection,
        "_requests",
        "What is unanswered, the oldest first.",
    ),
    (TopicPartitionState, "timestamp", "When the broker last answered for it, in ms."),
    (GroupCoordinator, "_group_instance_id", "What the broker makes our member id of."),
    (GroupCoordinator, "_session_timeout_ms", "What the lease is a part of."),
    (GroupCoordinator, "member_id", "Empty once the broker does not know us."),
    # -- aiohttp and jmespath
    (faust.web.drivers.aiohttp.Web, "_runner", "Whether it is what serves the pages."),
    (RequestHandler, "_current_request", "None before a whole head of a request has come."),
    (AppRunner, "_make_server", "Whether it still makes the server, once."),
    (Server, "_kwargs", "What each connection's handler is made with."),
    (TCPConnector, "_loop", "The loop of its connections."),
    (ResponseHandler, "_payload", "The body that is being read; None before it."),
    (ResponseHandler, "_exception", "Why no more of an answer is read; None while it is."),
    (TreeInterpreter, "_functions", "Calls a function of an expression by its name."),
]


STANDARD_LIBRARY = {"_asdict", "_replace", "_exit", "_current_frames"}
DATA = {
    *("Consumer", "Producer", "recovery", "logger", "description", "_abc_impl"),
    *("API_KEY", "API_VERSION", "RESPONSE_TYPE", "SCHEMA", "_CLASSES"),
}
"""Overrides that are values: whether they are in place is tested below, or of no matter."""
OURS = {"_again"}
"""Private to a class of ours, and touched by one that extends it in another module."""
READ_ONLY = {"_can_retry", "_pop_batch", "_preferred_replica_ttl", "_recovery"}
"""Neither called nor overridden, or set by us: what we rely on is how it behaves."""
PACKAGE = Path(streams.__file__).parent
FOREIGN = ("faust", "mode", "aiokafka")


def _private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in {"self", "cls"}


def private_uses() -> dict[str, str]:
    """Return the private names that a module of ours takes and does not define, with one place."""
    used = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        here: dict[str, str] = {}
        own: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                own.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                own.add(node.id)
            elif isinstance(node, ast.Attribute) and _private(node.attr):
                place = f"{path.name}:{node.lineno}"
                if _is_self(node.value) and isinstance(node.ctx, ast.Store):
                    own.add(node.attr)
                elif isinstance(node.value, ast.Call):
                    used[node.attr] = place  # super()
                else:
                    here[node.attr] = place
        used |= {name: at for name, at in here.items() if name not in own}
    return used


def overrides() -> dict[str, str]:
    """Return what our classes override of a class of Faust, mode or aiokafka, by name."""
    found = {}
    for info in pkgutil.walk_packages(streams.engine.__path__, "streams.engine."):
        module = importlib.import_module(info.name)
        for cls in vars(module).values():
            if not isinstance(cls, type) or cls.__module__ != module.__name__:
                continue
            above = [base for base in cls.__mro__ if base.__module__.split(".")[0] in FOREIGN]
            for name in vars(cls):
                if not name.startswith("__") and any(name in vars(base) for base in above):
                    found[name] = f"{cls.__module__}.{cls.__name__}"
    return found


def _id(part: tuple[Any, ...]) -> str:
    return f"{part[0].__name__}.{part[1]}"


def parameters(function: Any) -> str:
    """Return the names of a function's parameters as they are written."""
    names = []
    for name, parameter in inspect.signature(function).parameters.items():
        stars = (parameter.kind is parameter.VAR_POSITIONAL) + 2 * (
            parameter.kind is parameter.VAR_KEYWORD
        )
        names.append("*" * stars + name)
    return ", ".join(names)


@pytest.mark.parametrize(("owner", "name", "wanted", "check"), PARTS, ids=map(_id, PARTS))
def test_a_part_that_the_engine_calls_or_overrides_has_kept_its_shape(
    owner: Any, name: str, wanted: str, check: str
) -> None:
    """It exists, with these parameters."""
    assert hasattr(owner, name), f"{owner.__name__}.{name} is gone. {check}"
    assert parameters(getattr(owner, name)) == wanted, check


@pytest.mark.parametrize(("owner", "name", "check"), ATTRIBUTES, ids=map(_id, ATTRIBUTES))
def test_an_attribute_that_the_engine_touches_is_still_there(
    owner: Any, name: str, check: str
) -> None:
    """On the class, or set by its own code."""
    code = "".join(inspect.getsource(c) for c in owner.__mro__ if c.__module__ == owner.__module__)
    assert hasattr(owner, name) or f"self.{name}" in code, f"{owner.__name__}.{name}: {check}"


@pytest.mark.parametrize(
    ("package", "pinned"),
    [("faust-streaming", "0.15.3"), ("mode-streaming", "0.7.1"), ("aiokafka", "0.14.0")],
)
def test_the_versions_are_those_that_were_checked(package: str, pinned: str) -> None:
    """All sentences of this module were looked at for these."""
    assert version(package) == pinned


def test_the_engines_own_parts_are_in_place() -> None:
    """Aiokafka looks them up when a consumer starts and when an answer has an error."""
    assert aiokafka.consumer.consumer.GroupCoordinator is streams.engine.coordinator.Coordinator
    assert aiokafka.consumer.consumer.Fetcher is streams.engine.fetcher.Fetcher
    assert aiokafka.consumer.fetcher.FetchRequest is streams.engine.fetch_session.SessionRequest
    assert aiokafka.errors.for_code(82) is streams.engine.thread.FencedInstanceIdError
    assert aiokafka.errors.for_code(87) is streams.engine.refused.InvalidRecordError
    assert aiokafka.producer.producer.MessageAccumulator is streams.engine.refused.Accumulator
    assert aiokafka.conn.AIOKafkaConnection is streams.kafka.login.Connection
    assert driver.credentials_to_aiokafka_auth is streams.engine.app._to_aiokafka
    assert streams.engine.app.Transport.Consumer is streams.engine.consumer.Consumer
    assert isinstance(TableManager.recovery, property)


def test_an_answer_is_read_by_what_its_request_names_for_it() -> None:
    """Ours is read by the request itself; a session has the same fields in all its versions."""
    code = inspect.getsource(AIOKafkaConnection._handle_frame)
    assert "resp_type = request.RESPONSE_TYPE" in code
    assert "resp_type.decode(resp)" in code
    assert "in self._topics" in inspect.getsource(FetchRequest.build)
    assert {"session_id", "session_epoch", "forgotten_topics_data"} < {
        *FetchRequest_v7.SCHEMA.names
    }
    assert {"session_id", "error_code"} < {*FetchResponse_v7.SCHEMA.names}


def test_a_described_group_has_its_members_where_the_coordinator_looks() -> None:
    """Each member begins with its member id."""
    groups = DescribeGroupsResponse_v2.SCHEMA.fields[1]
    names = groups.array_of.names
    assert names[streams.engine.coordinator._MEMBERS] == "members"
    assert groups.array_of.fields[5].array_of.names[0] == "member_id"


def test_a_memory_store_must_be_written_with_a_host() -> None:
    """The table's own store would be ignored: the short form counts as false."""
    from yarl import URL

    assert not URL("memory://")
    assert URL("memory://local")


def test_every_private_part_that_is_used_stands_in_these_lists() -> None:
    """A new one is looked at again at each upgrade, or is not used."""
    known = {part[1] for part in (*PARTS, *ATTRIBUTES)} | STANDARD_LIBRARY | OURS
    assert {name: at for name, at in private_uses().items() if name not in known} == {}


def test_every_override_stands_in_these_lists() -> None:
    """Public ones, too: what they replace may change."""
    known = {part[1] for part in (*PARTS, *ATTRIBUTES)} | DATA
    assert {name: at for name, at in overrides().items() if name not in known} == {}


def test_no_entry_is_left_of_a_part_that_is_not_used_any_more() -> None:
    """Among the private ones, which can be told."""
    used = {*private_uses(), *overrides()}
    listed = {part[1] for part in (*PARTS, *ATTRIBUTES) if _private(part[1])}
    assert listed - used - READ_ONLY == set()


def test_a_request_for_records_waits_as_long_as_the_fetcher_says_when_it_is_made() -> None:
    """Ours sets the attribute before each of them."""
    assert "self._fetch_max_wait_ms," in inspect.getsource(Fetcher._get_actions_per_node)
