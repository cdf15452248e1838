"""A sink's start when enrichment has written millions of receipts since it last settled anything.

Beside a start without any, in the same run. Wanted: seven million in 30 s, and 150 MiB above it.
"""

import asyncio
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from installation import Installation
from kafka_side import broker, make_topics, write
from recovery import Start
from shop import PARTITIONS, Record
from table import arguments, conditions, render

from streams.core.receipts import SkipReceipts
from streams.delivery.progress import read_metadata
from streams.kafka.group_ids import group_id

BATCH_BYTES = 130_000
"""About 500 receipts: those of a chunk of which all events are skipped."""
VENDOR = "miso"
SINK = {"STREAMS_MISO_API_KEY": "benchmark-secret", "STREAMS_MISO_BASE_URL": "http://127.0.0.1:1"}
"""Nothing is sent: there are no events."""


def receipts(count: int) -> Iterator[Record]:
    """Receipts of skips as enrichment writes them, spread over all partitions."""
    made = SkipReceipts("2026-11-26T10:00:00.000Z")
    end = made.end["outside_content"]
    for number in range(count):
        partition = number % PARTITIONS
        event_id = str(uuid.UUID(int=number * 7_919 + 2**100))
        source = b"shop.clicks/%d/%d" % (partition, 10**8 + number // PARTITIONS)
        yield Record(partition, event_id.encode(), made.begin(event_id, source) + end)


async def _receipts_known(here: Installation) -> list[int]:
    """Return up to which receipt each partition's are known, as the sink has committed it."""
    client = AIOKafkaAdminClient(**here.settings.kafka.client_options())
    await client.start()
    try:
        group = group_id(here.settings.kafka.topic_prefix, VENDOR)
        commits = await client.list_consumer_group_offsets(group)
    finally:
        await client.close()
    events = here.settings.topics.events(VENDOR)
    return [read_metadata(at.metadata).receipts for tp, at in commits.items() if tp.topic == events]


def main() -> int:
    """Measure, print the table; exit code 1 where it is slower or larger than wanted."""
    parser = arguments(__doc__ or "", events=7_000_000, unit="receipts")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.receipts = 1, 500_000
    with broker() as (servers, words), tempfile.TemporaryDirectory() as folder:
        empty = Installation(servers, "empty.", Path(folder), SINK)
        full = Installation(servers, "full.", Path(folder), SINK)
        for here in (empty, full):
            make_topics(here.settings, {})
        topic = full.settings.topics.receipts(VENDOR)
        write(full.settings, {topic: receipts(options.receipts)}, BATCH_BYTES)
        # A start of each before those that count: the broker and the page cache are warm then.
        without, with_them = Start(empty.worker(VENDOR)), Start(full.worker(VENDOR))
        given = conditions(words, receipts=f"{options.receipts:,}, of enrichment, one start each")
        ends = asyncio.run(_receipts_known(full))
    if sum(ends) != options.receipts:
        raise SystemExit(f"the sink has looked through {sum(ends)} of {options.receipts} receipts")
    seconds = with_them.seconds - without.seconds
    mebibytes = (with_them.peak_bytes - without.peak_bytes) / 2**20
    cpu = with_them.cpu_seconds - without.cpu_seconds
    rows = [
        ("", "without", "with them", "difference"),
        (
            "ready after, s",
            f"{without.seconds:.1f}",
            f"{with_them.seconds:.1f}",
            f"{seconds:.1f}",
        ),
        (
            "CPU, s",
            f"{without.cpu_seconds:.1f}",
            f"{with_them.cpu_seconds:.1f}",
            f"{cpu:.1f}",
        ),
        (
            "peak memory, MiB",
            f"{without.peak_bytes / 2**20:.0f}",
            f"{with_them.peak_bytes / 2**20:.0f}",
            f"{mebibytes:.0f}",
        ),
    ]
    print(render("A sink's start behind receipts of enrichment", rows, given))
    return int(seconds > 30 or mebibytes > 150)


if __name__ == "__main__":
    sys.exit(main())
