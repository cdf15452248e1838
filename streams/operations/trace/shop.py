"""The shop's own records in a trace: where an event began, and what never became one."""

import re
from collections.abc import Mapping, Sequence

from aiokafka import ConsumerRecord, TopicPartition

from streams.core.ingest.outcomes import IngestRecord, IngestRefusal, SkippedRecord
from streams.core.ingest.topic_mapping import TopicMapping, name_in_ids
from streams.core.masking import masked_text
from streams.core.records import Source
from streams.core.times import utc_text
from streams.kafka.byte_patterns import AnyOf
from streams.operations.ingest.mappings import mappings_of, prepare
from streams.operations.ingest.rewrite import read_sources
from streams.operations.trace.facts import EventFacts, Lettered, ShopRecord, read_letter
from streams.operations.trace.logs import TraceLogs
from streams.operations.trace.slices import in_json, newest_first
from streams.operations.trace.steps import Masker, letter_step, letter_words
from streams.operations.trace.timeline import Step, TracedEvent
from streams.settings import INGEST


async def read_shop_records(logs: TraceLogs, facts: Mapping[Source, EventFacts]) -> None:
    """Add the shop's own records of which ``ingest`` made these, as far as they are still there."""
    wanted = [
        one.raw.trail.source
        for one in facts.values()
        if one.raw is not None and one.raw.trail is not None
    ]
    records = await read_sources(logs.reader, wanted)
    for one in facts.values():
        if one.raw is not None and one.raw.trail is not None:
            record = records.get(one.raw.trail.source)
            if record is not None:
                one.shop = ShopRecord(record.timestamp, record.value)


async def never_written(logs: TraceLogs, event_id: str, since_ms: int) -> list[TracedEvent]:
    """Return the shop's records that this id is made of or that were given up on under it.

    For an event of which there is no raw record: dead letters of ``ingest``, and the record at the
    place that the id names, with what today's sections make of it.
    """
    if not logs.topics.shop:
        return []
    letters = await _letters(logs, event_id, since_ms)
    places = dict.fromkeys([*(one.source for one in letters), *_places(logs, event_id)])
    records = await read_sources(logs.reader, places)
    events = []
    for place in places:
        own = [one for one in letters if one.source == place]
        record = records.get(place)
        if own or record is not None:
            events.append(await _event(logs, event_id, place, record, own))
    return events


async def _letters(logs: TraceLogs, event_id: str, since_ms: int) -> list[Lettered]:
    tps = logs.tps[logs.topics.ingest_dead_letters]
    byte_pattern = AnyOf(in_json(event_id))
    found: list[Lettered] = []
    async for records in newest_first(logs, tps, byte_pattern, since_ms, lambda _: True):
        for record in await logs.committed(records):
            lettered = read_letter(record)
            if lettered is not None and lettered.letter.event_id == event_id:
                found.append(lettered)
    return found


def _places(logs: TraceLogs, event_id: str) -> list[Source]:
    """Return the records whose place gives this id."""
    found = []
    for topic in logs.topics.shop:
        shape = re.escape(name_in_ids(topic)) + r"-(\d{1,9})-(\d{1,18})(?:-\d{1,5})?"
        if match := re.fullmatch(shape, event_id, re.ASCII):
            found.append(Source(topic, int(match[1]), int(match[2])))
    return found


async def _event(
    logs: TraceLogs,
    event_id: str,
    place: Source,
    record: ConsumerRecord | None,
    letters: Sequence[Lettered],
) -> TracedEvent:
    masker = Masker(event_id)
    steps = []
    if record is not None:
        text = f"Written by the shop to {place.topic}."
        steps.append(Step(kind="raw", text=text, at=utc_text(record.timestamp), place=str(place)))
    steps += [
        letter_step(one, None, is_repeat=number > 0)
        for number, one in enumerate(sorted(letters, key=lambda one: one.at_ms))
    ]
    text = "Dead-lettered by ingest: not a valid event."
    if record is not None:
        committed = logs.lane(INGEST, TopicPartition(place.topic, place.partition)).committed
        if committed is None or place.offset >= committed:
            text = "Waiting for ingest."
            steps.append(Step(kind="waiting", text=text))
        elif not letters:
            text = await _today(mappings_of(logs.settings)[place.topic], record, event_id)
            steps.append(Step(kind="unknown", text=text))
    return TracedEvent(
        event_id=event_id,
        source=str(place),
        written_at=None if record is None else utc_text(record.timestamp),
        text=text,
        raw=None if record is None else masker.document(record.value),
        steps=steps,
    )


async def _today(mapping: TopicMapping, record: ConsumerRecord, event_id: str) -> str:
    """Return what today's sections make of a record of which nothing was written."""
    await prepare(mapping, [record])
    outcomes = mapping.read(
        record.key, record.value, record.partition, record.offset, record.timestamp
    )
    for outcome in outcomes:
        if isinstance(outcome, IngestRefusal) and outcome.event_id == event_id:
            words = f"{letter_words(outcome.error.reason)}: {masked_text(outcome.error.detail)}"
            return f"[ingest.{outcome.section}] cannot map it: {words}."
    if mapped := dict.fromkeys(o.section for o in outcomes if isinstance(o, IngestRecord)):
        names = " and ".join(f"[ingest.{section}]" for section in mapped)
        rest = "The result has another id, is a row, or was deleted from its raw topic."
        return f"Mapped by {names}. {rest}"
    if any(isinstance(outcome, SkippedRecord) for outcome in outcomes):
        return "It is the tombstone after a delete by Debezium and has no content."
    return "Unmapped: no section [ingest.NAME] takes it; check their `when` and `each`."
