"""Carrying out faults, and noting what must be known of each for the books."""

import asyncio
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from streams.embedded import EmbeddedKafka
from streams.sandbox import Fault, FaultKind, Sandbox
from tests.chaos.fleet import Fleet, Worker
from tests.chaos.ledgers import Door
from tests.chaos.logs import Ends, Logs, receipts_topic
from tests.chaos.producer import Producer
from tests.chaos.schedule import (
    BROKER_AWAY,
    BROKER_FAULTS,
    BROKER_KILL,
    DOWN,
    DROPS,
    ERRORS,
    HANGS,
    KILL,
    REFUSED_KEY,
    SECOND_KILL,
    SECOND_TERM,
    STAGES,
    TERM,
    THROTTLED,
    WIPE,
    Plan,
)
from tests.chaos.shop import VENDORS
from tests.chaos.waiting import until

REQUESTS_MET = 3
"""Requests that hang, or whose answers are dropped, in one fault."""
ANSWER_SECONDS: Mapping[str, float] = {"eightselect": 0.15, "voyado": 0.08, "miso": 0.12}
"""What a vendor takes for an answer: without it nothing would be in flight at a kill."""


@dataclass(slots=True)
class Happened:
    """One fault that was done."""

    round: int
    plan: Plan
    began: float
    mended: float = 0.0
    """From when on work can go on: of a kill its own moment, of an outage its end."""
    released: float = 0.0
    """When this process could read again what a killed worker had sent."""
    kills: int = 0
    """Processes that were killed (-9)."""
    open: dict[str, int] = field(default_factory=dict)
    """Vendor → requests that waited for an answer at its door at the moment of the kill."""
    receipts: dict[str, Ends] = field(default_factory=dict)
    """Vendor → where its receipts ended when the killed worker could write no more."""
    codes: list[int] = field(default_factory=list)
    """Exit codes of workers that were told to end."""
    stored_unanswered: dict[str, int] = field(default_factory=dict)
    """Vendor → requests that it stored and left without an answer."""

    @property
    def vendors(self) -> tuple[str, ...]:
        """Whose deliveries it touches."""
        return (self.plan.target,) if self.plan.target in VENDORS else VENDORS


@dataclass(slots=True)
class Site:
    """Everything that can be broken."""

    kafka: EmbeddedKafka
    sandbox: Sandbox
    doors: Mapping[str, Door]
    fleet: Fleet
    producer: Producer
    logs: Logs

    def slow_answers(self) -> None:
        """Let each vendor take its usual time; other faults are taken back."""
        self.sandbox.faults.clear()
        for vendor, seconds in ANSWER_SECONDS.items():
            self.sandbox.faults.set(Fault(kind=FaultKind.SLOW, vendor=vendor, seconds=seconds))


async def carry_out(site: Site, number: int, plan: Plan) -> Happened:
    """Do it, and return when the way is free again."""
    happened = Happened(number, plan, time.monotonic())
    happened.mended = happened.released = happened.began
    if plan.kind in BROKER_FAULTS:
        await _break_broker(site, plan, happened)
    elif plan.kind in _OF_VENDORS:
        await _break_vendor(site, plan, happened)
    elif plan.kind in (SECOND_KILL, SECOND_TERM):
        await _second_worker(site, plan, happened)
    elif plan.kind == TERM:
        worker = site.fleet.worker(plan.target)
        happened.codes.append(await worker.terminate())
        worker.start()
    else:
        assert plan.kind in (KILL, WIPE), plan
        stages = STAGES if plan.kind == WIPE else (plan.target,)
        await _kill(site, happened, [site.fleet.worker(stage) for stage in stages])
    return happened


async def _kill(site: Site, happened: Happened, workers: list[Worker]) -> None:
    for worker in workers:
        if worker.name in VENDORS:
            happened.open[worker.name] = site.doors[worker.name].open
        worker.kill()
        happened.kills += 1
    if happened.plan.kind == WIPE:
        site.fleet.wipe_state()
    for worker in workers:
        worker.start()
    happened.released = time.monotonic()
    # A new worker writes nothing before it has started, which takes longer than this.
    await _note_receipts(site, happened)


async def _note_receipts(site: Site, happened: Happened) -> None:
    for vendor in happened.vendors:
        if happened.plan.target != "enrich":
            happened.receipts[vendor] = await site.logs.ends(receipts_topic(vendor))


async def _second_worker(site: Site, plan: Plan, happened: Happened) -> None:
    second = site.fleet.worker(plan.target, 1)
    second.start()
    await site.fleet.ready(second)
    vendor = "miso" if plan.target == "enrich" else plan.target
    door = site.doors[vendor]
    taken = len(door.stored) + plan.pause_events
    await until(lambda: len(door.stored) >= taken, 60, f"{vendor} to take events from two workers")
    happened.mended = time.monotonic()
    if plan.kind == SECOND_TERM:
        happened.codes.append(await second.terminate())
        return
    happened.open[vendor] = door.open
    second.kill()
    happened.released = time.monotonic()
    happened.kills += 1
    await _note_receipts(site, happened)


async def _break_broker(site: Site, plan: Plan, happened: Happened) -> None:
    if plan.kind in (BROKER_KILL, BROKER_AWAY):
        await asyncio.to_thread(site.kafka.kill)
        await asyncio.sleep(plan.seconds)
        await asyncio.to_thread(site.kafka.restart)
    else:
        pid = site.kafka.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(plan.seconds)
        finally:
            os.kill(pid, signal.SIGCONT)
    happened.mended = time.monotonic()


_OF_VENDORS: Mapping[str, dict[str, object]] = {
    THROTTLED: {"kind": FaultKind.STATUS, "status": 429, "retry_after": 2},
    ERRORS: {"kind": FaultKind.STATUS, "status": 503},
    REFUSED_KEY: {"kind": FaultKind.STATUS, "status": 401},
    DOWN: {"kind": FaultKind.DOWN},
    HANGS: {"kind": FaultKind.HANG, "stored": True, "times": REQUESTS_MET},
    DROPS: {"kind": FaultKind.STORE_THEN_DROP, "times": REQUESTS_MET},
}


async def _break_vendor(site: Site, plan: Plan, happened: Happened) -> None:
    faults, door = site.sandbox.faults, site.doors[plan.target]
    words = {HANGS: "hung", DROPS: "dropped"}.get(plan.kind)
    before = door.endings[words] if words else 0
    faults.clear(plan.target)
    faults.set(Fault(vendor=plan.target, **_OF_VENDORS[plan.kind]))  # type: ignore[arg-type]
    if words:
        # Each of the requests that are to be met comes within this time, or the fault ends.
        deadline = time.monotonic() + plan.seconds
        await until(
            lambda: door.endings[words] >= before + REQUESTS_MET or time.monotonic() > deadline,
            plan.seconds + 5,
            f"{plan.target} to meet {plan.kind}",
        )
    else:
        await asyncio.sleep(plan.seconds)
    faults.clear(plan.target)
    seconds = ANSWER_SECONDS[plan.target]
    faults.set(Fault(kind=FaultKind.SLOW, vendor=plan.target, seconds=seconds))
    happened.mended = time.monotonic()
    if words:
        happened.stored_unanswered[plan.target] = door.endings[words] - before
