"""The outcomes of events and requests, and their reasons: closed lists."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """The final outcome of an event at one vendor; with it the event is *settled*."""

    ACCEPTED = "accepted"
    DEAD_LETTERED = "dead_lettered"
    SKIPPED = "skipped"


class SkipReason(StrEnum):
    """Why an event is not sent to a vendor, in the order in which reasons are checked."""

    TOO_OLD = "too_old"
    EXPIRED = "expired"
    DUPLICATE = "duplicate"
    NO_CONSENT = "no_consent"
    UNMAPPED = "unmapped"
    OWN_PATHWAY = "own_pathway"
    UNKNOWN_PRODUCT = "unknown_product"
    NO_PRODUCTS = "no_products"
    OUTSIDE_CONTENT = "outside_content"
    NO_CONTACT = "no_contact"
    THINNED = "thinned"


SKIP_MEANING: Mapping[SkipReason, str] = {
    SkipReason.TOO_OLD: "older than the vendor's max_age_hours when it was read or sent",
    SkipReason.EXPIRED: "deleted by Kafka's retention before it was read; counted from offsets",
    SkipReason.DUPLICATE: "same visitor and event id as a recent record of the same raw topic",
    SkipReason.NO_CONSENT: "consent not given, given only later, refused, or visitor forgotten",
    SkipReason.UNMAPPED: "no setting says what this vendor gets of such an event",
    SkipReason.OWN_PATHWAY: "orders and content views are not sent to Voyado (Voyado only)",
    SkipReason.UNKNOWN_PRODUCT: "no row in shop.products, and the event has no sku",
    SkipReason.NO_PRODUCTS: "the event names no product, or no known one (Miso only)",
    SkipReason.OUTSIDE_CONTENT: "the event happened outside 8SELECT content (8SELECT only)",
    SkipReason.NO_CONTACT: "the visitor is not a contact in Voyado Engage (Voyado only)",
    SkipReason.THINNED: "another click by this contact on this SKU within 30 minutes (Voyado only)",
}


class DeadLetterReason(StrEnum):
    """Why an event became a dead letter."""

    EMPTY = "empty"
    INVALID_JSON = "invalid_json"
    INVALID_FRAME = "invalid_frame"
    UNKNOWN_SCHEMA = "unknown_schema"
    INVALID_AVRO = "invalid_avro"
    INVALID_FIELD = "invalid_field"
    KEY_MISMATCH = "key_mismatch"
    UNKNOWN_VISITOR = "unknown_visitor"
    TOO_LARGE = "too_large"
    INVALID_PAYLOAD = "invalid_payload"
    REJECTED = "rejected"
    UNKNOWN_CONTACT = "unknown_contact"
    UNDELIVERABLE = "undeliverable"
    DEFECT = "defect"


DEAD_LETTER_MEANING: Mapping[DeadLetterReason, str] = {
    DeadLetterReason.EMPTY: "a record without a value",
    DeadLetterReason.INVALID_JSON: "not a JSON object in valid UTF-8",
    DeadLetterReason.INVALID_FRAME: "ingest only: not in Confluent's wire format",
    DeadLetterReason.UNKNOWN_SCHEMA: "ingest only: the registry has no schema with the record's id",
    DeadLetterReason.INVALID_AVRO: "ingest only: does not fit its Avro schema",
    DeadLetterReason.INVALID_FIELD: "a required field, event_id, quantity or consent is invalid",
    DeadLetterReason.KEY_MISMATCH: "the key is not the anonymous_id, so the event cannot be joined",
    DeadLetterReason.UNKNOWN_VISITOR: "ingest only: the visitor of the user or order is not known",
    DeadLetterReason.TOO_LARGE: "larger than the limit for an event or a vendor record",
    DeadLetterReason.INVALID_PAYLOAD: "the mapped event breaks the vendor's rules",
    DeadLetterReason.REJECTED: "the vendor refused this event",
    DeadLetterReason.UNKNOWN_CONTACT: "Voyado Engage does not know the contact id (Voyado only)",
    DeadLetterReason.UNDELIVERABLE: "the vendor failed repeatedly on this event, and not on others",
    DeadLetterReason.DEFECT: "a bug in streams: its code failed on this record",
}


class RequestOutcome(StrEnum):
    """The outcome of one request; it says who must act next."""

    ACCEPTED = "accepted"
    THROTTLED = "throttled"
    """408, 425, 429: send fewer requests to this vendor; the events wait."""
    UNAVAILABLE = "unavailable"
    """Connection refused, 5xx: nothing was stored; retry later."""
    MISCONFIGURED = "misconfigured"
    """401, 403, wrong address: park the vendor; an operator must act."""
    UNCLEAR = "unclear"
    """The request was sent, and no response says whether the events are stored."""
    REJECTED = "rejected"
    """The vendor refuses events; ``Verdict.refused`` says which, if the response does."""
    SKIPPED = "skipped"
    """The events need not be sent, for the reason in ``Verdict.skip`` (Voyado only)."""


JUDGED = frozenset({RequestOutcome.ACCEPTED, RequestOutcome.REJECTED, RequestOutcome.SKIPPED})
"""The vendor has judged the events; all other outcomes are failures."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on one request; its events are numbered from 0 in request order."""

    outcome: RequestOutcome
    detail: str = ""
    """One line for people: status and the vendor's own words, secrets masked."""
    status: int | None = None
    """HTTP status; None: no response came."""
    retry_after_seconds: float | None = None
    is_puzzling: bool = False
    """UNCLEAR only: the response is not documented by the vendor, or cannot be read."""
    refused: Mapping[int, str] = field(default_factory=dict)
    """REJECTED only: index of the event → the vendor's words. Empty: none is named."""
    vendor_ref: str | None = None
    """ACCEPTED only: the vendor's id of what it stored."""
    skip: SkipReason | None = None
    """SKIPPED only."""
    letter: DeadLetterReason = DeadLetterReason.REJECTED
    """REJECTED only: the reason of the dead letter."""
    answer: str = field(default="", compare=False)
    """Status and body of the response to a single event, on one line; empty if it was accepted."""
