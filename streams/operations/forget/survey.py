"""Looking for a visitor: the one partition on which everything lies, of every topic."""

from collections.abc import Mapping
from dataclasses import dataclass

from aiokafka import TopicPartition
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code

from streams.core.errors import SettingsError, SetupError
from streams.engine.partitioner import home_of
from streams.kafka.byte_patterns import AnyOf
from streams.kafka.connection import admin
from streams.kafka.group_ids import group_id
from streams.kafka.reader import LogReader, Offsets, Tell, connect, silent
from streams.kafka.topic_search import FoundRecord, connect_search
from streams.operations.forget.plan import Keeping, VisitorTraces, keeping_of
from streams.settings import Settings
from streams.vendors import VENDORS

MAX_VISITOR_CHARS = 512
_KEEPING = ("cleanup.policy", "retention.ms", "segment.ms")


@dataclass(slots=True)
class Survey:
    """What is known of a visitor, and how far each topic has been read for it."""

    traces: VisitorTraces
    partition: int
    vendors: tuple[str, ...]
    """Those that have topics here, whether they are on or off."""
    next: Offsets
    elsewhere: tuple[int, ...] = ()
    """Other partitions of ``shop.users`` with rows of the visitor, from before partitions came."""

    async def read_on(self, settings: Settings, reader: LogReader, tell: Tell) -> None:
        """Read what is new, and what the stages have done meanwhile."""
        receipts = {settings.topics.receipts(vendor) for vendor in self.vendors}
        key = self.traces.visitor.encode()
        ends = await reader.ends(list(self.next))
        # Receipts last: they are known by the vendor records that they are about.
        for are_receipts in (False, True):
            starts = {
                tp: start
                for tp, start in self.next.items()
                if (tp.topic in receipts) is are_receipts
            }
            async for tp, records in reader.read(starts, {tp: ends[tp] for tp in starts}, tell):
                found = records if are_receipts else [r for r in records if r.key == key]
                self.traces.add(tp.topic, found)
            self.next |= {tp: max(start, ends[tp]) for tp, start in starts.items()}
        for vendor in self.vendors:
            names = (settings.topics.events(vendor), settings.topics.redelivery(vendor))
            tps = [TopicPartition(name, self.partition) for name in names]
            group = group_id(settings.topics.prefix, vendor)
            commits = await reader.commits(group, [tp for tp in tps if tp in self.next])
            done = {tp.topic: commit.offset for tp, commit in commits.items()}
            self.traces.at_vendor[vendor].close_below(done)


async def survey(settings: Settings, visitor: str, *, tell: Tell = silent) -> Survey:
    """Return what the topics hold of a visitor; nothing is changed.

    Raises:
        SettingsError: this is no visitor's id.
        SetupError: the broker does not answer, or ``shop.users`` is missing.
    """
    if not 0 < len(visitor) <= MAX_VISITOR_CHARS:
        raise SettingsError([f"A visitor's id has 1 to {MAX_VISITOR_CHARS} characters."])
    topics = settings.topics
    async with connect(settings.kafka) as reader:
        there = await reader.partitions([topics.users, *(topics.events(v) for v in VENDORS)])
        count = len(there[topics.users])
        if not count:
            raise SetupError(
                f"The topic {topics.users} does not exist. Create it with: streams topics create"
            )
        vendors = tuple(vendor for vendor in VENDORS if there[topics.events(vendor)])
        traces = VisitorTraces(visitor, topics, {vendor: VENDORS[vendor] for vendor in vendors})
        partition = home_of(visitor.encode(), count)
        wanted = [TopicPartition(topic, partition) for topic in traces.topics]
        found = await reader.partitions(traces.topics)
        tps = [tp for tp in wanted if tp in found[tp.topic]]
        made = Survey(traces, partition, vendors, await reader.starts(tps))
        await made.read_on(settings, reader, tell)
        others = [tp for tp in there[topics.users] if tp.partition != partition]
        rows = await _rows_on(settings, reader, others, visitor.encode(), tell)
        traces.add(topics.users, rows)
        made.elsewhere = tuple(sorted({row.tp.partition for row in rows}))
    return made


async def _rows_on(
    settings: Settings,
    reader: LogReader,
    tps: list[TopicPartition],
    key: bytes,
    tell: Tell,
) -> list[FoundRecord]:
    """Return the records with this key, found by their bytes in whole batches."""
    topic = settings.topics.users
    found: list[FoundRecord] = []
    if tps:
        starts, ends = await reader.starts(tps), await reader.ends(tps)
        async with connect_search(settings.kafka, [topic]) as search:
            async for records in search.find(starts, ends, AnyOf([key]), tell, topic):
                found += [record for record in records if record.key == key]
    return found


async def keeping(settings: Settings, topics: list[str]) -> Mapping[str, Keeping]:
    """Return how long each of these topics keeps its records; raises SetupError."""
    wanted = [
        ConfigResource(ConfigResourceType.TOPIC, topic, dict.fromkeys(_KEEPING, ""))
        for topic in topics
    ]
    found = {}
    async with admin(settings.kafka) as client:
        for response in await client.describe_configs(wanted) if wanted else ():
            for error_code, message, _, name, entries in response.resources:
                if error_code:
                    raise for_code(error_code)(f"{name}: {message}")
                found[name] = keeping_of({entry[0]: entry[1] for entry in entries})
    return found
