"""What a shop's own rate costs: enrichment and one sink, two processes, beside two others.

Raw clicks come at an even rate; measured are the CPU of both processes, the time from a click's
sending to its arrival at the vendor, the events of a request, and the requests to the broker.
The others: a stock Faust app for each of the two, and aiokafka and httpx in loops by hand.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2
from installation import Installation
from kafka_side import broker, make_topics, write
from latency import percentile
from shop import Shop
from table import conditions, load_average, render
from worker_process import Worker, cpu_seconds, peak_bytes

from streams.vendors import VENDORS

HERE = Path(__file__).parent
SIDES = ("streams", "stock", "loop")
RATES = (0, 10, 50, 500, 2_000)
PARTITIONS = (6, 24)
USERS, PRODUCTS = 2_000, 500
LINGER_SECONDS = 0.2
SETTLE_SECONDS = 3.0
"""At each new rate, before it is measured."""
PATIENCE_SECONDS = 20.0
API_KEYS = {"produce": 0, "fetch": 1, "commit": 8}
VENDOR_SETTINGS: Mapping[str, Mapping[str, str]] = {
    "miso": {
        "STREAMS_MISO_API_KEY": "benchmark",
        "STREAMS_MISO_LINGER_SECONDS": str(LINGER_SECONDS),
    },
    "eightselect": {"STREAMS_EIGHTSELECT_API_ID": "benchmark"},
}
MIB = 2**20


@dataclass(frozen=True, slots=True)
class Cell:
    """One line of the table."""

    side: str
    partitions: int
    rate: int


@dataclass(frozen=True, slots=True)
class Figures:
    """One run of one cell."""

    cores: float
    """CPU seconds a second of both processes."""
    ages_ms: Sequence[float]
    """Of each event on arrival, ascending."""
    requests: float
    """To the vendor, a second."""
    events_a_request: float
    """0: there was none."""
    to_broker: Mapping[str, float]
    """Requests a second of both processes, by kind."""
    memory_mib: float
    """Of both processes, at most so far."""
    missing: int


class Vendor:
    """The vendor's process."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._in, self._out = process.stdin, process.stdout
        self.url = f"http://127.0.0.1:{int(self._out.readline())}"

    def since_last(self) -> tuple[int, list[float]]:
        """Return the requests and the ages in ms of all events that came since the last call."""
        self._in.write("\n")
        self._in.flush()
        told = json.loads(self._out.readline())
        return told["requests"], told["ages_ms"]


@contextmanager
def vendor_process() -> Iterator[Vendor]:
    """Run the vendor."""
    with subprocess.Popen(
        [sys.executable, str(HERE / "live_vendor.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Vendor(process)
        process.terminate()


def pipeline(here: Installation, side: str, vendor: str) -> list[Any]:
    """Return both processes of a side, not started yet."""
    if side == "streams":
        return [here.worker("enrich"), here.worker(vendor)]
    most = str(VENDORS[vendor].max_batch_records(here.settings.vendors[vendor]))
    if side == "loop":
        return [
            here.loop("plain_enrich.py"),
            here.loop("plain_deliver.py", vendor, most, str(LINGER_SECONDS)),
        ]
    here.environ["STOCK_READS"] = f"{here.prefix}stock.{vendor}.events"
    script = "stock_deliver.py" if most != "1" else "stock_one_event.py"
    return [here.stock("stock_enrich.py"), here.stock(script)]


def clicks(count: int, partitions: int) -> list[tuple[int, bytes, bytes, bytes]]:
    """Return (partition, key, head, tail) of clicks whose time of sending goes between the two."""
    found = []
    for _, record in Shop(USERS, PRODUCTS, (), in_content=True).events(count):
        # In place of a visitor who says no: of each event all three sides are to make a request.
        number = int(record.key.rpartition(b"-")[2])
        key = b"visitor-%d" % (number if number % 10 else number + 1)
        value = record.value.replace(record.key, key)
        head, _, tail = value.partition(b'"timestamp":')
        _, comma, tail = tail.partition(b",")
        partition = (murmur2(key) & 0x7FFFFFFF) % partitions
        found.append((partition, key, head, comma + tail))
    return found


async def produce(here: Installation, rate: int, seconds: float, first: int) -> int:
    """Send clicks at an even rate; return how many."""
    count = round(rate * seconds)
    events = clicks(min(count, 5_000), here.settings.kafka.partitions) if count else []
    producer = AIOKafkaProducer(**here.settings.kafka.client_options(), acks=1)
    await producer.start()
    topic = here.settings.topics.clicks
    try:
        begin = time.monotonic()
        for number in range(count):
            ahead = begin + number / rate - time.monotonic()
            if ahead > 0:
                await asyncio.sleep(ahead)
            partition, key, head, tail = events[number % len(events)]
            now_ms = time.time_ns() // 1_000_000
            head = head.replace(b'"event-', b'"live-%d-' % (first + number))
            value = b'%b"sku":"t%d","timestamp":%d%b' % (head, now_ms, now_ms, tail)
            await producer.send(topic, value, key, partition)
        await producer.flush()
        rest = begin + seconds - time.monotonic()
        await asyncio.sleep(max(0.0, rest))
    finally:
        await producer.stop()
    return count


class Watch:
    """What both processes have used."""

    def __init__(self, pids: Sequence[int], counts: Path) -> None:
        self._pids = pids
        self._counts = counts

    def cpu(self) -> float:
        """Return the CPU seconds of both."""
        return sum(cpu_seconds(pid) or 0.0 for pid in self._pids)

    def requests(self) -> dict[str, int]:
        """Return the requests to the broker so far, by kind."""
        found = dict.fromkeys(API_KEYS, 0)
        for pid in self._pids:
            path = self._counts / str(pid)
            if path.exists():
                counts = memoryview(path.read_bytes()).cast("Q")
                for name, key in API_KEYS.items():
                    found[name] += counts[key]
        return found

    def memory_mib(self) -> float:
        """Return the most memory that both had in use."""
        return sum(map(peak_bytes, self._pids)) / MIB


def measure_rate(
    here: Installation, vendor: Vendor, watch: Watch, rate: int, seconds: float, first: int
) -> Figures:
    """Measure one rate once everything has settled into it."""
    sent = asyncio.run(produce(here, rate, SETTLE_SECONDS, first))
    _wait_for(vendor, sent)
    cpu, requests, began = watch.cpu(), watch.requests(), time.monotonic()
    sent = asyncio.run(produce(here, rate, seconds, first + sent))
    lasted = time.monotonic() - began
    cores = (watch.cpu() - cpu) / lasted
    to_broker = {k: (n - requests[k]) / lasted for k, n in watch.requests().items()}
    made, ages = _wait_for(vendor, sent)
    return Figures(
        cores=cores,
        ages_ms=sorted(ages),
        requests=made / lasted,
        events_a_request=len(ages) / made if made else 0.0,
        to_broker=to_broker,
        memory_mib=watch.memory_mib(),
        missing=sent - len(ages),
    )


def _wait_for(vendor: Vendor, events: int) -> tuple[int, list[float]]:
    """Return requests and ages once so many events have come, or no more do."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    requests, ages = vendor.since_last()
    while len(ages) < events and time.monotonic() < deadline:
        time.sleep(0.2)
        more, aged = vendor.since_last()
        requests += more
        ages += aged
    return requests, ages


def measure_side(
    servers: str,
    prefix: str,
    side: str,
    partitions: int,
    options: argparse.Namespace,
    folder: Path,
) -> dict[Cell, Figures]:
    """Start one side and measure all rates, one after the other."""
    counts = folder / "counts" / prefix
    counts.mkdir(parents=True)
    found: dict[Cell, Figures] = {}
    with vendor_process() as vendor, ExitStack() as stack:
        key = options.vendor
        others = {f"STREAMS_{v.upper()}_ENABLED": "false" for v in VENDORS if v != key}
        here = Installation(
            servers,
            prefix,
            folder,
            {
                **others,
                **VENDOR_SETTINGS[key],
                f"STREAMS_{key.upper()}_BASE_URL": vendor.url,
                "STREAMS_KAFKA_PARTITIONS": str(partitions),
                "PYTHONPATH": str(HERE / "counting"),
                "LIVE_COUNTS": str(counts),
            },
        )
        shop = Shop(USERS, PRODUCTS, VENDORS)
        topics = here.settings.topics
        stock = [f"stock.{key}.events", f"stock.{key}.receipts", "stock.dead-letters"]
        make_topics(here.settings, {f"{prefix}{name}": {} for name in stock})
        users = [
            row._replace(partition=(murmur2(row.key) & 0x7FFFFFFF) % partitions)
            for row in shop.user_rows()
        ]
        write(here.settings, {topics.users: users, topics.products: shop.product_rows()})
        processes = pipeline(here, side, key)
        for process in processes:
            stack.enter_context(process)
        for process in processes:
            if isinstance(process, Worker):
                process.wait(lambda reading: reading.ready)
        watch = Watch([process.pid for process in processes], counts)
        first = 0
        # A first event of each partition, so that nothing has still to be connected.
        warm = asyncio.run(produce(here, 200, 2.0, first))
        first += warm
        _wait_for(vendor, warm)
        for rate in options.rates:
            figures = measure_rate(here, vendor, watch, rate, options.seconds, first)
            first += 10 * round(rate * (options.seconds + SETTLE_SECONDS)) + 1
            cell = Cell(side, partitions, rate)
            found[cell] = figures
            print(", ".join(line(cell, [figures])), file=sys.stderr, flush=True)
    return found


HEAD = (
    *("", "cores", "p50, ms", "p95, ms", "requests/s", "events a request"),
    *("produce/s", "fetch/s", "commit/s", "MiB", "missing"),
)


def line(cell: Cell, runs: Sequence[Figures]) -> tuple[str, ...]:
    """Return the table's line of a cell: medians of its runs."""

    def shown(value: Callable[[Figures], float], digits: int = 0) -> str:
        return f"{median(map(value, runs)):,.{digits}f}"

    name = f"{cell.side}, {cell.partitions} partitions, {cell.rate:,} events/s"
    at_vendor = ("", "", "", "")
    if all(run.ages_ms for run in runs):
        at_vendor = (
            shown(lambda run: percentile(run.ages_ms, 50)),
            shown(lambda run: percentile(run.ages_ms, 95)),
            shown(lambda run: run.requests, 1),
            shown(lambda run: run.events_a_request, 1),
        )
    return (
        name,
        shown(lambda run: run.cores, 3),
        *at_vendor,
        *(shown(lambda run, kind=kind: run.to_broker[kind], 1) for kind in API_KEYS),  # type: ignore[misc]
        shown(lambda run: run.memory_mib),
        str(sum(run.missing for run in runs)),
    )


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number.replace("_", "")) for number in text.split(","))


def main() -> int:
    """Measure all cells, all sides by turns; print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vendor", choices=list(VENDOR_SETTINGS), default="miso")
    parser.add_argument("--sides", default=",".join(SIDES), help="by turns")
    parser.add_argument("--rates", type=_numbers, default=RATES, help="events a second")
    parser.add_argument("--partitions", type=_numbers, default=PARTITIONS)
    parser.add_argument("--seconds", type=float, default=15.0, help="at each rate (15)")
    parser.add_argument("--rounds", type=int, default=3, help="of each side (3)")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    runs: dict[Cell, list[Figures]] = {}
    with broker() as (servers, words), tempfile.TemporaryDirectory() as folder:
        facts = conditions(
            words,
            vendor=f"{options.vendor}, answered at once by a process of its own on this machine",
            batches=f"up to 500 or {LINGER_SECONDS * 1000:.0f} ms"
            if options.vendor == "miso"
            else "none",
            rounds=f"{options.rounds}, all sides by turns, {options.seconds:g} s a rate",
        )
        for number in range(options.rounds):
            for partitions in options.partitions:
                for side in options.sides.split(","):
                    prefix = f"live{number}-{partitions}-{side}."
                    found = measure_side(servers, prefix, side, partitions, options, Path(folder))
                    for cell, figures in found.items():
                        runs.setdefault(cell, []).append(figures)
        facts["load average at the end"] = load_average()
    if options.json:
        rows = [dict(zip(HEAD, line(cell, found), strict=True)) for cell, found in runs.items()]
        print(json.dumps({"benchmark": TITLE, "conditions": facts, "rows": rows}, indent=2))
    else:
        lines = [line(cell, found) for cell, found in runs.items()]
        print(render(TITLE, [HEAD, *lines], facts, [NOTE]))
    return 0


BATCHES = f"up to 500 or {LINGER_SECONDS * 1000:.0f} ms"
TITLE = "A shop's own rate: raw click to the vendor's answer, enrichment and one sink"
NOTE = (
    "cores, memory and requests to the broker: of both processes together. Ages: from the click's "
    "sending to its arrival at the vendor. streams writes a receipt for each event; the others "
    "write none."
)

if __name__ == "__main__":
    sys.exit(main())
