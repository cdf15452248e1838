"""A chunk: up to some hundred records of one partition, carried by one Faust event.

Faust costs about 140 µs of CPU an event whatever the event holds, so records travel together;
agents, groups and commits stay Faust's, and its share per record vanishes.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import faust
from faust.types import TP
from faust.types.tuples import ConsumerMessage


class Record(Protocol):
    """A record as aiokafka's decoder makes it; its topic and partition are the chunk's."""

    offset: int
    timestamp: int
    """Kafka time in ms."""
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


Records = Sequence[Record]


class ChunkMessage(ConsumerMessage):
    """The Faust message of one chunk; its offset is its last record's."""

    __slots__ = ("settled_below",)

    def __init__(self, tp: TP, records: Records, generation: int) -> None:
        first, last = records[0], records[-1]
        super().__init__(
            topic=tp.topic,
            partition=tp.partition,
            offset=last.offset,
            timestamp=first.timestamp / 1000.0,
            timestamp_type=first.timestamp_type,
            headers=None,
            key=None,
            value=records,
            checksum=None,
            serialized_key_size=0,
            serialized_value_size=0,
            tp=tp,
            generation_id=generation,
        )
        self.settled_below = first.offset
        """Every record of this chunk below this offset is settled."""

    def let_go(self) -> None:
        """Drop the records: whoever took them keeps what is needed of them.

        The chunk itself may stay in the ledger for long, behind one that waits.
        """
        self.value = ()  # type: ignore[misc]


class ChunkSchema(faust.Schema):
    """Hands a chunk's records to the agent untouched: decoding is the agent's pure code."""

    def compile(self, app: Any, **_: Any) -> Callable[..., Awaitable[Any]]:
        """Return Faust's decoder for this schema."""
        create_event = app.create_event

        async def decode(message: Any, *, propagate: bool = False) -> Any:  # noqa: ARG001
            return create_event(None, message.value, None, message)

        return decode
