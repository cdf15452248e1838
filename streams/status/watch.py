"""What a worker knows of the whole pipeline, kept up to date while it runs."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Protocol

from streams.core.control import VendorControl
from streams.core.errors import SetupError
from streams.core.snapshot import WorkerSnapshot
from streams.kafka.groups import GroupState, read_groups
from streams.kafka.reader import connect
from streams.settings import Settings
from streams.status.findings import Finding, FindingKind
from streams.status.judge import judge
from streams.status.known import Known
from streams.status.new_letters import NewLetters
from streams.status.observe import stages_of
from streams.status.status import WorkerStatus
from streams.status.tail import StatusTail
from streams.worker.control import read_controls

log = logging.getLogger("streams.status")

LOGGED = frozenset(
    {
        FindingKind.CRASH_LOOP,
        FindingKind.RESTARTED,
        FindingKind.DEAD_LETTERS,
        FindingKind.NOTHING_ACCEPTED,
        FindingKind.SKIP_JUMP,
        FindingKind.FALLING_BEHIND,
    }
)
"""The kinds that are judged here; what a vendor answers, and Kafka, is logged where it happens."""
GROUPS_SECONDS = 5.0
"""How often the brokers are asked what waits: a worker that does not report cannot say it."""
SILENT_SECONDS = 10.0
"""Without an answer for so long, what other workers do is unknown."""


class KafkaContact(Protocol):
    """This worker's contact with the brokers."""

    def silent_seconds(self) -> float:
        """Return how long ago a broker last answered."""

    @property
    def why(self) -> str:
        """Why they do not answer, as far as it was found out: a sentence or nothing."""


@dataclass(eq=False)
class PipelineWatch:
    """Follows the status topic and asks the brokers for each group's figures."""

    settings: Settings
    _: KW_ONLY
    own: Callable[[], WorkerSnapshot | None]
    """This worker's own snapshot, for a broker that is away."""
    contact: KafkaContact
    wall_ms: Callable[[], int]
    clock: Callable[[], float]

    def __post_init__(self) -> None:
        settings = self.settings
        self._tail = StatusTail(settings.kafka, settings.topics.status, self.wall_ms)
        self._letters = NewLetters(settings, self.clock)
        self._groups: Sequence[GroupState] = ()
        self._controls: Mapping[str, VendorControl] = {}
        self._asked_at = float("-inf")
        self._said: frozenset[str] = frozenset()
        self._expired: Callable[[], dict[str, int]] = dict

    def deaf_seconds(self) -> float:
        """Return how long nothing was heard of the brokers or of the workers' snapshots."""
        return max(self.contact.silent_seconds(), self._tail.silent_seconds())

    def workers(self) -> Sequence[WorkerStatus]:
        """Return the workers that spoke in the last minutes, this one among them."""
        return self.known().workers

    def findings(self) -> list[Finding]:
        """Return the judgement on the pipeline as of now."""
        return judge(self.known())

    def labels(self) -> list[tuple[str, str, str]]:
        """Return level, subject and kind of each finding but that all is well."""
        return [
            (str(f.level), f.subject, f.kind) for f in self.findings() if f.kind != FindingKind.WELL
        ]

    def without_owner(self, partitions: Mapping[str, int]) -> dict[str, int]:
        """Return by topic how many of these partitions no worker of this worker's stage has."""
        own = self.own()
        return {} if own is None else self.known().without_owner(own.stage, partitions)

    def note_expired(self, lately: Callable[[], dict[str, int]]) -> None:
        """Take what tells, by stage, how many records retention deleted within the hour."""
        self._expired = lately

    async def refresh(self) -> None:
        """Read what is new; what the brokers do not tell stays unknown, not as it was."""
        await self._tail.refresh()
        if self.contact.silent_seconds() < SILENT_SECONDS:
            await self._letters.refresh(self.known())
        self._say_what_is_new()
        now = self.clock()
        if now - self._asked_at < GROUPS_SECONDS:
            return
        self._asked_at = now
        try:
            async with connect(self.settings.kafka) as reader:
                self._groups = await read_groups(reader, self.settings)
                self._controls = await read_controls(reader, self.settings)
        except SetupError as error:
            self._groups = ()
            log.debug("the groups' offsets could not be read: %s", error)

    def _say_what_is_new(self) -> None:
        """Log the findings about this worker's stage that nothing else logs, as they begin."""
        own = self.own()
        if own is None:
            return
        found = {f.kind: f for f in self.findings() if f.subject == own.stage and f.kind in LOGGED}
        for kind in found.keys() - self._said:
            log.warning(found[kind].sentence())
        for kind in self._said - found.keys():
            log.info("%s: %s is over", own.stage, kind)
        self._said = frozenset(found)

    def known(self) -> Known:
        """Return what is known as of now, this worker's own word included."""
        now_ms, board = self.wall_ms(), self._tail.board
        own = self.own()
        if own is not None:
            board.record(own.worker, own, now_ms)
        known = Known(
            now_ms,
            stages_of(self.settings, self._groups, self._controls),
            board.workers(now_ms),
            expired_lately=self._expired(),
            open_letters=self._letters.open,
            unreadable=board.unreadable,
        )
        silent = self.contact.silent_seconds()
        if silent < SILENT_SECONDS:
            return known
        since = now_ms - round(silent * 1000)
        return replace(known, kafka_silent_since=since, kafka_problem=self.contact.why)
