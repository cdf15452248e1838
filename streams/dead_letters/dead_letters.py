"""Dead letters on the broker: found, read whole, and dropped by a resolution.

However many there are, only their places are held in memory, and a few thousand whole ones.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol, TypeVar

from aiokafka import ConsumerRecord, TopicPartition

from streams.core.errors import SettingsError
from streams.core.topics import Topics
from streams.dead_letters.book import (
    DROPPED,
    ENRICH,
    INGEST,
    Group,
    Letter,
    LetterBook,
    Position,
    Selection,
    UnreadableLetterError,
    all_groups,
    encode_resolution,
    words_of,
)
from streams.kafka.reader import LogReader, Tell, connect, silent
from streams.kafka.writer import connect_writer
from streams.settings import Settings
from streams.vendors import VENDORS

OWNERS = (ENRICH, *VENDORS, INGEST)
"""Whose letters there are, in the order in which they are read."""

_WRITTEN_AT_ONCE = 1_000
_READ_AT_ONCE = 5_000


class OpenLetters:
    """The open letters of some topics, one after the other; each time anew."""

    def __init__(self, books: Sequence[LetterBook]) -> None:
        self._books = books

    def __len__(self) -> int:
        """Return how many are open."""
        return sum(map(len, self._books))

    def __iter__(self) -> Iterator[Letter]:
        """Yield them by topic, partition and offset."""
        for book in self._books:
            yield from book

    def of_run(self) -> Iterator[Letter]:
        """Yield those besides that the named run has closed."""
        for book in self._books:
            yield from book.of_run()


@dataclass(slots=True)
class FoundLetters:
    """What a selection of letters came to."""

    selection: Selection
    open: OpenLetters
    groups: list[Group]
    """The open letters by cause, the most frequent first."""
    resolved: Counter[str] = field(default_factory=Counter)
    """Selected letters that are closed, by what was done about them."""
    left_out: int = 0
    """Letters for which there was no room: open or not, they are in none of the figures."""
    full_at_ms: int | None = None
    """The Kafka time of the oldest of them."""
    unreadable: Counter[str] = field(default_factory=Counter)
    """Records by topic that are neither letter nor resolution, whoever wrote them."""
    examples: dict[str, str] = field(default_factory=dict)
    """By topic: where the first of these lies and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """What ``drop_letters`` did."""

    by_cause: Counter[tuple[str, str, str]]
    """Letters resolved now, by owner, fingerprint and reason."""
    gone: int
    """Letters that retention deleted first: nothing was left to resolve."""

    @property
    def letters(self) -> int:
        """How many were resolved now."""
        return self.by_cause.total()


Take = Callable[[Letter, bytes], None]
"""Called with a letter and the JSON of its newest copy."""


Letters = Sequence[Letter] | OpenLetters


class _Placed(Protocol):
    @property
    def position(self) -> Position: ...


L = TypeVar("L", bound=_Placed)

_PIECE_BYTES = 1024 * 1024
"""So much of a partition is fetched at once where memory is short."""


def topic_of(owner: str, topics: Topics) -> str:
    """Return the topic of a vendor's dead letters, or of ingest's or enrichment's."""
    if owner == INGEST:
        return topics.ingest_dead_letters
    return topics.enrich_dead_letters if owner == ENRICH else topics.dead_letters(owner)


async def find_letters(
    settings: Settings,
    selection: Selection,
    *,
    closed_by: str | None = None,
    max_bytes: int | None = None,
    tell: Tell = silent,
) -> FoundLetters:
    """Read the topics that the selection is about and return which letters are open.

    ``closed_by``: a run whose letters are wanted, too, although they are closed. ``max_bytes``:
    about how much memory letters and what is read at once may take; None: as much as they need.
    Raises SettingsError for an owner that there is none of, SetupError for a broker that does not
    answer or a topic that is missing (one of a vendor that is off may be missing unless named).
    """
    owner = selection.owner
    if owner is not None and owner not in OWNERS:
        raise SettingsError([f"--vendor: there is no {owner}; name one of {', '.join(OWNERS)}."])
    topics, books = settings.topics, list[LetterBook]()
    found = FoundLetters(selection, OpenLetters(books), [])
    names = {name: topic_of(name, topics) for name in ([owner] if owner else OWNERS)}
    async with connect(settings.kafka, None if max_bytes is None else _PIECE_BYTES) as reader:
        needed = {ENRICH, *settings.enabled_vendors()} if owner is None else {owner}
        needed |= {INGEST} if owner is None and settings.ingest else set()
        tps = await reader.partitions(
            names.values(), [topic for name, topic in names.items() if name in needed]
        )
        for name, topic in names.items():
            left = None if max_bytes is None else max_bytes // 2 - sum(b.nbytes for b in books)
            book = LetterBook(name, topic, topics, selection, closed_by=closed_by, max_bytes=left)
            books.append(book)
            await _read(reader, tps[topic], selection.since_ms, book, found, tell)
            found.resolved += book.resolved
            found.left_out += book.left_out
            if book.full_at_ms is not None:
                found.full_at_ms = min(book.full_at_ms, found.full_at_ms or book.full_at_ms)
        found.groups = all_groups(books)
        await _read_examples(reader, found.groups)
    return found


async def _read_examples(reader: LogReader, groups: Sequence[Group]) -> None:
    """Read the examples of those groups of which newer letters were closed."""
    wanted = {group.example.position: group for group in groups if group.words is None}
    examples = [group.example for group in wanted.values()]
    async with aclosing(newest_copies(reader, examples)) as copies:
        async for letter, record in copies:
            if record is not None:
                wanted[letter.position].words = words_of(letter, record.value)


async def read_whole(settings: Settings, letters: Letters, take: Take) -> int:
    """Read these letters again and hand over each, by topic, partition and offset.

    Returns how many of them retention has deleted meanwhile.
    """
    gone = 0
    if not len(letters):
        return gone
    async with (
        connect(settings.kafka, _PIECE_BYTES) as reader,
        aclosing(newest_copies(reader, letters)) as copies,
    ):
        async for letter, record in copies:
            if record is None:
                gone += 1
            else:
                take(letter, record.value)
    return gone


async def drop_letters(
    settings: Settings, letters: Letters, *, at: str, until_ms: int | None = None
) -> Dropped:
    """Append to each letter's topic that it was dropped, with its own key and partition.

    ``at`` is RFC 3339; ``until_ms``: only letters of this Kafka time or earlier. Raises SetupError
    where the broker refuses or stops answering; what was written until then stays dropped.
    """
    dropped: Counter[tuple[str, str, str]] = Counter()
    gone = 0
    if not len(letters):
        return Dropped(dropped, gone)
    meant = (one for one in letters if until_ms is None or one.last_ms <= until_ms)
    waiting: list[tuple[Letter, asyncio.Future[Any]]] = []
    async with (
        connect(settings.kafka, _PIECE_BYTES) as reader,
        aclosing(newest_copies(reader, meant)) as copies,
        connect_writer(
            settings.kafka,
            "streams-dead-letters",
            lambda error: (
                f"Dropping stopped after {dropped.total()} of {len(letters)} letters: {error}. "
                "Check what this user may write and whether the brokers are up, then run the "
                "command again: what is dropped stays so."
            ),
            linger_ms=5,
        ) as producer,
    ):
        async for letter, record in copies:
            if record is None:
                gone += 1
                continue
            topic, partition, _ = letter.position
            value = encode_resolution(letter.position, DROPPED, at)
            sent = await producer.send(topic, value, record.key, partition=partition)
            waiting.append((letter, sent))
            if len(waiting) >= _WRITTEN_AT_ONCE:
                await _acknowledged(waiting, dropped)
        await _acknowledged(waiting, dropped)
    return Dropped(dropped, gone)


async def _acknowledged(
    waiting: list[tuple[Letter, asyncio.Future[Any]]],
    dropped: Counter[tuple[str, str, str]],
) -> None:
    """Wait for the broker's word on each; raises the first refusal after all have answered."""
    answers = await asyncio.gather(*(sent for _, sent in waiting), return_exceptions=True)
    failures = []
    for (letter, _), answer in zip(waiting, answers, strict=True):
        if isinstance(answer, BaseException):
            failures.append(answer)
        else:
            dropped[letter.owner, letter.cause.fingerprint, letter.cause.reason] += 1
    waiting.clear()
    if failures:
        raise failures[0]


async def _read(
    reader: LogReader,
    tps: Sequence[TopicPartition],
    since_ms: int | None,
    book: LetterBook,
    found: FoundLetters,
    tell: Tell,
) -> None:
    ends = await reader.ends(tps)
    starts = {
        tp: min(start, ends[tp]) for tp, start in (await reader.starts(tps, since_ms)).items()
    }
    async for tp, records in reader.read(starts, ends, tell):
        for record in records:
            try:
                book.add(tp.partition, record.offset, record.timestamp, record.value)
            except UnreadableLetterError as error:
                where = f"{tp.topic}/{tp.partition}/{record.offset}"
                found.unreadable[tp.topic] += 1
                found.examples.setdefault(tp.topic, f"{where}: {error}")


async def newest_copies(
    reader: LogReader, letters: Iterable[L]
) -> AsyncGenerator[tuple[L, ConsumerRecord | None], None]:
    """Yield each letter with the record of its newest copy; None where retention has deleted it.

    A few thousand are looked for at a time, these by topic, partition and offset.
    """
    left = iter(letters)
    while some := list(islice(left, _READ_AT_ONCE)):
        async for found in _some_copies(reader, some):
            yield found


async def _some_copies(
    reader: LogReader, letters: Sequence[L]
) -> AsyncGenerator[tuple[L, ConsumerRecord | None], None]:
    wanted: dict[TopicPartition, dict[int, L]] = {}
    for letter in sorted(letters, key=lambda letter: letter.position):
        topic, partition, offset = letter.position
        wanted.setdefault(TopicPartition(topic, partition), {})[offset] = letter
    for tp, by_offset in wanted.items():
        # One partition at a time, so that the order is always the same.
        async for _, records in reader.read({tp: min(by_offset)}, {tp: max(by_offset) + 1}):
            for record in records:
                if record.offset in by_offset:
                    yield by_offset.pop(record.offset), record
        for letter in by_offset.values():
            yield letter, None
