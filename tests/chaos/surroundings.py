"""Faults around the workers: of the broker, its disk, its topics, and of the vendors."""

import asyncio
import os
import signal
import time
from collections.abc import Mapping

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from streams.lab.sandbox import Fault, FaultKind
from tests.chaos.logs import receipts_topic
from tests.chaos.schedule import (
    BROKER_AWAY,
    BROKER_KILL,
    DISK_FULL,
    DOWN,
    DROPS,
    ERRORS,
    HANGS,
    ONE_403,
    ONE_500,
    ONE_503,
    REFUSED_KEY,
    THROTTLED,
    Plan,
)
from tests.chaos.shop import ACCEPTED, Event, sku_of
from tests.chaos.site import Happened, Site
from tests.chaos.waiting import until

REQUESTS_MET = 3
"""Requests that hang, or whose answers are dropped, in one fault."""
TOO_FEW_BYTES = 100
"""What a receipts topic takes that takes no receipt."""
USUAL_BYTES = 1_048_588
DISK_SECONDS = 30.0
"""How long a broker may go on whose disk is full, before it is killed."""
AHEAD = 12
"""How many events before its turn an event is chosen that its vendor will never take."""

STATUSES: Mapping[str, int] = {ONE_500: 500, ONE_403: 403, ONE_503: 503}
OF_VENDORS: Mapping[str, dict[str, object]] = {
    THROTTLED: {"kind": FaultKind.STATUS, "status": 429, "retry_after": 2},
    ERRORS: {"kind": FaultKind.STATUS, "status": 503},
    REFUSED_KEY: {"kind": FaultKind.STATUS, "status": 401},
    DOWN: {"kind": FaultKind.DOWN},
    HANGS: {"kind": FaultKind.HANG, "stored": True, "times": REQUESTS_MET},
    DROPS: {"kind": FaultKind.STORE_THEN_DROP, "times": REQUESTS_MET},
}


async def break_broker(site: Site, plan: Plan, happened: Happened) -> None:
    """Kill it, stop it or fill its disk; it is back on the same data in the end."""
    if plan.kind in (BROKER_KILL, BROKER_AWAY):
        await asyncio.to_thread(site.kafka.kill)
        await asyncio.sleep(plan.seconds)
        await asyncio.to_thread(site.kafka.restart)
    elif plan.kind == DISK_FULL:
        await _fill_disk(site, plan)
    else:
        pid = site.kafka.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(plan.seconds)
        finally:
            os.kill(pid, signal.SIGCONT)
    happened.mended = time.monotonic()


async def _fill_disk(site: Site, plan: Plan) -> None:
    """Leave no room. A broker whose only disk fails ends itself; people make room and start it."""
    assert site.disk is not None
    site.disk.fill()
    try:
        deadline = time.monotonic() + DISK_SECONDS
        await until(
            lambda: not site.kafka.is_running or time.monotonic() > deadline,
            DISK_SECONDS + 5,
            "the broker to end itself",
        )
        await asyncio.to_thread(site.kafka.kill)
        await asyncio.sleep(plan.seconds)
    finally:
        site.disk.free()
    await asyncio.to_thread(site.kafka.restart)


async def break_vendor(site: Site, plan: Plan, happened: Happened) -> None:
    """Let a vendor misbehave for a while."""
    faults, door = site.sandbox.faults, site.doors[plan.target]
    words = {HANGS: "hung", DROPS: "dropped"}.get(plan.kind)
    before = door.endings[words] if words else 0
    faults.clear(plan.target)
    faults.set(Fault(vendor=plan.target, **OF_VENDORS[plan.kind]))  # type: ignore[arg-type]
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
    site.answer_as_usual(plan.target)
    happened.mended = time.monotonic()
    if words:
        happened.stored_unanswered[plan.target] = door.endings[words] - before


async def refuse_one_event(site: Site, plan: Plan, happened: Happened) -> None:
    """Choose an event that is to come; its vendor fails over it from now on, to the run's end."""
    vendor, producer = plan.target, site.producer
    number = len(producer.sent_at) + AHEAD
    while Event(number).outcome(vendor) != ACCEPTED or producer.has_revoked(Event(number).visitor):
        number += 1
    # In quotes, as it stands in JSON: e12 is no part of "e123".
    name = sku_of(number) if vendor == "eightselect" else Event(number).id
    site.refused[vendor][number] = Fault(
        kind=FaultKind.STATUS, vendor=vendor, status=STATUSES[plan.kind], body=f'"{name}"'
    )
    site.answer_as_usual(vendor)
    await until(lambda: len(producer.sent_at) > number, 120, f"event {number} to be sent")
    happened.mended = time.monotonic()


async def refuse_receipts(site: Site, plan: Plan, happened: Happened) -> None:
    """Let a vendor's receipts topic take nothing for a while."""
    topic = receipts_topic(plan.target)
    await _alter(site, topic, TOO_FEW_BYTES)
    try:
        await asyncio.sleep(plan.seconds)
    finally:
        await _alter(site, topic, USUAL_BYTES)
    happened.mended = time.monotonic()


async def _alter(site: Site, topic: str, max_message_bytes: int) -> None:
    client = AIOKafkaAdminClient(bootstrap_servers=site.kafka.bootstrap_servers)
    await client.start()
    try:
        named = ConfigResource(ConfigResourceType.TOPIC, topic)
        (described,) = await client.describe_configs([named])
        own = {
            name: value
            for name, value, _, source, *_ in described.resources[0][4]
            if source == _SET_ON_TOPIC and value is not None
        }
        config = {**own, "max.message.bytes": str(max_message_bytes)}
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, config)])
    finally:
        await client.close()


_SET_ON_TOPIC = 1
"""Where Kafka says a setting comes from; what is not given again would be taken back."""
