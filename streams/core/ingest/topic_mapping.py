"""All sections of one of the shop's topics: its records become ours, each accounted for."""

import hashlib
from collections.abc import Collection, Sequence

from streams.core.errors import InvalidEvent
from streams.core.ingest.decoding import (
    Decoder,
    PlainJsonDecoder,
    RegistryAway,
    UnknownSchema,
    check_size,
)
from streams.core.ingest.envelopes import Deleted, Nothing, Present, Unwrapped
from streams.core.ingest.outcomes import (
    IngestOutcome,
    IngestRefusal,
    SkippedRecord,
    SourceRecord,
    Unmapped,
)
from streams.core.ingest.section import IngestSection
from streams.core.outcome import DeadLetterReason
from streams.core.strict_json import Decoded
from streams.core.values import is_absent

MAX_NAME_CHARS = 100
"""Of a topic's name in event ids; of a longer one its hash stands there."""
_HASH_CHARS = 8


def name_in_ids(topic: str) -> str:
    """Return what stands for a topic in the ids of its events."""
    if len(topic) <= MAX_NAME_CHARS:
        return topic
    return hashlib.sha256(topic.encode()).hexdigest()[:_HASH_CHARS]


class TopicMapping:
    """The sections that read one topic, in the order of the settings."""

    def __init__(
        self,
        topic: str,
        sections: Sequence[IngestSection],
        decoder: Decoder | None = None,
    ) -> None:
        """``decoder``: of the sections' one format; None: plain JSON."""
        self.topic = topic
        self.sections = tuple(sections)
        self.decoder: Decoder = decoder or PlainJsonDecoder()
        self._name = name_in_ids(topic)
        self._first = self.sections[0].name
        self._is_plain = all(section.envelope == "none" for section in self.sections)
        self._has_rows = any(section.target.has_tombstones for section in self.sections)

    def read(
        self, key: bytes | None, value: bytes | None, partition: int, offset: int, kafka_ms: int
    ) -> list[IngestOutcome]:
        """Return what comes of a record's bytes, at least one outcome.

        What its decoder needs must have been prepared. Raises RegistryAway where it was not.
        """
        place = f"{self._name}-{partition}-{offset}"
        try:
            decoded = None if value is None else self._decode(value)
        except InvalidEvent as error:
            return [IngestRefusal(self._first, error, event_id=place, is_whole=True)]
        record = None if decoded is None else decoded.value
        source = SourceRecord(kafka_ms, decoded is not None and decoded.repaired)
        outcomes: list[IngestOutcome] = []
        if self._is_plain and type(record) is dict:
            # What all of most topics is: the general way below costs two microseconds more.
            for section in self.sections:
                outcomes += section.read(source, record, place) or ()
            return outcomes or [Unmapped(self._first)]
        by_envelope: dict[str, Unwrapped | InvalidEvent] = {}
        for section in self.sections:
            said = by_envelope.get(section.envelope)
            if said is None:
                try:
                    said = section.unwrap(record)
                except InvalidEvent as error:
                    said = error
                    outcomes.append(IngestRefusal(section.name, error, event_id=place))
                by_envelope[section.envelope] = said
            if isinstance(said, Present):
                outcomes += section.read(source, said.record, place) or ()
            elif isinstance(said, Deleted) and section.target.has_tombstones:
                outcomes += self._delete(section, source, said, key) or ()
        return outcomes or [self._of_none(by_envelope.values(), place)]

    def _decode(self, value: bytes) -> Decoded:
        check_size(value)
        decoded = self.decoder.decode(value)
        if decoded.value is None:
            raise InvalidEvent(DeadLetterReason.INVALID_JSON, "a JSON null, not an object")
        return decoded

    def addresses(self, value: bytes | None) -> set[str]:
        """Return what the sections' maps read as ``ip`` in a record, to be masked where it shows.

        Nothing of a record that cannot be decoded.
        """
        sections = [section for section in self.sections if section.maps_ip]
        if value is None or not sections:
            return set()
        try:
            record = self._decode(value).value
        except (InvalidEvent, RegistryAway):
            return set()
        found: set[str] = set()
        for section in sections:
            said = section.record_in(record)
            if said is not None:
                found |= section.addresses(said)
        return found

    def fields_of(self, name: str, value: bytes | None, element: int | None) -> list[str]:
        """Return the fields that a record has for a section, parts dotted: none if unreadable.

        Of a section with ``each`` those of this element.
        """
        section = next(section for section in self.sections if section.name == name)
        if value is None:
            return []
        try:
            said = section.record_in(self.decoder.decode(value).value)
        except (InvalidEvent, RegistryAway):
            return []
        fields = {} if said is None else section.fields_of(said, element or 0)
        return [path for path, one in (fields or {}).items() if not is_absent(one)]

    def _delete(
        self, section: IngestSection, source: SourceRecord, said: Deleted, key: bytes | None
    ) -> list[IngestOutcome] | None:
        try:
            own_key = self._own_key(key)
        except UnknownSchema as error:
            return [IngestRefusal(section.name, error)]
        return section.delete(source, said, own_key)

    def _of_none(self, said: Collection[Unwrapped | InvalidEvent], place: str) -> IngestOutcome:
        """Return what a record is of which no section made anything."""
        for one in said:
            if isinstance(one, Nothing) and one.skip is not None:
                return SkippedRecord(one.skip)
            if isinstance(one, Deleted) and not one.by_envelope and not self._has_rows:
                empty = InvalidEvent(DeadLetterReason.EMPTY, "the record has no value")
                return IngestRefusal(self._first, empty, event_id=place, is_whole=True)
        return Unmapped(self._first)

    def _own_key(self, key: bytes | None) -> Decoded | None:
        """Return the record's own key, of Connect's envelope its payload; text where it is none.

        Raises UnknownSchema.
        """
        if not key:
            return None
        text = Decoded(key.decode(errors="replace"))
        try:
            decoded = self.decoder.decode(key)
        except UnknownSchema:
            raise
        except InvalidEvent:
            return text
        value = decoded.value
        if type(value) is dict:
            return Decoded(value.get("payload", value), decoded.repaired)
        is_plain = type(value) is int and str(value) == text.value
        return decoded if is_plain or type(value) is str else text
