"""Retention and recreation change the log under the group: counted, or refused in plain words."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin.records_to_delete import RecordsToDelete

from streams.kafka.topics import create_topics
from streams.operations.audit.report import AuditReport
from tests.broker_fixtures import Broker
from tests.kafka.pipeline import Pipeline, Worker, alter_topic, click

pytestmark = pytest.mark.kafka


async def delete_below(pipeline: Pipeline, offsets: Mapping[TopicPartition, int]) -> None:
    """Let retention have its way up to these offsets."""
    wanted = {tp: RecordsToDelete(before_offset=offset) for tp, offset in offsets.items()}
    await pipeline.admin.delete_records(wanted)


async def expired_and_settled(
    pipeline: Pipeline, worker: Worker, topic: str, *, left: int = 5
) -> None:
    """Wait for books with 15 expired and ``left`` accepted events; the status says the same."""
    last: list[AuditReport] = []

    async def is_settled() -> bool:
        last[:] = [await pipeline.audit()]
        return last[0].vendors[0].waiting == 0

    await pipeline.until(is_settled)
    (books,) = last[0].vendors
    assert last[0].balanced, last
    assert books.skipped == {"expired": 15}
    assert (books.raw, books.accepted) == (15 + left, left)
    assert (await pipeline.status(worker))["expired"] == {topic: 15}


async def retention_is_announced(pipeline: Pipeline) -> None:
    """Start a sink whose vendor is down, with events that are about to be deleted; stop it."""
    topic = pipeline.topics.events("miso")
    await alter_topic(pipeline.admin, topic, {"retention.ms": "4000"})
    pipeline.sandbox.faults.set("miso:down")
    miso = await pipeline.worker("miso")
    warnings: list[str] = []

    async def are_there() -> bool:
        warnings[:] = (await pipeline.status(miso))["warnings"]
        return bool(warnings)

    await pipeline.until(are_there)
    assert f"{topic} partition 0: the oldest record that is not settled is" in warnings[0]
    assert "retention may delete it" in warnings[0]
    assert "retention.ms of 4000 (4 s)" in warnings[0]
    await pipeline.until(lambda: "retention may delete it" in miso.output())
    miso.kill()
    pipeline.sandbox.faults.clear()


@pytest.mark.slow
async def test_raw_records_deleted_while_enrichment_was_away_are_counted_as_expired(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """What is left is delivered; the loss stands in the status, the log and the audit."""
    async with Pipeline(broker, prefix, tmp_path, partitions=1) as pipeline:
        await pipeline.products("p1")
        enrich, _ = await pipeline.both()
        await pipeline.send(*(click("anna", event_id=f"e{n}") for n in range(10)))
        await pipeline.settled(10)
        enrich.terminate()
        assert await enrich.ended(10) == 0
        await pipeline.send(*(click("anna", event_id=f"e{n}") for n in range(10, 30)))
        await delete_below(pipeline, {TopicPartition(pipeline.topics.clicks, 0): 25})
        enrich = await pipeline.worker("enrich")
        await pipeline.until(lambda: len(pipeline.ledger) == 15)
        assert pipeline.stored() == [f"e{n}" for n in (*range(10), *range(25, 30))]
        assert "15 records of" in enrich.output()
        await expired_and_settled(pipeline, enrich, pipeline.topics.clicks)
        # Long afterwards, by another worker, and with all that was delivered gone too.
        await pipeline.enriched(30)
        enrich.kill()
        await delete_below(pipeline, {TopicPartition(pipeline.topics.clicks, 0): 30})
        enrich = await pipeline.worker("enrich")
        await expired_and_settled(pipeline, enrich, pipeline.topics.clicks, left=0)


@pytest.mark.slow
async def test_vendor_records_deleted_while_the_sink_was_away_are_counted_as_expired(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Events above those that were settled out of order are neither lost nor taken for settled."""
    async with Pipeline(broker, prefix, tmp_path, partitions=1) as pipeline:
        await pipeline.products("p1")
        _, miso = await pipeline.both()
        await pipeline.send(*(click("anna", event_id=f"e{n}") for n in range(10)))
        await pipeline.settled(10)
        miso.terminate()
        assert await miso.ended(10) == 0
        await pipeline.send(*(click("anna", event_id=f"e{n}") for n in range(10, 30)))
        await pipeline.written(30)
        await retention_is_announced(pipeline)
        await delete_below(pipeline, {TopicPartition(pipeline.topics.events("miso"), 0): 25})
        miso = await pipeline.worker("miso")
        await pipeline.until(lambda: len(pipeline.ledger) == 15)
        assert pipeline.stored() == [f"e{n}" for n in (*range(10), *range(25, 30))]
        await expired_and_settled(pipeline, miso, pipeline.topics.events("miso"), left=15)
        miso.kill()
        # The raw records of those that expired are deleted later than they: nothing changes.
        await delete_below(pipeline, {TopicPartition(pipeline.topics.clicks, 0): 20})
        miso = await pipeline.worker("miso")
        await expired_and_settled(pipeline, miso, pipeline.topics.events("miso"), left=5)


async def test_a_topic_of_events_that_is_compacted_is_named_by_its_worker(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Kafka would remove unread events of a visitor, and nothing would count them."""
    async with Pipeline(broker, prefix, tmp_path, partitions=1) as pipeline:
        topic = pipeline.topics.events("miso")
        await alter_topic(pipeline.admin, topic, {"cleanup.policy": "compact,delete"})
        miso = await pipeline.worker("miso")
        said = f"{topic} is compacted, so Kafka keeps only the newest of a visitor's events on it"

        async def is_said() -> bool:
            found = (await pipeline.status(miso))["warnings"]
            return bool(found) and found[0].startswith(said)

        await pipeline.until(is_said)
        await pipeline.until(lambda: miso.output().count(said) == 1)


@pytest.mark.parametrize("stage", ["enrich", "miso"])
async def test_a_recreated_topic_is_refused_with_the_command_that_helps(
    broker: Broker, prefix: str, tmp_path: Path, stage: str
) -> None:
    """An end below the committed offset is no place to start from: exit 2, one sentence.

    The broker forgets the offsets of a topic that is deleted while it runs; a restored broker or
    another cluster behind the same address does not.
    """
    async with Pipeline(broker, prefix, tmp_path, partitions=1) as pipeline:
        await pipeline.products("p1")
        topic = pipeline.topics.clicks if stage == "enrich" else pipeline.topics.events("miso")
        await pipeline.commit(stage, TopicPartition(topic, 0), 1_000)
        worker = pipeline.start(stage)
        assert await worker.ended(30) == 2
        lines = [line for line in worker.output().splitlines() if "recreated" in line]
        assert len(lines) == 1
        assert f"`streams offsets reset --stage {stage} --to earliest`" in lines[0]
        assert "Traceback" not in worker.output()


@pytest.mark.parametrize("name", ["shop.products", "streams.control", "vendor.miso.events"])
async def test_a_topic_that_is_deleted_under_a_worker_is_named_and_read_anew_once_it_is_back(
    broker: Broker, prefix: str, tmp_path: Path, name: str
) -> None:
    """It ends before it commits again: the new topic has as many records as were read of the old.

    The supervisor starts it again, in vain while the topic is missing.
    """
    async with Pipeline(broker, prefix, tmp_path, partitions=1) as pipeline:
        await pipeline.products("p1")
        worker = pipeline.start("enrich", "miso")
        await pipeline.ready(worker)
        await pipeline.send(*(click("anna", event_id=f"old{n}") for n in range(10)))
        await pipeline.settled(10)
        topic = f"{prefix}{name}"
        stage = "enrich" if name == "shop.products" else "miso"
        await pipeline.admin.delete_topics([topic])
        await pipeline.until(lambda: f"{stage} ended with exit code 70" in worker.output())
        await pipeline.gone(topic)
        await create_topics(pipeline.settings)
        await pipeline.products("p1")
        await pipeline.send(*(click("anna", event_id=f"new{n}") for n in range(10)))
        await pipeline.until(lambda: pipeline.stored()[10:] == [f"new{n}" for n in range(10)])
        said = f"{topic} was deleted, or deleted and created again; starting again to read it"
        assert worker.output().count(said) == 1
        assert not [word for word in ("Error", "Traceback") if word in worker.output()]


@pytest.mark.slow
async def test_events_of_a_recreated_raw_topic_are_not_taken_for_repeats(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """The broker forgets the commits of a deleted topic: enrichment starts anew at offset 0."""
    async with Pipeline(broker, prefix, tmp_path, partitions=1) as pipeline:
        await pipeline.products("p1")
        workers = await pipeline.both()
        await pipeline.send(*(click("anna", event_id=f"old{n}") for n in range(30)))
        await pipeline.settled(30)
        for worker in workers:
            worker.terminate()
        for worker in workers:
            assert await worker.ended(10) == 0
        await pipeline.admin.delete_topics([pipeline.topics.clicks])
        await pipeline.gone(pipeline.topics.clicks)
        await create_topics(pipeline.settings)
        await pipeline.send(*(click("anna", event_id=f"new{n}") for n in range(10)))
        await pipeline.both()
        await pipeline.until(lambda: pipeline.stored()[30:] == [f"new{n}" for n in range(10)])
