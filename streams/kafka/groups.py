"""The stages' consumer groups as the brokers know them: what waits for each, and who is in one."""

import asyncio
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, for_code

from streams.core.errors import SetupError
from streams.core.topics import Topics
from streams.kafka.group_ids import group_id
from streams.kafka.reader import COMMIT_RETRY_SECONDS, COMMIT_TRIES, LogReader
from streams.settings import ENRICH, INGEST, Settings


@dataclass(frozen=True, slots=True)
class GroupState:
    """One stage's consumer group as the brokers know it."""

    stage: str
    waiting: int
    """Records that no worker of the stage has committed yet."""
    has_committed: bool
    """Whether any worker of the stage ever settled anything."""


def topics_read(topics: Topics, stage: str) -> list[str]:
    """Return the topics whose records the group of a stage commits."""
    if stage == INGEST:
        return list(topics.shop)
    if stage == ENRICH:
        return list(topics.raw)
    return [topics.events(stage), topics.redelivery(stage)]


async def read_groups(reader: LogReader, settings: Settings) -> list[GroupState]:
    """Return the group of each stage that is on; topics that do not exist count as empty.

    Raises SetupError where the brokers do not answer or refuse.
    """
    prefix, topics = settings.kafka.topic_prefix, settings.topics
    read = {stage: topics_read(topics, stage) for stage in settings.stages()}
    partitions = await reader.partitions([t for listed in read.values() for t in listed])
    tps = {stage: [tp for t in listed for tp in partitions[t]] for stage, listed in read.items()}
    every = [tp for listed in tps.values() for tp in listed]
    starts, ends = await reader.starts(every), await reader.ends(every)

    async def state_of(stage: str) -> GroupState:
        own = tps[stage]
        commits = await reader.commits(group_id(prefix, stage), own) if own else {}
        at = {tp: max(starts[tp], commits[tp].offset if tp in commits else 0) for tp in own}
        waiting = sum(max(0, ends[tp] - at[tp]) for tp in own)
        return GroupState(stage, waiting, bool(commits))

    return list(await asyncio.gather(*map(state_of, read)))


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
        f"Kafka does not say who is in the group {group} ({reason}): check the brokers and at "
        "what this user may describe there, then check again."
    )
