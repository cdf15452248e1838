"""Write JSON lines into the raw topics, as a shop's own producers would.

A line is either an envelope, ``{"topic": "clicks", "key": "v-1", "value": {…}}``, or an event by
itself. Keys decide the partition with Kafka's default partitioner (murmur2), so that a click meets
its user row.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterable, Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from streams.core.errors import InvalidEvent, SetupError
from streams.core.kinds import KINDS, kind_of
from streams.core.rows import InvalidRow, decode_product, decode_user
from streams.core.strict_json import (
    BYTE_ORDER_MARK,
    StrictJsonError,
    decode_strict,
    mend_half_pairs,
)
from streams.core.topics import Topics
from streams.core.values import id_text
from streams.kafka.connection import producer_options
from streams.kafka.topics import verify_topics
from streams.settings import Settings
from streams.vendors import VENDORS

_NOTHING = msgspec.Raw(b"null")

Tell = Callable[[int], None]
"""Called with the number of records that the broker has acknowledged so far."""


class Outgoing(NamedTuple):
    """One record to be written."""

    topic: str
    key: bytes | None
    value: bytes | None
    """None: a tombstone."""


@dataclass(slots=True)
class Produced:
    """What became of the lines."""

    written: Counter[str] = field(default_factory=Counter)
    """Records by topic that the broker has acknowledged."""
    bad: list[tuple[int, str]] = field(default_factory=list)
    """Line numbers, from 1, and why each was not written."""
    doubtful: list[tuple[int, str]] = field(default_factory=list)
    """Line numbers, and why what was written there will not count: malformed rows, no events."""
    ids: dict[int, tuple[str, str]] = field(default_factory=dict)
    """Topic and event id by line: the event's own id, or that made of its place."""


class _Line(msgspec.Struct):
    """What is looked at in a line; values are looked at by who reads their topic."""

    topic: str | msgspec.UnsetType = msgspec.UNSET
    value: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    key: str | int | float | msgspec.UnsetType | None = msgspec.UNSET
    anonymous_id: msgspec.Raw = _NOTHING
    event_type: msgspec.Raw = _NOTHING
    type: msgspec.Raw = _NOTHING
    quantity: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Keyed(msgspec.Struct):
    anonymous_id: msgspec.Raw = _NOTHING


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_keyed = msgspec.json.Decoder(_Keyed).decode
_PROBLEMS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def raw_topics(topics: Topics) -> dict[str, str]:
    """The topics that can be written to, by the words that name them."""
    return {name: topics.of_shop(name) for name in (*topics.sources, "users", "products")}


def parse_line(line: bytes, topics: Topics) -> Outgoing:
    """Return the record that a line asks for; raises ValueError with one clause.

    The value is written byte for byte as it stands, without a byte order mark. Of events alone,
    ``event_type`` or ``type`` says which source it belongs to; without either, one with a
    ``quantity`` goes to the add-to-carts, any other to the clicks. Where no key is given it is the
    value's ``anonymous_id``; rows need one. A key may be an integer.
    """
    line = line.strip().removeprefix(BYTE_ORDER_MARK).strip()
    content, mended = _read(line)
    if content.topic is msgspec.UNSET:
        return Outgoing(
            topics.of_shop(_source_of(content, topics)), _key_of(content.anonymous_id), line
        )
    if content.value is msgspec.UNSET:
        raise ValueError('is not {"topic", "key", "value"}: it has no value')
    topic = _topic_named(content.topic, topics)
    value: bytes | None = bytes(content.value)
    if value == b"null":
        value = None
    elif mended != line:
        start = mended.find(bytes(content.value))
        value = line[start : start + len(bytes(content.value))]
    if content.key is None:
        return Outgoing(topic, None, value)
    if content.key is not msgspec.UNSET:
        key = id_text(content.key)
        if type(key) is not str:
            raise ValueError(f"has the key {key}, which is neither text nor an integer")
        return Outgoing(topic, key.encode(), value)
    if topic not in topics.raw:
        raise ValueError(f"has no key, which a row of {content.topic} needs")
    return Outgoing(topic, _own_key(value), value)


def _read(line: bytes) -> tuple[_Line, bytes]:
    """Return the line, and the bytes that were read: of its length, surrogate pairs mended."""
    try:
        return _decode_line(line), line
    except _PROBLEMS as error:
        mended = mend_half_pairs(line) if b"\\u" in line else line
        try:
            return _decode_line(mended), mended
        except _PROBLEMS:
            raise _unreadable(line, error) from error


def _unreadable(line: bytes, error: Exception) -> ValueError:
    """Return what is wrong with a line that holds no record."""
    try:
        content = decode_strict(line)
    except StrictJsonError as problem:
        return ValueError(f"is not JSON: {str(problem).removeprefix('not valid JSON: ')}")
    if not isinstance(content, dict):
        return ValueError("is not a JSON object")
    return ValueError(f'is not {{"topic", "key", "value"}}: {error}')


def delay_seconds(written: int, elapsed: float, rate: float | None) -> float:
    """How long to wait before the next record so that ``rate`` a second is not exceeded."""
    return max(0.0, written / rate - elapsed) if rate else 0.0


async def run_produce(
    settings: Settings,
    lines: AsyncIterable[bytes],
    *,
    rate: float | None = None,
    tell: Tell | None = None,
) -> Produced:
    """Write every line that can be read, wait for the broker's word on each, and say what became.

    Raises SetupError where the broker cannot be reached or a raw topic is not as it must be.
    """
    produced = Produced()
    async with _Writer(settings, produced, rate, tell) as writer:
        number = 0
        async for line in lines:
            number += 1
            if not line.strip():
                continue
            try:
                outgoing = parse_line(line, settings.topics)
            except ValueError as error:
                produced.bad.append((number, str(error)))
            else:
                await writer.write(number, outgoing)
    produced.bad.sort()
    produced.doubtful.sort()
    return produced


async def write_records(
    settings: Settings,
    records: AsyncIterable[Outgoing],
    *,
    rate: float | None = None,
    tell: Tell | None = None,
) -> Produced:
    """Write records that are already made; otherwise as ``produce``."""
    produced = Produced()
    async with _Writer(settings, produced, rate, tell) as writer:
        number = 0
        async for record in records:
            number += 1
            await writer.write(number, record)
    produced.bad.sort()
    produced.doubtful.sort()
    return produced


class _Writer:
    """A producer that counts what the broker has acknowledged."""

    def __init__(
        self, settings: Settings, produced: Produced, rate: float | None, tell: Tell | None
    ) -> None:
        self._settings = settings
        self._produced = produced
        self._rate = rate
        self._tell = tell
        self._parsers = settings.event_parsers()
        self._sent = 0
        self._started = 0.0

    async def __aenter__(self) -> Self:
        problems = await verify_topics(self._settings, raw_topics(self._settings.topics).values())
        if problems:
            raise SetupError("\n".join(problems))
        self._producer = AIOKafkaProducer(
            **producer_options(self._settings.kafka),
            client_id="streams-produce",
            enable_idempotence=True,
            max_batch_size=256 * 1024,
            linger_ms=5,
        )
        await self._producer.start()
        # Else the first topic that is new to aiokafka pushes out what it knows of the others.
        await self._producer.client.set_topics(tuple(raw_topics(self._settings.topics).values()))
        self._started = asyncio.get_running_loop().time()
        return self

    async def __aexit__(self, *_: object) -> None:
        # Stopping sends what is buffered and waits for the answers.
        await self._producer.stop()

    async def write(self, number: int, record: Outgoing) -> None:
        """Hand one record to the producer; it is counted when the broker answers."""
        elapsed = asyncio.get_running_loop().time() - self._started
        delay = delay_seconds(self._sent, elapsed, self._rate)
        if delay:
            await asyncio.sleep(delay)
        self._sent += 1
        try:
            answer = await self._producer.send(record.topic, record.value, record.key)
        except KafkaError as error:
            self._produced.bad.append((number, f"was refused: {_words(error)}"))
            return
        answer.add_done_callback(lambda done: self._settle(number, record, done))

    def _settle(self, number: int, record: Outgoing, answer: "asyncio.Future[Any]") -> None:
        error = answer.exception()
        if error is not None:
            self._produced.bad.append((number, f"was not acknowledged: {_words(error)}"))
            return
        self._produced.written[record.topic] += 1
        self._look_at(number, record, answer.result())
        if self._tell is not None:
            self._tell(self._produced.written.total())

    def _look_at(self, number: int, record: Outgoing, written: Any) -> None:
        """Note the event's id, or why enrichment will not take what was written."""
        topics, produced = self._settings.topics, self._produced
        parser = self._parsers.get(record.topic)
        try:
            if parser is not None:
                place = written.partition, written.offset, written.timestamp
                event = parser.parse(record.key, record.value, *place)
                produced.ids[number] = record.topic, event.event_id
            elif record.value is not None and record.topic == topics.users:
                decode_user(record.value, VENDORS)
            elif record.value is not None:
                decode_product(record.value)
        except InvalidEvent as error:
            produced.doubtful.append((number, f"becomes a dead letter: {error.detail}"))
        except InvalidRow as error:
            produced.doubtful.append((number, f"is a malformed row: {error}"))


def _source_of(event: _Line, topics: Topics) -> str:
    for name in ("event_type", "type"):
        word = _decoded(getattr(event, name))
        if isinstance(word, str):
            kind = kind_of(word, topics.sources)
            if (off := kind_of(word)) is not None and kind is None:
                raise ValueError(f"has the {name} {word[:100]!r}; {_off_words(off.source)}")
            if kind is None:
                known = ", ".join(KINDS[source].event_type for source in topics.sources)
                raise ValueError(f"has the {name} {word[:100]!r}, which is none of {known}")
            return kind.source
    return "add-to-carts" if event.quantity is not msgspec.UNSET else "clicks"


def _decoded(raw: msgspec.Raw) -> Any:
    try:
        return decode_strict(bytes(raw))
    except StrictJsonError:
        return None


def _topic_named(name: str, topics: Topics) -> str:
    for kind, topic in raw_topics(topics).items():
        if name in (kind, topic, topics.without_prefix(topic)):
            return topic
    for source, topic in zip(KINDS, map(topics.of_shop, KINDS), strict=True):
        if name in (source, topic, topics.without_prefix(topic)):
            raise ValueError(f"names the topic {name[:100]!r}; {_off_words(source)}")
    known = ", ".join(raw_topics(topics))
    raise ValueError(f"names the topic {name[:100]!r}, which is none of {known}")


def _off_words(source: str) -> str:
    return f"this source is off: set [source.{source}] enabled = true"


def _own_key(event: bytes | None) -> bytes:
    try:
        return _key_of(_decode_keyed(mend_half_pairs(event or b"null")).anonymous_id)
    except _PROBLEMS:
        return _key_of(_NOTHING)


def _key_of(anonymous_id: msgspec.Raw) -> bytes:
    key = id_text(_decoded(anonymous_id))
    if not isinstance(key, str) or not key:
        raise ValueError("has neither a key nor an anonymous_id to take it from")
    return key.encode()


def _words(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
