"""What becomes of a producer, and of a log, when a batch is given up because nobody leads."""

import asyncio
from collections.abc import AsyncIterator, Callable
from time import monotonic
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.errors import NotLeaderForPartitionError, OutOfOrderSequenceNumber

from streams.engine.outputs import Outputs, leave_if_unusable
from streams.kafka.connection import admin
from streams.kafka.topics import until_visible
from streams.settings import KafkaSettings
from tests.broker_fixtures import Broker
from tests.kafka.pipeline import until

pytestmark = pytest.mark.kafka

GIVEN_UP_AFTER_MS = 600


class Leaderless:
    """A producer as the engine has it, and a topic of which it can be told that nobody leads it."""

    def __init__(self, broker: Broker, topic: str) -> None:
        self.servers = broker.bootstrap_servers
        self.topic = topic
        self.kafka: Any

    async def start(self) -> None:
        """Make the topic and connect."""
        kafka = KafkaSettings(bootstrap_servers=self.servers)
        async with admin(kafka) as client:
            await client.create_topics([NewTopic(self.topic, 1, 1)])
            await until_visible(client, {self.topic})
        self.kafka = AIOKafkaProducer(
            bootstrap_servers=self.servers,
            acks="all",
            enable_idempotence=True,
            request_timeout_ms=GIVEN_UP_AFTER_MS,
        )
        await self.kafka.start()
        await self.kafka.partitions_for(self.topic)
        self._leader = self.kafka.client.cluster.leader_for_partition

    def lead(self, *, leads: bool) -> None:
        """Let the metadata say from now on whether somebody leads the topic."""
        found = self._leader if leads else lambda _: None
        self.kafka.client.cluster.leader_for_partition = found

    async def write(self, value: bytes) -> None:
        """Write a record and wait for the broker's word."""
        await self.kafka.send_and_wait(self.topic, value, partition=0)

    async def values(self) -> list[bytes]:
        """All that the log holds."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.servers, auto_offset_reset="earliest")
        await consumer.start()
        try:
            tp = TopicPartition(self.topic, 0)
            consumer.assign([tp])
            end = (await consumer.end_offsets([tp]))[tp]
            found: list[bytes] = []
            while len(found) < end:
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    found += [record.value for record in records]
            return found
        finally:
            await consumer.stop()


@pytest.fixture
async def producer(broker: Broker, prefix: str) -> AsyncIterator[Leaderless]:
    """A producer that nobody but this test has."""
    made = Leaderless(broker, f"{prefix}t")
    await made.start()
    try:
        yield made
    finally:
        await made.kafka.stop()


async def test_aiokafka_never_recovers_from_a_batch_that_was_given_up(
    producer: Leaderless, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sequence number is missing for ever; who only writes the status leaves, too."""
    await producer.write(b"1")
    producer.lead(leads=False)
    with pytest.raises(NotLeaderForPartitionError):
        await producer.write(b"2")
    producer.lead(leads=True)
    left: list[str] = []
    monkeypatch.setattr("streams.engine.outputs.leave", lambda words, **_: left.append(words))
    for value in (b"3", b"4"):
        with pytest.raises(OutOfOrderSequenceNumber) as refused:
            await producer.write(value)
        leave_if_unusable(refused.value)
    assert await producer.values() == [b"1"]
    assert len(left) == 2
    assert left[0].startswith("the Kafka producer cannot write any more: OutOfOrderSequenceNumber(")


async def test_behind_a_partitions_first_batch_the_broker_takes_what_follows(
    producer: Leaderless,
) -> None:
    """So it is no protection there: a hole, and newer records behind it."""
    producer.lead(leads=False)
    with pytest.raises(NotLeaderForPartitionError):
        await producer.write(b"1")
    producer.lead(leads=True)
    await producer.write(b"2")
    assert await producer.values() == [b"2"]


@pytest.mark.parametrize("leaves", [True, False])
async def test_the_engine_leaves_before_what_follows_a_given_up_batch_can_go(
    producer: Leaderless, leaves: bool
) -> None:
    """Also where leaders are back at once; would it not leave, there would be a hole."""
    said: list[str] = []

    def leave(words: str) -> None:
        said.append(words)
        if leaves:
            producer.kafka.client.send = None  # nothing goes any more: the process has ended
        producer.lead(leads=True)

    producer.lead(leads=False)
    sent = []
    for value in (b"1", b"2"):
        outputs = Outputs(producer.kafka, on_failure=leave)
        outputs.append(producer.topic, 0, None, value)
        sent.append(asyncio.ensure_future(outputs.send()))
        # The second batch waits for its place from a little later on, and no longer than the first.
        await until(_in(GIVEN_UP_AFTER_MS / 2_000), 10, "a moment to pass")
    await until(lambda: bool(said), 10, "the batch to be given up")
    assert said[0].startswith(f"writing to {producer.topic}/0 failed: NotLeaderForPartitionError")
    if leaves:
        assert await producer.values() == []
    else:
        await (await sent[1]).acknowledged()
        assert await producer.values() == [b"2"]
    for task in sent:
        task.cancel()


def _in(seconds: float) -> Callable[[], bool]:
    then = monotonic() + seconds
    return lambda: monotonic() > then
