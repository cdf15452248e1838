"""Strands that could go and may not yet, by lane, each lane in order. Pure."""

from streams.delivery.lanes import Lane, Turns
from streams.delivery.strand import Strand


class Held:
    """Who waits for a request slot, and who gets the next one."""

    def __init__(self) -> None:
        self._turns = Turns()
        self._strands: dict[Lane, dict[Strand, None]] = {lane: {} for lane in Lane}

    def __bool__(self) -> bool:
        return any(self._strands.values())

    def add(self, strand: Strand) -> None:
        """Take a strand, behind the others of its lane."""
        self._strands[strand.lane][strand] = None

    def lanes(self) -> list[Lane]:
        """Return the lanes in which a strand waits."""
        return [lane for lane, strands in self._strands.items() if strands]

    def take(self, lanes: list[Lane]) -> Strand:
        """Remove and return the strand whose turn it is among these lanes, which are not empty."""
        strands = self._strands[self._turns.next(lanes)]
        strand = next(iter(strands))
        del strands[strand]
        return strand

    def began(self, strand: Strand, lanes: list[Lane]) -> None:
        """Note that a strand that was taken began a request, while these lanes waited."""
        self._turns.took(strand.lane, lanes)
