"""Enrichment beside a stock Faust app and a loop by hand: the same events and tables, by turns.

Wanted: at most 2 CPU s per 100,000 events, and 99 of 100 events through within 50 ms.
"""

import sys
import tempfile
from pathlib import Path

from installation import Installation
from kafka_side import broker, commit_ends, count_records, make_topics, write
from latency import Latency, measure_latency, percentile
from shop import Record, Shop
from table import CPU_NOTE, Row, Table, arguments, conditions
from worker_process import Measure

USERS, PRODUCTS = 50_000, 20_000
COMPACT = {"cleanup.policy": "compact"}
KEPT = {"cleanup.policy": "delete"}
CHECKED_NOTE = (
    "Every event of streams was checked to have its vendor record or its receipt; stock does not "
    "wait for what it sends. Latency runs from sending to reading, producer and reader "
    "included, on both sides at once."
)


class Round:
    """One set of topics with its tables and raw events, which both sides read."""

    def __init__(self, installation: Installation, shop: Shop, events: int) -> None:
        self.installation = installation
        self.shop = shop
        self.events = events
        self.stock_app = f"{installation.prefix}stock-enrich"

    def prepare(self) -> None:
        """Make and fill the topics, the stock app's changelogs with the very same rows."""
        here, topics = self.installation, self.installation.settings.topics
        stock = [f"{here.prefix}stock.dead-letters"]
        for vendor in here.vendors:
            stock += [f"{here.prefix}stock.{vendor}.{kind}" for kind in ("events", "receipts")]
        changelogs = [f"{self.stock_app}-{table}-changelog" for table in ("users", "products")]
        make_topics(here.settings, dict.fromkeys(stock, KEPT) | dict.fromkeys(changelogs, COMPACT))
        raw: dict[str, list[Record]] = {topics.clicks: [], topics.add_to_carts: []}
        for is_cart, record in self.shop.events(self.events):
            raw[topics.add_to_carts if is_cart else topics.clicks].append(record)
        users, products = list(self.shop.user_rows()), list(self.shop.product_rows())
        rows = {topics.users: users, topics.products: products}
        write(here.settings, {**rows, **dict(zip(changelogs, (users, products), strict=True))})
        write(here.settings, raw)
        # As in an app that runs for long: what its feeding agents read is in its changelogs.
        commit_ends(here.settings, self.stock_app, [topics.users, topics.products])

    def run_ours(self) -> Measure:
        """Let our worker enrich everything; check that every event has its outcome everywhere."""
        settings = self.installation.settings
        topics = settings.topics
        with self.installation.worker("enrich") as worker:
            measure = worker.work_off(self.events)
            outcomes = [(topics.events(v), topics.receipts(v)) for v in self.installation.vendors]
            written = count_records(settings, [name for pair in outcomes for name in pair])
            for events, receipts in outcomes:
                kept = written[events] + written[receipts]
                if kept != self.events:
                    raise SystemExit(f"{kept} outcomes of {self.events} events in {events}")
        return measure

    def run_stock(self, events: int) -> Measure:
        """Let the stock app enrich the first ``events``."""
        with self.installation.stock("stock_enrich.py") as worker:
            measure = worker.work_off(events)
            worker.kill()
        return measure

    def run_loop(self) -> Measure:
        """Let the loop by hand enrich everything."""
        with self.installation.loop("plain_enrich.py", events=self.events) as worker:
            return worker.work_off(self.events)

    def run_calmly(self, rounds: int, seconds: float) -> list[list[Latency]]:
        """Let both enrich the same 100 events a second; return ours and stock's, by round."""
        here, found = self.installation, []
        vendor = here.vendors[-1]
        written = [here.settings.topics.events(vendor), f"{here.prefix}stock.{vendor}.events"]
        with here.worker("enrich") as ours, here.stock("stock_enrich.py") as stock:
            ours.wait(lambda reading: reading.events >= self.events)
            # Now and then stock is ready and yet never processes all of them; that shows as lost.
            stock.wait(lambda reading: reading.ready)
            for number in range(rounds):
                first = (number + 1) * 1_000_000
                found.append(
                    measure_latency(
                        here.settings, self.shop, written, first=first, rate=100, seconds=seconds
                    )
                )
            stock.kill()
        return found


def main() -> int:
    """Measure, print the table."""
    options = arguments(__doc__ or "", events=200_000).parse_args()
    if options.quick:
        options.rounds, options.events = 1, 50_000
    stock_events = options.stock_events or max(5_000, options.events // 8)
    latency_seconds = 4.0 if options.quick else 8.0
    ours: list[Measure] = []
    stock: list[Measure] = []
    loop: list[Measure] = []
    with broker() as (servers, words), tempfile.TemporaryDirectory() as folder:
        calm = Installation(servers, "calm.", Path(folder))
        shop = Shop(USERS, PRODUCTS, calm.vendors)
        table = Table(
            "Enrichment: raw events to the vendors' topics, one worker",
            conditions(
                words,
                events=f"{options.events:,} of about 430 bytes for streams, of these the first "
                f"{stock_events:,} for stock, {options.rounds} rounds in turns",
                tables=f"{USERS:,} users, {PRODUCTS:,} products",
                vendors=", ".join(calm.vendors),
            ),
        )
        for number in range(options.rounds):
            this = Round(
                Installation(servers, f"bench{number}.", Path(folder)), shop, options.events
            )
            this.prepare()
            ours.append(this.run_ours())
            stock.append(this.run_stock(stock_events))
            loop.append(this.run_loop())
        last = Round(calm, shop, 1_000)
        last.prepare()
        latencies = last.run_calmly(options.rounds, latency_seconds)
    our_latency, stock_latency = zip(*latencies, strict=True)
    sides = ours, stock, loop
    table.rows = [
        Row.of(
            "CPU s per 100,000 events",
            lambda m: m.cpu_per_100k,
            *sides,
            digits=2,
            ratio="less",
            wanted="streams <= 2",
        ),
        Row.of("events/s", lambda m: m.rate, *sides, ratio="more"),
        Row.of("peak memory, MiB", lambda m: m.peak_bytes / 2**20, *sides),
        *(
            Row(
                f"latency p{percent} at 100 events/s, ms",
                [percentile(late.enriched, percent) for late in our_latency],
                [percentile(late.enriched, percent) for late in stock_latency],
                digits=1,
                wanted="p99 <= 50" if percent == 99 else "",
            )
            for percent in (50, 95, 99)
        ),
        Row(
            "of this added by enrichment, p99, ms",
            [percentile(late.added, 99) for late in our_latency],
            [percentile(late.added, 99) for late in stock_latency],
            digits=1,
        ),
        Row(
            "events that never came",
            [late.lost for late in our_latency],
            [late.lost for late in stock_latency],
        ),
    ]
    table.notes = [CPU_NOTE, CHECKED_NOTE]
    table.show(as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
