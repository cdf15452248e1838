"""What a replay would send, and what not and why: nothing is written.

Of up to a million records every one is looked at; of more, a sample that is said to be one.
"""

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiokafka import TopicPartition

from streams.core.errors import SettingsError
from streams.core.kinds import KINDS
from streams.core.runs import Asked
from streams.core.times import utc_text
from streams.engine.partitioner import home_of
from streams.kafka.reader import LogReader, Tell, connect, silent
from streams.replay.counts import Counts, counts_json
from streams.replay.delivery_history import SKEW_MS, USUAL_SKEW_MS, read_history
from streams.replay.only_filter import parse_only
from streams.replay.planner import ReplayPlanner
from streams.replay.rows import Rows, new_rows
from streams.replay.window import Window, find_window
from streams.settings import Settings
from streams.vendors import VENDORS
from streams.worker.control import stopped_runs

EXACT_RECORDS = 1_000_000
SAMPLE_RECORDS = 200_000
SAMPLE_BLOCK = 5_000
SAMPLE_SECONDS = 40.0
"""After this long no further block is begun."""
SAMPLE_ROWS = 500_000
"""User rows that are read for a sample, about; those of one partition at least."""
SETTLED_WITHIN_MS = 15 * 60 * 1000
"""In a sample, receipts are looked for up to so long after their records."""


@dataclass(slots=True)
class ReplayPreview:
    """The figures of a replay that has not begun."""

    asked: Asked
    vendors: list[Counts]
    records: int = 0
    """Raw records in the window."""
    looked_at: int = 0
    """Fewer than the records: the figures are those of a sample, scaled."""
    sampled: bool = False
    kept_from_ms: int | None = None
    """From this Kafka time on no record was deleted; None: none ever was, or all were."""
    is_cut: bool = False
    """Retention has deleted records that may have been in the window."""
    off: dict[str, int] = field(default_factory=dict)
    """Raw topic of a source that is off → about how many of its records are in the window."""
    late_ms: int | None = None
    """Records of the window that were written later than this are not found; None: all are."""

    @property
    def would_send(self) -> int:
        """Events, over all vendors."""
        return sum(counts.sent for counts in self.vendors)

    def to_json(self, settings: Settings) -> list[dict[str, Any]]:
        """Return one object a vendor, as ``--json`` shows them."""
        asked = self.asked
        window = {
            "from": None if asked.from_ms is None else utc_text(asked.from_ms),
            "to": None if asked.to_ms is None else utc_text(asked.to_ms),
            "records": self.records,
            "looked_at": self.looked_at,
            "sample": self.sampled,
            "kept_from": None if self.kept_from_ms is None else utc_text(self.kept_from_ms),
            "cut_by_retention": self.is_cut,
            "not_replayed": self.off,
        }
        return [counts_json(settings, counts, asked.rate) | window for counts in self.vendors]


def replayed_vendors(settings: Settings, vendor: str) -> tuple[str, ...]:
    """Return the vendors that ``--vendor`` means; raises SettingsError for one that is off."""
    on = settings.enabled_vendors()
    if vendor == "all":
        if not on:
            raise SettingsError(["--vendor: no vendor is on, so there is none to send to."])
        vendors = on
    elif vendor not in VENDORS:
        known = ", ".join((*VENDORS, "all"))
        raise SettingsError([f"--vendor: there is no {vendor}; name one of {known}."])
    elif vendor not in on:
        name = VENDORS[vendor].name
        raise SettingsError([f"--vendor: {name} is off; switch it on before sending it anything."])
    else:
        vendors = (vendor,)
    settings.require_mappings(vendors)
    return vendors


async def preview(
    settings: Settings, vendors: Sequence[str], asked: Asked, *, tell: Tell = silent, now_ms: int
) -> ReplayPreview:
    """Look at every record of the window, or at a sample of it.

    Raises SetupError where the brokers do not answer or a topic is missing.
    """
    begun = time.monotonic()
    stopped = await stopped_runs(settings)
    found = ReplayPreview(asked, [Counts(vendor) for vendor in vendors])
    async with connect(settings.kafka) as reader:
        window = await window_of(reader, settings, asked)
        found.is_cut, found.late_ms = bool(window.cut), window.late_ms
        found.off = await _left_off(reader, settings, asked, window)
        begins = await reader.first_times({tp: at for tp, at in window.log_starts.items() if at})
        found.kept_from_ms = max(begins.values(), default=None)
        if window.usual_records <= EXACT_RECORDS:
            rows = new_rows(settings, vendors, asked)
            await rows.follow(reader, tell, {tp.partition for tp in window.starts})
            await _look(reader, settings, found, window, rows, now_ms, stopped, tell=tell)
            found.records = found.looked_at
        else:
            await _sample(reader, settings, found, window, tell, now_ms, begun, stopped)
    return found


async def window_of(reader: LogReader, settings: Settings, asked: Asked) -> Window:
    """Return where the asked window lies; of one visitor only the visitor's partition."""
    topics = settings.topics
    only = parse_only(asked.only)
    on = [source for source in topics.sources if only.has_type(KINDS[source].event_type)]
    if not on:
        raise SettingsError([f"--only: no source of {', '.join(sorted(only.types))} is on."])
    names = list(map(topics.of_shop, on))
    found = await reader.partitions(names, needed=names)
    partitions = None
    if asked.visitor is not None:
        count = len(found[names[0]])
        partitions = [home_of(asked.visitor.encode(), count)]
    assert asked.from_ms is not None
    assert asked.to_ms is not None
    return await find_window(
        reader, topics, asked.from_ms, asked.to_ms, names=names, partitions=partitions
    )


async def _left_off(
    reader: LogReader, settings: Settings, asked: Asked, window: Window
) -> dict[str, int]:
    """Return about how many records of the window lie on topics of sources that are off."""
    topics, only = settings.topics, parse_only(asked.only)
    kinds = {topics.of_shop(source): kind.event_type for source, kind in KINDS.items()}
    partitions = sorted({tp.partition for tp in window.starts})
    found = {}
    for name in (topic for topic in topics.off if only.has_type(kinds[topic])):
        there = await find_window(
            reader, topics, window.from_ms, window.to_ms, names=[name], partitions=partitions
        )
        if there.usual_records:
            found[name] = there.usual_records
    return found


async def _look(
    reader: LogReader,
    settings: Settings,
    found: ReplayPreview,
    window: Window,
    rows: Rows,
    now_ms: int,
    stopped: Collection[tuple[str, str]],
    receipts_to_ms: int | None = None,
    tell: Tell = silent,
) -> None:
    """Count every record of the window."""
    by_vendor = {counts.vendor: counts for counts in found.vendors}
    vendors = list(by_vendor)
    history = await read_history(
        reader,
        settings.topics,
        vendors,
        window,
        tell,
        receipts_to_ms=receipts_to_ms,
        skew_ms=SKEW_MS if receipts_to_ms is None else USUAL_SKEW_MS,
        passed_over=stopped,
    )
    planner = ReplayPlanner(settings, vendors, rows, history, found.asked)
    async for tp, records in reader.read(window.starts, window.stops, tell):
        for record in records:
            if not window.has(record.timestamp):
                continue
            found.looked_at += 1
            for judgement in planner.judge(record, now_ms).judgements:
                last = history.last(judgement.vendor, tp, record.offset).outcome
                by_vendor[judgement.vendor].add(judgement, last)


class Block(NamedTuple):
    """A part of one partition of the window that is looked at."""

    tp: TopicPartition
    start: int
    end: int


def sample_blocks(window: Window, partitions: Sequence[int]) -> Iterator[Block]:
    """Yield blocks spread evenly over these partitions of the window, the coarsest spread first.

    Each is as long as its partition's share: rare kinds of events must not count for more.
    """
    tps = [tp for tp in window.starts if tp.partition in partitions]
    most = max((window.usual_ends[tp] - window.starts[tp] for tp in tps), default=0)
    places = [0.5, 0.25, 0.75, 0.125, 0.625, 0.375, 0.875, 0.0625, 0.5625, 0.3125, 0.8125, 0.9375]
    for place in places:
        for tp in tps:
            start, end = window.starts[tp], window.usual_ends[tp]
            first = start + int((end - start) * place)
            length = -(-SAMPLE_BLOCK * (end - start) // most) if most else 0
            yield Block(tp, first, min(end, first + length))


async def _sample(
    reader: LogReader,
    settings: Settings,
    found: ReplayPreview,
    window: Window,
    tell: Tell,
    now_ms: int,
    begun: float,
    stopped: Collection[tuple[str, str]],
) -> None:
    found.sampled = True
    found.records = window.usual_records
    partitions = await _sampled_partitions(reader, settings, window)
    rows = new_rows(settings, [counts.vendor for counts in found.vendors], found.asked)
    await rows.follow(reader, tell, partitions)
    for block in sample_blocks(window, partitions):
        if found.looked_at >= SAMPLE_RECORDS or time.monotonic() - begun > SAMPLE_SECONDS:
            break
        part = await _block_window(reader, window, block)
        if part is not None:
            until = part.to_ms + SETTLED_WITHIN_MS
            await _look(reader, settings, found, part, rows, now_ms, stopped, until)
            found.records = max(found.records, found.looked_at)
    factor = found.records / found.looked_at if found.looked_at else 0.0
    found.vendors = [counts.scaled(factor) for counts in found.vendors]


async def _block_window(reader: LogReader, window: Window, block: Block) -> Window | None:
    """Return a block as a window of its own, with the times that its records have."""
    tp = block.tp
    times: list[int] = []
    async for _, records in reader.read({tp: block.start}, {tp: block.end}):
        times += [record.timestamp for record in records if window.has(record.timestamp)]
    if not times:
        return None
    return Window(
        from_ms=min(times),
        to_ms=max(times) + 1,
        earliest_ms=min(times),
        starts={tp: block.start},
        stops={tp: block.end},
        usual_ends={tp: block.end},
        log_starts={tp: window.log_starts[tp]},
    )


async def _sampled_partitions(reader: LogReader, settings: Settings, window: Window) -> list[int]:
    """Return partitions whose user rows are not too many to read for a sample."""
    users = settings.topics.users
    found = (await reader.partitions([users]))[users]
    ends, begins = await reader.ends(found), await reader.starts(found)
    rows = {tp.partition: ends[tp] - begins[tp] for tp in found}
    numbers = sorted({tp.partition for tp in window.starts})
    chosen: list[int] = []
    for number in numbers:
        if chosen and sum(rows.get(n, 0) for n in [*chosen, number]) > SAMPLE_ROWS:
            break
        chosen.append(number)
    return chosen
