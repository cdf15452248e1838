"""Writes JSON lines to topics of the shop's own, as its producers would: to try things out."""

from collections.abc import AsyncIterable

import msgspec

from streams.core.strict_json import BYTE_ORDER_MARK
from streams.kafka.connection import admin
from streams.kafka.topics import make_missing
from streams.kafka.writer import connect_writer
from streams.operations.produce import Outgoing, Produced
from streams.settings import Settings


class _TopicLine(msgspec.Struct, forbid_unknown_fields=True):
    topic: str
    value: msgspec.Raw
    key: msgspec.Raw = msgspec.Raw(b"null")


_decode = msgspec.json.Decoder(_TopicLine).decode


class NotNamedError(ValueError):
    """The line names no topic: it is a value by itself."""


def parse_own_line(line: bytes) -> Outgoing:
    """Return the record of a line ``{"topic", "key", "value"}``, its topic as it stands there.

    A key that is no text is written as JSON; a value of null is no value. Raises NotNamedError.
    """
    try:
        found = _decode(line.strip().removeprefix(BYTE_ORDER_MARK))
        return own_record(found.topic, found.key, found.value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise NotNamedError('is not {"topic", "key", "value"}') from problem


def own_record(topic: str, key: msgspec.Raw, value: msgspec.Raw) -> Outgoing:
    """Return the record of a key and value in JSON, as ``parse_own_line`` does."""
    text = msgspec.json.decode(key)
    key_bytes = text.encode() if isinstance(text, str) else bytes(key)
    content = bytes(value)
    return Outgoing(
        topic, None if text is None else key_bytes, None if content == b"null" else content
    )


async def produce_own(settings: Settings, lines: AsyncIterable[bytes]) -> Produced:
    """Write every line that names a topic, and make topics that are not there.

    Raises SetupError where the brokers do not answer or refuse.
    """
    produced = Produced()
    records: list[Outgoing] = []
    number = 0
    async for line in lines:
        number += 1
        if not line.strip():
            continue
        try:
            records.append(parse_own_line(line))
        except NotNamedError as problem:
            produced.bad.append((number, str(problem)))
    names = dict.fromkeys(record.topic for record in records)
    async with admin(settings.kafka) as client:
        await make_missing(client, names, settings)
    async with connect_writer(
        settings.kafka,
        "streams-produce",
        lambda error: f"Kafka refuses what is written: {error}.",
        enable_idempotence=False,
    ) as producer:
        waiting = [
            await producer.send(record.topic, record.value, record.key) for record in records
        ]
        for record, answer in zip(records, waiting, strict=True):
            await answer
            produced.written[record.topic] += 1
    return produced
