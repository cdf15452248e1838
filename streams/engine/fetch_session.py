"""Incremental fetch sessions (KIP-227), which aiokafka does not use.

Without one each request names all partitions and each answer speaks of all of them, which aiokafka
encodes and decodes field by field: 30 µs of CPU a partition. In a session a request names what has
changed since the one before, and an answer speaks of partitions that have records or another end.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from aiokafka.protocol import fetch

FIRST_VERSION = 7
"""Of fetch requests: the first that knows sessions."""
MAX_EPOCH = 2**31 - 1

Place = tuple[str, int]
"""Topic and partition."""
Partitions = list[tuple[str, list[tuple[int, int, int]]]]
"""By topic: partition, offset, and at most so many bytes."""


class Question(NamedTuple):
    """What of a request goes over the wire."""

    session_id: int
    epoch: int
    """0: the session begins anew, and all partitions are named."""
    changed: Partitions
    forgotten: list[tuple[str, list[int]]]


class FetchSession:
    """What one broker knows of what one consumer asks it for. Pure."""

    def __init__(self) -> None:
        self._id = 0
        self._epoch = 0
        self._known: dict[Place, tuple[int, int]] = {}
        self._is_answered = True

    def next_question(self, wanted: Partitions) -> Question:
        """Return the next request's question; a request without an answer begins a new session."""
        if not self._is_answered:
            self.restart()
        self._is_answered = False
        asked = {
            (topic, partition): (offset, most)
            for topic, partitions in wanted
            for partition, offset, most in partitions
        }
        known, self._known = self._known if self._epoch else {}, asked
        changed = [
            (topic, news)
            for topic, partitions in wanted
            if (
                news := [
                    (n, at, most)
                    for n, at, most in partitions
                    if known.get((topic, n)) != (at, most)
                ]
            )
        ]
        forgotten: dict[str, list[int]] = {}
        for topic, partition in known.keys() - asked.keys():
            forgotten.setdefault(topic, []).append(partition)
        return Question(self._id, self._epoch, changed, list(forgotten.items()))

    def record_response(self, session_id: int, error_code: int) -> None:
        """Take an answer; the broker may have lost the session, or have no room for one (0)."""
        self._is_answered = True
        if error_code or not session_id:
            self.restart()
            return
        self._id = session_id
        self._epoch = self._epoch % MAX_EPOCH + 1

    def restart(self) -> None:
        """Ask for everything next time; the broker then closes what it has."""
        self._epoch = 0


class SessionRequest(fetch.FetchRequest):
    """A request for records within a session; its answer is kept."""

    _topics: Partitions
    answer: Any = None
    """None: there was none."""
    session: FetchSession | None = None
    """None: it is a whole one, as all of aiokafka's are."""

    def build(self, request_struct_class: Any) -> Any:
        """Return what goes over the wire to a broker of this version."""
        self._read = request_struct_class.RESPONSE_TYPE.decode
        if self.session is None or request_struct_class.API_VERSION < FIRST_VERSION:
            built = super().build(request_struct_class)
        else:
            wanted = self.topics
            question = self.session.next_question(wanted)
            self._topics = question.changed
            built = super().build(request_struct_class)
            self._topics = wanted
            built.session_id, built.session_epoch = question.session_id, question.epoch
            built.forgotten_topics_data = question.forgotten
        # What reads the answer of a connection.
        built.RESPONSE_TYPE = self
        return built

    def decode(self, data: Any) -> Any:
        """Read the answer."""
        self.answer = answer = self._read(data)
        if self.session is not None and answer.API_VERSION >= FIRST_VERSION:
            self.session.record_response(answer.session_id, answer.error_code)
        return answer


def places_in(topics: Iterable[tuple[str, Iterable[Any]]]) -> set[Place]:
    """Return the places that a request or an answer names."""
    return {(topic, place[0]) for topic, places in topics for place in places}
