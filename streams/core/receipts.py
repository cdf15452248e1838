"""Receipts as they are written to their topics."""

from collections.abc import Mapping
from typing import ClassVar

import msgspec

from streams.core.consent import NoConsent
from streams.core.json_decoder import json_decoder
from streams.core.outcome import SkipReason
from streams.core.records import Receipt

LIVE = "live"
REDELIVERY = "redelivery"

_encode = msgspec.json.Encoder().encode
_decode = json_decoder(Receipt)


def encode_receipt(receipt: Receipt) -> bytes:
    """Return a receipt as the value of its record."""
    return _encode(receipt)


def decode_receipt(value: bytes) -> Receipt:
    """Return a receipt; raises ValueError if it is malformed."""
    return _decode(value)


class SkipReceipts:
    """Receipts, with the same time, of events that enrichment skips.

    Most records that enrichment writes are these. They are joined from two parts, which takes a
    third of the time of encoding: ``begin`` once for an event, ``end`` for each vendor's reason.
    """

    end: ClassVar[Mapping[tuple[str, str | None], bytes]] = {
        **{(reason, None): f'"{reason}"}}'.encode() for reason in SkipReason},
        **{
            (SkipReason.NO_CONSENT, why): f'"{SkipReason.NO_CONSENT}","detail":"{why}"}}'.encode()
            for why in NoConsent
        },
    }
    """By reason and detail."""

    def __init__(self, at: str) -> None:
        self._middle = f',"outcome":"skipped","at":"{at}","attempts":0,"source":"'.encode()

    def begin(self, event_id: str, source: bytes) -> bytes:
        """Return a receipt up to its reason; ``source`` is ``topic/partition/offset``."""
        return b"".join((b'{"event_id":', _encode(event_id), self._middle, source, _BEFORE_REASON))


_BEFORE_REASON = b'","lane":"live","position":null,"reason":'
_POSITION, _NO_POSITION = b'"position":', b'"position":null'


class ReceiptsOfSinks:
    """Finds the receipts of sinks without decoding: those of enrichment have no position.

    Most receipts are enrichment's, and a batch holds the receipts of one producer only.
    """

    def is_in(self, buffer: bytes, start: int, end: int) -> bool:
        """Return whether this part of the buffer holds a receipt of a sink."""
        found = buffer.count(_POSITION, start, end)
        return found > buffer.count(_NO_POSITION, start, end)


def is_of_a_sink(value: bytes) -> bool:
    """Return whether a receipt may be a sink's."""
    return _NO_POSITION not in value
