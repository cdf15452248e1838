"""The sink's intake: reads the records of a vendor's two topics and queues their events."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from faust.types import TP

from streams.core.consent import ConsentMode, Ground
from streams.core.dead_letter import letter_key
from streams.core.outcome import DeadLetterReason, Outcome
from streams.core.records import VendorRecord
from streams.core.times import MAX_MS, utc_text
from streams.delivery.courier import Courier
from streams.delivery.ordered_queue import Item
from streams.delivery.progress import Admission, PartitionProgress
from streams.engine.chunks import Record, Records
from streams.stages.sink.outcome_writer import OutcomeWriter, Settlement
from streams.stages.sink.run_stops import RunStops
from streams.vendors.base import Vendor
from streams.worker.counters import Counters

MAX_ID_CHARS = 512
"""A longer id in a foreign record could make a receipt that fits no batch."""
MAX_TIME_DIGITS = 15

_RUN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_GROUNDS: Mapping[ConsentMode, Mapping[bytes | None, Ground]] = {
    "required": {b"event": "event", b"row": "row"},
    "assumed": {b"event": "event", b"row": "row", b"assumed": "assumed"},
}
"""By the current mode: enrichment may have assumed a consent before the mode was changed."""
_STRICTEST: Ground = "row"
"""If the header is missing or says something else."""


class RawVendorRecord(VendorRecord, frozen=True, gc=False):
    """A vendor record whose payload is passed on as it is."""

    event_id: Annotated[str, msgspec.Meta(max_length=MAX_ID_CHARS)]
    payload: msgspec.Raw


_decode_raw = msgspec.json.Decoder(RawVendorRecord).decode


class Intake:
    """Reads chunks. A record that is not a vendor record becomes a dead letter."""

    def __init__(
        self,
        vendor: Vendor,
        courier: Courier,
        outcome_writer: OutcomeWriter,
        counters: Counters,
        runs: RunStops,
        mode: ConsentMode,
    ) -> None:
        self._vendor = vendor
        self._courier = courier
        self._outcome_writer = outcome_writer
        self._counters = counters
        self._runs = runs
        self._grounds = _GROUNDS[mode]

    def admit(
        self, tp: TP, records: Records, progress: PartitionProgress, *, is_redelivery: bool
    ) -> None:
        """Add the new events among these records of one partition to the courier."""
        add, admit = self._courier.add, progress.admit
        ordering_key = self._vendor.ordering_key
        partition, grounds = tp.partition, self._grounds
        counters = self._counters
        stopped_runs = self._runs.stopped
        run: str | None = None
        new = 0
        for record in records:
            position, value = record.offset, record.value
            headers = dict(record.headers)
            try:
                if is_redelivery:
                    run = _run_id(headers)
                    if run in stopped_runs:
                        progress.admit_foreign(position)
                        progress.pass_over(position)
                        counters.notes["passed_over"] += 1
                        continue
                source = (headers["source"] or b"").decode()
                raw_ms = int(
                    (headers.get("source-time") or b"")[:MAX_TIME_DIGITS] or record.timestamp
                )
                vendor_record = _vendor_record_of(record)
                admission = admit(position, source, record.timestamp, raw_ms, run or "")
            except (KeyError, ValueError, msgspec.DecodeError, RecursionError) as error:
                self._dead_letter_foreign(tp, record, progress, is_redelivery, repr(error))
                continue
            if admission is not Admission.NEW:
                counters.repeats += 1
                continue
            new += 1
            item = Item(
                partition,
                position,
                vendor_record.event_id,
                source,
                vendor_record.timestamp,
                value or b"",
                raw_ms,
                record.key,
                progress,
                run,
                grounds.get(headers.get("consent"), _STRICTEST),
            )
            add(item, bytes(vendor_record.payload), ordering_key(vendor_record))
        counters.events += new

    def _dead_letter_foreign(
        self, tp: TP, record: Record, progress: PartitionProgress, is_redelivery: bool, problem: str
    ) -> None:
        """Write the dead letter of a record that the relay cannot have written."""
        item = Item(
            partition=tp.partition,
            position=record.offset,
            event_id=f"{tp.topic}-{tp.partition}-{record.offset}",
            source=f"{tp.topic}/{tp.partition}/{record.offset}",
            timestamp=utc_text(min(max(record.timestamp, 0), MAX_MS)),
            record=record.value or b"",
            raw_ms=record.timestamp,
            key=letter_key(record.key),
            tag=progress,
            run_id="" if is_redelivery else None,
        )
        progress.admit_foreign(record.offset)
        words = f"no vendor record: {problem}"
        self._outcome_writer.write(
            Settlement((item,), Outcome.DEAD_LETTERED, DeadLetterReason.INVALID_JSON, None, words)
        )


def _vendor_record_of(record: Record) -> RawVendorRecord:
    """Return the vendor record; its key must be its visitor, by which consent is looked up."""
    found = _decode_raw(record.value or b"")
    if record.key != found.anonymous_id.encode():
        raise ValueError("its key is not its anonymous_id")
    return found


def _run_id(headers: Mapping[str, Any]) -> str:
    text: str = (headers["run-id"] or b"").decode()
    if not _RUN_ID.fullmatch(text):
        raise ValueError(f"no run id: {text[:100]!r}")
    return text
