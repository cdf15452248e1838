"""Asks whoever matters for what stands still: brokers may be the reason, and then nobody is stuck.

For fetching that is the partition's leader, for writing the leaders of what is written, for
commits and membership the group's coordinator. They are asked by connections of their own, since
the worker's may be what hangs; and its own clients are looked at, since a broker that answers one
question may owe the answer to another.
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
"""On which of a worker's connections each kind of work waits for answers."""
REFUSED = {"settle": "produce", "commit": "commit", "group": "commit", "take up": "commit"}
"""Whose refusals may be the reason."""


class BrokerAnswer(NamedTuple):
    """A reason for which something stands still, and which a healthy worker may have, too."""

    words: str
    """A sentence, with what to do where there is something."""
    is_final: bool = False
    """It does not go away by itself: a worker that is refused ends after a grace."""


class BrokerInquiry:
    """What the brokers are to one worker."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._unanswered = Unanswered()

    def observe(self) -> None:
        """Look at what the worker's clients wait for; once a second."""
        self._unanswered.observe(connections_of(self._app), monotonic())

    async def about(self, kind: str, tp: TP | None) -> BrokerAnswer | None:
        """Return why this kind of work may stand still; None: the brokers are no reason."""
        return self._refused_membership(kind) or self._waits(kind) or await self._ask(kind, tp)

    def _refused_membership(self, kind: str) -> BrokerAnswer | None:
        consumer = self._app._consumer
        if kind != "group" or consumer is None:
            return None
        words = consumer._thread.group_refusal()
        return None if words is None else BrokerAnswer(words, is_final=True)

    def _waits(self, kind: str) -> BrokerAnswer | None:
        now = monotonic()
        refused = refusals.recent(REFUSED.get(kind, ""), now)
        if refused is not None:
            return BrokerAnswer(
                f"{refused.what} refuses what is written ({refused.error}), and it is tried again: "
                "look at the brokers, whether all copies are in sync (min.insync.replicas) for one"
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
    """Return the topics whose leaders matter; those of partition ``tp`` where one is meant."""
    # What comes of a record is written to the same partition of any of the stage's topics.
    return list(topics) if tp is None or kind == "settle" else [tp.topic]


async def coordinator_answers(client_options: Mapping[str, Any], group: str) -> None:
    """Return once the group's coordinator has answered; raises KafkaError or OSError."""
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
    """Return None once the leader of each partition of these topics has answered.

    ``tp`` narrows it to the partitions of its number. Raises KafkaError or OSError.
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
            return BrokerAnswer(f"{topic} partition {partition} has no leader: look at the brokers")
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
    """Yield the errors that aiokafka's log lines are about; keep these from the log by default.

    aiokafka logs why each broker failed and raises only that all did.
    """
    found: list[BaseException] = []

    def keep(record: logging.LogRecord) -> bool:
        arguments = record.args if isinstance(record.args, tuple) else ()
        found.extend(value for value in arguments if isinstance(value, BaseException))
        return logged

    loggers = [logging.getLogger(f"aiokafka{name}") for name in ("", ".conn")]
    for logger in loggers:
        logger.addFilter(keep)
    try:
        yield found
    finally:
        for logger in loggers:
            logger.removeFilter(keep)
