"""Looking through slices of time, newest first, and what is looked for in raw records."""

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec
from aiokafka import TopicPartition

from streams.core.errors import InvalidEvent
from streams.core.event_types import Event
from streams.core.records import Source
from streams.core.values import id_text
from streams.kafka.byte_patterns import AnyOf
from streams.kafka.reader import Offsets
from streams.kafka.topic_search import BytePattern, Everything, FoundRecord, Keep
from streams.operations.trace.facts import RawRecord, place_of, raw_of
from streams.operations.trace.logs import TraceLogs

SLICES_MINUTES = (2, 10, 30, 60, 180, 720)
"""How far back each look goes, newest first; then whole days."""
MAX_OF_A_SLICE = 1_000
"""Records of one slice that are kept: more than anybody is shown."""
MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Query:
    """What somebody asks for."""

    kind: Literal["event", "visitor", "user", "sku"]
    text: str
    since_ms: int
    """From which Kafka time on is looked."""
    limit: int = 50
    """Events at most, the newest."""


@dataclass(slots=True)
class Located:
    """Where the raw records lie."""

    raw: dict[Source, RawRecord | None] = field(default_factory=dict)
    """None: known by a receipt or a letter, not read yet."""
    more: bool = False
    """Older ones were left out."""
    notes: list[str] = field(default_factory=list)


async def newest_first(
    logs: TraceLogs,
    tps: Sequence[TopicPartition],
    byte_pattern: BytePattern,
    since_ms: int,
    keep: Keep,
    starts: Offsets | None = None,
) -> AsyncIterator[list[FoundRecord]]:
    """Yield, slice of time by slice of time, the newest records that are to be kept, newest first.

    ``starts`` are bounds: nothing before them is read.
    """
    if not tps:
        return
    step = ", ".join(sorted({tp.topic for tp in tps}))
    ends = {tp: logs.ends[tp] for tp in tps}
    for ms in slices(logs.now_ms, since_ms):
        begins = await logs.at(tps, ms)
        if starts is not None:
            begins = {tp: max(offset, starts[tp]) for tp, offset in begins.items()}
        if any(begins[tp] < ends[tp] for tp in tps):
            found: list[FoundRecord] = []
            search = logs.search.find(begins, ends, byte_pattern, logs.tell, step, keep)
            async for records in search:
                found += records
                if len(found) > 2 * MAX_OF_A_SLICE:
                    found = _newest(found)
            yield _newest(found)
        ends = {tp: min(begins[tp], ends[tp]) for tp in tps}
        if starts is not None and all(ends[tp] <= starts[tp] for tp in tps):
            return


def _newest(records: list[FoundRecord]) -> list[FoundRecord]:
    return sorted(records, key=lambda record: -record.timestamp)[:MAX_OF_A_SLICE]


def slices(now_ms: int, since_ms: int) -> list[int]:
    """Return where each slice begins, newest first; the last is ``since_ms``."""
    begins = [now_ms - minutes * MINUTE_MS for minutes in SLICES_MINUTES]
    day = 24 * 60 * MINUTE_MS
    while begins[-1] > since_ms:
        begins.append(begins[-1] - day)
    return [*(ms for ms in begins if ms > since_ms), since_ms]


def event_of(logs: TraceLogs, record: FoundRecord) -> Event | None:
    """Return the event that a raw record holds; None where it is none."""
    try:
        return logs.parse(place_of(record), raw_of(record))
    except InvalidEvent:
        return None


def names_event(logs: TraceLogs, record: FoundRecord, event_id: str) -> bool:
    """Return whether a raw record has this id, also where it is no event for other reasons."""
    event = event_of(logs, record)
    if event is not None:
        return event.event_id == event_id
    try:
        document = msgspec.json.decode(record.value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    if type(document) is not dict:
        return False
    fields = logs.fields.get(record.tp.topic)
    if fields is not None and fields.maps("event_id"):
        return bool(id_text(fields.value_of("event_id", document)) == event_id)
    return bool(id_text(document.get("event_id")) == event_id)


def raw_byte_pattern(logs: TraceLogs, forms: Iterable[bytes]) -> BytePattern:
    """Return the needle for raw records; a map that computes fields leaves nothing to look for."""
    for source in logs.settings.sources.values():
        if any("(" in str(expression) for expression in source.fields.values()):
            return Everything()
    return AnyOf(forms)


def in_json(text: str) -> list[bytes]:
    """Return the ways in which encoders write a text."""
    plain = json.dumps(text, ensure_ascii=False)[1:-1]
    escaped = json.dumps(text)[1:-1]
    forms = [text, plain, escaped, plain.replace("/", "\\/"), escaped.replace("/", "\\/")]
    return list(dict.fromkeys(form.encode("utf-8", "replace") for form in forms))
