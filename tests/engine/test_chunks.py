"""Which chunks travel in one event."""

from types import SimpleNamespace
from typing import Any

from faust.types import TP

from streams.engine.chunks import Chunk, together


def chunk(topic: str, partition: int, records: int) -> Chunk:
    """Return a chunk of so many records."""
    made: list[Any] = [SimpleNamespace(offset=offset) for offset in range(records)]
    return Chunk(TP(topic, partition), made)


def groups(*chunks: Chunk) -> list[list[tuple[str, int]]]:
    """Return topics and partitions of what travels together, 500 records at most."""
    return [
        [(each.tp.topic, each.tp.partition) for each in group] for group in together(chunks, 500)
    ]


def test_small_chunks_of_a_topic_travel_together() -> None:
    """Those of another topic by themselves: another agent may read it."""
    assert groups(chunk("clicks", 0, 3), chunk("carts", 0, 1), chunk("clicks", 1, 2)) == [
        [("clicks", 0), ("clicks", 1)],
        [("carts", 0)],
    ]


def test_no_more_records_travel_together_than_a_chunk_may_have() -> None:
    """So that under load an agent comes back to the loop as often as before."""
    assert groups(chunk("clicks", 0, 500), chunk("clicks", 1, 300), chunk("clicks", 2, 200)) == [
        [("clicks", 0)],
        [("clicks", 1), ("clicks", 2)],
    ]


def test_a_larger_chunk_travels_alone() -> None:
    """Somebody may set its records higher."""
    assert groups(chunk("clicks", 0, 600), chunk("clicks", 1, 1)) == [
        [("clicks", 0)],
        [("clicks", 1)],
    ]


def test_nothing_travels_where_there_is_nothing() -> None:
    """No event without a chunk."""
    assert groups() == []
