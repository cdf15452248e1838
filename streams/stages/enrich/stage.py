"""Enrichment: chunks of raw records in, records for each vendor out.

A chunk is settled once the broker has acknowledged all its outputs: first receipts of skips and
dead letters, then vendor records. Chunks that came together are started together, so that each of
these two steps is one request to a broker. A partition whose outputs a topic refuses waits alone.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
from faust.types import TP

from streams.core.consent import MAX_ROW_DELAY_SECONDS
from streams.core.enrich import Enricher
from streams.core.events import EventParser
from streams.core.fields import FieldMap
from streams.core.topics import Topics
from streams.engine.app import Stage, StageApp
from streams.engine.chunks import Chunk
from streams.engine.expired import ALL, ExpiredRecords
from streams.engine.failure import leave
from streams.engine.partitioner import Strays
from streams.engine.positions import StartPosition
from streams.engine.tables import GlobalTopicTable, TopicTable
from streams.stages.enrich.enabled_ranges import EnabledRanges, read_ranges
from streams.stages.enrich.enrichment import EnrichedChunk, Enrichment
from streams.stages.enrich.joined_rows import admit_product, admit_user
from streams.stages.enrich.late_identity import LateIdentity, Replay
from streams.stages.enrich.recent_events import RecentEvents
from streams.stages.enrich.refusals import EnrichmentRefusals
from streams.worker.counters import Counters
from streams.worker.join_rates import JoinRates

log = logging.getLogger("streams.enrich")

DELIVERIES_UNDER_WAY = 8
"""How many groups of chunks may be written at once, at most."""


class EnrichStage(Stage):
    """The stage ``enrich`` in one process."""

    def __init__(
        self,
        app: StageApp,
        topics: Topics,
        enricher: Enricher,
        vendors: Sequence[str],
        *,
        parsers: Mapping[str, EventParser],
        fields: Mapping[str, FieldMap | None],
        wall_ms: Callable[[], int],
        partitions: Mapping[str, int],
        keep_email: bool,
        duplicate_ms: int = 0,
        late: Iterable[tuple[int, Replay]] = (),
    ) -> None:
        """Declare the tables and the agents; parsers and field maps are by raw topic.

        ``duplicate_ms``: how long passed-on events are remembered; 0: not at all. ``late``: for
        each vendor with late identity, how far back (ms) events are sent, and what sends them.
        """
        super().__init__(app)
        self.counters = Counters()
        self.joins = JoinRates()
        self._topics = topics
        self._vendors = tuple(vendors)
        self._wall_ms = wall_ms
        self._ranges: dict[TP, EnabledRanges] = {}
        self._under_way: dict[asyncio.Task[None], tuple[int, int]] = {}
        """For each chunk that is being written: its delivery and its partition."""
        self._deliveries = 0
        self._passed: dict[TP, asyncio.Event] = {}
        """For each source partition: set once its newest chunk's vendor records are queued."""
        self._refused: frozenset[int] = frozenset()
        self._moved = asyncio.Event()
        """Set when a delivery has ended, or a topic refuses it."""
        derived = {topic: parser.topic for topic, parser in parsers.items()}
        self._recent = RecentEvents(topics, vendors, duplicate_ms, derived, self.counters.notes)
        users = app.new_table(
            TopicTable,
            "users",
            topic=topics.users,
            admit=admit_user(self.counters.notes, keep_email=keep_email),
            malformed_row="says no to every vendor",
            strays=Strays(partitions[topics.users]),
        )
        products = app.new_table(
            GlobalTopicTable,
            "products",
            topic=topics.products,
            partitions=partitions[topics.products],
            admit=admit_product(self.counters.notes),
            hidden_rows="later changes of products have no effect yet",
        )
        self._enrichment = Enrichment(
            topics,
            enricher,
            vendors,
            users,
            products,
            self._recent,
            parsers=parsers,
            refusals=EnrichmentRefusals(topics, fields, self.counters),
            counters=self.counters,
            joins=self.joins,
            wall_ms=wall_ms,
        )
        for window_ms, replay in late:
            LateIdentity(app, users, products, window_ms, replay, wall_ms=wall_ms)
        for source in topics.sources:
            app.read_chunks(topics.of_shop(source), name=f"enrich-{source}", take=self._take)

    # -- the way of a chunk

    async def _take(self, chunks: Sequence[Chunk]) -> None:
        """Start to enrich and write these chunks, once there is room."""
        # Chunks that were revoked meanwhile are left out: the next owner starts from the commit.
        for chunk in await self._with_room(chunks):
            self._begin(chunk)
        self._deliveries += 1

    def _begin(self, chunk: Chunk) -> None:
        """Enrich a chunk, and start to write its outputs."""
        tp = chunk.tp
        enriched = EnrichedChunk(self.app.new_outputs(), self.app.new_outputs())
        self._enrichment.enrich(tp, chunk.value, enriched)
        before, passed = self._passed.get(tp), asyncio.Event()
        self._passed[tp] = passed
        task = asyncio.ensure_future(self._finish(chunk, enriched, before, passed))
        self._under_way[task] = self._deliveries, tp.partition
        task.add_done_callback(self._ended)

    async def _with_room(self, chunks: Sequence[Chunk]) -> Sequence[Chunk]:
        """Wait until few enough deliveries are under way; refused ones do not count.

        Return the chunks that are still ours: the user rows of a revoked partition are gone, and
        without them no visitor would have a consent.
        """
        while ours := await self.app.ours(chunks):
            waiting = self._under_way.values()
            under_way = {number for number, partition in waiting if partition not in self._refused}
            if len(under_way) < DELIVERIES_UNDER_WAY:
                break
            self._moved.clear()
            await self._moved.wait()
        return ours

    def _ended(self, written: "asyncio.Task[None]") -> None:
        del self._under_way[written]
        self._moved.set()

    async def _finish(
        self,
        chunk: Chunk,
        enriched: EnrichedChunk,
        before: asyncio.Event | None,
        passed: asyncio.Event,
    ) -> None:
        """Write the outputs, vendor records after those of the chunk before; settle the chunk."""
        try:
            await (await enriched.closing.send()).acknowledged()
            if before is not None:
                await before.wait()
            if not await self.app.ours((chunk,)):
                passed.set()
                return
            delivery = await enriched.passing.send()
            passed.set()
            await delivery.acknowledged()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            leave(f"{error}; starting again from the last commit", cause=error)
        self.app.consumer.ack(chunk)

    # -- what the engine asks

    def may_hand_out(self, tp: TP) -> bool:
        """Return whether the partition's user rows are recent enough."""
        return self.app.row_delay(self._topics.users, tp.partition) <= MAX_ROW_DELAY_SECONDS

    def commit_metadata(self, tp: TP, offset: int) -> str | None:
        """Return in which raw offsets vendors were on, and what expired; None: not known here."""
        ranges = self._ranges.get(tp)
        if ranges is None:
            return None
        ranges.expired = self.expired[tp].below(offset)
        return msgspec.json.encode(ranges).decode()

    async def on_start_positions(self, positions: Mapping[TP, StartPosition]) -> None:
        """Record from which raw offset on vendors are on, and read what was passed on recently."""
        await self._recent.start(positions, self.app.options.client_options, self._wall_ms())
        for tp, start in positions.items():
            ranges = read_ranges(tp, start.metadata)
            ranges.switch(self._vendors, start.offset, start.log_start)
            self._ranges[tp] = ranges
            self.expired[tp] = ExpiredRecords(ranges.expired)

    def on_partitions_gone(self, tps: Iterable[TP]) -> None:
        """Forget partitions that may belong to another worker now."""
        for tp in tps:
            self._ranges.pop(tp, None)
            self.expired.pop(tp, None)

    async def settle(self, seconds: float) -> None:
        """Wait until the broker has acknowledged what was written."""
        if self._under_way:
            await asyncio.wait(self._under_way.keys(), timeout=seconds)

    def on_refused(self, partitions: Mapping[int, str]) -> None:
        """Let deliveries of these partitions wait without delaying the others."""
        self._refused = frozenset(partitions)
        self._moved.set()

    def may_be_silent(self, tp: TP) -> bool:
        """Return whether a topic refuses what is written for this partition."""
        return tp.partition in self._refused

    def on_expired(self, tp: TP, first: int, end: int) -> None:
        """Count and log records that were deleted before they were read."""
        records = end - first
        self.expired[tp].record(first, end, dict.fromkeys((ALL, *self._vendors), records))
        self.counters.expired[tp.topic] += records
        log.error(
            "%d records of %s partition %d were deleted by retention before they were read",
            records,
            tp.topic,
            tp.partition,
        )
