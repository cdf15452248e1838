"""What is known of a pipeline at one moment: the input of ``judge``. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from streams.settings import STAGE_NAMES
from streams.status.status import WorkerStatus, gravest

OpenLetters = Mapping[str, Mapping[str, int]]
"""By stage and reason: dead letters that are open."""


@dataclass(frozen=True, slots=True)
class StageState:
    """One configured stage, and what the brokers say of it."""

    key: str
    """``ingest``, ``enrich`` or a vendor key."""
    name: str
    """As people call it."""
    waiting: int | None = None
    """Records from the group's committed offsets to the ends of its topics; None: unknown."""
    has_run: bool = True
    """Whether any worker of the stage ever settled anything."""
    is_paused: bool = False
    """Whether an operator wants the vendor paused."""
    is_control_unreadable: bool = False
    """Whether it counts as paused because nobody can read what operators last wanted."""
    key_place: str = ""
    """Where the vendor's key is set, as the end of a sentence: a file, or a variable."""

    @property
    def is_vendor(self) -> bool:
        """Whether the stage delivers to a vendor."""
        return self.key not in STAGE_NAMES


@dataclass(frozen=True, slots=True)
class Known:
    """A pipeline as far as it is known; what is unknown is None, never 0."""

    now_ms: int
    stages: Sequence[StageState]
    """All that are configured, in the order in which records pass them."""
    workers: Sequence[WorkerStatus] = ()
    """Those that spoke in the last minutes and did not say goodbye."""
    kafka_silent_since: int | None = None
    """Since when no broker has answered, in ms since the epoch; None: they answer."""
    kafka_problem: str = ""
    """Why they do not, as far as it was found out: one sentence."""
    expired_lately: dict[str, int] = field(default_factory=dict)
    """By stage: records that retention deleted unread within the hour."""
    open_letters: OpenLetters = field(default_factory=dict)
    """Those of the last ten minutes; of a stage that is not in it, it is unknown."""
    unreadable: int = 0
    """Records of the status topic that are no snapshots."""

    def of(self, stage: str) -> list[WorkerStatus]:
        """Return the workers of a stage."""
        return [worker for worker in self.workers if worker.snapshot.stage == stage]

    def alive(self, stage: str) -> list[WorkerStatus]:
        """Return those of them that still speak."""
        return [worker for worker in self.of(stage) if not worker.is_stale]

    def without_owner(self, stage: str, partitions: Mapping[str, int]) -> dict[str, int]:
        """Return by topic how many partitions no worker of a stage says it has.

        ``partitions``: how many each topic that the stage reads has. Nothing is returned while
        Kafka does not answer: what others have is unknown then.
        """
        if self.kafka_silent_since is not None:
            return {}
        snapshots = [worker.snapshot for worker in self.alive(stage)]
        return {
            topic: number - len({n for one in snapshots for n in one.partitions.get(topic, ())})
            for topic, number in partitions.items()
        }

    def state(self, stage: StageState) -> str:
        """Return ``running``, ``starting``, ``waiting``, a vendor's state, ``gone`` or ``unknown``.

        ``waiting``: for the schema registry; ``gone``: no worker runs, or none reports any more;
        ``unknown``: Kafka does not answer.
        """
        if self.kafka_silent_since is not None:
            return "unknown"
        snapshots = [worker.snapshot for worker in self.alive(stage.key)]
        if not snapshots:
            return "gone"
        status = gravest(one.vendor for one in snapshots if one.vendor is not None)
        if status is not None and status.state != "running":
            return status.state
        if any(one.registry_away for one in snapshots):
            return "waiting"
        return "running" if any(one.ready for one in snapshots) else "starting"

    def waiting(self, stage: StageState) -> int | None:
        """Return how many records wait: by the brokers' figures, else by all workers'; or None.

        Of a worker that stopped reporting nothing is known, so what the others say is not all.
        """
        if self.kafka_silent_since is not None:
            return None
        if stage.waiting is not None:
            return stage.waiting
        workers = self.of(stage.key)
        if not workers or any(worker.is_stale or not worker.snapshot.ready for worker in workers):
            return None
        return sum(records for worker in workers for records in worker.snapshot.lag.values())
