"""What enrichment makes of a raw record and the rows of users and products, for commands."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from streams.core.consent import ConsentMode, Malformed
from streams.core.enrich import Decision, Enricher, Refuse, VendorPlan, rows_named
from streams.core.errors import InvalidEvent
from streams.core.event_types import Event
from streams.core.events import EventParser
from streams.core.outcome import DeadLetterReason
from streams.core.records import TopicRecord
from streams.core.rows import Product, User


class RowLookup(Protocol):
    """The tables as they are now."""

    def user(self, key: bytes) -> User | Malformed | None:
        """Return the visitor's row; NO_TO_ALL for one out of shape, None where there is none."""

    def forgotten_ms(self, key: bytes) -> int | None:
        """Return the Kafka time of the visitor's newest tombstone."""

    def product(self, product_id: str) -> Product | None:
        """Return the product's row; None where there is none or one out of shape."""


class RecordMapper:
    """Raw records and rows in, decisions out: enrichment's own parsers and judgement."""

    def __init__(
        self,
        parsers: Mapping[str, EventParser],
        plans: Sequence[VendorPlan],
        consent_mode: ConsentMode,
        rows: RowLookup,
    ) -> None:
        """``parsers``: by raw topic."""
        self.parsers = parsers
        self.rows = rows
        self._vendors = [plan.vendor for plan in plans]
        self._enricher = Enricher(plans, consent_mode)

    def parse(self, record: TopicRecord) -> Event:
        """Return the event; raises InvalidEvent, also where our own code fails over it."""
        try:
            return self.parsers[record.topic].parse(
                record.key, record.value, record.partition, record.offset, record.timestamp
            )
        except InvalidEvent:
            raise
        except Exception as defect:
            raise _defect(defect) from defect

    def decide(self, event: Event, kafka_ms: int, now_ms: int) -> list[Decision]:
        """Return what today's rows, consent and mappings make of an event, one for each vendor.

        ``kafka_ms``: of its raw record.
        """
        key = event.anonymous_id.encode()
        try:
            product, products = rows_named(event, self.rows.product)
            return self._enricher.decide(
                event,
                self.rows.user(key),
                self.rows.forgotten_ms(key),
                product,
                kafka_ms,
                now_ms,
                products=products,
            )
        # One record over which our own code fails must not end the command.
        except Exception as defect:
            letter = _defect(defect)
            letter.__cause__ = defect
            return [Refuse(vendor, letter) for vendor in self._vendors]


def _defect(defect: Exception) -> InvalidEvent:
    return InvalidEvent(DeadLetterReason.DEFECT, f"{type(defect).__name__}: {defect}")
