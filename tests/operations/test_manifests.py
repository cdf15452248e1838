"""Topics and rights as other tools take them; no broker is asked."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from streams.cli import main
from streams.kafka.topics import Service, wanted_topics
from streams.operations.rights import (
    COMMANDS,
    Right,
    command_rights,
    pipeline_rights,
    stage_rights,
)
from streams.settings import load_settings
from tests.deploy.operators import require_valid


@pytest.fixture(autouse=True)
def _miso_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a prefix that is no name in Kubernetes."""
    monkeypatch.setenv("STREAMS_MISO_API_KEY", "k")
    monkeypatch.setenv("STREAMS_KAFKA_TOPIC_PREFIX", "Acme_")


def written(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What a command writes that does what it should."""
    assert main(words) == 0
    return capsys.readouterr().out


def test_strimzi_gets_a_topic_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    """As the operator takes it."""
    text = written(capsys, "topics", "list", "--as", "strimzi", "--vendors", "on")
    topics = list(yaml.safe_load_all(text))
    names = [topic["spec"].get("topicName", topic["metadata"]["name"]) for topic in topics]
    assert names == [t.name for t in wanted_topics(load_settings(), 3, vendors=["miso"])]
    for topic in topics:
        require_valid(topic)
    assert {topic["kind"] for topic in topics} == {"KafkaTopic"}
    assert topics[2]["spec"] == {
        "topicName": "Acme_shop.users",
        "partitions": 6,
        "replicas": 3,
        "config": {
            "cleanup.policy": "compact",
            "delete.retention.ms": 2592000000,
            "min.compaction.lag.ms": 604800000,
            "min.insync.replicas": 2,
        },
    }


def test_all_vendors_have_topics_unless_only_those_that_are_on_are_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As JSON."""
    every = json.loads(written(capsys, "topics", "list", "--as", "json"))
    some = json.loads(written(capsys, "topics", "list", "--as", "json", "--vendors", "on"))
    left = {topic["topic"] for topic in every} - {topic["topic"] for topic in some}
    assert {topic.split(".")[1] for topic in left} == {"eightselect", "voyado"}


def test_kafka_topics_lines_name_everything(capsys: pytest.CaptureFixture[str]) -> None:
    """They can be run again."""
    lines = written(capsys, "topics", "list", "--as", "kafka-topics").splitlines()
    first = shlex.split(lines[0])
    assert first[:5] == [
        *("kafka-topics.sh", "--bootstrap-server", "127.0.0.1:9092", "--create", "--if-not-exists")
    ]
    assert first[first.index("--topic") + 1] == "Acme_shop.clicks"
    assert len(lines) == len(wanted_topics(load_settings(), 3))


def test_confluent_takes_no_compression_and_no_small_segments() -> None:
    """And three copies, whatever is set."""
    settings = load_settings({"STREAMS_KAFKA_REPLICATION_FACTOR": "1"})
    topics = wanted_topics(settings, 1, service=Service.CONFLUENT)
    assert {topic.replication for topic in topics} == {3}
    assert not any("compression.type" in topic.config for topic in topics)
    sizes = [int(t.config["segment.bytes"]) for t in topics if "segment.bytes" in t.config]
    assert sizes == [52_428_800]


@pytest.mark.parametrize(
    "words", [["--stage", "miso"], ["--stage", "enrich"], ["--command", "topics"], []]
)
def test_every_form_says_the_same_rights(
    words: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Table, JSON, Strimzi and kafka-acls."""
    rows = json.loads(written(capsys, "topics", "acls", *words, "--json"))
    rights = {(row["resource"], row["name"], row["operation"]) for row in rows}
    table = written(capsys, "topics", "acls", *words).splitlines()
    assert {tuple(line.split()[:3]) for line in table} == rights

    user = yaml.safe_load(written(capsys, "topics", "acls", *words, "--as", "strimzi"))
    require_valid(user)
    camel = {(kind, name, op.title().replace("_", "")) for kind, name, op in rights}
    assert {
        (acl["resource"]["type"], acl["resource"]["name"], operation)
        for acl in user["spec"]["authorization"]["acls"]
        for operation in acl["operations"]
    } == camel

    lines = written(capsys, "topics", "acls", *words, "--as", "kafka-acls", "--user", "relay")
    said = set()
    for line in map(shlex.split, lines.splitlines()):
        assert line[3:6] == ["--add", "--allow-principal", "User:relay"]
        *pairs, resource, name = line[6:]
        said |= {(resource[2:], name, operation) for operation in pairs[1::2]}
    assert said == camel


def test_who_looks_for_visitors_may_read_who_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stage both tables, of which it writes one; forgetting takes rows of both away."""
    config = tmp_path / "streams.toml"
    config.write_text(
        "[source.orders]\nenabled = true\n"
        '[ingest.erp]\ntopic = "erp"\nto = "orders"\nvisitor_from = "order_id"\n'
        '[ingest.web]\ntopic = "web"\nto = "visitors"\n'
    )
    monkeypatch.setenv("STREAMS_CONFIG", str(config))
    settings = load_settings()
    tables = {"Acme_shop.users", "Acme_shop.visitors"}

    def given(rights: Sequence[Right], operation: str) -> set[str]:
        return tables & {one.name for one in rights if one.operation.name == operation}

    assert given(stage_rights(settings, "ingest"), "READ") == tables
    assert given(stage_rights(settings, "ingest"), "WRITE") == {"Acme_shop.visitors"}
    for operation in ("READ", "WRITE"):
        assert given(command_rights(settings, "forget"), operation) == tables
    assert given(command_rights(settings, "dead-letters resend"), "READ") == tables
    assert given(stage_rights(settings, "enrich"), "READ") == {"Acme_shop.users"}


def test_no_right_is_listed_that_another_one_implies() -> None:
    """Else taking it away would change nothing."""
    settings = load_settings()
    lists = [stage_rights(settings, stage) for stage in settings.stages()]
    lists += [command_rights(settings, command) for command in COMMANDS]
    for rights in [*lists, pipeline_rights(settings)]:
        read = {(r.resource, r.name) for r in rights if r.operation.name in ("READ", "WRITE")}
        described = {(r.resource, r.name) for r in rights if r.operation.name == "DESCRIBE"}
        assert not read & described
        keys = [(r.resource, r.name, r.operation) for r in rights]
        assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["acls", "--stage", "nope"],
            '--stage: "nope" is not a stage; there are: ingest, enrich, ',
        ),
        (["acls", "--command", "reasons"], '--command: "reasons" needs no rights; those that do: '),
        (
            ["acls", "--command", "audit", "--stage", "miso"],
            "--stage and --command exclude each other.",
        ),
        (["list", "--as", "json", "--for", "msk"], "--for: there is no msk; name one of kafka, "),
    ],
)
def test_what_there_is_not_is_a_mistake(
    words: Sequence[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence, exit code 2."""
    assert main(["topics", *words]) == 2
    assert capsys.readouterr().err.startswith(sentence)
