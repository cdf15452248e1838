"""aiokafka's fetcher, which notes how far each answer reaches, and asks no more than pays.

aiokafka asks again as soon as a record has come: at some hundred records a second each one has a
request of its own, and all that follows. Here a request waits
until some milliseconds after the one before it, so that what comes meanwhile comes together. A
record that comes after a while of silence waits for nothing, and neither does anything under load.
"""

from collections import defaultdict
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

import aiokafka.consumer.fetcher
from aiokafka.consumer.fetcher import Fetcher as AioKafkaFetcher
from aiokafka.structs import TopicPartition

from streams.engine.fetch_session import FetchSession, SessionRequest, places_in
from streams.engine.freshness import LogEnds
from streams.engine.wall_clock import elapsed, now_ms

# Made for each request.
aiokafka.consumer.fetcher.FetchRequest = SessionRequest

LONG_POLL_MS = 250
"""What the broker waits where nothing has come and every partition is asked about."""
SHORT_POLL_MS = 50
"""The same while a partition is not asked about, since something of it is not handed over yet: it
would have to wait for this request to end."""


class FetchPace:
    """How long one request for records waits after the one before it. Pure."""

    GATHERED = 3
    """Records that a request should bring."""
    LEAST_SECONDS = 0.02
    MANY_RECORDS = 200
    """So many at once, and the next request waits for nothing."""
    MEMORY_SECONDS = 1.0

    def __init__(self, most_seconds: float) -> None:
        """``most_seconds``: what a record may wait for others."""
        self._most_seconds = most_seconds
        self._rate = 0.0
        self._looked_at = 0.0
        self._gathered = 0
        self._asked_at = 0.0

    def record_records(self, records: int, now: float) -> None:
        """Note how many records came at once; ``now`` in seconds of a clock that only grows."""
        if records >= self.MANY_RECORDS:
            self._asked_at = 0.0
        self._gathered += records
        elapsed = now - self._looked_at
        if elapsed >= self.MEMORY_SECONDS:
            self._rate = self._gathered / elapsed
            self._looked_at, self._gathered = now, 0

    def wait(self, now: float) -> float:
        """Return in how many seconds the next request is due; 0 or less: now."""
        apart = self.GATHERED / self._rate if self._rate else self._most_seconds
        apart = max(self.LEAST_SECONDS, min(self._most_seconds, apart))
        return self._asked_at + apart - now

    def record_request(self, now: float) -> None:
        """Note that a request is made."""
        self._asked_at = now


class Fetcher(AioKafkaFetcher):
    """One consumer's fetches; without a pace it asks as often as aiokafka does.

    aiokafka dates answers by the time of day, which may be set back, and when it comes to read
    them.
    """

    pace: FetchPace | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ends: WeakKeyDictionary[Any, LogEnds] = WeakKeyDictionary()
        """By aiokafka's state of a partition, which a new assignment makes anew."""
        self._sessions: defaultdict[int, FetchSession] = defaultdict(FetchSession)
        """By broker."""

    def handed_over(self, records: int) -> None:
        """Note how many records were handed over at once."""
        if self.pace is not None:
            self.pace.record_records(records, monotonic())

    def _get_actions_per_node(self, assignment: Any) -> Any:
        """Return aiokafka's next steps once it is time for a request for records."""
        if self.pace is None:
            return super()._get_actions_per_node(assignment)
        now = monotonic()
        if (wait := self.pace.wait(now)) > 0:
            # Each look costs as much as there are partitions. Positions can wait as long, too.
            return [], {}, wait, False, []
        self._fetch_max_wait_ms = SHORT_POLL_MS if self._records else LONG_POLL_MS
        actions = super()._get_actions_per_node(assignment)
        for node_id, request in actions[0]:
            request.session = self._sessions[node_id]
            self.pace.record_request(now)
        return actions

    async def _proc_fetch_request(self, assignment: Any, node_id: Any, request: Any) -> Any:
        asked_at = elapsed()
        needs_wakeup = await super()._proc_fetch_request(assignment, node_id, request)
        answer, session = request.answer, request.session
        if session is None or answer is None or answer.error_code:
            return needs_wakeup
        spoken_of, answered_at = places_in(answer.topics), now_ms()
        for place in places_in(request.topics):
            state = assignment.state_value(TopicPartition(*place))
            ends = self.ends.get(state)
            if place not in spoken_of and ends is not None:
                ends.record_unchanged(asked_at)
                state.timestamp = answered_at
            elif state.lso is None:
                session.restart()  # the answer came too late to be taken, and is not given again
            else:
                ends = self.ends.setdefault(state, LogEnds())
                ends.record(asked_at, end=state.highwater, stable=state.lso)
                state.lso = None  # each answer is taken once; nobody else reads it
        return needs_wakeup
