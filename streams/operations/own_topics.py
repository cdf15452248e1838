"""Writes JSON lines to topics of the shop's own, as its producers would: to try things out."""

from collections.abc import AsyncIterable
from typing import NamedTuple

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
        key = msgspec.json.decode(bytes(found.key))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise NotNamedError('is not {"topic", "key", "value"}') from problem
    value = bytes(found.value)
    key_bytes = key.encode() if isinstance(key, str) else bytes(found.key)
    return Outgoing(
        found.topic, None if key is None else key_bytes, None if value == b"null" else value
    )


class _Numbered(NamedTuple):
    number: int
    record: Outgoing


async def produce_own(settings: Settings, lines: AsyncIterable[bytes]) -> Produced:
    """Write every line that names a topic, and make topics that are not there.

    Raises SetupError where the brokers do not answer or refuse.
    """
    produced = Produced()
    records: list[_Numbered] = []
    number = 0
    async for line in lines:
        number += 1
        if not line.strip():
            continue
        try:
            records.append(_Numbered(number, parse_own_line(line)))
        except NotNamedError as problem:
            produced.bad.append((number, str(problem)))
    names = dict.fromkeys(one.record.topic for one in records)
    async with admin(settings.kafka) as client:
        await make_missing(client, names, settings)
    async with connect_writer(
        settings.kafka,
        "streams-produce",
        lambda error: f"Kafka refuses what is written: {error}.",
        enable_idempotence=False,
    ) as producer:
        waiting = [
            (one, await producer.send(one.record.topic, one.record.value, one.record.key))
            for one in records
        ]
        for one, answer in waiting:
            await answer
            produced.written[one.record.topic] += 1
    return produced
