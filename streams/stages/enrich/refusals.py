"""The dead letters of enrichment: invalid raw records, and events that do not fit a vendor."""

from collections.abc import Mapping

from faust.types import TP

from streams.core.dead_letter import build_dead_letter, encode_dead_letter, letter_key
from streams.core.enrich import Refuse
from streams.core.errors import InvalidEvent
from streams.core.fields import FieldMap
from streams.core.outcome import Outcome
from streams.core.receipts import LIVE, encode_receipt
from streams.core.records import Origin, Receipt
from streams.core.topics import Topics
from streams.engine.chunks import Record
from streams.engine.outputs import Outputs
from streams.worker.counters import Counters


class EnrichmentRefusals:
    """Writes dead letters, and counts them by cause."""

    def __init__(
        self, topics: Topics, fields: Mapping[str, FieldMap | None], counters: Counters
    ) -> None:
        self._topics = topics
        self._fields = fields
        self._counters = counters

    def no_event(
        self, tp: TP, record: Record, error: InvalidEvent, at: str, outputs: Outputs
    ) -> None:
        """Write the dead letter of a record that is not a valid event."""
        letter = self._letter(tp, record, error, at)
        outputs.append(
            self._topics.enrich_dead_letters, tp.partition, letter_key(record.key), letter
        )

    def not_for_vendor(
        self, tp: TP, record: Record, event_id: str, refusal: Refuse, at: str, outputs: Outputs
    ) -> None:
        """Write the dead letter and the receipt of an event that does not fit one vendor."""
        vendor, error = refusal
        letter = self._letter(tp, record, error, at, vendor, event_id)
        outputs.append(self._topics.dead_letters(vendor), tp.partition, record.key, letter)
        receipt = Receipt(
            event_id=event_id,
            outcome=Outcome.DEAD_LETTERED,
            at=at,
            attempts=0,
            source=f"{tp.topic}/{tp.partition}/{record.offset}",
            lane=LIVE,
            position=None,
            reason=error.reason,
        )
        to = self._topics.receipts(vendor)
        outputs.append(to, tp.partition, event_id.encode(), encode_receipt(receipt))

    def _letter(
        self,
        tp: TP,
        record: Record,
        error: InvalidEvent,
        at: str,
        vendor: str | None = None,
        event_id: str | None = None,
    ) -> bytes:
        letter = build_dead_letter(
            stage="enrich" if vendor is None else "deliver",
            vendor=vendor,
            event_id=event_id,
            reason=error.reason,
            detail=error.detail,
            field=error.field,
            cause=error.cause,
            source=Origin(tp.topic, tp.partition, record.offset, record.timestamp),
            record=record.value,
            at=at,
            fields=self._fields[tp.topic],
        )
        self._counters.dead_lettered[error.reason] += 1
        self._counters.note_cause(letter)
        return encode_dead_letter(letter)
