"""The sample as records: what is written to which topic, and in which order."""

from collections.abc import AsyncIterator, Iterator

import msgspec

from streams.core.topics import Topics
from streams.lab.demo.sample import SampleSessions
from streams.operations.produce import Outgoing, raw_topics

_encode = msgspec.json.encode


def table_records(sample: SampleSessions, topics: Topics) -> Iterator[Outgoing]:
    """The rows of ``shop.users`` and ``shop.products``; to be written before any event."""
    for key, row in sample.users:
        yield Outgoing(topics.users, key.encode(), _encode(row))
    for key, row in sample.products:
        yield Outgoing(topics.products, key.encode(), _encode(row))


def event_records(sample: SampleSessions, topics: Topics) -> Iterator[Outgoing]:
    """The events in the order of their times, the broken records spread evenly among them."""
    names = raw_topics(topics)
    broken = iter(sample.broken)
    every = len(sample.events) // (len(sample.broken) + 1)
    for number, (kind, key, event) in enumerate(sample.events, start=1):
        yield Outgoing(names[kind], key.encode(), _encode(event))
        if number % every == 0 and (one := next(broken, None)) is not None:
            yield Outgoing(names[one.kind], one.key, one.value)
    for one in broken:
        yield Outgoing(names[one.kind], one.key, one.value)


async def stream(records: Iterator[Outgoing]) -> AsyncIterator[Outgoing]:
    """The same records, as ``write_records`` takes them."""
    for record in records:
        yield record
