"""Whose an order or a user is: the newest visitor of the rows, in whatever order they are read."""

import json
from collections.abc import Iterable, Sequence
from random import Random
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.ingest.visitors import MAX_VISITORS, VisitorIndex
from streams.core.topics import LINK_DAYS

DAY_MS = 24 * 60 * 60 * 1000
MOVED = (("moved", b"1"),)


class Row(NamedTuple):
    """A record of one of the two topics."""

    key: bytes | None
    value: bytes | None
    timestamp: int
    offset: int = 0
    headers: Sequence[tuple[str, bytes | None]] = ()
    partition: int = 0
    is_link: bool = False


def user(visitor: str, user_id: Any, ms: int, offset: int = 0, **more: Any) -> Row:
    """A row of ``shop.users``; ``...`` for a tombstone."""
    value = None if user_id is ... else json.dumps({"user_id": user_id, "email": "a@b"}).encode()
    return Row(visitor.encode(), value, ms, offset, **more)


def order(order_id: str, visitor: str | None, ms: int, offset: int = 0, **more: Any) -> Row:
    """A row of ``shop.visitors`` about an order; without a visitor a tombstone."""
    said = {"anonymous_id": visitor, "timestamp": ms, "order_id": order_id}
    value = None if visitor is None else json.dumps(said).encode()
    return Row(f"order_id:{order_id}".encode(), value, ms, offset, is_link=True, **more)


def login(visitor: str, user_id: str | None, ms: int, offset: int = 0, **more: Any) -> Row:
    """A row of ``shop.visitors`` about a visitor; without a user a tombstone."""
    said = {"anonymous_id": visitor, "timestamp": ms, "user_id": user_id}
    value = None if user_id is None else json.dumps(said).encode()
    return Row(f"anonymous_id:{visitor}".encode(), value, ms, offset, is_link=True, **more)


def index(*rows: Row) -> VisitorIndex:
    """An index that has read these rows."""
    made = VisitorIndex(["miso"])
    for row in rows:
        (made.apply_link if row.is_link else made.apply_user)(row.partition, row)
    return made


VISITORS, IDS = ("v1", "v2", "v3"), ("a", "b")
TIMES = st.integers(0, 4)
RECORDS = st.lists(
    st.one_of(
        st.builds(user, st.sampled_from(VISITORS), st.sampled_from([*IDS, None, ...]), TIMES),
        st.builds(order, st.sampled_from(IDS), st.sampled_from([*VISITORS, None]), TIMES),
        st.builds(login, st.sampled_from(VISITORS), st.sampled_from([*IDS, None]), TIMES),
    ),
    max_size=14,
)


def written(rows: Iterable[Row]) -> list[Row]:
    """The rows as they lie on their partitions: one key on one, with growing offsets."""
    ends: dict[tuple[bool, int], int] = {}
    found = []
    for row in rows:
        partition = sum(row.key or b"") % 2
        offset = ends[row.is_link, partition] = ends.get((row.is_link, partition), -1) + 1
        found.append(row._replace(partition=partition, offset=offset))
    return found


def shuffled(rows: Sequence[Row], random: Random) -> list[Row]:
    """The rows in another order, but each partition's in its own."""
    logs: dict[tuple[bool, int], list[Row]] = {}
    for row in rows:
        logs.setdefault((row.is_link, row.partition), []).append(row)
    turns = [log for log in logs.values() for _ in log]
    random.shuffle(turns)
    return [log.pop(0) for log in turns]


def compacted(rows: Sequence[Row], random: Random) -> list[Row]:
    """The rows without some of those that a later one of their key stands over."""
    newest = {(row.is_link, row.key): row for row in rows}
    return [
        row
        for row in rows
        if row is newest[row.is_link, row.key] or row.value is None or random.random() < 0.5
    ]


def expected(rows: Sequence[Row], name: str, id_: str) -> str | None:
    """The newest visitor, in the plainest words."""
    newest = {(row.is_link, row.key): row for row in rows}.values()
    gone = dict.fromkeys(VISITORS, -1)
    for row in rows:
        if not row.is_link and row.value is None:
            visitor = (row.key or b"").decode()
            gone[visitor] = max(gone[visitor], row.timestamp)
    said = []  # visitor, who, whether of an order, when
    for row in newest:
        if row.value is not None:
            fields = json.loads(row.value)
            visitor = fields.get("anonymous_id") or (row.key or b"").decode()
            who = "order_id" if "order_id" in fields else "user_id"
            if fields[who] is not None and row.timestamp > gone[visitor]:
                said.append((visitor, who, fields[who], (row.timestamp, row.offset)))
    found = [
        (at, visitor)
        for visitor, who, of, at in said
        if (who, of) == (name, id_)
        and not (
            name == "user_id"
            and any(v == visitor and w == who and o != of and a > at for v, w, o, a in said)
        )
    ]
    return max(found)[1] if found else None


@given(RECORDS, st.randoms(use_true_random=False))
def test_any_order_of_reading_and_a_restart_find_the_newest_visitor(
    made: list[Row], random: Random
) -> None:
    """Rows, tombstones, equal times, users who share a browser, after compaction too."""
    rows = written(made)
    live = index(*shuffled(rows, random))
    restarted = index(*shuffled(compacted(rows, random), random))
    for name in ("user_id", "order_id"):
        for id_ in IDS:
            wanted = expected(rows, name, id_)
            assert live.find(name, id_) == wanted
            assert restarted.find(name, id_) == wanted
    assert (live.users, live.links) == (restarted.users, restarted.links)


def test_newest_of_two_visitors_of_a_user_is_found() -> None:
    """By Kafka time; of equal times the later offset counts."""
    assert index(user("v1", "u", 5, 1), user("v2", "u", 4, 9)).find("user_id", "u") == "v1"
    assert index(user("v1", "u", 5, 1), user("v2", "u", 5, 0)).find("user_id", "u") == "v1"
    assert index(user("v1", "u", 5, 1), user("v2", "u", 5, 2)).find("user_id", "u") == "v2"


def test_shared_browser_is_that_of_who_signed_in_last() -> None:
    """An order of the other is nobody's, until there is another browser of theirs."""
    shared = index(login("v", "ann", 1), user("v", "bob", 2))
    assert (shared.find("user_id", "ann"), shared.find("user_id", "bob")) == (None, "v")
    shared.apply_link(0, login("w", "ann", 1))
    assert shared.find("user_id", "ann") == "w"


def test_forgotten_visitor_is_not_found() -> None:
    """Not by what was said before; what is said later counts."""
    found = index(order("1", "v", 5), user("v", "u", 5), user("v", ..., 6))
    assert (found.find("order_id", "1"), found.find("user_id", "u")) == (None, None)
    found.apply_link(0, order("1", "v", 6))  # read late, said before
    assert found.find("order_id", "1") is None
    found.apply_link(0, order("1", "v", 7))
    assert found.find("order_id", "1") == "v"


def test_older_visitor_of_a_user_is_found_once_the_newer_is_forgotten() -> None:
    """A tombstone takes one visitor away, not the user."""
    found = index(user("v1", "u", 1), user("v2", "u", 2), user("v2", ..., 3))
    assert found.find("user_id", "u") == "v1"


@pytest.mark.parametrize("first_is_old", [True, False])
def test_row_that_was_moved_to_another_partition_is_still_one(first_is_old: bool) -> None:
    """A copy of ``streams topics rekey`` has the time of its row; its tombstone forgets nobody."""
    old = [user("v", "u", 5, 3), user("v", ..., 9, 4, headers=MOVED)]
    copy = [user("v", "u", 5, 8, headers=MOVED, partition=1)]
    for rows in ([old[0], *copy, old[1]], [*old, *copy] if first_is_old else [*copy, *old]):
        found = index(*rows)
        assert found.find("user_id", "u") == "v"
        found.apply_user(1, user("v", ..., 10, 9, partition=1))
        assert found.find("user_id", "u") is None


def test_id_of_numbers_is_that_of_text() -> None:
    """As in events and rows: an integer is its decimal text."""
    assert index(user("v", 12345, 1)).find("user_id", "12345") == "v"
    assert index(user("v", 12345.0, 1)).find("user_id", "12345") == "v"


@pytest.mark.parametrize("shared", ["null", "undefined", " ", "a\ufffd"])
def test_what_is_no_id_finds_nobody(shared: str) -> None:
    """Many people have it."""
    found = index(user("v", shared, 1), user(shared, "u", 1), order(shared, "v", 1))
    assert found.find("user_id", shared) is None
    assert found.find("user_id", "u") is None
    assert found.find("order_id", shared) is None


def test_id_of_very_many_visitors_finds_nobody() -> None:
    """It is no person's; and each look would cost more."""
    found = index(*(user(f"v{n}", "guest", n) for n in range(MAX_VISITORS + 1)))
    assert found.find("user_id", "guest") is None
    found.apply_user(0, user("v0", ..., 1))
    assert found.find("user_id", "guest") == f"v{MAX_VISITORS}"


def test_orders_do_not_pile_up_in_memory() -> None:
    """A worker keeps them as long as the topic does."""
    found = index(*(order(f"o{day}", "v", day * DAY_MS) for day in range(100)))
    assert found.links == LINK_DAYS + 1
    assert found.find("order_id", "o69") == "v"
    assert found.find("order_id", "o68") is None
    # What an order says of its own time drops no other.
    found.apply_link(0, order("late", "v", 9_000 * DAY_MS)._replace(timestamp=99 * DAY_MS))
    assert found.find("order_id", "o69") == "v"


def test_clock_that_is_far_ahead_drops_no_other_and_outlasts_no_forgetting() -> None:
    """What it wrote counts as of when it was read."""
    found = index(order("1", "v", DAY_MS))
    found.apply_link(0, order("2", "w", 9_000 * DAY_MS), 2 * DAY_MS)
    assert (found.find("order_id", "1"), found.find("order_id", "2")) == ("v", "w")
    found.apply_user(0, user("w", ..., 8_000 * DAY_MS), 3 * DAY_MS)
    assert found.find("order_id", "2") is None
    found.apply_user(0, user("w", "u", 4 * DAY_MS))
    assert found.find("user_id", "u") == "w"


@pytest.mark.parametrize(
    "value", [b"", b"{", b"[]", b'{"anonymous_id": 1}', b"\xff", b'{"a":' + b"[" * 9_999]
)
def test_row_that_cannot_be_read_says_nothing(value: bytes) -> None:
    """It stands over what its key said before."""
    found = index(user("v", "u", 1), order("1", "v", 1))
    found.apply_user(0, Row(b"v", value, 2))
    found.apply_link(0, Row(b"order_id:1", value, 2))
    assert (found.find("user_id", "u"), found.find("order_id", "1")) == (None, None)
    found.apply_user(0, Row(b"\xff", b'{"user_id": "u"}', 2))
    found.apply_user(0, Row(None, b'{"user_id": "u"}', 2))
    found.apply_link(0, Row(None, None, 2))
    assert (found.users, found.links) == (0, 0)
