"""``streams status``: what is made of the workers' snapshots."""

import json
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from streams.cli.status import stage_rows, status_json, status_view
from streams.core.snapshot import VendorStatus, WorkerSnapshot, encode_snapshot
from streams.status.known import Known, StageState
from streams.status.status import StatusBoard

NOW = 1_777_000_000_000


def snapshot(worker: str, stage: str, at: int = NOW, **more: object) -> WorkerSnapshot:
    """Return what a worker that is well says."""
    fields: dict[str, object] = {
        "slot": 0,
        "host": "shop-1",
        "pid": 7,
        "version": "0.1.0",
        "started_at": NOW - 60_000,
        "ready": True,
    }
    return WorkerSnapshot(worker=worker, stage=stage, at=at, **(fields | more))  # type: ignore[arg-type]


def board_of(*snapshots: WorkerSnapshot) -> StatusBoard:
    """Return a board that has taken these from the topic, in order."""
    board = StatusBoard()
    for each in snapshots:
        board.apply(each.worker.encode(), encode_snapshot(each), NOW)
    return board


STAGES = (StageState("enrich", "Enrichment", 5), StageState("miso", "Miso"))


def known(board: StatusBoard, stages: Sequence[StageState] = STAGES) -> Known:
    """Return what is known by the snapshots alone."""
    return Known(NOW, stages, board.workers(NOW))


def shown(board: StatusBoard) -> str:
    """Return what the terminal shows."""
    console = Console(width=200, file=StringIO())
    console.print(status_view(known(board)))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_the_newest_snapshot_of_a_worker_counts() -> None:
    """A later record of the same worker replaces what it said before."""
    board = board_of(
        snapshot("enrich-a-0", "enrich", NOW - 2_000, rate=10.0),
        snapshot("enrich-a-0", "enrich", NOW - 1_000, rate=20.0),
    )
    (worker,) = board.workers(NOW)
    assert (worker.snapshot.rate, worker.silent_seconds, worker.is_stale) == (20.0, 1.0, False)


def test_a_tombstone_ends_a_worker() -> None:
    """A worker that stopped in good order is no longer listed."""
    board = board_of(snapshot("enrich-a-0", "enrich"))
    board.apply(b"enrich-a-0", None, NOW)
    assert board.workers(NOW) == []


def test_a_worker_is_stale_after_fifteen_seconds_of_silence() -> None:
    """At 15 s it still counts, a moment later it is gone."""
    board = board_of(
        snapshot("miso-a-0", "miso", NOW - 15_000), snapshot("miso-b-0", "miso", NOW - 15_001)
    )
    assert [w.is_stale for w in board.workers(NOW)] == [False, True]
    assert stage_rows(known(board))[1][:2] == ("miso", "1 (1 gone)")


@pytest.mark.parametrize("clock_ms", [-3_600_000, 3_600_000])
def test_a_worker_whose_clock_is_wrong_is_stale_fifteen_seconds_after_its_last_word_was_read(
    clock_ms: int,
) -> None:
    """It would hide for an hour that it died, or be taken for dead while it speaks."""
    board = board_of(snapshot("miso-a-0", "miso", NOW + clock_ms))
    board.is_live = True
    said = snapshot("miso-a-0", "miso", NOW + clock_ms + 1_000)
    board.apply(b"miso-a-0", encode_snapshot(said), NOW + 1_000)
    stale = [board.workers(NOW + 1_000 + ms)[0] for ms in (0, 15_000, 15_001)]
    assert [worker.is_stale for worker in stale] == [False, False, True]
    assert {worker.heard_ms for worker in stale} == {NOW + 1_000}


def test_an_old_word_from_the_future_counts_from_when_it_was_read() -> None:
    """Nobody knows when it was written."""
    board = board_of(snapshot("miso-a-0", "miso", NOW + 3_600_000))
    assert [board.workers(NOW + ms)[0].is_stale for ms in (15_000, 15_001)] == [False, True]


def test_records_that_are_no_snapshots_are_counted() -> None:
    """A worker of another version cannot make the command fail."""
    board = StatusBoard()
    board.apply(b"x", b"{", NOW)
    board.apply(b"x", b'{"worker": "x"}', NOW)
    board.apply(None, b"\xff\xfe", NOW)
    assert (board.unreadable, board.workers(NOW)) == (3, [])


def test_a_stage_is_the_sum_of_its_workers() -> None:
    """Rates, lags and partitions add up, the oldest event and the gravest vendor state win."""
    parked = VendorStatus("parked", NOW, "Miso answered 401: invalid key.", "Set a valid key.")
    board = board_of(
        snapshot(
            "miso-b-0",
            "miso",
            rate=2.5,
            lag={"vendor.miso.events": 7},
            vendor=parked,
            partitions={"vendor.miso.events": [0, 1], "shop.users": [0, 1]},
            oldest_unsettled_seconds=12.0,
        ),
        snapshot(
            "miso-a-0",
            "miso",
            rate=1.0,
            lag={"vendor.miso.events": 3},
            slot=1,
            vendor=VendorStatus("running", NOW),
            partitions={"vendor.miso.events": [2]},
            oldest_unsettled_seconds=0.5,
        ),
        snapshot("enrich-a-0", "enrich", ready=False, not_ready=["tables are being read"]),
    )
    assert stage_rows(known(board)) == [
        ("enrich", "0/1", "0", "0.0", "5", "-", "starting"),
        ("miso", "2", "3", "3.5", "10", "12.0 s", "parked"),
    ]
    assert "Miso is parked since 03:06 UTC: Miso answered 401: invalid key." in shown(board)


def test_a_configured_stage_without_a_worker_is_a_row() -> None:
    """With what waits for it by offsets; what nobody tells is not shown as 0."""
    rows = stage_rows(known(StatusBoard()))
    assert rows == [
        ("enrich", "0", "?", "?", "5", "?", "gone"),
        ("miso", "0", "?", "?", "?", "?", "gone"),
    ]


def test_old_rates_and_states_are_not_shown_as_if_they_held() -> None:
    """Of a worker that stopped reporting nothing is known."""
    board = board_of(snapshot("miso-a-0", "miso", NOW - 60_000, rate=9.0))
    assert stage_rows(known(board))[1] == ("miso", "0 (1 gone)", "?", "?", "?", "?", "gone")


def test_while_kafka_is_away_everything_is_unknown() -> None:
    """The last figures are old."""
    away = replace(known(board_of(snapshot("miso-a-0", "miso"))), kafka_silent_since=NOW - 9_000)
    assert stage_rows(away)[1] == ("miso", "?", "?", "?", "?", "?", "unknown")


def test_text_of_strangers_is_shown_and_not_obeyed() -> None:
    """Markup and control characters in a vendor's words reach the terminal as plain text."""
    planted = VendorStatus("degraded", NOW, "[bold]500[/bold] \x1b[31mred\x07", "")
    text = shown(board_of(snapshot("miso-a-0", "miso", vendor=planted)))
    assert "[bold]500[/bold] \\x1b[31mred\\x07" in text
    assert "\x1b" not in text


def test_an_empty_topic_says_what_to_do() -> None:
    """Without any worker the command names the one that starts them."""
    assert "streams worker" in shown(StatusBoard())


def test_json_is_one_array_of_snapshots() -> None:
    """Machines get what the workers said, and whether they still speak."""
    rows = json.loads(status_json(board_of(snapshot("miso-a-0", "miso", NOW - 20_000)), NOW))
    assert len(rows) == 1
    assert (rows[0]["worker"], rows[0]["stale"], rows[0]["silent_seconds"]) == (
        "miso-a-0",
        True,
        20,
    )
    assert rows[0]["totals"] == {
        "events": 0,
        "accepted": 0,
        "skipped": {},
        "dead_lettered": {},
        "requests": {},
    }
