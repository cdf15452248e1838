"""What a replay does with a raw record, for each vendor: the one judgement of preview and run."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from aiokafka import ConsumerRecord, TopicPartition

from streams.core.consent import Ground, Malformed
from streams.core.duplicates import MAX_IDS, PassedOn, bits, identity, trim
from streams.core.enrich import Enricher, Refuse, Send, VendorPlan, rows_named
from streams.core.errors import InvalidEvent
from streams.core.event_types import Event, NamedProduct
from streams.core.kinds import KINDS
from streams.core.outcome import DeadLetterReason, Outcome
from streams.core.rows import Product, User
from streams.core.runs import ALREADY_ACCEPTED, DUPLICATE, WAITING, Asked
from streams.replay.delivery_history import DeliveryHistory
from streams.replay.only_filter import MISSING, parse_only
from streams.settings import Settings

TRIMMED_AFTER = 10_000
"""Events between two looks at how many are remembered."""


class PlannedSend(NamedTuple):
    """The event goes to the vendor."""

    value: bytes
    """The encoded vendor record."""
    consent: Ground


class Left(NamedTuple):
    """Nothing is to be done."""

    why: str
    """A word of ``core.runs``."""


class Skipped(NamedTuple):
    """Today's rows, consent or mapping say no."""

    reason: str
    event_id: str


class Refused(NamedTuple):
    """It is no event, or does not fit the vendor."""

    error: InvalidEvent
    event_id: str | None
    """None: it is no event at all."""


Judgement = PlannedSend | Left | Skipped | Refused


class RowLookup(Protocol):
    """The tables as they are now."""

    def user(self, key: bytes) -> User | Malformed | None:
        """Return the visitor's row; MALFORMED for one out of shape, None where there is none."""

    def forgotten_ms(self, key: bytes) -> int | None:
        """Return the Kafka time of the visitor's newest tombstone."""

    def product(self, product_id: str) -> Product | None:
        """Return the product's row; None where there is none or one out of shape."""


class Placed(Protocol):
    """A record as far as its place and time go."""

    @property
    def key(self) -> bytes | None:
        """The visitor."""

    @property
    def offset(self) -> int:
        """Its place in the partition."""

    @property
    def timestamp(self) -> int:
        """Its Kafka time."""


class Mapper:
    """Raw records and today's rows in, decisions out: enrichment's own parser and judgement."""

    def __init__(self, settings: Settings, plans: Sequence[VendorPlan], rows: RowLookup) -> None:
        self.rows = rows
        self._vendors = tuple(plan.vendor for plan in plans)
        self._enricher = Enricher(plans, settings.consent.mode)
        self._parsers = settings.event_parsers()

    def parse(
        self,
        tp: TopicPartition,
        offset: int,
        key: bytes | None,
        value: bytes | None,
        kafka_ms: int,
    ) -> Event:
        """Return the event; raises InvalidEvent, also where our own code fails over it."""
        try:
            return self._parsers[tp.topic].parse(key, value, tp.partition, offset, kafka_ms)
        except InvalidEvent:
            raise
        except Exception as defect:
            words = f"{type(defect).__name__}: {defect}"
            raise InvalidEvent(DeadLetterReason.DEFECT, words) from defect

    def names_sku(self, event: Event, sku: str) -> bool:
        """Return whether the event is about this SKU, by its own word or its product's row."""
        return any(sku == (named.sku or self._sku_of_row(named)) for named in event.named())

    def _sku_of_row(self, named: NamedProduct) -> str | None:
        row = self.rows.product(named.product_id) if named.product_id else None
        return None if row is None else row.sku

    def decide(self, event: Event, kafka_ms: int, now_ms: int) -> Iterator[tuple[str, Judgement]]:
        """Yield what today's rows, consent and mapping make of it, by vendor."""
        key = event.anonymous_id.encode()
        try:
            product, products = rows_named(event, self.rows.product)
            decisions = self._enricher.decide(
                event,
                self.rows.user(key),
                self.rows.forgotten_ms(key),
                product,
                kafka_ms,
                now_ms,
                products=products,
            )
        # One record over which our own code fails must not end the run.
        except Exception as defect:
            words = f"{type(defect).__name__}: {defect}"
            letter = InvalidEvent(DeadLetterReason.DEFECT, words)
            letter.__cause__ = defect
            yield from ((vendor, Refused(letter, event.event_id)) for vendor in self._vendors)
            return
        for decision in decisions:
            if isinstance(decision, Send):
                yield decision.vendor, PlannedSend(decision.value, decision.consent)
            elif isinstance(decision, Refuse):
                yield decision.vendor, Refused(decision.error, event.event_id)
            else:
                yield decision.vendor, Skipped(str(decision.reason), event.event_id)


class ReplayDeduplicator:
    """Leaves what was already sent from another record, as enrichment does."""

    def __init__(self, settings: Settings, vendors: Sequence[str], max_ids: int = MAX_IDS) -> None:
        """Start with nothing sent; about ``max_ids`` events are remembered at most."""
        self._max_ids = max_ids
        self._until_trimmed = TRIMMED_AFTER
        self._window_ms = round(settings.enrich.duplicate_minutes * 60_000)
        self._vendors = tuple(vendors)
        self._bits = bits(self._vendors)
        self._seen: dict[TopicPartition, PassedOn] = {}

    def without(
        self,
        tp: TopicPartition,
        record: Placed,
        event: Event,
        decisions: list[tuple[str, Judgement]],
    ) -> list[tuple[str, Judgement]]:
        """Return the decisions, ``Left(DUPLICATE)`` for each vendor that has got the event."""
        if not self._window_ms:
            return decisions
        own = event.own_key()
        ids = [event.event_id] if own is None else [event.event_id, own]
        who = [identity(record.key or b"", one) for one in ids]
        seen = self._seen.get(tp)
        if seen is None:
            seen = self._seen[tp] = PassedOn(self._window_ms, self._vendors)
        offset, kafka_ms = record.offset, record.timestamp
        seen.advance(kafka_ms, kafka_ms)
        known = {vendor for one in who for vendor in seen.vendors_of(one, offset, kafka_ms, None)}
        judged: list[tuple[str, Judgement]] = []
        for vendor, made in decisions:
            if isinstance(made, PlannedSend) and vendor in known:
                judged.append((vendor, Left(DUPLICATE)))
                continue
            if isinstance(made, PlannedSend):
                for one in who:
                    seen.add(one, offset, kafka_ms, self._bits[vendor])
            judged.append((vendor, made))
        self._until_trimmed -= 1
        if self._until_trimmed <= 0:
            self._until_trimmed = TRIMMED_AFTER
            trim(self._seen.values(), self._max_ids)
        return judged


class ReplayPlanner:
    """Decides over the records of a window."""

    def __init__(
        self,
        settings: Settings,
        plans: Sequence[VendorPlan],
        rows: RowLookup,
        history: DeliveryHistory,
        asked: Asked,
    ) -> None:
        topics = settings.topics
        self._mapper = Mapper(settings, plans, rows)
        self._vendors = tuple(plan.vendor for plan in plans)
        self._duplicates = ReplayDeduplicator(settings, self._vendors)
        self._history = history
        self._only = parse_only(asked.only)
        self._types = {topics.of_shop(one): KINDS[one].event_type for one in topics.sources}
        self._visitor = None if asked.visitor is None else asked.visitor.encode()
        self._sku = asked.sku
        self._again = asked.again

    def judge(
        self, tp: TopicPartition, record: ConsumerRecord, now_ms: int
    ) -> list[tuple[str, Judgement]]:
        """Return the judgement for each vendor for which the record is selected.

        The record lies within the window: its Kafka time has been looked at.
        """
        if self._visitor is not None and record.key != self._visitor:
            return []
        if not self._only.has_type(self._types[tp.topic]):
            return []
        settled, open_ = self._by_history(tp, record.offset)
        if not open_ and (self._sku is None or not settled):
            return settled
        try:
            event = self._mapper.parse(
                tp, record.offset, record.key, record.value, record.timestamp
            )
        except InvalidEvent as error:
            if self._sku is not None:
                return []
            return [*settled, *((vendor, Refused(error, None)) for vendor in open_)]
        if self._sku is not None and not self._mapper.names_sku(event, self._sku):
            return []
        if open_:
            decisions = self._mapper.decide(event, record.timestamp, now_ms)
            wanted = [(vendor, made) for vendor, made in decisions if vendor in open_]
            settled += self._duplicates.without(tp, record, event, wanted)
        return settled

    def _by_history(
        self, tp: TopicPartition, offset: int
    ) -> tuple[list[tuple[str, Judgement]], list[str]]:
        """Return what is clear without looking into the record, and the vendors left to decide."""
        settled: list[tuple[str, Judgement]] = []
        open_: list[str] = []
        for vendor in self._vendors:
            last = self._history.last(vendor, tp, offset)
            if not self._only.has_outcome(last.outcome or MISSING, last.reason):
                continue
            if self._history.is_waiting(vendor, tp, offset):
                settled.append((vendor, Left(WAITING)))
            elif last.outcome == Outcome.ACCEPTED and not self._again:
                settled.append((vendor, Left(ALREADY_ACCEPTED)))
            elif self._history.was_duplicate(last):
                settled.append((vendor, Left(DUPLICATE)))
            else:
                open_.append(vendor)
        return settled, open_
