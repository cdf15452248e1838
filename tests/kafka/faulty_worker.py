"""A worker with a fault of its own: ``python faulty_worker.py FAULT worker STAGE``."""

import asyncio
import sys
import time
from typing import Any

from aiokafka.cluster import ClusterMetadata
from aiokafka.producer.message_accumulator import MessageBatch

from streams.cli import main
from streams.delivery.courier import Courier
from streams.engine.outputs import Delivery

FOR_EVER = 3_600
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


def grow() -> None:
    """More memory is in use than may be."""
    kept.append(b"x" * 300 * 2**20)


if __name__ == "__main__":
    {"hang": hang, "lead_nobody": lead_nobody, "block": block, "grow": grow}[sys.argv[1]]()
    sys.exit(main(sys.argv[2:]))
