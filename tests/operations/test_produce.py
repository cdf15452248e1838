"""Producing: which topic and key a line gets, and that every line is accounted for."""

import json
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaConsumer

from streams.core.errors import SetupError
from streams.core.topics import Topics
from streams.kafka.topics import create_topics
from streams.lab.demo.records import event_records, stream, table_records
from streams.lab.demo.sample import load_sample
from streams.operations.produce import (
    Outgoing,
    delay_seconds,
    parse_line,
    run_produce,
    write_records,
)
from streams.settings import Settings, load_settings
from tests.broker_fixtures import Broker

TOPICS = Topics("x.")


@pytest.mark.parametrize(
    ("line", "outgoing"),
    [
        (
            b'{"anonymous_id":"v-1", "product_id":"1"}\n',
            Outgoing("x.shop.clicks", b"v-1", b'{"anonymous_id":"v-1", "product_id":"1"}'),
        ),
        (
            b'{"anonymous_id":"v-1","quantity":2}',
            Outgoing("x.shop.add-to-carts", b"v-1", b'{"anonymous_id":"v-1","quantity":2}'),
        ),
        (
            b'{"anonymous_id":"v-1","event_type":"add_to_cart"}',
            Outgoing(
                "x.shop.add-to-carts", b"v-1", b'{"anonymous_id":"v-1","event_type":"add_to_cart"}'
            ),
        ),
        (
            b'{"anonymous_id":"v-1","type":"click","quantity":1}',
            Outgoing(
                "x.shop.clicks", b"v-1", b'{"anonymous_id":"v-1","type":"click","quantity":1}'
            ),
        ),
        (
            b'{"topic":"clicks","value":{"anonymous_id": "\xc3\xa4"}}',
            Outgoing("x.shop.clicks", "ä".encode(), b'{"anonymous_id": "\xc3\xa4"}'),
        ),
        (
            b'{"topic":"shop.users","key":"v-1","value":{"consent":{"miso":true}}}',
            Outgoing("x.shop.users", b"v-1", b'{"consent":{"miso":true}}'),
        ),
        (
            b'{"topic":"x.shop.products","key":"1","value": null }',
            Outgoing("x.shop.products", b"1", None),
        ),
        (
            b'{"topic":"add-to-carts","key":null,"value":"text"}',
            Outgoing("x.shop.add-to-carts", None, b'"text"'),
        ),
        (
            b'\xef\xbb\xbf{"anonymous_id":"v-1"}\r\n',
            Outgoing("x.shop.clicks", b"v-1", b'{"anonymous_id":"v-1"}'),
        ),
        (
            b'{"anonymous_id":4711}',
            Outgoing("x.shop.clicks", b"4711", b'{"anonymous_id":4711}'),
        ),
        (
            b'{"topic":"products","key":4711.0,"value":{"sku":1}}',
            Outgoing("x.shop.products", b"4711", b'{"sku":1}'),
        ),
        (
            rb'{"anonymous_id":"v\ud83d"}',
            Outgoing("x.shop.clicks", b"v\xef\xbf\xbd", rb'{"anonymous_id":"v\ud83d"}'),
        ),
        (
            rb'{"topic":"clicks","value":{"sku":"\ud83d","anonymous_id":"v"}}',
            Outgoing("x.shop.clicks", b"v", rb'{"sku":"\ud83d","anonymous_id":"v"}'),
        ),
        (
            b'{"topic":"clicks","key":"v","value":{"price":' + b"9" * 5_000 + b"}}",
            Outgoing("x.shop.clicks", b"v", b'{"price":' + b"9" * 5_000 + b"}"),
        ),
        (
            b'{"anonymous_id":"v","a":' + b"[" * 200 + b"]" * 200 + b"}",
            Outgoing(
                "x.shop.clicks", b"v", b'{"anonymous_id":"v","a":' + b"[" * 200 + b"]" * 200 + b"}"
            ),
        ),
    ],
)
def test_a_line_says_topic_key_and_value(line: bytes, outgoing: Outgoing) -> None:
    """Envelopes and bare events; values keep their bytes."""
    assert parse_line(line, TOPICS) == outgoing


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{", "is not JSON: "),
        (b"\xff", "is not JSON: "),
        (b"[]", "is not a JSON object"),
        (b'{"product_id":"1"}', "has neither a key nor an anonymous_id to take it from"),
        (b'{"topic":"clicks"}', 'is not {"topic", "key", "value"}: '),
        (b'{"topic":"clicks","value":null}', "has neither a key nor an anonymous_id"),
        (b'{"topic":"users","value":{}}', "has no key, which a row of users needs"),
        (
            b'{"topic":"orders","key":"1","value":{}}',
            "names the topic 'orders'; this source is off: set [source.orders] enabled = true",
        ),
        (b'{"topic":"order","key":"1","value":{}}', "names the topic 'order', which is none of"),
        (b'{"type":"view"}', "has the type 'view', which is none of click, add_to_cart"),
        (b"[" * 1_000_000, "is not JSON: nested deeper than 128 levels"),
        (b'{"a":' * 1_000_000, "is not JSON: nested deeper than 128 levels"),
        (b'{"anonymous_id":"v","a":NaN}', "is not JSON: invalid character"),
        (b'{"topic":"clicks","key":[1],"value":{}}', 'is not {"topic", "key", "value"}: '),
        (b'{"topic":"clicks","key":1.5,"value":{}}', "has the key 1.5, which is neither text nor"),
        (b'{"topic":"clicks","value":[1]}', "has neither a key nor an anonymous_id"),
        (b'{"anonymous_id":{"a":1}}', "has neither a key nor an anonymous_id"),
        (
            b'{"anonymous_id":"v","type":"order"}',
            "has the type 'order'; this source is off: set [source.orders] enabled = true",
        ),
    ],
)
def test_a_bad_line_says_why(line: bytes, why: str) -> None:
    """One clause that fits behind its number."""
    with pytest.raises(ValueError, match=r".") as caught:
        parse_line(line, TOPICS)
    assert str(caught.value).startswith(why)


def test_the_rate_is_kept_without_catching_up_too_fast() -> None:
    """The tenth record at 5 a second is due after 2 seconds."""
    assert delay_seconds(10, 1.5, 5) == 0.5
    assert delay_seconds(10, 2.5, 5) == 0
    assert delay_seconds(10, 0, None) == 0


async def _given(*lines: bytes) -> AsyncIterator[bytes]:
    for line in lines:
        yield line


def _settings(broker: Broker, prefix: str) -> Settings:
    return load_settings(
        {
            "STREAMS_CONFIG": "/dev/null",
            "STREAMS_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
            "STREAMS_KAFKA_TOPIC_PREFIX": prefix,
            "STREAMS_KAFKA_PARTITIONS": "2",
        }
    )


async def test_lines_reach_the_broker_and_bad_ones_are_numbered(
    broker: Broker, prefix: str
) -> None:
    """What is counted as written can be read, from the partition that the key says."""
    settings = _settings(broker, prefix)
    await create_topics(settings)
    told: list[int] = []
    produced = await run_produce(
        settings,
        _given(
            b'{"anonymous_id": "visitor-1", "product_id": "1"}\n',
            b"\n",
            b"no json\n",
            b'{"topic": "users", "key": "visitor-1", "value": {}}\n',
            json.dumps({"anonymous_id": "visitor-2", "note": "x" * 2_000_000}).encode(),
            b'{"anonymous_id": "visitor-1", "quantity": 1}',
        ),
        tell=told.append,
    )
    topics = settings.topics
    assert produced.written == {topics.clicks: 1, topics.users: 1, topics.add_to_carts: 1}
    assert [number for number, _ in produced.bad] == [3, 5]
    assert produced.bad[1][1].startswith("was refused: ")
    assert told == [1, 2, 3]

    consumer = AIOKafkaConsumer(
        topics.clicks,
        topics.users,
        topics.add_to_carts,
        bootstrap_servers=broker.bootstrap_servers,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        records = [await consumer.getone() for _ in range(3)]
    finally:
        await consumer.stop()
    assert {record.key for record in records} == {b"visitor-1"}
    assert len({record.partition for record in records}) == 1


async def test_ids_are_told_and_what_will_not_count_is_warned_of(
    broker: Broker, prefix: str
) -> None:
    """An event's own id, one made of its place, a malformed row, an event that is none."""
    settings = _settings(broker, prefix)
    await create_topics(settings)
    event = {"anonymous_id": "v", "product_id": "p", "timestamp": 1_777_000_000_000}
    produced = await run_produce(
        settings,
        _given(
            json.dumps(event | {"event_id": "own-7"}).encode(),
            json.dumps(event).encode(),
            b'{"topic": "users", "key": "v", "value": {"Consent": 1}}',
            b'{"topic": "products", "key": "p", "value": null}',
            b'{"anonymous_id": "v", "product_id": "p"}',
        ),
    )
    topic = settings.topics.clicks
    partition = produced.ids[2][1].split("-")[-2]
    assert produced.ids == {1: (topic, "own-7"), 2: (topic, f"shop.clicks-{partition}-1")}
    assert produced.bad == []
    assert [(number, why.partition(":")[0]) for number, why in produced.doubtful] == [
        (3, "is a malformed row"),
        (5, "becomes a dead letter"),
    ]


async def test_a_missing_topic_is_named_with_the_command(broker: Broker, prefix: str) -> None:
    """Nothing is written, and no topic is made by asking for it."""
    settings = _settings(broker, prefix)
    with pytest.raises(SetupError) as caught:
        await run_produce(settings, _given(b'{"anonymous_id": "v"}'))
    assert str(caught.value).splitlines()[0] == (
        f"Topic {prefix}shop.clicks does not exist: run `streams topics create`."
    )


async def test_the_whole_sample_is_written(broker: Broker, prefix: str) -> None:
    """Every record of the demo, the broken ones byte for byte."""
    settings = _settings(broker, prefix)
    await create_topics(settings)
    sample = load_sample(1_795_000_000_000)
    rows = await write_records(settings, stream(table_records(sample, settings.topics)))
    events = await write_records(settings, stream(event_records(sample, settings.topics)))
    assert rows.bad == events.bad == []
    assert rows.written.total() == len(sample.users) + len(sample.products)
    assert events.written.total() == 852 + len(sample.broken)
