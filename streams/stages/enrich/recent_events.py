"""What enrichment passed on recently, to recognise the duplicates of producers.

After a start it is read from the vendors' topics, whose headers name the raw record. The raw topics
would not do: whether a record was passed on depends on rows that may have changed since.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

import msgspec
from faust.types import TP

from streams.core.duplicates import PassedOn, bits, identity, trim
from streams.core.records import OWN_KEY, Source
from streams.core.topics import Topics
from streams.engine.chunks import Records
from streams.engine.positions import StartPosition
from streams.kafka.reader import RangeReader, connect_ranges, read_at_start

log = logging.getLogger("streams.enrich")

MAX_RECALLED = 500_000
"""How many vendor records are read at a start, at most; the newest of each partition."""
SKEW_MS = 60_000
"""A vendor record may seem this much older than its raw record, because clocks of hosts differ."""
FORGOTTEN_EARLY = "ids_forgotten_early"
"""The note that counts ids that were forgotten within the window, because there were too many."""


class _Identified(msgspec.Struct, frozen=True, gc=False):
    event_id: str


_decode = msgspec.json.Decoder(_Identified).decode


class RecentEvents:
    """``PassedOn`` of each source partition of this worker; none if the window is 0."""

    def __init__(
        self,
        topics: Topics,
        vendors: Sequence[str],
        window_ms: int,
        derived: Mapping[str, str],
        notes: Counter[str],
    ) -> None:
        """``derived``: raw topic → the start of event ids that are derived from the offset."""
        self._window_ms = window_ms
        self._vendors = tuple(vendors)
        self._events = {topics.events(vendor): bit for vendor, bit in bits(vendors).items()}
        self._derived = derived
        self._notes = notes
        self._passed_on: dict[TP, PassedOn] = {}
        self._read_to: dict[TP, int] = {}
        """Below this offset everything that was passed on is known."""

    def of(self, tp: TP, records: Records, now_ms: int) -> PassedOn | None:
        """Return what is known of this partition, whose next records these are."""
        if not self._window_ms:
            return None
        passed_on = self._passed_on.get(tp)
        if passed_on is None:
            passed_on = self._passed_on[tp] = self._new()
        first, last = records[0], records[-1]
        # A producer's clock that is ahead must not make all other ids look old.
        passed_on.advance(min(first.timestamp, now_ms), min(last.timestamp, now_ms))
        self._read_to[tp] = last.offset + 1
        if forgotten := trim(self._passed_on.values()):
            self._notes[FORGOTTEN_EARLY] += forgotten
        return passed_on

    async def start(
        self,
        positions: Mapping[TP, StartPosition],
        client_options: Mapping[str, Any],
        now_ms: int,
    ) -> None:
        """Read what was passed on before these positions, unless this worker knows it."""
        if not self._window_ms:
            return
        unknown = {
            tp: start.offset
            for tp, start in positions.items()
            if start.offset > self._read_to.get(tp, 0)
        }
        for tp in set(self._passed_on) - set(positions) | set(unknown):
            self._passed_on.pop(tp, None)
            self._read_to.pop(tp, None)
        if unknown:
            began = monotonic()
            count = await self._recall(unknown, client_options, now_ms)
            seconds = monotonic() - began
            log.info("%d vendor records were read to tell duplicates, in %.1f s", count, seconds)
            self._read_to |= unknown

    async def _recall(
        self, unknown: Mapping[TP, int], client_options: Mapping[str, Any], now_ms: int
    ) -> int:
        count = 0
        since: dict[int, int] = {}
        async with connect_ranges(client_options) as reader:
            times = await reader.first_times({tp: at - 1 for tp, at in unknown.items()})
            for tp in unknown:
                last_ms = min(times.get(tp, now_ms), now_ms)
                oldest_ms = last_ms - self._window_ms
                since[tp.partition] = min(since.get(tp.partition, oldest_ms), oldest_ms)
            starts, ends = await self._range(reader, since)
            tell = read_at_start.counted()
            async for (topic, partition), records in reader.read(starts, ends, tell):
                count += len(records)
                for record in records:
                    self._take(record, self._events[topic], unknown, since[partition])
        return count

    async def _range(
        self, reader: RangeReader, since: Mapping[int, int]
    ) -> tuple[dict[TP, int], dict[TP, int]]:
        """Return the offsets between which the vendors' topics are read."""
        wanted = {
            TP(topic, partition): max(0, oldest_ms - SKEW_MS)
            for topic in self._events
            for partition, oldest_ms in since.items()
        }
        found = {tp: at for tp, at in (await reader.at(wanted)).items() if at is not None}
        ends = await reader.ends(found)
        most = MAX_RECALLED // max(1, len(wanted))
        return {tp: max(at, ends[tp] - most) for tp, at in found.items()}, ends

    def _take(self, record: Any, vendor: int, unknown: Mapping[TP, int], oldest_ms: int) -> None:
        headers = dict(record.headers)
        try:
            source = Source.parse(headers["source"].decode())
            kafka_ms = int(headers["source-time"])
            event_id = _decode(record.value).event_id
        except (KeyError, ValueError, TypeError, RecursionError):
            return  # not enrichment's, so it was not passed on by it
        topic, partition, offset = source
        tp = TP(topic, partition)
        is_derived = event_id == f"{self._derived.get(topic)}-{partition}-{offset}"
        if tp not in unknown or kafka_ms < oldest_ms or record.key is None:
            return
        passed_on = self._passed_on.get(tp)
        if passed_on is None:
            passed_on = self._passed_on[tp] = self._new()
        if not is_derived:
            passed_on.recall(identity(record.key, event_id), offset, kafka_ms, vendor)
        if OWN_KEY in headers:
            own = headers[OWN_KEY].decode()
            passed_on.recall(identity(record.key, own), offset, kafka_ms, vendor)

    def _new(self) -> PassedOn:
        return PassedOn(self._window_ms, self._vendors)
