"""Where a window lies: borders, times out of order, deleted beginnings, whose receipts count."""

import json

import pytest
from aiokafka import TopicPartition

from streams.core.topics import Topics
from streams.kafka.reader import Commit
from streams.replay import window as replay_window
from streams.replay.delivery_history import Last, read_history
from streams.replay.window import find_window
from tests.operations.log_reader_in_memory import LogsInMemory, record

T = 1_777_622_400_000
HOUR_MS = 3_600_000
CLICKS = TopicPartition("shop.clicks", 0)


def clicks(*times: int, first: int = 0, starts: int = 0) -> LogsInMemory:
    """Clicks of these Kafka times, relative to T."""
    records = [
        record(CLICKS.topic, offset, b"{}", at_ms=T + at) for offset, at in enumerate(times, first)
    ]
    return LogsInMemory(*records, starts={CLICKS.topic: starts})


async def inside(logs: LogsInMemory, from_: int, to: int) -> list[int]:
    """The offsets of the records that a window of these times is found to have."""
    window = await find_window(logs, Topics(), T + from_, T + to, names=[CLICKS.topic])  # type: ignore[arg-type]
    return [
        one.offset
        async for _, records in logs.read(window.starts, window.stops)
        for one in records
        if window.has(one.timestamp)
    ]


@pytest.mark.parametrize(
    ("times", "offsets"),
    [
        ((-1, 0, 1, 9, 10, 11), [1, 2, 3]),
        ((-1, 12, 0, 30, 9, 40), [2, 4]),
        ((10, 9, 8), [1, 2]),
        ((-5, -4), []),
        ((10, 11), []),
        ((), []),
    ],
)
async def test_a_window_has_each_record_from_its_first_to_before_its_last_millisecond(
    times: tuple[int, ...], offsets: list[int]
) -> None:
    """However the times lie in the log."""
    assert await inside(clicks(*times), 0, 10) == offsets


async def test_a_beginning_that_retention_has_deleted_is_noted() -> None:
    """Only where the log begins inside the window or behind its beginning."""
    for starts, is_cut in ((0, False), (2, True)):
        logs = clicks(0, 1, 2, 3, starts=starts)
        window = await find_window(logs, Topics(), T, T + 10, names=[CLICKS.topic])  # type: ignore[arg-type]
        assert bool(window.cut) is is_cut
    logs = clicks(-9, -8, 2, 3, starts=1)
    window = await find_window(logs, Topics(), T, T + 10, names=[CLICKS.topic])  # type: ignore[arg-type]
    assert window.cut == []


async def test_far_behind_the_window_only_records_of_a_day_are_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where there are too many others; it is noted how late one may be."""
    monkeypatch.setattr(replay_window, "LOOKED_AT_BEYOND", 3)
    late = 25 * HOUR_MS
    logs = clicks(0, 20, 5, late, late + 1, 6)
    window = await find_window(logs, Topics(), T, T + 10, names=[CLICKS.topic])  # type: ignore[arg-type]
    assert (window.stops[CLICKS], window.late_ms) == (3, 24 * HOUR_MS)
    assert await inside(logs, 0, 10) == [0, 2]


async def test_receipts_are_found_of_records_whose_producers_clock_was_ahead() -> None:
    """They are older than the record's own time; its neighbours tell when it was written."""
    ahead = 5 * HOUR_MS
    logs = clicks(0, ahead, 2, 3)
    value = {"outcome": "accepted", "source": "shop.clicks/0/1"}
    receipt = record("vendor.miso.receipts", 0, json.dumps(value).encode(), at_ms=T + 1)
    later = record("vendor.miso.receipts", 1, b"{}", at_ms=T + ahead)
    logs.logs["vendor.miso.receipts"] = {0: receipt, 1: later}
    logs.committed["streams-enrich", CLICKS.topic] = Commit(4, "")
    window = await find_window(
        logs,  # type: ignore[arg-type]
        Topics(),
        T + ahead,
        T + ahead + 1,
        names=[CLICKS.topic],
    )
    history = await read_history(logs, Topics(), ["miso"], window)  # type: ignore[arg-type]
    assert history.last("miso", CLICKS, 1) == Last("accepted")


async def test_what_enrichment_has_not_read_and_what_lies_before_the_sink_waits() -> None:
    """But not what a receipt settles already, nor what stopped runs have written."""
    logs = clicks(*range(7))
    for offset in range(5):
        source = {"source": f"shop.clicks/0/{offset}"}
        one = record("vendor.miso.events", offset, b"{}", at_ms=T, headers=source)
        logs.logs.setdefault("vendor.miso.events", {})[offset] = one
    for offset, run in ((0, "r-1"), (1, "r-2")):
        headers = {"source": f"shop.clicks/0/{offset}", "run-id": run}
        one = record("vendor.miso.redelivery", offset, b"{}", at_ms=T, headers=headers)
        logs.logs.setdefault("vendor.miso.redelivery", {})[offset] = one
    value = {"outcome": "accepted", "source": "shop.clicks/0/3"}
    receipt = record("vendor.miso.receipts", 0, json.dumps(value).encode(), at_ms=T)
    logs.logs["vendor.miso.receipts"] = {0: receipt}
    logs.committed["streams-enrich", CLICKS.topic] = Commit(5, "")
    logs.committed["streams-miso", "vendor.miso.events"] = Commit(2, "")
    logs.committed["streams-miso", "vendor.miso.redelivery"] = Commit(0, "")
    window = await find_window(logs, Topics(), T, T + 10, names=[CLICKS.topic])  # type: ignore[arg-type]
    history = await read_history(
        logs,  # type: ignore[arg-type]
        Topics(),
        ["miso"],
        window,
        passed_over={("miso", "r-1"), ("voyado", "r-2")},
    )
    waiting = [offset for offset in range(7) if history.is_waiting("miso", CLICKS, offset)]
    assert waiting == [1, 2, 4, 5, 6]
