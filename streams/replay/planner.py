"""What a replay does with a raw record, for each vendor: the one judgement of preview and run."""

from collections.abc import Sequence
from typing import NamedTuple

from aiokafka import TopicPartition

from streams.core.duplicates import MAX_IDS, PassedOn, bits, identity, trim
from streams.core.enrich import Decision, Refuse, Send
from streams.core.errors import InvalidEvent
from streams.core.event_types import Event, NamedProduct
from streams.core.kinds import KINDS
from streams.core.outcome import Outcome
from streams.core.record_mapper import RowLookup
from streams.core.records import TopicRecord
from streams.core.runs import ALREADY_ACCEPTED, DUPLICATE, WAITING, Asked
from streams.replay.delivery_history import DeliveryHistory
from streams.replay.only_filter import MISSING, parse_only
from streams.settings import Settings

TRIMMED_AFTER = 10_000
"""Events between two looks at how many are remembered."""


class Left(NamedTuple):
    """Nothing is to be done."""

    vendor: str
    why: str
    """A word of ``core.runs``."""


Judgement = Decision | Left


class Judged(NamedTuple):
    """What a replay does with a raw record."""

    judgements: Sequence[Judgement] = ()
    """One for each vendor for which the record is selected."""
    event_id: str | None = None
    """None: it is no event, or did not have to be looked into."""


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
        self, record: TopicRecord, event: Event, decisions: Sequence[Decision]
    ) -> Sequence[Judgement]:
        """Return the decisions, ``Left`` as a duplicate for each vendor that has got the event."""
        if not self._window_ms:
            return decisions
        own = event.own_key()
        ids = [event.event_id] if own is None else [event.event_id, own]
        who = [identity(record.key or b"", one) for one in ids]
        tp = TopicPartition(record.topic, record.partition)
        seen = self._seen.get(tp)
        if seen is None:
            seen = self._seen[tp] = PassedOn(self._window_ms, self._vendors)
        offset, kafka_ms = record.offset, record.timestamp
        seen.advance(kafka_ms, kafka_ms)
        known = {vendor for one in who for vendor in seen.vendors_of(one, offset, kafka_ms, None)}
        judged: list[Judgement] = []
        for decision in decisions:
            vendor = decision.vendor
            if not isinstance(decision, Send):
                judged.append(decision)
            elif vendor in known:
                judged.append(Left(vendor, DUPLICATE))
            else:
                judged.append(decision)
                for one in who:
                    seen.add(one, offset, kafka_ms, self._bits[vendor])
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
        vendors: Sequence[str],
        rows: RowLookup,
        history: DeliveryHistory,
        asked: Asked,
    ) -> None:
        topics = settings.topics
        self._mapper = settings.record_mapper(map(settings.plan_for, vendors), rows)
        self._vendors = tuple(vendors)
        self._duplicates = ReplayDeduplicator(settings, self._vendors)
        self._history = history
        self._only = parse_only(asked.only)
        self._types = {topics.of_shop(one): KINDS[one].event_type for one in topics.sources}
        self._visitor = None if asked.visitor is None else asked.visitor.encode()
        self._sku = asked.sku
        self._again = asked.again

    def judge(self, record: TopicRecord, now_ms: int) -> Judged:
        """Return what is to be done with a record.

        It lies within the window: its Kafka time has been looked at.
        """
        if self._visitor is not None and record.key != self._visitor:
            return Judged()
        if not self._only.has_type(self._types[record.topic]):
            return Judged()
        settled, open_ = self._by_history(record)
        if not open_ and (self._sku is None or not settled):
            return Judged(settled)
        try:
            event = self._mapper.parse(record)
        except InvalidEvent as error:
            if self._sku is not None:
                return Judged()
            return Judged([*settled, *(Refuse(vendor, error) for vendor in open_)])
        if self._sku is not None and not any(map(self._is_of_sku, event.named())):
            return Judged()
        if open_:
            decisions = self._mapper.decide(event, record.timestamp, now_ms)
            wanted = [decision for decision in decisions if decision.vendor in open_]
            settled += self._duplicates.without(record, event, wanted)
        return Judged(settled, event.event_id)

    def _is_of_sku(self, product: NamedProduct) -> bool:
        """Return whether a product has the SKU, by the event's own word or by its row."""
        if product.sku or not product.product_id:
            return product.sku == self._sku
        row = self._mapper.rows.product(product.product_id)
        return row is not None and row.sku == self._sku

    def _by_history(self, record: TopicRecord) -> tuple[list[Judgement], list[str]]:
        """Return what is clear without looking into the record, and the vendors left to decide."""
        tp, offset = TopicPartition(record.topic, record.partition), record.offset
        settled: list[Judgement] = []
        open_: list[str] = []
        for vendor in self._vendors:
            last = self._history.last(vendor, tp, offset)
            if not self._only.has_outcome(last.outcome or MISSING, last.reason):
                continue
            if self._history.is_waiting(vendor, tp, offset):
                settled.append(Left(vendor, WAITING))
            elif last.outcome == Outcome.ACCEPTED and not self._again:
                settled.append(Left(vendor, ALREADY_ACCEPTED))
            elif last.is_duplicate:
                settled.append(Left(vendor, DUPLICATE))
            else:
                open_.append(vendor)
        return settled, open_
