"""The topics that a trace looks into: where they begin and end, and who has come how far."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiokafka import TopicPartition

from streams.core.event_types import Event
from streams.core.events import EventParser
from streams.core.fields import FieldMap
from streams.core.kinds import KINDS
from streams.core.records import Source
from streams.core.topics import Topics
from streams.kafka.group_ids import group_id
from streams.kafka.reader import Commit, LogReader, Offsets, Tell, connect
from streams.kafka.topic_search import BytePattern, FoundRecord, TopicSearch, connect_search
from streams.operations.audit.decode import OnRanges, UnreadableError, read_enrich_commit
from streams.operations.trace.facts import RawRecord, TraceLane
from streams.settings import ENRICH, INGEST, Settings


@dataclass(slots=True)
class TraceLogs:
    """What there is to look into, as it was when the trace began."""

    settings: Settings
    reader: LogReader
    search: TopicSearch
    tell: Tell
    now_ms: int
    tps: dict[str, list[TopicPartition]]
    """By topic; none for one that does not exist."""
    starts: Offsets
    ends: Offsets
    vendors: list[str]
    """Those that are on, and those that were: all whose topics have records."""
    commits: dict[str, dict[TopicPartition, Commit]]
    """By stage."""
    parsers: Mapping[str, EventParser] = field(default_factory=dict)
    fields: Mapping[str, FieldMap | None] = field(default_factory=dict)
    """The field maps, by raw topic."""

    @property
    def topics(self) -> Topics:
        """The topics' names."""
        return self.settings.topics

    @property
    def raw_topics(self) -> tuple[str, ...]:
        """Those of the shop's events that exist, also of sources that are off."""
        return tuple(name for name in (*self.topics.raw, *self.topics.off) if self.tps[name])

    def partitions(self, topics: Iterable[str]) -> list[TopicPartition]:
        """Return those of these topics."""
        return [tp for topic in topics for tp in self.tps[topic]]

    def find(
        self,
        tps: Iterable[TopicPartition],
        byte_pattern: BytePattern,
        what: str,
        starts: Offsets | None = None,
    ) -> AsyncIterator[list[FoundRecord]]:
        """Yield the records of these partitions whose batches have the pattern, to their ends.

        ``starts``: where to begin, by default where each begins. ``what`` is read, as it is told.
        """
        ends = {tp: self.ends[tp] for tp in tps}
        begins = {tp: self.starts[tp] for tp in ends} if starts is None else starts
        return self.search.find(begins, ends, byte_pattern, self.tell, what)

    def lane(self, stage: str, tp: TopicPartition) -> TraceLane:
        """Return how far a stage has come."""
        commit = self.commits.get(stage, {}).get(tp)
        return TraceLane(None if commit is None else commit.offset, self.ends.get(tp, 0))

    def on_ranges(self, source: Source) -> OnRanges | None:
        """Return when each vendor was on, by enrichment's commit; None: nobody knows."""
        commit = self.commits[ENRICH].get(TopicPartition(source.topic, source.partition))
        try:
            ranges, _ = read_enrich_commit(None if commit is None else commit.metadata)
        except UnreadableError:
            return None
        return None if ranges is None or source.offset < ranges.since else ranges

    def parse(self, source: Source, raw: RawRecord) -> Event:
        """Read a raw record as enrichment does; raises InvalidEvent."""
        parser = self.parsers[source.topic]
        return parser.parse(raw.key, raw.value, source.partition, source.offset, raw.at_ms)

    async def at(self, tps: Sequence[TopicPartition], ms: int) -> Offsets:
        """Return the first offset that may be as late as this, never beyond the end."""
        if ms >= self.now_ms:
            return {tp: self.ends[tp] for tp in tps}
        found = await self.reader.at(dict.fromkeys(tps, ms))
        return {
            tp: self.ends[tp] if offset is None else min(offset, self.ends[tp])
            for tp, offset in found.items()
        }

    async def committed(self, records: Iterable[FoundRecord]) -> list[FoundRecord]:
        """Return those that count for readers of committed transactions."""
        kept: list[FoundRecord] = []
        doubtful: list[FoundRecord] = []
        for record in records:
            (doubtful if record.is_transactional else kept).append(record)
        for record in doubtful:
            tp, offset = record.tp, record.offset
            async for _, found in self.reader.read({tp: offset}, {tp: offset + 1}):
                kept += [record for one in found if one.offset == offset]
        return kept


@asynccontextmanager
async def open_logs(settings: Settings, now_ms: int, tell: Tell) -> AsyncIterator[TraceLogs]:
    """Connect, and look where everything ends; raises SetupError for a missing topic."""
    topics = settings.topics
    raw = (*topics.raw, *topics.off)
    needed = [*topics.raw, topics.enrich_dead_letters, topics.users, topics.products]
    of_vendor = {
        vendor: [name(vendor) for name in (topics.events, topics.receipts, topics.dead_letters)]
        for vendor in settings.vendors
    }
    written = [name for names in of_vendor.values() for name in names]
    redelivery = [topics.redelivery(vendor) for vendor in settings.vendors]
    async with connect(settings.kafka) as reader:
        own = [*topics.shop, *([topics.ingest_dead_letters] if topics.shop else ())]
        names = [*raw, *needed, *written, *redelivery, *own]
        tps = await reader.partitions(names, needed)
        every = [tp for found in tps.values() for tp in found]
        starts, ends = await reader.starts(every), await reader.ends(every)
        enabled = settings.enabled_vendors()
        vendors = [
            vendor
            for vendor, names in of_vendor.items()
            if all(tps[name] for name in names)
            and (vendor in enabled or any(ends[tp] for name in names for tp in tps[name]))
        ]
        read_by = {ENRICH: raw, INGEST: topics.shop}
        read_by |= {v: (topics.events(v), topics.redelivery(v)) for v in vendors}
        commits = {}
        for stage, topics_read in read_by.items():
            if served := [tp for topic in topics_read for tp in tps[topic]]:
                commits[stage] = await reader.commits(group_id(topics.prefix, stage), served)
        async with connect_search(settings.kafka, [n for n, found in tps.items() if found]) as one:
            logs = TraceLogs(
                settings, reader, one, tell, now_ms, tps, starts, ends, vendors, commits
            )
            kinds = tuple(KINDS)
            logs.parsers, logs.fields = settings.event_parsers(kinds), settings.field_maps(kinds)
            yield logs
