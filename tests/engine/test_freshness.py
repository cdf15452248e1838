"""How fresh a partition is known, from what the broker's answers say of its end."""

from types import SimpleNamespace
from typing import Any
from weakref import WeakKeyDictionary

import pytest
from aiokafka.consumer import fetcher as aiokafka_fetcher
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from streams.engine.fetch_session import FetchSession
from streams.engine.fetcher import Fetcher
from streams.engine.freshness import LogEnds


def ends(*told: tuple[float, int, int]) -> LogEnds:
    """What answers said: asked at, the log's end, the last stable offset."""
    made = LogEnds()
    for asked_at, end, stable in told:
        made.record(asked_at, end=end, stable=stable)
    return made


def test_what_is_read_to_the_end_is_known_as_of_the_question() -> None:
    """Not as of the answer, nor of when the rows were applied."""
    made = ends((10.0, 100, 100))
    assert made.known_at(99) is None
    assert made.known_at(100) == 10.0
    assert made.known_at(100) is None


def test_behind_an_open_transaction_nothing_newer_is_known_however_often_it_is_asked() -> None:
    """The last stable offset is reached, the log's end is not; its end makes it known again."""
    made = ends((10.0, 100, 100))
    assert made.known_at(100) == 10.0
    assert made.hidden_since(100) is None
    for second in range(11, 52):
        made.record(float(second), end=101, stable=100)
        assert made.known_at(100) is None
        assert made.hidden_since(100) == 11.0
    made.record(52.0, end=102, stable=102)  # with its marker
    assert made.known_at(102) == 52.0
    assert made.hidden_since(102) is None


def test_who_only_lags_is_not_behind_a_transaction() -> None:
    """What it has not read yet can be read."""
    assert ends((10.0, 100, 90)).hidden_since(89) is None
    assert ends((10.0, 100, 90)).hidden_since(90) == 10.0


def test_records_are_hidden_since_the_transaction_began_that_hides_them() -> None:
    """Whether the ends before it were asked for or not; the next transaction counts anew."""
    made = ends((10.0, 90, 90), (20.0, 95, 90), (30.0, 99, 90))
    assert made.hidden_since(90) == 20.0
    made.record(40.0, end=110, stable=100)
    assert made.hidden_since(100) == 40.0


def test_transactions_that_follow_each_other_without_a_pause_let_the_rows_be_known() -> None:
    """The end is never reached, and yet all is known that is older than the longest of them."""
    made = LogEnds()
    known = 0.0
    for tick in range(1, 1_000):
        now = tick / 10
        made.record(now, end=tick + 20, stable=tick)
        known = made.known_at(tick) or known
        assert known >= now - 2.3
    assert known <= 99.9 - 2.0


@given(
    st.lists(st.tuples(st.floats(0.001, 3.0), st.integers(0, 5)), min_size=1, max_size=50),
    st.lists(st.integers(0, 250), max_size=30),
)
def test_nothing_is_ever_known_that_was_not_read(
    steps: list[tuple[float, int]], positions: list[int]
) -> None:
    """Whatever is called known at a moment, the end that was told then had been reached."""
    made, told, now, end = LogEnds(), [], 0.0, 0
    for seconds, more in steps:
        now, end = now + seconds, end + more
        told.append((now, end))
        made.record(now, end=end, stable=end)
    for position in sorted(positions):
        known = made.known_at(position)
        if known is not None:
            assert max(at for asked, at in told if asked <= known) <= position
    if made.known_at(end) is None:
        assert max(positions, default=0) >= end


TP = TopicPartition("shop.users", 0)
LEADER = 0


class Answers:
    """aiokafka's side of a fetch: the next answer, or none."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, rack: str | None = None) -> None:
        self.state = State()
        self.assignment = SimpleNamespace(state_value={TP: self.state}.get)
        self.fetcher: Any = object.__new__(Fetcher)
        self.fetcher.ends = WeakKeyDictionary()
        self.fetcher._client_rack = rack
        cluster = SimpleNamespace(leader_for_partition={TP: LEADER}.get)
        self.fetcher._client = SimpleNamespace(cluster=cluster)
        self.session = FetchSession()
        self.now, self.answer = 100.0, (10, 10)
        monkeypatch.setattr("streams.engine.fetcher.elapsed", lambda: self.now)
        monkeypatch.setattr(aiokafka_fetcher.Fetcher, "_proc_fetch_request", self._proc)

    async def ask(
        self,
        seconds: float,
        answer: tuple[int, int] | None,
        *,
        is_answered: bool = True,
        node: int = 0,
    ) -> int:
        """Ask; the answer (end, last stable offset) is read so much later, if there is one.

        Return the session's epoch of this request. Without ends the answer names no partition.
        """
        self._after, self.answer = seconds, answer  # type: ignore[assignment]
        wanted = [(TP.topic, [(TP.partition, 10, 0)])]
        epoch = self.session.next_question(wanted).epoch
        topics = wanted if answer else []
        request = SimpleNamespace(topics=wanted, session=self.session, answer=None)
        if is_answered:
            self.session.record_response(1, 0)
            request.answer = SimpleNamespace(topics=topics, error_code=0)
        await self.fetcher._proc_fetch_request(self.assignment, node, request)
        return epoch

    async def _proc(self, *_: Any) -> bool:
        self.now += self._after
        if self.answer is not None and not self.is_late:
            self.state.highwater, self.state.lso = self.answer
        return False

    is_late = False
    """Whether aiokafka takes no answer: the position has moved meanwhile."""


class State:
    """aiokafka's state of a partition, as far as a fetch sets it."""

    highwater: int | None = None
    lso: int | None = None
    timestamp: int | None = None


async def test_an_answer_is_dated_by_its_question_and_no_answer_dates_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process that stood still for a minute with an answer in its socket knows nothing new."""
    seen = Answers(monkeypatch)
    await seen.ask(60.0, (10, 10))
    assert seen.fetcher.ends[seen.state].known_at(10) == 100.0
    await seen.ask(1.0, None, is_answered=False)
    assert seen.fetcher.ends[seen.state].known_at(10) is None
    await seen.ask(1.0, (12, 10))
    assert seen.fetcher.ends[seen.state].hidden_since(10) is not None


async def test_an_answer_that_does_not_name_a_partition_says_that_its_end_is_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a session only what has changed is named."""
    seen = Answers(monkeypatch)
    assert await seen.ask(1.0, (12, 12)) == 0
    assert await seen.ask(1.0, None) == 1
    assert seen.fetcher.ends[seen.state].known_at(11) is None
    assert seen.fetcher.ends[seen.state].known_at(12) == 101.0
    assert seen.state.timestamp is not None


async def test_what_was_said_in_an_answer_that_came_too_late_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The broker takes it for known; as of then nothing is known here."""
    seen = Answers(monkeypatch)
    await seen.ask(1.0, (12, 12))
    seen.is_late = True
    assert await seen.ask(1.0, (15, 15)) == 1
    seen.is_late = False
    assert await seen.ask(1.0, (15, 15)) == 0


async def test_a_new_assignment_asks_for_the_ends_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The session is older, and would say nothing of an end that has not changed."""
    seen = Answers(monkeypatch)
    await seen.ask(1.0, (12, 12))
    seen.state = State()
    seen.assignment.state_value = {TP: seen.state}.get
    assert await seen.ask(1.0, None) == 1
    assert await seen.ask(1.0, (12, 12)) == 0
    assert seen.fetcher.ends[seen.state].known_at(12) == 102.0


async def test_a_copy_that_does_not_lead_says_nothing_of_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may be behind, and would call that the end; the leader is asked from time to time."""
    answers = Answers(monkeypatch, rack="here")
    await answers.ask(0.1, (10, 10))
    known = answers.fetcher.ends[answers.state]
    assert known.known_at(10) == 100.0
    for answer in ((10, 10), None, None):
        assert await answers.ask(0.1, answer, node=1) > 0
        assert known.known_at(10) is None
    asked_at = answers.now
    await answers.ask(0.1, (12, 12))
    assert known.known_at(10) is None
    assert known.known_at(12) == asked_at
