"""Wrong set-up: one plain sentence with the remedy, the right exit code, no traceback."""

import socket
from pathlib import Path

import pytest
from aiokafka.admin import NewTopic

from streams.kafka.topics import until_visible
from tests.broker_fixtures import Broker
from tests.kafka.pipeline import Pipeline, Worker, many, visitors

pytestmark = pytest.mark.kafka


async def sentence(worker: Worker, code: int) -> str:
    """Return the one line with which a worker gave up."""
    assert await worker.ended(30) == code, worker.output()
    assert "Traceback" not in worker.output()
    # Before it a worker says where it connects to.
    *before, line = worker.output().splitlines()
    assert len(before) <= 1
    return line


@pytest.mark.parametrize("stage", ["enrich", "miso"])
async def test_a_missing_topic_is_named_with_the_command_that_makes_it(
    broker: Broker, prefix: str, tmp_path: Path, stage: str
) -> None:
    """Workers never create topics."""
    async with Pipeline(broker, prefix, tmp_path) as pipeline:
        topic = pipeline.topics.receipts("miso")
        await pipeline.admin.delete_topics([topic])
        await pipeline.gone(topic)
        line = await sentence(pipeline.start(stage), 1)
        assert topic in line
        assert "streams topics create" in line


async def test_topics_that_must_have_as_many_partitions_and_have_not_are_named(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """A click would not meet its user row."""
    async with Pipeline(broker, prefix, tmp_path) as pipeline:
        topic = pipeline.topics.users
        await pipeline.admin.delete_topics([topic])
        await pipeline.gone(topic)
        await pipeline.admin.create_topics(
            [NewTopic(topic, 2, 1, topic_configs={"cleanup.policy": "compact"})]
        )
        await until_visible(pipeline.admin, {topic})
        line = await sentence(pipeline.start("enrich"), 2)
        assert topic in line
        assert "2" in line
        assert "3" in line


async def test_an_unreachable_broker_is_named_with_its_setting(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Within ten seconds, and without a hundred lines of the client's own log."""
    async with Pipeline(broker, prefix, tmp_path) as pipeline:
        worker = pipeline.start("enrich", STREAMS_KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:9")
        line = await sentence(worker, 1)
        assert "127.0.0.1:9" in line
        assert "STREAMS_KAFKA_BOOTSTRAP_SERVERS" in line


async def test_a_port_in_use_is_named_with_its_setting(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """The web view's port is looked at before anything is read."""
    async with Pipeline(broker, prefix, tmp_path) as pipeline:
        with socket.socket() as other:
            other.bind(("127.0.0.1", pipeline.settings.web_port("enrich")))
            other.listen()
            line = await sentence(pipeline.start("enrich"), 1)
        assert str(pipeline.settings.web_port("enrich")) in line
        assert "STREAMS_WEB_PORT" in line


async def test_settings_that_cannot_work_are_all_named_at_once(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Exit code 2, one line for each variable."""
    async with Pipeline(broker, prefix, tmp_path) as pipeline:
        worker = pipeline.start("miso", STREAMS_MISO_API_KEY="", STREAMS_MISO_ENABLED="true")
        line = await sentence(worker, 2)
        assert "STREAMS_MISO_API_KEY" in line


async def test_a_slot_that_is_taken_here_is_said_at_once(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Two workers of one slot and state folder: the second does not start."""
    async with Pipeline(broker, prefix, tmp_path) as pipeline:
        await pipeline.worker("enrich", "--slot", "0")
        line = await sentence(pipeline.start("enrich", "--slot", "0"), 1)
        assert "slot 0" in line


@pytest.mark.parametrize("stage", ["enrich", "miso"])
async def test_of_two_workers_with_the_same_slot_one_is_fenced_and_says_so(
    broker: Broker, prefix: str, tmp_path: Path, stage: str
) -> None:
    """Two state folders cannot know of each other, the broker does: one exits 2, one works."""
    async with Pipeline(broker, prefix, tmp_path, partitions=2) as pipeline:
        await pipeline.products("p1")
        await pipeline.both()
        port = pipeline.settings.web.port + 20
        pipeline.start(stage, STREAMS_STATE_DIR=str(tmp_path / "other"), STREAMS_WEB_PORT=str(port))
        same = [worker for worker in pipeline.workers if worker.stage == stage]
        await pipeline.send(*many(40, visitors(6)))
        await pipeline.until(lambda: any(worker.code is not None for worker in same))
        (fenced,) = [worker for worker in same if worker.code is not None]
        assert fenced.code == 2
        assert "another worker runs with the same stage, host and slot" in fenced.output()
        assert "Traceback" not in fenced.output()
        await pipeline.send(*many(40, visitors(6), 40))
        report = await pipeline.settled(80)
        assert report.vendors[0].accepted == 80
        assert await pipeline.order_violations() == []
