"""Faults of worker processes: killed at a moment aimed at, ended, frozen, with a wrong clock."""

import asyncio
import time
from collections.abc import Sequence

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from streams.core.errors import SetupError
from streams.kafka.group_ids import group_id
from streams.kafka.groups import members_of
from tests.chaos.fleet import Worker
from tests.chaos.schedule import FROZEN_BESIDE, JOIN_KILL, SECOND_TERM, STAGES, WIPE, Plan
from tests.chaos.shop import VENDORS
from tests.chaos.site import Happened, Site
from tests.chaos.waiting import until

TRICKLE = 2.0
"""Events a second when next to nothing is going on."""
TRICKLE_EVENTS = 8
MOMENT = 0.02
WAIT_SECONDS = 120.0


async def kill(site: Site, plan: Plan, happened: Happened) -> None:
    """Kill one stage's worker, or all and their state, and start anew."""
    stages = STAGES if plan.kind == WIPE else (plan.target,)
    await _kill(site, happened, [site.fleet.worker(stage) for stage in stages])


async def terminate(site: Site, plan: Plan, happened: Happened) -> None:
    """SIGTERM, and start anew."""
    worker = site.fleet.worker(plan.target)
    happened.codes.append(await worker.terminate())
    worker.start()


async def kill_starts(site: Site, plan: Plan, happened: Happened) -> None:
    """Kill a worker, and then some of its starts within their first second.

    Every other one is counted from the process's begin, the rest from its web view's first answer:
    then it joins its group and takes its partitions up.
    """
    worker = site.fleet.worker(plan.target)
    await _kill(site, happened, [worker])
    for number, aim in enumerate(plan.aims):
        if number % 2:
            await site.fleet.answering(worker)
        await asyncio.sleep(aim)
        await _kill(site, happened, [worker])
    happened.mended = time.monotonic()


async def kill_at_trickle(site: Site, plan: Plan, happened: Happened) -> None:
    """Kill a worker while hardly any events come in; the round's end brings the rate back."""
    producer = site.producer
    producer.rate = min(producer.rate, TRICKLE)
    enough = len(producer.sent_at) + TRICKLE_EVENTS
    await until(lambda: len(producer.sent_at) >= enough, WAIT_SECONDS, "some events at 2/s")
    await _kill(site, happened, [site.fleet.worker(plan.target)])
    happened.mended = happened.cuts[-1].released if happened.cuts else time.monotonic()


async def second_worker(site: Site, plan: Plan, happened: Happened) -> None:
    """A second worker takes its share, and goes."""
    second = await _join(site, plan)
    await _both_work(site, plan)
    happened.mended = time.monotonic()
    if plan.kind == SECOND_TERM:
        happened.codes.append(await second.terminate())
        return
    await _kill(site, happened, [second], again=False)


async def kill_at_rebalance(site: Site, plan: Plan, happened: Happened) -> None:
    """Kill the older or the joining worker within a second of the group's change."""
    older = site.fleet.worker(plan.target)
    second = site.fleet.worker(plan.target, 1)
    second.start()
    await _rebalance(site, plan.target)
    await asyncio.sleep(plan.aims[0])
    happened.mended = time.monotonic()
    if plan.kind == JOIN_KILL:
        await _kill(site, happened, [second], again=False)
        return
    await _kill(site, happened, [older])
    await site.fleet.ready(older, second)
    happened.codes.append(await second.terminate())


async def freeze(site: Site, plan: Plan, happened: Happened) -> None:
    """SIGSTOP, and SIGCONT when the group has long given its partitions away."""
    worker = site.fleet.worker(plan.target)
    second = None
    if plan.kind == FROZEN_BESIDE:
        second = await _join(site, plan)
        await _both_work(site, plan)
    worker.freeze()
    try:
        await asyncio.sleep(MOMENT)
        await site.note_cut(happened)
        await asyncio.sleep(plan.seconds)
    finally:
        worker.wake()
    happened.mended = time.monotonic()
    if second is not None:
        await site.fleet.ready(worker, second)
        happened.codes.append(await second.terminate())


async def step_clock(site: Site, plan: Plan, happened: Happened) -> None:
    """Step a worker's time of day, and step it back."""
    worker = site.fleet.worker(plan.target)
    worker.step_clock(plan.step)
    await asyncio.sleep(plan.seconds)
    worker.step_clock(0.0)
    happened.mended = time.monotonic()


async def _kill(
    site: Site, happened: Happened, workers: Sequence[Worker], *, again: bool = True
) -> None:
    for worker in workers:
        if worker.stage in VENDORS:
            happened.open[worker.stage] = site.doors[worker.stage].open
        worker.kill()
        happened.kills += 1
    if happened.plan.kind == WIPE:
        site.fleet.wipe_state()
    if again:
        for worker in workers:
            worker.start()
    # A new worker writes nothing before it has started, which takes longer than this.
    await site.note_cut(happened)


async def _join(site: Site, plan: Plan) -> Worker:
    second = site.fleet.worker(plan.target, 1)
    second.start()
    await site.fleet.ready(second)
    return second


async def _both_work(site: Site, plan: Plan) -> None:
    vendor = plan.target if plan.target in VENDORS else "miso"
    door = site.doors[vendor]
    taken = len(door.stored) + plan.pause_events
    await until(
        lambda: len(door.stored) >= taken, WAIT_SECONDS, f"{vendor} to take events from two workers"
    )


async def _rebalance(site: Site, stage: str) -> None:
    """Wait until a stage's group is about to divide its partitions anew.

    A member that was killed lately and comes back under its old name changes nothing: then until
    it answers.
    """
    group, second = group_id("", stage), site.fleet.worker(stage, 1)
    client = AIOKafkaAdminClient(bootstrap_servers=site.kafka.bootstrap_servers)
    await client.start()
    try:
        before, _ = await members_of(client, group)

        async def has_changed() -> bool:
            try:
                members, state = await members_of(client, group)
            except (KafkaError, SetupError):
                return False
            return members != before or state != "Stable" or await site.fleet.is_ready(second)

        await until(has_changed, WAIT_SECONDS, f"a rebalance of {group}")
    finally:
        await client.close()
