"""The broker of a benchmark, and what is written to it and read from it around the measurement."""

import asyncio
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import TopicPartition
from shop import PARTITIONS, Record

from streams.kafka.topics import create_topics
from streams.lab.embedded import DEFAULT_VERSION, EmbeddedKafka
from streams.settings import Settings

BATCH_BYTES = 900_000
SERVERS = "STREAMS_KAFKA_BOOTSTRAP_SERVERS"


@contextmanager
def broker() -> Iterator[tuple[str, str]]:
    """Give bootstrap servers and a description: the environment's broker or an embedded one."""
    given = os.environ.get(SERVERS)
    if given:
        yield given, f"Kafka at {given}"
        return
    with EmbeddedKafka() as kafka:
        yield kafka.bootstrap_servers, f"embedded Apache Kafka {DEFAULT_VERSION}, same machine"


def make_topics(settings: Settings, others: Mapping[str, Mapping[str, str]]) -> None:
    """Make the project's topics and ``others`` (name → config) with as many partitions."""
    asyncio.run(_make_topics(settings, others))


async def _make_topics(settings: Settings, others: Mapping[str, Mapping[str, str]]) -> None:
    await create_topics(settings)
    admin = AIOKafkaAdminClient(**settings.kafka.client_options())
    await admin.start()
    try:
        await admin.create_topics(
            [
                NewTopic(name, settings.kafka.partitions, 1, topic_configs=dict(config))
                for name, config in others.items()
            ]
        )
    finally:
        await admin.close()


def write(
    settings: Settings, batches: Mapping[str, Iterable[Record]], batch_bytes: int = BATCH_BYTES
) -> None:
    """Write records by topic, in order within a partition; return when the broker has them."""
    asyncio.run(_write(settings, batches, batch_bytes))


async def _write(
    settings: Settings, batches: Mapping[str, Iterable[Record]], batch_bytes: int
) -> None:
    options = settings.kafka.client_options()
    producer = AIOKafkaProducer(
        **options, acks="all", enable_idempotence=True, max_batch_size=batch_bytes
    )
    await producer.start()
    try:
        # Otherwise aiokafka forgets the leaders of topics that it knew at its start as soon as it
        # asks for one that has just been made, and what waits for them is stuck until it expires.
        await producer.client.set_topics(batches)
        waiting = []
        for topic, records in batches.items():
            builders: dict[int, Any] = {}
            for partition, key, value, headers in records:
                builder = builders.get(partition)
                if builder is None:
                    builder = builders[partition] = producer.create_batch()
                row = {"key": key, "value": value, "timestamp": None, "headers": list(headers)}
                if builder.append(**row) is None:
                    builder.close()
                    waiting.append(await producer.send_batch(builder, topic, partition=partition))
                    builder = builders[partition] = producer.create_batch()
                    builder.append(**row)
            for partition, builder in builders.items():
                builder.close()
                waiting.append(await producer.send_batch(builder, topic, partition=partition))
        await asyncio.gather(*waiting)
    finally:
        await producer.stop()


def count_records(settings: Settings, topics: Sequence[str]) -> dict[str, int]:
    """Return how many records were ever written to each topic."""
    return asyncio.run(_count_records(settings, topics))


async def _count_records(settings: Settings, topics: Sequence[str]) -> dict[str, int]:
    consumer = AIOKafkaConsumer(**settings.kafka.client_options())
    await consumer.start()
    try:
        tps = [TopicPartition(topic, p) for topic in topics for p in range(PARTITIONS)]
        ends = await consumer.end_offsets(tps)
    finally:
        await consumer.stop()
    return {
        topic: sum(ends[TopicPartition(topic, p)] for p in range(PARTITIONS)) for topic in topics
    }


def commit_ends(settings: Settings, group: str, topics: Sequence[str]) -> None:
    """Let a group that has no member begin behind all that these topics hold now."""
    asyncio.run(_commit_ends(settings, group, topics))


async def _commit_ends(settings: Settings, group: str, topics: Sequence[str]) -> None:
    consumer = AIOKafkaConsumer(
        **settings.kafka.client_options(), group_id=group, enable_auto_commit=False
    )
    await consumer.start()
    try:
        tps = [TopicPartition(topic, p) for topic in topics for p in range(PARTITIONS)]
        consumer.assign(tps)
        await consumer.commit(await consumer.end_offsets(tps))
    finally:
        await consumer.stop()
