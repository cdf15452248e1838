"""Which dead letters are open: copies, resolutions and groups of equal causes.

Pure: the records of the topics come in as bytes, each partition's in its order. A letter takes a
few bytes: what it says lies on its topic and is read again where it is wanted.

One module, though a long one: letters, resolutions and groups know each other's places.
"""

from array import array
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, NamedTuple, Self

import msgspec

from streams.core.records import Source
from streams.core.strict_json import StrictJsonError, decode_strict
from streams.core.times import MAX_MS, utc_text
from streams.core.topics import Topics
from streams.dead_letters.compact import Entries, Entry, LetterPlace, NumberSet
from streams.dead_letters.fixes import likely_fix

RESENT, DROPPED = "resent", "dropped"
"""What resolutions say was done."""

MAX_CAUSES = 2_000
"""Causes that are told apart; a stranger could invent one for each letter."""
OTHER = "other causes"
"""The reason of all that are beyond it."""
MAX_COPIES = 100
"""Copies of one letter whose places are known."""
MAX_PLACES = 10_000
"""Raw partitions that letters may be about, for the same reason."""
MAX_TEXT_CHARS = 1_000
"""Of each text that is kept as an example."""
_OFFSET_BITS = 44
_OFFSETS = (1 << _OFFSET_BITS) - 1

INGEST = "ingest"
"""Whose letters lie on ``ingest.dead-letters``: they are about the shop's own records."""
ENRICH = "enrich"
"""Whose letters lie on ``enrich.dead-letters``: they are about no vendor."""


class UnreadableLetterError(Exception):
    """A record of a dead-letter topic that is neither letter nor resolution; says why."""


class Position(NamedTuple):
    """Where a letter lies: its text form is what a resolution ``resolves``."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}-{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text form back; raises ValueError where it is none."""
        topic, partition, offset = text.rsplit("-", 2)
        for number in (partition, offset):
            if not (number.isascii() and number.isdecimal()):
                raise ValueError(text)
        return cls(topic, int(partition), int(offset))


class _Source(msgspec.Struct, frozen=True, gc=False):
    topic: str
    partition: int
    offset: int


class _LetterFacts(msgspec.Struct, frozen=True, gc=False):
    stage: str
    reason: str
    fingerprint: str
    source: _Source
    detail: str = ""
    event_id: str | None = None
    status: int | None = None
    section: str | None = None
    element: int | None = None

    @property
    def part(self) -> str:
        """Which part of its record it is about; of ``ingest`` one record may have several."""
        return "" if self.section is None else f"{self.section}/{self.element}"


_encode = msgspec.json.Encoder().encode


def encode_resolution(position: Position, action: str, at: str, run_id: str | None = None) -> bytes:
    """Return the note that closes the letter at this position: ``resent`` or ``dropped``."""
    run = {} if run_id is None else {"run_id": run_id}
    return _encode({"resolves": str(position), "action": action, **run, "at": at})


class LetterCause(NamedTuple):
    """What letters of one group have in common."""

    reason: str
    fingerprint: str
    stage: str


@dataclass(slots=True, frozen=True)
class Letter:
    """One event or record given up on, however often its letter was written."""

    owner: str
    """The vendor's key, or ``enrich``."""
    position: Position
    """Of its newest copy, which retention deletes last."""
    source: Source
    place_id: str
    """The event id that its place gives a record that names none."""
    cause: LetterCause
    copies: int
    first_ms: int
    last_ms: int
    """Kafka times of its first and its newest copy."""

    @property
    def stage(self) -> str:
        """Where it was given up: ``enrich`` or ``deliver``."""
        return self.cause.stage


@dataclass(slots=True, frozen=True)
class Words:
    """What a letter says of its event."""

    event_id: str
    detail: str
    status: int | None

    def fix(self, letter: Letter) -> str:
        """Return the sentence that names what most likely helps."""
        return likely_fix(letter.owner, letter.cause.reason, self.detail, self.status)


def words_of(letter: Letter, value: bytes) -> Words:
    """Return what a letter says, from its record; raises UnreadableLetterError."""
    return _words(_facts(_decode(value)), letter.place_id)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which letters a command is about; None leaves the question open."""

    owner: str | None = None
    """A vendor's key, or ``enrich``."""
    fingerprint: str | None = None
    event_id: str | None = None
    since_ms: int | None = None
    """Letters, or copies of them, of this Kafka time or later."""

    def may_share(self, other: "Selection") -> bool:
        """Return whether some letter may be in both."""
        mine = self.owner, self.fingerprint, self.event_id
        theirs = other.owner, other.fingerprint, other.event_id
        return all(None in pair or pair[0] == pair[1] for pair in zip(mine, theirs, strict=True))


@dataclass(slots=True)
class _Copied:
    """An open letter that was written more than once."""

    positions: deque[tuple[int, int]]
    """Partition and offset of its newest copies; a note on an older one closes nothing."""
    copies: int
    first_ms: int
    own_cause: int
    """What the newest copy says itself."""


@dataclass(slots=True)
class _Causes:
    """The open letters of one cause."""

    cause: LetterCause
    open: int = 0
    first_ms: int = 1 << 62
    last_ms: int = -(1 << 62)
    newest: tuple[int, Entry] | None = None
    """With its partition."""
    words: Words | None = None
    """Of the newest, as long as they are kept."""
    is_sure: bool = True
    """None was closed, so that the times and the newest are those of the open ones."""

    def has_newest(self, partition: int, entry: Entry, first_ms: int) -> bool:
        """Take an open letter's times; return whether it is the newest until now."""
        self.first_ms = min(self.first_ms, first_ms)
        if entry.ms < self.last_ms:
            return False
        self.last_ms, self.newest = entry.ms, (partition, entry)
        return True


@dataclass(eq=False)
class LetterBook:
    """The letters of one topic: how many are open, of which causes, and where they lie."""

    owner: str
    topic: str
    topics: Topics
    selection: Selection = Selection()
    """Only these are taken."""
    _: KW_ONLY
    closed_by: str | None = None
    """A run whose letters are wanted, too."""
    max_bytes: int | None = None
    """About how much memory it may take; letters beyond it are only counted."""

    def __post_init__(self) -> None:
        self._open = NumberSet()
        self._entries: defaultdict[int, Entries] = defaultdict(Entries)
        self._places: dict[tuple[str, int, str], int] = {}
        self._place_names: list[tuple[str, int]] = []
        self._causes: dict[LetterCause, int] = {}
        self._groups: list[_Causes] = []
        self._copied: dict[int, _Copied] = {}
        self._moved: dict[tuple[int, int], int] = {}
        """Causes of letters that are those of a newer copy by now."""
        self._resolved_ahead: dict[tuple[int, int], tuple[str, str | None]] = {}
        self.resolved: Counter[str] = Counter()
        """Letters that are closed, by what was done about them."""
        self._of_run = array("q")
        """Those that the named run has closed: partition and entry of each."""
        self._taken = 0
        self.left_out = 0
        """Letters for which there was no room."""
        self.full_at_ms: int | None = None
        """The Kafka time of the first of them."""

    def __len__(self) -> int:
        """Return how many letters are open."""
        return sum(group.open for group in self._groups)

    def __iter__(self) -> Iterator[Letter]:
        """Yield the open letters by partition and offset."""
        for partition, entries in sorted(self._entries.items()):
            for entry in entries.current():
                yield self._letter(partition, entry)

    def of_run(self) -> Iterator[Letter]:
        """Yield the letters that the named run has closed, in the order in which it did."""
        columns = iter(self._of_run)
        for partition, *entry in zip(*[columns] * 5, strict=True):
            yield self._letter(partition, Entry(*entry))

    @property
    def nbytes(self) -> int:
        """About how much memory the letters take."""
        small = 400 * (len(self._copied) + len(self._resolved_ahead) + len(self._moved))
        causes = 5_000 * len(self._groups)
        entries = sum(entries.nbytes for entries in self._entries.values())
        return entries + self._open.nbytes + small + causes

    def add(self, partition: int, offset: int, kafka_ms: int, value: bytes | None) -> None:
        """Enter the next record of a partition; raises UnreadableLetterError.

        A copy of an open letter, that is one about the same raw record, counts once. One written
        after its letter was resolved is a new letter: what was sent again has failed again.
        """
        if self.full_at_ms is not None and value is not None and b'"resolves"' not in value:
            self.left_out += 1
            return
        document = _decode(value)
        if type(document) is dict and document.get("resolves") is not None:
            self._resolve(partition, document)
            return
        facts = _facts(document)
        number = self._number(facts.source, facts.part)
        if not self._is_meant(facts, number, kafka_ms):
            return
        cause = own = self._cause(facts)
        if number in self._open:
            cause = self._copy(number, partition, offset, own)
        else:
            self._open.add(number)
            self._groups[cause].open += 1
        entry = Entry(offset, number, cause, kafka_ms)
        self._entries[partition].append(entry)
        group = self._groups[cause]
        if group.has_newest(partition, entry, kafka_ms):
            group.words = _words(facts, "" if facts.event_id else self._place_id(number))
        ahead = self._resolved_ahead.pop((partition, offset), None)
        if ahead is not None:
            self._close(partition, offset, *ahead)
        self._taken += 1
        if self.max_bytes is not None and not self._taken & 0xFF and self.nbytes > self.max_bytes:
            self.full_at_ms = kafka_ms

    def groups(self) -> "list[Group]":
        """Return the open letters by cause, the most frequent first."""
        self._look_again()
        groups = [
            Group(one.cause, one.open, one.first_ms, one.last_ms, self._letter(*newest), one.words)
            for one in self._groups
            if one.open and (newest := one.newest) is not None
        ]
        return sorted(groups, key=_most_frequent_first)

    def _is_meant(self, facts: _LetterFacts, number: int, kafka_ms: int) -> bool:
        asked = self.selection
        if asked.since_ms is not None and kafka_ms < asked.since_ms:
            return False
        if asked.event_id not in {None, facts.event_id or self._place_id(number)}:
            return False
        return asked.fingerprint in {None, facts.fingerprint} or number in self._open

    def _copy(self, number: int, partition: int, offset: int, own: int) -> int:
        """Retire the copy that was the newest until now, and return the cause of its letter."""
        where, place = self._newest(number)
        older = self._entries[where].entry(place)
        cause = self._moved.pop((where, older.offset), older.cause)
        self._entries[where].retire(place)
        copied = self._copied.get(number)
        if copied is None:
            copied = self._copied[number] = _Copied(
                deque([(where, older.offset)], MAX_COPIES), 1, older.ms, own
            )
        copied.positions.append((partition, offset))
        copied.copies += 1
        copied.own_cause = own
        return cause

    def _newest(self, number: int) -> tuple[int, LetterPlace]:
        """Return in which partition and where the newest copy of an open letter is kept."""
        # Almost always it is the one that its raw record lies on, too.
        likely = self._place_names[number >> _OFFSET_BITS][1]
        for partition in sorted(self._entries, key=lambda one: one != likely):
            place = self._entries[partition].newest_current(number)
            if place is not None:
                return partition, place
        raise AssertionError("an open letter has a newest copy")

    def _place_id(self, number: int) -> str:
        topic, partition = self._place_names[number >> _OFFSET_BITS]
        return f"{self.topics.without_prefix(topic)}-{partition}-{number & _OFFSETS}"

    def _letter(self, partition: int, entry: Entry) -> Letter:
        topic, raw_partition = self._place_names[entry.number >> _OFFSET_BITS]
        copied = self._copied.get(entry.number) if self._copied else None
        cause = self._moved.get((partition, entry.offset), entry.cause)
        return Letter(
            self.owner,
            Position(self.topic, partition, entry.offset),
            Source(topic, raw_partition, entry.number & _OFFSETS),
            self._place_id(entry.number),
            self._groups[cause].cause,
            1 if copied is None else copied.copies,
            self._first_ms(entry),
            entry.ms,
        )

    def _number(self, source: _Source, part: str) -> int:
        key = source.topic, source.partition, part
        place = self._places.get(key)
        if place is None:
            if len(self._places) >= MAX_PLACES:
                raise UnreadableLetterError("its source lies on one raw partition too many")
            place = self._places[key] = len(self._place_names)
            self._place_names.append(key[:2])
        if not 0 <= source.offset < 1 << _OFFSET_BITS:
            raise UnreadableLetterError("its source is no offset")
        return place << _OFFSET_BITS | source.offset

    def _cause(self, facts: _LetterFacts) -> int:
        cause = LetterCause(facts.reason, facts.fingerprint, facts.stage)
        is_new = cause not in self._causes
        if is_new and (len(self._causes) >= MAX_CAUSES or len("".join(cause)) > MAX_TEXT_CHARS):
            stage = facts.stage if facts.stage in ("deliver", INGEST) else ENRICH
            cause = LetterCause(OTHER, "*", stage)
        if cause not in self._causes:
            self._causes[cause] = len(self._groups)
            self._groups.append(_Causes(cause))
        return self._causes[cause]

    def _resolve(self, partition: int, resolution: Mapping[str, Any]) -> None:
        try:
            position = Position.parse(resolution["resolves"])
        except (ValueError, AttributeError):
            raise UnreadableLetterError("a resolution of no topic-partition-offset") from None
        if position.topic != self.topic:
            raise UnreadableLetterError("a resolution of a letter of another topic")
        said = resolution.get("action")
        action = said if type(said) is str else "resolved"
        run = resolution.get("run_id")
        run_id = run if type(run) is str else None
        is_known = self._close(position.partition, position.offset, action, run_id)
        if not is_known and position.partition != partition and self.full_at_ms is None:
            # Written by another tool to another partition, which may be read first.
            self._resolved_ahead[position.partition, position.offset] = action, run_id
        # Otherwise retention has deleted the letter, or it lies before what is read.

    def _close(self, partition: int, offset: int, action: str, run_id: str | None) -> bool:
        """Close a letter with all its copies; one that was sent again, up to this position.

        A later copy may be that of an event that failed again before the note was written: it is
        a letter of its own, and open. Returns whether there is a letter at this position.
        """
        entries = self._entries.get(partition)
        named = None if entries is None else entries.at(offset)
        if entries is None or named is None:
            return False
        number = entries.entry(named).number
        copied = self._copied.get(number)
        is_open = number in self._open
        if not is_open or not (
            entries.is_current(named) or (copied and (partition, offset) in copied.positions)
        ):
            return True  # it was closed before; what is open came later
        where, newest = self._newest(number)
        entry = self._entries[where].entry(newest)
        letter = self._letter(where, entry)
        self.resolved[action] += 1
        group = self._groups[self._causes[letter.cause]]
        group.open -= 1
        group.is_sure = False
        self._copied.pop(number, None)
        if copied and action == RESENT and where == partition and entry.offset > offset:
            self._moved[where, entry.offset] = copied.own_cause
            self._groups[copied.own_cause].open += 1
            self._groups[copied.own_cause].is_sure = False
        else:
            self._entries[where].retire(newest)
            self._open.discard(number)
            self._moved.pop((where, entry.offset), None)
        if self.closed_by is not None and run_id == self.closed_by:
            self._of_run.extend((where, *entry))
        return True

    def _look_again(self) -> None:
        """Find the times and the newest of causes of which letters were closed."""
        unsure = {cause: group for cause, group in enumerate(self._groups) if not group.is_sure}
        for cause, group in unsure.items():
            self._groups[cause] = _Causes(group.cause, group.open)
        if not any(group.open for group in unsure.values()):
            return
        for partition, entries in sorted(self._entries.items()):
            for entry in entries.current():
                cause = self._moved.get((partition, entry.offset), entry.cause)
                if cause in unsure:
                    self._groups[cause].has_newest(partition, entry, self._first_ms(entry))
        for cause, before in unsure.items():
            group = self._groups[cause]
            group.words = before.words if group.newest == before.newest else None

    def _first_ms(self, entry: Entry) -> int:
        copied = self._copied.get(entry.number) if self._copied else None
        return entry.ms if copied is None else min(copied.first_ms, entry.ms)


@dataclass(slots=True)
class Group:
    """Open letters of one cause."""

    cause: LetterCause
    open: int
    first_ms: int
    last_ms: int
    example: Letter
    """The newest of them."""
    words: Words | None
    """What the example says; None: it is to be read again."""

    @property
    def owner(self) -> str:
        """The vendor's key, or ``enrich``."""
        return self.example.owner

    @property
    def first_seen(self) -> str:
        """When the first was written: RFC 3339, UTC."""
        return kafka_time(self.first_ms)

    @property
    def last_seen(self) -> str:
        """When the newest was written: RFC 3339, UTC."""
        return kafka_time(self.last_ms)

    @property
    def fix(self) -> str:
        """The sentence that names what most likely helps."""
        return (self.words or _NO_WORDS).fix(self.example)

    def to_json(self) -> dict[str, Any]:
        """Return the group as ``list --json`` shows it."""
        words = self.words or _NO_WORDS
        return {
            "vendor": self.owner,
            "reason": self.cause.reason,
            "fingerprint": self.cause.fingerprint,
            "open": self.open,
            "first_seen": self.first_seen,
            "last_seen": self.last_seen,
            "example": {
                "event_id": words.event_id,
                "detail": words.detail,
                "status": words.status,
                "source": str(self.example.source),
                "position": str(self.example.position),
            },
            "fix": self.fix,
        }


_NO_WORDS = Words("", "", None)


def _most_frequent_first(group: Group) -> tuple[int, str, str]:
    return -group.open, group.owner, group.cause.fingerprint


def all_groups(books: "list[LetterBook]") -> list[Group]:
    """Return the groups of several topics, the most frequent cause first."""
    return sorted((g for book in books for g in book.groups()), key=_most_frequent_first)


def _decode(value: bytes | None) -> Any:
    if value is None:
        raise UnreadableLetterError("a record without a value")
    try:
        # Strictly, so that whatever is listed can be shown as JSON, too.
        return decode_strict(value)
    except StrictJsonError as error:
        raise UnreadableLetterError(str(error)) from None


def _words(facts: _LetterFacts, place_id: str) -> Words:
    event_id = (facts.event_id or place_id)[:MAX_TEXT_CHARS]
    return Words(event_id, facts.detail[:MAX_TEXT_CHARS], facts.status)


def _facts(document: Any) -> _LetterFacts:
    try:
        return msgspec.convert(document, _LetterFacts)
    except msgspec.ValidationError as error:
        raise UnreadableLetterError(f"not a dead letter: {error}") from None


def kafka_time(ms: int) -> str:
    """Return a record's Kafka time as RFC 3339, UTC; the nearest there is for what is none."""
    return utc_text(min(max(ms, 0), MAX_MS))
