"""How far one partition of vendor records is settled, and what the next owner must know.

Pure. Two kinds of records are not new events:

- A duplicate: enrichment wrote a raw record's event again after a crash. Raw offsets only grow
  within a raw partition, so a record that is not above the mark is a duplicate. (When a raw topic
  is recreated its offsets start again, but its records are newer than all before them.)
- A settled record: the former owner had already settled it above the commit; its receipt says so.

The next owner knows both from the commit's metadata and from the receipts after it. Marks belong to
the committed position. The newest marks would hide events that are still open.

Redeliveries have a mark for each run and raw topic, so that live events and replays do not
influence each other. A run must therefore write the records of a raw partition in the order of
their raw offsets, as enrichment does.
"""

import sys
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import NamedTuple

import msgspec

from streams.core.json_decoder import json_decoder
from streams.core.kinds import KINDS

MAX_METADATA_BYTES = 4_000
"""Kafka's default ``offset.metadata.max.bytes`` is 4,096."""
MAX_TOPICS = 2 * len(KINDS)
"""Raw topics whose marks are kept: one a kind of event; foreign records may name others."""
MAX_RUN_MARKS = 4 * len(KINDS)
"""Four runs; runs follow each other, and the mark that was moved longest ago is dropped."""
MAX_RUN_MARK_CHARS = 2_200
"""Of their names together: the metadata must have room for them."""
MAX_TOPIC_CHARS = 249
MAX_PLACES = 64
"""Raw partitions whose text form is cached; foreign records may name any."""
MAX_OFFSET_DIGITS = 18
CLOCK_SKEW_MS = 5 * 60 * 1000
"""Receipts and vendor records get their Kafka time from the clocks of two hosts."""
OTHER_BYTES = 80
"""Of these at most, for names, brackets and the offset of the receipts."""
BITMAP_BYTES = 30
"""Of these at most, for a bitmap's name, brackets and first position."""


class Admission(Enum):
    """What a vendor record is to the sink that reads it."""

    NEW = "new"
    REPEAT = "repeat"
    """Enrichment wrote this event before: its outcome belongs to the earlier record."""
    SETTLED = "settled"
    """A former owner settled this record."""
    AWAITED = "awaited"
    """This process is still writing its outcome: it is settled afterwards."""


class Recalled(NamedTuple):
    """A receipt of this lane that was read at the start."""

    source: str
    at_ms: int
    """The receipt's Kafka time."""
    offset: int = 0
    """The receipt's own offset; 0: not known, so all receipts are read again."""


class Metadata(
    msgspec.Struct,
    omit_defaults=True,
    rename={
        "marks": "m",
        "settled": "s",
        "bitmap": "b",
        "receipts": "r",
        "clean": "c",
        "unclear": "u",
        "expired": "x",
        "expired_gaps": "g",
    },
):
    """What is stored with a commit."""

    marks: dict[str, tuple[int, int]] = {}
    """Raw topic → its mark below the committed position: highest raw offset, newest Kafka time.

    In the lane of redeliveries: run id, a space, and the raw topic.
    """
    settled: list[int] = []
    """Settled positions above the commit as (distance from the last end, length) pairs.

    The first distance is from 0: what retention deletes below them must not move them.
    """
    bitmap: tuple[int, bytes] | None = None
    """Settled positions above the commit where they are too scattered for pairs: the position of
    the first bit, and the bits, lowest first in each byte.
    """
    clean: bool = False
    """The owner left no request without a response."""
    unclear: list[int] = []
    """Of a clean owner: open positions that the vendor may have stored, sorted."""
    receipts: int = 0
    """Receipts from this offset on may be about positions that are not listed above."""
    expired: int = 0
    """Positions below the commit that retention deleted before they were read or settled."""
    expired_gaps: list[tuple[int, int, int]] = []
    """The places of the newest ones: [first, end, how many of these positions expired]."""

    def listed(self) -> set[int]:
        """Return the settled positions above the commit."""
        positions = set(_expand(self.settled))
        if self.bitmap is not None:
            positions.update(_set_bits(*self.bitmap))
        return positions


_decode_metadata = json_decoder(Metadata)


def read_metadata(text: str) -> Metadata:
    """Return a commit's metadata; the defaults if it is empty.

    Raises ValueError if it was not written by a sink.
    """
    if not text:
        return Metadata()
    try:
        return _decode_metadata(text)
    except msgspec.DecodeError as error:
        raise ValueError(f"commit metadata that is not ours: {text[:80]!r}") from error


_NO_MARK = (-1, -1)
_NO_RECEIPT = sys.maxsize
"""For positions that the next owner settles by itself: duplicates, and stopped runs."""
_ANY_RECEIPT = 0
"""For positions that a former owner listed: the offset of the receipt is not known."""


class PartitionProgress:
    """One partition's positions in log order, from its committed offset on."""

    def __init__(
        self,
        start: int,
        metadata: Metadata,
        recalled: Mapping[int, Recalled],
        receipts_end: int,
        *,
        of_runs: bool = False,
    ) -> None:
        """Continue from the last commit; all receipts below ``receipts_end`` are known.

        ``of_runs``: the lane of redeliveries, with marks by run.
        """
        self._of_runs = of_runs
        self._topics: dict[str, str] = {}
        """Raw topic by the text form of its partition; a cache."""
        self._marks_below = dict(metadata.marks)
        self._marks_ahead = dict(metadata.marks)
        self._listed = metadata.listed()
        """Not yet read again."""
        self._recalled = dict(recalled)
        """Not yet read again."""
        self._receipts_next = receipts_end
        self._order: deque[tuple[int, str, tuple[int, int] | None]] = deque()
        """Position, raw topic and its new mark; None: the mark does not change."""
        self._settled: dict[int, int] = {}
        """By position: the offset from which receipts would have to be read to find its receipt."""
        self._awaited: set[int] = set()
        self._next = start

    def await_outcome(self, position: int) -> None:
        """Record that this process is still writing the outcome of a position."""
        self._awaited.add(position)

    def admit(
        self, position: int, source: str, written_ms: int, raw_ms: int, run: str = ""
    ) -> Admission:
        """Admit the next record of the log.

        ``written_ms``, its Kafka time, tells its own receipt from an older one. ``raw_ms``, the raw
        record's Kafka time, tells a duplicate from the first records of a recreated raw topic.
        ``run`` is the run id of a redelivery.
        Raises ValueError, and admits nothing, if ``source`` is malformed.
        """
        place, _, offset_text = source.rpartition("/")
        topic = self._topics.get(place) or self._topic_of(place)
        if len(offset_text) > MAX_OFFSET_DIGITS:
            raise ValueError(f"no place of a record: {source[:100]!r}")
        marks = self._marks_ahead
        if self._of_runs:
            topic = f"{run} {topic}"
        elif topic not in marks and len(marks) >= MAX_TOPICS:
            raise ValueError(f"no raw topic: {topic[:100]!r}")
        offset = int(offset_text)
        self._next = position + 1
        known = self._recalled.pop(position, None)
        is_listed = position in self._listed
        self._listed.discard(position)
        highest, newest_ms = marks.get(topic, _NO_MARK)
        if offset <= highest and raw_ms <= newest_ms:
            self._order.append((position, topic, None))
            self._settled[position] = _NO_RECEIPT
            return Admission.REPEAT
        mark = (offset, max(newest_ms, raw_ms))
        if self._of_runs:
            _move_last(marks, topic, mark)
        else:
            marks[topic] = mark
        self._order.append((position, topic, mark))
        if known is not None and (
            known.source == source and known.at_ms >= written_ms - CLOCK_SKEW_MS
        ):
            self._settled[position] = known.offset
            return Admission.SETTLED
        if is_listed:
            self._settled[position] = _ANY_RECEIPT
            return Admission.SETTLED
        if position in self._awaited:
            return Admission.AWAITED
        return Admission.NEW

    def _topic_of(self, place: str) -> str:
        """Return the raw topic of a partition's text form, and cache it.

        Raises ValueError if it is malformed.
        """
        topic, _, partition = place.rpartition("/")
        if not partition.isdecimal() or not 0 < len(topic) <= MAX_TOPIC_CHARS:
            raise ValueError(f"no place of a record: {place[:100]!r}")
        if len(self._topics) >= MAX_PLACES:
            self._topics.clear()
        self._topics[place] = topic
        return topic

    def admit_foreign(self, position: int) -> None:
        """Admit the next record of the log, which is not a vendor record and has no source."""
        self._next = position + 1
        self._recalled.pop(position, None)
        self._listed.discard(position)
        self._order.append((position, "", None))

    def settle(self, position: int, receipt: int) -> None:
        """Record that a position is settled, with the offset of its receipt."""
        self._settled[position] = receipt
        self._receipts_next = max(self._receipts_next, receipt + 1)

    def pass_over(self, position: int) -> None:
        """Settle a position without an outcome or a receipt."""
        self._settled[position] = _NO_RECEIPT

    def forget_run(self, run: str) -> None:
        """Forget a stopped run's marks, so that its events may be written again."""
        prefix = f"{run} "
        for marks in (self._marks_below, self._marks_ahead):
            for topic in [topic for topic in marks if topic.startswith(prefix)]:
                del marks[topic]
        self._order = deque(
            (position, topic, None if topic.startswith(prefix) else mark)
            for position, topic, mark in self._order
        )

    def record_receipts_end(self, end: int) -> None:
        """Record that all receipts of this lane below this offset are settled here."""
        self._receipts_next = max(self._receipts_next, end)

    @property
    def receipts_end(self) -> int:
        """The offset below which all receipts are known."""
        return self._receipts_next

    def safe_below(self) -> int:
        """Return the offset below which everything is settled."""
        order, settled = self._order, self._settled
        while order and order[0][0] in settled:
            position, topic, mark = order.popleft()
            del settled[position]
            if mark is not None:
                if self._of_runs:
                    _move_last(self._marks_below, topic, mark)
                else:
                    self._marks_below[topic] = mark
        return self._order[0][0] if self._order else self._next

    def forget_deleted(self, first: int, end: int) -> int:
        """Record that Kafka deleted the positions from ``first`` to ``end`` - 1 unread.

        Return how many of them were not settled before.
        """
        known = self._listed | self._recalled.keys()
        settled = {position for position in known if first <= position < end}
        self._listed -= settled
        for position in settled:
            self._recalled.pop(position, None)
        return end - first - len(settled)

    def metadata(
        self,
        *,
        unclear: Sequence[int] | None = None,
        expired: int = 0,
        expired_gaps: Sequence[tuple[int, int, int]] = (),
    ) -> str:
        """Return the metadata for a commit of ``safe_below()``.

        ``unclear``: open positions that the vendor may have stored although every request has a
        response; None: a request has none. The expired records are passed on.
        """
        self.safe_below()
        # Positions that a former owner listed and that are not yet read again are passed on.
        self._listed = {position for position in self._listed if position >= self._next}
        ahead = sorted([*self._settled, *self._listed])
        asked = sorted(unclear or ())
        carried = len(msgspec.json.encode([self._marks_below, expired_gaps, asked]))
        room = MAX_METADATA_BYTES - carried - OTHER_BYTES
        bitmap = None
        pairs, listed = _compress(ahead, room)
        if listed < len(ahead):
            pairs = []
            bitmap, listed = _bitmap(ahead, room - BITMAP_BYTES)
        # A receipt that was read counts only for its own record, which is still to come.
        needed = [known.offset for at, known in self._recalled.items() if at >= self._next]
        needed += [self._settled.get(position, _ANY_RECEIPT) for position in ahead[listed:]]
        receipts = min([self._receipts_next, *needed])
        known = Metadata(
            marks=self._marks_below,
            settled=pairs,
            bitmap=bitmap,
            clean=unclear is not None,
            unclear=asked,
            receipts=receipts,
            expired=expired,
            expired_gaps=list(expired_gaps),
        )
        return msgspec.json.encode(known).decode()

    @property
    def read_below(self) -> int:
        """The offset below which everything was read."""
        return self._next

    @property
    def settled_ahead(self) -> int:
        """How many records above ``safe_below()`` are settled."""
        return len(self._settled)


def _move_last(marks: dict[str, tuple[int, int]], topic: str, mark: tuple[int, int]) -> None:
    """Set a run's mark; keep only the marks that moved last."""
    marks.pop(topic, None)
    marks[topic] = mark
    while len(marks) > MAX_RUN_MARKS or sum(map(len, marks)) > MAX_RUN_MARK_CHARS:
        del marks[next(iter(marks))]


def _expand(pairs: Iterable[int]) -> Iterable[int]:
    numbers = iter(pairs)
    at = 0
    for distance in numbers:
        length = next(numbers)
        at += distance
        yield from range(at, at + length)
        at += length


def _compress(positions: list[int], max_chars: int) -> tuple[list[int], int]:
    """Return pairs for as many of the sorted positions as fit, and how many these are."""
    pairs: list[int] = []
    at, chars, listed = 0, 0, 0
    index = 0
    while index < len(positions):
        first = last = positions[index]
        index += 1
        while index < len(positions) and positions[index] == last + 1:
            last += 1
            index += 1
        distance, length = first - at, last - first + 1
        chars += len(str(distance)) + len(str(length)) + 2
        if chars > max_chars:
            break
        pairs += [distance, length]
        at = last + 1
        listed = index
    return pairs, listed


def _bitmap(positions: Sequence[int], max_chars: int) -> tuple[tuple[int, bytes], int]:
    """Return a bitmap of as many of the sorted positions as fit, and how many these are."""
    first = positions[0]
    end = min(positions[-1] + 1, first + max_chars // 4 * 3 * 8)  # JSON has it in Base64
    bits = bytearray((end - first + 7) // 8)
    listed = 0
    for position in positions:
        if position >= end:
            break
        bits[(position - first) >> 3] |= 1 << ((position - first) & 7)
        listed += 1
    return (first, bytes(bits)), listed


def _set_bits(first: int, bits: bytes) -> Iterable[int]:
    for at, byte in enumerate(bits):
        for bit in range(8):
            if byte >> bit & 1:
                yield first + 8 * at + bit
