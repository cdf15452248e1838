"""Taking partitions up: nothing is committed before the stage knows what the last owner left."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import GroupAuthorizationFailedError, TopicAuthorizationFailedError
from faust.types import TP
from mode.utils.queues import FlowControlEvent, FlowControlQueue

from streams.engine.thread import Committed
from tests.engine.consumer_in_memory import OurConsumer, consumer_in_memory

EVENTS = TP("vendor.voyado.events", 0)
LEFT = '{"m":{"shop.clicks":[900,1700000000000]},"s":[105,3],"r":5000,"x":7}'


@pytest.fixture
def consumer(monkeypatch: pytest.MonkeyPatch) -> OurConsumer:
    """A consumer whose group stands at offset 100 of one partition."""
    return consumer_in_memory(monkeypatch, {EVENTS: Committed(100, LEFT, 0, 200)})


class Pause:
    """A stage whose opening of partitions waits until it is released."""

    def __init__(self, consumer: OurConsumer) -> None:
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()
        consumer.app.taking_up = self._wait

    async def _wait(self) -> None:
        self.reached.set()
        await self.go_on.wait()


async def test_the_timer_commits_nothing_while_partitions_are_taken_up(
    consumer: OurConsumer,
) -> None:
    """What the last owner left stands until the stage has read it."""
    pause = Pause(consumer)
    seeking = asyncio.ensure_future(consumer.perform_seek())
    await pause.reached.wait()
    assert await consumer.force_commit() is False
    pause.go_on.set()
    await seeking
    assert await consumer.force_commit() is False
    assert consumer.thread.commits == []
    assert consumer.thread.group[EVENTS] == Committed(100, LEFT, 0, 200)


async def test_nothing_is_fetched_or_handed_out_before_the_seek_has_ended(
    consumer: OurConsumer,
) -> None:
    """Nor is a partition's commit refreshed."""
    pause = Pause(consumer)
    assert not consumer.has_room(EVENTS)
    seeking = asyncio.ensure_future(consumer.perform_seek())
    await pause.reached.wait()
    assert not consumer.has_room(EVENTS)
    assert not consumer.has_credit(EVENTS)
    pause.go_on.set()
    await seeking
    assert consumer.has_room(EVENTS)
    assert consumer.has_credit(EVENTS)


async def test_nothing_is_handed_out_before_faust_has_emptied_the_agents_queues(
    consumer: OurConsumer,
) -> None:
    """It does so when the flow resumes, after the seek; records may be fetched by then."""
    flow = FlowControlEvent(initially_suspended=False)
    agents = FlowControlQueue(flow_control=flow, clear_on_resume=True)
    consumer.app.flow_control = flow
    consumer.callback = agents.put
    await consumer.perform_seek()
    await consumer._stash_records(EVENTS, [_record(offset) for offset in range(100, 110)])
    await consumer._hand_out_round()
    flow.resume()
    consumer.resume_flow()
    await consumer._hand_out_round()
    (chunk,) = agents.get_nowait().value
    assert [record.offset for record in chunk.value] == list(range(100, 110))


@pytest.mark.parametrize(("partitions", "room_until"), [(1, 4_000), (6, 4_000), (48, 500)])
async def test_the_more_partitions_have_waiting_records_the_fewer_wait_of_each(
    monkeypatch: pytest.MonkeyPatch, partitions: int, room_until: int
) -> None:
    """A worker with many partitions behind a parked vendor needs no more memory than with six."""
    tps = [TP(EVENTS.topic, number) for number in range(partitions)]
    consumer = consumer_in_memory(monkeypatch, dict.fromkeys(tps, Committed(100, LEFT, 0, 200)))
    await consumer.perform_seek()
    for tp in tps:
        await consumer._stash_records(tp, [_record(offset) for offset in range(100, 110)])
    records = [_record(offset) for offset in range(110, 100 + room_until - 1)]
    await consumer._stash_records(tps[0], records)
    assert consumer.has_room(tps[0])
    await consumer._stash_records(tps[0], [_record(100 + room_until - 1)])
    assert not consumer.has_room(tps[0])


async def test_unknown_metadata_is_not_committed(consumer: OurConsumer) -> None:
    """None means that the stage does not know; empty metadata would say that there are none."""
    await consumer.perform_seek()
    consumer.offset_trackers[EVENTS].hand_out(_chunk(100, 109, acked=True))
    consumer.app.known.clear()
    assert await consumer.force_commit() is False
    consumer.app.known[EVENTS] = ""
    assert await consumer.force_commit() is True
    assert consumer.thread.commits == [{EVENTS: (110, "")}]


@pytest.mark.parametrize(
    "refusal",
    [GroupAuthorizationFailedError("g"), TopicAuthorizationFailedError({"vendor.voyado.events"})],
    ids=lambda each: type(each).__name__,
)
async def test_a_commit_that_is_refused_for_a_missing_right_stays_due(
    consumer: OurConsumer, monkeypatch: pytest.MonkeyPatch, refusal: Exception
) -> None:
    """The right may be given back; if not, the watchdog ends the worker after its grace."""

    async def refuse(_due: object) -> bool:
        raise refusal

    await consumer.perform_seek()
    consumer.offset_trackers[EVENTS].hand_out(_chunk(100, 109, acked=True))
    with monkeypatch.context() as without_right:
        without_right.setattr(consumer.thread, "commit_with_metadata", refuse)
        assert await consumer.force_commit() is False
        assert await consumer.force_commit() is False
    assert await consumer.force_commit() is True
    assert consumer.thread.commits == [{EVENTS: (110, LEFT)}]


async def test_a_partition_that_is_revoked_while_it_is_taken_up_is_let_go_of(
    consumer: OurConsumer,
) -> None:
    """The seek that comes after the rebalance takes up what this worker still has."""
    pause = Pause(consumer)
    seeking = asyncio.ensure_future(consumer.perform_seek())
    await pause.reached.wait()
    await consumer.on_partitions_revoked({EVENTS})
    # Another worker has it for a while, and then it comes back.
    consumer.thread.group[EVENTS] = Committed(150, "newer", 0, 200)
    await consumer.on_partitions_assigned({EVENTS})
    pause.go_on.set()
    await seeking
    assert consumer.thread.commits == []
    assert consumer.thread.sought == []
    assert consumer.app.known == {}
    assert consumer.app.gone == [{EVENTS}, {EVENTS}]
    assert not consumer.has_room(EVENTS)
    await consumer.perform_seek()
    assert consumer.thread.sought == [{EVENTS: 150}]
    assert consumer.thread.group[EVENTS] == Committed(150, "newer", 0, 200)


async def test_a_seek_reads_the_commit_only_after_the_one_that_is_in_flight(
    consumer: OurConsumer,
) -> None:
    """Otherwise it would start from an offset, and from marks, that are not the newest."""
    await consumer.perform_seek()
    consumer.offset_trackers[EVENTS].hand_out(_chunk(100, 109, acked=True))
    await asyncio.gather(consumer.force_commit(), consumer.perform_seek())
    assert consumer.thread.sought == [{EVENTS: 100}, {EVENTS: 110}]


async def test_a_first_owner_commits_where_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the next one knows that there was one."""
    consumer = consumer_in_memory(monkeypatch, {EVENTS: Committed(None, "", 5, 20)})
    await consumer.perform_seek()
    assert consumer.thread.commits == [{EVENTS: (5, "")}]


async def test_what_retention_deleted_below_the_commit_is_reported_and_passed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The commit moves to where reading begins."""
    consumer = consumer_in_memory(monkeypatch, {EVENTS: Committed(100, LEFT, 130, 200)})
    await consumer.perform_seek()
    assert consumer.app.expired == [(EVENTS, 100, 130)]
    assert consumer.thread.sought == [{EVENTS: 130}]
    assert consumer.thread.commits == [{EVENTS: (130, LEFT)}]


def _chunk(first: int, last: int, *, acked: bool = False) -> Any:
    class Chunk:
        pass

    chunk: Any = Chunk()
    chunk.tp, chunk.offset, chunk.acked, chunk.settled_below = EVENTS, last, acked, first
    chunk.value = []
    return chunk


async def test_the_last_commit_has_the_metadata_as_they_are_then(consumer: OurConsumer) -> None:
    """Also where the head did not move: now nothing is in flight, which is to be known."""
    await consumer.perform_seek()
    consumer.offset_trackers[EVENTS].hand_out(_chunk(100, 109))
    consumer.app.known[EVENTS] = "working"
    assert await consumer.force_commit() is True
    consumer.app.known[EVENTS] = "clean"
    assert await consumer.force_commit() is False
    assert await consumer.commit_last() is True
    assert consumer.thread.group[EVENTS] == Committed(100, "clean", 0, 200)


async def test_a_partition_of_which_nothing_was_read_is_left_as_it_is_then(
    consumer: OurConsumer,
) -> None:
    """Revoked or stopped, it is all the same."""
    await consumer.perform_seek()
    consumer.app.known[EVENTS] = "clean"
    await consumer.on_partitions_revoked({EVENTS})
    assert consumer.thread.group[EVENTS] == Committed(100, "clean", 0, 200)


async def test_a_worker_that_stops_while_it_takes_up_leaves_what_it_found(
    consumer: OurConsumer,
) -> None:
    """It has begun nothing, so whatever the last owner left is still true."""
    pause = Pause(consumer)
    seeking = asyncio.ensure_future(consumer.perform_seek())
    await pause.reached.wait()
    consumer.cancel_seek()
    pause.go_on.set()
    await seeking
    assert await consumer.commit_last() is False
    assert consumer.thread.group[EVENTS] == Committed(100, LEFT, 0, 200)


async def test_nothing_begins_where_the_first_commit_was_refused(
    consumer: OurConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rebalance is on its way; a crash before it must not find that nothing was begun."""

    async def refused(_due: Any) -> bool:
        return False

    monkeypatch.setattr(consumer.thread, "commit_with_metadata", refused)
    consumer.app.on_start_positions = _working(consumer)
    await consumer.perform_seek()
    assert not consumer.has_room(EVENTS)
    assert consumer.app.gone == [{EVENTS}]


def _record(offset: int) -> Any:
    return SimpleNamespace(
        offset=offset, timestamp=1, timestamp_type=0, key=b"k", value=b"v", headers=()
    )


def _working(consumer: OurConsumer) -> Any:
    async def on_start_positions(_positions: Any) -> None:
        consumer.app.known[EVENTS] = "working"

    return on_start_positions
