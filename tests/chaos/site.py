"""What can be broken, and what must be known of each fault for the books."""

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from streams.lab.embedded import EmbeddedKafka
from streams.lab.sandbox import Fault, FaultKind, Sandbox
from tests.chaos.disk import Disk
from tests.chaos.fleet import Fleet
from tests.chaos.ledgers import Door
from tests.chaos.logs import Ends, Logs, receipts_topic
from tests.chaos.producer import Producer
from tests.chaos.schedule import Plan
from tests.chaos.shop import VENDORS

ANSWER_SECONDS: Mapping[str, float] = {"eightselect": 0.15, "voyado": 0.08, "miso": 0.12}
"""What a vendor takes for an answer: without it nothing would be in flight at a kill."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A moment at which a worker was stopped in the midst of its work."""

    released: float
    """When this process could read again what the worker had sent."""
    receipts: Mapping[str, Ends]
    """Vendor → where its receipts ended when the worker could write no more."""


@dataclass(slots=True)
class Happened:
    """One fault that was done."""

    round: int
    plan: Plan
    began: float
    mended: float = 0.0
    """From when on work can go on: of a kill its own moment, of an outage its end."""
    cuts: list[Cut] = field(default_factory=list)
    kills: int = 0
    """Processes that were killed (-9)."""
    open: dict[str, int] = field(default_factory=dict)
    """Vendor → requests that waited for an answer at its door at the moment of the kill."""
    codes: list[int] = field(default_factory=list)
    """Exit codes of workers that were told to end."""
    stored_unanswered: dict[str, int] = field(default_factory=dict)
    """Vendor → requests that it stored and left without an answer."""

    @property
    def vendors(self) -> tuple[str, ...]:
        """Whose deliveries it touches."""
        return (self.plan.target,) if self.plan.target in VENDORS else VENDORS

    @property
    def over(self) -> float:
        """From when on nothing of it can reach a vendor any more."""
        return max(self.mended, *(cut.released for cut in self.cuts), 0.0)


@dataclass(slots=True)
class Site:
    """Everything that can be broken."""

    kafka: EmbeddedKafka
    sandbox: Sandbox
    doors: Mapping[str, Door]
    fleet: Fleet
    producer: Producer
    logs: Logs
    disk: Disk | None = None
    """The broker's, where it can be full."""
    refused: dict[str, dict[int, Fault]] = field(default_factory=lambda: defaultdict(dict))
    """Vendor → event that it never takes, and the fault that does it."""

    def answer_as_usual(self, vendor: str, *, take_all: bool = False) -> None:
        """Let a vendor take its usual time, and all events but those that it never takes.

        ``take_all``: those, too, from now on.
        """
        faults = self.sandbox.faults
        faults.clear(vendor)
        faults.set(Fault(kind=FaultKind.SLOW, vendor=vendor, seconds=ANSWER_SECONDS[vendor]))
        if not take_all:
            faults.set(*self.refused[vendor].values())

    async def note_cut(self, happened: Happened) -> None:
        """Note that a worker was stopped just now: what was in flight may come again."""
        released = time.monotonic()
        if happened.plan.target in ("ingest", "enrich"):
            return
        ends = {vendor: await self.logs.ends(receipts_topic(vendor)) for vendor in happened.vendors}
        happened.cuts.append(Cut(released, ends))
