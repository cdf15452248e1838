"""The order of an audit's requests, against a relay that goes on between any two of them."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, NamedTuple, cast

import msgspec
import pytest
from aiokafka import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from streams.core.errors import SetupError
from streams.core.topics import Topics
from streams.kafka.reader import Commit, LogReader, Offsets, Tell, require
from streams.operations.audit.scan import scan
from tests.operations.audit_logs_in_memory import letter, receipt

TOPICS = Topics()
RAW = TopicPartition(TOPICS.clicks, 0)
EVENTS = TopicPartition(TOPICS.events("miso"), 0)
RECEIPTS = TopicPartition(TOPICS.receipts("miso"), 0)
LETTERS = TopicPartition(TOPICS.dead_letters("miso"), 0)
GIVEN_UP = TopicPartition(TOPICS.enrich_dead_letters, 0)


class Record(NamedTuple):
    """What a reader looks at in a record."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class LivingLogs:
    """Logs in memory of a relay that takes some steps before each answer it gives."""

    def __init__(self, steps: Sequence[int]) -> None:
        names = [spec.name for spec in TOPICS.specs(["miso"], 1)]
        self.logs: dict[TopicPartition, list[Record]] = {TopicPartition(n, 0): [] for n in names}
        self.log_starts: dict[TopicPartition, int] = {}
        self.committed = {"streams-enrich": {RAW: 0}, "streams-miso": {EVENTS: 0}}
        self._steps = iter(steps)
        self._enriched = self._sent = 0
        self._count = 0

    def write(self, tp: TopicPartition, value: bytes, source: str | None = None) -> None:
        """Append a record."""
        headers = () if source is None else (("source", source.encode()),)
        log = self.logs[tp]
        log.append(Record(tp.topic, tp.partition, len(log), 1, value, headers))

    def step(self) -> None:
        """Do the next thing that a busy shop and its relay do, one record or commit at a time."""
        self._count += 1
        match self._count % 6:
            case 0 | 1 | 2:
                self.write(RAW, b"{}")
            case 3 | 4:
                self._enrich()
            case _:
                self._send()

    def _enrich(self) -> None:
        if self._enriched > self.committed["streams-enrich"][RAW] + 1:
            self.committed["streams-enrich"][RAW] = self._enriched
        elif self._enriched < len(self.logs[RAW]):
            source = f"{RAW.topic}/0/{self._enriched}"
            match self._enriched % 4:
                case 0:
                    self.write(GIVEN_UP, msgspec.json.encode(letter(source, "enrich", "empty")))
                case 1:
                    skip = receipt(source, "skipped", None, reason="no_consent")
                    self.write(RECEIPTS, msgspec.json.encode(skip))
                case _:
                    self.write(EVENTS, b"{}", source)
            self._enriched += 1

    def _send(self) -> None:
        if self._sent > self.committed["streams-miso"][EVENTS]:
            self.committed["streams-miso"][EVENTS] = self._sent
        elif self._sent < len(self.logs[EVENTS]):
            record = self.logs[EVENTS][self._sent]
            source = record.headers[0][1].decode()
            outcome = "dead_lettered" if self._sent % 3 == 0 else "accepted"
            if outcome == "dead_lettered":
                self.write(LETTERS, msgspec.json.encode(letter(source, "deliver", "rejected")))
            self.write(RECEIPTS, msgspec.json.encode(receipt(source, outcome, self._sent)))
            self._sent += 1

    def _go_on(self) -> None:
        for _ in range(next(self._steps, 0)):
            self.step()

    async def partitions(
        self,
        topics: Iterable[str],
        needed: Iterable[str] = (),
    ) -> dict[str, list[TopicPartition]]:
        """As LogReader."""
        self._go_on()
        found = {t: [tp] if (tp := TopicPartition(t, 0)) in self.logs else [] for t in topics}
        require(needed, found)
        return found

    async def starts(self, tps: Sequence[TopicPartition], since_ms: int | None = None) -> Offsets:  # noqa: ARG002
        """As LogReader."""
        self._go_on()
        return {tp: self.log_starts.get(tp, 0) for tp in tps}

    async def ends(self, tps: Sequence[TopicPartition]) -> Offsets:
        """As LogReader."""
        self._go_on()
        return {tp: len(self.logs[tp]) for tp in tps}

    async def commits(
        self, group: str, tps: Sequence[TopicPartition]
    ) -> dict[TopicPartition, Commit]:
        """As LogReader."""
        self._go_on()
        return {tp: Commit(o, "") for tp, o in self.committed[group].items() if tp in tps}

    async def read(
        self,
        starts: Offsets,
        ends: Offsets,
        tell: Tell,  # noqa: ARG002
    ) -> AsyncIterator[tuple[TopicPartition, list[Any]]]:
        """As LogReader."""
        self._go_on()
        for tp, end in ends.items():
            yield tp, list(self.logs[tp][starts[tp] : end])


async def audit_of(logs: LivingLogs) -> Any:
    """Audit these logs."""
    return await scan(
        cast("LogReader", logs),
        TOPICS,
        ["miso"],
        since_ms=None,
        keep_ids=False,
        tell=lambda _topic, _read, _total: None,
    )


@given(st.lists(st.integers(0, 40), min_size=30, max_size=30), st.integers(0, 200))
async def test_a_relay_that_goes_on_during_the_audit_balances(
    steps: list[int], before: int
) -> None:
    """However far shop and relay get between two requests, no event is missing or unexplained."""
    logs = LivingLogs(steps)
    for _ in range(before):
        logs.step()
    report = await audit_of(logs)
    assert report.balanced, report
    assert report.vendors[0].raw >= len(range(before)) // 2 - 3


async def test_a_topic_that_does_not_exist_is_named() -> None:
    """The sentence names what is missing and the command that makes it."""
    logs = LivingLogs([])
    del logs.logs[EVENTS]
    with pytest.raises(SetupError, match=r"vendor\.miso\.events.*streams topics create"):
        await audit_of(logs)


async def test_what_cannot_be_read_in_a_topic_breaks_the_books() -> None:
    """Garbage in any topic of the relay is counted with its place, never passed over."""
    for tp in (EVENTS, RECEIPTS, LETTERS):
        logs = LivingLogs([])
        logs.write(tp, b"garbage")
        report = await audit_of(logs)
        assert not report.balanced
        assert report.vendors[0].unreadable == 1
        assert report.vendors[0].examples[0].where == f"{tp.topic}/0/0"
    logs = LivingLogs([])
    logs.write(GIVEN_UP, b"garbage")
    report = await audit_of(logs)
    assert (report.balanced, report.unreadable) == (False, 1)


async def test_what_was_read_while_a_source_was_on_stays_in_the_books() -> None:
    """Its raw records up to the commit and what waits at a vendor; what lies behind is said."""
    orders = TopicPartition(TOPICS.of_shop("orders"), 0)
    logs = LivingLogs([])
    logs.logs[orders] = []
    for _ in range(5):
        logs.write(orders, b"{}")
    logs.committed["streams-enrich"][orders] = 3
    for offset in (0, 1):
        logs.write(EVENTS, b"{}", f"shop.orders/0/{offset}")
    logs.write(RECEIPTS, msgspec.json.encode(receipt("shop.orders/0/0", "accepted", 0)))
    logs.write(GIVEN_UP, msgspec.json.encode(letter("shop.orders/0/2", "enrich", "empty")))
    logs.committed["streams-miso"][EVENTS] = 1
    report = await audit_of(logs)
    books = report.vendors[0]
    assert report.balanced, report
    assert (report.raw, report.not_read) == (
        {**dict.fromkeys(TOPICS.raw, 0), orders.topic: 3},
        {orders.topic: 2},
    )
    assert (books.raw, books.enrich_dead_lettered, books.accepted, books.waiting) == (3, 1, 1, 1)
    # Retention goes on; nothing expires that nobody was to read.
    logs.log_starts[orders] = 4
    report = await audit_of(logs)
    assert report.balanced, report
    assert (report.vendors[0].gone, report.not_read) == (0, {orders.topic: 1})
    del logs.committed["streams-enrich"][orders]
    report = await audit_of(logs)
    assert (report.balanced, report.vendors[0].raw) == (True, 0), report


async def test_what_is_about_a_topic_that_is_gone_with_its_source_is_passed_over() -> None:
    """Its vendor records, receipts and letters stay a while."""
    logs = LivingLogs([])
    source = "shop.orders/0/0"
    logs.write(EVENTS, b"{}", source)
    logs.write(RECEIPTS, msgspec.json.encode(receipt(source, "accepted", 0)))
    logs.write(LETTERS, msgspec.json.encode(letter(source, "deliver", "rejected")))
    logs.write(GIVEN_UP, msgspec.json.encode(letter(source, "enrich", "invalid_json")))
    logs.committed["streams-miso"][EVENTS] = 1
    report = await audit_of(logs)
    assert report.balanced, report
    assert (report.vendors[0].raw, report.vendors[0].receipts) == (0, 0)
