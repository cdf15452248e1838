"""Which of the dead letters that workers counted lately are still open, from the topics' tails.

Workers count letters as they are written; that one was resent or dropped is only on its topic.
"""

import logging
from collections.abc import Callable, Collection
from contextlib import aclosing, suppress

from aiokafka import TopicPartition

from streams.core.errors import SetupError
from streams.core.topics import Topics
from streams.dead_letters.book import LetterBook, Selection, UnreadableLetterError
from streams.dead_letters.dead_letters import topic_of
from streams.kafka.reader import LogReader, Offsets, connect
from streams.settings import Settings
from streams.status.judge import LATELY_SECONDS, stages_with_letters
from streams.status.known import Known, OpenLetters

log = logging.getLogger("streams.status")

READ_SECONDS = 5.0
"""How often the topics are read at most."""
MAX_RECORDS, MAX_BYTES = 2_000, 1024 * 1024
"""Of all topics together, at each reading."""


class NewLetters:
    """Keeps how many new letters are open; nothing is read while workers count none."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._read_at = float("-inf")
        self.open: OpenLetters = {}
        """By stage and reason; what was not read to its end is left out."""

    async def refresh(self, known: Known) -> None:
        """Read again where that is due; nothing is known where the brokers do not answer."""
        stages = stages_with_letters(known)
        if not stages:
            self.open = {}
            return
        now = self._clock()
        if now - self._read_at < READ_SECONDS:
            return
        self._read_at = now
        since_ms = known.now_ms - LATELY_SECONDS * 1000
        try:
            async with connect(self._settings.kafka, MAX_BYTES // 4) as reader:
                self.open = await open_since(reader, self._settings.topics, stages, since_ms)
        except SetupError as error:
            self.open = {}
            log.debug("the dead letters could not be read: %s", error)


async def open_since(
    reader: LogReader, topics: Topics, stages: Collection[str], since_ms: int
) -> dict[str, dict[str, int]]:
    """Return by stage and reason how many letters of this Kafka time or later are open.

    A stage is left out where its topic is missing or lies beyond ``MAX_RECORDS`` or ``MAX_BYTES``.
    Raises SetupError where the brokers stop answering.
    """
    names = {stage: topic_of(stage, topics) for stage in stages}
    partitions = await reader.partitions(names.values())
    tps = [tp for topic in names.values() for tp in partitions[topic]]
    starts, ends = await reader.starts(tps, since_ms), await reader.ends(tps)
    starts = {tp: min(start, ends[tp]) for tp, start in starts.items()}
    sizes = {
        stage: sum(ends[tp] - starts[tp] for tp in partitions[topic])
        for stage, topic in names.items()
        if partitions[topic]
    }
    found: dict[str, dict[str, int]] = {}
    records, room = 0, MAX_BYTES
    # The smallest first, so that one vendor's flood hides no other's.
    for stage in sorted(sizes, key=lambda stage: sizes[stage]):
        records += sizes[stage]
        if records > MAX_RECORDS:
            break
        book = LetterBook(stage, names[stage], topics, Selection(since_ms=since_ms))
        own = partitions[names[stage]]
        room = await _read(reader, own, starts, ends, book, room)
        if room < 0:
            break
        found[stage] = {}
        for group in book.groups():
            reason = group.cause.reason
            found[stage][reason] = found[stage].get(reason, 0) + group.open
    return found


async def _read(
    reader: LogReader,
    tps: Collection[TopicPartition],
    starts: Offsets,
    ends: Offsets,
    book: LetterBook,
    room: int,
) -> int:
    """Enter these partitions' records; return how many bytes may still be read, < 0: too many."""
    some = {tp: starts[tp] for tp in tps}
    async with aclosing(reader.read(some, {tp: ends[tp] for tp in tps})) as batches:
        async for tp, batch in batches:
            for record in batch:
                room -= len(record.value or b"")
                if room < 0:
                    return room
                # What is no letter is no open one: `streams dead-letters list` names it.
                with suppress(UnreadableLetterError):
                    book.add(tp.partition, record.offset, record.timestamp, record.value)
    return room
