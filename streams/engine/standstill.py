"""The work of a worker that must make progress.

Each kind of work is listed with the state that must change. Work with a good reason to wait is not
listed: a partition without records, records that wait for rows, a parked vendor.
"""

from collections.abc import Hashable, Iterator
from typing import Any, NamedTuple

from faust.types import TP

from streams.engine.consumer import Consumer

What = tuple[str, TP | None]
"""(kind of work, its partition if it has one)"""


class Standing(NamedTuple):
    """A piece of work that must make progress."""

    what: What
    state: Hashable
    words: str
    """The work, as part of a sentence."""


def standings(app: Any) -> Iterator[Standing]:
    """Yield the work that must make progress, as it is now."""
    consumer = app.started_consumer
    if consumer is None:
        yield Standing(("start", None), 0, "the start")
        return
    if not consumer.thread.is_member():
        yield Standing(("group", None), 0, "joining the consumer group")
        return
    if not consumer.assignment():
        return
    if (taking_up := _taking_up(app, consumer)) is not None:
        yield taking_up
        return
    active = consumer._get_active_partitions()
    for tp in sorted(consumer.assignment()):
        yield from _fetching(consumer, tp, is_active=tp in active)
        if not consumer._is_changelog_tp(tp):
            yield from _working(app, consumer, tp)


def _taking_up(app: Any, consumer: Consumer) -> Standing | None:
    """Return the opening of partitions (seeking, reading tables) while it is running."""
    recovery = app.tables.begun_recovery
    if (
        consumer.flow_active
        and not consumer.is_seeking
        and not app.rebalancing
        and recovery is not None
        and recovery.completed.is_set()
        and not recovery.in_recovery
    ):
        return None
    rows = sum(table.rows_applied for table in app.tables.values())
    remaining = consumer.recovery.remaining_rows()
    return Standing(
        ("take up", None),
        (consumer.epoch, rows, remaining, app.options.read_elsewhere()),
        f"opening its partitions ({remaining:,} rows of tables remain)",
    )


def _fetching(consumer: Consumer, tp: TP, *, is_active: bool) -> Iterator[Standing]:
    is_table = consumer._is_changelog_tp(tp)
    if not is_active:
        yield Standing(("fetch", tp), "paused", f"fetching {_name(tp)}, which is paused")
        return
    if not is_table and tp not in consumer.offset_trackers:
        yield Standing(("fetch", tp), "not taken up", f"opening {_name(tp)}")
        return
    if not is_table and not consumer.has_room(tp):
        return
    fetched = consumer.thread.fetch_state(tp)
    if fetched is None:
        yield Standing(("fetch", tp), "unknown", f"fetching {_name(tp)}")
        return
    # Without new records, only the time of the broker's last response changes.
    state = (fetched.position, 0 if fetched.is_buffered else fetched.answered_at)
    yield Standing(("fetch", tp), state, f"fetching {_name(tp)} at offset {fetched.position}")


def _working(app: Any, consumer: Consumer, tp: TP) -> Iterator[Standing]:
    tracker, stash = consumer.offset_trackers.get(tp), consumer.stash.get(tp)
    waiting = None if stash is None else stash.first
    if waiting is not None and consumer.has_credit(tp) and app.stage.may_hand_out(tp):
        yield Standing(
            ("hand out", tp),
            waiting.offset,
            f"handing out {_name(tp)} at offset {waiting.offset}",
        )
    if tracker is None:
        return
    settled = tracker.committable()
    if (record := tracker.oldest_open()) is not None and not app.stage.may_be_silent(tp):
        yield Standing(
            ("settle", tp),
            settled,
            f"processing {_name(tp)} at offset {record.offset} (nothing is in flight)",
        )
    committed = consumer.last_commit(tp)
    if settled is not None and committed is not None and settled > committed:
        yield Standing(("commit", tp), committed, f"committing {_name(tp)} at offset {committed}")


def _name(tp: TP) -> str:
    return f"{tp.topic} partition {tp.partition}"
