"""What changes in a shop's records while nobody has changed the settings. Pure; time is given.

A field that most events had and have no longer, a type that changed, a new name of events that no
section takes. What is usual is learnt from the records and follows them slowly, so that a night
that differs from the day is no change; a change that was found stands until it is undone.

Only some records of a second are looked at, so that the cost is bounded whatever the rate.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from streams.core.values import is_absent

Change = Literal["field_gone", "type_changed", "new_event_name"]

LOOKS_PER_SECOND = 20
"""Of one topic; of a burst the first ones."""
LEARNT_EVENTS = 100
"""Events to see before anything counts as usual."""
USUAL_SHARE = 0.5
"""A field that more events have is usual."""
USUAL_TYPE_SHARE = 0.9
RUN_EVENTS, RUN_VISITORS = 25, 8
"""The least events in a row, and their visitors, for a change: one visitor's events are alike."""
CHANCE = 1e-6
"""A change is less probable than this if the visitors only happen to lack the field."""
MEMORY_EVENTS = 300
"""About how many of the newest events say what is usual."""
NAME_EVENTS, NAME_VISITORS = 10, 3
NAME_SHARE = 0.05
"""A new event name is reported at this many events, visitors, and share since its first."""
MAX_NAMES = 200
NAME_SECONDS = 3600.0
"""The counts of a name that is not reported within this time start again."""
_MAX_VISITORS = 24
_JSON_NAMES = {
    str: "text",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    dict: "an object",
}


class Drift(NamedTuple):
    """One change."""

    change: Change
    section: str
    """The ``[ingest.NAME]`` to look at; for a new name the first one of the topic."""
    what: str
    """Our field, or the event's name."""
    words: str
    """What it was and what it is, as a clause."""
    since_ms: int
    example: Any
    """The newest record in which it showed when it was found, not masked."""


@dataclass(slots=True)
class _Run:
    """Events in a row that are unlike what is usual."""

    events: int = 0
    visitors: set[Hashable] = field(default_factory=set)
    since_ms: int = 0

    def add(self, visitor: Hashable, now_ms: int) -> None:
        if not self.events:
            self.since_ms = now_ms
        self.events += 1
        if len(self.visitors) < _MAX_VISITORS:
            self.visitors.add(visitor)

    def is_long(self, share: float = 1.0) -> bool:
        """Return whether this is a change of what is true of this share of the visitors."""
        if self.events < RUN_EVENTS or len(self.visitors) < RUN_VISITORS:
            return False
        return bool((1 - share) ** len(self.visitors) <= CHANCE)


@dataclass(slots=True)
class _Field:
    """How often a field is there, its types, and the events that differ from that."""

    share: float = 0.0
    kinds: dict[str, float] = field(default_factory=dict)
    """Type → its share of the values."""
    values: int = 0
    run: _Run = field(default_factory=_Run)
    """Without the field, or with it while it counts as gone."""
    odd: _Run = field(default_factory=_Run)
    """Of another type than usual, or of the usual one while another is told."""
    is_gone: bool = False
    is_changed: bool = False

    @property
    def usual_kind(self) -> str | None:
        kind = max(self.kinds, key=self.kinds.__getitem__, default=None)
        return kind if kind is not None and self.kinds[kind] >= USUAL_TYPE_SHARE else None


@dataclass(slots=True)
class _Name:
    """A name of events that is new."""

    began: float
    since_ms: int
    looks_before: int
    events: int = 0
    visitors: set[Hashable] = field(default_factory=set)


class DriftDetector:
    """Watches the records of one topic."""

    def __init__(self, first_section: str) -> None:
        """``first_section``: reported as the section of events that no section takes."""
        self._first = first_section
        self._events: dict[str, int] = {}
        self._fields: dict[str, dict[str, _Field]] = {}
        self._looks = 0
        self._known_names: set[str] = set()
        self._new_names: dict[str, _Name] = {}
        self._found: dict[tuple[Change, str, str], Drift] = {}
        self._second, self._looks_of_second = 0, 0

    def wants(self, now: float) -> bool:
        """Return whether to look at a record of this moment; ``now`` in seconds."""
        if int(now) != self._second:
            self._second, self._looks_of_second = int(now), 0
        self._looks_of_second += 1
        return self._looks_of_second <= LOOKS_PER_SECOND

    def look_at_event(
        self, section: str, values: Mapping[str, Any], visitor: Hashable, record: Any, now_ms: int
    ) -> None:
        """Record an event of a section: the values that its expressions found, by field.

        ``visitor`` identifies the visitor.
        """
        seen = self._events[section] = self._events.get(section, 0) + 1
        fields = self._fields.setdefault(section, {})
        for name, value in values.items():
            state = fields.setdefault(name, _Field())
            is_there = not is_absent(value)
            if state.is_gone:
                self._look_for_return(section, name, state, is_there, visitor, now_ms)
            elif seen <= LEARNT_EVENTS or is_there or state.share <= USUAL_SHARE:
                _follow(state, is_there, seen)
            else:
                state.run.add(visitor, now_ms)
                if state.run.is_long(state.share):
                    number = state.run.events
                    words = (
                        f"{100 * state.share:.0f} % of events had it, the last {number} have not"
                    )
                    self._tell("field_gone", section, name, words, state.run, record)
                    state.is_gone, state.run = True, _Run()
            if is_there:
                self._look_at_type(section, name, state, value, visitor, record, now_ms)

    def look_at_unmapped(
        self, name: Any, visitor: Hashable, record: Any, now: float, now_ms: int
    ) -> None:
        """Record the event name of a record that no section takes; None: it has none."""
        self._looks += 1
        if type(name) not in {str, int} or is_absent(name):
            return
        text = str(name)[:200]
        if text in self._known_names:
            return
        if self._looks <= LEARNT_EVENTS:
            self._know(text)
            return
        new = self._new_names.get(text)
        if new is None or now - new.began > NAME_SECONDS:
            if len(self._new_names) >= MAX_NAMES:
                self._new_names.clear()
            new = self._new_names[text] = _Name(now, now_ms, self._looks - 1)
        new.events += 1
        if len(new.visitors) < NAME_VISITORS:
            new.visitors.add(visitor)
        share = new.events / (self._looks - new.looks_before)
        if new.events >= NAME_EVENTS and len(new.visitors) >= NAME_VISITORS and share >= NAME_SHARE:
            of_all = f"{100 * share:.0f} % of the topic's records have had it since"
            words = f"no section takes it, and {of_all}"
            drift = Drift("new_event_name", self._first, text, words, new.since_ms, record)
            self._found["new_event_name", self._first, text] = drift
            del self._new_names[text]
            self._know(text)

    def count_mapped(self) -> None:
        """Count a record that a section took: names are judged by their share of all records."""
        self._looks += 1

    def found(self) -> list[Drift]:
        """Return the changes that stand, in the order in which they were found."""
        return list(self._found.values())

    def _know(self, name: str) -> None:
        if len(self._known_names) < MAX_NAMES:
            self._known_names.add(name)

    def _look_for_return(
        self,
        section: str,
        name: str,
        state: _Field,
        is_there: bool,
        visitor: Hashable,
        now_ms: int,
    ) -> None:
        """End a report once the field is back in as many events as it took to report it."""
        if not is_there:
            state.run = _Run()
            return
        state.run.add(visitor, now_ms)
        if state.run.is_long():
            state.is_gone, state.run = False, _Run()
            del self._found["field_gone", section, name]

    def _look_at_type(
        self,
        section: str,
        name: str,
        state: _Field,
        value: Any,
        visitor: Hashable,
        record: Any,
        now_ms: int,
    ) -> None:
        kind, usual = _JSON_NAMES.get(type(value), "a list"), state.usual_kind
        if not state.is_changed:
            state.values += 1
            _follow_kind(state, kind)
        if state.values <= LEARNT_EVENTS or usual is None:
            return
        if (kind == usual) is not state.is_changed:
            state.odd = _Run()
            return
        state.odd.add(visitor, now_ms)
        if not state.odd.is_long():
            return
        if state.is_changed:
            del self._found["type_changed", section, name]
        else:
            words = f"it was {usual} and is {kind}"
            self._tell("type_changed", section, name, words, state.odd, record)
        state.is_changed, state.odd = not state.is_changed, _Run()

    def _tell(
        self, change: Change, section: str, name: str, words: str, run: _Run, record: Any
    ) -> None:
        drift = Drift(change, section, name, words, run.since_ms, record)
        self._found[change, section, name] = drift


def _follow(state: _Field, is_there: bool, seen: int) -> None:
    # A run that has ended was no change: its events count only now.
    weight = 1 / min(seen, MEMORY_EVENTS)
    state.share *= (1 - weight) ** state.run.events
    state.share += (is_there - state.share) * weight
    state.run = _Run()


def _follow_kind(state: _Field, kind: str) -> None:
    weight = 1 / min(state.values, MEMORY_EVENTS)
    for one in state.kinds:
        state.kinds[one] *= 1 - weight
    state.kinds[kind] = state.kinds.get(kind, 0.0) + weight
