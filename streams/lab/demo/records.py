"""The sample as records: what is written to which topic, and in which order."""

from collections.abc import AsyncIterator, Iterator

import msgspec

from streams.core.topics import Topics
from streams.lab.demo.sample import SampleEvent, SampleSessions
from streams.operations.produce import Outgoing, raw_topics

_encode = msgspec.json.encode


def table_records(sample: SampleSessions, topics: Topics) -> Iterator[Outgoing]:
    """The rows of ``shop.users`` and ``shop.products``; to be written before any event."""
    for key, row in sample.users:
        yield Outgoing(topics.users, key.encode(), _encode(row))
    for key, row in sample.products:
        yield Outgoing(topics.products, key.encode(), _encode(row))


def event_records(sample: SampleSessions, topics: Topics) -> Iterator[Outgoing]:
    """The events in the order of their times, the broken records spread evenly among them.

    Those of sources that are off are left out.
    """
    names = raw_topics(topics)
    broken = iter(sample.broken)
    events = events_on(sample, topics)
    every = len(events) // (len(sample.broken) + 1)
    for number, (kind, key, event) in enumerate(events, start=1):
        yield Outgoing(names[kind], key.encode(), _encode(event))
        if number % every == 0 and (one := next(broken, None)) is not None:
            yield Outgoing(names[one.kind], one.key, one.value)
    for one in broken:
        yield Outgoing(names[one.kind], one.key, one.value)


def events_on(sample: SampleSessions, topics: Topics) -> list[SampleEvent]:
    """The events of sources that are on."""
    return [event for event in sample.events if event.kind in topics.sources]


async def stream(records: Iterator[Outgoing]) -> AsyncIterator[Outgoing]:
    """The same records, as ``write_records`` takes them."""
    for record in records:
        yield record
