"""What of a visitor lies on topics that are the shop's own, which nothing here deletes."""

from dataclasses import dataclass

from streams.core.ingest.outcomes import IngestRecord
from streams.core.ingest.topic_mapping import TopicMapping
from streams.core.ingest.visitors import names_visitor
from streams.core.quantities import count
from streams.kafka.byte_patterns import AnyOf
from streams.kafka.group_ids import group_id
from streams.kafka.reader import Tell, connect
from streams.kafka.topic_search import FoundRecord, connect_search
from streams.operations.ingest.mappings import mappings_of, prepare
from streams.operations.trace.slices import in_json
from streams.settings import INGEST, Settings


@dataclass(frozen=True, slots=True)
class HeldByShop:
    """One topic of the shop, or of ingest's dead letters, with records of a visitor."""

    topic: str
    records: int
    waiting: int = 0
    """Of these, not read by ``ingest`` yet."""
    is_ours: bool = False
    """Whether these are dead letters of ``ingest``."""

    @property
    def sentence(self) -> str:
        """What that means and what to do."""
        number = count(self.records, "record")
        stay = "stays" if self.records == 1 else "stay"
        if self.is_ours:
            return (
                f"{self.topic}: {number} that name the visitor, kept until retention deletes them."
            )
        text = (
            f"{self.topic}: {number} of the visitor {stay} there; the topic is the shop's own, and "
            "streams deletes nothing from it."
        )
        if self.waiting:
            text += (
                f" Ingest has not read {self.waiting:,} of them yet: run this command again once "
                "`streams status` says that nothing waits for it."
            )
        return text


async def held_by_shop(settings: Settings, visitor: str, tell: Tell) -> list[HeldByShop]:
    """Return each such topic that has records of the visitor; raises SetupError.

    A record is the visitor's where a section makes an event or a row of users of it under this id.
    """
    mappings, topics = mappings_of(settings), settings.topics
    if not mappings:
        return []
    found: list[HeldByShop] = []
    names = [*mappings, topics.ingest_dead_letters]
    async with connect(settings.kafka) as reader:
        partitions = await reader.partitions(names)
        there = [name for name in names if partitions[name]]
        async with connect_search(settings.kafka, there) as search:
            for topic in there:
                tps = partitions[topic]
                starts, ends = await reader.starts(tps), await reader.ends(tps)
                mapping = mappings.get(topic)
                byte_pattern = AnyOf(in_json(visitor))
                own: list[FoundRecord] = []
                async for records in search.find(starts, ends, byte_pattern, tell, topic):
                    own += [r for r in records if await _is_of(mapping, r, visitor)]
                commits = await reader.commits(group_id(topics.prefix, INGEST), tps)
                waiting = sum(r.tp not in commits or r.offset >= commits[r.tp].offset for r in own)
                if own:
                    is_ours = mapping is None
                    found.append(HeldByShop(topic, len(own), 0 if is_ours else waiting, is_ours))
    return found


async def _is_of(mapping: TopicMapping | None, record: FoundRecord, visitor: str) -> bool:
    if mapping is None:
        return True
    await prepare(mapping, [record])
    key = visitor.encode()
    outcomes = mapping.read(
        record.key, record.value, record.tp.partition, record.offset, record.timestamp
    )
    return any(
        isinstance(one, IngestRecord)
        and (
            names_visitor(one.value, visitor)
            if one.to == "visitors"
            else one.to != "products" and one.key == key
        )
        for one in outcomes
    )
