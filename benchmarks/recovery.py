"""Recovery of the tables beside a stock Faust app: how fast a worker reads its rows at its start.

What a start without rows takes, measured in the same round, is subtracted. Wanted: 80,000 rows a
second, and 10 times stock.
"""

import sys
import tempfile
from pathlib import Path

from installation import Installation
from kafka_side import broker, make_topics, write
from shop import Shop
from table import Row, Table, arguments, conditions
from worker_process import Worker

COMPACT = {"cleanup.policy": "compact"}


class Start:
    """One start of a worker, from its first instruction until it was ready."""

    def __init__(self, worker: Worker, rows: int | None = None) -> None:
        with worker:
            # Stock Faust has no word for "ready" of its own; its rows must be there as well.
            reading = worker.wait(lambda seen: seen.ready, pause=0.02)
            if rows is not None and reading.events != rows:
                raise SystemExit(f"{reading.events} of {rows} rows are in the tables")
            self.seconds = worker.seconds_since_start()
            self.cpu_seconds = worker.cpu_seconds() or 0.0
            self.peak_bytes = worker.peak_bytes()
            # Ended in order: a stock member that is killed keeps its successor waiting.


class Side:
    """One side's pairs of starts: without rows and with."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.rate: list[float] = []
        self.cpu_per_100k: list[float] = []
        self.peak_bytes: list[float] = []
        self.ready_seconds: list[float] = []
        self.empty_seconds: list[float] = []

    def add(self, empty: Start, full: Start) -> None:
        """Take a round's two starts."""
        self.rate.append(self.rows / max(0.01, full.seconds - empty.seconds))
        self.cpu_per_100k.append((full.cpu_seconds - empty.cpu_seconds) / self.rows * 100_000)
        self.peak_bytes.append(full.peak_bytes)
        self.ready_seconds.append(full.seconds)
        self.empty_seconds.append(empty.seconds)


def prepare(here: Installation, users: int, products: int, *, stock: bool) -> None:
    """Make the topics, and fill what one side's tables are read from."""
    app = f"{here.prefix}stock-recovery"
    changelogs = [f"{app}-users-changelog", f"{app}-products-changelog"]
    make_topics(here.settings, dict.fromkeys(changelogs, COMPACT))
    topics = here.settings.topics
    names = changelogs if stock else [topics.users, topics.products]
    shop = Shop(users, products, here.vendors)
    if users:
        write(here.settings, dict(zip(names, (shop.user_rows(), shop.product_rows()), strict=True)))


def main() -> int:
    """Measure, print the table."""
    parser = arguments(__doc__ or "", events=400_000, unit="rows")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.rows = 1, 100_000
    stock_rows = options.stock_rows or min(options.rows, 20_000 if options.quick else 60_000)
    ours, stock = Side(options.rows), Side(stock_rows)
    with broker() as (servers, words), tempfile.TemporaryDirectory() as folder:
        empty = Installation(servers, "empty.", Path(folder))
        full = Installation(servers, "full.", Path(folder))
        table = Table(
            "Recovery: the tables users and products, read at a worker's start",
            conditions(
                words,
                rows=f"{options.rows:,} for streams, {stock_rows:,} for stock (it is too slow for "
                f"as many), three quarters users, {options.rounds} rounds in turns",
            ),
        )
        prepare(empty, 0, 0, stock=False)
        prepare(full, *_split(options.rows), stock=False)
        few = Installation(servers, "few.", Path(folder))
        prepare(few, *_split(stock_rows), stock=True)
        for _ in range(options.rounds):
            ours.add(Start(empty.worker("enrich")), Start(full.worker("enrich")))
            script = "stock_recovery.py"
            stock.add(Start(empty.stock(script), 0), Start(few.stock(script), stock_rows))
    table.rows = [
        Row("rows/s", ours.rate, stock.rate, ratio="more", wanted="80,000; 10 times"),
        Row("CPU s per 100,000 rows", ours.cpu_per_100k, stock.cpu_per_100k, 2, "less"),
        Row("ready after, s", ours.ready_seconds, stock.ready_seconds, 1),
        Row("ready without rows after, s", ours.empty_seconds, stock.empty_seconds, 1),
        Row(
            "peak memory, MiB",
            [peak / 2**20 for peak in ours.peak_bytes],
            [peak / 2**20 for peak in stock.peak_bytes],
        ),
    ]
    table.show(as_json=options.json)
    return 0


def _split(rows: int) -> tuple[int, int]:
    products = rows // 4
    return rows - products, products


if __name__ == "__main__":
    sys.exit(main())
