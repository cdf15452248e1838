"""Outputs: order, full batches and the broker's word, with a producer that remembers."""

import asyncio
from collections import defaultdict
from typing import Any, NamedTuple

import pytest
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder

from streams.engine.errors import EngineError
from streams.engine.outputs import Outputs


class Written(NamedTuple):
    """What aiokafka says of a batch."""

    offset: int


class FakeProducer:
    """Aiokafka's producer with logs in memory; small batches."""

    def __init__(self, batch_bytes: int = 200) -> None:
        self.log: dict[tuple[str, int], int] = defaultdict(int)
        self.batches: list[tuple[str, int, int]] = []
        """Topic, partition and records of each batch, in the order of sending."""
        self.fails_from: int | None = None
        self._batch_bytes = batch_bytes

    def create_batch(self) -> BatchBuilder:
        """Return a real builder."""
        return BatchBuilder(self._batch_bytes, 0)

    async def send_batch(
        self, batch: BatchBuilder, topic: str, *, partition: int
    ) -> "asyncio.Future[Written]":
        """Append to the log, or fail from some batch on."""
        assert batch.closed()
        future: asyncio.Future[Written] = asyncio.get_running_loop().create_future()
        if self.fails_from is not None and len(self.batches) >= self.fails_from:
            future.set_exception(MessageSizeTooLargeError())
        else:
            future.set_result(Written(self.log[topic, partition]))
        self.log[topic, partition] += batch.record_count()
        self.batches.append((topic, partition, batch.record_count()))
        return future


def outputs(producer: Any) -> Outputs:
    """New outputs of this producer."""
    return Outputs(producer, on_failure=said.append)


said: list[str] = []
"""What was said of batches that were given up, ends of the process left out."""


async def test_each_partition_has_its_batches_and_offsets_in_order() -> None:
    """A full batch is followed by another one."""
    producer = FakeProducer()
    producer.log["t", 0] = 100
    made = outputs(producer)
    for number in range(10):
        made.append("t", number % 2, b"k", b"x" * 40)
    assert made
    delivery = await made.send()
    assert not made
    written = await delivery.acknowledged()
    assert producer.batches == [
        *(("t", 0, 2), ("t", 0, 2), ("t", 0, 1)),
        *(("t", 1, 2), ("t", 1, 2), ("t", 1, 1)),
    ]
    assert written["t", 0] == [range(100, 102), range(102, 104), range(104, 105)]
    assert written["t", 1] == [range(2), range(2, 4), range(4, 5)]


async def test_without_records_nothing_is_sent() -> None:
    """And nothing needs to be waited for."""
    producer = FakeProducer()
    assert await (await outputs(producer).send()).acknowledged() == {}
    assert producer.batches == []


async def test_headers_and_missing_keys_are_taken() -> None:
    """As those of letters about records without a key."""
    producer = FakeProducer()
    made = outputs(producer)
    made.append("t", 0, None, b"v", [("source", b"a/0/1")])
    await (await made.send()).acknowledged()
    assert producer.batches == [("t", 0, 1)]


async def test_a_record_larger_than_a_batch_travels_alone() -> None:
    """Whether the topic takes it is the broker's word; sizes are checked before."""
    producer = FakeProducer()
    made = outputs(producer)
    for size in (1, 300, 1):
        made.append("t", 0, None, b"x" * size)
    await (await made.send()).acknowledged()
    assert producer.batches == [("t", 0, 1), ("t", 0, 1), ("t", 0, 1)]


async def test_one_refused_batch_is_an_error_of_the_whole_delivery() -> None:
    """Nothing of the chunk may then count as written."""
    producer = FakeProducer()
    producer.fails_from = 1
    made = outputs(producer)
    for _ in range(3):
        made.append("t", 0, None, b"x" * 90)
    said.clear()
    with pytest.raises(EngineError, match=r"writing to t/0 failed: .*MessageSizeTooLarge"):
        await (await made.send()).acknowledged()
    await asyncio.sleep(0)
    assert len(said) == 2  # the second batch and the third
    assert said[0].startswith("writing to t/0 failed: MessageSizeTooLargeError(")
    assert said[0].endswith("; starting again from the last commit")
