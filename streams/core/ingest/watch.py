"""Looks at a sample of one topic's records for what drifts, with the sections' own expressions."""

from collections.abc import Hashable
from contextlib import suppress
from typing import Any

from streams.core.errors import InvalidEvent
from streams.core.expressions import Expression, ExpressionError
from streams.core.ingest.drift import Drift, DriftDetector
from streams.core.ingest.section import IngestSection
from streams.core.ingest.topic_mapping import TopicMapping
from streams.core.values import id_text, is_absent


class TopicWatch:
    """Watches the records of one of the shop's topics."""

    def __init__(self, mapping: TopicMapping) -> None:
        """Take the sections of the topic."""
        self._mapping = mapping
        self._detector = DriftDetector(mapping.sections[0].name)
        self._names = [
            (section, expression)
            for section in mapping.sections
            if section.when is not None
            for expression in section.when.compared()
        ]
        self._unknown_visitors = 0

    def look(self, key: bytes | None, value: bytes | None, now: float, now_ms: int) -> bool:
        """Look at a record if it is in the sample; ``now`` in seconds.

        Return whether another one of this moment would be. What its decoder needs must have been
        prepared. A record that cannot be read is ignored: it becomes a dead letter.
        """
        if value is None:
            return True
        if not self._detector.wants(now):
            return False
        with suppress(InvalidEvent):
            self._look(key, self._mapping.decoder.decode(value).value, now, now_ms)
        return True

    def _look(self, key: bytes | None, decoded: Any, now: float, now_ms: int) -> None:
        is_taken = False
        for section in self._mapping.sections:
            said = section.record_in(decoded)
            if said is not None and section.takes(said):
                is_taken = True
                fields = section.fields_of(said)
                if fields is not None:
                    visitor = self._visitor(section, said, key)
                    self._detector.look_at_event(section.name, fields, visitor, decoded, now_ms)
        if is_taken:
            self._detector.count_mapped()
        else:
            self._look_at_unmapped(decoded, key, now, now_ms)

    def found(self) -> list[Drift]:
        """Return the changes that stand."""
        return self._detector.found()

    def _look_at_unmapped(self, decoded: Any, key: bytes | None, now: float, now_ms: int) -> None:
        name, visitor = None, None
        for section, expression in self._names:
            said = section.record_in(decoded)
            found = None if said is None else _found(expression, said)
            if type(found) is list and len(found) == 1:
                (found,) = found
            if said is not None and not is_absent(found):
                name, visitor = found, self._visitor(section, said, key)
                break
        self._detector.look_at_unmapped(name, visitor, decoded, now, now_ms)

    def _visitor(self, section: IngestSection, said: dict[str, Any], key: bytes | None) -> Hashable:
        """Return what identifies a visitor or row; each unknown one counts as another."""
        found = id_text(section.own_key_of(said))
        if type(found) is str and found:
            return found
        if key:
            return key
        self._unknown_visitors += 1
        return self._unknown_visitors


def _found(expression: Expression, said: dict[str, Any]) -> Any:
    try:
        return expression.search(said).value
    except ExpressionError:
        return None
