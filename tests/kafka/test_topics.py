"""Making, comparing and verifying topics on a real broker."""

import json
from dataclasses import replace

import pytest
from aiokafka.admin import NewTopic

from streams.cli import main
from streams.core.errors import SetupError
from streams.kafka.connection import admin
from streams.kafka.topics import (
    TopicReport,
    TopicState,
    create_topics,
    list_topics,
    until_visible,
    verify_topics,
)
from streams.settings import KafkaSettings, Settings
from tests.broker_fixtures import Broker

DAY_MS = 86_400_000


@pytest.fixture
def settings(broker: Broker, prefix: str) -> Settings:
    """Settings for this test's own topics, 3 partitions each."""
    kafka = KafkaSettings(
        bootstrap_servers=broker.bootstrap_servers, topic_prefix=prefix, partitions=3
    )
    return Settings(kafka=kafka)


def with_kafka(settings: Settings, **changes: object) -> Settings:
    """The same settings but for these of ``[kafka]``."""
    return replace(settings, kafka=settings.kafka.model_copy(update=changes))


async def make(settings: Settings, name: str, partitions: int, **config: str) -> None:
    """Make a topic as somebody else might have."""
    async with admin(settings.kafka) as client:
        configs = {key.replace("_", "."): value for key, value in config.items()}
        answer = await client.create_topics([NewTopic(name, partitions, 1, topic_configs=configs)])
        assert [code for _, code, *_ in answer.topic_errors] == [0]
        await until_visible(client, {name})


def named(reports: list[TopicReport], topic: str) -> TopicReport:
    """The report on one topic."""
    (found,) = [report for report in reports if report.topic == topic]
    return found


async def test_create_makes_every_topic_as_the_contract_says(settings: Settings) -> None:
    """Partitions, clean-up and retention are those of the contract, on the broker itself."""
    await create_topics(settings)
    found = {
        report.topic.removeprefix(settings.kafka.topic_prefix): (
            report.state,
            report.partitions,
            report.replication,
            report.config["cleanup.policy"],
            int(report.config["retention.ms"]) // DAY_MS,
            int(report.config["delete.retention.ms"]) // DAY_MS,
        )
        for report in await list_topics(settings)
    }
    present = TopicState.PRESENT
    expected = {
        "shop.clicks": (present, 3, 1, "delete", 7, 1),
        "shop.add-to-carts": (present, 3, 1, "delete", 7, 1),
        "shop.users": (present, 3, 1, "compact", 7, 30),
        "shop.products": (present, 3, 1, "compact", 7, 1),
        "enrich.dead-letters": (present, 3, 1, "delete", 30, 1),
        "vendor.miso.events": (present, 3, 1, "delete", 7, 1),
        "vendor.miso.redelivery": (present, 3, 1, "delete", 7, 1),
        "vendor.miso.receipts": (present, 3, 1, "delete", 14, 1),
        "vendor.miso.dead-letters": (present, 3, 1, "delete", 30, 1),
        "streams.status": (present, 1, 1, "compact", 7, 1),
        "streams.control": (present, 1, 1, "compact", 7, 1),
        "streams.replays": (present, 1, 1, "compact", 7, 1),
    }
    assert {name: found[name] for name in expected} == expected


async def test_create_twice_makes_nothing_the_second_time(settings: Settings) -> None:
    """The command may run at each deployment."""
    first = await create_topics(settings)
    second = await create_topics(settings)
    assert {report.state for report in first} == {TopicState.CREATED}
    assert {report.state for report in second} == {TopicState.PRESENT}
    assert [report.topic for report in first] == [report.topic for report in second]


async def test_create_adds_only_what_is_missing(settings: Settings) -> None:
    """A topic that its owner made in the right shape is left alone and the rest is made."""
    await make(settings, settings.topics.clicks, 3, cleanup_policy="delete")
    reports = await create_topics(settings)
    assert named(reports, settings.topics.clicks).state is TopicState.PRESENT
    assert named(reports, settings.topics.add_to_carts).state is TopicState.CREATED


async def test_other_partitions_and_clean_up_are_reported_and_nothing_is_made(
    settings: Settings,
) -> None:
    """One wrong topic stops the whole command: half an installation would hide the mistake."""
    topics = settings.topics
    await make(settings, topics.clicks, 2)
    await make(settings, topics.users, 3, cleanup_policy="delete")
    reports = await create_topics(settings)
    assert named(reports, topics.clicks).differences == ("has 2 partitions, not 3",)
    assert named(reports, topics.users).differences == ("has cleanup.policy delete, not compact",)
    assert named(reports, topics.add_to_carts).state is TopicState.MISSING
    listed = await list_topics(settings)
    assert {report.topic for report in listed if report.state is not TopicState.MISSING} == {
        topics.clicks,
        topics.users,
    }
    assert named(listed, topics.clicks).partitions == 2


async def test_short_lived_tombstones_are_a_difference(settings: Settings) -> None:
    """A forgotten visitor would stay with a worker that was away longer than a day."""
    await make(settings, settings.topics.users, 3, cleanup_policy="compact")
    reports = await create_topics(settings)
    assert named(reports, settings.topics.users).differences == (
        "has delete.retention.ms 1 d, less than 30 d",
    )


async def test_retention_days_are_used_and_compared_only_where_given(settings: Settings) -> None:
    """Who once chose 3 days need not repeat it; who asks for others hears that they are not."""
    await create_topics(settings, raw_days=3)
    again = await create_topics(settings)
    other = await create_topics(settings, raw_days=5)
    assert named(again, settings.topics.clicks).config["retention.ms"] == str(3 * DAY_MS)
    assert {report.state for report in again} == {TopicState.PRESENT}
    assert named(other, settings.topics.clicks).differences == ("has retention.ms 3 d, not 5 d",)


async def test_replication_beyond_the_brokers_names_the_setting(settings: Settings) -> None:
    """The broker's refusal ends with what to change."""
    with pytest.raises(SetupError, match="lower STREAMS_KAFKA_REPLICATION_FACTOR"):
        await create_topics(with_kafka(settings, replication_factor=2))


async def test_verify_names_each_missing_topic_and_the_command(settings: Settings) -> None:
    """A worker that starts before its topics says which and how to make them."""
    topics = settings.topics
    await make(settings, topics.clicks, 3)
    assert await verify_topics(settings, [topics.clicks, topics.users]) == [
        f"Topic {topics.users} does not exist: run `streams topics create`."
    ]


async def test_verify_accepts_what_create_made_with_other_settings(settings: Settings) -> None:
    """The raw topics say how many partitions there are, not a worker's settings."""
    await create_topics(settings)
    topics = settings.topics
    names = [topics.clicks, topics.users, topics.products, topics.events("miso"), topics.status]
    assert await verify_topics(with_kafka(settings, partitions=12), names) == []


async def test_verify_finds_topics_that_cannot_be_joined(settings: Settings) -> None:
    """Users in another number of partitions would meet the wrong visitors' events."""
    topics = settings.topics
    await make(settings, topics.clicks, 3)
    await make(settings, topics.add_to_carts, 3)
    await make(settings, topics.users, 1)
    await make(settings, topics.products, 2)
    await make(settings, topics.status, 3)
    names = [topics.clicks, topics.add_to_carts, topics.users, topics.products, topics.status]
    status, users = await verify_topics(settings, names)
    assert users.startswith(
        "Topics on which a visitor's records must meet have different numbers of partitions "
        f"({topics.clicks} and {topics.add_to_carts} have 3; {topics.users} has 1), so no stage "
        "works, and nothing is lost: add partitions to those with fewer "
    )
    assert status == (
        f"Topic {topics.status}, which holds the status of the workers and no events, has 3 "
        "partitions and must have 1: Kafka cannot remove partitions, so ask the cluster's "
        "administrator to create this topic again with 1."
    )


async def test_verify_makes_no_topic(settings: Settings) -> None:
    """Asking for a topic must not bring it into being on a broker that makes topics by itself."""
    await verify_topics(settings, [settings.topics.clicks, settings.topics.users])
    assert {report.state for report in await list_topics(settings)} == {TopicState.MISSING}


class TestCommands:
    """``streams topics`` as people and scripts use it."""

    @pytest.fixture(autouse=True)
    def _environment(self, monkeypatch: pytest.MonkeyPatch, broker: Broker, prefix: str) -> None:
        monkeypatch.setenv("STREAMS_KAFKA_BOOTSTRAP_SERVERS", broker.bootstrap_servers)
        monkeypatch.setenv("STREAMS_KAFKA_TOPIC_PREFIX", prefix)
        monkeypatch.setenv("STREAMS_KAFKA_PARTITIONS", "2")

    def test_create_and_list_exit_0(self, capsys: pytest.CaptureFixture[str], prefix: str) -> None:
        """Both print one line a topic; ``list`` shows what ``create`` made."""
        assert main(["topics", "create"]) == 0
        created = capsys.readouterr().out
        assert main(["topics", "list"]) == 0
        listed = capsys.readouterr().out
        assert created.splitlines()[0].split() == [
            f"{prefix}shop.clicks", "created", "2", "partitions", "x1", "delete",
        ]  # fmt: skip
        assert listed.splitlines()[0].split() == [
            f"{prefix}shop.clicks", "present", "2", "partitions", "x1", "delete",
        ]  # fmt: skip

    def test_list_json_is_one_array(self, capsys: pytest.CaptureFixture[str], prefix: str) -> None:
        """A missing topic is an entry like any other."""
        assert main(["topics", "list", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)[0] == {
            "topic": f"{prefix}shop.clicks",
            "state": "missing",
            "differences": [],
            "partitions": None,
            "replication": None,
            "config": {},
        }

    def test_differences_exit_1_and_stand_on_stderr(
        self,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        prefix: str,
    ) -> None:
        """Each difference is a sentence that names the topic."""
        assert main(["topics", "create"]) == 0
        capsys.readouterr()
        monkeypatch.setenv("STREAMS_KAFKA_PARTITIONS", "3")
        assert main(["topics", "create"]) == 1
        lines = capsys.readouterr().err.splitlines()
        assert lines[0] == f"Topic {prefix}shop.clicks has 2 partitions, not 3."
        assert lines[-1].startswith("Nothing was changed.")

    def test_no_retention_of_zero_days(self) -> None:
        """Wrong use is exit 2."""
        assert main(["topics", "create", "--raw-days", "0"]) == 2

    def test_unreachable_broker_exits_1(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One sentence, no traceback."""
        monkeypatch.setenv("STREAMS_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
        assert main(["topics", "list"]) == 1
        said = capsys.readouterr().err
        assert said.startswith("Kafka at 127.0.0.1:1 (STREAMS_KAFKA_BOOTSTRAP_SERVERS) cannot be")
        assert said.count("\n") == 1
