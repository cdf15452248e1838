"""`streams check` on a real broker: topics, groups and lag as they are there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic

from streams.kafka.connection import admin, client_options
from streams.kafka.group_ids import group_id
from streams.kafka.groups import read_groups
from streams.kafka.reader import connect
from streams.kafka.topics import create_topics, until_visible
from streams.operations.check.check import check_kafka
from streams.settings import Settings, load_settings
from streams.status.findings import Finding, Level
from tests.broker_fixtures import Broker


@pytest.fixture
def settings(broker: Broker, prefix: str) -> Settings:
    """Miso is on; topics of this test's own, 3 partitions each."""
    return load_settings(
        {
            "STREAMS_MISO_API_KEY": "k",
            "STREAMS_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
            "STREAMS_KAFKA_TOPIC_PREFIX": prefix,
            "STREAMS_KAFKA_PARTITIONS": "3",
        }
    )


async def found(settings: Settings) -> list[Finding]:
    """All that is found of the broker, the topics and the groups."""
    return [finding async for finding in check_kafka(settings)]


async def write(settings: Settings, topic: str, partition: int, records: int) -> None:
    """Write records into one partition."""
    producer = AIOKafkaProducer(**client_options(settings.kafka))
    await producer.start()
    try:
        for _ in range(records):
            await producer.send_and_wait(topic, b"{}", b"v-1", partition=partition)
    finally:
        await producer.stop()


@asynccontextmanager
async def member(settings: Settings, stage: str, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    """Somebody in the stage's group, as a worker is."""
    consumer = AIOKafkaConsumer(
        topic,
        **client_options(settings.kafka),
        group_id=group_id(settings.kafka.topic_prefix, stage),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def test_before_the_topics_are_made_they_are_the_problem(settings: Settings) -> None:
    """One line names them and the command; nobody works yet."""
    prefix = settings.kafka.topic_prefix
    broker, topics, enrich, miso = await found(settings)
    where = settings.kafka.bootstrap_servers
    assert broker == Finding(Level.OK, "broker", f"Kafka at {where} answers, 1 broker.")
    assert topics == Finding(
        Level.PROBLEM,
        "topics",
        f"12 topics ({prefix}shop.clicks, {prefix}shop.add-to-carts, {prefix}shop.users, "
        f"{prefix}shop.products and 8 more) are missing.",
        "Run `streams topics create`.",
    )
    assert enrich == Finding(
        Level.WARNING,
        "enrich",
        "No enrichment worker has run yet.",
        "Start one with `streams worker enrich`.",
        "no_worker",
        None,
        "No events wait. Nothing is lost.",
    )
    assert miso.text == "No worker for Miso has run yet."


async def test_nothing_is_made_by_looking(settings: Settings) -> None:
    """Asking for a topic by name could create it."""
    await found(settings)
    async with admin(settings.kafka) as client:
        names = await client.list_topics()
    assert [name for name in names if name.startswith(settings.kafka.topic_prefix)] == []


async def test_topics_as_they_are_made_are_fine(settings: Settings) -> None:
    """`streams topics create` leaves nothing to complain of."""
    await create_topics(settings)
    assert (await found(settings))[1] == Finding(
        Level.OK,
        "topics",
        "All 12 topics exist; those keyed by visitor have 3 partitions each.",
    )


async def test_what_is_wrong_with_topics_is_found(settings: Settings) -> None:
    """More partitions in one, receipts that go before what they are about."""
    topics = settings.topics
    made = [
        NewTopic(topics.clicks, 3, 1, topic_configs={"retention.ms": "604800000"}),
        NewTopic(topics.users, 4, 1, topic_configs={"cleanup.policy": "compact"}),
        NewTopic(topics.receipts("miso"), 3, 1, topic_configs={"retention.ms": "86400000"}),
    ]
    async with admin(settings.kafka) as client:
        await client.create_topics(made)
        await until_visible(client, {topic.name for topic in made})
    findings = [finding for finding in await found(settings) if finding.subject == "topics"]
    texts = [finding.text for finding in findings if finding.level is Level.PROBLEM]
    assert (
        "Topics on which a visitor's records must meet have different numbers of partitions "
        f"({topics.users} has 4; {topics.clicks} and {topics.receipts('miso')} have 3), so no "
        "stage works, and nothing is lost."
    ) in texts
    assert (
        f"Topic {topics.receipts('miso')} keeps receipts 1 day, but {topics.clicks} its records "
        "7 days: the audit then calls settled events missing."
    ) in texts


async def test_what_waits_is_what_the_groups_have_not_committed(settings: Settings) -> None:
    """What was committed waits no longer."""
    await create_topics(settings)
    events = settings.topics.events("miso")
    await write(settings, settings.topics.clicks, 0, 2)
    await write(settings, events, 1, 3)
    async with member(settings, "miso", events) as consumer:
        await consumer.getone()
        await consumer.commit({TopicPartition(events, 1): 1})
        async with connect(settings.kafka) as reader:
            enrich, miso = await read_groups(reader, settings)
    assert (enrich.stage, enrich.waiting, enrich.has_committed) == ("enrich", 2, False)
    assert (miso.stage, miso.waiting, miso.has_committed) == ("miso", 2, True)
    gone, _ = [finding for finding in await found(settings) if finding.kind]
    assert gone == Finding(
        Level.PROBLEM,
        "miso",
        "No worker for Miso is running.",
        "Start one with `streams worker miso`.",
        "no_worker",
        None,
        "2 events wait. Nothing is lost.",
    )
