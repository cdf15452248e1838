"""Dead letters sent again, only to the vendor that failed.

Each is mapped anew from its raw record where that still exists; otherwise what was kept is sent.
"""

import base64
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import msgspec
from aiokafka import TopicPartition

from streams.core.consent import NO_TO_ALL, ConsentMode, ground_for
from streams.core.enrich import Refuse, Send, Skip
from streams.core.errors import InvalidEvent
from streams.core.json_decoder import json_decoder
from streams.core.outcome import Outcome, SkipReason
from streams.core.record_mapper import RecordMapper
from streams.core.records import Source, TopicRecord, VendorRecord
from streams.core.runs import ALREADY_ACCEPTED, GONE, WAITING
from streams.core.times import to_ms
from streams.dead_letters.book import ENRICH, Letter, Position
from streams.dead_letters.dead_letters import newest_copies
from streams.kafka.reader import LogReader
from streams.replay.delivery_history import DeliveryHistory
from streams.replay.planner import Left
from streams.replay.run_pages import RecordPage, Task
from streams.replay.window import Window


class _RedeliverySource(msgspec.Struct):
    timestamp: int = 0


class _Kept(msgspec.Struct):
    source: _RedeliverySource
    record: str | dict[str, str] = ""


_decode_kept = msgspec.json.Decoder(_Kept).decode
_decode_record = json_decoder(VendorRecord)


class ToSend(NamedTuple):
    """What has to be known of a letter to send its event again."""

    owner: str
    position: Position
    source: Source
    stage: str


class _Column(NamedTuple):
    """The letters about one raw partition, each at the same index; some twenty bytes each."""

    sources: "array[int]"
    """Raw offsets."""
    kinds: "array[int]"
    """Owner, letters' partition and stage, as numbers."""
    offsets: "array[int]"
    """Where the letters lie."""


class LetterTable:
    """Letters by raw partition, in the order of their raw offsets: the order they are sent in."""

    def __init__(self, letters: Iterable[Letter]) -> None:
        self.counts: Counter[str] = Counter()
        """By owner."""
        self.first_ms = 0
        """When the first of them was written."""
        self._kinds: dict[tuple[str, str, int, str], int] = {}
        self._columns: dict[TopicPartition, _Column] = {}
        for letter in letters:
            owner, position, source = letter.owner, letter.position, letter.source
            if not self.counts or letter.first_ms < self.first_ms:
                self.first_ms = letter.first_ms
            self.counts[owner] += 1
            kind = owner, position.topic, position.partition, letter.stage
            tp = TopicPartition(source.topic, source.partition)
            if tp not in self._columns:
                self._columns[tp] = _Column(array("q"), array("L"), array("q"))
            column = self._columns[tp]
            column.sources.append(source.offset)
            column.kinds.append(self._kinds.setdefault(kind, len(self._kinds)))
            column.offsets.append(position.offset)
        self._names = list(self._kinds)
        self._columns = {tp: _sorted(self._columns[tp]) for tp in sorted(self._columns)}

    def __len__(self) -> int:
        """Return how many letters there are."""
        return self.counts.total()

    def __iter__(self) -> Iterator[ToSend]:
        """Yield them by raw partition and offset."""
        for tp, column in self._columns.items():
            for index in range(len(column.sources)):
                yield self._at(tp, column, index)

    def partitions(self) -> list[TopicPartition]:
        """Return the raw partitions that they are about."""
        return list(self._columns)

    def is_for(self, vendor: str) -> bool:
        """Return whether any goes to this vendor: its own, and those about no vendor at all."""
        return bool(self.counts[vendor] or self.counts[ENRICH])

    def window(self, log_starts: Mapping[TopicPartition, int]) -> Window:
        """Return the narrowest window that has every letter's source, to read what is known."""
        stops = {tp: column.sources[-1] + 1 for tp, column in self._columns.items()}
        return Window(
            from_ms=self.first_ms,
            earliest_ms=self.first_ms,
            to_ms=2**62,
            starts={tp: column.sources[0] for tp, column in self._columns.items()},
            stops=stops,
            usual_ends=stops,
            log_starts=dict(log_starts),
            # Letters of foreign programs may name any offset: what lies between is not kept.
            only={tp: column.sources for tp, column in self._columns.items()},
        )

    def sources(self, tp: TopicPartition, vendor: str) -> int:
        """Return how many raw records of a partition have letters that go to a vendor."""
        meant, column, last, found = self._meant_for(vendor), self._columns[tp], -1, 0
        for source, kind in zip(column.sources, column.kinds, strict=True):
            if kind in meant and source != last:
                found, last = found + 1, source
        return found

    def after(
        self, tp: TopicPartition, vendor: str, offset: int, max_letters: int
    ) -> dict[int, ToSend]:
        """Return the next letters of a partition that go to a vendor, one of each raw offset."""
        meant, column = self._meant_for(vendor), self._columns[tp]
        found: dict[int, ToSend] = {}
        for index in range(bisect_right(column.sources, offset), len(column.sources)):
            source = column.sources[index]
            if column.kinds[index] in meant:
                if len(found) >= max_letters and source not in found:
                    break
                found[source] = self._at(tp, column, index)
        return found

    def _meant_for(self, vendor: str) -> set[int]:
        return {n for kind, n in self._kinds.items() if kind[0] in (vendor, ENRICH)}

    def _at(self, tp: TopicPartition, column: _Column, index: int) -> ToSend:
        owner, topic, partition, stage = self._names[column.kinds[index]]
        position = Position(topic, partition, column.offsets[index])
        return ToSend(owner, position, Source(tp.topic, tp.partition, column.sources[index]), stage)


def _sorted(column: _Column) -> _Column:
    sources = column.sources
    if all(a <= b for a, b in pairwise(sources)):
        return column
    order = sorted(range(len(sources)), key=sources.__getitem__)
    return _Column(*(array(one.typecode, map(one.__getitem__, order)) for one in column))


class LetterPages:
    """The letters of one vendor, and those that are about no vendor, by their raw records."""

    def __init__(
        self,
        reader: LogReader,
        letters: LetterTable,
        mapper: RecordMapper,
        history: DeliveryHistory,
        vendor: str,
        mode: ConsentMode,
    ) -> None:
        """Begin with all of them; the reader is this work's alone, the mapper has this vendor."""
        self._reader = reader
        self._table = letters
        self._left = {tp: letters.sources(tp, vendor) for tp in letters.partitions()}
        self._upto = dict.fromkeys(self._left, -1)
        self._mapper = mapper
        self._history = history
        self._vendor = vendor
        self._mode = mode
        self.letters: dict[tuple[TopicPartition, int], ToSend] = {}
        """Those that were taken, by their sources, until somebody takes them out."""

    def open_partitions(self) -> set[int]:
        """Return the partitions of which something is left."""
        return {tp.partition for tp, left in self._left.items() if left}

    def unread(self) -> int:
        """Return how many letters are not looked at yet."""
        return sum(self._left.values())

    async def next_pages(
        self, partitions: Collection[int], max_records: int, now_ms: int
    ) -> list[RecordPage]:
        """Return the next pages of these partitions; ``max_records``: over all pages."""
        pages = []
        room = max_records
        for tp, left in self._left.items():
            if room <= 0 or tp.partition not in partitions or not left:
                continue
            letters = self._table.after(tp, self._vendor, self._upto[tp], room)
            room -= len(letters)
            self._left[tp] -= len(letters)
            self._upto[tp] = max(letters)
            raw = await self._reader.read_at(tp, letters)
            kept = await self._kept([one for offset, one in letters.items() if offset not in raw])
            self.letters |= {(tp, offset): letter for offset, letter in letters.items()}
            tasks = [
                self._judge(letter, raw.get(offset), kept.get(offset), now_ms)
                for offset, letter in letters.items()
            ]
            pages.append(RecordPage(tp, max(letters) + 1, tasks))
        return pages

    async def _kept(self, letters: Sequence[ToSend]) -> dict[int, TopicRecord]:
        """Return what these letters themselves kept, by the offset of the source."""
        found: dict[int, TopicRecord] = {}
        if not letters:
            return found
        async for letter, record in newest_copies(self._reader, letters):
            if record is None or record.value is None:
                continue
            kept = _decode_kept(record.value)
            if isinstance(kept.record, str):
                value = kept.record.encode()
            else:
                try:
                    value = base64.b64decode(kept.record.get("base64", ""), validate=True)
                except ValueError:
                    continue
            found[letter.source.offset] = TopicRecord(
                *letter.source, kept.source.timestamp, record.key, value
            )
        return found

    def _judge(
        self, letter: ToSend, raw: TopicRecord | None, kept: TopicRecord | None, now_ms: int
    ) -> Task:
        vendor, source = self._vendor, letter.source
        tp = TopicPartition(source.topic, source.partition)
        record = raw or kept or TopicRecord(*source, timestamp=0, key=None, value=None)
        if self._history.last(vendor, tp, source.offset).outcome == Outcome.ACCEPTED:
            return Task(record, Left(vendor, ALREADY_ACCEPTED))
        if self._history.is_waiting(vendor, tp, source.offset):
            return Task(record, Left(vendor, WAITING))
        if raw is None and letter.stage == "deliver":
            judged = self._judge_vendor_record(record)
            if judged is not None:
                return judged
        try:
            event = self._mapper.parse(record)
        except InvalidEvent as error:
            # A letter that had to cut its record, or mask in it, is no new failure.
            return Task(record, Left(vendor, GONE) if raw is None else Refuse(vendor, error))
        (decision,) = self._mapper.decide(event, record.timestamp, now_ms)
        return Task(record, decision, event.event_id)

    def _judge_vendor_record(self, kept: TopicRecord) -> Task | None:
        """Judge a vendor record whose raw record is gone: consent is what the row says today.

        None: it is none, but the raw record of what did not fit the vendor, or cut.
        """
        value = kept.value or b""
        try:
            record = _decode_record(value)
        except msgspec.DecodeError:
            return None
        rows = self._mapper.rows
        key = record.anonymous_id.encode()
        user, forgotten = rows.user(key), rows.forgotten_ms(key)
        try:
            happened_ms = to_ms(record.timestamp)
        except ValueError:
            happened_ms = kept.timestamp
        ground = ground_for(self._vendor, None, user, self._mode, happened_ms)
        is_forgotten = forgotten is not None and kept.timestamp <= forgotten
        if ground is None or is_forgotten or user is NO_TO_ALL:
            return Task(kept, Skip(self._vendor, SkipReason.NO_CONSENT), record.event_id)
        return Task(kept, Send(self._vendor, value, ground), record.event_id)
