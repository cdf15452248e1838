"""Duplicates: the same visitor and event id again, at another place of the same raw topic.

A producer that gets no response writes its record again. What was passed on is remembered for a
while, by source partition. Identities are kept whole up to 80 bytes and as 128-bit digests beyond,
so that no event is taken for another one (two of two million digests are equal with a probability
of 6·10⁻²⁷). The place of each is kept, too, so that a record that is read again after a crash is
not its own duplicate.

Pure: times are those of the records.
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b

MAX_IDS = 2_000_000
"""How many ids one worker remembers at most, about 200 bytes each."""
MAX_GENERATION_IDS = MAX_IDS // 16
"""A generation is forgotten as a whole, so it must not hold most of the ids."""

_WHOLE_BYTES = 80
_OFFSET_BITS = 48


def identity(visitor: bytes, event_id: str) -> bytes:
    """Return what identifies this visitor (UTF-8, as the record's key) and event id."""
    whole = visitor + b"\xff" + event_id.encode()  # no UTF-8 text has this byte
    if len(whole) <= _WHOLE_BYTES:
        return whole
    return blake2b(whole, digest_size=16).digest()


class _Generation:
    """Identities that are forgotten at the same time."""

    __slots__ = ("newest_ms", "places", "started_ms")

    def __init__(self, started_ms: int) -> None:
        self.started_ms = started_ms
        self.newest_ms = started_ms
        self.places: dict[bytes, int | tuple[int, ...]] = {}
        """Identity → its place as one number; more than one place is rare."""


class PassedOn:
    """What one source partition passed on recently, from which offsets, and to which vendors."""

    def __init__(self, window_ms: int, vendors: Sequence[str]) -> None:
        """Remember for ``window_ms`` of the records' Kafka time, at most for 1.5 times as long."""
        self._window_ms = window_ms
        self._span_ms = max(1, window_ms // 2)
        self._vendors = tuple(vendors)
        self._shift = len(self._vendors)
        self._take([_Generation(0)])

    def __len__(self) -> int:
        """How many ids are remembered; an id in two generations counts twice."""
        return sum(map(len, self._all_places))

    def advance(self, kafka_ms: int, last_ms: int) -> None:
        """Record the times of the next records; forget what is too old for the first of them."""
        newest = self._generations[0]
        if not newest.places:
            newest.started_ms = newest.newest_ms = kafka_ms
        age_ms = kafka_ms - newest.started_ms
        if age_ms >= self._span_ms or len(newest.places) >= MAX_GENERATION_IDS:
            oldest_ms = kafka_ms - self._window_ms
            kept = [each for each in self._generations if each.newest_ms >= oldest_ms]
            newest = _Generation(kafka_ms)
            self._take([newest, *kept])
        newest.newest_ms = max(newest.newest_ms, kafka_ms, last_ms)

    def vendors_of(
        self, who: bytes, offset: int, kafka_ms: int, later_than_ms: int | None
    ) -> Sequence[str]:
        """Return the vendors to which ``who`` was passed on from another offset.

        Only records count whose Kafka time is within the window, and later than ``later_than_ms``
        if that is given.
        """
        for places in self._all_places:
            if who in places:
                return self._find(who, offset, kafka_ms, later_than_ms)
        return ()

    def add(self, who: bytes, offset: int, kafka_ms: int, vendors: int) -> None:
        """Remember that this record is passed on; ``vendors``: their bits, see ``bits``."""
        newest = self._newest
        if who in newest:
            self._merge(newest, who, offset, kafka_ms, vendors)
        else:
            newest[who] = (kafka_ms << _OFFSET_BITS | offset) << self._shift | vendors

    def recall(self, who: bytes, offset: int, kafka_ms: int, vendors: int) -> None:
        """Remember what was passed on before the start, in any order."""
        started_ms = kafka_ms - kafka_ms % self._span_ms
        for generation in self._generations:
            if generation.started_ms == started_ms:
                break
        else:
            generation = _Generation(started_ms)
            self._take(sorted([*self._generations, generation], key=lambda g: -g.started_ms))
        generation.newest_ms = max(generation.newest_ms, kafka_ms)
        self._merge(generation.places, who, offset, kafka_ms, vendors)

    def forget_oldest(self) -> int:
        """Forget the oldest generation; return how many ids it had."""
        *kept, oldest = self._generations
        self._take(kept or [_Generation(oldest.newest_ms)])
        return len(oldest.places)

    @property
    def oldest_ms(self) -> int:
        """The newest Kafka time of the generation that would be forgotten next."""
        return self._generations[-1].newest_ms

    def _take(self, generations: list[_Generation]) -> None:
        """The newest comes first; at most five, or more if there are many ids."""
        self._generations = generations
        self._all_places = [generation.places for generation in generations]
        self._newest = self._all_places[0]

    def _find(
        self, who: bytes, offset: int, kafka_ms: int, later_than_ms: int | None
    ) -> Sequence[str]:
        found = 0
        for places in self._all_places:
            for place, passed_ms, vendors in self._places(places.get(who, ())):
                if (
                    place != offset
                    and abs(kafka_ms - passed_ms) <= self._window_ms
                    and (later_than_ms is None or passed_ms > later_than_ms)
                ):
                    found |= vendors
        return tuple(vendor for bit, vendor in enumerate(self._vendors) if found >> bit & 1)

    def _places(self, packed: int | tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
        """Yield offset, Kafka time and vendors of each place."""
        for number in (packed,) if isinstance(packed, int) else packed:
            rest, vendors = number >> self._shift, number & ~(-1 << self._shift)
            yield rest & ~(-1 << _OFFSET_BITS), rest >> _OFFSET_BITS, vendors

    def _merge(
        self,
        places: dict[bytes, int | tuple[int, ...]],
        who: bytes,
        offset: int,
        kafka_ms: int,
        vendors: int,
    ) -> None:
        numbers = []
        for place, passed_ms, known in self._places(places.get(who, ())):
            if (place, passed_ms) == (offset, kafka_ms):
                vendors |= known
            else:
                numbers.append(self._packed(place, passed_ms, known))
        numbers.append(self._packed(offset, kafka_ms, vendors))
        places[who] = numbers[0] if len(numbers) == 1 else tuple(numbers)

    def _packed(self, offset: int, kafka_ms: int, vendors: int) -> int:
        return (kafka_ms << _OFFSET_BITS | offset) << self._shift | vendors


def bits(vendors: Sequence[str]) -> dict[str, int]:
    """Return each vendor's bit, as ``PassedOn`` of the same vendors uses them."""
    return {vendor: 1 << number for number, vendor in enumerate(vendors)}


def trim(partitions: Iterable[PassedOn], max_ids: int = MAX_IDS) -> int:
    """Forget the oldest until there are at most ``max_ids``; return how many were forgotten."""
    partitions = list(partitions)
    count = before = sum(map(len, partitions))
    while count > max_ids:
        count -= min((p for p in partitions if len(p)), key=lambda p: p.oldest_ms).forget_oldest()
    return before - count
