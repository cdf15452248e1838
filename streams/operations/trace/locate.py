"""Finding the raw records that somebody asks for, with as little reading as possible.

An id made of a place is that place. A visitor's events lie on one partition.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from aiokafka import TopicPartition

from streams.core.event_types import Event
from streams.core.records import Source
from streams.core.rows import InvalidRow, decode_product, person_in
from streams.engine.partitioner import home_of
from streams.kafka.byte_patterns import AnyOf
from streams.kafka.topic_search import BytePattern, FoundRecord, Keep
from streams.operations.trace.event_id import EventIdSearch
from streams.operations.trace.facts import place_of, raw_of
from streams.operations.trace.logs import TraceLogs
from streams.operations.trace.slices import (
    Located,
    Query,
    event_of,
    in_json,
    newest_first,
    raw_byte_pattern,
)

MAX_KEYS = 50
"""Visitors of a user, or products of a SKU, that are looked for."""
_PLACE = re.compile(r"(.+)[-/](\d{1,9})[-/](\d{1,18})", re.ASCII)


async def locate(logs: TraceLogs, query: Query) -> Located:
    """Return where what is asked for lies, the newest first as far as their times are known."""
    found = Located()
    match query.kind:
        case "event":
            if not _by_place(logs, query.text, found):
                search = EventIdSearch(logs, query.text, query.since_ms)
                found.raw.update(dict.fromkeys(await search.find()))
        case "visitor":
            await _by_visitor(logs, query, found)
        case "user":
            await _by_user(logs, query, found)
        case _:
            await _by_sku(logs, query, found)
    await _read_raw(logs, found)
    in_order = sorted(found.raw.items(), key=lambda item: -(item[1].at_ms if item[1] else 0))
    found.more = found.more or len(in_order) > query.limit
    found.raw = dict(in_order[: query.limit])
    return found


def _by_place(logs: TraceLogs, text: str, found: Located) -> bool:
    """Take an id that names a place, as events without an own one have it."""
    match = _PLACE.fullmatch(text)
    if match is None:
        return False
    for topic in logs.raw_topics:
        tp = TopicPartition(topic, int(match[2]))
        named = match[1] in (topic, logs.topics.without_prefix(topic))
        if named and tp in logs.ends and int(match[3]) < logs.ends[tp]:
            found.raw[Source(topic, tp.partition, int(match[3]))] = None
            return True
    return False


# -- many events


async def _by_visitor(logs: TraceLogs, query: Query, found: Located) -> None:
    key = query.text.encode()
    at_home, elsewhere = _by_home(logs, [key])

    def is_wanted(record: FoundRecord) -> bool:
        return record.key == key

    await _collect(logs, query, found, at_home, AnyOf([key]), is_wanted)
    if not found.raw:
        await _collect(logs, query, found, elsewhere, AnyOf([key]), is_wanted)
        if found.raw:
            found.notes.append(
                "These events lie on another partition than Kafka's default partitioner gives "
                "this visitor: their user row cannot be joined. Producers need murmur2."
            )


async def _by_user(logs: TraceLogs, query: Query, found: Located) -> None:
    rows = await _rows(logs, logs.topics.users, query.text)
    visitors = _keys(rows, query.text, lambda row: person_in(row).user_id)
    _limited(visitors, found, "visitors")

    def is_theirs(event: Event) -> bool:
        return query.text == event.user_id or (
            event.user_id is None and event.anonymous_id in visitors
        )

    is_wanted = _holds(logs, is_theirs)
    keys = [visitor.encode() for visitor in visitors]
    byte_pattern = raw_byte_pattern(logs, [*in_json(query.text), *keys])
    at_home, elsewhere = _by_home(logs, keys)
    await _collect(logs, query, found, at_home, byte_pattern, is_wanted)
    if not found.raw:
        await _collect(logs, query, found, elsewhere, byte_pattern, is_wanted)
    elif elsewhere:
        found.notes.append(
            "Only the partitions of this user's visitors in shop.users were searched. An event "
            "that names the user itself can be on another partition."
        )


async def _by_sku(logs: TraceLogs, query: Query, found: Located) -> None:
    rows = await _rows(logs, logs.topics.products, query.text)
    products = _keys(rows, query.text, lambda row: decode_product(row).sku)
    _limited(products, found, "products")

    def is_about_it(event: Event) -> bool:
        return any(
            query.text == named.sku or (named.sku is None and named.product_id in products)
            for named in event.named()
        )

    forms = [form for text in (query.text, *products) for form in in_json(text)]
    tps = logs.partitions(logs.raw_topics)
    is_wanted = _holds(logs, is_about_it)
    await _collect(logs, query, found, tps, raw_byte_pattern(logs, forms), is_wanted)


def _holds(logs: TraceLogs, is_meant: Callable[[Event], bool]) -> Keep:
    """Return whether a raw record holds an event that is meant."""
    return lambda record: (event := event_of(logs, record)) is not None and is_meant(event)


def _by_home(
    logs: TraceLogs, visitors: Iterable[bytes]
) -> tuple[list[TopicPartition], list[TopicPartition]]:
    """Return the raw partitions where Kafka's partitioner puts these visitors, and the others."""
    homes = {
        TopicPartition(topic, home_of(key, len(logs.tps[topic])))
        for topic in logs.raw_topics
        for key in visitors
    }
    tps = logs.partitions(logs.raw_topics)
    return [tp for tp in tps if tp in homes], [tp for tp in tps if tp not in homes]


def _limited(keys: set[str], found: Located, word: str) -> None:
    if len(keys) > MAX_KEYS:
        found.notes.append(f"Of {len(keys):,} {word}, {MAX_KEYS} were looked for.")
        for key in sorted(keys)[MAX_KEYS:]:
            keys.discard(key)


async def _rows(logs: TraceLogs, topic: str, text: str) -> dict[bytes, bytes]:
    """Return the newest rows, by key, of those that name the text."""
    found: dict[bytes, tuple[int, bytes]] = {}
    async for records in logs.find(logs.tps[topic], AnyOf(in_json(text)), topic):
        for record in records:
            if record.key is not None and record.value is not None:
                row = record.offset, record.value
                found[record.key] = max(row, found.get(record.key, row))
    return {key: value for key, (_, value) in found.items()}


def _keys(rows: Mapping[bytes, bytes], text: str, says: Callable[[bytes], str | None]) -> set[str]:
    """Return the keys of the rows of which ``says`` returns the text; a malformed row has none."""
    found: set[str] = set()
    for key, row in rows.items():
        try:
            if says(row) == text:
                found.add(key.decode("utf-8", "replace"))
        except InvalidRow:
            continue
    return found


async def _collect(
    logs: TraceLogs,
    query: Query,
    found: Located,
    tps: Sequence[TopicPartition],
    byte_pattern: BytePattern,
    is_wanted: Keep,
) -> None:
    """Add the raw records that are wanted, until there are more than may be listed."""
    async for records in newest_first(logs, tps, byte_pattern, query.since_ms, is_wanted):
        # Those of a transaction are looked at one by one, so no more than are to be shown.
        for first in range(0, len(records), query.limit + 1):
            some = records[first : first + query.limit + 1]
            for record in await logs.committed(some):
                found.raw[place_of(record)] = raw_of(record)
            if len(found.raw) > query.limit:
                found.more = True
                return


# -- raw records


async def _read_raw(logs: TraceLogs, found: Located) -> None:
    """Read what is known by its place only; what retention has deleted stays unread."""
    wanted: dict[TopicPartition, list[int]] = {}
    for source, raw in found.raw.items():
        tp = TopicPartition(source.topic, source.partition)
        if raw is None and logs.starts.get(tp, 0) <= source.offset < logs.ends.get(tp, 0):
            wanted.setdefault(tp, []).append(source.offset)
    records = await logs.search.read(wanted, logs.tell, "raw records")
    for record in await logs.committed(records):
        found.raw[place_of(record)] = raw_of(record)
