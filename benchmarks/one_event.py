"""Delivery to 8SELECT, one event a request, beside a stock Faust app with as many under way.

Wanted: at most 400 µs of CPU a request, receipts included, the same from 8 to 64 under way, and at
least 2,500 requests/s in one process against a server that is not the limit.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from clients import Server, acceptor
from installation import Installation, read_requests
from kafka_side import count_records, make_topics, write
from shop import Record, Shop
from table import CPU_NOTE, Row, Table, conditions
from worker_process import Measure

from streams.lab.sandbox.eightselect_schema import event_errors

VENDOR = "eightselect"
CONCURRENCY = (8, 16, 32, 64)
ANSWER_MS = (0, 20)
MOST_SECONDS = 6
"""What a run may take where the server's delay is the limit."""
USERS, PRODUCTS = 20_000, 2_000
NOTE = (
    "One event a request. streams keeps each visitor's order and writes a receipt for each event "
    "before the visitor's next goes; each run was checked for as many receipts and requests as "
    "events. stock keeps no order and writes none. requests/s: at most requests under way / the "
    "server's delay."
)


class Cell(NamedTuple):
    """One line of the table."""

    answer_ms: int
    in_flight: int

    def events(self, events: int) -> int:
        """Return how many of ``events`` the server's delay lets through in the time there is."""
        if not self.answer_ms:
            return events
        return min(events, MOST_SECONDS * self.in_flight * 1000 // self.answer_ms)

    def __str__(self) -> str:
        return f"answered after {self.answer_ms} ms, {self.in_flight} under way"


def measure_one_event(
    servers: str,
    words: str,
    folder: Path,
    *,
    events: int,
    stock_events: int,
    rounds: int,
    answer_ms: Sequence[int] = ANSWER_MS,
) -> Table:
    """Measure all cells by turns, each run of both sides on topics of its own."""
    cells = [Cell(ms, number) for ms in answer_ms for number in CONCURRENCY]
    ours: dict[Cell, list[Measure]] = {cell: [] for cell in cells}
    stock: dict[Cell, list[Measure]] = {cell: [] for cell in cells}
    server_cpu: list[float] = []
    records: list[Record] = []
    table = Table(
        "One event a request: vendor records to 8SELECT, one worker",
        conditions(
            words,
            events=f"up to {events:,} for streams, the first {stock_events:,} of these for stock, "
            f"{rounds} round(s), both sides by turns",
            vendor="accepts everything, a process of its own on this machine; "
            "every event was held against 8SELECT's schema before",
        ),
    )
    for number in range(rounds):
        for cell in cells:
            with acceptor(cell.answer_ms) as server:
                here = Installation(
                    servers,
                    f"one{number}-{cell.answer_ms}-{cell.in_flight}.",
                    folder,
                    {
                        "STREAMS_EIGHTSELECT_BASE_URL": server.url,
                        "STREAMS_EIGHTSELECT_API_ID": "benchmark",
                        "STREAMS_EIGHTSELECT_CONCURRENCY": str(cell.in_flight),
                    },
                )
                records = records or list(_records(here, events))
                wanted = cell.events(events)
                make_topics(here.settings, {})
                topics, users = here.settings.topics, _shop(here).user_rows()
                write(here.settings, {topics.users: users, topics.events(VENDOR): records[:wanted]})
                before = server.cpu_seconds()
                ours[cell].append(_run_ours(here, server, wanted))
                server_cpu.append((server.cpu_seconds() - before) / wanted * 1e6)
                stock[cell].append(_run_stock(here, min(wanted, stock_events)))
    table.rows = [_cpu(cell, ours[cell], stock[cell]) for cell in cells]
    table.rows += [_rate(cell, ours[cell], stock[cell]) for cell in cells]
    table.rows.append(Row("the server's own CPU µs per request", server_cpu))
    table.notes = [CPU_NOTE, NOTE]
    return table


def _shop(here: Installation) -> Shop:
    return Shop(USERS, PRODUCTS, here.vendors, in_content=True)


def _records(here: Installation, events: int) -> Iterator[Record]:
    """Return what enrichment writes; raises SystemExit for what 8SELECT's schema refuses."""
    plan = here.settings.plan_for(VENDOR)
    for record in _shop(here).vendor_records(here.settings.topics, plan, events):
        if errors := event_errors(msgspec.json.decode(record.value)["payload"]):
            raise SystemExit(f"8SELECT would refuse {record.value!r}: {errors}")
        yield record


def _run_ours(here: Installation, server: Server, events: int) -> Measure:
    """Let our sink deliver everything; check requests and receipts."""
    before = server.requests()
    with here.worker(VENDOR, read_requests) as worker:
        measure = worker.work_off(events)
        made = server.requests() - before
        topic = here.settings.topics.receipts(VENDOR)
        receipts = count_records(here.settings, [topic])[topic]
        if made != events or receipts != events:
            raise SystemExit(f"{made} requests and {receipts} receipts of {events} events")
        worker.kill()
    return measure


def _run_stock(here: Installation, events: int) -> Measure:
    with here.stock("stock_one_event.py") as worker:
        measure = worker.work_off(events)
        worker.kill()
    return measure


def _cpu(cell: Cell, ours: list[Measure], stock: list[Measure]) -> Row:
    return Row(
        f"CPU µs per request: {cell}",
        [m.cpu_seconds / m.requests * 1e6 for m in ours],
        [m.cpu_seconds / m.requests * 1e6 for m in stock],
        ratio="less",
        wanted="streams <= 400",
    )


def _rate(cell: Cell, ours: list[Measure], stock: list[Measure]) -> Row:
    return Row(
        f"requests/s: {cell}",
        [m.requests / m.seconds for m in ours],
        [m.requests / m.seconds for m in stock],
        ratio="more",
        wanted="" if cell.answer_ms else "streams >= 2,500",
    )
