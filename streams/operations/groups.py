"""The stages' consumer groups as the brokers know them: who is in them, and what waits."""

import asyncio
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, for_code

from streams.core.errors import SetupError
from streams.core.topics import Topics
from streams.engine.connection import admin
from streams.engine.groups import group_id
from streams.operations.logs.reader import COMMIT_RETRY_SECONDS, COMMIT_TRIES, connect
from streams.settings import ENRICH, Settings


@dataclass(frozen=True, slots=True)
class GroupState:
    """One stage's consumer group as the brokers know it."""

    stage: str
    members: int
    """Workers that are in the group now."""
    state: str
    """Kafka's word: ``Stable``, ``Empty``, ``Dead`` (never seen), …"""
    waiting: int
    """Records that no worker of the stage has committed yet."""
    has_committed: bool
    """Whether any worker of the stage ever settled anything."""


def topics_read(topics: Topics, stage: str) -> list[str]:
    """Return the topics whose records the group of a stage commits."""
    if stage == ENRICH:
        return [topics.clicks, topics.add_to_carts]
    return [topics.events(stage), topics.redelivery(stage)]


async def read_groups(settings: Settings) -> list[GroupState]:
    """Return the group of each stage that is on; topics that do not exist count as empty.

    Raises SetupError where the brokers do not answer or refuse.
    """
    groups = {stage: group_id(settings.kafka.topic_prefix, stage) for stage in settings.stages()}
    found = []
    async with connect(settings.kafka) as reader, admin(settings.kafka) as client:
        for stage, group in groups.items():
            partitions = await reader.partitions(topics_read(settings.topics, stage))
            tps = [tp for listed in partitions.values() for tp in listed]
            starts, ends = await reader.starts(tps), await reader.ends(tps)
            commits = await reader.commits(group, tps) if tps else {}
            at = {
                tp: max(start, commits[tp].offset if tp in commits else start)
                for tp, start in starts.items()
            }
            waiting = sum(max(0, ends[tp] - at[tp]) for tp in tps)
            members, state = await members_of(client, group)
            found.append(GroupState(stage, members, state, waiting, bool(commits)))
    return found


async def members_of(client: AIOKafkaAdminClient, group: str) -> tuple[int, str]:
    """Return how many are in a group, and Kafka's word for its state."""
    reason = "its coordinator does not answer"
    for _ in range(COMMIT_TRIES):
        try:
            (answer,) = await client.describe_consumer_groups([group])
        except KafkaError as error:
            reason = str(error)
        else:
            ((code, _, state, _, _, members, *_),) = answer.groups
            if not code:
                return len(members), state
            reason = for_code(code).__name__
        # A coordinator that is just starting; the first group ever asked for makes one.
        await asyncio.sleep(COMMIT_RETRY_SECONDS)
    raise SetupError(
        f"Kafka does not say who is in the group {group} ({reason}): look at the brokers and at "
        "what this user may describe there, then check again."
    )
