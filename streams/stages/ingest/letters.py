"""The dead letters of ``ingest``: the shop's own records, with what was wrong with them."""

from collections.abc import Callable, Sequence

from faust.types import TP

from streams.core.dead_letter import build_dead_letter, encode_dead_letter, letter_key
from streams.core.ingest.outcomes import IngestRefusal
from streams.core.ingest.topic_mapping import TopicMapping
from streams.core.records import DeadLetter, Origin
from streams.core.times import utc_text
from streams.engine.chunks import Record

STAGE = "ingest"


class IngestLetters:
    """Builds dead letters."""

    def __init__(self, wall_ms: Callable[[], int], secrets: Sequence[str]) -> None:
        self._wall_ms = wall_ms
        self._secrets = tuple(secrets)

    def build(
        self, mapping: TopicMapping, tp: TP, record: Record, refusal: IngestRefusal
    ) -> tuple[DeadLetter, tuple[bytes | None, bytes]]:
        """Return the letter, and the key and value that are written."""
        error = refusal.error
        letter = build_dead_letter(
            stage=STAGE,
            section=None if refusal.is_whole else refusal.section,
            element=refusal.element,
            event_id=refusal.event_id,
            reason=error.reason,
            detail=error.detail,
            field=error.field,
            cause=error.cause,
            source=Origin(tp.topic, tp.partition, record.offset, record.timestamp),
            record=record.value,
            at=utc_text(self._wall_ms()),
            secrets=self._secrets,
            addresses=mapping.addresses(record.value),
        )
        return letter, (letter_key(record.key), encode_dead_letter(letter))
