"""What ``streams forget`` did, what it could not do, and why. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from streams.core.times import utc_text
from streams.operations.forget.plan import StillHeld
from streams.status.status import WorkerStatus


class Obeys(StrEnum):
    """Whether a stage knows the tombstone."""

    YES = "yes"
    NO_WORKER = "no_worker"
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class StageWord:
    """One stage and the tombstone."""

    stage: str
    obeys: Obeys
    worker: str = ""
    """Who has the visitor's partition."""
    vendor_state: str = ""
    """Of the vendor, as that worker sees it; empty in enrichment."""

    @property
    def sentence(self) -> str:
        """What that means, in one sentence."""
        match self.obeys:
            case Obeys.YES:
                return f"{self.worker} has read the tombstone. It sends no older events."
            case Obeys.NO_WORKER:
                return "no worker is running. A worker reads the tombstone before it sends events."
            case _ if self.worker:
                return (
                    f"{self.worker} has not confirmed that it has read the tombstone. Check "
                    "`streams status`, then run this command again."
                )
            case _:
                return (
                    "no worker has the visitor's partition yet. Check `streams status`, then run "
                    "this command again."
                )


def stage_words(
    stages: Iterable[str],
    workers: Sequence[WorkerStatus],
    *,
    users: str,
    partition: int,
    offset: int,
) -> list[StageWord]:
    """Return of each stage whether it obeys the tombstone at this offset of ``users``."""
    words = []
    for stage in stages:
        live = [w.snapshot for w in workers if w.snapshot.stage == stage and not w.is_stale]
        if not live:
            words.append(StageWord(stage, Obeys.NO_WORKER))
            continue
        holders = [one for one in live if partition in one.partitions.get(users, ())]
        # While partitions move, more than one worker may still name this one.
        obeys = bool(holders) and all(h.users_read.get(partition, -1) >= offset for h in holders)
        holder = holders[0] if holders else None
        words.append(
            StageWord(
                stage,
                Obeys.YES if obeys else Obeys.UNSURE,
                "" if holder is None else holder.worker,
                "" if holder is None or holder.vendor is None else holder.vendor.state,
            )
        )
    return words


class Done(StrEnum):
    """How far one vendor came."""

    DELETED = "deleted"
    NOTHING = "nothing"
    """Nothing of the visitor is known there that could be deleted by a request."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class VendorWord:
    """One vendor and the visitor."""

    vendor: str
    name: str
    accepted: int
    """Events of the visitor that it took, as far as receipts are kept."""
    waiting: int
    """Events that have no outcome yet; consent stops them when their turn comes."""
    done: Done
    deleted: str = ""
    """What was deleted, to follow a verb."""
    requests: int = 0
    """Of the deletion, that the vendor confirmed."""
    problem: str = ""
    """FAILED only: why, and what to do."""
    by_hand: str = ""
    """What no request can do, and whom to ask; empty where the vendor is off and got nothing."""


@dataclass(frozen=True, slots=True)
class Report:
    """All of it."""

    visitor: str
    at: str
    tombstone: str
    """Where it lies: topic, partition and offset."""
    stages: list[StageWord]
    vendors: list[VendorWord]
    held: list[StillHeld]
    not_ours: tuple[str, ...] = ()
    """What of the visitor stays in topics that are the shop's own, one sentence each."""

    @property
    def complete(self) -> bool:
        """Whether nothing failed that could have been done; what is by hand does not count."""
        return all(v.done is not Done.FAILED for v in self.vendors) and all(
            s.obeys is not Obeys.UNSURE for s in self.stages
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as ``--json`` prints it."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        for stage, word in zip(found["stages"], self.stages, strict=True):
            stage["sentence"] = word.sentence
        for topic, still in zip(found["held"], self.held, strict=True):
            ms = topic.pop("gone_by_ms")
            topic["gone_by"] = None if ms is None else utc_text(ms)
            assert topic["topic"] == still.topic
        return found | {"complete": self.complete}
