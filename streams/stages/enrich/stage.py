"""Enrichment: raw chunks in, one batch of records a vendor out.

A chunk is settled once the broker has acknowledged all that came of it: first receipts of skips
and dead letters, then vendor records. Chunks that came together are begun together, so that each
of these two steps is one request to a broker; a partition that a topic refuses waits by itself.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec
from faust.types import TP

from streams.core.consent import MAX_ROW_DELAY_SECONDS
from streams.core.duplicates import bits, identity
from streams.core.enrich import (
    NO_PRODUCTS,
    Enricher,
    Refuse,
    Send,
    Skip,
    differing_ids,
    rows_named,
)
from streams.core.errors import InvalidEvent
from streams.core.events import EventParser
from streams.core.fields import FieldMap
from streams.core.outcome import DeadLetterReason
from streams.core.records import OWN_KEY
from streams.core.rows import User
from streams.core.times import arrived_ms, utc_text
from streams.core.topics import Topics
from streams.core.values import SUSPICIOUS_IDS
from streams.delivery.receipts import SkipReceipts
from streams.engine.app import Stage, StageApp
from streams.engine.chunks import Chunk, Records
from streams.engine.expired import ALL, ExpiredRecords
from streams.engine.failure import leave
from streams.engine.outputs import Outputs
from streams.engine.partitions import Strays
from streams.engine.positions import StartPosition
from streams.engine.wall_clock import ForwardTime
from streams.stages.enrich.enabled_ranges import EnabledRanges, read_ranges
from streams.stages.enrich.joined_rows import JoinedRows, admit_product, admit_user
from streams.stages.enrich.late_identity import LateIdentity, Replay
from streams.stages.enrich.recent_events import RecentEvents
from streams.stages.enrich.refusals import EnrichmentRefusals
from streams.worker.counters import Counters
from streams.worker.join_rates import JoinRates

log = logging.getLogger("streams.enrich")

DELIVERIES_UNDER_WAY = 8
"""Of chunks that came together."""
_OF_CONSENT = {ground: ("consent", ground.encode()) for ground in ("event", "row", "assumed")}


class EnrichedChunk(NamedTuple):
    """What came of one chunk, in the two parts in which it is written.

    A later record of the chunk moves the sinks' mark past an earlier one. Were that one skipped
    and its receipt lost in a crash, and its visitor's row changed meanwhile, then it would be sent
    after all, and taken for a repeat. So what closes an event is acknowledged first.
    """

    closing: Outputs
    """Receipts of skips, and dead letters."""
    passing: Outputs
    """Vendor records."""


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

        ``duplicate_ms``: how long what was passed on is remembered; 0: not. ``late``: by vendor
        that waits for contacts, how far back (ms) its events go, and what sends them.
        """
        super().__init__(app)
        self.counters = Counters()
        self.joins = JoinRates()
        self._topics = topics
        self._enricher = enricher
        self._vendors = tuple(vendors)
        self._wall_ms = wall_ms
        self._arrivals = ForwardTime(wall_ms)
        self._refusals = EnrichmentRefusals(topics, fields, self.counters)
        self._parsers = parsers
        self._events = {vendor: topics.events(vendor) for vendor in vendors}
        self._receipts = {vendor: topics.receipts(vendor) for vendor in vendors}
        self._ranges: dict[TP, EnabledRanges] = {}
        self._under_way: dict[asyncio.Task[None], tuple[int, int]] = {}
        """By chunk that is being written: which delivery it belongs to, and its partition."""
        self._deliveries = 0
        self._passed: dict[TP, asyncio.Event] = {}
        """By source partition: set once its newest chunk's vendor records are queued."""
        self._refused: frozenset[int] = frozenset()
        self._moved = asyncio.Event()
        """Set when a delivery has ended, or waits for a topic that refuses it."""
        self._rows = JoinedRows()
        self._bits = bits(vendors)
        derived = {topic: parser.topic for topic, parser in self._parsers.items()}
        self._recent = RecentEvents(topics, vendors, duplicate_ms, derived, self.counters.notes)
        self._users = app.topic_table(
            "users",
            topic=topics.users,
            admit=admit_user(self.counters.notes, keep_email=keep_email),
            malformed_row="says no to every vendor",
            strays=Strays(partitions[topics.users]),
        )
        self._products = app.global_topic_table(
            "products",
            topic=topics.products,
            partitions=partitions[topics.products],
            admit=admit_product(self.counters.notes),
        )
        for window_ms, replay in late:
            LateIdentity(app, self._users, self._products, window_ms, replay, wall_ms=wall_ms)
        for source in topics.sources:
            app.chunk_agent(topics.of_shop(source), name=f"enrich-{source}")(self._run)

    # -- the way of a chunk

    async def _run(self, stream: Any) -> None:
        try:
            async for event in stream.noack().events():
                # Not what was revoked meanwhile: the next owner starts from the commit.
                for chunk in await self._with_room(event.value):
                    self._begin(chunk)
                self._deliveries += 1
        except asyncio.CancelledError:
            raise
        except Exception as error:
            leave(f"enriching stopped: {error!r}", cause=error)

    def _begin(self, chunk: Chunk) -> None:
        """Enrich a chunk, and begin to write what came of it."""
        tp = chunk.tp
        enriched = EnrichedChunk(self.app.new_outputs(), self.app.new_outputs())
        self.enrich_chunk(tp, chunk.value, enriched)
        before, passed = self._passed.get(tp), asyncio.Event()
        self._passed[tp] = passed
        task = asyncio.ensure_future(self._finish(chunk, enriched, before, passed))
        self._under_way[task] = self._deliveries, tp.partition
        task.add_done_callback(self._ended)

    async def _with_room(self, chunks: Sequence[Chunk]) -> Sequence[Chunk]:
        """Wait until few enough deliveries are under way; what topics refuse is not among them.

        Return those that are ours still: a chunk's visitors' rows go with its partition, and
        without them nobody would have said yes.
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
        """Write the vendor records behind those of the chunk before, and settle the chunk."""
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

    # One loop, though a long one: whatever is called in it costs every event.
    def enrich_chunk(  # noqa: C901
        self, tp: TP, records: Records, chunk: "EnrichedChunk"
    ) -> None:
        """Append everything that these records of one partition give."""
        topic, partition = tp
        parser = self._parsers[topic]
        parse, decide = parser.parse, self._enricher.decide
        closing = chunk.closing
        append, close = chunk.passing.append, closing.append
        rows, products = self._rows, self._products.by_key
        users = self._users.rows.get(partition, {})
        forgotten = self._users.forgotten.get(partition, {})
        now_ms = self._wall_ms()
        read_ms = self._arrivals.now_ms()
        at = utc_text(now_ms)
        sources = f"{topic}/{partition}/".encode()
        derived = f"{parser.topic}-{partition}-"
        receipts = SkipReceipts(at)
        recent = self._recent.of(tp, records, now_ms)
        counters, joins = self.counters, self.joins
        skips: list[Skip] = []
        is_about_one, named = parser.is_about_one_product, NO_PRODUCTS
        for record in records:
            key = record.key
            offset = record.offset
            kafka_ms = record.timestamp
            who: bytes | None = None
            own: str | None = None
            passed_to: Collection[str] = ()
            try:
                event = parse(key, record.value, partition, offset, kafka_ms)
                # Or it would pass for newer than any word of its visitor until that day.
                came_ms = arrived_ms(kafka_ms, read_ms)
                if came_ms != kafka_ms:
                    counters.notes["future_kafka_time"] += 1
                    kafka_ms = came_ms
                assert key is not None  # or it would not be an event
                event_id = event.event_id
                forgotten_ms = forgotten.get(key) if forgotten else None
                if (
                    recent is not None
                    and not (event_id.startswith(derived) and event_id == f"{derived}{offset}")
                    # What programs write where they have no id tells no event from another.
                    and event_id not in SUSPICIOUS_IDS
                ):
                    who = identity(key, event_id)
                    passed_to = recent.vendors_of(who, offset, kafka_ms, forgotten_ms)
                user = rows.user(users, key)
                if is_about_one:
                    product = rows.product(products, event.product_id or "")
                    if product is None or not (
                        event.user_id or (type(user) is User and user.user_id)
                    ):
                        joins.miss(event, user, has_product=product is not None)
                    joins.events += 1
                else:
                    product, named = rows_named(event, partial(rows.product, products))
                    own = event.own_key()
                    if recent is not None and own is not None:
                        by_own = recent.vendors_of(
                            identity(key, own), offset, kafka_ms, forgotten_ms
                        )
                        passed_to = {*passed_to, *by_own}
                decisions = decide(
                    event, user, forgotten_ms, product, kafka_ms, now_ms, passed_to, named
                )
            except InvalidEvent as error:
                self._refusals.no_event(tp, record, error, at, closing)
                continue
            except Exception as defect:
                log.exception("our own code failed over %s/%d/%d", *tp, offset)
                words = f"{type(defect).__name__}: {defect}"
                letter = InvalidEvent(DeadLetterReason.DEFECT, words)
                self._refusals.no_event(tp, record, letter, at, closing)
                continue
            if event.notes:
                counters.notes.update(event.notes)
            if event.eightselect_user_id is not None:
                counters.notes.update(differing_ids(event, user))
            source = b"%b%d" % (sources, offset)
            to_close = b""
            vendors = 0
            for decision in decisions:
                vendor = decision.vendor
                if type(decision) is Send:
                    if not vendors:
                        of_source = ("source", source)
                        of_time = ("source-time", b"%d" % kafka_ms)
                    vendors |= self._bits[vendor]
                    if decision.notes:
                        counters.notes.update(decision.notes)
                    headers = [of_source, _OF_CONSENT[decision.consent], of_time]
                    if own is not None:
                        headers.append((OWN_KEY, own.encode()))
                    append(self._events[vendor], partition, key, decision.value, headers)
                elif type(decision) is Skip:
                    if not to_close:
                        to_close, id_ = receipts.begin(event_id, source), event_id.encode()
                    skips.append(decision)
                    receipt = to_close + receipts.end[decision.reason, decision.detail]
                    close(self._receipts[vendor], partition, id_, receipt)
                else:
                    assert type(decision) is Refuse
                    self._refusals.not_for_vendor(tp, record, event_id, decision, at, closing)
            if who is not None and vendors:
                assert recent is not None
                recent.add(who, offset, kafka_ms, vendors)
            if own is not None and vendors and recent is not None:
                assert key is not None
                recent.add(identity(key, own), offset, kafka_ms, vendors)
        counters.events += len(records)
        counters.take_skips(Counter(skips))

    # -- what the engine asks

    def may_hand_out(self, tp: TP) -> bool:
        """Hold a partition back while its users' rows may be older than they may be."""
        return self.app.row_delay(self._topics.users, tp.partition) <= MAX_ROW_DELAY_SECONDS

    def commit_metadata(self, tp: TP, offset: int) -> str | None:
        """Return in which raw offsets which vendors were on, and what expired; None: not known."""
        ranges = self._ranges.get(tp)
        if ranges is None:
            return None
        ranges.expired = self.expired[tp].below(offset)
        return msgspec.json.encode(ranges).decode()

    async def on_start_positions(self, positions: Mapping[TP, StartPosition]) -> None:
        """Note from which raw offset on each vendor is on, and what was passed on lately."""
        await self._recent.start(positions, self.app.options.client_options, self._wall_ms())
        for tp, start in positions.items():
            ranges = read_ranges(tp, start.metadata)
            ranges.switch(self._vendors, start.offset, start.log_start)
            self._ranges[tp] = ranges
            self.expired[tp] = ExpiredRecords(ranges.expired)

    def on_partitions_gone(self, tps: Iterable[TP]) -> None:
        """Forget the ranges of partitions that another worker has now."""
        for tp in tps:
            self._ranges.pop(tp, None)
            self.expired.pop(tp, None)

    async def settle(self, seconds: float) -> None:
        """Wait for the broker's word on what was written."""
        if self._under_way:
            await asyncio.wait(self._under_way.keys(), timeout=seconds)

    def on_refused(self, partitions: Mapping[int, str]) -> None:
        """Let deliveries of these partitions wait without holding up the others."""
        self._refused = frozenset(partitions)
        self._moved.set()

    def may_be_silent(self, tp: TP) -> bool:
        """Return whether a topic refuses what is written for this partition."""
        return tp.partition in self._refused

    def on_expired(self, tp: TP, first: int, end: int) -> None:
        """Count and say what retention deleted before it was read."""
        records = end - first
        self.expired[tp].record(first, end, dict.fromkeys((ALL, *self._vendors), records))
        self.counters.expired[tp.topic] += records
        log.error(
            "%d records of %s partition %d were deleted by retention before they were read",
            records,
            tp.topic,
            tp.partition,
        )
