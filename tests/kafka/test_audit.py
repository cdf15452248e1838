"""``streams audit`` and ``streams status`` on a real broker, over what a relay would write."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndMetadata
from pydantic import SecretStr

from streams.cli import main
from streams.core.errors import SetupError
from streams.core.snapshot import WorkerSnapshot, encode_snapshot
from streams.core.topics import Topics
from streams.kafka.group_ids import group_id
from streams.kafka.topics import create_topics
from streams.operations.audit.audit import run_audit
from streams.operations.audit.report import compare_with_ledger
from streams.settings import KafkaSettings, Settings
from streams.status.status import read_status
from streams.vendors.miso import MisoSettings
from tests.broker_fixtures import Broker
from tests.operations.audit_logs_in_memory import letter, receipt

pytestmark = pytest.mark.kafka


@pytest.fixture
async def settings(broker: Broker, prefix: str) -> Settings:
    """Settings for this test's own topics, 2 partitions each, which exist."""
    kafka = KafkaSettings(
        bootstrap_servers=broker.bootstrap_servers, topic_prefix=prefix, partitions=2
    )
    made = Settings(kafka=kafka, vendors={"miso": MisoSettings(api_key=SecretStr("key"))})
    await create_topics(made)
    return made


class Relay:
    """A relay in a few lines: writes what enrichment and a sink would, and commits."""

    def __init__(self, settings: Settings, producer: AIOKafkaProducer) -> None:
        self.settings = settings
        self.topics: Topics = settings.topics
        self._producer = producer

    async def raw(self, partition: int, topic: str | None = None) -> str:
        """Write a raw record and return its source."""
        topic = topic or self.topics.clicks
        at = await self._producer.send_and_wait(topic, b"{}", partition=partition)
        return f"{topic}/{partition}/{at.offset}"

    async def record(self, source: str) -> int:
        """Write its vendor record and return the position."""
        partition = int(source.split("/")[1])
        at = await self._producer.send_and_wait(
            self.topics.events("miso"),
            b"{}",
            partition=partition,
            headers=[("source", source.encode())],
        )
        return int(at.offset)

    async def receipt(self, source: str, outcome: str, position: int | None, reason: str) -> None:
        """Write a receipt."""
        written = receipt(source, outcome, position, reason=reason)
        await self._send(self.topics.receipts("miso"), source, msgspec.json.encode(written))

    async def letter(self, source: str, stage: str, reason: str, topic: str) -> None:
        """Write a dead letter."""
        await self._send(topic, source, msgspec.json.encode(letter(source, stage, reason)))

    async def commit(
        self, stage: str, offsets: dict[TopicPartition, int], metadata: str = ""
    ) -> None:
        """Commit as a stage does."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.settings.kafka.bootstrap_servers,
            group_id=group_id(self.topics.prefix, stage),
            enable_auto_commit=False,
        )
        await consumer.start()
        try:
            consumer.assign(list(offsets))
            await consumer.commit(
                {tp: OffsetAndMetadata(offset, metadata) for tp, offset in offsets.items()}
            )
        finally:
            await consumer.stop()

    async def _send(self, topic: str, source: str, value: bytes) -> None:
        await self._producer.send_and_wait(topic, value, partition=int(source.split("/")[1]))


@asynccontextmanager
async def relay_of(settings: Settings) -> AsyncIterator[Relay]:
    """Give a relay for these settings."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap_servers)
    await producer.start()
    try:
        yield Relay(settings, producer)
    finally:
        await producer.stop()


@pytest.fixture
async def relay(settings: Settings) -> AsyncIterator[Relay]:
    """A relay on this test's topics."""
    async with relay_of(settings) as made:
        yield made


async def one_of_each(relay: Relay) -> None:
    """Write one event of each outcome on partition 0, and one that waits on partition 1."""
    topics = relay.topics
    sources = [await relay.raw(0) for _ in range(5)]
    accepted, dead, skipped, misfit, given_up = sources
    position = await relay.record(accepted)
    await relay.receipt(accepted, "accepted", position, "")
    position = await relay.record(dead)
    await relay.letter(dead, "deliver", "rejected", topics.dead_letters("miso"))
    await relay.receipt(dead, "dead_lettered", position, "rejected")
    await relay.receipt(skipped, "skipped", None, "no_consent")
    await relay.letter(misfit, "enrich", "invalid_payload", topics.dead_letters("miso"))
    await relay.letter(given_up, "enrich", "invalid_json", topics.enrich_dead_letters)
    await relay.raw(1, topics.add_to_carts)
    await relay.commit("enrich", {TopicPartition(topics.clicks, 0): 5})
    await relay.commit("miso", {TopicPartition(topics.events("miso"), 0): 2})


async def test_every_outcome_is_found_on_the_broker(settings: Settings, relay: Relay) -> None:
    """Topics, headers and commits are read as a relay writes them; the ids agree with a ledger."""
    await one_of_each(relay)
    report = await run_audit(settings, keep_ids=True)
    assert report.balanced, report
    (books,) = report.vendors
    assert (books.vendor, books.raw, books.accepted) == ("miso", 6, 1)
    assert books.dead_lettered == {"invalid_payload": 1, "rejected": 1}
    assert books.skipped == {"no_consent": 1}
    assert (books.waiting_for_enrichment, books.waiting_for_vendor) == (1, 0)
    assert report.enrich_dead_letters == {"invalid_json": 1}
    accepted_id = f"e-{settings.topics.clicks}/0/0"
    assert compare_with_ledger(report, "miso", {accepted_id: 1}).agrees
    assert compare_with_ledger(report, "miso", {}).lacking == {accepted_id: 1}


async def test_a_lost_event_ends_the_command_with_1(
    settings: Settings,
    relay: Relay,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A raw record that enrichment passed without a trace is named, and the exit code says so."""
    await one_of_each(relay)
    monkeypatch.setenv("STREAMS_KAFKA_BOOTSTRAP_SERVERS", settings.kafka.bootstrap_servers)
    monkeypatch.setenv("STREAMS_KAFKA_TOPIC_PREFIX", settings.kafka.topic_prefix)
    monkeypatch.setenv("STREAMS_MISO_API_KEY", "key")
    assert await asyncio.to_thread(main, ["audit"]) == 0
    assert "The sums match" in capsys.readouterr().out
    await relay.commit("enrich", {TopicPartition(relay.topics.add_to_carts, 1): 1})
    assert await asyncio.to_thread(main, ["audit"]) == 1
    out = capsys.readouterr().out
    assert "The sums do NOT match" in out
    assert f"{relay.topics.add_to_carts}/1/0: enrichment has passed it" in out
    assert await asyncio.to_thread(main, ["audit", "--json"]) == 1
    (report,) = json.loads(capsys.readouterr().out)
    assert (report["balanced"], report["vendors"][0]["missing"]) == (False, 1)


async def test_commit_metadata_says_when_a_vendor_was_off(settings: Settings, relay: Relay) -> None:
    """Events that enrichment read while the vendor was off are on neither side."""
    for _ in range(3):
        await relay.raw(0)
    await relay.record(f"{relay.topics.clicks}/0/2")
    metadata = '{"on": {"miso": [[2, null]]}}'
    await relay.commit("enrich", {TopicPartition(relay.topics.clicks, 0): 3}, metadata)
    report = await run_audit(settings)
    assert report.balanced, report
    assert (report.vendors[0].off, report.vendors[0].waiting_for_vendor) == (2, 1)


async def test_transactions_leave_no_missing_events(settings: Settings, relay: Relay) -> None:
    """Aborted records and the markers of transactions are no events, also at the log's end."""
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka.bootstrap_servers,
        transactional_id=f"{settings.kafka.topic_prefix}shop",
    )
    await producer.start()
    try:
        async with producer.transaction():
            await producer.send_and_wait(relay.topics.clicks, b"{}", partition=0)
        await producer.begin_transaction()
        await producer.send_and_wait(relay.topics.clicks, b"{}", partition=0)
        await producer.abort_transaction()
    finally:
        await producer.stop()
    await relay.receipt(f"{relay.topics.clicks}/0/0", "skipped", None, "no_consent")
    await relay.commit("enrich", {TopicPartition(relay.topics.clicks, 0): 4})
    report = await run_audit(settings)
    assert report.balanced, report
    assert (report.vendors[0].raw, report.vendors[0].skipped) == (1, {"no_consent": 1})


async def test_a_running_relay_gives_balanced_sums(settings: Settings, relay: Relay) -> None:
    """Audits while events are written, relayed, settled and committed all balance."""
    topics = relay.topics
    done = asyncio.Event()

    async def run() -> int:
        count = 0
        while not done.is_set():
            sources = [await relay.raw(0) for _ in range(20)]
            positions = [await relay.record(source) for source in sources]
            count += len(sources)
            await relay.commit("enrich", {TopicPartition(topics.clicks, 0): count})
            for source, position in zip(sources, positions, strict=True):
                await relay.receipt(source, "accepted", position, "")
            await relay.commit("miso", {TopicPartition(topics.events("miso"), 0): count})
        return count

    running = asyncio.create_task(run())
    try:
        reports = [await run_audit(settings) for _ in range(5)]
    finally:
        done.set()
    count = await running
    for report in reports:
        assert report.balanced, report
    last = await run_audit(settings)
    assert last.balanced
    assert (last.vendors[0].accepted, last.vendors[0].waiting) == (count, 0)


async def test_a_window_starts_at_a_kafka_time(settings: Settings, relay: Relay) -> None:
    """A window in the future holds nothing; one from the start of time holds everything."""
    await one_of_each(relay)
    nothing = await run_audit(settings, since_ms=4_000_000_000_000)
    assert nothing.balanced
    assert nothing.vendors[0].raw == 0
    everything = await run_audit(settings, since_ms=1)
    assert everything.balanced
    assert everything.vendors[0].raw == 6


async def test_missing_topics_are_named_with_the_remedy(broker: Broker, prefix: str) -> None:
    """Without its topics an audit says which are missing and which command makes them."""
    kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers, topic_prefix=prefix)
    nothing = Settings(kafka=kafka, vendors={"miso": MisoSettings(api_key=SecretStr("key"))})
    with pytest.raises(SetupError, match=r"shop\.clicks.*streams topics create"):
        await run_audit(nothing)
    with pytest.raises(SetupError, match=r"streams\.status.*streams topics create"):
        await read_status(nothing)


async def test_status_reads_the_newest_snapshots(settings: Settings) -> None:
    """The board holds one snapshot a worker, and none of a worker with a tombstone."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap_servers)
    await producer.start()
    try:
        for at, worker in ((1, "a"), (2, "a"), (1, "b")):
            snapshot = WorkerSnapshot(
                worker=worker,
                stage="miso",
                slot=0,
                host="h",
                pid=1,
                version="0.1.0",
                at=at,
                started_at=1,
                ready=True,
            )
            value = encode_snapshot(snapshot)
            await producer.send_and_wait(settings.topics.status, value, key=worker.encode())
        await producer.send_and_wait(settings.topics.status, None, key=b"b")
    finally:
        await producer.stop()
    board = await read_status(settings)
    assert {key: snapshot.at for key, snapshot in board.snapshots.items()} == {"a": 2}
