"""Millions of letters in a few bytes each: what they are about and where they lie. Pure."""

import zlib
from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from itertools import accumulate, chain
from operator import sub
from typing import NamedTuple

BLOCK = 4_096
"""Letters that are packed together."""
_CACHED_BLOCKS = 4
_LOW_BITS = 16
_RARE = 4_096
"""Numbers of one container from which on a bit for each possible one is smaller."""
_CONTAINER_BYTES, _BLOCK_BYTES = 200, 800
"""What Python needs for one, beside its content."""


class NumberSet:
    """A set of whole numbers: a bit each where they lie close together, else two bytes."""

    def __init__(self) -> None:
        self._parts: dict[int, array[int] | bytearray] = {}
        self.nbytes = 0
        """About how much memory it takes."""

    def __contains__(self, number: int) -> bool:
        part = self._parts.get(number >> _LOW_BITS)
        if part is None:
            return False
        low = number & 0xFFFF
        if isinstance(part, bytearray):
            return bool(part[low >> 3] >> (low & 7) & 1)
        place = bisect_left(part, low)
        return place < len(part) and part[place] == low

    def add(self, number: int) -> None:
        """Put a number in that is not there."""
        key, low = number >> _LOW_BITS, number & 0xFFFF
        part = self._parts.get(key)
        if part is None:
            self._parts[key] = array("H", [low])
            self.nbytes += _CONTAINER_BYTES
        elif isinstance(part, bytearray):
            part[low >> 3] |= 1 << (low & 7)
        else:
            part.insert(bisect_left(part, low), low)
            self.nbytes += 2
            if len(part) > _RARE:
                bits = self._parts[key] = bytearray(1 << (_LOW_BITS - 3))
                for each in part:
                    bits[each >> 3] |= 1 << (each & 7)

    def discard(self, number: int) -> None:
        """Take a number out that is there."""
        key, low = number >> _LOW_BITS, number & 0xFFFF
        part = self._parts[key]
        if isinstance(part, bytearray):
            part[low >> 3] &= ~(1 << (low & 7))
            return
        del part[bisect_left(part, low)]
        self.nbytes -= 2
        if not part:
            del self._parts[key]
            self.nbytes -= _CONTAINER_BYTES


class Entry(NamedTuple):
    """One letter of a partition."""

    offset: int
    """Where it lies."""
    number: int
    """Which raw record it is about."""
    cause: int
    ms: int
    """Its Kafka time."""


class LetterPlace(NamedTuple):
    """Where an entry is kept."""

    block: int
    slot: int


class _Block:
    """Entries in the order of their offsets, packed once there are ``BLOCK`` of them."""

    __slots__ = ("columns", "current", "first", "highest", "lowest", "packed", "size")

    def __init__(self, first: int) -> None:
        self.first = first
        self.size = 0
        self.lowest, self.highest = 1 << 62, -1
        """Of the numbers in it."""
        self.current = bytearray(BLOCK // 8)
        self.columns: tuple[array[int], ...] | None = tuple(array("q") for _ in range(4))
        self.packed = b""

    def pack(self) -> None:
        assert self.columns is not None
        steps = (array("q", map(sub, c, chain((0,), c))).tobytes() for c in self.columns)
        self.packed = zlib.compress(b"".join(steps), 1)
        self.columns = None

    def unpacked(self) -> tuple["array[int]", ...]:
        if self.columns is not None:
            return self.columns
        flat = array("q", zlib.decompress(self.packed))
        return tuple(
            array("q", accumulate(flat[n * self.size : (n + 1) * self.size])) for n in range(4)
        )


class Entries:
    """The letters of one partition, in the order of their offsets.

    An entry is current while it is the newest copy of an open letter.
    """

    def __init__(self) -> None:
        self._blocks: list[_Block] = []
        self._firsts: list[int] = []
        self._cache: OrderedDict[int, tuple[array[int], ...]] = OrderedDict()
        self.nbytes = 0
        """About how much memory it takes."""

    def append(self, entry: Entry) -> None:
        """Put a living entry behind all others."""
        if not self._blocks or self._blocks[-1].size == BLOCK:
            self._blocks.append(_Block(entry.offset))
            self._firsts.append(entry.offset)
            self.nbytes += _BLOCK_BYTES + 4 * 8 * BLOCK
        block = self._blocks[-1]
        assert block.columns is not None
        for column, value in zip(block.columns, entry, strict=True):
            column.append(value)
        block.current[block.size >> 3] |= 1 << (block.size & 7)
        block.size += 1
        block.lowest = min(block.lowest, entry.number)
        block.highest = max(block.highest, entry.number)
        if block.size == BLOCK:
            block.pack()
            self.nbytes += len(block.packed) - 4 * 8 * BLOCK

    def at(self, offset: int) -> LetterPlace | None:
        """Return where the entry of this offset is kept."""
        number = bisect_right(self._firsts, offset) - 1
        if number < 0:
            return None
        offsets = self._columns(number)[0]
        index = bisect_left(offsets, offset)
        found = index < len(offsets) and offsets[index] == offset
        return LetterPlace(number, index) if found else None

    def newest_current(self, number: int) -> LetterPlace | None:
        """Return where the living entry about this raw record is kept; the newest blocks first."""
        for at in range(len(self._blocks) - 1, -1, -1):
            block = self._blocks[at]
            if not block.lowest <= number <= block.highest:
                continue
            numbers, index = self._columns(at)[1], -1
            while True:
                try:
                    index = numbers.index(number, index + 1)
                except ValueError:
                    break
                if block.current[index >> 3] >> (index & 7) & 1:
                    return LetterPlace(at, index)
        return None

    def entry(self, place: LetterPlace) -> Entry:
        """Return what is kept there."""
        return Entry(*(column[place.slot] for column in self._columns(place.block)))

    def is_current(self, place: LetterPlace) -> bool:
        """Return whether it is the newest copy of an open letter."""
        return bool(self._blocks[place.block].current[place.slot >> 3] >> (place.slot & 7) & 1)

    def retire(self, place: LetterPlace) -> None:
        """Let it be current no longer."""
        self._blocks[place.block].current[place.slot >> 3] &= ~(1 << (place.slot & 7))

    def current(self) -> Iterator[Entry]:
        """Yield what is current, in the order of the offsets."""
        for at, block in enumerate(self._blocks):
            if any(block.current):
                current = block.current
                for index, entry in enumerate(zip(*self._columns(at), strict=True)):
                    if current[index >> 3] >> (index & 7) & 1:
                        yield Entry(*entry)

    def _columns(self, at: int) -> tuple["array[int]", ...]:
        block = self._blocks[at]
        if block.columns is not None:
            return block.columns
        found = self._cache.pop(at, None)
        if found is None:
            found = block.unpacked()
            if len(self._cache) >= _CACHED_BLOCKS:
                self._cache.popitem(last=False)
        self._cache[at] = found
        return found
