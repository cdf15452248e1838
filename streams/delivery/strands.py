"""All strands of one vendor in one worker, and the visitors who wait apart from the others. Pure.

A visitor is *isolated* while an event of theirs keeps failing: then a strand of their own holds
their events, and the strand from which they came goes on without them. Of a request over several
visitors nobody knows whose event it is, so both halves of its visitors are isolated, each half
that fails is halved again, and those who are innocent are through after one request or a few.
Once an isolated strand is empty, its visitors' next events go with the others again.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from itertools import chain

from streams.core.batching import Batcher, MicroBatch
from streams.delivery.strand import Item, Strand, strand_number

ISOLATED_UNPROVEN = 8
"""So often a partition's failing requests make way without anything being accepted: where nobody
else could be tried, all would wait for the vendor's word about one. Where it is down, no more than
so many do it in vain."""


class Strands:
    """The strands of all partitions of a worker."""

    def __init__(self, new_batcher: Callable[[], Batcher[Item]], per_partition: int) -> None:
        """``per_partition``: strands of one partition and lane, isolated ones left out."""
        self._new_batcher = new_batcher
        self._per_partition = per_partition
        self._shared: dict[int, dict[tuple[bool, int], Strand]] = {}
        """By partition, then by whether it is of redeliveries and by number."""
        self._isolated: dict[int, dict[tuple[bool, str], Strand]] = {}
        """By partition, then by whether it is of redeliveries and by visitor."""
        self._unproven: Counter[int] = Counter()
        """By partition: requests that made way since an event was accepted."""

    def __iter__(self) -> Iterator[Strand]:
        return chain.from_iterable(map(self.of_partition, [*self._shared]))

    @property
    def partitions(self) -> AbstractSet[int]:
        """Those of which anything came, and that are not left."""
        return self._shared.keys()

    def of_partition(self, partition: int) -> list[Strand]:
        """Return a partition's strands, each once."""
        isolated = dict.fromkeys(self._isolated.get(partition, {}).values())
        return [*self._shared.get(partition, {}).values(), *isolated]

    def strand_of(self, item: Item) -> tuple[Strand, bool]:
        """Return the strand in which an event has to wait, and whether it is a new one."""
        partition, is_redelivery = item.partition, item.run_id is not None
        isolated = self._isolated.get(partition)
        if isolated and (strand := isolated.get((is_redelivery, item.ordering_key))) is not None:
            return strand, False
        strands = self._shared.setdefault(partition, {})
        number = is_redelivery, strand_number(item.ordering_key, self._per_partition)
        if (strand := strands.get(number)) is not None:
            return strand, False
        strand = strands[number] = Strand(
            partition, self._new_batcher(), is_redelivery=is_redelivery
        )
        return strand, True

    def leave(self, partition: int) -> list[Strand]:
        """Forget a partition; return its strands, which are closed."""
        strands = self.of_partition(partition)
        for strand in strands:
            strand.closed = True
        self._shared.pop(partition, None)
        self._isolated.pop(partition, None)
        return strands

    def isolate(self, strand: Strand, batch: MicroBatch[Item], *, proven: bool) -> list[Strand]:
        """Take a failed request's visitors, in two halves, out of its strand.

        ``proven``: others were accepted meanwhile. Return the new strands, with the visitors'
        waiting events behind those of the request; none where nothing is to be gained by it.
        """
        if strand.closed:
            return []
        visitors = list(dict.fromkeys(item.ordering_key for item in batch.positions))
        isolated = self._isolated.setdefault(strand.partition, {})
        if strand.is_isolated and len(visitors) == 1 and len(strand.visitors) == 1:
            return []
        if not proven:
            if self._unproven[strand.partition] >= ISOLATED_UNPROVEN:
                return []
            self._unproven[strand.partition] += 1
        strand.put_back(batch)
        middle = len(visitors) // 2
        new = []
        for half in (visitors[:middle], visitors[middle:]):
            if half:
                own = self._isolate(strand, frozenset(half))
                isolated.update({(strand.is_redelivery, visitor): own for visitor in half})
                new.append(own)
        strand.visitors -= frozenset(visitors)
        strand.answered()
        return new

    def _isolate(self, strand: Strand, visitors: frozenset[str]) -> Strand:
        own = Strand(
            strand.partition,
            self._new_batcher(),
            is_redelivery=strand.is_redelivery,
            visitors=visitors,
        )
        for item, payload, since in strand.take_out(visitors):
            own.add(item, payload, since)
        return own

    def note_accepted(self) -> None:
        """Note that the vendor takes events: what fails may make way again."""
        self._unproven.clear()

    def release(self, strand: Strand) -> None:
        """Let an isolated strand's visitors go with the others again, once nothing waits in it."""
        if strand.is_isolated and not len(strand) and not strand.under_way:
            isolated = self._isolated.get(strand.partition, {})
            for visitor in strand.visitors:
                if isolated.get((strand.is_redelivery, visitor)) is strand:
                    del isolated[strand.is_redelivery, visitor]
