"""What enrichment's commits say for ``streams audit``: in which raw offsets vendors were on.

And how many records expired: deleted by retention before they were read.
"""

import logging
from collections.abc import Sequence

import msgspec
from faust.types import TP

log = logging.getLogger("streams.enrich")

MAX_RANGES_BYTES = 3_500
"""Below Kafka's 4,096 for a commit's metadata, with room for offsets to grow."""


class OnRanges(msgspec.Struct):
    """Vendor → ranges of raw offsets ``[from, to]``; the last is open while the vendor is on."""

    on: dict[str, list[list[int | None]]] = {}
    expired: dict[str, int] = {}
    """``*`` → records of this partition that expired below the commit; vendor → while it was on."""

    def switch(self, enabled: Sequence[str], offset: int) -> None:
        """Open a range at ``offset`` for each vendor that is on, close it for the others."""
        for vendor in enabled:
            ranges = self.on.setdefault(vendor, [])
            if not ranges or ranges[-1][1] is not None:
                ranges.append([offset, None])
        for vendor, ranges in self.on.items():
            if vendor not in enabled and ranges and ranges[-1][1] is None:
                ranges[-1][1] = offset
            ranges[:] = [range_ for range_ in ranges if range_[0] != range_[1]]
        self._forget_the_oldest()

    def _forget_the_oldest(self) -> None:
        """Keep what fits: a vendor switched so often has its oldest ranges far below retention."""
        while len(msgspec.json.encode(self)) > MAX_RANGES_BYTES:
            longest = max(self.on.values(), key=len)
            del longest[0]


def read_ranges(tp: TP, metadata: str) -> OnRanges:
    """Return what a commit's metadata says; nothing where it is not ours."""
    try:
        return msgspec.json.decode(metadata, type=OnRanges) if metadata else OnRanges()
    except msgspec.DecodeError:
        log.warning(
            "%s partition %d: commit metadata that is not ours: %.80r; in which offsets vendors "
            "were on counts from here",
            *tp,
            metadata,
        )
        return OnRanges()
