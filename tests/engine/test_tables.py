"""Tables that are their topics: what rows, tombstones and malformed rows leave behind."""

import logging
import math
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from faust.types import TP

from streams.core.records import is_moved
from streams.core.times import arrived_ms
from streams.engine.partitioner import NewestPlaces
from streams.engine.recovery import Recovery
from streams.engine.tables import MALFORMED, FollowedTopic, GlobalTopicTable, TopicTable
from streams.engine.thread import Committed, Fetched
from streams.engine.wall_clock import ForwardTime
from tests.engine.consumer_in_memory import OurConsumer, Thread, consumer_in_memory

NOW_MS = 1_800_000_000_000
HOUR_MS = 3_600_000


class Row(NamedTuple):
    """A record of a table's topic."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int = 1_000
    headers: tuple[tuple[str, bytes], ...] = ()


def admit(value: bytes) -> bytes:
    """Take any row but a bad one."""
    if value == b"bad":
        raise ValueError("bad")
    return value


def table(kind: type[TopicTable]) -> Any:
    """A table without its app."""
    made: Any = object.__new__(kind)
    made.topic_name, made._admit, made._malformed_row = "shop.users", admit, "counts as none"
    made.rows, made.forgotten, made.malformed_keys, made.rows_applied = {}, {}, set(), 0
    made.on_row, made.from_future, made._time = None, 0, ForwardTime(lambda: NOW_MS)
    made.strays = None
    made._arrived_ms, made._is_moved = arrived_ms, is_moved
    if kind is GlobalTopicTable:
        made.by_key, made._on_change, made._newest = {}, None, NewestPlaces()
    return made


def test_the_last_row_of_a_key_counts_and_a_tombstone_removes_it() -> None:
    """Its time is kept: nothing older may be sent."""
    users = table(TopicTable)
    users.apply(3, [Row(0, b"a", b"1"), Row(1, b"a", b"2"), Row(2, b"b", b"1")])
    users.apply(3, [Row(3, b"b", None, 5_000), Row(4, None, b"1")])
    assert users.rows == {3: {b"a": b"2"}}
    assert users.forgotten == {3: {b"b": 5_000}}
    assert len(users) == 1


def test_a_tombstone_from_the_future_counts_from_when_it_was_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A day ahead its visitor would be silent for a day; it is said once and counted."""
    users = table(TopicTable)
    users._time = ForwardTime(lambda: NOW_MS, lambda: 0.0)
    told: list[int] = []
    users.on_row = lambda *row: told.append(row[-1])
    with caplog.at_level(logging.WARNING, "streams.engine"):
        users.apply(0, [Row(0, b"a", None, NOW_MS + 24 * HOUR_MS), Row(1, b"b", None, NOW_MS + 1)])
        users.apply(0, [Row(2, b"a", b"1", NOW_MS + HOUR_MS), Row(3, b"a", b"1", NOW_MS - 1)])
    assert users.forgotten == {0: {b"a": NOW_MS, b"b": NOW_MS + 1}}
    assert told == [NOW_MS, NOW_MS - 1]
    assert users.from_future == 2
    (said,) = caplog.messages
    assert said.startswith("shop.users partition 0 offset 0 has a Kafka time in the future")


def test_a_clock_that_is_set_back_makes_no_tombstone_older() -> None:
    """What was written between its time and that of the tombstone would be sent after all."""
    users = table(TopicTable)
    wall_ms = NOW_MS
    users._time = ForwardTime(lambda: wall_ms, lambda: 0.0)
    users.apply(0, [Row(0, b"a", b"1")])
    wall_ms -= HOUR_MS
    users.apply(0, [Row(1, b"a", None, NOW_MS)])
    assert users.forgotten == {0: {b"a": NOW_MS}}


MOVED = (("moved", b"1"),)


def test_a_row_that_was_moved_away_forgets_nobody() -> None:
    """A plain tombstone would stop all events that are older than it."""
    users = table(TopicTable)
    users.apply(3, [Row(0, b"a", b"1"), Row(1, b"a", None, 5_000, MOVED)])
    assert users.rows == {3: {}}
    assert users.forgotten == {3: {}}


def test_a_row_that_was_moved_here_yields_to_what_is_there() -> None:
    """It is older than a row or a tombstone of the shop's, whatever its place in the log."""
    users = table(TopicTable)
    moved = [Row(n, key, b"old", 500, MOVED) for n, key in enumerate([b"a", b"b", b"c"], start=9)]
    users.apply(3, [Row(0, b"a", b"new"), Row(1, b"b", None), *moved])
    assert users.rows == {3: {b"a": b"new", b"c": b"old"}}
    users.apply(3, [Row(20, b"c", b"new")])
    assert users.rows[3][b"c"] == b"new"


def test_a_malformed_row_stands_until_a_good_one_or_a_tombstone_comes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is said once for each key."""
    users = table(TopicTable)
    with caplog.at_level(logging.WARNING, "streams.engine"):
        users.apply(0, [Row(n, b"a", b"bad") for n in range(5)])
    assert users.rows[0][b"a"] is MALFORMED
    assert [record.getMessage() for record in caplog.records] == [
        (
            "the row of key a (shop.users partition 0 offset 0) is malformed and counts as none "
            "until a valid one is written: bad"
        )
    ]
    assert users.malformed_keys == {b"a"}
    users.apply(0, [Row(5, b"a", b"good")])
    assert users.rows[0][b"a"] == b"good"
    assert users.malformed_keys == set()


def test_partitions_that_are_lost_leave_nothing() -> None:
    """Another worker has them now."""
    users = table(TopicTable)
    users.apply(0, [Row(0, b"a", b"1"), Row(1, b"b", None)])
    users.apply(1, [Row(0, b"c", b"1")])
    users.drop(0)
    assert users.rows == {1: {b"c": b"1"}}
    assert users.forgotten == {1: {}}


def test_a_global_table_has_one_mapping_over_all_partitions_and_keeps_it() -> None:
    """It belongs to every worker."""
    products = table(GlobalTopicTable)
    products.apply(0, [Row(0, b"p1", b"1")])
    products.apply(1, [Row(0, b"p2", b"1")])
    products.drop(0)
    assert products.by_key == {b"p1": b"1", b"p2": b"1"}
    assert len(products) == 2


def test_of_a_keys_records_on_two_partitions_the_newest_counts_whichever_is_read_last() -> None:
    """Partitions were added: the old row stays on its old one for ever, a deleted product, too."""
    products = table(GlobalTopicTable)
    products.apply(1, [Row(0, b"p1", b"new", 2_000), Row(1, b"p2", None, 2_000)])
    products.apply(0, [Row(0, b"p1", b"old", 1_000), Row(1, b"p2", b"old", 1_999)])
    assert products.by_key == {b"p1": b"new"}
    products.apply(0, [Row(2, b"p2", b"again", 2_001)])
    products.apply(1, [Row(2, b"p1", b"a clock was set back", 500)])
    assert products.by_key == {b"p1": b"a clock was set back", b"p2": b"again"}


class FakeRecovery:
    """Faust's recovery service, as far as ours drives it."""

    def __init__(self, made: Any, offsets: dict[TP, int], ends: dict[TP, int]) -> None:
        self.active_tps = set(offsets)
        self.active_offsets = offsets
        self.active_highwaters = ends
        self.tp_to_table = dict.fromkeys(offsets, made)
        self.in_recovery = True
        self.ended = 0
        self.signal_recovery_end = SimpleNamespace(set=self._end)

    def _end(self) -> None:
        self.ended += 1

    def need_recovery(self) -> bool:
        """Whether any table has something to read."""
        return any(self.active_offsets[tp] < end for tp, end in self.active_highwaters.items())

    def active_remaining_total(self) -> int:
        """How many offsets are still to be read."""
        return sum(end - self.active_offsets[tp] for tp, end in self.active_highwaters.items())


TABLE = TP("shop.users", 0)


def recovering(end: int) -> tuple[Any, FakeRecovery, Recovery]:
    """A table of which nothing is read, whose last offset is ``end``."""
    users = table(TopicTable)
    fake = FakeRecovery(users, {TABLE: -1}, {TABLE: end})
    app = SimpleNamespace(tables=SimpleNamespace(recovery=fake, begun_recovery=fake))
    return users, fake, Recovery(app)


def test_rows_of_a_topic_that_is_followed_are_handed_on() -> None:
    """In log order, tombstones too; nothing is kept here."""
    users = table(FollowedTopic)
    handed_on: list[Any] = []
    users._apply_row, users._size = lambda *row: handed_on.append(row), lambda: 7
    rows = [Row(0, b"a", b"1"), Row(1, b"a", None), Row(2, None, b"1")]
    users.apply(3, rows)
    assert handed_on == [(3, row, row.timestamp) for row in rows]
    assert (len(users), users.rows, users.rows_applied) == (7, {}, 3)


def test_rows_that_were_seen_are_not_applied_again() -> None:
    """A seek may bring them back; an older row must not win over a newer one."""
    users, _, recovery = recovering(9)
    recovery.apply(TABLE, [Row(0, b"a", b"1"), Row(1, b"a", b"2")])  # type: ignore[list-item]
    recovery.apply(TABLE, [Row(0, b"a", b"1"), Row(1, b"a", b"2"), Row(2, b"b", b"1")])  # type: ignore[list-item]
    assert users.rows_applied == 3
    recovery.apply(TABLE, [Row(1, b"a", b"1")])  # type: ignore[list-item]
    assert users.rows[0] == {b"a": b"2", b"b": b"1"}


def test_rows_of_a_partition_that_is_not_ours_are_left() -> None:
    """A late fetch of a lost partition."""
    users, fake, recovery = recovering(9)
    fake.active_tps = set()
    recovery.apply(TABLE, [Row(0, b"a", b"1")])  # type: ignore[list-item]
    assert users.rows == {}


def test_recovery_ends_with_the_last_row() -> None:
    """Not before it is applied."""
    _, fake, recovery = recovering(1)
    recovery.apply(TABLE, [Row(0, b"a", b"1")])  # type: ignore[list-item]
    recovery.maybe_end({TABLE: 1})
    assert fake.ended == 0
    recovery.apply(TABLE, [Row(1, b"a", b"2")])  # type: ignore[list-item]
    recovery.maybe_end({TABLE: 2})
    assert fake.ended == 1


def test_recovery_ends_behind_a_tail_that_holds_no_rows() -> None:
    """Markers and what was compacted away: the position tells that it is read."""
    _, fake, recovery = recovering(5)
    recovery.apply(TABLE, [Row(0, b"a", b"1")])  # type: ignore[list-item]
    recovery.maybe_end({TABLE: 5})
    assert fake.ended == 0
    recovery.maybe_end({TABLE: 6})
    assert fake.ended == 1


def test_a_position_says_nothing_while_fetched_rows_are_not_applied() -> None:
    """Such partitions are left out of what the fetch returns."""
    _, fake, recovery = recovering(5)
    recovery.maybe_end({})
    assert fake.ended == 0


def test_the_remaining_time_is_that_of_the_pace_so_far() -> None:
    """Unknown at the first look, and over with the recovery; the next one is timed anew."""
    _, fake, recovery = recovering(999)
    assert recovery.remaining_seconds(10.0) is None
    fake.active_offsets[TABLE] = 249
    assert recovery.remaining_seconds(15.0) == 15.0
    fake.active_offsets[TABLE] = 999
    assert recovery.remaining_seconds(30.0) is None
    fake.active_offsets[TABLE] = 499
    assert recovery.remaining_seconds(40.0) is None
    fake.active_offsets[TABLE] = 749
    assert recovery.remaining_seconds(44.0) == 4.0


def test_how_old_what_is_known_is_depends_on_no_time_of_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Set back by an hour, it would make rows of an hour ago look fresh."""
    now = 100.0
    _, _, seen = recovering(9)
    seen._clock = lambda: now
    assert seen.delay_seconds(TABLE) == math.inf
    seen.record_current({TABLE: 99.0})
    now = 160.0
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert seen.delay_seconds(TABLE) == 61.0
    seen.forget(TABLE)
    assert seen.delay_seconds(TABLE) == math.inf


def test_rows_that_were_passed_over_are_not_known() -> None:
    """Fetched before recovery has taken the partition up: a seek brings them back."""
    _, fake, seen = recovering(9)
    fake.active_tps = set()
    seen.record_current({TABLE: 1e12})
    assert seen.delay_seconds(TABLE) == math.inf


class RowsThread(Thread):
    """A consumer thread with one partition of rows, of which it knows its position."""

    def __init__(self, rows: list[Any]) -> None:
        super().__init__()
        self.group[TABLE] = Committed(None, "", 0, len(rows))
        self.rows, self.position = rows, 0
        self.meanwhile: Callable[[], None] = lambda: None

    async def fetch(self, _wanted: object, _tables: object, _seconds: float) -> Fetched:
        """All rows from the position on."""
        found, self.position = self.rows[self.position :], len(self.rows)
        self.meanwhile()
        return Fetched(
            {TABLE: found} if found else {}, {TABLE: self.position}, {TABLE: len(self.rows)}
        )

    def seek_all(self, offsets: Mapping[TP, int]) -> None:
        """Go there."""
        self.position = offsets[TABLE]


@pytest.fixture
def fetching(monkeypatch: pytest.MonkeyPatch) -> tuple[OurConsumer, FakeRecovery, Any]:
    """A consumer that has a table's partition with three rows, of which none is read."""
    users, fake, recovery = recovering(2)
    consumer = consumer_in_memory(monkeypatch, {})
    monkeypatch.setattr(OurConsumer, "_is_changelog_tp", lambda _, tp: tp == TABLE)
    monkeypatch.setattr(OurConsumer, "_get_active_partitions", lambda _: {TABLE}, raising=False)
    monkeypatch.setattr(consumer, "recovery", recovery)
    consumer.thread = RowsThread([Row(0, b"a", b"1"), Row(1, b"b", b"1"), Row(2, b"c", b"1")])
    return consumer, fake, users


async def test_rows_that_come_before_recovery_knows_their_partition_are_fetched_again(
    fetching: tuple[OurConsumer, FakeRecovery, Any],
) -> None:
    """The position alone would say that the table is read to its end, and it would be empty."""
    consumer, fake, users = fetching
    fake.active_tps = set()
    await consumer._fetch_once()
    assert (fake.ended, users.rows) == (0, {})
    fake.active_tps = {TABLE}
    await consumer._fetch_once()
    assert set(users.rows[0]) == {b"a", b"b", b"c"}
    assert fake.ended == 1


async def test_rows_that_a_rebalance_overtakes_are_fetched_again(
    fetching: tuple[OurConsumer, FakeRecovery, Any],
) -> None:
    """Faust has sought the table before they came, and does not again."""
    consumer, fake, users = fetching

    def rebalance() -> None:
        consumer.epoch += 1
        consumer.thread.meanwhile = lambda: None

    consumer.thread.meanwhile = rebalance
    await consumer._fetch_once()
    assert (fake.ended, users.rows) == (0, {})
    await consumer._fetch_once()
    assert set(users.rows[0]) == {b"a", b"b", b"c"}
    assert fake.ended == 1


@pytest.mark.parametrize("rows", [[], [Row(0, b"a", None)]])
async def test_a_tables_topic_that_was_recreated_ends_the_worker(
    fetching: tuple[OurConsumer, FakeRecovery, Any],
    monkeypatch: pytest.MonkeyPatch,
    rows: list[Row],
) -> None:
    """Its rows have lower offsets than those that were read, and would be passed over."""
    consumer, fake, _ = fetching
    await consumer._fetch_once()
    fake.in_recovery = False

    def leave(words: str) -> None:
        raise SystemExit(words)

    monkeypatch.setattr("streams.engine.consumer.leave", leave)
    consumer.thread.seek_all({TABLE: 0})  # as aiokafka does after a rebalance
    await consumer._fetch_once()
    consumer.thread.rows = rows
    consumer.thread.seek_all({TABLE: 0})
    with pytest.raises(SystemExit, match=r"shop\.users partition 0 .*: the topic was recreated"):
        await consumer._fetch_once()
