"""Incremental fetch sessions (KIP-227), which aiokafka does not use.

Without a session each request and each response names all partitions. aiokafka encodes and decodes
them field by field, at 30 µs of CPU a partition. In a session, a request names the changes since
the last one, and a response names the partitions with records or a new end.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from aiokafka.protocol import fetch

FIRST_VERSION = 7
"""The first version of fetch requests with sessions."""
MAX_EPOCH = 2**31 - 1

Place = tuple[str, int]
"""Topic and partition."""
Partitions = list[tuple[str, list[tuple[int, int, int]]]]
"""By topic: (partition, offset, maximum bytes)."""


class FetchQuestion(NamedTuple):
    """The part of a request that is sent."""

    session_id: int
    epoch: int
    """0: a new session, in which all partitions are named."""
    changed: Partitions
    forgotten: list[tuple[str, list[int]]]


class FetchSession:
    """What one broker knows about the partitions that one consumer fetches. Pure."""

    def __init__(self) -> None:
        self._id = 0
        self._epoch = 0
        self._known: dict[Place, tuple[int, int]] = {}
        self._is_answered = True

    def next_question(self, wanted: Partitions) -> FetchQuestion:
        """Return what to send; after a request without a response a new session starts."""
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
        return FetchQuestion(self._id, self._epoch, changed, list(forgotten.items()))

    def record_response(self, session_id: int, error_code: int) -> None:
        """Record a response; the broker may have lost the session, or have no room for one (0)."""
        self._is_answered = True
        if error_code or not session_id:
            self.restart()
            return
        self._id = session_id
        self._epoch = self._epoch % MAX_EPOCH + 1

    def restart(self) -> None:
        """Start a new session with the next request; the broker then closes the old one."""
        self._epoch = 0


class SessionRequest(fetch.FetchRequest):
    """A fetch request within a session; it keeps its response."""

    _topics: Partitions
    answer: Any = None
    """None: none came."""
    session: FetchSession | None = None
    """None: a full request, as aiokafka sends it."""

    def build(self, request_struct_class: Any) -> Any:
        """Return the request for a broker of this version."""
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
        # The connection decodes the response with it.
        built.RESPONSE_TYPE = self
        return built

    def decode(self, data: Any) -> Any:
        """Decode the response."""
        self.answer = answer = self._read(data)
        if self.session is not None and answer.API_VERSION >= FIRST_VERSION:
            self.session.record_response(answer.session_id, answer.error_code)
        return answer


def places_in(topics: Iterable[tuple[str, Iterable[Any]]]) -> set[Place]:
    """Return the partitions that a request or a response names."""
    return {(topic, place[0]) for topic, places in topics for place in places}
