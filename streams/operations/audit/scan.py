"""Reading for an audit: fix where every log ends in an order that a running relay cannot upset.

Raw ends first, then enrichment's commits, then the ends of what it writes, the sinks' commits, and
the ends of what they write: whatever a commit has passed, its traces lie below an end taken later.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from aiokafka import ConsumerRecord, TopicPartition

from streams.core.topics import Topics
from streams.kafka.group_ids import group_id
from streams.kafka.reader import Commit, LogReader, Offsets, Tell
from streams.operations.audit.books import Books
from streams.operations.audit.decode import (
    UnreadableError,
    read_enrich_commit,
    read_letter,
    read_receipt,
    read_sink_commit,
    read_source,
)
from streams.operations.audit.logs import CLOCK_SKEW_MS, RawLog, VendorLog
from streams.operations.audit.report import AuditReport
from streams.settings import ENRICH

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Feed:
    """A topic to read from start to end."""

    starts: Offsets
    ends: Offsets


@dataclass(slots=True)
class _Moment:
    """Where everything ended when the audit began."""

    raw: dict[tuple[str, int], RawLog]
    vendors: dict[str, dict[int, VendorLog]]
    feeds: dict[str, _Feed]
    """By topic."""
    unreadable: list[tuple[str, str]]
    """Places and what is wrong there."""
    absent: tuple[str, ...]
    """Raw topics of sources that are off which do not exist: what is about them is passed over."""
    not_read: Mapping[str, int]
    """Raw topic of a source that is off → offsets that were not read before."""


async def scan(
    reader: LogReader,
    topics: Topics,
    vendors: Sequence[str],
    *,
    since_ms: int | None,
    keep_ids: bool,
    tell: Tell,
) -> AuditReport:
    """Read everything that the books of these vendors need and return their report.

    Raises SetupError for a topic that does not exist.
    """
    moment = await _fix(reader, topics, vendors, since_ms)
    books = Books(moment.raw, moment.vendors, since_ms=since_ms, keep_ids=keep_ids)
    for where, detail in moment.unreadable:
        books.unreadable(None, where, detail)
    for topic in dict.fromkeys(topic for topic, _ in moment.raw):
        feed = moment.feeds[topic]
        async for tp, records in reader.read(feed.starts, feed.ends, tell):
            for record in records:
                books.raw_record(tp.topic, tp.partition, record.offset, record.timestamp)
        for tp, start in (await reader.starts(list(feed.ends))).items():
            books.raw_trimmed(tp.topic, tp.partition, start)
    for vendor in vendors:
        await _read_vendor(reader, topics, vendor, moment, books, tell)
    await _read_letters(reader, topics.enrich_dead_letters, None, moment, books, tell)
    return replace(books.report(), not_read=moment.not_read)


async def _fix(
    reader: LogReader, topics: Topics, vendors: Sequence[str], since_ms: int | None
) -> _Moment:
    enriched = [topics.enrich_dead_letters, *map(topics.events, vendors)]
    settled = [name(v) for v in vendors for name in (topics.receipts, topics.dead_letters)]
    redelivered = [topics.redelivery(v) for v in vendors]
    names = [*topics.raw, *enriched, *redelivered, *settled]
    tps = await reader.partitions([*names, *topics.off], needed=names)
    off = [name for name in topics.off if tps[name]]
    raw_names = [*topics.raw, *off]
    raw_tps = [tp for name in raw_names for tp in tps[name]]
    event_tps = [tp for v in vendors for tp in tps[topics.events(v)]]
    # With a window, downstream topics are read from a little earlier: clocks differ.
    early = None if since_ms is None else since_ms - CLOCK_SKEW_MS

    # The order of these requests is what makes the sums right while the relay runs.
    log_starts = await reader.starts([*raw_tps, *event_tps])
    feeds = {name: await _feed(reader, tps[name], since_ms) for name in raw_names}
    enrich_commits = await reader.commits(group_id(topics.prefix, ENRICH), raw_tps)
    not_read = {name: _cut_off(feeds[name], log_starts, enrich_commits) for name in off}
    feeds |= {name: await _feed(reader, tps[name], early) for name in enriched}
    commits = {}
    for v in vendors:
        served = [tp for name in (topics.events(v), topics.redelivery(v)) for tp in tps[name]]
        commits[v] = await reader.commits(group_id(topics.prefix, v), served)
    feeds |= {name: await _feed(reader, tps[name], early) for name in settled}
    later_ends = await reader.ends([*raw_tps, *event_tps])

    unreadable: list[tuple[str, str]] = []
    raw = {}
    for tp in raw_tps:
        on, told = _said("enrichment's", tp, enrich_commits, read_enrich_commit, unreadable)
        log_start = log_starts[tp]
        if tp.topic in off:  # what expired behind the commit was owed to nobody
            log_start = min(log_start, feeds[tp.topic].ends[tp])
        raw[tp.topic, tp.partition] = RawLog(
            log_start=log_start,
            start=feeds[tp.topic].starts[tp],
            end=feeds[tp.topic].ends[tp],
            later_end=later_ends[tp],
            committed=_offset(enrich_commits, tp),
            on=on,
            told=told,
        )
    logs: dict[str, dict[int, VendorLog]] = {v: {} for v in vendors}
    for v in vendors:
        for tp in tps[topics.events(v)]:
            redelivery = TopicPartition(topics.redelivery(v), tp.partition)
            expired = _said("the sink's", tp, commits[v], read_sink_commit, unreadable)
            logs[v][tp.partition] = VendorLog(
                log_start=log_starts[tp],
                start=feeds[tp.topic].starts[tp],
                end=feeds[tp.topic].ends[tp],
                later_end=later_ends[tp],
                committed=_offset(commits[v], tp),
                redelivery_committed=_offset(commits[v], redelivery),
                told=expired.total,
                gaps=expired.gaps,
            )
    absent = tuple(name for name in topics.off if name not in off)
    return _Moment(raw, logs, feeds, unreadable, absent, not_read)


async def _feed(reader: LogReader, tps: Sequence[TopicPartition], since_ms: int | None) -> _Feed:
    starts = await reader.starts(tps, since_ms)
    ends = await reader.ends(tps)
    return _Feed({tp: min(start, ends[tp]) for tp, start in starts.items()}, ends)


def _cut_off(feed: _Feed, log_starts: Offsets, commits: Mapping[TopicPartition, Commit]) -> int:
    """Let the feed of a source that is off end at enrichment's commit; return what lies behind."""
    not_read = 0
    for tp, end in feed.ends.items():
        committed = commits[tp].offset if tp in commits else log_starts[tp]
        not_read += max(0, end - max(committed, log_starts[tp]))
        feed.ends[tp] = min(end, committed)
        feed.starts[tp] = min(feed.starts[tp], feed.ends[tp])
    return not_read


async def _read_vendor(
    reader: LogReader, topics: Topics, vendor: str, moment: _Moment, books: Books, tell: Tell
) -> None:
    absent = tuple(f"{topic}/" for topic in moment.absent)
    unreadable = partial(books.unreadable, vendor)
    feed = moment.feeds[topics.events(vendor)]
    async for tp, records in reader.read(feed.starts, feed.ends, tell):
        sources = _decoded(records, lambda record: read_source(record.headers), unreadable)
        for record, (source, source_ms) in sources:
            if not source.startswith(absent):
                books.vendor_record(vendor, tp.partition, record.offset, source, source_ms)
    for tp, start in (await reader.starts(list(feed.ends))).items():
        books.vendor_trimmed(vendor, tp.partition, start)
    feed = moment.feeds[topics.receipts(vendor)]
    async for tp, records in reader.read(feed.starts, feed.ends, tell):
        receipts = _decoded(records, lambda record: read_receipt(record.value), unreadable)
        for record, receipt in receipts:
            if not receipt.source.startswith(absent):
                books.receipt(vendor, tp.partition, record.offset, receipt, record.timestamp)
    await _read_letters(reader, topics.dead_letters(vendor), vendor, moment, books, tell)


async def _read_letters(
    reader: LogReader,
    topic: str,
    vendor: str | None,
    moment: _Moment,
    books: Books,
    tell: Tell,
) -> None:
    feed, unreadable = moment.feeds[topic], partial(books.unreadable, vendor)
    async for tp, records in reader.read(feed.starts, feed.ends, tell):
        letters = _decoded(records, lambda record: read_letter(record.value), unreadable)
        for record, letter in letters:
            if letter is not None and letter.source.topic not in moment.absent:
                books.dead_letter(vendor, tp.partition, record.offset, letter)


def _decoded(
    records: Iterable[ConsumerRecord],
    decode: Callable[[ConsumerRecord], T],
    unreadable: Callable[[str, str], None],
) -> Iterator[tuple[ConsumerRecord, T]]:
    """Yield each record with what it says; those that cannot be read are reported instead."""
    for record in records:
        try:
            found = decode(record)
        except UnreadableError as error:
            unreadable(f"{record.topic}/{record.partition}/{record.offset}", str(error))
        else:
            yield record, found


def _said(
    whose: str,
    tp: TopicPartition,
    commits: Mapping[TopicPartition, Commit],
    read: Callable[[str | None], T],
    unreadable: list[tuple[str, str]],
) -> T:
    """Return what a commit's metadata says; as nothing where they are absent or unreadable."""
    try:
        return read(commits[tp].metadata if tp in commits else None)
    except UnreadableError as error:
        unreadable.append((f"{whose} commit of {tp.topic}/{tp.partition}", str(error)))
        return read(None)


def _offset(commits: Mapping[TopicPartition, Commit], tp: TopicPartition) -> int | None:
    return commits[tp].offset if tp in commits else None
