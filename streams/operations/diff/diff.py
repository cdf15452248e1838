"""What each vendor would get under two settings files, over the same records."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import NamedTuple

from streams.core.kinds import KINDS
from streams.core.quantities import count
from streams.kafka.reader import Tell, connect
from streams.operations.check.mapping_preview import previewed_vendors
from streams.operations.diff.compare import VendorChanges
from streams.operations.diff.process import SideProcess, encode_batch
from streams.operations.diff.side import TABLES, Payloads, SideBatch, SideOptions, decode_made
from streams.operations.diff.traffic import FileTraffic, LogTraffic, topics_with, traffic_roles
from streams.settings import Settings
from streams.vendors import VENDORS

IN_FLIGHT = 4
"""Batches that are on their way through both processes."""


class Compared(NamedTuple):
    """One of the two settings files."""

    settings: Settings
    environ: Mapping[str, str]
    """With ``STREAMS_CONFIG``."""

    @property
    def name(self) -> str:
        """As people know it."""
        return self.environ["STREAMS_CONFIG"]


@dataclass(slots=True)
class SettingsDifference:
    """All that differs."""

    vendors: list[VendorChanges]
    remarks: list[str]
    """What is to be known about how it was compared, one sentence each."""
    topics: list[str] = field(default_factory=list)
    """Whose records were read."""
    events: int = 0
    """Records that were read of topics with events."""

    @property
    def is_equal(self) -> bool:
        """Whether each vendor would get the same."""
        return all(changes.is_equal for changes in self.vendors)


class _Vendors(NamedTuple):
    keys: list[str]
    old: list[str]
    new: list[str]
    remarks: list[str]


def compared_vendors(old: Settings, new: Settings) -> _Vendors:
    """Return the vendors to compare, and for which of them each settings file is judged.

    A vendor that is off in both for want of credentials is compared all the same: a mapping needs
    none.
    """
    found = _Vendors([], [], [], [])
    for key, vendor in VENDORS.items():
        on = [key in side.enabled_vendors() for side in (old, new)]
        if not any(on):
            on = [side.vendors[key].enabled is not False for side in (old, new)]
        if not any(on):
            continue
        found.keys.append(key)
        for is_on, keys, word in zip(on, (found.old, found.new), ("old", "new"), strict=True):
            if is_on:
                keys.append(key)
            else:
                found.remarks.append(f"{vendor.name} is off under the {word} settings.")
    remarks = [*previewed_vendors(old).remarks, *previewed_vendors(new).remarks]
    shown = [r for r in dict.fromkeys(remarks) if "switched off" not in r]
    found.remarks.extend(shown)
    return found


async def diff_topics(
    old: Compared, new: Compared, since_ms: int, tell: Tell
) -> SettingsDifference:
    """Compare over the records written since a moment, with the tables as they are now.

    Each event is judged as if it were read when it was written. Raises SetupError where the
    brokers do not answer or a topic is missing.
    """
    sides = (old.settings, new.settings)
    roles = traffic_roles(*sides)
    with_rows: dict[str, int | None] = dict.fromkeys(topics_with(TABLES, roles, *sides))
    # Of what names visitors and nothing else, older rows are in shop.visitors.
    others = topics_with({"users", "products"}, roles, *sides)
    with_rows |= {name: since_ms for name in with_rows if name not in others and not roles[name]}
    with_events = topics_with(KINDS, roles, *sides)
    async with connect(old.settings.kafka) as reader:
        traffic = LogTraffic(reader, roles, since_ms)
        await traffic.open(*sides)
        batches = traffic.batches(with_rows, with_events, tell)
        found = await _compare(old, new, traffic, batches, None)
    found.topics = [name for name in roles if name in with_events and traffic.tps[name]]
    return found


async def diff_lines(
    old: Compared, new: Compared, lines: Iterable[bytes], now_ms: int
) -> SettingsDifference:
    """Compare over a file's lines; a row acts on the lines after it."""
    roles = traffic_roles(old.settings, new.settings)
    traffic = FileTraffic(lines, roles, old.settings, now_ms)

    async def batches() -> AsyncIterator[SideBatch]:
        for batch in traffic.batches():
            yield batch

    found = await _compare(old, new, traffic, batches(), now_ms)
    if traffic.bad:
        line, why = traffic.bad[0]
        found.remarks.insert(
            0, f"{len(traffic.bad):,} lines were left out; the first is line {line}: it {why}."
        )
    return found


async def _compare(
    old: Compared,
    new: Compared,
    traffic: LogTraffic | FileTraffic,
    batches: AsyncIterator[SideBatch],
    now_ms: int | None,
) -> SettingsDifference:
    vendors = compared_vendors(old.settings, new.settings)
    changes = [VendorChanges(key) for key in vendors.keys]
    unknown: Counter[str] = Counter()
    with ExitStack() as stack:
        processes = []
        for side, on in ((old, vendors.old), (new, vendors.new)):
            # Only settings are handed on.
            environ = {n: text for n, text in side.environ.items() if n.startswith("STREAMS_")}
            options = SideOptions(
                environ, vendors.keys, on, traffic.roles, traffic.user_partitions, now_ms
            )
            processes.append(stack.enter_context(SideProcess(options)))
        open_: deque[list[asyncio.Future[Payloads]]] = deque()
        async for batch in batches:
            encoded = encode_batch(batch)
            open_.append([process.send(encoded) for process in processes])
            if len(open_) >= IN_FLIGHT:
                unknown += await _count(changes, open_.popleft())
        while open_:
            unknown += await _count(changes, open_.popleft())
    for word in ("old", "new"):
        if number := unknown[word]:
            vendors.remarks.append(
                f"Under the {word} settings no visitor is known of {count(number, 'event')}, which "
                "were taken for dead letters (unknown_visitor)."
            )
    return SettingsDifference(changes, vendors.remarks, events=traffic.events)


async def _count(
    changes: Sequence[VendorChanges], answers: Sequence["asyncio.Future[Payloads]"]
) -> Counter[str]:
    """Count the differences; return the events without a visitor by ``old`` and ``new``."""
    old, new = [await answer for answer in answers]
    for number, of_vendor in enumerate(changes):
        if old.made[number] == new.made[number]:
            of_vendor.same += old.sent[number]
            continue
        columns = decode_made(old.made[number]), decode_made(new.made[number])
        for one, other in zip(*columns, strict=True):
            of_vendor.compare(one, other)
    return Counter(old=old.without_visitor, new=new.without_visitor)
