"""Enrichment: joins an event with its rows, and decides what each vendor receives."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from streams.core.consent import (
    NO_TO_ALL,
    ConsentMode,
    Ground,
    Malformed,
    NoConsent,
    ground_for,
    why_no_consent,
)
from streams.core.errors import InvalidEvent
from streams.core.event_types import EVENT_TYPES, Event, NamedProduct
from streams.core.outcome import DeadLetterReason, SkipReason
from streams.core.records import VendorRecord
from streams.core.rows import Product, User
from streams.core.times import HOUR_MS, utc_text

MAX_VENDOR_RECORD_BYTES = 256 * 1024


class EnrichedEvent(msgspec.Struct, frozen=True, gc=False):
    """An event with the rows that belong to it: the input of a vendor's mapping."""

    event: Event
    """As parsed."""
    event_id: str
    event_type: str
    timestamp: str
    """RFC 3339 UTC, milliseconds, ``Z``."""
    anonymous_id: str
    product_id: str
    """Empty if the event is not about one product."""
    sku: str
    """The event's own, else the row's; empty only if none is needed."""
    user_id: str | None
    """The event's own, else the row's."""
    user: User | None
    product: Product | None
    products: Mapping[str, Product] = {}
    """By product id, the rows of all products that it names; empty if it is about one product."""

    def sku_of(self, product: NamedProduct) -> str | None:
        """Return the SKU of a product that the event names: its own, else the row's."""
        row = self.products.get(product.product_id or "")
        return product.sku or (None if row is None else row.sku)


class MappedEvent(NamedTuple):
    """What a mapping returns if there is more than the payload."""

    payload: Any
    contact: dict[str, str] | None = None
    """Voyado only: by what the sink looks the contact up, ``customKey`` or ``email``."""
    notes: tuple[str, ...] = ()
    """What was left out for this vendor, to be counted: ``left_out:miso.page``."""


Mapper = Callable[[EnrichedEvent], Any]
"""Event → payload, ``MappedEvent`` or SkipReason; raises InvalidEvent if it cannot be mapped."""


@dataclass(frozen=True, slots=True)
class VendorPlan:
    """One enabled vendor, as enrichment needs it; made by ``vendors.plan_for``."""

    vendor: str
    map_event: Mapper
    max_age_hours: float | None = None
    needs_sku: bool = True
    """Whether an event about one product, but without its SKU, is ``unknown_product``."""
    mappers: Mapping[str, Mapper] = field(default_factory=dict)
    """By event type, for kinds that are not about one product; missing ones are ``unmapped``."""


class Send(msgspec.Struct, frozen=True, gc=False):
    """The event goes to the vendor."""

    vendor: str
    value: bytes
    """The encoded VendorRecord."""
    consent: Ground
    notes: tuple[str, ...] = ()
    """As returned by the mapping."""


class Skip(NamedTuple):
    """The event does not go to the vendor, for a named reason."""

    vendor: str
    reason: SkipReason
    detail: NoConsent | None = None
    """For ``no_consent`` only."""


class Refuse(NamedTuple):
    """The event cannot be mapped for the vendor and becomes a dead letter."""

    vendor: str
    error: InvalidEvent


Decision = Send | Skip | Refuse

_encode = msgspec.json.Encoder().encode
NO_PRODUCTS: Mapping[str, Product] = {}


class Enricher:
    """Decides for each enabled vendor: send the event, skip it, or refuse it."""

    def __init__(self, plans: Sequence[VendorPlan], consent_mode: ConsentMode) -> None:
        self._plans = {
            kind: [
                (
                    plan.vendor,
                    plan.map_event
                    if kind.is_about_one_product
                    else plan.mappers.get(event_type, _unmapped),
                    None if plan.max_age_hours is None else round(plan.max_age_hours * HOUR_MS),
                    plan.needs_sku and kind.is_about_one_product,
                    # Made once, because most decisions are one of these.
                    {reason: Skip(plan.vendor, reason) for reason in SkipReason},
                    {why: Skip(plan.vendor, SkipReason.NO_CONSENT, why) for why in NoConsent},
                )
                for plan in plans
            ]
            for event_type, kind in EVENT_TYPES.items()
        }
        self._mode = consent_mode

    def decide(
        self,
        event: Event,
        user: User | Malformed | None,
        forgotten_at_ms: int | None,
        product: Product | None,
        kafka_ms: int,
        now_ms: int,
        passed_to: Collection[str] = (),
        products: Mapping[str, Product] = NO_PRODUCTS,
    ) -> list[Decision]:
        """Return one decision for each vendor, in the order of the plans.

        ``forgotten_at_ms`` is the Kafka time of the visitor's newest tombstone, ``kafka_ms`` that
        of the raw record: an event that is not newer than the tombstone is never sent. ``product``
        is None if there is no row or a malformed one. ``passed_to`` are the vendors that already
        get the same event from another record. ``products`` are the rows of all products that the
        event names, if it is not about one product; see ``rows_named``.
        """
        forgotten = forgotten_at_ms is not None and kafka_ms <= forgotten_at_ms
        age_ms = now_ms - event.timestamp_ms
        sku = event.sku or (product.sku if product is not None else None)
        enriched: EnrichedEvent | None = None
        decisions: list[Decision] = []
        for vendor, map_event, max_age_ms, needs_sku, skip, unconsented in self._plans[type(event)]:
            if max_age_ms is not None and age_ms > max_age_ms:
                decisions.append(skip[SkipReason.TOO_OLD])
                continue
            if passed_to and vendor in passed_to:
                decisions.append(skip[SkipReason.DUPLICATE])
                continue
            ground = (
                None
                if forgotten
                else ground_for(vendor, event.consent, user, self._mode, event.timestamp_ms)
            )
            if ground is None or user is NO_TO_ALL:
                why = why_no_consent(vendor, event.consent, user, forgotten=forgotten)
                decisions.append(unconsented[why])
                continue
            if needs_sku and sku is None:
                decisions.append(skip[SkipReason.UNKNOWN_PRODUCT])
                continue
            if enriched is None:
                enriched = EnrichedEvent(
                    event,
                    event.event_id,
                    event.event_type,
                    utc_text(event.timestamp_ms),
                    event.anonymous_id,
                    event.product_id or "",
                    sku or "",
                    event.user_id or (user.user_id if user is not None else None),
                    user,
                    product,
                    products,
                )
            decisions.append(_map(vendor, map_event, skip, enriched, ground))
        return decisions


def rows_named(
    event: Event, row_of: Callable[[str], Product | None]
) -> tuple[Product | None, Mapping[str, Product]]:
    """Return the row of the event's own product, and by id the rows of all that it names."""
    ids = [product.product_id for product in event.named() if product.product_id is not None]
    rows = {id_: row for id_ in dict.fromkeys(ids) if (row := row_of(id_)) is not None}
    return rows.get(event.product_id or ""), rows


def _unmapped(_: EnrichedEvent) -> SkipReason:
    return SkipReason.UNMAPPED


def differing_ids(event: Event, user: User | Malformed | None) -> tuple[str, ...]:
    """Return a note for each id that differs between event and row; the event's is sent."""
    own = event.eightselect_user_id
    if own is None or not isinstance(user, User) or user.eightselect_user_id is None:
        return ()
    same = own.lower() == user.eightselect_user_id.lower()
    return () if same else ("differs:eightselect_user_id",)


def _map(
    vendor: str,
    map_event: Mapper,
    skip: Mapping[SkipReason, Skip],
    enriched: EnrichedEvent,
    ground: Ground,
) -> Decision:
    try:
        payload = map_event(enriched)
    except InvalidEvent as error:
        return Refuse(vendor, error)
    # A mapping that fails on one event must not affect the other vendors.
    except Exception as defect:
        letter = InvalidEvent(
            DeadLetterReason.DEFECT, f"mapping for {vendor} failed: {type(defect).__name__}"
        )
        letter.__cause__ = defect
        return Refuse(vendor, letter)
    if isinstance(payload, SkipReason):
        return skip[payload]
    contact: dict[str, str] | None = None
    notes: tuple[str, ...] = ()
    if type(payload) is MappedEvent:
        payload, contact, notes = payload
    value = _encode(
        VendorRecord(
            enriched.event_id,
            enriched.event_type,
            enriched.timestamp,
            enriched.anonymous_id,
            payload,
            contact,
        )
    )
    if len(value) > MAX_VENDOR_RECORD_BYTES:
        return Refuse(
            vendor,
            InvalidEvent(
                DeadLetterReason.TOO_LARGE,
                f"the record for {vendor} would have {len(value)} bytes, "
                f"more than {MAX_VENDOR_RECORD_BYTES}",
            ),
        )
    return Send(vendor, value, ground, notes)
