"""Which dead letters are open: copies, resolutions and groups of equal causes (contract §6).

Pure: the records of the topics come in as bytes, each partition's in its order.

One module, though a long one: letters, resolutions and groups know each other's places.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import msgspec

from streams.core.strict_json import StrictJsonError, decode_strict
from streams.core.times import MAX_MS, utc_text
from streams.core.topics import Topics
from streams.operations.dead_letters.fixes import likely_fix

RESENT, DROPPED = "resent", "dropped"
"""What resolutions say was done."""

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


class LetterSource(NamedTuple):
    """Which raw record a letter is about."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


class _Source(msgspec.Struct, frozen=True, gc=False):
    topic: str
    partition: int
    offset: int


class _Facts(msgspec.Struct, frozen=True, gc=False):
    stage: str
    reason: str
    fingerprint: str
    source: _Source
    detail: str = ""
    event_id: str | None = None
    status: int | None = None


_encode = msgspec.json.Encoder().encode


def encode_resolution(position: Position, action: str, at: str, run_id: str | None = None) -> bytes:
    """Return the note that closes the letter at this position: ``resent`` or ``dropped``."""
    run = {} if run_id is None else {"run_id": run_id}
    return _encode({"resolves": str(position), "action": action, **run, "at": at})


@dataclass(slots=True, eq=False)
class Letter:
    """One event or record given up on, however often its letter was written."""

    owner: str
    """The vendor's key, or ``enrich``."""
    position: Position
    """Of its newest copy, which retention deletes last."""
    copies: int
    first_ms: int
    last_ms: int
    """Kafka times of its first and its newest copy."""
    source: LetterSource
    event_id: str
    """Where the record names none, the id that its place gives it (contract §2)."""
    stage: str
    reason: str
    fingerprint: str
    detail: str
    status: int | None
    closed: str | None = None
    """The action that resolved it; None: it is open."""
    closed_by: str | None = None
    """The run that resolved it, if it was one."""
    newest: _Facts | None = None
    """What the newest of several copies says, with its Kafka time in ``last_ms``."""

    @property
    def fix(self) -> str:
        """The sentence that names what most likely helps."""
        return likely_fix(self.owner, self.reason, self.detail, self.status)


class LetterBook:
    """The letters of one topic."""

    def __init__(self, owner: str, topic: str, topics: Topics) -> None:
        self._owner = owner
        self._topic = topic
        self._topics = topics
        self._open: dict[LetterSource, Letter] = {}
        self._at: dict[tuple[int, int], Letter] = {}
        self._resolved_ahead: dict[tuple[int, int], tuple[str, str | None]] = {}
        self.letters: list[Letter] = []
        """Open and closed, in the order in which they were first seen."""

    def take(self, partition: int, offset: int, kafka_ms: int, value: bytes | None) -> None:
        """Enter the next record of a partition; raises UnreadableLetterError.

        A copy of an open letter, that is one about the same raw record, counts once. One written
        after its letter was resolved is a new letter: what was sent again has failed again.
        """
        if value is None:
            raise UnreadableLetterError("a record without a value")
        try:
            # Strictly, so that whatever is listed can be shown as JSON, too.
            document = decode_strict(value)
        except StrictJsonError as error:
            raise UnreadableLetterError(str(error)) from None
        if type(document) is dict and document.get("resolves") is not None:
            self._resolve(partition, document)
            return
        try:
            facts = msgspec.convert(document, _Facts)
        except msgspec.ValidationError as error:
            raise UnreadableLetterError(f"not a dead letter: {error}") from None
        position = Position(self._topic, partition, offset)
        source = LetterSource(facts.source.topic, facts.source.partition, facts.source.offset)
        letter = self._open.get(source)
        if letter is None:
            letter = self._enter(position, source, kafka_ms, facts)
        else:
            letter.position = position
            letter.copies += 1
            letter.last_ms = max(letter.last_ms, kafka_ms)
            letter.newest = facts
        self._at[partition, offset] = letter
        ahead = self._resolved_ahead.pop((partition, offset), None)
        if ahead is not None:
            self._close(letter, position, *ahead)

    def _enter(
        self, position: Position, source: LetterSource, kafka_ms: int, facts: _Facts
    ) -> Letter:
        place = f"{self._topics.without_prefix(source.topic)}-{source.partition}-{source.offset}"
        letter = Letter(
            owner=self._owner,
            position=position,
            copies=1,
            first_ms=kafka_ms,
            last_ms=kafka_ms,
            source=source,
            event_id=facts.event_id or place,
            stage=facts.stage,
            reason=facts.reason,
            fingerprint=facts.fingerprint,
            detail=facts.detail,
            status=facts.status,
        )
        self._open[source] = letter
        self.letters.append(letter)
        return letter

    def _resolve(self, partition: int, resolution: Mapping[str, Any]) -> None:
        try:
            position = Position.parse(resolution["resolves"])
        except (ValueError, AttributeError):
            raise UnreadableLetterError("a resolution of no topic-partition-offset") from None
        if position.topic != self._topic:
            raise UnreadableLetterError("a resolution of a letter of another topic")
        said = resolution.get("action")
        action = said if type(said) is str else "resolved"
        run = resolution.get("run_id")
        run_id = run if type(run) is str else None
        letter = self._at.get((position.partition, position.offset))
        if letter is not None:
            self._close(letter, position, action, run_id)
        elif position.partition != partition:
            # Written by another tool to another partition, which may be read first.
            self._resolved_ahead[position.partition, position.offset] = action, run_id
        # Otherwise retention has deleted the letter, or it lies before what is read.

    def _close(self, letter: Letter, position: Position, action: str, run_id: str | None) -> None:
        """Close a letter with all its copies; one that was sent again, up to this position.

        A later copy may be that of an event that failed again before the note was written: it is
        a letter of its own, and open.
        """
        if letter.closed is not None:
            return
        newest, facts, last_ms = letter.position, letter.newest, letter.last_ms
        letter.closed, letter.closed_by = action, run_id
        del self._open[letter.source]
        is_later = newest.partition == position.partition and newest.offset > position.offset
        if action == RESENT and is_later and facts is not None:
            letter.position, letter.copies = position, letter.copies - 1
            self._at[newest.partition, newest.offset] = self._enter(
                newest, letter.source, last_ms, facts
            )


@dataclass(frozen=True, slots=True)
class Selection:
    """Which letters a command is about; None leaves the question open."""

    owner: str | None = None
    """A vendor's key, or ``enrich``."""
    fingerprint: str | None = None
    event_id: str | None = None
    since_ms: int | None = None
    """Letters, or copies of them, of this Kafka time or later."""

    def has(self, letter: Letter) -> bool:
        """Return whether the letter is one of these, open or not."""
        return (
            self.owner in {None, letter.owner}
            and self.fingerprint in {None, letter.fingerprint}
            and self.event_id in {None, letter.event_id}
            and (self.since_ms is None or letter.last_ms >= self.since_ms)
        )


@dataclass(slots=True)
class Group:
    """Open letters of one cause."""

    owner: str
    reason: str
    fingerprint: str
    example: Letter
    """The newest of them."""
    letters: list[Letter] = field(default_factory=list)

    @property
    def first_seen(self) -> str:
        """When the first was written: RFC 3339, UTC."""
        return kafka_time(min(letter.first_ms for letter in self.letters))

    @property
    def last_seen(self) -> str:
        """When the newest was written: RFC 3339, UTC."""
        return kafka_time(self.example.last_ms)

    def to_json(self) -> dict[str, Any]:
        """Return the group as ``list --json`` shows it."""
        example = self.example
        return {
            "vendor": self.owner,
            "reason": self.reason,
            "fingerprint": self.fingerprint,
            "open": len(self.letters),
            "first_seen": self.first_seen,
            "last_seen": self.last_seen,
            "example": {
                "event_id": example.event_id,
                "detail": example.detail,
                "status": example.status,
                "source": str(example.source),
                "position": str(example.position),
            },
            "fix": example.fix,
        }


def group(letters: Iterable[Letter]) -> list[Group]:
    """Return the letters by vendor and cause, the most frequent cause first."""
    groups: dict[tuple[str, str, str], Group] = {}
    for letter in letters:
        key = (letter.owner, letter.fingerprint, letter.reason)
        found = groups.get(key)
        if found is None:
            found = groups[key] = Group(letter.owner, letter.reason, letter.fingerprint, letter)
        elif letter.last_ms >= found.example.last_ms:
            found.example = letter
        found.letters.append(letter)
    return sorted(groups.values(), key=lambda g: (-len(g.letters), g.owner, g.fingerprint))


def kafka_time(ms: int) -> str:
    """Return a record's Kafka time as RFC 3339, UTC; the nearest there is for what is none."""
    return utc_text(min(max(ms, 0), MAX_MS))
