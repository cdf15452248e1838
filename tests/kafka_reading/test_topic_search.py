"""Searching batches: what is found in each codec, what is not decoded, what one answer leaves."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import TopicAuthorizationFailedError
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from streams.core.errors import SetupError
from streams.kafka.byte_patterns import AnyOf, Places
from streams.kafka.topic_search import BytePattern, Everything, FoundRecord, TopicSearch

TP = TopicPartition("shop.clicks", 0)
OTHER = TopicPartition("shop.clicks", 1)
CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


def batch(first: int, values: Iterable[bytes], codec: int = 0, transactional: int = 0) -> bytes:
    """Return a batch as it lies on a topic, its first record at this offset."""
    builder = DefaultRecordBatchBuilder(2, codec, transactional, -1, -1, -1, 1_000_000)
    for number, value in enumerate(values):
        builder.append(number, 1_777_000_000_000 + number, b"key", value, [("source", b"t/0/7")])
    made = builder.build()
    return first.to_bytes(8, "big") + bytes(made[8:])


class Log:
    """Stands in for aiokafka's client: batches by partition, so many a partition and answer."""

    def __init__(self, batches: dict[TopicPartition, list[bytes]], at_once: int = 1) -> None:
        self._batches = batches
        self._at_once = at_once
        self.codes: list[int] = []
        """Error codes of the next answers."""
        self.requests = 0
        self.log_start = 0
        self.updates = 0
        self.cluster = SimpleNamespace(leader_for_partition=lambda _tp: 1)

    async def send(self, _node: int, request: Any) -> Any:
        """Answer a fetch request."""
        self.requests += 1
        code = self.codes.pop(0) if self.codes else 0
        topics = []
        for topic, partitions in request.topics:
            answers = []
            for partition, offset, _limit in partitions:
                kept = [
                    one
                    for one in self._batches[TopicPartition(topic, partition)]
                    if _last(one) >= offset
                ]
                blob = b"".join(kept[: self._at_once])
                # The broker cuts the last batch where the answer is full.
                blob += kept[self._at_once][:40] if len(kept) > self._at_once else b""
                answer: tuple[Any, ...] = (99, self.log_start, [], b"" if code else blob)
                answers.append((partition, code, 99, *answer))
            topics.append((topic, answers))
        return SimpleNamespace(topics=topics, API_VERSION=10)

    async def force_metadata_update(self) -> None:
        """Count that it was asked to look again."""
        self.updates += 1


def _last(made: bytes) -> int:
    return int.from_bytes(made[:8], "big") + int.from_bytes(made[23:27], "big")


async def found(
    log: Log,
    byte_pattern: BytePattern,
    starts: dict[TopicPartition, int] | None = None,
    ends: dict[TopicPartition, int] | None = None,
) -> list[FoundRecord]:
    """Return all records that the search yields."""
    search = TopicSearch(cast("Any", log))
    starts = starts or {TP: 0}
    ends = ends or {TP: 6}
    return [
        record
        async for records in search.find(starts, ends, byte_pattern, lambda *_: None)
        for record in records
    ]


@pytest.mark.parametrize("codec", CODECS.values(), ids=list(CODECS))
async def test_only_batches_with_the_byte_pattern_are_decoded(codec: int) -> None:
    """In every codec, with key, value, headers, time and place."""
    filler = b"x" * 200
    log = Log(
        {
            TP: [
                batch(0, [b"a", filler], codec),
                batch(2, [b"the-byte_pattern", filler], codec),
                batch(4, [b"c", filler], codec),
            ]
        },
        at_once=2,
    )
    records = await found(log, AnyOf([b"absent", b"the-byte_pattern"]))
    assert [(r.tp, r.offset, r.value) for r in records] == [
        (TP, 2, b"the-byte_pattern"),
        (TP, 3, filler),
    ]
    assert records[0].key == b"key"
    assert records[0].timestamp == 1_777_000_000_000
    assert list(records[0].headers) == [("source", b"t/0/7")]
    assert not records[0].is_transactional
    assert log.requests == 2


async def test_bounds_within_a_batch_are_kept() -> None:
    """A batch is fetched whole; records before the start and from the end on are left out."""
    log = Log({TP: [batch(0, [b"a", b"b", b"c", b"d"])]})
    records = await found(log, Everything(), {TP: 1}, {TP: 3})
    assert [record.value for record in records] == [b"b", b"c"]


async def test_gaps_of_compaction_do_not_stop_it() -> None:
    """The next batch may begin much later, and the end may lie in a gap."""
    log = Log({TP: [batch(0, [b"a"]), batch(50, [b"b"])]})
    assert [r.offset for r in await found(log, Everything(), {TP: 0}, {TP: 51})] == [0, 50]


async def test_partitions_are_read_side_by_side() -> None:
    """Each to its own end."""
    log = Log({TP: [batch(0, [b"a"]), batch(1, [b"b"])], OTHER: [batch(0, [b"c"])]})
    records = await found(log, Everything(), {TP: 0, OTHER: 0}, {TP: 2, OTHER: 1})
    assert sorted((r.tp.partition, r.offset) for r in records) == [(0, 0), (0, 1), (1, 0)]
    assert log.requests == 2


async def test_nothing_to_read_asks_nobody() -> None:
    """Where the start is the end."""
    log = Log({TP: []})
    assert await found(log, Everything(), {TP: 6}, {TP: 6}) == []
    assert log.requests == 0


async def test_transactional_records_are_marked_and_markers_left_out() -> None:
    """Whether they count is for a reader of committed transactions to say."""
    control = bytearray(batch(1, [b"marker"], transactional=1))
    control[22] |= 0x20
    log = Log({TP: [batch(0, [b"a"], transactional=1), bytes(control)]}, at_once=2)
    records = await found(log, Everything(), {TP: 0}, {TP: 2})
    assert [(record.value, record.is_transactional) for record in records] == [(b"a", True)]


async def test_a_leader_that_moves_is_looked_for_again() -> None:
    """NOT_LEADER (6) is asked again after the metadata; nothing is lost."""
    log = Log({TP: [batch(0, [b"a"])]})
    log.codes = [6]
    assert [r.offset for r in await found(log, Everything(), {TP: 0}, {TP: 1})] == [0]
    assert log.updates == 1


async def test_what_retention_takes_meanwhile_is_skipped() -> None:
    """OFFSET_OUT_OF_RANGE (1) goes on where the log begins now."""
    log = Log({TP: [batch(4, [b"a"])]})
    log.codes, log.log_start = [1], 4
    assert [r.offset for r in await found(log, Everything(), {TP: 0}, {TP: 5})] == [4]


async def test_a_topic_that_may_not_be_read_is_an_error() -> None:
    """TOPIC_AUTHORIZATION_FAILED (29) is not asked again and again."""
    log = Log({TP: [batch(0, [b"a"])]})
    log.codes = [29]
    with pytest.raises(TopicAuthorizationFailedError):
        await found(log, Everything())


async def test_records_of_the_oldest_formats_are_refused() -> None:
    """They have another shape, and Kafka 4 has none left."""
    old = bytearray(batch(0, [b"a"]))
    old[16] = 1
    with pytest.raises(SetupError, match="oldest formats"):
        await found(Log({TP: [bytes(old)]}), Everything())


async def test_single_records_are_read_by_their_offsets() -> None:
    """Far apart, from several partitions, each once; what is not there is left out."""
    log = Log({TP: [batch(0, [b"a", b"b"]), batch(7, [b"c"])], OTHER: [batch(3, [b"d"])]})
    search = TopicSearch(cast("Any", log))
    records = await search.read({TP: [7, 1, 1], OTHER: [3]}, lambda *_: None)
    assert sorted((r.tp.partition, r.offset, r.value) for r in records) == [
        (0, 1, b"b"),
        (0, 7, b"c"),
        (1, 3, b"d"),
    ]
    assert search.records == 3


def test_places_are_found_in_headers_receipts_and_letters() -> None:
    """By partition and offset, never by a part of a number."""
    places = Places([(3, 1042), (0, 5)])

    def has(text: bytes) -> bool:
        return places.is_in(text, 0, len(text))

    assert has(b'"source":"shop.clicks/3/1042"')
    assert has(b"shop.add-to-carts/0/5")
    assert has(b'{"topic":"t","partition":3,"offset":1042,"timestamp":1}')
    assert not has(b"shop.clicks/3/10421")
    assert not has(b"shop.clicks/13/1042")
    assert not has(b"shop.clicks/3/5")
    assert not places.is_in(b"shop.clicks/3/1042", 0, 15)
