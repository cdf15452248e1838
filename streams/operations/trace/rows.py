"""What the visitor's row says today about an event that was not sent for want of consent."""

from collections.abc import Collection, Mapping

from aiokafka import TopicPartition

from streams.core.consent import Word, said_about, word_for
from streams.core.errors import InvalidEvent
from streams.core.event_types import Event
from streams.core.outcome import SkipReason
from streams.core.records import Source
from streams.core.rows import InvalidRow, decode_user
from streams.core.times import utc_text
from streams.engine.partitioner import home_of
from streams.kafka.byte_patterns import AnyOf
from streams.kafka.topic_search import FoundRecord
from streams.operations.trace.facts import EventFacts
from streams.operations.trace.logs import TraceLogs
from streams.vendors import VENDORS


async def explain_by_rows(logs: TraceLogs, facts: Mapping[Source, EventFacts]) -> None:
    """Let skips for want of consent say what the visitor's row says today."""
    wanted = {
        one.raw.key
        for one in facts.values()
        if one.raw is not None and one.raw.key is not None and _unconsented(one)
    }
    if not wanted:
        return
    newest = await _newest_rows(logs, wanted)
    for one in facts.values():
        vendors = _unconsented(one)
        if one.raw is None or one.raw.key is None or not vendors:
            continue
        try:
            event = logs.parse(one.source, one.raw)
        except InvalidEvent:
            continue
        for vendor in vendors:
            row = newest.get(one.raw.key)
            one.vendors[vendor].row_says = row_words(vendor, event, row, one.raw.at_ms)


def _unconsented(one: EventFacts) -> list[str]:
    return [
        vendor
        for vendor, found in one.vendors.items()
        if any(received.receipt.reason == SkipReason.NO_CONSENT for received in found.receipts)
    ]


async def _newest_rows(logs: TraceLogs, keys: Collection[bytes]) -> dict[bytes, FoundRecord]:
    """Return the newest row or tombstone of each of these visitors that has one."""
    topic = logs.topics.users
    count = len(logs.tps[topic])
    homes = {TopicPartition(topic, home_of(key, count)) for key in keys}
    found: dict[bytes, FoundRecord] = {}
    async for records in logs.find(homes, AnyOf(keys), topic):
        for record in records:
            if record.key is not None and record.key in keys:
                newest = found.get(record.key, record)
                found[record.key] = max(newest, record, key=lambda one: one.offset)
    return found


def row_words(vendor: str, event: Event, row: FoundRecord | None, raw_ms: int) -> str:
    """Return in one sentence who says no to an event by what its visitor's row says today.

    ``row`` is the visitor's newest row or tombstone, ``raw_ms`` the event's own Kafka time.
    """
    if event.consent and event.consent.get(vendor) is False:
        return "The event itself says no."
    if row is None:
        return "The visitor has no row in shop.users."
    if row.value is None:
        when = utc_text(row.timestamp)
        if raw_ms <= row.timestamp:
            return f"The visitor was forgotten at {when}."
        return f"The visitor has no row in shop.users since {when}."
    try:
        user = decode_user(row.value, VENDORS)
    except InvalidRow as error:
        place = f"{row.tp.topic}/{row.tp.partition}/{row.offset}"
        return f"The visitor's row {place} is malformed and counts as a no to all vendors: {error}."
    said = said_about(vendor, user)
    word = word_for(said, event.timestamp_ms)
    if isinstance(said, int) and word is Word.SILENT:
        return (
            f"The visitor's row says yes from {utc_text(said)} on (consent_since), "
            "and this event is older."
        )
    if word is Word.YES:
        return "The visitor's row says yes now; it did not when this was decided."
    if word is Word.NO:
        return "The visitor's row says no."
    return "The visitor's row says nothing about this vendor."
