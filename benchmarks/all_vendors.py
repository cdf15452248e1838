"""What a shop's own rate costs for all three vendors: enrichment and three sinks, four processes.

Raw clicks come at an even rate; each vendor is the project's simulator. Prints the CPU and the
memory of each process, and checks that every event has its receipt at each vendor.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from installation import Installation
from kafka_side import broker, count_records, make_topics, write
from live import MIB, PRODUCTS, SETTLE_SECONDS, USERS, produce
from outage import access, simulator
from shop import Shop
from table import conditions, load_average, render

from streams.vendors import VENDORS

STAGES = ("enrich", *VENDORS)
CONTACT_ONE_IN = 3


def measure(
    servers: str, prefix: str, rates: tuple[int, ...], seconds: float, folder: Path
) -> dict[tuple[int, str], tuple[float, float]]:
    """Return cores and MiB by rate and stage."""
    found = {}
    with ExitStack() as stack:
        url = stack.enter_context(simulator(folder / f"{prefix}simulator"))
        here = Installation(servers, prefix, folder, access(url))
        shop = Shop(USERS, PRODUCTS, tuple(VENDORS), one_contact_in=CONTACT_ONE_IN)
        topics = here.settings.topics
        make_topics(here.settings, {})
        write(here.settings, {topics.users: shop.user_rows(), topics.products: shop.product_rows()})
        workers = {stage: stack.enter_context(here.worker(stage)) for stage in STAGES}
        for worker in workers.values():
            worker.wait(lambda reading: reading.ready)
        first = asyncio.run(produce(here, 200, 2.0, 0))
        for rate in rates:
            first += asyncio.run(produce(here, rate, SETTLE_SECONDS, first))
            before = {stage: worker.cpu_seconds() or 0.0 for stage, worker in workers.items()}
            began = time.monotonic()
            first += asyncio.run(produce(here, rate, seconds, first))
            lasted = time.monotonic() - began
            for stage, worker in workers.items():
                cores = ((worker.cpu_seconds() or 0.0) - before[stage]) / lasted
                found[rate, stage] = cores, worker.peak_bytes() / MIB
        for stage, worker in workers.items():
            worker.wait(lambda reading: not reading.waiting)
            if stage in VENDORS:
                receipts = topics.receipts(stage)
                if count_records(here.settings, [receipts])[receipts] < first:
                    raise SystemExit(f"{stage}: not every event has its receipt")
    return found


def main() -> int:
    """Measure every rate; print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", default="0,50", help="events a second, by commas (0,50)")
    parser.add_argument("--seconds", type=float, default=15.0, help="at each rate (15)")
    parser.add_argument("--rounds", type=int, default=3, help="(3)")
    options = parser.parse_args()
    rates = tuple(int(rate) for rate in options.rates.split(","))
    with broker() as (servers, words), tempfile.TemporaryDirectory() as folder:
        facts = conditions(words, vendor="the project's simulators", rounds=str(options.rounds))
        runs = [
            measure(servers, f"all{number}.", rates, options.seconds, Path(folder))
            for number in range(options.rounds)
        ]
        facts["load average at the end"] = load_average()
    lines = [("events a second", *(f"{stage}: cores, MiB" for stage in STAGES), "all: cores, MiB")]
    for rate in rates:
        cells = [
            tuple(median(run[rate, stage][part] for run in runs) for part in (0, 1))
            for stage in STAGES
        ]
        cells.append((sum(cores for cores, _ in cells), sum(mib for _, mib in cells)))
        lines.append((str(rate), *(f"{cores:.3f}, {mib:.0f}" for cores, mib in cells)))
    note = "every event was checked to have a receipt at each vendor"
    print(render("A shop's own rate at all vendors", lines, facts, [note]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
