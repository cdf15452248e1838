"""``streams offsets``: where a stage's group stands, and setting it to another place.

A commit's metadata say what was settled before it, so that repeats are recognised: they are written
anew with each new place, or the stage would pass over what it is to read once more.

One module, though a long one: showing, planning and setting a place are three views of one thing.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
from aiokafka import AIOKafkaConsumer, OffsetAndMetadata, TopicPartition
from aiokafka.errors import KafkaError

from streams.core.errors import SettingsError, SetupError
from streams.core.json_decoder import json_decoder
from streams.delivery.progress import Metadata, read_metadata
from streams.kafka.connection import admin, consumer_options
from streams.kafka.group_ids import group_id
from streams.kafka.groups import members_of
from streams.kafka.reader import Commit, LogReader, Offsets, connect
from streams.settings import ENRICH, INGEST, Settings

EMPTY_SECONDS = 15.0
"""How long a group may take to notice that its last worker has ended."""
MARK_RECORDS = 5_000
"""Vendor records before the new place that are read for the newest source among them."""

To = int | Literal["earliest", "latest"]
"""A Kafka time in ms, or an end of the log."""


@dataclass(frozen=True, slots=True)
class OffsetPlace:
    """One partition as a stage's group stands in it."""

    tp: TopicPartition
    log_start: int
    log_end: int
    committed: int | None
    """None: the group has never committed here."""
    metadata: str = ""

    is_recreated: bool = False
    """Whether the topic's offsets have begun anew: one of its logs ends below what is committed."""

    @property
    def waiting(self) -> int:
        """Offsets that are not committed yet."""
        at = self.log_start if self.committed is None else max(self.committed, self.log_start)
        return max(0, self.log_end - at)


@dataclass(slots=True)
class Reset:
    """What a reset would do; nothing is changed before ``apply_reset``."""

    stage: str
    changes: list[tuple[OffsetPlace, int]] = field(default_factory=list)
    """Each place with its new offset."""
    commits: dict[str, dict[TopicPartition, OffsetAndMetadata]] = field(default_factory=dict)
    """By stage: what is to be committed, for other stages only their metadata."""

    @property
    def repeated(self) -> int:
        """Offsets that are read once more."""
        return sum(max(0, _at(place) - to) for place, to in self.changes if not place.is_recreated)

    @property
    def left_out(self) -> int:
        """Offsets that will never be read."""
        return sum(max(0, to - _at(place)) for place, to in self.changes if not place.is_recreated)


def _at(place: OffsetPlace) -> int:
    return place.log_start if place.committed is None else place.committed


def stage_topics(settings: Settings, stage: str) -> tuple[str, ...]:
    """Return the topics that a stage's group commits; raises SettingsError for no stage."""
    topics = settings.topics
    if stage == INGEST and topics.shop:
        return topics.shop
    if stage == ENRICH:
        return topics.raw
    if stage in settings.vendors:
        return (topics.events(stage), topics.redelivery(stage))
    known = ", ".join((ENRICH, *settings.vendors, *((INGEST,) if topics.shop else ())))
    raise SettingsError([f'--stage: "{stage}" is not a stage; there are: {known}.'])


async def read_places(settings: Settings, stage: str) -> list[OffsetPlace]:
    """Return every partition that a stage reads; raises SetupError where a topic is missing."""
    async with connect(settings.kafka) as reader:
        return await _places(reader, settings, stage)


async def _places(reader: LogReader, settings: Settings, stage: str) -> list[OffsetPlace]:
    names = stage_topics(settings, stage)
    found = await reader.partitions(names)
    if absent := [name for name, tps in found.items() if not tps]:
        remedy = "Create them with: streams topics create"
        if stage == INGEST:
            remedy = "They are the shop's own: correct [ingest.NAME] topic in streams.toml"
        raise SetupError(f"Topics are missing: {', '.join(absent)}. {remedy}.")
    tps = [tp for name in names for tp in found[name]]
    starts, ends = await reader.starts(tps), await reader.ends(tps)
    commits = await reader.commits(group_id(settings.topics.prefix, stage), tps)
    anew = {tp.topic for tp, commit in commits.items() if commit.offset > ends[tp]}
    return [_place(tp, starts, ends, commits.get(tp), tp.topic in anew) for tp in tps]


def _place(
    tp: TopicPartition, starts: Offsets, ends: Offsets, commit: Commit | None, is_anew: bool
) -> OffsetPlace:
    if commit is None:
        return OffsetPlace(tp, starts[tp], ends[tp], None, is_recreated=is_anew)
    return OffsetPlace(tp, starts[tp], ends[tp], commit.offset, commit.metadata, is_anew)


async def plan_reset(settings: Settings, stage: str, to: To, topic: str | None = None) -> Reset:
    """Return what setting a stage to this moment means; nothing is changed.

    ``topic``: only this one, by its name with or without the prefix. Where none is named and one
    was recreated, that one alone is meant: the others are where they should be. The topic of
    redeliveries is left alone unless it is named or was recreated: its runs are over.

    Raises:
        SettingsError: there is no such stage or topic.
        SetupError: a worker is in the group, or something waits that must be delivered first.
    """
    prefix = settings.topics.prefix
    names = stage_topics(settings, stage)
    if topic is not None and topic.removeprefix(prefix) not in {
        n.removeprefix(prefix) for n in names
    }:
        known = ", ".join(name.removeprefix(prefix) for name in names)
        raise SettingsError([f"--topic: stage {stage} reads no {topic}; it reads {known}."])
    await _require_empty(settings, stage)
    reset = Reset(stage)
    async with connect(settings.kafka) as reader:
        places = await _places(reader, settings, stage)
        is_cure = topic is None and any(place.is_recreated for place in places)
        meant = [
            place
            for place in places
            if (place.is_recreated if is_cure else _is_meant(settings, place, topic))
        ]
        targets = await _targets(reader, meant, to)
        reset.changes = [(place, targets[place.tp]) for place in meant]
        if stage == INGEST:
            reset.commits[INGEST] = {
                place.tp: OffsetAndMetadata(at, "" if place.is_recreated else place.metadata)
                for place, at in reset.changes
            }
        elif stage == ENRICH:
            reset.commits[ENRICH] = {
                place.tp: OffsetAndMetadata(at, _enrich_metadata(place, at))
                for place, at in reset.changes
            }
            for vendor in settings.enabled_vendors():
                lowered = await _lowered_marks(reader, settings, vendor, reset.changes)
                if lowered:
                    reset.commits[vendor] = lowered
        else:
            reset.commits[stage] = {
                place.tp: OffsetAndMetadata(at, await _sink_metadata(reader, settings, place, at))
                for place, at in reset.changes
            }
    for vendor in reset.commits:
        await _require_empty(settings, vendor)
    return reset


async def apply_reset(settings: Settings, reset: Reset) -> None:
    """Commit the new places; raises SetupError where a worker came meanwhile or a broker refuses.

    Marks of sinks come first: were they missing, what is read again would be taken for repeats.
    """
    for stage in sorted(reset.commits, key=lambda stage: stage == reset.stage):
        await _require_empty(settings, stage)
        consumer = AIOKafkaConsumer(
            **consumer_options(settings.kafka),
            group_id=group_id(settings.topics.prefix, stage),
            enable_auto_commit=False,
        )
        try:
            await consumer.start()
            consumer.assign(list(reset.commits[stage]))
            await consumer.commit(reset.commits[stage])
        except KafkaError as error:
            raise SetupError(
                f"Kafka refused the new offsets of stage {stage}: {error!r}. Stop its workers, "
                "then run the command again."
            ) from error
        finally:
            await consumer.stop()


def _is_meant(settings: Settings, place: OffsetPlace, topic: str | None) -> bool:
    name = place.tp.topic
    if topic is not None:
        return topic in (name, name.removeprefix(settings.topics.prefix))
    is_redelivery = name in map(settings.topics.redelivery, settings.vendors)
    return not is_redelivery


async def _targets(
    reader: LogReader, places: Sequence[OffsetPlace], to: To
) -> dict[TopicPartition, int]:
    if to == "earliest":
        return {place.tp: place.log_start for place in places}
    if to == "latest":
        return {place.tp: place.log_end for place in places}
    found = await reader.starts([place.tp for place in places], int(to))
    return {place.tp: min(found[place.tp], place.log_end) for place in places}


async def _require_empty(settings: Settings, stage: str) -> None:
    """Raise SetupError while a worker of the stage is in its group."""
    group = group_id(settings.topics.prefix, stage)
    loop = asyncio.get_running_loop()
    limit = loop.time() + EMPTY_SECONDS
    async with admin(settings.kafka) as client:
        while True:
            members, _ = await members_of(client, group)
            if not members:
                return
            if loop.time() > limit:
                raise SetupError(
                    f"Stage {stage} has {members} worker{'s'[: members > 1]} in its group: stop "
                    "them all, then run the command again. A worker that was killed leaves after "
                    "10 s."
                )
            await asyncio.sleep(0.5)


_decode_ranges = json_decoder(dict[str, Any])


def _enrich_metadata(place: OffsetPlace, at: int) -> str:
    """Return the ranges in which vendors were on, with what is read again among them."""
    if not place.metadata or place.is_recreated:
        return ""
    try:
        said: dict[str, Any] = _decode_ranges(place.metadata)
        for ranges in said.get("on", {}).values():
            if ranges and ranges[-1][1] is None:
                ranges[-1][0] = min(ranges[-1][0], at)
        if "since" in said:
            said["since"] = min(said["since"], at)
    except (msgspec.DecodeError, AttributeError, TypeError, LookupError):
        return ""
    return msgspec.json.encode(said).decode()


async def _sink_metadata(reader: LogReader, settings: Settings, place: OffsetPlace, at: int) -> str:
    """Return metadata under which every record from ``at`` on is new to the sink."""
    topic, vendor = place.tp.topic, _vendor_of(settings, place.tp.topic)
    of_receipts = TopicPartition(settings.topics.receipts(vendor), place.tp.partition)
    receipts = (await reader.ends([of_receipts]))[of_receipts]
    try:
        before = read_metadata(place.metadata)
    except ValueError:
        before = Metadata()
    marks: dict[str, tuple[int, int]] = {}
    if topic == settings.topics.events(vendor):
        marks = await _marks_below(reader, place, at)
    # Of a recreated topic the old positions say nothing any more.
    expired, gaps = (0, []) if place.is_recreated else (before.expired, before.expired_gaps)
    after = Metadata(
        marks=marks,
        clean=before.clean,
        unclear=before.unclear,
        receipts=receipts,
        expired=expired,
        expired_gaps=gaps,
    )
    return msgspec.json.encode(after).decode()


async def _marks_below(
    reader: LogReader, place: OffsetPlace, at: int
) -> dict[str, tuple[int, int]]:
    """Return, by raw topic, the newest source among the records just below this place."""
    marks: dict[str, tuple[int, int]] = {}
    starts = {place.tp: max(place.log_start, at - MARK_RECORDS)}
    async for _, records in reader.read(starts, {place.tp: at}):
        for record in records:
            headers: Mapping[str, bytes | None] = dict(record.headers)
            source = (headers.get("source") or b"").decode("utf-8", "replace")
            topic, _, rest = source.rpartition("/")[0].rpartition("/")
            offset = source.rpartition("/")[2]
            time = headers.get("source-time") or b""
            if not (topic and rest and offset.isdecimal() and time.isdigit()):
                continue
            highest, newest = marks.get(topic, (-1, -1))
            if int(offset) > highest:
                marks[topic] = int(offset), max(newest, int(time))
    return marks


async def _lowered_marks(
    reader: LogReader, settings: Settings, vendor: str, changes: Sequence[tuple[OffsetPlace, int]]
) -> dict[TopicPartition, OffsetAndMetadata]:
    """Return a sink's commits with marks that let pass what enrichment reads again.

    Raises SetupError where something waits for the sink: what is read again would lie behind it
    in the log, and be taken for a repeat of what comes before it.
    """
    lowered: dict[TopicPartition, OffsetAndMetadata] = {}
    events = settings.topics.events(vendor)
    for place in await _places(reader, settings, vendor):
        if place.tp.topic != events or place.committed is None:
            continue
        try:
            known = read_metadata(place.metadata)
        except ValueError:
            continue
        marks = dict(known.marks)
        for raw, at in changes:
            mark = marks.get(raw.tp.topic)
            is_above = mark is not None and mark[0] >= at
            if raw.tp.partition != place.tp.partition or raw.is_recreated or mark is None:
                continue
            if place.waiting and at < _at(raw):
                raise SetupError(
                    f"{place.waiting:,} events wait for {vendor} on {place.tp.topic}: let `streams "
                    f"worker {vendor}` deliver them first, stop it, then run the command again."
                )
            if is_above:
                if at:
                    marks[raw.tp.topic] = at - 1, mark[1]
                else:
                    del marks[raw.tp.topic]
        if marks != known.marks:
            metadata = msgspec.structs.replace(known, marks=marks)
            lowered[place.tp] = OffsetAndMetadata(
                place.committed, msgspec.json.encode(metadata).decode()
            )
    return lowered


def _vendor_of(settings: Settings, topic: str) -> str:
    topics = settings.topics
    return next(
        vendor
        for vendor in settings.vendors
        if topic in (topics.events(vendor), topics.redelivery(vendor))
    )
