"""How what one vendor would get differs between two settings: exact counts, and masked examples.

Pure. What is compared is what the vendor receives: the payload, and what its contact is looked up
by. Numbers are equal where their values are, whatever the order of fields.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Any

import msgspec

from streams.core.masking import masked_json


class NotSent(msgspec.Struct, array_like=True, frozen=True):
    """Why one settings file makes no payload of an event."""

    why: str
    event_id: str | None = None
    """None: it is not known of which event of the record."""


Made = bytes | NotSent
"""What one settings file makes of an event for a vendor: the encoded vendor record, or why none."""

MAX_EXAMPLES = 3
_NOTHING = msgspec.Raw(b"{}")
NOTHING_MADE = "no event"
"""Why there is no payload where the settings make no event of the record at all."""


class Example(msgspec.Struct):
    """One difference, as people are shown it."""

    event_id: str
    old: Any
    """Masked; None: there is none."""
    new: Any


@dataclass(slots=True)
class FieldChanges:
    """In how many of the changed payloads one field differs."""

    added: int = 0
    gone: int = 0
    changed: int = 0
    examples: list[Example] = field(default_factory=list)


@dataclass(slots=True)
class VendorChanges:
    """How the payloads of one vendor differ."""

    vendor: str
    same: int = 0
    added: int = 0
    gone: int = 0
    changed: int = 0
    fields: dict[str, FieldChanges] = field(default_factory=dict)
    """By path, parts dotted, ``[]`` for the elements of a list."""
    added_because: Counter[str] = field(default_factory=Counter)
    """Why the old settings gave none of those that are added."""
    gone_because: Counter[str] = field(default_factory=Counter)
    """Why the new settings give none of those that are gone."""
    added_examples: list[Example] = field(default_factory=list)
    gone_examples: list[Example] = field(default_factory=list)

    @property
    def is_equal(self) -> bool:
        """Whether the vendor would get the same."""
        return not (self.added or self.gone or self.changed)

    def compare(self, old: Sequence[Made], new: Sequence[Made]) -> None:
        """Count the differences between what both settings make of one record.

        Events are matched by their ids; those that have no counterpart, in their order.
        """
        if old == new:
            self.same += sum(type(made) is bytes for made in old)
            return
        olds, news = _read(old), _read(new)
        for event_id in [*olds]:
            if event_id in news:
                self._compare_payloads(olds.pop(event_id), news.pop(event_id))
        why_gone, why_added = _reasons(olds, new), _reasons(news, old)
        # What the other settings give a reason for has no counterpart under another id.
        left = [one for event_id, one in olds.items() if event_id not in why_gone]
        right = [one for event_id, one in news.items() if event_id not in why_added]
        pairs = min(len(left), len(right))
        for one, other in zip(left[:pairs], right[:pairs], strict=True):
            self._compare_payloads(one, other)
        for gone, why in _with_reasons(olds, left[pairs:], why_gone, new):
            self.gone += 1
            self.gone_because[why] += 1
            if len(self.gone_examples) < MAX_EXAMPLES:
                self.gone_examples.append(Example(gone.event_id, _masked(gone), None))
        for added, why in _with_reasons(news, right[pairs:], why_added, old):
            self.added += 1
            self.added_because[why] += 1
            if len(self.added_examples) < MAX_EXAMPLES:
                self.added_examples.append(Example(added.event_id, None, _masked(added)))

    def _compare_payloads(self, old: "_SentPayload", new: "_SentPayload") -> None:
        before, after = _leaves_that_differ(old, new)
        differ = False
        for path in dict.fromkeys((*before, *after)):
            one, other = before.get(path), after.get(path)
            if one is not None and other is not None and _are_same(one, other):
                continue
            differ = True
            changes = self.fields.setdefault(path, FieldChanges())
            if one is None:
                changes.added += 1
            elif other is None:
                changes.gone += 1
            else:
                changes.changed += 1
            if len(changes.examples) < MAX_EXAMPLES:
                shown = _shown(path, one), _shown(path, other)
                changes.examples.append(Example(new.event_id, *shown))
        self.changed += differ
        self.same += not differ

    def to_json(self) -> dict[str, Any]:
        """Return the counts and examples, as ``--json`` shows them."""
        shown: dict[str, Any] = msgspec.to_builtins(self)
        fields = [{"field": path} | one for path, one in shown["fields"].items()]
        return shown | {"fields": fields}


class _SentPayload(msgspec.Struct):
    """The part of a vendor record that is compared."""

    event_id: str
    payload: dict[str, msgspec.Raw]
    contact: msgspec.Raw = _NOTHING


_decode_sent = msgspec.json.Decoder(_SentPayload).decode
_decode = msgspec.json.Decoder().decode


def _read(made: Sequence[Made]) -> dict[str, _SentPayload]:
    """Return the payloads by event id; one that is there twice gets a place of its own."""
    found: dict[str, _SentPayload] = {}
    for number, one in enumerate(made):
        if isinstance(one, bytes):
            sent = _decode_sent(one)
            known = sent.event_id in found
            found[f"{sent.event_id}\0{number}" if known else sent.event_id] = sent
    return found


def _reasons(sent: Mapping[str, _SentPayload], made: Sequence[Made]) -> dict[str, str]:
    """Return why the other settings make no payload of these events, as far as they name them."""
    return {
        one.event_id: one.why
        for one in made
        if isinstance(one, NotSent) and one.event_id is not None and one.event_id in sent
    }


def _with_reasons(
    sent: Mapping[str, _SentPayload],
    others: Sequence[_SentPayload],
    named: Mapping[str, str],
    made: Sequence[Made],
) -> Iterator[tuple[_SentPayload, str]]:
    """Yield the payloads without counterpart: those named, and others with what reasons remain."""
    yield from ((sent[event_id], why) for event_id, why in named.items())
    remain = (one.why for one in made if isinstance(one, NotSent) and one.event_id not in named)
    yield from zip(others, chain(remain, repeat(NOTHING_MADE)), strict=False)


def _leaves_that_differ(
    old: _SentPayload, new: _SentPayload
) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """Return the values by path, of a list those of all its elements, without equal bytes."""
    before: dict[str, list[Any]] = {}
    after: dict[str, list[Any]] = {}
    for name in dict.fromkeys((*old.payload, *new.payload)):
        one, other = old.payload.get(name), new.payload.get(name)
        if one != other:
            for raw, found in ((one, before), (other, after)):
                if raw is not None:
                    _collect(_decode(raw), name, found)
    if old.contact != new.contact:
        for raw, found in ((old.contact, before), (new.contact, after)):
            if raw != _NOTHING:
                _collect(_decode(raw), "contact", found)
    return before, after


def _masked(sent: _SentPayload) -> Any:
    return masked_json({name: _decode(raw) for name, raw in sent.payload.items()})


def _collect(value: Any, path: str, found: dict[str, list[Any]]) -> None:
    if type(value) is dict and value:
        for name, item in value.items():
            _collect(item, f"{path}.{name}" if path else name, found)
    elif type(value) is list:
        found.setdefault(f"{path}[]", [])
        for item in value:
            _collect(item, f"{path}[]", found)
    else:
        found.setdefault(path, []).append(value)


def _are_same(one: list[Any], other: list[Any]) -> bool:
    # To Python, true is 1.
    return one == other and all(
        (type(a) is bool) == (type(b) is bool) for a, b in zip(one, other, strict=True)
    )


def _shown(path: str, values: list[Any] | None) -> Any:
    if values is None:
        return None
    name = path.rpartition(".")[2].removesuffix("[]")
    shown = masked_json(values, (), name)
    return shown if path.endswith("[]") else shown[0]
