"""What a topic refuses waits in its place, on a real broker whose topic is altered meanwhile."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest

from streams.engine import wall_clock
from streams.engine.limits import TopicLimits
from streams.engine.outputs import Delivery, Outputs
from streams.engine.refused import RefusedWrites
from streams.kafka.connection import admin
from streams.kafka.topics import until_visible
from streams.lab.embedded import EmbeddedKafka
from streams.settings import KafkaSettings
from tests.broker_fixtures import Broker, Elsewhere
from tests.kafka.pipeline import Pipeline, Worker, alter_topic, many, until, visitors

pytestmark = pytest.mark.kafka

DEFAULT = 1_048_588


class Topic:
    """A topic of two partitions, and a producer as a worker has it."""

    def __init__(self, broker: Broker, name: str) -> None:
        self.name = name
        self.kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        self.limits = TopicLimits(read=self.read, shorten={name: self.shorten})
        self.refused = RefusedWrites(self.limits)
        self.said: list[Mapping[int, str]] = []
        self.refused.on_change = self.said.append
        self.given_up: list[str] = []
        self.shortens = False
        self.producer: Any

    async def start(self) -> None:
        """Make the topic and connect."""
        async with admin(self.kafka) as client:
            await client.create_topics([NewTopic(self.name, 2, 1)])
            await until_visible(client, {self.name})
        servers = self.kafka.bootstrap_servers
        self.producer = AIOKafkaProducer(
            bootstrap_servers=servers, acks="all", enable_idempotence=True, max_batch_size=1_000_000
        )
        await self.producer.start()
        queues = self.producer._message_accumulator
        queues.refused, queues.refresh = self.refused, self.producer.client.force_metadata_update

    async def takes(self, max_message_bytes: int) -> None:
        """Alter the topic."""
        async with admin(self.kafka) as client:
            await alter_topic(client, self.name, {"max.message.bytes": str(max_message_bytes)})
        self._max = max_message_bytes

    async def read(self, topics: Sequence[str]) -> Mapping[str, int]:
        """What the topic takes now."""
        assert list(topics) == [self.name]
        return {self.name: self._max}

    def shorten(self, value: bytes, size: int) -> bytes | None:
        """Cut, if records of this topic may be."""
        return value[:size] if self.shortens else None

    async def send(self, *values: bytes, partition: int = 0) -> Delivery:
        """Send one batch."""
        outputs = Outputs(self.producer, self.given_up.append, self.limits)
        for value in values:
            outputs.append(self.name, partition, b"k", value, [("h", b"x")])
        return await outputs.send()

    async def values(self, partition: int = 0) -> list[bytes]:
        """All that a partition holds."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka.bootstrap_servers)
        await consumer.start()
        try:
            tp = TopicPartition(self.name, partition)
            consumer.assign([tp])
            await consumer.seek_to_beginning(tp)
            end = (await consumer.end_offsets([tp]))[tp]
            found: list[bytes] = []
            while len(found) < end:
                for records in (await consumer.getmany(timeout_ms=100)).values():
                    found += [record.value for record in records]
            return found
        finally:
            await consumer.stop()


@pytest.fixture
async def topic(
    broker: Broker, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Topic]:
    """A topic of this test's own, tried again soon."""
    monkeypatch.setattr("streams.engine.refused.RETRY_SECONDS", 0.1)
    made = Topic(broker, f"{prefix}t")
    await made.start()
    try:
        yield made
    finally:
        await made.producer.stop()


def numbered(count: int, size: int) -> list[bytes]:
    """Values that differ."""
    return [b"%06d" % n + b"x" * (size - 6) for n in range(count)]


async def test_records_of_a_wrong_clock_wait_and_bear_the_right_time_once_it_is_set(
    topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hours ahead, where a topic takes one; with the old time they would wait for an hour."""
    ahead_ms, append, true_ms = [7_200_000], BatchBuilder.append, wall_clock.now_ms

    def now_ms() -> int:
        return true_ms() + ahead_ms[0]

    def append_now(builder: Any, *, timestamp: int | None, **record: Any) -> Any:
        return append(builder, timestamp=timestamp or now_ms(), **record)

    monkeypatch.setattr(BatchBuilder, "append", append_now)
    monkeypatch.setattr(wall_clock, "now_ms", now_ms)
    waiting = [await topic.send(b"0")]
    later = [asyncio.ensure_future(topic.send(b"%d" % n)) for n in (1, 2)]
    await until(lambda: bool(topic.said), 10, "the refusal to be said")
    (sentence,) = topic.refused.sentences()
    assert "accepts no record with this machine's time of day. Correct the machine's" in sentence
    ahead_ms[0] = 0
    waiting += [await task for task in later]
    for delivery in waiting:
        await asyncio.wait_for(delivery.acknowledged(), 10)
    assert await topic.values() == [b"0", b"1", b"2"]
    assert topic.refused.sentences() == []


async def test_a_record_that_is_too_large_waits_with_all_behind_it_until_the_topic_takes_it(
    topic: Topic,
) -> None:
    """In order, nothing lost or twice; the other partition goes on; afterwards all is as before."""
    await (await topic.send(b"first")).acknowledged()
    await topic.takes(2_000)
    large, behind = b"L" * 3_000, [b"%d" % n for n in range(5)]
    waiting = await topic.send(large)
    later = [asyncio.ensure_future(topic.send(value)) for value in behind]
    await until(lambda: bool(topic.said), 10, "the refusal to be said")
    for n in range(3):
        await (await topic.send(b"%d" % n, partition=1)).acknowledged()
    assert await topic.values() == [b"first"]
    (sentence,) = topic.refused.sentences()
    assert sentence.startswith("Partition 0 waits: a record of 3,0")
    assert f"is larger than {topic.name} accepts. Raise its max.message.bytes of 2,000" in sentence
    await topic.takes(DEFAULT)
    assert await waiting.acknowledged() == {(topic.name, 0): [range(1, 2)]}
    offsets = [await (await task).acknowledged() for task in later]
    assert offsets == [{(topic.name, 0): [range(2 + n, 3 + n)]} for n in range(5)]
    assert await topic.values() == [b"first", large, *behind]
    assert topic.refused.sentences() == []
    assert topic.said[-1] == {}
    assert topic.given_up == []


async def test_a_batch_that_is_too_large_is_split_and_the_next_ones_are_made_smaller(
    topic: Topic,
) -> None:
    """Also as a producer's very first batch; nobody has to wait or be told."""
    await topic.takes(10_000)
    values = numbered(100, 1_000)
    written = await (await topic.send(*values)).acknowledged()
    assert sum(map(len, written[topic.name, 0])) == 100
    assert len(written[topic.name, 0]) > 10
    assert topic.limits.batch_bytes(topic.name) == 10_000
    again = await (await topic.send(*values)).acknowledged()
    assert [offset for part in again[topic.name, 0] for offset in part] == list(range(100, 200))
    assert await topic.values() == values * 2
    assert (topic.said, topic.given_up) == ([], [])


async def test_without_the_right_to_read_the_limit_a_batch_is_halved_until_it_fits(
    topic: Topic,
) -> None:
    """The broker's refusal is enough."""
    topic.limits._read = None
    await topic.takes(3_000)
    values = numbered(20, 1_000)
    await (await topic.send(*values)).acknowledged()
    assert await topic.values() == values


async def test_what_may_be_shortened_is_shortened_instead_of_waiting(topic: Topic) -> None:
    """At its refusal, and beforehand once the limit is known."""
    topic.shortens = True
    await topic.takes(2_000)
    for _ in range(2):
        await (await topic.send(b"L" * 5_000)).acknowledged()
    first, second = await topic.values()
    assert 1_800 < len(first) <= len(second) < 2_000
    assert topic.said == []


async def test_a_refused_single_record_leaves_no_hole_in_the_sequence(topic: Topic) -> None:
    """Such as a worker's status: it fails, and the next one is taken."""
    await topic.producer.send_and_wait(topic.name, b"1", partition=0)
    await topic.takes(2_000)
    with pytest.raises(MessageSizeTooLargeError):
        await topic.producer.send_and_wait(topic.name, b"L" * 3_000, partition=0)
    await topic.producer.send_and_wait(topic.name, b"2", partition=0)
    assert await topic.values() == [b"1", b"2"]


# -- rights

TOPIC, GROUP, CLUSTER, LITERAL, DENY, ALLOW = 2, 3, 4, 3, 2, 3
ALL, READ, WRITE, IDEMPOTENT_WRITE = 2, 3, 4, 12
"""As Kafka's protocol says them."""


@pytest.fixture(scope="module")
def guarded() -> Iterator[Broker]:
    """A broker that obeys access control lists; what none of them names is allowed."""
    properties = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
    }
    with EmbeddedKafka(properties=properties) as kafka:
        yield Elsewhere("embedded, with access control", kafka.bootstrap_servers)


@pytest.mark.parametrize("operation", [WRITE, ALL])
async def test_without_the_right_to_write_a_partition_waits_until_it_is_given(
    guarded: Broker, prefix: str, monkeypatch: pytest.MonkeyPatch, operation: int
) -> None:
    """Also where the topic may not even be seen, which looks as if nobody led it."""
    monkeypatch.setattr("streams.engine.refused.RETRY_SECONDS", 0.1)
    topic = Topic(guarded, f"{prefix}t")
    await topic.start()
    denied = (TOPIC, topic.name, LITERAL, "User:ANONYMOUS", "*", operation, DENY)
    try:
        await (await topic.send(b"first")).acknowledged()
        async with admin(topic.kafka) as client:
            await client._send_request(CreateAclsRequest(*denied))
        refused = [asyncio.ensure_future(topic.send(b"%d" % n)) for n in range(3)]
        if operation == ALL:
            await topic.producer.client.force_metadata_update()
        await until(lambda: bool(topic.said), 10, "the refusal to be said")
        assert (
            f"this worker's Kafka user may not write to {topic.name}. Give it the right:"
            in (topic.refused.sentences()[0])
        )
        async with admin(topic.kafka) as client:
            await client._send_request(DeleteAclsRequest(*denied))
        for number, task in enumerate(refused):
            written = await (await task).acknowledged()
            assert written == {(topic.name, 0): [range(1 + number, 2 + number)]}
        assert await topic.values() == [b"first", b"0", b"1", b"2"]
        assert topic.given_up == []
    finally:
        await topic.producer.stop()


# -- workers

_FROM_CLI = "from streams.cli import main; from streams.engine import refused"
SOON = ("-c", f"{_FROM_CLI}; refused.RETRY_SECONDS = 0.5; main()")
"""A worker that tries again sooner than every ten seconds."""


async def take(pipeline: Pipeline, topic: str, max_bytes: int) -> None:
    """Alter a topic."""
    await alter_topic(pipeline.admin, topic, {"max.message.bytes": str(max_bytes)})


async def says(pipeline: Pipeline, worker: Worker, what: str) -> dict[str, Any]:
    """Wait until a worker's status says this of a refusal; return the status."""
    found: dict[str, Any] = {}

    async def is_said() -> bool:
        found.update(await pipeline.status(worker))
        return what in str(found["vendor"]) + str(found["warnings"])

    await until(is_said, 20, f"the status to say {what!r}")
    return found


async def ready_page(worker: Worker) -> tuple[int, dict[str, Any]]:
    """Return status and body of ``/health/ready``."""
    url = f"http://127.0.0.1:{worker.port}/health/ready"
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        return answer.status, await answer.json()


@pytest.mark.slow
async def test_receipts_that_are_refused_stop_sending_until_the_topic_takes_them(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """One request a start meanwhile, however many starts; no worker ends by itself."""
    async with Pipeline(broker, prefix, tmp_path) as pipeline:
        receipts = pipeline.topics.receipts("miso")
        await take(pipeline, receipts, 100)
        await pipeline.products("p1")
        enrich = await pipeline.worker("enrich")
        await pipeline.send(*many(3_000, visitors(60)))
        await pipeline.written(3_000)
        requests = pipeline.record_requests()
        for start in (1, 2):
            sink = pipeline.start("miso", program=SOON)
            await pipeline.ready(sink)
            status = await says(pipeline, sink, f"is larger than {receipts} accepts")
            assert status["vendor"]["state"] == "parked"
            words = f"is larger than {receipts} accepts. Raise its max.message.bytes of 100 bytes"
            code, body = await ready_page(sink)
            assert (code, body["vendor"]["state"]) == (200, "parked")
            assert words in body["vendor"]["reason"]
            assert words in sink.output()
            assert len(requests) == start
            if start == 1:
                sink.kill()
                repeated = len(pipeline.stored())
        assert max(Counter(pipeline.stored()).values()) <= 2
        await take(pipeline, receipts, DEFAULT)
        await pipeline.settled(3_000)
        assert len(pipeline.stored()) == repeated + 3_000
        assert (await pipeline.status(sink))["vendor"]["state"] == "running"

        await take(pipeline, receipts, 100)
        await pipeline.send(*many(600, visitors(60), 3_000))
        await says(pipeline, sink, f"is larger than {receipts} accepts")
        await take(pipeline, receipts, DEFAULT)
        await pipeline.settled(3_600)
        assert set(Counter(e for e in pipeline.stored() if int(e[1:]) >= 3_000).values()) == {1}
        assert (sink.code, enrich.code) == (None, None)
        assert sink.output().count("Partition 0 waits: a record of ") <= 2


async def test_vendor_records_that_are_refused_hold_enrichment_without_a_restart(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Nothing is committed past them, nothing is lost or twice, and letters are cut to size."""
    async with Pipeline(broker, prefix, tmp_path) as pipeline:
        events, letters = pipeline.topics.events("miso"), pipeline.topics.enrich_dead_letters
        await take(pipeline, letters, 10_000)
        await pipeline.products("p1")
        enrich = pipeline.start("enrich", program=SOON)
        await pipeline.ready(enrich)
        await take(pipeline, events, 100)
        await pipeline.send(*many(3_000, visitors(60)))
        await pipeline.send(
            ("shop.clicks", b"v1", b'{"event_id": "bad", "junk": "%b"}' % (b"x" * 90_000))
        )
        status = await says(pipeline, enrich, f"is larger than {events} accepts")
        assert "Raise its max.message.bytes of 100 bytes" in status["warnings"][0]
        raw = {TopicPartition(pipeline.topics.clicks, n) for n in range(3)}
        committed = await pipeline.committed("enrich")
        assert all(at.offset == 0 for tp, at in committed.items() if tp in raw)
        await take(pipeline, events, DEFAULT)
        await pipeline.worker("miso")
        await pipeline.settled(3_001)
        assert set(Counter(pipeline.stored()).values()) == {1}
        assert await pipeline.order_violations() == []
        (letter,) = await pipeline.letters()
        assert 9_000 < len(letter["record"]) < 10_000
        assert letter["record_bytes"] == 90_031
        assert enrich.code is None


@pytest.mark.parametrize("gives_it_back", [True, False])
async def test_a_group_right_taken_away_is_said_and_waited_for_and_ends_a_worker_after_a_grace(
    guarded: Broker, prefix: str, tmp_path: Path, *, gives_it_back: bool
) -> None:
    """Commits are due meanwhile; nothing is lost or sent twice by it."""
    env = {} if gives_it_back else {"STREAMS_WATCHDOG_STALL_SECONDS": "5"}
    async with Pipeline(guarded, prefix, tmp_path, partitions=1, env=env) as pipeline:
        await pipeline.products("p1")
        await pipeline.worker("enrich")
        miso = await pipeline.worker("miso")
        await pipeline.send(*many(20, visitors(5)))
        await pipeline.settled(20)
        group = f"{prefix}streams-miso"
        denied = (GROUP, group, LITERAL, "User:ANONYMOUS", "*", READ, DENY)
        await pipeline.admin._send_request(CreateAclsRequest(*denied))
        await pipeline.send(*many(20, visitors(5), 20))
        why = f"Kafka does not let this user into the group {group}: allow it READ"

        async def is_said() -> bool:
            return why in str((await pipeline.status(miso))["not_ready"])

        if gives_it_back:
            await pipeline.until(is_said, 10, "the status to say it")
            assert await pipeline.health(miso) == 503
            await pipeline.admin._send_request(DeleteAclsRequest(*denied))
            await pipeline.settled(40)
            await pipeline.ready(miso)
            assert miso.code is None
        else:
            assert await miso.ended(40) == 70
            assert f"{why} on this group" in miso.output().splitlines()[-1]
        assert set(Counter(pipeline.stored()).values()) == {1}


UNASKED = (
    "-c",
    (
        "from streams import app; from streams.cli import main\n"
        "async def lacks_nothing(*_): pass\n"
        "app.require_rights = lacks_nothing; main()"
    ),
)
"""A worker whose rights are taken away after it has asked for them."""


async def test_a_worker_that_is_given_no_producer_id_says_what_to_allow(
    guarded: Broker, prefix: str, tmp_path: Path
) -> None:
    """Brokers give one to whoever may write to any topic, or has the older right on the cluster."""
    who = (LITERAL, "User:ANONYMOUS", "*")
    topics, cluster = (TOPIC, "*", *who), (CLUSTER, "kafka-cluster", *who)
    # What an entry names is forbidden to whom none allows it, the broker itself included.
    entries = (
        *((*each, ALL, ALLOW) for each in (topics, cluster)),
        *((*topics, WRITE, DENY), (*cluster, IDEMPOTENT_WRITE, DENY)),
    )
    async with Pipeline(guarded, prefix, tmp_path, partitions=1) as pipeline:
        try:
            for entry in entries:
                await pipeline.admin._send_request(CreateAclsRequest(*entry))
            first = pipeline.start("miso")
            assert await first.ended(40) == 1
            miso = pipeline.start("miso", program=UNASKED)
            assert await miso.ended(40) == 70
        finally:
            for entry in reversed(entries):
                await pipeline.admin._send_request(DeleteAclsRequest(*entry))
        for topic in (pipeline.topics.receipts("miso"), pipeline.topics.status):
            assert f"Kafka does not let this user WRITE the topic {topic}:" in first.output()
        why = "Kafka gives this user no producer id, without which it cannot write: allow it WRITE"
        assert why in miso.output().splitlines()[-1]
