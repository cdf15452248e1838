"""Topics that grow under a worker."""

from types import SimpleNamespace
from typing import Any

import pytest

from streams.engine.partitions import PartitionWatch
from streams.engine.thread import ConsumerThread

TAKEN_UP = "starting again to read them"


@pytest.mark.parametrize(
    ("clicks", "problems", "left"),
    [
        (2, [], None),
        (3, ["clicks has 3"], ("clicks has 3", 2)),
        (
            3,
            [],
            (f"partitions were added to clicks 3 (at the start 2); {TAKEN_UP}", 70),
        ),
    ],
)
async def test_a_worker_whose_topics_grow_ends(
    clicks: int, problems: list[str], left: tuple[str, int] | None
) -> None:
    """For good where they do not fit together, else to take the new partitions up."""
    said: list[tuple[str, int]] = []

    async def asked() -> list[str]:
        return problems

    watch = PartitionWatch(
        None, {"clicks": 2, "users": 2}, asked, lambda words, *, code: said.append((words, code))
    )
    counts = {"clicks": clicks, "users": 2}
    cluster: Any = SimpleNamespace(partitions_for_topic=lambda topic: set(range(counts[topic])))
    await watch.check(cluster)
    assert said == ([] if left is None else [left])


@pytest.mark.parametrize("appeared", [[], ["web"]])
async def test_a_worker_ends_to_read_a_topic_that_has_appeared(appeared: list[str]) -> None:
    """A restart takes it up."""
    said: list[int] = []

    async def ask() -> list[str]:
        return appeared

    watch = PartitionWatch(
        None, {}, lambda: pytest.fail("asked"), lambda _, *, code: said.append(code), appeared=ask
    )
    await watch.look_for_new()
    assert said == [70] * len(appeared)


@pytest.mark.parametrize(
    ("hidden", "problems", "left"),
    [
        (
            set(),
            ["Topic web does not exist: make it."],
            [("Topic web does not exist: make it.", 70)],
        ),
        (set(), [], []),
        ({"web"}, ["Topic web does not exist: make it."], []),
    ],
)
async def test_a_worker_ends_where_a_topic_is_deleted(
    hidden: set[str], problems: list[str], left: list[tuple[str, int]]
) -> None:
    """Without the rows of users, say, all events would wait and nobody would know.

    Not where it is only hidden from this user, or the brokers say that it is there.
    """
    said: list[tuple[str, int]] = []

    async def asked() -> list[str]:
        return problems

    watch = PartitionWatch(
        None, {"web": 2, "clicks": 2}, asked, lambda words, *, code: said.append((words, code))
    )
    cluster = SimpleNamespace(
        partitions_for_topic=lambda topic: {0, 1} if topic == "clicks" else None,
        unauthorized_topics=hidden,
    )
    await watch.check(cluster)
    assert said == left


@pytest.mark.parametrize("unknown", [set(), {"users"}])
async def test_a_topic_that_a_broker_did_not_know_yet_is_looked_for_at_once(
    unknown: set[str],
) -> None:
    """It was just created, and the consumer would ask for it after minutes."""
    asked: list[str] = []

    async def ask() -> bool:
        asked.append("brokers")
        return True

    client = SimpleNamespace(force_metadata_update=ask)
    thread = SimpleNamespace(unknown_topics=lambda: unknown, client=client)
    app = SimpleNamespace(started_consumer=SimpleNamespace(thread=thread))
    watch = PartitionWatch(app, {}, lambda: pytest.fail("asked"))
    await watch.look_for_lost()
    assert asked == ["brokers"] * len(unknown)


def test_a_worker_ends_when_a_topic_that_it_reads_is_gone_for_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A commit of the old topic on a new one would hide its first records.

    Not where a broker did not know it yet, or hides it from this user.
    """
    left: list[set[str]] = []
    monkeypatch.setattr("streams.engine.thread.leave_deleted", left.append)
    there, hidden = {"users"}, set[str]()
    cluster = SimpleNamespace(
        partitions_for_topic=lambda topic: {0} if topic in there else None,
        unauthorized_topics=hidden,
    )
    subscription = SimpleNamespace(topics={"users", "clicks"})
    thread: Any = object.__new__(ConsumerThread)
    thread._known_topics = set()
    thread._consumer = SimpleNamespace(
        _client=SimpleNamespace(cluster=cluster),
        _subscription=SimpleNamespace(subscription=subscription),
    )
    thread._on_metadata(cluster)
    there.add("clicks")
    thread._on_metadata(cluster)
    there.discard("clicks")
    hidden.add("clicks")
    thread._on_metadata(cluster)
    assert left == []
    hidden.discard("clicks")
    thread._on_metadata(cluster)
    assert left == [{"clicks"}]
