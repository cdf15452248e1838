"""``streams diff`` over live events: how long, and how much memory for more of them.

Wanted: 1,000,000 records in 120 s on two cores, memory that does not grow with them.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from installation import Installation
from kafka_side import broker, make_topics, write
from shop import Shop
from table import Row, Table, arguments, conditions

USERS, PRODUCTS = 20_000, 5_000
CHANGE = '[miso]\nproduct_id = "product_id"\n'
"""Each of Miso's payloads differs."""


class Run(NamedTuple):
    """What one comparison took."""

    seconds: float
    cpu_seconds: float
    """Of all its processes."""
    peak_bytes: int
    """Of the largest of them."""


def compare(here: Installation, folder: Path) -> Run:
    """Compare over all events of an installation."""
    old, new = folder / "old.toml", folder / "new.toml"
    old.write_text("")
    new.write_text(CHANGE)
    command = [sys.executable, "-m", "streams", "diff", str(old), str(new), "--since", "1 day ago"]
    began = time.monotonic()
    process = subprocess.Popen(
        command, env={**os.environ, **here.environ}, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    said = process.stdout.read()
    # With those of the processes that it has waited for.
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 1 or "product_ids[]" not in said:
        raise SystemExit(f"streams diff ended with {process.returncode}: {said}")
    seconds = time.monotonic() - began
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def main() -> int:
    """Measure, print the table."""
    options = arguments(__doc__ or "", events=1_000_000).parse_args()
    if options.quick:
        options.rounds, options.events = 1, 100_000
    few, many = options.events // 5, options.events
    runs: dict[int, list[Run]] = {few: [], many: []}
    with broker() as (servers, words), tempfile.TemporaryDirectory() as folder:
        for count, found in runs.items():
            here = Installation(servers, f"diff{count}.", Path(folder))
            topics = here.settings.topics
            make_topics(here.settings, {})
            shop = Shop(USERS, PRODUCTS, here.vendors, in_content=True)
            rows = {topics.users: shop.user_rows(), topics.products: shop.product_rows()}
            write(here.settings, rows)
            for is_cart, topic in ((False, topics.clicks), (True, topics.add_to_carts)):
                records = (record for cart, record in shop.events(count) if cart is is_cart)
                write(here.settings, {topic: records})
            found += [compare(here, Path(folder)) for _ in range(options.rounds)]
        table = Table(
            "Comparing two settings files over live events",
            conditions(
                words,
                events=f"{few:,} and {many:,} of about 430 bytes, {options.rounds} rounds",
                tables=f"{USERS:,} users, {PRODUCTS:,} products",
                vendors=f"{', '.join(here.vendors)}; each payload of Miso differs",
            ),
        )
    table.rows = [
        Row(f"seconds for {many:,}", [r.seconds for r in runs[many]], digits=1, wanted="120"),
        Row(f"CPU s for {many:,}", [r.cpu_seconds for r in runs[many]], digits=1),
        Row(f"largest process, MiB, {few:,}", [r.peak_bytes / 2**20 for r in runs[few]]),
        Row(f"largest process, MiB, {many:,}", [r.peak_bytes / 2**20 for r in runs[many]]),
    ]
    table.notes = ["Start of the command and its two processes included."]
    table.show(as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
