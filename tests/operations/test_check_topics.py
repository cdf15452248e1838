"""What is said of topics, and of the groups that read them."""

from dataclasses import replace

import pytest

from streams.core.topics import DAY_MS, Topics
from streams.kafka.groups import topics_read
from streams.kafka.topics import TopicReport, TopicState, topic_problems
from streams.operations.check.topics import off_findings, shop_findings, topic_findings
from streams.settings import IngestSettings, Settings, load_settings
from streams.status.findings import Finding, Level

TOPICS = Topics("x.")
GOOD = {
    spec.name: TopicReport(
        spec.name,
        TopicState.PRESENT,
        partitions=spec.partitions or 6,
        replication=3,
        config={
            "cleanup.policy": spec.cleanup,
            "retention.ms": spec.config.get("retention.ms", str(7 * DAY_MS)),
            "retention.bytes": "-1",
            "delete.retention.ms": spec.config.get("delete.retention.ms", str(DAY_MS)),
            "max.message.bytes": "1048588",
        },
    )
    for spec in TOPICS.specs(["miso"], 6)
}


def found(
    *changed: TopicReport, misfits: tuple[str, ...] = (), partitions: int = 6
) -> list[Finding]:
    """What is said where these topics differ from good ones."""
    reports = GOOD | {report.topic: report for report in changed}
    return topic_findings(
        list(reports.values()), misfits, TOPICS, ["miso"], partitions=partitions, brokers=3
    )


def with_config(topic: str, **config: str) -> TopicReport:
    """A good topic but for these settings."""
    changes = {name.replace("_", "."): value for name, value in config.items()}
    return replace(GOOD[topic], config={**GOOD[topic].config, **changes})


def test_topics_as_they_must_be_are_one_line() -> None:
    """With their number and partitions."""
    assert found() == [
        Finding(
            Level.OK,
            "topics",
            "All 12 topics exist; those keyed by visitor have 6 partitions each.",
        )
    ]


def test_a_limit_by_size_is_a_warning_but_on_a_table() -> None:
    """Compaction does not look at it."""
    limited = [
        with_config(topic, retention_bytes="1073741824")
        for topic in ("x.shop.clicks", "x.vendor.miso.events", "x.shop.users")
    ]
    (finding,) = found(*limited)
    assert finding == Finding(
        Level.WARNING,
        "topics",
        "2 topics (x.shop.clicks, x.vendor.miso.events) are limited by size, too (retention.bytes "
        "1,073,741,824 for each partition): Kafka may delete records long before their "
        "retention.ms ends, also unread ones, and no worker warns of it.",
        "Remove the limit: kafka-configs --alter --topic x.shop.clicks --add-config "
        "retention.bytes=-1.",
    )


def test_a_topic_of_a_source_that_is_off_is_named() -> None:
    """Whoever writes there would wait for nothing."""
    (finding,) = off_findings(["x.shop.content-views"])
    assert finding.level is Level.WARNING
    assert finding.text == (
        "Topic x.shop.content-views exists, but its source is switched off: nothing reads it."
    )
    assert "set [source.content-views] enabled = true" in finding.remedy


def test_missing_topics_are_one_problem_with_the_command() -> None:
    """The first ones by name, the rest counted."""
    one = TopicReport("x.shop.users", TopicState.MISSING)
    assert found(one) == [
        Finding(
            Level.PROBLEM,
            "topics",
            "Topic x.shop.users is missing.",
            "Run `streams topics create`.",
        )
    ]
    names = list(GOOD)[:6]
    assert found(*(TopicReport(name, TopicState.MISSING) for name in names)) == [
        Finding(
            Level.PROBLEM,
            "topics",
            "6 topics (x.shop.clicks, x.shop.add-to-carts, x.shop.users, x.shop.products and 2 "
            "more) are missing.",
            "Run `streams topics create`.",
        )
    ]


def test_unequal_partitions_keep_the_words_of_verify_topics() -> None:
    """Sentence and remedy apart."""
    counts = {name: report.partitions or 0 for name, report in GOOD.items()}
    counts["x.shop.users"] = 2
    (misfit,) = topic_problems(
        load_settings({"STREAMS_KAFKA_TOPIC_PREFIX": "x.", "STREAMS_MISO_API_KEY": "secret"}),
        counts,
        GOOD,
    )
    assert found(misfits=(misfit,)) == [
        Finding(
            Level.PROBLEM,
            "topics",
            "Topics on which a visitor's records must meet have different numbers of partitions "
            "(x.shop.clicks, x.shop.add-to-carts, x.enrich.dead-letters and 4 more have 6; "
            "x.shop.users has 2), so no stage works, and nothing is lost.",
            "Add partitions to those with fewer (kafka-topics --alter --topic NAME --partitions "
            "6), start again and run `streams topics rekey`; docs/operations.md explains it under "
            "More partitions.",
        )
    ]


@pytest.mark.parametrize(
    ("receipts", "raw", "words", "longer", "value"),
    [
        (str(DAY_MS), str(7 * DAY_MS), "receipts 1 day, but", "7 days", 7 * DAY_MS),
        ("3600000", str(7 * DAY_MS), "receipts 1 hour, but", "7 days", 7 * DAY_MS),
        (str(14 * DAY_MS), "-1", "receipts 14 days, but", "for ever", -1),
    ],
)
def test_receipts_must_outlive_raw_records(
    receipts: str, raw: str, words: str, longer: str, value: int
) -> None:
    """A shorter retention is a problem that names the longer one and the command."""
    (finding,) = found(
        with_config("x.vendor.miso.receipts", retention_ms=receipts),
        with_config("x.shop.clicks", retention_ms=raw),
    )
    assert finding.level is Level.PROBLEM
    assert finding.text == (
        f"Topic x.vendor.miso.receipts keeps {words} x.shop.clicks its records {longer}: the "
        "audit then calls settled events missing."
    )
    assert finding.remedy.endswith(f"--add-config retention.ms={value}.")


def test_receipts_kept_for_ever_are_fine() -> None:
    """-1 is Kafka's word for it."""
    (finding,) = found(
        with_config("x.vendor.miso.receipts", retention_ms="-1"),
        with_config("x.shop.clicks", retention_ms="-1"),
    )
    assert finding.level is Level.OK


def test_another_clean_up_is_a_problem() -> None:
    """Compacted clicks would lose events, deleted users their consent."""
    assert found(with_config("x.shop.users", cleanup_policy="delete")) == [
        Finding(
            Level.PROBLEM,
            "topics",
            "Topic x.shop.users has cleanup.policy delete, not compact.",
            "Set it with Kafka's own tools: kafka-configs --alter --topic x.shop.users "
            "--add-config cleanup.policy=compact.",
        )
    ]


def test_tombstones_that_go_early_are_a_warning() -> None:
    """A worker that was away would keep a visitor who is to be forgotten."""
    (finding,) = found(with_config("x.shop.users", delete_retention_ms=str(DAY_MS)))
    assert finding.level is Level.WARNING
    assert finding.text == (
        "Topic x.shop.users keeps tombstones 1 day, less than 30 days: a worker that was away "
        "for longer would miss that a visitor was forgotten."
    )


def test_another_number_than_the_setting_is_a_warning() -> None:
    """It works until a topic is made anew."""
    (finding,) = found(partitions=12)
    assert (finding.level, finding.remedy) == (Level.WARNING, "Set STREAMS_KAFKA_PARTITIONS=6.")


def test_few_copies_are_a_warning() -> None:
    """Where there are brokers for more."""
    (finding,) = found(replace(GOOD["x.shop.clicks"], replication=1))
    assert finding.level is Level.WARNING
    assert finding.text == (
        "Topic x.shop.clicks is kept in fewer than 3 copies, though there are 3 brokers: the loss "
        "of one could lose events."
    )


def test_stages_read_their_own_topics() -> None:
    """Enrichment the raw ones, a sink its two lanes."""
    assert topics_read(TOPICS, "enrich") == ["x.shop.clicks", "x.shop.add-to-carts"]
    assert topics_read(TOPICS, "miso") == ["x.vendor.miso.events", "x.vendor.miso.redelivery"]


def test_a_topic_that_takes_less_at_once_than_by_default_is_named() -> None:
    """With what becomes of batches and letters, and the command."""
    (finding,) = found(with_config("x.vendor.miso.dead-letters", max_message_bytes="100000"))
    assert finding == Finding(
        Level.WARNING,
        "topics",
        "Topic x.vendor.miso.dead-letters takes batches of at most 100,000 bytes "
        "(max.message.bytes), less than Kafka's default of 1,048,588: batches and dead letters are "
        "cut to that, and a partition with a larger single record waits.",
        "Raise it: kafka-configs --alter --topic x.vendor.miso.dead-letters --add-config "
        "max.message.bytes=1048588.",
    )


def test_topics_of_the_shop_are_there_and_keep_the_rows_that_fill_tables() -> None:
    """A missing one is a problem; rows that retention deletes are a warning."""
    sections = {
        "views": IngestSettings(topic="web", to="clicks"),
        "people": IngestSettings(topic="crm", to="users"),
        "goods": IngestSettings(topic="goods", to="products"),
    }
    settings = Settings(ingest=sections)
    configs = {
        "web": {"cleanup.policy": "delete"},
        "crm": {"cleanup.policy": "delete"},
        "goods": {"cleanup.policy": "compact,delete"},
    }
    (found,) = shop_findings(settings, configs)
    assert found.level is Level.WARNING
    assert found.text.startswith("Topic crm of [ingest.people], which fills shop.users, has ")
    kept = {"crm": {"cleanup.policy": "compact"}, "goods": configs["goods"]}
    (missing,) = shop_findings(settings, kept)
    assert missing.text == "Topic web of [ingest.views] does not exist."
