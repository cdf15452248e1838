"""What is said before retention deletes something unsettled."""

from types import SimpleNamespace

import pytest
from faust.types import TP

from streams.engine import retention
from streams.engine.retention import NearExpiry, RetentionWatch, TopicRetention, near_expiry

HOUR = 3_600_000
DAY = 24 * HOUR
NOW = 100 * DAY


def test_nothing_is_said_below_four_fifths_of_the_retention() -> None:
    """From there on each topic is named once, by its oldest partition."""
    oldest = {TP("a", 0): NOW - 79 * HOUR, TP("a", 1): NOW - HOUR}
    assert near_expiry(oldest, {"a": 100 * HOUR}, NOW) == []
    oldest |= {TP("a", 2): NOW - 80 * HOUR, TP("a", 3): NOW - 90 * HOUR}
    assert near_expiry(oldest, {"a": 100 * HOUR}, NOW) == [
        NearExpiry("a", 3, 90 * HOUR, 100 * HOUR, 2)
    ]


def test_a_topic_that_keeps_everything_threatens_nothing() -> None:
    """It has no retention in time."""
    assert near_expiry({TP("a", 0): 0}, {}, NOW) == []


def test_the_sentence_says_when_and_what_to_do() -> None:
    """With the setting's own value, so that it can be found again."""
    late = NearExpiry("vendor.miso.events", 3, 6 * DAY, 7 * DAY, 2)
    assert late.sentence() == (
        "vendor.miso.events partition 3 (2 partitions are as late): the oldest record that is not "
        "settled is 6.0 days old, and retention may delete it in 24.0 h. Remove what it waits for, "
        "or give the topic more time than its retention.ms of 604800000 (7.0 days) with Kafka's "
        "own tools."
    )


def test_a_record_that_is_overdue_may_go_at_any_moment() -> None:
    """Kafka deletes whole segments, so it may still be there."""
    assert "may delete it at any moment." in NearExpiry("a", 0, 7 * DAY, 7 * DAY, 1).sentence()


async def test_a_compacted_topic_is_named_unless_only_the_newest_of_a_key_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A topic of rows is compacted on purpose."""

    async def read_retention(*_: object) -> dict[str, TopicRetention]:
        return {topic: TopicRetention(7 * DAY, is_compacted=topic != "c") for topic in "abc"}

    monkeypatch.setattr(retention, "read_retention", read_retention)
    app = SimpleNamespace(
        options=SimpleNamespace(client_options={}),
        stage=SimpleNamespace(may_be_compacted=lambda topic: topic == "b"),
        started_consumer=None,
    )
    watch = RetentionWatch(app)
    await watch._read({"a", "b", "c"})
    (sentence,) = watch.sentences()
    assert sentence.startswith("a is compacted")
