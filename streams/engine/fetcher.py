"""aiokafka's fetcher with incremental sessions, log ends and a pace.

aiokafka sends the next request as soon as a record has come. At some hundred records a second, each
record would have a request of its own. Here a request waits some milliseconds after the last one,
so that several records come together. While a sink gathers a micro-batch, the next request waits
until shortly before that is due. A record after a silence does not wait, nor do records under load.
"""

from collections import defaultdict
from collections.abc import Callable
from time import monotonic
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import aiokafka.consumer.fetcher
from aiokafka.consumer.fetcher import Fetcher as AioKafkaFetcher
from aiokafka.structs import TopicPartition

from streams.engine.fetch_session import FetchSession, SessionRequest, places_in
from streams.engine.freshness import LogEnds
from streams.engine.wall_clock import elapsed, now_ms

# aiokafka creates one for each request.
aiokafka.consumer.fetcher.FetchRequest = SessionRequest

LONG_POLL_MS = 250
"""How long the broker waits for records if all partitions are requested."""
SHORT_POLL_MS = 50
"""The same if a partition is left out because fetched records of it are still buffered: it has to
wait for this request to end."""
LEADER_SECONDS = 2.0
"""How long a copy in this worker's rack is read before the leader is asked again: only it knows
where the log ends. Well below the time after which rows are no longer known to be current."""


class Gathering(NamedTuple):
    """For how many records a fetch request waits if none is wanted sooner."""

    records: int
    """Expected by the rate of the last second; the wait stays between the two bounds."""
    least_seconds: float
    most_seconds: float


PROMPT = Gathering(records=3, least_seconds=0.02, most_seconds=0.1)
PATIENT = Gathering(records=15, least_seconds=0.03, most_seconds=0.1)
"""For a stage whose outputs all wait longer than this afterwards."""


class FetchPace:
    """How long a fetch request waits after the previous one. Pure."""

    LONGEST_SECONDS = 0.25
    """However late records are wanted: rows of tables come with the same requests."""
    AHEAD_SECONDS = 0.015
    """How long before records are wanted they are requested, at least."""
    A_RECORD_SECONDS = 0.00008
    """How much longer for each record that is expected: until the stage has taken it."""
    TAKEN_SECONDS = 0.005
    """After records were handed over the next request waits this long: until the stage has them,
    it is not known when more are wanted."""
    MANY_RECORDS = 200
    """After this many records at once the next request does not wait."""
    MEMORY_SECONDS = 1.0

    def __init__(self, gathering: Gathering = PROMPT) -> None:
        self._gathering = gathering
        self._rate = 0.0
        self._looked_at = 0.0
        self._gathered = 0
        self._asked_at = 0.0
        self._handed_over_at = 0.0

    def record_records(self, records: int, now: float) -> None:
        """Record how many records came at once; ``now`` in seconds of a growing clock."""
        if records >= self.MANY_RECORDS:
            self._asked_at = self._handed_over_at = 0.0
        elif records:
            self._handed_over_at = now
        self._gathered += records
        elapsed = now - self._looked_at
        if elapsed >= self.MEMORY_SECONDS:
            self._rate = self._gathered / elapsed
            self._looked_at, self._gathered = now, 0

    def wait(self, now: float, wanted_at: float | None = None) -> float:
        """Return the seconds until the next request is due; 0 or less: now.

        ``wanted_at``: when records are wanted; None: as soon as they come.
        """
        if wanted_at is not None:
            apart, most = wanted_at - self._asked_at, self.LONGEST_SECONDS
            expected = self._rate * max(0.0, min(most, apart))
            apart -= self.AHEAD_SECONDS + expected * self.A_RECORD_SECONDS
        else:
            most = self._gathering.most_seconds
            apart = self._gathering.records / self._rate if self._rate else most
        due = self._asked_at + max(self._gathering.least_seconds, min(most, apart))
        return max(due, self._handed_over_at + self.TAKEN_SECONDS) - now

    def record_request(self, now: float) -> None:
        """Record that a request is sent."""
        self._asked_at = now


class Fetcher(AioKafkaFetcher):
    """One consumer's fetches; without a pace it works as aiokafka's.

    Log ends are dated by ``elapsed`` when the request was sent. aiokafka uses the time of day
    when it reads the response, which may be set back. A copy that is not the leader's may be
    behind: what it calls the end is none.
    """

    pace: FetchPace | None = None
    wanted_at: Callable[[], float | None]
    """With a pace: returns when the next records are wanted; None: as soon as they come."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ends: WeakKeyDictionary[Any, LogEnds] = WeakKeyDictionary()
        """By aiokafka's state of a partition; each assignment creates new ones."""
        self._sessions: defaultdict[int, FetchSession] = defaultdict(FetchSession)
        """By broker."""
        self._preferred_replica_ttl = LEADER_SECONDS

    def handed_over(self, records: int) -> None:
        """Record how many records were handed over at once."""
        if self.pace is not None:
            self.pace.record_records(records, monotonic())

    def _get_actions_per_node(self, assignment: Any) -> Any:
        """Return aiokafka's next actions once a fetch request is due."""
        if self.pace is None:
            return super()._get_actions_per_node(assignment)
        now = monotonic()
        if (wait := self.pace.wait(now, self.wanted_at())) > 0:
            # The actions cost CPU for each partition. Resets of positions can wait as long, too.
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
            tp = TopicPartition(*place)
            state = assignment.state_value(tp)
            ends = self.ends.get(state)
            leads = not self._client_rack or self._leads(node_id, tp)
            if place not in spoken_of and (ends is not None or not leads):
                if ends is not None and leads:
                    ends.record_unchanged(asked_at)
                state.timestamp = answered_at
            elif state.lso is None:
                session.restart()  # the response came too late to be used, and is not sent again
            else:
                if leads:
                    ends = self.ends.setdefault(state, LogEnds())
                    ends.record(asked_at, end=state.highwater, stable=state.lso)
                state.lso = None  # each response is used once; nobody else reads it
        return needs_wakeup

    def _leads(self, node_id: Any, tp: TopicPartition) -> bool:
        return bool(self._client.cluster.leader_for_partition(tp) == node_id)
