"""A worker with a fault of its own: ``python faulty_worker.py FAULT worker STAGE``."""

import asyncio
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from aiokafka.cluster import ClusterMetadata
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.producer.message_accumulator import MessageBatch

from streams.cli import main
from streams.delivery import vendor_client
from streams.delivery.courier import Courier
from streams.delivery.poison_detection import GiveUpRule
from streams.engine.outputs import Delivery
from streams.stages.enrich.stage import EnrichStage
from streams.stages.ingest import visitor_wait
from streams.stages.ingest.stage import IngestStage
from streams.stages.sink.stage import SinkStage
from streams.worker import report

FOR_EVER = 3_600
COMMIT_SECONDS = 0.1
SESSION_SECONDS = 6.0
HEARTBEAT_SECONDS = 1.0
TAKING_UP = "stands still while it takes its partitions up"
"""What a worker says that waits there to be killed, once the commit timer has rung some times."""
TOLD = "told"
"""A file in the folder of states."""
kept: list[bytes] = []


async def _wait_for_ever(*_: Any) -> Any:
    await asyncio.sleep(FOR_EVER)


def _block_for_ever(*_: Any) -> None:
    time.sleep(FOR_EVER)


def hang() -> None:
    """The broker's word on what was written never gets through."""
    Delivery.acknowledged = _wait_for_ever  # type: ignore[assignment,method-assign]


def lead_nobody() -> None:
    """Nobody leads the vendor's topic, and what waits for it is given up."""
    leader = ClusterMetadata.leader_for_partition
    ClusterMetadata.leader_for_partition = lambda metadata, tp: (
        None if tp.topic.endswith("vendor.miso.events") else leader(metadata, tp)
    )
    MessageBatch.expired = lambda _: True


def block() -> None:
    """Taking an event never returns, and nothing else goes on in the process."""
    Courier.add = _block_for_ever  # type: ignore[assignment,method-assign]


def be_quick() -> None:
    """An event over which its vendor alone fails is given up after seconds, not minutes."""
    vendor_client.GiveUpRule = partial(GiveUpRule, seconds=4.0)  # type: ignore[assignment,attr-defined]


def grow() -> None:
    """More memory is in use than may be."""
    kept.append(b"x" * 300 * 2**20)


def take_up_for_ever() -> None:
    """Taking partitions up stands still before anything of the last owner is known."""
    for stage in (EnrichStage, SinkStage):
        stage.on_start_positions = _stand_still  # type: ignore[method-assign,assignment]


def never_quite_take_up() -> None:
    """Taking partitions up stands still when all is known and nothing is read yet."""
    for stage in (EnrichStage, SinkStage):
        stage.on_start_positions = _after(stage.on_start_positions)  # type: ignore[method-assign]


async def _stand_still(*_: Any) -> None:
    await asyncio.sleep(5 * COMMIT_SECONDS)
    print(TAKING_UP, flush=True)
    await _wait_for_ever()


def _after(take_up: Any) -> Any:
    async def take_up_and_stand_still(*args: Any) -> None:
        await take_up(*args)
        await _stand_still()

    return take_up_and_stand_still


def ingest_when_told() -> None:
    """No record of the shop is mapped before the file ``TOLD`` is there."""
    take, told = IngestStage._take, Path(os.environ["STREAMS_STATE_DIR"], TOLD)

    async def take_when_told(stage: IngestStage, *what: Any) -> None:
        while not told.exists():  # noqa: ASYNC110, ASYNC240 - written by another process
            await asyncio.sleep(0.05)
        await take(stage, *what)

    IngestStage._take = take_when_told  # type: ignore[assignment,method-assign]


def wait_briefly_for_transactions() -> None:
    """A transaction is open for long after seconds, not half a minute."""
    for module in (report, visitor_wait):
        module.LONG_TRANSACTION_SECONDS = 2.0  # type: ignore[attr-defined]


def end_its_session_soon() -> None:
    """Heartbeats are slow; the session is set to the shortest that a broker allows.

    So it is a while after a pause before it hears that it has lost its membership.
    """
    heartbeat = GroupCoordinator._do_heartbeat

    async def slow_heartbeat(coordinator: GroupCoordinator) -> Any:
        await asyncio.sleep(HEARTBEAT_SECONDS)
        return await heartbeat(coordinator)

    GroupCoordinator._do_heartbeat = slow_heartbeat


FAULTS = (
    *(hang, lead_nobody, block, be_quick, grow),
    *(take_up_for_ever, never_quite_take_up, end_its_session_soon),
    *(ingest_when_told, wait_briefly_for_transactions),
)

if __name__ == "__main__":
    {fault.__name__: fault for fault in FAULTS}[sys.argv[1]]()
    sys.exit(main(sys.argv[2:]))
