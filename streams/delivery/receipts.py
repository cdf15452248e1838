"""Receipts and delivery's dead letters as they are written to their topics."""

import msgspec

from streams.core.outcome import Outcome
from streams.core.records import Receipt

LIVE = "live"
REDELIVERY = "redelivery"

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Receipt).decode


def encode_receipt(receipt: Receipt) -> bytes:
    """Return a receipt as the value of its record."""
    return _encode(receipt)


def decode_receipt(value: bytes) -> Receipt:
    """Return a receipt; raises ValueError where it is none."""
    return _decode(value)


def skipped_in_enrichment(event_id: str, reason: str, source: str, at: str) -> bytes:
    """Return the receipt of an event that enrichment does not pass on."""
    return _encode(
        Receipt(
            event_id=event_id,
            outcome=Outcome.SKIPPED,
            at=at,
            attempts=0,
            source=source,
            lane=LIVE,
            position=None,
            reason=reason,
        )
    )
