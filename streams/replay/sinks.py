"""What keeps the sinks from sending what a run writes: said before it is written."""

from collections.abc import Sequence

from streams.kafka.connection import admin
from streams.kafka.group_ids import group_id
from streams.kafka.groups import members_of
from streams.kafka.reader import connect
from streams.settings import Settings
from streams.vendors import VENDORS
from streams.worker.control import read_controls


async def sink_remarks(settings: Settings, vendors: Sequence[str]) -> list[str]:
    """Return a sentence for each vendor whose sink is paused or has no worker.

    Raises SetupError where the brokers do not answer.
    """
    remarks = []
    async with connect(settings.kafka) as reader:
        controls = await read_controls(reader, settings)
    async with admin(settings.kafka) as client:
        for vendor in vendors:
            name = VENDORS[vendor].name
            members, _ = await members_of(client, group_id(settings.topics.prefix, vendor))
            if not members:
                remarks.append(
                    f"No worker of {name} runs: what is sent waits until one does "
                    f"(`streams worker {vendor}`)."
                )
            elif vendor in controls and controls[vendor].paused:
                remarks.append(
                    f"{name} is paused: what is sent waits until `streams resume {vendor}`."
                )
    return remarks
