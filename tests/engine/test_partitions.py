"""Where keys belong, rows that lie elsewhere, and topics that grow under a worker."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.partitioner import murmur2 as reference
from hypothesis import given
from hypothesis import strategies as st

from streams.engine.partitions import (
    ALWAYS_LOOKED_AT,
    ONE_IN,
    PartitionWatch,
    Strays,
    home_of,
    murmur2,
)
from streams.engine.thread import ConsumerThread


def test_a_key_belongs_where_kafkas_default_partitioner_puts_it() -> None:
    """The Java client's own examples of murmur2, -973932308 and -790332482, without their sign."""
    assert home_of(b"21", 2**31) == 1_173_551_340
    assert home_of(b"foobar", 2**31) == 1_357_151_166
    assert home_of(b"foobar", 6) == 0


@given(st.binary(max_size=70))
def test_hash_is_aiokafkas_own(key: bytes) -> None:
    """Whatever the length of the key."""
    assert murmur2(key) == reference(key) & 0xFFFFFFFF


TAKEN_UP = "starting again to read them"


def keys(partition: int, count: int, of: int) -> list[bytes]:
    """So many keys that belong on this one of so many partitions."""
    found: list[bytes] = []
    number = 0
    while len(found) < count:
        key = b"v-%d" % number
        number += 1
        if home_of(key, of) == partition:
            found.append(key)
    return found


def test_a_row_away_from_home_is_a_stray_until_it_is_taken_away() -> None:
    """The first of all is told apart, for the log."""
    strays = Strays(3)
    (home,), (first, second) = keys(0, 1, 3), keys(1, 2, 3)
    assert not strays.record(0, home, is_row=True)
    assert strays.record(0, first, is_row=True)
    assert not strays.record(0, second, is_row=True)
    assert not strays.record(0, second, is_row=True)
    assert len(strays) == 2
    assert not strays.record(0, second, is_row=False)
    assert len(strays) == 1
    strays.forget(0)
    assert len(strays) == 0


def test_of_many_rows_of_a_partition_a_part_is_looked_at() -> None:
    """A hash costs more than taking the row."""
    strays = Strays(2)
    for key in keys(1, ALWAYS_LOOKED_AT + 10 * ONE_IN, 2):
        strays.record(0, key, is_row=True)
    assert ALWAYS_LOOKED_AT + 8 <= len(strays) <= ALWAYS_LOOKED_AT + 12


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
