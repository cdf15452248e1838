"""Fetch sessions: what goes over the wire must tell the broker all that a request asks for."""

from typing import Any

import pytest
from aiokafka.protocol.fetch import (
    FetchRequest_v4,
    FetchRequest_v11,
    FetchResponse_v4,
    FetchResponse_v11,
)
from hypothesis import given
from hypothesis import strategies as st

from streams.engine.fetch_session import (
    MAX_EPOCH,
    FetchQuestion,
    FetchSession,
    Partitions,
    SessionRequest,
    places_in,
)

NOT_FOUND, WRONG_EPOCH = 70, 71


class Broker:
    """Keeps one session as a broker does (KIP-227)."""

    def __init__(self) -> None:
        self.id = 0
        self.epoch = 0
        self.asked: dict[tuple[str, int], tuple[int, int]] = {}
        self.has_room = True

    def take(self, question: FetchQuestion) -> tuple[int, int]:
        """Return session id and error code of the answer."""
        if question.epoch == 0:
            self.asked = {}
            self._learn(question)
            self.id, self.epoch = (self.id + 1, 1) if self.has_room else (0, 0)
            return self.id, 0
        if not self.id or question.session_id != self.id:
            return 0, NOT_FOUND
        if question.epoch != self.epoch:
            return self.id, WRONG_EPOCH
        self.epoch = self.epoch % MAX_EPOCH + 1
        self._learn(question)
        return self.id, 0

    def _learn(self, question: FetchQuestion) -> None:
        for topic, partitions in question.changed:
            for partition, offset, most in partitions:
                self.asked[topic, partition] = offset, most
        for topic, numbers in question.forgotten:
            for number in numbers:
                self.asked.pop((topic, number), None)


def wanted(places: dict[tuple[str, int], int]) -> Partitions:
    """Return what aiokafka asks for to read on from these offsets."""
    topics: dict[str, list[tuple[int, int, int]]] = {}
    for (topic, partition), offset in places.items():
        topics.setdefault(topic, []).append((partition, offset, 1000))
    return list(topics.items())


OFFSETS = st.dictionaries(
    st.tuples(st.sampled_from(["clicks", "users"]), st.integers(0, 3)), st.integers(0, 2)
)
EVENTS = st.sampled_from(["", "", "", "lost on its way", "answer lost", "broker restarts", "full"])


@given(st.lists(st.tuples(OFFSETS, EVENTS), max_size=30), st.sampled_from([1, MAX_EPOCH - 2]))
def test_the_broker_always_knows_all_that_is_asked(steps: Any, first_epoch: int) -> None:
    """Whatever is lost, and whenever the broker forgets; a refused request asks for nothing."""
    session, broker = FetchSession(), Broker()
    session.record_response(*broker.take(session.next_question([])))
    session._epoch = broker.epoch = first_epoch
    refused = 0
    for places, event in steps:
        broker.has_room = event != "full"
        if event == "broker restarts":
            broker = Broker()
        question = session.next_question(wanted(places))
        if event == "lost on its way":
            continue
        session_id, error = broker.take(question)
        if event == "answer lost":
            continue
        session.record_response(session_id, error)
        refused = refused + 1 if error else 0
        assert refused <= 1
        if not error:
            assert broker.asked == {place: (offset, 1000) for place, offset in places.items()}


def test_only_what_has_changed_is_named_again() -> None:
    """Moved on, added, or not asked for any more."""
    session = FetchSession()
    session.next_question(wanted({("a", 0): 5, ("a", 1): 5, ("b", 0): 5}))
    session.record_response(77, 0)
    moved_on = session.next_question(wanted({("a", 0): 6, ("a", 1): 5, ("a", 2): 0}))
    assert moved_on == FetchQuestion(77, 1, [("a", [(0, 6, 1000), (2, 0, 1000)])], [("b", [0])])
    session.record_response(77, 0)
    assert session.next_question(wanted({("a", 0): 6, ("a", 1): 5, ("a", 2): 0})).changed == []


def test_a_session_that_begins_anew_names_the_old_one() -> None:
    """The broker then closes it."""
    session = FetchSession()
    session.next_question(wanted({("a", 0): 5}))
    session.record_response(77, 0)
    session.restart()
    assert session.next_question(wanted({("a", 0): 5})) == FetchQuestion(
        77, 0, [("a", [(0, 5, 1000)])], []
    )


def request(session: FetchSession | None) -> SessionRequest:
    """Return a request as aiokafka makes it."""
    made = SessionRequest(250, 1, 1000, 1, [("a", [(0, 5, 1000), (1, 5, 1000)])])
    made.session = session
    return made


def answer(session_id: int) -> bytes:
    """Return an answer about one partition."""
    about: tuple[Any, ...] = (0, 0, 9, 9, 0, [], -1, b"")
    return FetchResponse_v11(0, 0, session_id, [("a", [about])]).encode()  # type: ignore[no-any-return]


def test_a_request_of_a_session_carries_its_question_and_keeps_its_answer() -> None:
    """What was asked stays with it, also what did not go over the wire."""
    session = FetchSession()
    first = request(session)
    over_the_wire = FetchRequest_v11.decode(first.build(FetchRequest_v11).encode())
    assert (over_the_wire.session_id, over_the_wire.session_epoch) == (0, 0)
    assert places_in(over_the_wire.topics) == {("a", 0), ("a", 1)}
    first.decode(answer(77))
    second = request(session)
    over_the_wire = FetchRequest_v11.decode(second.build(FetchRequest_v11).encode())
    assert (over_the_wire.session_id, over_the_wire.session_epoch) == (77, 1)
    assert over_the_wire.topics == []
    second.decode(answer(77))
    assert places_in(second.topics) == {("a", 0), ("a", 1)}
    assert places_in(second.answer.topics) == {("a", 0)}


@pytest.mark.parametrize("session", [None, FetchSession()])
def test_a_broker_that_knows_no_sessions_is_asked_for_everything_each_time(
    session: FetchSession | None,
) -> None:
    """And so is any other without a session."""
    version = FetchRequest_v11 if session is None else FetchRequest_v4
    for _ in range(2):
        asked = request(session)
        built = asked.build(version)
        assert places_in(version.decode(built.encode()).topics) == {("a", 0), ("a", 1)}
        old = FetchResponse_v4(0, [("a", [(0, 0, 9, 9, [], b"")])]).encode()
        built.RESPONSE_TYPE.decode(answer(0) if session is None else old)
        assert places_in(asked.answer.topics) == {("a", 0)}
