"""Delivery beside a stock Faust app and a loop by hand: the same records to the same server.

To Miso, 500 events a request; wanted: at most 1 CPU second for 100,000 events, receipts included.
To 8SELECT, one event a request, as ``one_event.py`` says; ``--one-event``: that alone, and against
a server that takes 20 ms, too. With ``--clients``: a table of HTTP clients alone instead.
With ``--feature-costs``: what receipts, marks, lanes and consent cost, our sink beside itself
without them.
"""

import json
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clients import measure_clients
from feature_costs import measure_feature_costs
from installation import Installation
from kafka_side import broker, count_records, make_topics, write
from one_event import ANSWER_MS, measure_one_event
from shop import Record, Shop
from table import CPU_NOTE, Row, Table, arguments, conditions
from worker_process import Measure, Reading, Worker

from streams.lab.embedded.ports import free_port
from streams.vendors import VENDORS

VENDOR = "miso"
USERS, PRODUCTS = 20_000, 5_000
RECEIPTS_NOTE = (
    "streams writes a receipt for each event and was checked against the simulator's ledger; "
    "stock writes none, tries nothing again and commits what it has read."
)


class StandIn:
    """The project's own simulator for Miso in a process of its own; it judges every record."""

    def __init__(self, url: str, process: Worker) -> None:
        self.url = url
        self._process = process

    def clear(self) -> None:
        """Forget what was stored."""
        urllib.request.urlopen(
            urllib.request.Request(f"{self.url}/ledger", method="DELETE"), timeout=30
        ).close()

    def ledger(self) -> dict[str, Any]:
        """Return the sums of what was stored."""
        with urllib.request.urlopen(f"{self.url}/ledger?vendor={VENDOR}", timeout=30) as answer:
            sums: dict[str, Any] = json.load(answer)[VENDOR]
        return sums

    def cpu_seconds(self) -> float:
        """Return what it has used so far."""
        return self._process.cpu_seconds() or 0.0


@contextmanager
def simulator(folder: Path) -> Iterator[StandIn]:
    """Run the simulator."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = ["-m", "streams", "sandbox", "--port", str(port)]
    with Worker(
        command, {}, folder, f"{url}/health", lambda body: Reading(body["status"] == "ok", 0, 0)
    ) as process:
        process.wait(lambda reading: reading.ready)
        yield StandIn(url, process)


def run_ours(here: Installation, vendor_side: StandIn, events: int) -> tuple[Measure, float]:
    """Let our sink deliver everything; check ledger and receipts. Second: the simulator's CPU."""
    vendor_side.clear()
    before = vendor_side.cpu_seconds()
    with here.worker(VENDOR) as worker:
        measure = worker.work_off(events)
        sums = vendor_side.ledger()
        if sums["distinct"] != events or sums["refused_records"]:
            raise SystemExit(f"the simulator's ledger does not hold {events} events: {sums}")
        topic = here.settings.topics.receipts(VENDOR)
        receipts = count_records(here.settings, [topic])[topic]
        if receipts != events:
            raise SystemExit(f"{receipts} receipts of {events} events")
        worker.kill()
    return measure, vendor_side.cpu_seconds() - before


def run_stock(here: Installation, vendor_side: StandIn, events: int) -> Measure:
    """Let the stock app deliver the first ``events``."""
    vendor_side.clear()
    with here.stock("stock_deliver.py") as worker:
        measure = worker.work_off(events)
        worker.kill()
    return measure


def run_loop(here: Installation, vendor_side: StandIn, events: int) -> Measure:
    """Let the loop by hand deliver everything."""
    vendor_side.clear()
    section = here.settings.vendors[VENDOR]
    most = str(VENDORS[VENDOR].max_batch_records(section))
    linger = str(section.linger_seconds)
    with here.loop("plain_deliver.py", VENDOR, most, linger, events=events) as worker:
        return worker.work_off(events)


def measure_batches(
    servers: str, words: str, folder: Path, *, events: int, stock_events: int, rounds: int
) -> Table:
    """Measure micro-batches for Miso, each round on topics of its own."""
    ours: list[Measure] = []
    stock: list[Measure] = []
    loop: list[Measure] = []
    simulator_cpu: list[float] = []
    table = Table("Delivery: vendor records to Miso in micro-batches of 500, one worker", {})
    with simulator(folder / "simulator") as vendor_side:
        access = {
            f"STREAMS_{VENDOR.upper()}_BASE_URL": vendor_side.url,
            f"STREAMS_{VENDOR.upper()}_API_KEY": "benchmark-secret",
        }
        records: list[Record] = []
        users: list[Record] = []
        for number in range(rounds):
            here = Installation(servers, f"bench{number}.", folder, access)
            topics = here.settings.topics
            if not records:
                plan = here.settings.plan_for(VENDOR)
                shop = Shop(USERS, PRODUCTS, here.vendors)
                records = list(shop.vendor_records(topics, plan, events))
                users = list(shop.user_rows())
                size = sum(len(record.value) for record in records) // len(records)
                table.conditions = conditions(
                    words,
                    events=f"{events:,} of about {size} bytes for streams, of these the "
                    f"first {stock_events:,} for stock, {rounds} rounds in turns",
                    vendor="the project's sandbox, a process of its own on this machine",
                )
            make_topics(here.settings, {})
            write(here.settings, {topics.users: users, topics.events(VENDOR): records})
            measure, used = run_ours(here, vendor_side, events)
            ours.append(measure)
            simulator_cpu.append(used / events * 100_000)
            stock.append(run_stock(here, vendor_side, stock_events))
            loop.append(run_loop(here, vendor_side, events))
    sides = ours, stock, loop
    table.rows = [
        Row.of(
            "CPU s per 100,000 events",
            lambda m: m.cpu_per_100k,
            *sides,
            digits=2,
            ratio="less",
            wanted="streams <= 1",
        ),
        Row.of("events/s", lambda m: m.rate, *sides, ratio="more"),
        Row.of("requests/s", lambda m: m.requests / m.seconds, *sides, digits=1),
        Row.of("events in a request", lambda m: m.events / m.requests, *sides),
        Row.of("peak memory, MiB", lambda m: m.peak_bytes / 2**20, *sides),
        Row("simulator's CPU s per 100,000", simulator_cpu, digits=2),
    ]
    table.notes = [CPU_NOTE, RECEIPTS_NOTE]
    return table


def main() -> int:
    """Measure, print the tables."""
    parser = arguments(__doc__ or "", events=250_000)
    alone = parser.add_mutually_exclusive_group()
    alone.add_argument("--clients", action="store_true", help="HTTP clients alone, no broker")
    alone.add_argument("--one-event", action="store_true", help="8SELECT alone")
    alone.add_argument(
        "--feature-costs", action="store_true", help="our sink without parts of itself"
    )
    parser.set_defaults(rounds=None)
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.events = 1, 50_000
    if options.clients:
        measure_clients(options.rounds or 3, quick=options.quick, as_json=options.json)
        return 0
    stock_events = options.stock_events or options.events // 5
    with broker() as (servers, words), tempfile.TemporaryDirectory() as folder:
        if options.feature_costs:
            print(
                measure_feature_costs(
                    servers,
                    words,
                    Path(folder),
                    events=options.events // 5 if not options.quick else 20_000,
                    rounds=options.rounds or 5,
                )
            )
            return 0
        if not options.one_event:
            measure_batches(
                servers,
                words,
                Path(folder),
                events=options.events,
                stock_events=stock_events,
                rounds=options.rounds or 3,
            ).show(as_json=options.json)
            print(flush=True)
        measure_one_event(
            servers,
            words,
            Path(folder),
            events=options.events // 25,
            stock_events=stock_events // 50,
            # Most of its time is the starting of processes.
            rounds=(options.one_event and options.rounds) or 1,
            answer_ms=ANSWER_MS if options.one_event else (0,),
        ).show(as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
