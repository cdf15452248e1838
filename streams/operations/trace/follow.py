"""Following raw records through the topics of the vendors: what was written about each."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from aiokafka import TopicPartition

from streams.core.records import Source
from streams.dead_letters.book import Position
from streams.kafka.byte_patterns import AnyOf, Places
from streams.kafka.reader import Offsets
from streams.kafka.topic_search import BytePattern, FoundRecord
from streams.operations.trace.facts import (
    EventFacts,
    RawRecord,
    VendorFacts,
    read_letter,
    read_receipt,
    read_resolution,
    read_sent,
)
from streams.operations.trace.logs import TraceLogs
from streams.settings import ENRICH

SKEW_MS = 5 * 60_000
"""Clocks of hosts differ: downstream is read from so much earlier than the raw record."""
SLICES_MS = (10 * 60_000, 60 * 60_000, 6 * 60 * 60_000)
"""How far after the raw record is looked before it is looked to the end."""
NEAR_BEFORE_MS, NEAR_AFTER_MS = 2_000, 20_000
"""Of many events, receipts are first looked for so near to each."""
SEARCHES_AT_ONCE = 8
FEW = 3
"""So many places are looked for one by one; more cost less by their pattern."""

Facts = dict[Source, EventFacts]


async def follow(logs: TraceLogs, raw: Mapping[Source, RawRecord | None], since_ms: int) -> Facts:
    """Return all that the topics say of these raw records."""
    facts: Facts = {}
    for source, record in raw.items():
        tp = TopicPartition(source.topic, source.partition)
        is_off = source.topic in logs.topics.off
        lane = logs.lane(ENRICH, tp)
        one = facts[source] = EventFacts(source, record, enrich=lane, is_source_off=is_off)
        ranges = logs.on_ranges(source)
        for vendor in logs.vendors:
            if ranges is None:
                is_on = vendor in logs.settings.enabled_vendors()
            else:
                is_on = ranges.was_on(vendor, source.offset)
            events = TopicPartition(logs.topics.events(vendor), source.partition)
            redelivery = TopicPartition(logs.topics.redelivery(vendor), source.partition)
            one.vendors[vendor] = VendorFacts(
                was_on=is_on,
                live=logs.lane(vendor, events),
                redelivery=logs.lane(vendor, redelivery),
            )
    if facts:
        since = _earliest(facts, since_ms)
        await _read_rare(logs, facts, since)
        await _read_resolutions(logs, facts, since)
        await _read_receipts(logs, facts, since_ms)
        await _read_settled_records(logs, facts)
        await _read_open_records(logs, facts, since)
    return facts


def _earliest(facts: Facts, since_ms: int) -> dict[int, int]:
    """Return, by partition, from which Kafka time on something can be about these records."""
    found: dict[int, int] = {}
    for source, one in facts.items():
        ms = (since_ms if one.raw is None else one.raw.at_ms) - SKEW_MS
        found[source.partition] = min(ms, found.get(source.partition, ms))
    return found


async def _read_rare(logs: TraceLogs, facts: Facts, since: Mapping[int, int]) -> None:
    """Read dead letters and redeliveries: little is written there, so to their ends."""
    topics = logs.topics
    owners = {topics.enrich_dead_letters: "", **_by_topic(logs, topics.dead_letters)}
    lanes = _by_topic(logs, topics.redelivery)
    tps = _tps(logs, [*owners, *lanes], since)
    starts = await _at(logs, tps, since)
    async for records in logs.find(tps, _byte_pattern(facts), "dead letters", starts):
        for record in records:
            vendor = lanes.get(record.tp.topic)
            if vendor is not None:
                sent = read_sent(record, is_redelivery=True)
                if sent is not None and sent.source in facts:
                    facts[sent.source].vendors[vendor].sent.append(sent)
                continue
            lettered = read_letter(record)
            if lettered is not None and lettered.source in facts:
                owner = owners[record.tp.topic]
                one = facts[lettered.source]
                (one.vendors[owner].letters if owner else one.letters).append(lettered)


async def _read_resolutions(logs: TraceLogs, facts: Facts, since: Mapping[int, int]) -> None:
    wanted: dict[str, tuple[EventFacts | VendorFacts, Source]] = {}
    told: list[EventFacts | VendorFacts] = [*facts.values()]
    told += [found for event in facts.values() for found in event.vendors.values()]
    for one in told:
        wanted |= {
            str(Position(*lettered.place)): (one, lettered.place) for lettered in one.letters
        }
    if not wanted:
        return
    tps = sorted({TopicPartition(*place[:2]) for _, place in wanted.values()})
    starts = await _at(logs, tps, since)
    async for records in logs.find(tps, AnyOf([b'"resolves"']), "dead letters", starts):
        for record in records:
            resolved = read_resolution(record)
            if resolved is not None and resolved.resolves in wanted:
                wanted[resolved.resolves][0].resolved.append(resolved)


async def _read_receipts(logs: TraceLogs, facts: Facts, since_ms: int) -> None:
    """Read receipts slice by slice, of each partition until all is settled there.

    Of many events only what was written soon after each, as far as that is enough: a receipt that
    was written again minutes later is left to the search for that one event.
    """
    wanted = facts
    if len(facts) > FEW:
        room = asyncio.Semaphore(SEARCHES_AT_ONCE)
        await asyncio.gather(*(_read_near(logs, facts, one, room) for one in facts.values()))
        wanted = {
            source: one
            for source, one in facts.items()
            if one.is_enriched and any(map(_may_get_more, one.vendors.values()))
        }
    by_topic = _by_topic(logs, logs.topics.receipts)
    since = _earliest(wanted, since_ms)
    open_ = _tps(logs, by_topic, since)
    begins = await _at(logs, open_, since)
    for distance in (*SLICES_MS, None):
        if not open_:
            return
        ends = await _upto(logs, open_, since, distance)
        found = logs.search.find(begins, ends, _byte_pattern(wanted), logs.tell, "receipts")
        async for records in found:
            _take_receipts(facts, records, by_topic)
        open_ = [
            tp
            for tp in open_
            if any(
                one.is_enriched and _may_get_more(one.vendors[by_topic[tp.topic]])
                for source, one in wanted.items()
                if source.partition == tp.partition
            )
        ]
        begins = {tp: max(begins[tp], ends[tp]) for tp in open_}


async def _read_near(
    logs: TraceLogs, facts: Facts, one: EventFacts, room: asyncio.Semaphore
) -> None:
    """Read what was written within seconds of one raw record."""
    if one.raw is None or not one.is_enriched:
        return
    by_topic = _by_topic(logs, logs.topics.receipts)
    at = {one.source.partition: one.raw.at_ms}
    tps = _tps(logs, by_topic, at)
    async with room:
        starts = await _at(logs, tps, at, -NEAR_BEFORE_MS)
        ends = await _at(logs, tps, at, NEAR_AFTER_MS)
        byte_pattern = _byte_pattern({one.source: one})
        async for records in logs.search.find(starts, ends, byte_pattern, logs.tell, "receipts"):
            _take_receipts(facts, records, by_topic)


def _take_receipts(
    facts: Facts, records: Iterable[FoundRecord], by_topic: Mapping[str, str]
) -> None:
    for record in records:
        received = read_receipt(record)
        if received is not None and received.source in facts:
            kept = facts[received.source].vendors[by_topic[record.tp.topic]].receipts
            if received.place not in [other.place for other in kept]:
                kept.append(received)


def _may_get_more(found: VendorFacts) -> bool:
    redelivered = any(sent.is_redelivery for sent in found.sent)
    return redelivered or (found.was_on and not found.is_settled)


async def _read_settled_records(logs: TraceLogs, facts: Facts) -> None:
    """Read the vendor records of which a receipt tells the position."""
    by_topic = _by_topic(logs, logs.topics.events)
    wanted: dict[TopicPartition, set[int]] = {}
    for source, one in facts.items():
        for vendor, found in one.vendors.items():
            tp = TopicPartition(logs.topics.events(vendor), source.partition)
            for received in found.receipts:
                position = received.receipt.position
                live = received.receipt.lane != "redelivery"
                if position is not None and live and logs.starts[tp] <= position < logs.ends[tp]:
                    wanted.setdefault(tp, set()).add(position)
    _take_sent(facts, await logs.search.read(wanted, logs.tell, "vendor records"), by_topic)


async def _read_open_records(logs: TraceLogs, facts: Facts, since: Mapping[int, int]) -> None:
    """Look for the vendor records of what has no receipt yet."""
    by_topic = _by_topic(logs, logs.topics.events)
    open_ = _without_record(facts, _tps(logs, by_topic, since), by_topic)
    begins = await _at(logs, open_, since)
    for distance in (SKEW_MS + 60_000, *SLICES_MS, None):
        if not open_:
            return
        ends = await _upto(logs, open_, since, distance)
        found = logs.search.find(begins, ends, _byte_pattern(facts), logs.tell, "vendor records")
        async for records in found:
            _take_sent(facts, records, by_topic)
        open_ = _without_record(facts, open_, by_topic)
        begins = {tp: max(begins[tp], ends[tp]) for tp in open_}


def _without_record(
    facts: Facts, tps: Iterable[TopicPartition], by_topic: Mapping[str, str]
) -> list[TopicPartition]:
    """Return the partitions on which a vendor record must be that was not found yet."""
    wanted = []
    for tp in tps:
        vendor = by_topic[tp.topic]
        for source, one in facts.items():
            found = one.vendors[vendor]
            live = any(not sent.is_redelivery for sent in found.sent)
            is_owed = one.is_enriched and found.was_on and not one.letters
            if source.partition == tp.partition and is_owed and not (live or found.is_settled):
                wanted.append(tp)
                break
    return wanted


def _take_sent(facts: Facts, records: Iterable[FoundRecord], by_topic: Mapping[str, str]) -> None:
    for record in records:
        sent = read_sent(record, is_redelivery=False)
        if sent is not None and sent.source in facts:
            found = facts[sent.source].vendors[by_topic[record.tp.topic]]
            if sent.place not in [other.place for other in found.sent]:
                found.sent.append(sent)


# -- where to look


def _by_topic(logs: TraceLogs, name: object) -> dict[str, str]:
    return {name(vendor): vendor for vendor in logs.vendors}  # type: ignore[operator]


def _tps(logs: TraceLogs, topics: Iterable[str], partitions: Iterable[int]) -> list[TopicPartition]:
    wanted = set(partitions)
    return [tp for topic in topics for tp in logs.tps[topic] if tp.partition in wanted]


async def _at(
    logs: TraceLogs, tps: Sequence[TopicPartition], since: Mapping[int, int], later_ms: int = 0
) -> Offsets:
    """Return where these partitions are at their own times; partitions alike are asked at once."""
    found: Offsets = {}
    for ms in set(since.values()):
        alike = [tp for tp in tps if since[tp.partition] == ms]
        found |= await logs.at(alike, ms + later_ms)
    return found


async def _upto(
    logs: TraceLogs,
    tps: Sequence[TopicPartition],
    since: Mapping[int, int],
    distance_ms: int | None,
) -> Offsets:
    """Return where to stop: so much later than the raw record, or at the end."""
    if distance_ms is None:
        return {tp: logs.ends[tp] for tp in tps}
    return await _at(logs, tps, since, distance_ms + SKEW_MS)


def _byte_pattern(facts: Facts) -> BytePattern:
    if len(facts) > FEW:
        return Places((source.partition, source.offset) for source in facts)
    mentions = [str(source).encode() for source in facts]
    letters = [f'"partition":{s.partition},"offset":{s.offset},'.encode() for s in facts]
    return AnyOf([*mentions, *letters])
