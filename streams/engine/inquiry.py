"""Finds out whether the brokers are the reason that a worker makes no progress.

For fetching it asks the partition's leader, for writing the leaders of the written partitions, for
commits and membership the group coordinator. It uses separate connections, because the worker's
own may hang. It also checks the requests of the worker's own clients, because a broker may respond
to one request and not to another.
"""

import asyncio
import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    BrokerResponseError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
    for_code,
)
from aiokafka.structs import TopicPartition
from faust.types import TP

from streams.engine.coordinator import refusal_words
from streams.engine.pending import Unanswered, connections_of, refusals

ANSWER_SECONDS = 10.0

CONNECTIONS: Mapping[str, Collection[str]] = {
    "start": ("fetch", "produce"),
    "group": ("group",),
    "take up": ("fetch", "group"),
    "fetch": ("fetch",),
    "hand out": (),
    "settle": ("produce",),
    "commit": ("group",),
}
"""The connections on which each kind of work waits for responses."""
REFUSED = {"settle": "produce", "commit": "commit", "group": "commit", "take up": "commit"}
"""The refusals that may be the reason, by kind of work."""


class BrokerAnswer(NamedTuple):
    """A reason of the brokers for which a healthy worker makes no progress."""

    words: str
    """A sentence, with what to do if anything."""
    is_final: bool = False
    """It does not end by itself: the worker ends after a grace period."""


class BrokerInquiry:
    """Asks the brokers for one worker."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._unanswered = Unanswered()

    def observe(self) -> None:
        """Record the pending requests of the worker's clients; called once a second."""
        self._unanswered.observe(connections_of(self._app), monotonic())

    async def about(self, kind: str, tp: TP | None) -> BrokerAnswer | None:
        """Return why the brokers stop this kind of work; None: they do not."""
        return self._refused_membership(kind) or self._waits(kind) or await self._ask(kind, tp)

    def _refused_membership(self, kind: str) -> BrokerAnswer | None:
        consumer = self._app.started_consumer
        if kind != "group" or consumer is None:
            return None
        words = consumer.thread.group_refusal()
        return None if words is None else BrokerAnswer(words, is_final=True)

    def _waits(self, kind: str) -> BrokerAnswer | None:
        now = monotonic()
        refused = refusals.recent(REFUSED.get(kind, ""), now)
        if refused is not None:
            return BrokerAnswer(
                f"{refused.what} refuses what is written ({refused.error}), and it is tried again: "
                "check the brokers, for example whether all replicas are in sync "
                "(min.insync.replicas)"
            )
        seconds = self._unanswered.recent(CONNECTIONS[kind], now)
        if seconds is not None:
            return BrokerAnswer(f"a broker has not answered a request for {seconds:.0f} s")
        return None

    async def _ask(self, kind: str, tp: TP | None) -> BrokerAnswer | None:
        options = self._app.options
        with collected_errors(logged=True) as reasons:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    if kind in ("group", "commit", "take up"):
                        await coordinator_answers(options.client_options, options.group)
                    if kind in ("group", "commit"):
                        return None
                    return await leaders_answer(
                        options.client_options, _topics(options.topics, kind, tp), tp
                    )
            except (GroupAuthorizationFailedError, TopicAuthorizationFailedError) as error:
                return BrokerAnswer(
                    refusal_words(error, options.group)
                    or f"Kafka does not let this user in: {error}",
                    is_final=True,
                )
            except (KafkaError, OSError, TimeoutError) as error:
                found = [*reasons, error]
                words, is_refused = options.explain(found)
                if isinstance(error, BrokerResponseError) and not is_refused:
                    return BrokerAnswer(
                        f"the brokers answer that they cannot ({type(error).__name__})"
                    )
                return BrokerAnswer(words.rstrip("."), is_final=is_refused)


def _topics(topics: Collection[str], kind: str, tp: TP | None) -> list[str]:
    """Return the topics whose leaders matter."""
    # Outputs go to the same partition of any of the stage's topics.
    return list(topics) if tp is None or kind == "settle" else [tp.topic]


async def coordinator_answers(client_options: Mapping[str, Any], group: str) -> None:
    """Return once the group coordinator has responded; raises KafkaError or OSError."""
    admin = AIOKafkaAdminClient(**client_options, client_id="streams-watchdog")
    try:
        await admin.start()
        for response in await admin.describe_consumer_groups([group]):
            for code, *_ in response.groups:
                if code:
                    raise for_code(code)(group)
    finally:
        await admin.close()


async def leaders_answer(
    client_options: Mapping[str, Any], topics: Collection[str], tp: TP | None = None
) -> BrokerAnswer | None:
    """Return None once the leader of each partition of these topics has responded.

    ``tp`` limits it to the partitions of its number. Raises KafkaError or OSError.
    """
    admin = AIOKafkaAdminClient(**client_options, client_id="streams-watchdog")
    try:
        await admin.start()
        described = await admin.describe_topics(list(topics))
    finally:
        await admin.close()
    partitions = [
        (topic["topic"], found["partition"], found["leader"])
        for topic in described
        for found in topic["partitions"]
        if tp is None or found["partition"] == tp.partition
    ]
    for topic, partition, leader in partitions:
        if leader < 0:
            return BrokerAnswer(f"{topic} partition {partition} has no leader: check the brokers")
    consumer = AIOKafkaConsumer(**client_options, group_id=None)
    try:
        await consumer.start()
        # Stopping it before its own tasks have begun raises CancelledError.
        await asyncio.sleep(0)
        await consumer.end_offsets([TopicPartition(name, number) for name, number, _ in partitions])
    finally:
        await consumer.stop()
    return None


@contextmanager
def collected_errors(*, logged: bool = False) -> Iterator[list[BaseException]]:
    """Yield the errors in aiokafka's log lines; by default these lines are not logged.

    aiokafka logs why each broker failed, and only raises that all failed.
    """
    found: list[BaseException] = []

    def collect(record: logging.LogRecord) -> bool:
        arguments = record.args if isinstance(record.args, tuple) else ()
        found.extend(value for value in arguments if isinstance(value, BaseException))
        return logged

    loggers = [logging.getLogger(f"aiokafka{name}") for name in ("", ".conn")]
    for logger in loggers:
        logger.addFilter(collect)
    try:
        yield found
    finally:
        for logger in loggers:
            logger.removeFilter(collect)
