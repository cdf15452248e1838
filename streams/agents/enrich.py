"""Enrichment: raw chunks in, one batch of records a vendor out.

A chunk is settled once the broker has acknowledged all that came of it: first receipts of skips
and dead letters, then vendor records.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from faust.types import TP

from streams.agents.joins import Joins
from streams.agents.on_ranges import OnRanges, read_ranges
from streams.agents.refusals import Refusals
from streams.agents.tally import Tally
from streams.core.consent import MALFORMED as NO_TO_ALL
from streams.core.consent import Malformed
from streams.core.enrich import Enricher, Refuse, Send
from streams.core.errors import InvalidEvent
from streams.core.events import EventParser
from streams.core.fields import FieldMap
from streams.core.outcome import DeadLetterReason
from streams.core.rows import Product, User, decode_product, decode_user, strip_email
from streams.core.times import utc_text
from streams.core.topics import Topics
from streams.delivery.receipts import skipped_in_enrichment
from streams.engine.app import Stage, StageApp
from streams.engine.chunks import Records
from streams.engine.expired import ALL, Expired, total_by_topic
from streams.engine.failure import leave
from streams.engine.outputs import Delivery, Outputs
from streams.engine.positions import StartPosition
from streams.engine.tables import MALFORMED, GlobalTopicTable, TopicTable

log = logging.getLogger("streams.enrich")

MAX_ROW_DELAY_SECONDS = 5.0
"""A user row acts on every event that is read later than this after it (contract §3)."""
DELIVERIES_UNDER_WAY = 8
CACHED_ROWS = 100_000


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
    """The stage ``enrich`` in one process; ``bind`` connects it to its app."""

    app: StageApp
    users: TopicTable
    products: GlobalTopicTable

    def __init__(
        self,
        topics: Topics,
        enricher: Enricher,
        vendors: Sequence[str],
        *,
        click_fields: FieldMap | None,
        cart_fields: FieldMap | None,
        wall_ms: Callable[[], int],
    ) -> None:
        self.tally = Tally()
        self.joins = Joins()
        self._topics = topics
        self._enricher = enricher
        self._vendors = tuple(vendors)
        self._wall_ms = wall_ms
        fields = {topics.clicks: click_fields, topics.add_to_carts: cart_fields}
        self._refusals = Refusals(topics, fields, self.tally)
        self._parsers = {
            topics.clicks: EventParser("click", "shop.clicks", click_fields),
            topics.add_to_carts: EventParser("add_to_cart", "shop.add-to-carts", cart_fields),
        }
        self._events = {vendor: topics.events(vendor) for vendor in vendors}
        self._receipts = {vendor: topics.receipts(vendor) for vendor in vendors}
        self._ranges: dict[TP, OnRanges] = {}
        self._expired: dict[TP, Expired] = {}
        self._under_way: set[asyncio.Task[None]] = set()
        self._passed: dict[TP, asyncio.Event] = {}
        """By source partition: set once its newest chunk's vendor records are queued."""
        self._room = asyncio.Semaphore(DELIVERIES_UNDER_WAY)
        self._decoded_products: dict[bytes, tuple[Any, Product | None]] = {}
        self._decoded_users: dict[bytes, tuple[Any, User | Malformed | None]] = {}

    def bind(self, app: StageApp, *, product_partitions: int, keep_email: bool) -> None:
        """Declare the tables and the agents of this stage."""
        self.app = app
        self.users = app.topic_table(
            "users", topic=self._topics.users, admit=_admit_user(keep_email=keep_email)
        )
        self.products = app.global_topic_table(
            "products",
            topic=self._topics.products,
            partitions=product_partitions,
            admit=_admit_product,
        )

        @app.chunk_agent(self._topics.clicks, name="enrich-clicks")
        async def enrich_clicks(stream: Any) -> None:
            await self._run(stream)

        @app.chunk_agent(self._topics.add_to_carts, name="enrich-add-to-carts")
        async def enrich_add_to_carts(stream: Any) -> None:
            await self._run(stream)

    # -- what the engine asks

    def may_hand_out(self, tp: TP) -> bool:
        """Hold a partition back while its users' rows may be older than they may be."""
        users = TP(self._topics.users, tp.partition)
        delay: float = self.app.consumer.recovery.delay_seconds(users)
        return delay <= MAX_ROW_DELAY_SECONDS

    def commit_metadata(self, tp: TP, offset: int) -> str:
        """Return in which raw offsets which vendors were on, and what expired."""
        ranges = self._ranges.get(tp)
        if ranges is None:
            return ""
        ranges.expired = self._expired[tp].below(offset)
        return msgspec.json.encode(ranges).decode()

    async def on_start_positions(self, positions: Mapping[TP, StartPosition]) -> None:
        """Note from which raw offset on each vendor is on."""
        for tp, start in positions.items():
            ranges = read_ranges(tp, start.metadata)
            ranges.switch(self._vendors, start.offset)
            self._ranges[tp] = ranges
            self._expired[tp] = Expired(ranges.expired)

    def on_partitions_gone(self, tps: Iterable[TP]) -> None:
        """Forget the ranges of partitions that another worker has now."""
        for tp in tps:
            self._ranges.pop(tp, None)
            self._expired.pop(tp, None)

    async def settle(self, seconds: float) -> None:
        """Wait for the broker's word on what was written."""
        if self._under_way:
            await asyncio.wait(set(self._under_way), timeout=seconds)

    def expired(self) -> Mapping[str, int]:
        """Return how many raw records retention ever deleted unread, by topic."""
        return total_by_topic(self._expired)

    def on_expired(self, tp: TP, first: int, end: int) -> None:
        """Count and say what retention deleted before it was read."""
        records = end - first
        self._expired[tp].note(end, dict.fromkeys((ALL, *self._vendors), records))
        self.tally.expired[tp.topic] += records
        log.error(
            "%d records of %s partition %d were deleted by retention before they were read",
            records,
            tp.topic,
            tp.partition,
        )

    # -- chunks

    async def _run(self, stream: Any) -> None:
        try:
            async for event in stream.noack().events():
                await self._room.acquire()
                tp = event.message.tp
                chunk = EnrichedChunk(self.app.new_outputs(), self.app.new_outputs())
                self.enrich_chunk(tp, event.value, chunk)
                closed = await chunk.closing.send()
                before, passed = self._passed.get(tp), asyncio.Event()
                self._passed[tp] = passed
                task = asyncio.ensure_future(self._finish(event, closed, chunk, before, passed))
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            leave(f"enriching stopped: {error!r}", cause=error)

    async def _finish(
        self,
        event: Any,
        closed: Delivery,
        chunk: "EnrichedChunk",
        before: asyncio.Event | None,
        passed: asyncio.Event,
    ) -> None:
        """Write the vendor records behind those of the chunk before, and settle the chunk."""
        try:
            await closed.acknowledged()
            if before is not None:
                await before.wait()
            delivery = await chunk.passing.send()
            passed.set()
            await delivery.acknowledged()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            leave(f"{error}; starting again from the last commit", cause=error)
        event.ack()
        self._room.release()

    def enrich_chunk(self, tp: TP, records: Records, chunk: "EnrichedChunk") -> None:
        """Append everything that these records of one partition give."""
        topic, partition = tp
        parse = self._parsers[topic].parse
        decide = self._enricher.decide
        outputs = chunk.closing
        append, close = chunk.passing.append, outputs.append
        users = self.users.rows.get(partition, {})
        forgotten = self.users.forgotten.get(partition, {})
        now_ms = self._wall_ms()
        at = utc_text(now_ms)
        prefix = f"{topic}/{partition}/"
        tally, joins = self.tally, self.joins
        skips: Counter[tuple[str, str]] = Counter()
        for record in records:
            key = record.key
            source = prefix + str(record.offset)
            kafka_ms = record.timestamp
            try:
                event = parse(key, record.value, partition, record.offset, kafka_ms)
                assert key is not None  # or it would not be an event
                user = self._user(users, key)
                product = self._product(event.product_id)
                if product is None or event.user_id is None:
                    joins.miss(event, user, has_product=product is not None)
                joins.events += 1
                decisions = decide(
                    event,
                    user,
                    forgotten.get(key) if forgotten else None,
                    product,
                    kafka_ms,
                    now_ms,
                )
            except InvalidEvent as error:
                self._refusals.no_event(tp, record, error, at, outputs)
                continue
            except Exception as defect:
                log.exception("our own code failed over %s", source)
                words = f"{type(defect).__name__}: {defect}"
                letter = InvalidEvent(DeadLetterReason.DEFECT, words)
                self._refusals.no_event(tp, record, letter, at, outputs)
                continue
            if event.notes:
                tally.notes.update(event.notes)
            for decision in decisions:
                vendor = decision.vendor
                if isinstance(decision, Send):
                    headers = [
                        ("source", source.encode()),
                        ("consent", decision.consent.encode()),
                        ("source-time", b"%d" % kafka_ms),
                    ]
                    append(self._events[vendor], partition, key, decision.value, headers)
                elif isinstance(decision, Refuse):
                    self._refusals.not_for_vendor(tp, record, event.event_id, decision, at, outputs)
                else:
                    skips[vendor, decision.reason] += 1
                    receipt = skipped_in_enrichment(event.event_id, decision.reason, source, at)
                    close(self._receipts[vendor], partition, event.event_id.encode(), receipt)
        tally.events += len(records)
        tally.take_skips(skips)

    def _user(self, users: Mapping[bytes, Any], key: bytes) -> User | Malformed | None:
        row = users.get(key)
        if row is None:
            return None
        if row is MALFORMED:
            return NO_TO_ALL
        known = self._decoded_users.get(key)
        if known is not None and known[0] is row:
            return known[1]
        if len(self._decoded_users) >= CACHED_ROWS:
            self._decoded_users.clear()
        user = decode_user(row)
        self._decoded_users[key] = (row, user)
        return user

    def _product(self, product_id: str) -> Product | None:
        key = product_id.encode()
        row = self.products.by_key.get(key)
        if row is None or row is MALFORMED:
            return None
        known = self._decoded_products.get(key)
        if known is not None and known[0] is row:
            return known[1]
        if len(self._decoded_products) >= CACHED_ROWS:
            self._decoded_products.clear()
        product = decode_product(row)
        self._decoded_products[key] = (row, product)
        return product


def _admit_user(*, keep_email: bool) -> Callable[[bytes], bytes]:
    def admit(value: bytes) -> bytes:
        decode_user(value)
        if keep_email:
            return value
        return strip_email(value) if b"email" in value else value

    return admit


def _admit_product(value: bytes) -> bytes:
    decode_product(value)
    return value
