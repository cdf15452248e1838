"""One vendor's share of a run: what is written, how far ahead, what is counted, and when."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import pytest
from aiokafka import TopicPartition

from streams.core.enrich import Refuse, Send, Skip
from streams.core.errors import InvalidEvent
from streams.core.outcome import SkipReason
from streams.core.records import TopicRecord
from streams.core.runs import Asked, Run, VendorPart
from streams.core.topics import Topics
from streams.replay import vendor_run as replay_part
from streams.replay.planner import Judgement, Left
from streams.replay.run_pages import RecordPage, Task
from streams.replay.vendor_run import LEAD_RECORDS, PartRunner

CLICKS = TopicPartition("shop.clicks", 0)
REDELIVERY = "vendor.miso.redelivery"
SENT = Send("miso", b"{}", "row")


class Broker:
    """Takes batches in the order in which they are sent; can refuse."""

    def __init__(self) -> None:
        self.records: list[tuple[str, bytes | None, dict[str, bytes]]] = []
        self.sends: list[list[str]] = []
        """The topics of each send."""
        self.is_down = False

    def of(self, topic: str) -> list[str]:
        """The sources of what a topic has."""
        return [headers["source"].decode() for name, _, headers in self.records if name == topic]


class Outputs:
    """``engine.Outputs`` with the fake broker behind it."""

    def __init__(self, broker: Any) -> None:
        self._broker: Broker = broker
        self._records: list[tuple[str, int, bytes | None, dict[str, bytes]]] = []

    def __bool__(self) -> bool:
        return bool(self._records)

    def append(
        self, topic: str, partition: int, _key: Any, value: Any, headers: Any = None
    ) -> None:
        """Keep it until it is sent."""
        self._records.append((topic, partition, value, dict(headers or [])))

    async def send(self) -> "Outputs":
        """Be one's own delivery."""
        if self._broker.is_down:
            raise ConnectionError
        return self

    async def acknowledged(self) -> dict[tuple[str, int], list[range]]:
        """Return the offsets, counted by topic."""
        found: dict[tuple[str, int], list[range]] = {}
        self._broker.sends.append([topic for topic, *_ in self._records])
        for topic, partition, value, headers in self._records:
            at = sum(name == topic for name, *_ in self._broker.records)
            self._broker.records.append((topic, value, headers))
            found.setdefault((topic, partition), []).append(range(at, at + 1))
        return found


class Pages:
    """Work that is there already."""

    def __init__(self, *pages: RecordPage) -> None:
        self.pages = list(pages)

    def open_partitions(self) -> set[int]:
        """Partition 0 while there are pages."""
        return {0} if self.pages else set()

    def unread(self) -> int:
        """None of this is asked here."""
        return 0

    async def next_pages(
        self, _partitions: Collection[int], _max_records: int, _now_ms: int
    ) -> list[RecordPage]:
        """Return the next page."""
        return [self.pages.pop(0)]


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    """A broker that the runner writes to."""
    monkeypatch.setattr(replay_part, "Outputs", Outputs)
    return Broker()


def page(first: int, *judgements: Judgement) -> RecordPage:
    """Tasks from this raw offset on; the event has the id ``e``."""
    tasks = [
        Task(TopicRecord("shop.clicks", 0, offset, 1_000 + offset, b"anna", b"raw"), one, "e")
        for offset, one in enumerate(judgements, first)
    ]
    return RecordPage(CLICKS, first + len(tasks), tasks)


def no_event(offset: int, error: InvalidEvent) -> RecordPage:
    """A record that is no event."""
    tp, upto, (task,) = page(offset, Refuse("miso", error))
    return RecordPage(tp, upto, [task._replace(event_id=None)])


def runner(
    broker: Any,
    *pages: RecordPage,
    written: dict[str, set[int]] | None = None,
    end: int = 0,
    **asked: Any,
) -> PartRunner:
    """The only part of a run, at its beginning."""
    part = VendorPart("miso", written_to={"0": 0})
    run = Run("r-1", Asked(**({"command": "replay"} | asked)), "then", "now", parts=[part])
    return PartRunner(
        run,
        part,
        Topics(),
        Pages(*pages),
        broker,
        written=written or {},
        ends={0: end},
        fields={"shop.clicks": None},
    )


async def turns() -> None:
    """Let all that can go on go on."""
    for _ in range(100):
        await asyncio.sleep(0)


async def nothing(_page: RecordPage) -> None:
    """Nothing is to be done once a page is written."""


async def test_each_judgement_leaves_its_traces_and_is_counted_once(broker: Broker) -> None:
    """Redeliveries with their headers, receipts of skips and refusals, letters before these."""
    error = InvalidEvent("invalid_payload", "too long", "page.url")
    skip, refuse = Skip("miso", SkipReason.NO_CONSENT), Refuse("miso", error)
    known = page(5, SENT, Left("miso", "already_accepted"), skip, refuse)
    one = runner(broker, known, no_event(9, error))
    await one.write(nothing)
    part = one.part
    assert (part.selected, part.sent, part.all_written) == (5, 1, True)
    assert part.left == {"already_accepted": 1}
    assert part.skipped == {"no_consent": 1}
    assert part.refused == {"invalid_payload": 2}
    assert part.positions == {"shop.clicks/0": 10}
    assert part.written_to == {"0": 1}
    receipts, letters = "vendor.miso.receipts", "vendor.miso.dead-letters"
    assert broker.sends == [[letters], [REDELIVERY, receipts, receipts]]
    (headers,) = (headers for topic, _, headers in broker.records if topic == REDELIVERY)
    assert headers == {
        "source": b"shop.clicks/0/5",
        "consent": b"row",
        "source-time": b"1005",
        "run-id": b"r-1",
    }


async def test_what_is_still_no_event_is_a_new_letter_only_where_letters_are_sent_again(
    broker: Broker,
) -> None:
    """A replay meets what enrichment gave up on long ago, whose letters are there."""
    error = InvalidEvent("invalid_json", "not JSON")
    await runner(broker, no_event(0, error)).write(nothing)
    assert broker.records == []
    await runner(broker, no_event(0, error), command="resend").write(nothing)
    assert [topic for topic, *_ in broker.records] == ["enrich.dead-letters"]


async def test_no_more_is_written_than_the_lead_allows(broker: Broker) -> None:
    """Until the sink has settled what is ahead."""
    pages = [page(number * 1_000, *[SENT] * 1_000) for number in range(4)]
    one = runner(broker, *pages)
    writing = asyncio.create_task(one.write(nothing))
    await turns()
    assert (one.part.sent, LEAD_RECORDS) == (2_000, 2_000)
    assert not one.is_passed()
    one.committed = {0: 999}
    one.changed.set()
    await turns()
    assert one.part.sent == 2_000
    one.committed = {0: 1_000}
    one.changed.set()
    await turns()
    assert one.part.sent == 3_000
    one.committed = {0: 3_000}
    one.changed.set()
    await writing
    assert one.part.sent == 4_000
    one.committed = {0: 4_000}
    assert one.is_passed()


async def test_a_stopped_part_writes_nothing_more(broker: Broker) -> None:
    """Nor does it call itself all written."""
    one = runner(broker, page(0, SENT), page(1, SENT))

    async def stop(_page: RecordPage) -> None:
        one.is_stopped = True

    await one.write(stop)
    assert (one.part.sent, one.part.all_written) == (1, False)


async def test_what_an_earlier_process_wrote_is_counted_and_not_written_again(
    broker: Broker,
) -> None:
    """Until all of it is counted, the record of the run goes on naming where it begins."""
    pages = (page(5, SENT, SENT), page(7, SENT, Left("miso", "waiting"), SENT))
    one = runner(broker, *pages, written={"shop.clicks/0": {5, 6, 7}}, end=3)
    named: list[dict[str, int]] = []

    async def note(_page: RecordPage) -> None:
        named.append(dict(one.part.written_to))

    await one.write(note)
    assert broker.of(REDELIVERY) == ["shop.clicks/0/9"]
    assert one.part.sent == 4
    assert named == [{"0": 0}, {"0": 0}]
    assert one.part.written_to != {"0": 0}


@pytest.mark.parametrize("fails", ["broker", "afterwards"])
async def test_nothing_is_counted_that_is_not_done(broker: Broker, fails: str) -> None:
    """Then the run goes on from the page before, and finds what was written."""
    one = runner(broker, page(0, SENT))
    broker.is_down = fails == "broker"

    async def fail(_page: RecordPage) -> None:
        raise ConnectionError

    written: Callable[[RecordPage], Awaitable[None]] = fail
    with pytest.raises(ConnectionError):
        await one.write(written)
    assert (one.part.sent, one.part.positions, one.part.written_to) == (0, {}, {"0": 0})


async def test_a_rate_spreads_what_is_written(broker: Broker) -> None:
    """The page after ten events waits until these ten are due; the last page delays nothing."""
    pages = (page(0, *[SENT] * 10), page(10, Left("miso", "waiting")), page(11, *[SENT] * 1_000))
    begun = asyncio.get_running_loop().time()
    await asyncio.wait_for(runner(broker, *pages, rate=100.0).write(nothing), 5)
    assert asyncio.get_running_loop().time() - begun >= 0.1


async def test_a_stop_is_obeyed_at_once_whatever_the_rate(broker: Broker) -> None:
    """It does not wait until the next event is due, and nothing more is written."""
    one = runner(broker, page(0, SENT), page(1, SENT), rate=0.001)
    writing = asyncio.create_task(one.write(nothing))
    await turns()
    assert one.part.sent == 1
    one.is_stopped = True
    one.changed.set()
    await asyncio.wait_for(writing, 5)
    assert (one.part.sent, one.part.all_written) == (1, False)
