"""The sums of ``ingest``, a row for each section: what the shop wrote against what came of it.

The shop's records are mapped anew, by today's settings; what was written is counted on the raw
topics by the records' headers, each once however often it was written. Of a compacted table a row
also counts as written where a later record of the shop has taken its place.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from aiokafka import ConsumerRecord

from streams.core.ingest.outcomes import IngestRecord, IngestRefusal, SkippedRecord
from streams.core.ingest.targets import TABLES
from streams.core.ingest.topic_mapping import TopicMapping
from streams.core.json_decoder import json_decoder
from streams.core.records import Source
from streams.kafka.group_ids import group_id
from streams.kafka.reader import LogReader, Tell
from streams.kafka.topics import absent_words
from streams.operations.audit.logs import CLOCK_SKEW_MS
from streams.operations.audit.report import SectionBooks
from streams.operations.ingest.mappings import RegistryUnavailableError, mappings_of, prepare
from streams.operations.ingest.trail import read_trail
from streams.settings import INGEST, Settings

Item = tuple[str, int, int, int | None]
"""Topic and partition of the shop, offset, element."""
EXAMPLES = 5


class _Letter(msgspec.Struct):
    source: Any = None
    section: str | None = None
    element: int | None = None
    resolves: Any = None


_decode_letter = json_decoder(_Letter)


class _SectionRecords:
    """What the topics hold that ``ingest`` writes."""

    def __init__(self) -> None:
        self.written: dict[str, set[Item]] = {}
        self.letters: dict[str, set[Item]] = {}
        self.newest: dict[tuple[str, bytes], Source] = {}
        """By table and key: the shop's record of which its newest row was made."""

    def record(self, to: str, record: ConsumerRecord, is_table: bool) -> None:
        trail = read_trail(record.headers)
        if trail is None:
            return
        item = (*trail.source, trail.element)
        self.written.setdefault(trail.section, set()).add(item)
        if is_table and record.key is not None:
            self.newest[to, record.key] = trail.source

    def letter(self, value: bytes | None) -> None:
        try:
            letter = _decode_letter(value or b"")
            if letter.resolves is not None:
                return
            source = letter.source
            item = (source["topic"], source["partition"], source["offset"], letter.element)
        except (msgspec.MsgspecError, KeyError, TypeError):
            return
        self.letters.setdefault(letter.section or "", set()).add(item)


async def audit_sections(
    settings: Settings, reader: LogReader, since_ms: int | None, tell: Tell
) -> list[SectionBooks]:
    """Return the books of each section, in the order of the settings; none: there is no stage.

    A section is unknown whose topic does not exist or whose registry is away. Raises SetupError for
    topics of ours that do not exist.
    """
    topics, mappings = settings.topics, mappings_of(settings)
    if not mappings:
        return []
    targets = {topics.of_shop(to): to for to in topics.fed}
    ours = [*targets, topics.ingest_dead_letters]
    tps = await reader.partitions([*mappings, *ours], needed=ours)
    shop = [tp for name in mappings for tp in tps[name]]
    # In this order: what a commit has passed lies below an end that is taken later.
    starts, ends = await reader.starts(shop, since_ms), await reader.ends(shop)
    commits = await reader.commits(group_id(topics.prefix, INGEST), shop)
    committed = {tp: commit.offset for tp, commit in commits.items()}
    found = await _read_written(settings, reader, since_ms, tell)
    books = {name: SectionBooks(name, one.topic, one.to) for name, one in settings.ingest.items()}
    for topic, mapping in mappings.items():
        sections = [books[section.name] for section in mapping.sections]
        if not tps[topic]:
            _know_nothing(sections, absent_words(settings, topic))
            continue
        own = {tp: min(starts[tp], ends[tp]) for tp in tps[topic]}
        own_ends = {tp: ends[tp] for tp in tps[topic]}
        try:
            async for tp, records in reader.read(own, own_ends, tell):
                await prepare(mapping, records)
                for record in records:
                    _enter(books, mapping, record, found, record.offset < committed.get(tp, 0))
        except RegistryUnavailableError as away:
            _know_nothing(sections, str(away))
    return list(books.values())


def _know_nothing(sections: Sequence[SectionBooks], why: str) -> None:
    for one in sections:
        one.unknown = why


async def _read_written(
    settings: Settings,
    reader: LogReader,
    since_ms: int | None,
    tell: Tell,
) -> _SectionRecords:
    topics, found = settings.topics, _SectionRecords()
    early = None if since_ms is None else since_ms - CLOCK_SKEW_MS
    for to in topics.fed:
        async for _, records in reader.read_topic(topics.of_shop(to), early, tell):
            for record in records:
                found.record(to, record, to in TABLES)
    async for _, records in reader.read_topic(topics.ingest_dead_letters, early, tell):
        for record in records:
            found.letter(record.value)
    return found


def _enter(
    books: Mapping[str, SectionBooks],
    mapping: TopicMapping,
    record: ConsumerRecord,
    found: _SectionRecords,
    is_committed: bool,
) -> None:
    outcomes = mapping.read(
        record.key, record.value, record.partition, record.offset, record.timestamp
    )
    for section in mapping.sections:
        books[section.name].read += 1
    for outcome in outcomes:
        if isinstance(outcome, SkippedRecord):
            continue
        one = books[outcome.section]
        one.events += 1
        if isinstance(outcome, IngestRecord | IngestRefusal):
            item = (record.topic, record.partition, record.offset, outcome.element)
            if _is_written(outcome, item, found):
                one.written += 1
            elif _is_letter(outcome, item, found):
                one.dead_lettered += 1
            elif not is_committed:
                one.waiting += 1
            else:
                one.missing += 1
                if len(one.examples) < EXAMPLES:
                    one.examples.append(f"{record.topic}/{record.partition}/{record.offset}")
        elif is_committed:
            one.unmapped += 1
        else:
            one.waiting += 1


def _is_letter(outcome: IngestRecord | IngestRefusal, item: Item, found: _SectionRecords) -> bool:
    if item in found.letters.get(outcome.section, ()):
        return True
    # A record that could not be read then, whatever it gives now.
    return (*item[:3], None) in found.letters.get("", ())


def _is_written(outcome: IngestRecord | IngestRefusal, item: Item, found: _SectionRecords) -> bool:
    if item in found.written.get(outcome.section, ()):
        return True
    if not isinstance(outcome, IngestRecord) or outcome.to not in TABLES:
        return False
    newest = found.newest.get((outcome.to, outcome.key))
    # Compaction keeps the newest row of a key; other partitions may have written that.
    return newest is not None and (newest[:2] != item[:2] or newest[2] > item[2])
