"""One section ``[ingest.NAME]``, compiled: a record gives events or rows, or is refused."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from streams.core.errors import InvalidEvent
from streams.core.events import MISSING
from streams.core.expressions import MAX_ELEMENTS, Expression, ExpressionError
from streams.core.fields import PARTS, Failed, FieldMap
from streams.core.ingest.envelopes import UNWRAP, Deleted, Present
from streams.core.ingest.outcomes import (
    IngestOutcome,
    IngestRecord,
    IngestRefusal,
    SourceRecord,
    Unmapped,
)
from streams.core.ingest.targets import TARGETS, Draft, check_not_repaired, key_text
from streams.core.ingest.visitors import VisitorIndex, id_in
from streams.core.outcome import DeadLetterReason
from streams.core.quick_expressions import SlowPathNeeded, is_false
from streams.core.strict_json import Decoded

MAX_EVENT_ID_CHARS = 128
NOT_KNOWN = "not known"
"""The cause of a refusal that ends once a row names the visitor."""


class IngestSection:
    """How one section reads the records of its topic."""

    def __init__(
        self,
        name: str,
        to: str,
        *,
        fields: FieldMap | None = None,
        envelope: str = "none",
        when: str | None = None,
        each: str | None = None,
        key: str | None = None,
        vendors: Collection[str] = (),
        visitor_from: Sequence[str] = (),
        visitors: VisitorIndex | None = None,
    ) -> None:
        """Compile; raises ExpressionError for an expression that is none.

        ``fields`` knows the fields of ``to``. ``vendors`` are those for which an event may state
        consent. ``visitor_from``: the ids by which the visitor of an event that names none is
        looked for in ``visitors``, in this order; None: nobody is known.
        """
        self.name = name
        self.to = to
        self.envelope = envelope
        self.unwrap = UNWRAP[envelope]
        self.target = TARGETS[to]
        self.when = None if when is None else Expression(when)
        self.each = None if each is None else Expression(each)
        self._key = None if key is None else Expression(key)
        self._reader = self.target.reader(fields, vendors)
        self.event_id = None if fields is None else fields.text_of("event_id")
        """The expression of the event's own id; None: the record's field of that name, if any."""
        self._fields = fields
        self.visitor_from = tuple(visitor_from)
        self._visitors = visitors

    def read(
        self, source: SourceRecord, said: dict[str, Any], place: str
    ) -> list[IngestOutcome] | None:
        """Return the outcomes of a record; None: ``when`` is not true, so this section skips it.

        ``place``: the event id of a record that has none of its own.
        """
        try:
            if (
                self.when is not None
                and (found := _found(self.when, said, "when")) is not True
                and is_false(found)
            ):
                return None
            elements = None if self.each is None else self._elements(said)
        except InvalidEvent as error:
            return [IngestRefusal(self.name, error, event_id=place)]
        if elements is None:
            return [self._whole(source, said, place)]
        if not elements:
            return [Unmapped(self.name)]
        return list(self._of_elements(source, said, place, elements))

    def delete(
        self, source: SourceRecord, gone: Deleted, own_key: Decoded | None
    ) -> list[IngestOutcome] | None:
        """Return the tombstones of a deleted row; None: this section skips it.

        ``own_key``: the record's own key, for a delete that does not contain the row.
        """
        before = gone.before
        if before is None:
            return [self._tombstone(source, lambda: self._key_of(own_key))]
        try:
            if self.when is not None and is_false(_found(self.when, before, "when")):
                return None
            elements = [None] if self.each is None else self._elements(before)
        except InvalidEvent as error:
            return [IngestRefusal(self.name, error)]
        if not elements:
            return [Unmapped(self.name)]
        outcomes: list[IngestOutcome] = []
        for index, item in enumerate(elements):
            seen = before if self.each is None else before | {"_item": item, "_index": index}
            number = None if self.each is None else index
            outcomes.append(self._tombstone(source, lambda seen=seen: self._key_in(seen), number))
        return outcomes

    @property
    def maps_ip(self) -> bool:
        """Whether ``fields`` says where an ip is."""
        return self._fields is not None and self._fields.maps("ip")

    def addresses(self, said: dict[str, Any]) -> set[str]:
        """Return what ``fields`` reads as an ip, in the record and each element."""
        assert self._fields is not None
        seen = [said]
        if self.each is not None:
            try:
                elements = self._elements(said)
            except InvalidEvent:
                elements = []
            seen = [said | {"_item": item, "_index": n} for n, item in enumerate(elements)]
        found = [self._fields.value_of("ip", one) for one in seen]
        return {ip for ip in found if type(ip) is str and ip}

    # -- for previews and drift

    def record_in(self, value: Any) -> dict[str, Any] | None:
        """Return the record that expressions see in a decoded value; None: there is none."""
        try:
            said = self.unwrap(value)
        except InvalidEvent:
            return None
        return said.record if isinstance(said, Present) else None

    def takes(self, said: dict[str, Any]) -> bool:
        """Return whether ``when`` is true; False if it fails."""
        try:
            return self.when is None or not is_false(_found(self.when, said, "when"))
        except InvalidEvent:
            return False

    def fields_of(self, said: dict[str, Any], element: int = 0) -> dict[str, Any] | None:
        """Return all fields of a record, or of this element of it; parts have dotted names.

        The value None: the record lacks this field. None instead of all: there is no such element.
        """
        seen = self._seen(said, element)
        if seen is None:
            return None
        ours = seen if self._fields is None else self._fields.apply(seen).record
        found: dict[str, Any] = {}
        for name in self.target.known:
            value = ours.get(name)
            parts = value if type(value) is dict and name in PARTS else None
            for path, one in [(name, value)] if parts is None else _dotted(name, parts):
                found[path] = None if type(one) is Failed else one
        return found

    def own_key_of(self, said: dict[str, Any]) -> Any:
        """Return the key that a record, or its first element, would get; None: it has none."""
        seen = self._seen(said, 0)
        if seen is None:
            return None
        try:
            return self._key_in(seen)
        except InvalidEvent:
            return None

    def _seen(self, said: dict[str, Any], element: int) -> dict[str, Any] | None:
        if self.each is None:
            return said
        try:
            elements = self._elements(said)
        except InvalidEvent:
            return None
        if element >= len(elements):
            return None
        return said | {"_item": elements[element], "_index": element}

    # -- events and rows

    def _whole(self, source: SourceRecord, said: dict[str, Any], place: str) -> IngestOutcome:
        event_id = place
        try:
            draft = self._reader.read(said)
            event_id = self._settle_id(draft, place, None)
            return self._finished(source, said, draft, None)
        except InvalidEvent as error:
            return IngestRefusal(self.name, error, None, event_id)

    def _of_elements(
        self, source: SourceRecord, said: dict[str, Any], place: str, elements: list[Any]
    ) -> Iterator[IngestOutcome]:
        """Yield the outcome of each element; an id that several share gets the element's number."""
        seen = dict(said)
        drafts: list[Draft | InvalidEvent] = []
        for index, item in enumerate(elements):
            seen["_item"], seen["_index"] = item, index
            try:
                drafts.append(self._reader.read(seen))
            except InvalidEvent as error:
                drafts.append(error)
        times = Counter(
            own
            for draft in drafts
            if isinstance(draft, Draft) and type(own := draft.fields.get("event_id")) is str
        )
        for index, draft in enumerate(drafts):
            event_id = f"{place}-{index}"
            if isinstance(draft, InvalidEvent):
                yield IngestRefusal(self.name, draft, index, event_id)
                continue
            try:
                event_id = self._settle_id(draft, place, index, times)
                seen["_item"], seen["_index"] = elements[index], index
                yield self._finished(source, seen, draft, index)
            except InvalidEvent as error:
                yield IngestRefusal(self.name, error, index, event_id)

    def _settle_id(
        self, draft: Draft, place: str, index: int | None, times: "Counter[str] | None" = None
    ) -> str:
        """Set the event's id and return it; if it is no text, return one of the record's place."""
        of_place = place if index is None else f"{place}-{index}"
        if not self.target.writes_events:
            return of_place
        fields = draft.fields
        own = fields.get("event_id")
        if own is None:
            fields["event_id"] = of_place
        elif type(own) is str:
            # One id for all elements would make all but the first pass for duplicates.
            if index is not None and (self.event_id is None or (times and times[own] > 1)):
                own = fields["event_id"] = f"{own}-{index}"
            return own if len(own) <= MAX_EVENT_ID_CHARS else of_place
        return of_place

    def _finished(
        self, source: SourceRecord, seen: dict[str, Any], draft: Draft, index: int | None
    ) -> IngestRecord:
        if self.visitor_from and draft.fields.get("anonymous_id") is None:
            self._join(draft)
        key = None if self._key is None else key_text(_found(self._key, seen, "key"), "key")
        made = self._reader.finish(draft, key, source.kafka_ms)
        notes = made.notes
        if source.repaired:
            check_not_repaired(made.key, self._key_name)
            notes = (*notes, "lone_surrogate")
        return IngestRecord(self.name, self.to, made.key, made.value, index, notes)

    def _join(self, draft: Draft) -> None:
        """Set the visitor of an event that names none; raises InvalidEvent where none is known."""
        ids = {name: id_ for name in self.visitor_from if (id_ := id_in(draft.fields, name))}
        for name, id_ in ids.items():
            visitor = None if self._visitors is None else self._visitors.find(name, id_)
            if visitor is not None:
                draft.fields["anonymous_id"] = visitor
                draft.notes.append(f"joined:{name}")
                return
        problem, cause = f"no visitor is known of its {' or '.join(ids)}", NOT_KNOWN
        if not ids:
            problem, cause = f"it is missing, and so is {' and '.join(self.visitor_from)}", MISSING
        raise InvalidEvent(
            DeadLetterReason.UNKNOWN_VISITOR, f"anonymous_id: {problem}", "anonymous_id", cause
        )

    def _elements(self, said: dict[str, Any]) -> list[Any]:
        assert self.each is not None
        found = _found(self.each, said, "each")
        if found is None:
            return []
        if type(found) is not list:
            raise _invalid("each", "it gives no list")
        if len(found) > MAX_ELEMENTS:
            raise _invalid(
                "each", f"it gives {len(found)} elements, more than {MAX_ELEMENTS}", "too many"
            )
        return found

    # -- deletes

    @property
    def _key_name(self) -> str:
        return self.target.key_field if self._key is None else "key"

    def _tombstone(
        self, source: SourceRecord, find_key: Any, index: int | None = None
    ) -> IngestOutcome:
        try:
            key = find_key().encode()
            if source.repaired:
                check_not_repaired(key, self._key_name)
        except InvalidEvent as error:
            return IngestRefusal(self.name, error, index)
        return IngestRecord(self.name, self.to, key, None, index)

    def _key_in(self, row: dict[str, Any]) -> str:
        """Return the key of a row that expressions see."""
        if self._key is not None:
            return key_text(_found(self._key, row, "key"), "key")
        field = self.target.key_field
        ours = row if self._fields is None else self._fields.apply(row).record
        return key_text(ours.get(field), field)

    def _key_of(self, own: Decoded | None) -> str:
        """Return the record's own key; if it has several parts, what the expressions find there."""
        value = None if own is None else own.value
        if type(value) is not dict:
            return key_text(value, "the record's key")
        if len(value) == 1:
            return key_text(next(iter(value.values())), "the record's key")
        return self._key_in(value)


def _found(expression: Expression, said: dict[str, Any], setting: str) -> Any:
    try:
        return expression.quick(said)
    except SlowPathNeeded:
        pass
    try:
        return expression.search_slowly(said).value
    except ExpressionError as problem:
        raise _invalid(setting, str(problem), "expression") from None


def _dotted(name: str, parts: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(f"{name}.{part}", parts.get(part)) for part in PARTS[name]]


def _invalid(setting: str, detail: str, cause: str = "") -> InvalidEvent:
    return InvalidEvent(DeadLetterReason.INVALID_FIELD, f"{setting}: {detail}", setting, cause)
