"""Enriches one chunk of raw records: vendor records, receipts of skips, dead letters."""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from faust.types import TP

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
from streams.core.outcome import DeadLetterReason
from streams.core.receipts import SkipReceipts
from streams.core.records import OWN_KEY
from streams.core.rows import User
from streams.core.times import arrived_ms, utc_text
from streams.core.topics import Topics
from streams.core.values import SUSPICIOUS_IDS
from streams.engine.chunks import Records
from streams.engine.outputs import Outputs
from streams.engine.tables import GlobalTopicTable, TopicTable
from streams.engine.wall_clock import ForwardTime
from streams.stages.enrich.joined_rows import JoinedRows
from streams.stages.enrich.recent_events import RecentEvents
from streams.stages.enrich.refusals import EnrichmentRefusals
from streams.worker.counters import Counters
from streams.worker.join_rates import JoinRates

log = logging.getLogger("streams.enrich")

_OF_CONSENT = {ground: ("consent", ground.encode()) for ground in ("event", "row", "assumed")}


class EnrichedChunk(NamedTuple):
    """The outputs of one chunk, in the two parts in which they are written.

    A later record of the chunk moves the sinks' mark past an earlier one. If the earlier one was
    skipped, its receipt was lost in a crash, and its visitor's row changed, it would be sent after
    all, and the sink would take it for a repeat. So what closes an event is acknowledged first.
    """

    closing: Outputs
    """Receipts of skips, and dead letters."""
    passing: Outputs
    """Vendor records."""


class Enrichment:
    """Joins, decides and maps, with the tables and counters of the stage."""

    def __init__(
        self,
        topics: Topics,
        enricher: Enricher,
        vendors: Sequence[str],
        users: TopicTable,
        products: GlobalTopicTable,
        recent: RecentEvents,
        *,
        parsers: Mapping[str, EventParser],
        refusals: EnrichmentRefusals,
        counters: Counters,
        joins: JoinRates,
        wall_ms: Callable[[], int],
    ) -> None:
        self._enricher = enricher
        self._users = users
        self._products = products
        self._recent = recent
        self._parsers = parsers
        self._refusals = refusals
        self._counters = counters
        self._joins = joins
        self._wall_ms = wall_ms
        self._arrivals = ForwardTime(wall_ms)
        self._events = {vendor: topics.events(vendor) for vendor in vendors}
        self._receipts = {vendor: topics.receipts(vendor) for vendor in vendors}
        self._rows = JoinedRows()
        self._bits = bits(vendors)

    # One long loop, because each call in it costs time for every event.
    def enrich(  # noqa: C901
        self, tp: TP, records: Records, chunk: EnrichedChunk
    ) -> None:
        """Append to ``chunk`` the outputs of these records of one partition."""
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
        counters, joins = self._counters, self._joins
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
                # A Kafka time in the future would count as newer than rows that are still to come.
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
                    # An id such as "null" does not identify an event.
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
                log.exception("our own code failed on %s/%d/%d", *tp, offset)
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
