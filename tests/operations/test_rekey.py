"""Which records bring the rows of ``shop.users`` home, and that nobody is forgotten by it."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from streams.core.records import MOVED, is_moved
from streams.core.times import arrived_ms
from streams.core.topics import Topics
from streams.engine.partitioner import home_of
from streams.engine.tables import TopicTable
from streams.engine.wall_clock import ForwardTime
from streams.operations import rekey
from streams.operations.rekey import (
    Headers,
    RekeyRow,
    RowPlacement,
    Write,
    repairs,
    run_rekey,
)
from tests.engine.test_partitioner import keys

PARTITIONS = 3
Said = tuple[int, RekeyRow]
(KEY,) = keys(2, 1, PARTITIONS)
OF_MOVED: Headers = ((MOVED, b"1"),)


def planned(*records: tuple[int, RekeyRow], key: bytes = KEY) -> tuple[list[Write], list[Write]]:
    """Return copies and removals for these records of one key, which belongs on partition 2."""
    placement = RowPlacement(PARTITIONS)
    for partition, row in records:
        placement.add(partition, key, row)
    plan = placement.plan()
    return plan.copies, plan.removals


def row(offset: int, value: bytes | None, headers: Headers = ()) -> RekeyRow:
    """A record whose time is its offset."""
    return RekeyRow(offset, offset, value, headers)


REMOVAL = Write(0, KEY, None, None, OF_MOVED)


def test_a_row_at_home_stays() -> None:
    """So does a tombstone, wherever it lies."""
    assert planned((2, row(1, b"yes"))) == ([], [])
    assert planned((2, row(1, None))) == ([], [])
    assert planned((0, row(1, b"yes")), (0, row(2, None))) == ([], [])


def test_a_row_elsewhere_is_copied_home_with_its_time_and_taken_away() -> None:
    """The copy yields to whatever comes to lie there; what takes it away forgets nobody."""
    copies, removals = planned((0, row(5, b"yes", (("h", b"1"),))))
    assert copies == [Write(2, KEY, b"yes", 5, (("h", b"1"), *OF_MOVED))]
    assert removals == [REMOVAL]


def test_a_newer_row_at_home_is_left_and_told_to_what_waits_elsewhere() -> None:
    """Events on the old partition must hear a newer no."""
    copies, removals = planned((0, row(5, b"yes")), (2, row(9, b"no")))
    assert copies == [Write(0, KEY, b"no", 9, ())]
    assert removals == [REMOVAL]
    assert planned((0, row(5, b"yes")), (2, row(9, b"yes"))) == ([], [REMOVAL])


def test_who_was_forgotten_at_home_is_forgotten_elsewhere_too() -> None:
    """At the same moment."""
    assert planned((0, row(5, b"yes")), (2, row(9, None))) == ([Write(0, KEY, None, 9, ())], [])


def test_a_newer_row_elsewhere_comes_home() -> None:
    """A producer with another partitioner, or one that had not heard of the new partitions."""
    copies, removals = planned((2, row(5, b"yes")), (0, row(9, b"no")))
    assert (copies, removals) == ([Write(2, KEY, b"no", 9, ())], [REMOVAL])
    copies, removals = planned((2, row(5, b"yes")), (0, row(9, None)))
    assert (copies, removals) == ([Write(2, KEY, None, 9, ())], [])


def test_of_rows_on_two_old_partitions_the_newest_counts() -> None:
    """Partitions may be added twice."""
    copies, removals = planned((0, row(5, b"yes")), (1, row(7, b"no")))
    assert copies == [Write(2, KEY, b"no", 7, OF_MOVED), Write(0, KEY, b"no", 7, ())]
    assert removals == [REMOVAL, REMOVAL._replace(partition=1)]


def test_a_copy_behind_a_row_that_came_between_is_put_right() -> None:
    """Compaction would else keep the copy alone: an earlier run was killed."""
    copies, removals = planned((2, row(9, b"no")), (2, RekeyRow(10, 5, b"yes", OF_MOVED)))
    assert (copies, removals) == ([Write(2, KEY, b"no", 9, ())], [])
    assert planned((2, RekeyRow(10, 5, b"yes", OF_MOVED)), (2, row(11, b"no"))) == ([], [])


def test_what_came_just_before_our_copy_is_written_once_more() -> None:
    """What came after it stands already, and others' rows are nobody's business."""
    came = [
        (2, KEY, row(10, b"no")),
        (2, b"other", row(11, b"x")),
        (2, KEY, row(12, b"yes", OF_MOVED)),
    ]
    assert repairs({(2, KEY): 12}, came) == [Write(2, KEY, b"no", 10, ())]
    assert repairs({(2, KEY): 9}, came) == []


def table() -> Any:
    """A table without its app."""
    made: Any = object.__new__(TopicTable)
    made.topic_name, made._admit = "shop.users", bytes
    made._arrived_ms, made._is_moved = arrived_ms, is_moved
    made.rows, made.forgotten, made.malformed_keys, made.rows_applied = {}, {}, set(), 0
    made.on_row = made.strays = None
    made._time = ForwardTime(lambda: 10**12)
    return made


class Record(tuple[int, bytes, RekeyRow]):
    """Partition, key and row, as a table reads them."""

    __slots__ = ()

    key = property(lambda self: self[1])
    value = property(lambda self: self[2].value)
    timestamp = property(lambda self: self[2].timestamp)
    headers = property(lambda self: self[2].headers)


PEOPLE = [key for partition in range(PARTITIONS) for key in keys(partition, 2, PARTITIONS)]
histories = st.lists(
    st.tuples(
        st.integers(0, PARTITIONS - 1),
        st.sampled_from(PEOPLE),
        st.sampled_from([b"yes", b"no", None]),
    ),
    max_size=25,
)


@given(histories)
def test_afterwards_each_visitors_newest_word_is_at_home_alone(
    history: list[tuple[int, bytes, bytes | None]],
) -> None:
    """Whatever was written where: tables say it, nobody else is forgotten, and twice is once."""
    log = [(at, key, row(offset, value)) for offset, (at, key, value) in enumerate(history)]
    newest = {key: entry for _, key, entry in log}
    written = list(log)
    placement = RowPlacement(PARTITIONS)
    for entry in log:
        placement.add(*entry)
    plan = placement.plan()
    for write in [*plan.copies, *plan.removals]:
        at = len(written)
        timestamp = at if write.timestamp is None else write.timestamp
        written.append(
            (write.partition, write.key, RekeyRow(at, timestamp, write.value, write.headers))
        )
    users = table()
    for entry in written:
        users.apply(entry[0], [Record(entry)])
    again = RowPlacement(PARTITIONS)
    for entry in written:
        again.add(*entry)
    assert (again.plan().copies, again.plan().removals) == ([], [])
    for key, last in newest.items():
        home = home_of(key, PARTITIONS)
        assert users.rows.get(home, {}).get(key) == last.value
        for at in range(PARTITIONS):
            if at != home:
                assert key not in users.rows.get(at, {})
    real = {(key, entry.timestamp) for _, key, entry in log if entry.value is None}
    for forgotten in users.forgotten.values():
        assert set(forgotten.items()) <= real


class Users:
    """``shop.users`` in memory, and a shop that writes to it whenever rows are moved."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, said: Callable[[int], list[Said]]) -> None:
        """``said``: what the shop writes before the first move, the second and so on."""
        self._said = said
        self._moves = 0
        self.log: dict[int, list[Any]] = {at: [] for at in range(PARTITIONS)}
        monkeypatch.setattr(rekey, "connect", self._connect)
        monkeypatch.setattr(rekey, "required_topics", self._counts)
        monkeypatch.setattr(rekey, "_require_create_time", self._counts)
        monkeypatch.setattr(rekey, "_write", self._write)

    def write(self, at: int, key: bytes, entry: RekeyRow) -> int:
        """Append a record; return its offset."""
        offset = len(self.log[at])
        self.log[at].append(
            SimpleNamespace(partition=at, key=key, **entry._replace(offset=offset)._asdict())
        )
        return offset

    async def move(self) -> dict[int, bytes | None]:
        """Move the rows without waiting; return what a table then holds of the key."""
        settings: Any = SimpleNamespace(topics=Topics(), kafka=None, stages=list)
        await run_rekey(settings, wait_seconds=0, remove_now=True)
        users = table()
        for at, records in self.log.items():
            users.apply(at, records)
        return {at: rows[KEY] for at, rows in users.rows.items() if KEY in rows}

    @asynccontextmanager
    async def _connect(self, _kafka: object) -> AsyncIterator["Users"]:
        yield self

    async def _counts(self, *_: object) -> dict[str, int]:
        return {Topics().users: PARTITIONS}

    async def _write(self, _: object, writes: list[Write]) -> dict[tuple[int, bytes], int]:
        if not writes:
            return {}
        for at, entry in self._said(self._moves):
            self.write(at, KEY, entry)
        self._moves += 1
        return {
            (write.partition, write.key): self.write(
                write.partition,
                write.key,
                RekeyRow(0, write.timestamp or 100, write.value, write.headers),
            )
            for write in writes
        }

    async def partitions(self, topics: list[str]) -> dict[str, list[TopicPartition]]:
        """See ``LogReader``."""
        return {topic: [TopicPartition(topic, at) for at in self.log] for topic in topics}

    async def starts(self, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
        """See ``LogReader``."""
        return dict.fromkeys(tps, 0)

    async def ends(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """See ``LogReader``."""
        return {tp: len(self.log[tp.partition]) for tp in tps}

    async def read(
        self, starts: dict[TopicPartition, int], ends: dict[TopicPartition, int], *_: object
    ) -> AsyncIterator[tuple[TopicPartition, list[Any]]]:
        """See ``LogReader``."""
        for tp, start in starts.items():
            yield tp, self.log[tp.partition][start : ends[tp]]


async def test_a_no_on_the_old_partition_is_not_taken_away_before_it_is_home(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It comes while the row before it is copied; its producer does not know the new partitions."""
    users = Users(monkeypatch, lambda move: [] if move else [(0, row(9, b"no"))])
    users.write(0, KEY, row(5, b"yes"))
    (at_home,) = [value for at, value in (await users.move()).items() if at == 2]
    assert at_home != b"no"  # not yet, but nothing of it is lost
    assert await users.move() == {2: b"no"}


async def test_moving_ends_however_long_a_producer_writes_to_old_partitions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One with another partitioner does so for ever."""

    def say(move: int) -> list[Said]:
        assert move < 10
        return [(0, row(10 + move, b"yes%d" % move))]

    users = Users(monkeypatch, say)
    users.write(0, KEY, row(5, b"yes"))
    await users.move()
