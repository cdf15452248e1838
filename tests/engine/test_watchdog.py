"""The watchdog, over each way in which Faust workers are known to stop, and over good reasons.

The hangs are those that people report of Faust: a commit behind a hole, an agent that died, a
consumer that slowly dies, a group that was left, a rebalance or a recovery that never ends.
"""

import logging

import pytest
from faust.types import TP

from streams.engine.inquiry import BrokerAnswer
from streams.engine.standstill import Standing
from streams.engine.thread import FetchState
from streams.engine.watchdog import StandstillLimits, Watchdog
from tests.engine.worker_in_memory import CLICKS, USERS, Hang, Worker

SECONDS = 100.0


class Left(Exception):
    """The worker has ended."""


class WatchedWorker:
    """A watchdog over a worker in memory, with a clock of its own."""

    def __init__(self, worker: Worker, *, memory_limit: int | None = None) -> None:
        self.worker = worker
        self.now = 1_000.0
        self.asked: list[str] = []
        self.answers: dict[str, BrokerAnswer] = {}
        """What the brokers are to each kind of work; none for those that answer."""
        self.memory = 0
        self.watchdog = Watchdog(
            worker,
            stall_seconds=SECONDS,
            memory_limit=memory_limit,
            brokers=self,
            leave=self._leave,
            memory=lambda: self.memory,
        )

    async def pass_time(self, seconds: float, *, brokers_speak: bool = True) -> str | None:
        """Let it look once a second; return with what words the worker ended, if it did."""
        consumer = self.worker.consumer
        for _ in range(round(seconds)):
            self.now += 1
            if brokers_speak:
                for tp, known in consumer.fetched.items():
                    if not known.is_buffered:
                        consumer.fetched[tp] = FetchState(
                            known.position, known.answered_at + 1_000, is_buffered=False
                        )
            try:
                await self.watchdog.check(self.now)
            except Left as left:
                return str(left)
        return None

    def observe(self) -> None:
        """As ``Brokers`` has it."""

    async def about(self, kind: str, tp: TP | None) -> BrokerAnswer | None:
        """Answer as they do."""
        self.asked.append(kind)
        assert (tp is None) == (kind in ("start", "group", "take up"))
        return self.answers.get(kind)

    def _leave(self, message: str) -> None:
        raise Left(message)


def _a_hole(worker: Worker) -> None:
    worker.consumer.hand_out(10, 12)
    worker.consumer.hand_out(13, 14).acked = True


def _a_dead_agent(worker: Worker) -> None:
    worker.consumer.hand_out(10, 12).settled_below = worker.consumer.committed = 11


def _not_handed_out(worker: Worker) -> None:
    worker.consumer.hold_back(10)


def _commit_without_answer(worker: Worker) -> None:
    worker.consumer.hand_out(10, 12).acked = True


def _never_drained(worker: Worker) -> None:
    worker.consumer.fetched[CLICKS] = FetchState(10, 1_000, is_buffered=True)


def _never_resumed(worker: Worker) -> None:
    worker.consumer.active.discard(CLICKS)


def _table_never_resumed(worker: Worker) -> None:
    worker.consumer.active.discard(USERS)


def _out_of_the_group(worker: Worker) -> None:
    worker.consumer.member = False


def _endless_rebalance(worker: Worker) -> None:
    worker.consumer.flow_active = False


def _endless_seek(worker: Worker) -> None:
    worker.consumer.is_seeking = True


def _endless_recovery(worker: Worker) -> None:
    worker.recovering.in_recovery = True
    worker.consumer.remaining = 1


def _recovery_that_died(worker: Worker) -> None:
    worker.completed = False


def _endless_start(worker: Worker) -> None:
    worker.started_consumer = None


HANGS: list[tuple[Hang, str]] = [
    (_a_hole, "processing shop.clicks partition 0 at offset 10 (nothing is in flight)"),
    (_a_dead_agent, "processing shop.clicks partition 0 at offset 11"),
    (_not_handed_out, "handing out shop.clicks partition 0 at offset 10"),
    (_commit_without_answer, "committing shop.clicks partition 0 at offset 10"),
    (_never_drained, "fetching shop.clicks partition 0 at offset 10"),
    (_never_resumed, "fetching shop.clicks partition 0, which is paused"),
    (_table_never_resumed, "fetching shop.users partition 0, which is paused"),
    (_out_of_the_group, "joining the consumer group"),
    (_endless_rebalance, "opening its partitions (0 rows of tables remain)"),
    (_endless_seek, "opening its partitions"),
    (_endless_recovery, "opening its partitions (1 rows of tables remain)"),
    (_recovery_that_died, "opening its partitions"),
    (_endless_start, "the start"),
]


@pytest.mark.parametrize(("hang", "words"), HANGS, ids=[hang.__name__ for hang, _ in HANGS])
async def test_a_worker_that_hangs_ends_and_says_where(hang: Hang, words: str) -> None:
    """After the set time and a quarter more, with brokers that answered twice; not earlier."""
    worker = Worker()
    watched = WatchedWorker(worker)
    assert await watched.pass_time(2 * SECONDS) is None
    hang(worker)
    assert await watched.pass_time(SECONDS) is None
    assert watched.asked == []
    ended = await watched.pass_time(SECONDS)
    assert ended is not None
    assert ended.startswith(words)
    assert ended.endswith(" s, and the brokers answer; starting again")
    assert len(watched.asked) == 2
    assert watched.now <= 1_000 + 2 * SECONDS + 1.25 * SECONDS + 2


async def test_a_fetcher_that_gets_no_answers_while_the_brokers_give_them_is_stuck() -> None:
    """Its partitions' answers grow old; a connection of the watchdog's own is answered."""
    watched = WatchedWorker(Worker())
    ended = await watched.pass_time(2 * SECONDS, brokers_speak=False)
    assert ended is not None
    assert ended.startswith("fetching shop.")


def _parked(worker: Worker) -> None:
    worker.consumer.hand_out(10, 12)
    worker.has_an_excuse = True


def _rows_too_old(worker: Worker) -> None:
    worker.consumer.hold_back(10)
    worker.is_held_back = True


def _no_credit(worker: Worker) -> None:
    _parked(worker)
    worker.consumer.hold_back(13)
    worker.consumer.credit = worker.consumer.room = False


def _no_partitions(worker: Worker) -> None:
    worker.consumer.assigned = set()
    worker.consumer.flow_active = False


REASONS: list[Hang] = [_parked, _rows_too_old, _no_credit, _no_partitions]


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: reason.__name__)
async def test_who_waits_for_a_good_reason_may_do_so_for_ever(reason: Hang) -> None:
    """A closed vendor, rows that are late, more than there is credit for, no partitions at all."""
    worker = Worker()
    watched = WatchedWorker(worker)
    reason(worker)
    assert await watched.pass_time(20 * SECONDS) is None
    assert watched.asked == []


async def test_work_that_goes_on_slowly_is_no_standstill() -> None:
    """One record settled in nearly the set time is enough, and one row of a table."""
    worker = Worker()
    watched = WatchedWorker(worker)
    chunk = worker.consumer.hand_out(10, 12)
    for offset in (11, 12):
        assert await watched.pass_time(SECONDS - 2) is None
        chunk.settled_below = offset
    chunk.acked = True
    worker.consumer.committed = 13
    worker.recovering.in_recovery = True
    for remaining in (3, 2, 1):
        worker.consumer.remaining = remaining
        assert await watched.pass_time(SECONDS - 2) is None
    assert watched.asked == []


async def test_while_the_brokers_are_away_nobody_leaves(caplog: pytest.LogCaptureFixture) -> None:
    """Nor at once when they are back: a second look follows."""
    worker = Worker()
    watched = WatchedWorker(worker)
    _a_dead_agent(worker)
    watched.answers["settle"] = BrokerAnswer("Kafka cannot be reached")
    with caplog.at_level(logging.WARNING, "streams.engine"):
        assert await watched.pass_time(10 * SECONDS) is None
    assert len(watched.asked) == 9
    assert caplog.messages[0] == (
        "processing shop.clicks partition 0 at offset 11 (nothing is in flight) has made "
        "no progress for 100 s: Kafka cannot be reached; this worker waits"
    )
    watched.answers.clear()
    assert await watched.pass_time(0.24 * SECONDS) is None
    assert await watched.pass_time(2 * SECONDS) is not None


async def test_who_waits_for_brokers_does_not_excuse_what_waits_for_others() -> None:
    """A coordinator that is lost holds up commits; a dead agent does not come back with it."""
    worker = Worker()
    watched = WatchedWorker(worker)
    watched.answers["commit"] = BrokerAnswer("the coordinator is lost")
    _commit_without_answer(worker)
    assert await watched.pass_time(5 * SECONDS) is None
    assert set(watched.asked) == {"commit"}
    worker.consumer.hand_out(13, 14)
    ended = await watched.pass_time(2 * SECONDS)
    assert ended is not None
    assert ended.startswith("processing shop.clicks partition 0 at offset 13")


async def test_who_is_refused_says_so_and_ends_after_a_grace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A fresh process reads a password in a file again; this one would try the old one for ever."""
    worker = Worker()
    watched = WatchedWorker(worker)
    refusal = "Kafka does not let this user into the group g: allow it READ on this group"
    watched.answers["group"] = BrokerAnswer(refusal, is_final=True)
    _out_of_the_group(worker)
    with caplog.at_level(logging.WARNING, "streams.engine"):
        ended = await watched.pass_time(2 * SECONDS)
    head = "joining the consumer group has made no progress for"
    assert caplog.messages == [
        f"{head} 100 s: {refusal}; if it does not go on, this worker starts again"
    ]
    assert ended == f"{head} 125 s: {refusal}; starting again"


async def test_who_goes_on_after_the_warning_stays() -> None:
    """The second look finds that it has moved."""
    worker = Worker()
    watched = WatchedWorker(worker)
    chunk = worker.consumer.hand_out(10, 12)
    assert await watched.pass_time(1.1 * SECONDS) is None
    assert watched.asked == ["settle"]
    chunk.settled_below = 11
    assert await watched.pass_time(SECONDS - 1) is None
    assert watched.asked == ["settle"]


def test_a_pause_of_the_whole_process_is_followed_by_a_second_look() -> None:
    """A clock that has jumped makes everything look old at once; that alone ends nothing."""
    patience = StandstillLimits(SECONDS)
    standing = Standing(("work", CLICKS), 1, "the work")
    assert patience.overdue([standing], 0.0) == []
    (found,) = patience.overdue([standing], 10_000.0)
    assert not found.for_good
    patience.record_warning(found.what, 10_000.0)
    assert patience.overdue([Standing(("work", CLICKS), 2, "the work")], 10_001.0) == []


def test_memory_beyond_the_limit_is_said_with_the_setting() -> None:
    """Both figures stand there."""
    watched = WatchedWorker(Worker(), memory_limit=2**30)
    watched.memory = 2**30
    assert watched.watchdog.too_large() is None
    watched.memory = 3 * 2**30
    words = watched.watchdog.too_large()
    assert words is not None
    assert words.startswith("3,072 MiB of memory are in use, more than the 1,024 MiB")
    assert "STREAMS_WATCHDOG_MEMORY_MB" in words
