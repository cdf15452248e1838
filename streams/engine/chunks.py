"""A chunk: up to some hundred records of one partition. A Faust event carries one or more.

Faust costs about 140 µs of CPU an event, whatever the event holds. Records are therefore handed
out in chunks, and at low rates the chunks of several partitions share an event.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol

import faust
from faust.types import TP
from faust.types.tuples import ConsumerMessage


class Record(Protocol):
    """A record as aiokafka's decoder returns it; the chunk has its topic and partition."""

    offset: int
    timestamp: int
    """Kafka time in ms."""
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


Records = Sequence[Record]


class Chunk:
    """Records of one partition that are handed out, and settled, together."""

    __slots__ = ("acked", "offset", "settled_below", "tp", "value")

    def __init__(self, tp: TP, records: Records) -> None:
        self.tp = tp
        self.value = records
        self.offset = records[-1].offset
        """The offset of the last record."""
        self.settled_below = records[0].offset
        """Every record of this chunk below this offset is settled."""
        self.acked = False

    def release(self) -> None:
        """Release the records; the agent keeps what it needs.

        The chunk itself may stay in the offset tracker for long, behind one that waits.
        """
        self.value = ()


class ChunksMessage(ConsumerMessage):
    """A Faust message whose value is a list of chunks of one topic.

    Partition and offset are those of the first chunk. It is never acked: each chunk is.
    """

    __slots__ = ()

    def __init__(self, chunks: Sequence[Chunk], generation: int) -> None:
        first = chunks[0]
        super().__init__(
            topic=first.tp.topic,
            partition=first.tp.partition,
            offset=first.offset,
            timestamp=first.value[0].timestamp / 1000.0,
            timestamp_type=first.value[0].timestamp_type,
            headers=None,
            key=None,
            value=chunks,
            checksum=None,
            serialized_key_size=0,
            serialized_value_size=0,
            tp=first.tp,
            generation_id=generation,
        )


def together(chunks: Iterable[Chunk], most_records: int) -> list[list[Chunk]]:
    """Group the chunks by topic, at most this many records a group; a larger chunk is alone."""
    groups: list[list[Chunk]] = []
    newest: dict[str, tuple[list[Chunk], int]] = {}
    for chunk in chunks:
        topic = chunk.tp.topic
        group, records = newest.get(topic, ([], 0))
        records += len(chunk.value)
        if not group or records > most_records:
            group, records = [], len(chunk.value)
            groups.append(group)
        group.append(chunk)
        newest[topic] = group, records
    return groups


class ChunkSchema(faust.Schema):
    """Hands chunks to the agent undecoded."""

    def compile(self, app: Any, **_: Any) -> Callable[..., Awaitable[Any]]:
        """Return Faust's decoder for this schema."""
        create_event = app.create_event

        async def decode(message: Any, *, propagate: bool = False) -> Any:  # noqa: ARG001
            return create_event(None, message.value, None, message)

        return decode
