"""Topics for Confluent Cloud, on three brokers whose policy of ours refuses what it refuses."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from streams.core.errors import SetupError
from streams.kafka.topics import Service, TopicReport, TopicState, create_topics, list_topics
from streams.lab.embedded.jars import DEFAULT_VERSION, kafka_jars
from streams.settings import load_settings
from tests.kafka.pipeline import until
from tests.kafka.test_cluster import Cluster

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.skipif(shutil.which("javac") is None, reason="javac is not installed"),
]
POLICY = Path(__file__).with_name("ConfluentLimits.java")


@pytest.fixture(scope="module")
def confluent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three brokers with the policy."""
    classes = tmp_path_factory.mktemp("classes")
    jars = ":".join(map(str, kafka_jars(DEFAULT_VERSION, None)))
    command = ["javac", "--release", "17", "-cp", jars, "-d", str(classes), str(POLICY)]
    subprocess.run(command, check=True)
    cluster = Cluster({"create.topic.policy.class.name": "ConfluentLimits"}, classes)
    try:
        yield cluster
    finally:
        cluster.stop()


async def test_only_topics_made_for_confluent_are_taken(confluent: Cluster, prefix: str) -> None:
    """Of the vendors that are on; making them again changes nothing."""
    settings = load_settings(
        {
            "STREAMS_KAFKA_BOOTSTRAP_SERVERS": confluent.bootstrap_servers,
            "STREAMS_KAFKA_TOPIC_PREFIX": prefix,
            "STREAMS_MISO_API_KEY": "k",
        }
    )
    elsewhere = replace(
        settings, kafka=settings.kafka.model_copy(update={"topic_prefix": f"{prefix}plain."})
    )
    with pytest.raises(SetupError, match=r"was not created \(Altering topic config property"):
        await create_topics(elsewhere)
    vendors = settings.enabled_vendors()
    await create_topics(settings, vendors=vendors, service=Service.CONFLUENT)
    made: list[TopicReport] = []

    async def is_seen_by_every_broker() -> bool:
        reports = [*await list_topics(settings)]
        made[:] = [report for report in reports if report.state is TopicState.PRESENT]
        return {r.topic for r in made} == {s.name for s in settings.topics.specs(vendors, 6)}

    await until(is_seen_by_every_broker, 20, "the topics to be seen")
    assert {report.replication for report in made} == {3}
    await create_topics(settings, vendors=vendors, service=Service.CONFLUENT)
