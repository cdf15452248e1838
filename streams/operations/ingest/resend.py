"""Dead letters of ``ingest`` sent again: the shop's records through today's sections."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from streams.core.ingest.outcomes import IngestRefusal, SkippedRecord
from streams.core.ingest.topic_mapping import TopicMapping
from streams.core.records import Source, TopicRecord
from streams.dead_letters.book import RESENT, Letter, Selection, encode_resolution
from streams.dead_letters.dead_letters import find_letters, read_whole
from streams.kafka.reader import Tell, connect
from streams.operations.ingest.mappings import joined_mappings, prepare
from streams.operations.ingest.rewrite import (
    ALREADY_WRITTEN,
    CHANGED,
    REFUSED,
    SUPERSEDED,
    WRITE,
    RewriteItem,
    Written,
    ingest_writer,
    read_sources,
)
from streams.settings import Settings


class _KeptLetter(msgspec.Struct):
    """What has to be known of a letter."""

    section: str | None = None
    element: int | None = None
    record: str | dict[str, str] = ""
    record_bytes: int = 0
    source: Any = None


@dataclass(slots=True)
class LetterPlan:
    """One open letter and what sending it again would do."""

    letter: Letter
    items: list[RewriteItem] = field(default_factory=list)
    """What is written; may be nothing where all of it stands there already."""
    closes: bool = False
    why_not: str = ""
    """Why it stays open: a reason of a dead letter, ``unmapped``, ``gone``."""


async def plan_resend(settings: Settings, selection: Selection, tell: Tell) -> list[LetterPlan]:
    """Return what would become of each open letter that is meant; nothing is written.

    Raises SettingsError and SetupError as ``find_letters`` does.
    """
    found = await find_letters(settings, selection, tell=tell)
    kept: list[tuple[Letter, _KeptLetter]] = []
    await read_whole(
        settings,
        found.open,
        lambda letter, value: kept.append((letter, msgspec.json.decode(value, type=_KeptLetter))),
    )
    written = Written()
    async with connect(settings.kafka) as reader:
        mappings = await joined_mappings(settings, reader)
        known = [(letter, one) for letter, one in kept if letter.source.topic in mappings]
        sources = await read_sources(reader, [letter.source for letter, _ in known])
        await written.read(settings, reader, settings.topics.fed)
    plans = []
    for letter, one in known:
        record = sources.get(letter.source) or _from_letter(letter.source, one)
        plans.append(
            LetterPlan(letter, why_not="gone")
            if record is None
            else await _plan(mappings[letter.source.topic], letter, one, record, written)
        )
    return plans


async def _plan(
    mapping: TopicMapping, letter: Letter, kept: _KeptLetter, record: TopicRecord, written: Written
) -> LetterPlan:
    await prepare(mapping, [record])
    outcomes = mapping.read(record.key, record.value, *letter.source[1:], record.timestamp)
    plan = LetterPlan(letter)
    meant = [
        RewriteItem(*letter.source, outcome)
        for outcome in outcomes
        if not isinstance(outcome, SkippedRecord)
        and (
            kept.section is None
            or (
                outcome.section == kept.section
                and kept.element in (None, getattr(outcome, "element", None))
            )
        )
    ]
    for item in meant:
        kind = written.kind(item)
        if kind == WRITE:
            plan.items.append(item)
        elif kind == REFUSED and isinstance(item.outcome, IngestRefusal):
            plan.why_not = item.outcome.error.reason
        elif kind not in (ALREADY_WRITTEN, CHANGED, SUPERSEDED):
            plan.why_not = plan.why_not or kind
    if not meant:
        plan.why_not = "unmapped"
    plan.closes = not plan.why_not
    return plan


def _from_letter(source: Source, kept: _KeptLetter) -> TopicRecord | None:
    """Return the record as its letter kept it: whole, or it is of no use."""
    if isinstance(kept.record, str):
        value = kept.record.encode()
    else:
        value = base64.b64decode(kept.record.get("base64", ""))
    timestamp = kept.source.get("timestamp", 0) if isinstance(kept.source, dict) else 0
    if len(value) != kept.record_bytes:
        return None  # cut, or an address in it was masked
    return TopicRecord(*source, timestamp, None, value)


async def resend(
    settings: Settings, plans: Sequence[LetterPlan], at: str, rate: float | None = None
) -> int:
    """Write what the letters held and close them; return how many records were written.

    A letter of which something is refused still stays open; what of it can be written is written.
    """
    async with ingest_writer(settings, rate) as writer:
        for plan in plans:
            await writer.write(plan.items)
            if plan.closes:
                topic, partition, _ = plan.letter.position
                note = encode_resolution(plan.letter.position, RESENT, at)
                await writer.producer.send_and_wait(topic, note, partition=partition)
    return writer.written
