"""Topics that are read again and again."""

from aiokafka import TopicPartition

from streams.kafka.reader import Following
from tests.operations.log_reader_in_memory import LogsInMemory, record

TP = TopicPartition("streams.status", 0)


async def news(following: Following, logs: LogsInMemory) -> list[bytes | None]:
    """The values of what has come since."""
    return [one.value async for some in following.news(logs) for one in some]  # type: ignore[arg-type]


async def test_each_reading_goes_on_where_the_last_one_ended() -> None:
    """Nothing is read twice, and nothing is left out."""
    logs = LogsInMemory(record(TP.topic, 0, b"0"), record(TP.topic, 1, b"1"))
    following = Following({TP: 0})
    assert await news(following, logs) == [b"0", b"1"]
    assert await news(following, logs) == []
    logs.logs[TP.topic][2] = record(TP.topic, 2, b"2")
    assert await news(following, logs) == [b"2"]


async def test_a_topic_that_was_recreated_is_read_from_its_beginning() -> None:
    """Its end lies below what was read; otherwise all would be silent until it is reached."""
    logs = LogsInMemory(*(record(TP.topic, n, b"old") for n in range(5)))
    following = Following({TP: 0})
    await news(following, logs)
    logs.logs[TP.topic] = {0: record(TP.topic, 0, b"new")}
    assert await news(following, logs) == [b"new"]
    assert await news(following, logs) == []
