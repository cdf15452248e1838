"""The metadata of enrichment's commits, for ``streams audit``.

They say in which raw offsets each vendor was on, and how many records expired: deleted by retention
before they were read.
"""

import logging
from collections.abc import Sequence

import msgspec
from faust.types import TP

from streams.core.json_decoder import json_decoder

log = logging.getLogger("streams.enrich")

MAX_RANGES_BYTES = 3_500
"""Below Kafka's 4,096 for a commit's metadata, with room for offsets to grow."""


class EnabledRanges(msgspec.Struct):
    """Vendor → ranges of raw offsets ``[from, to]``; the last is open while the vendor is on."""

    on: dict[str, list[list[int | None]]] = {}
    expired: dict[str, int] = {}
    """Expired records of this partition below the commit: ``*`` → all; vendor → while it was on."""
    since: int | None = None
    """Below this raw offset it is not known which vendors were on; None: not switched yet."""

    def switch(self, enabled: Sequence[str], offset: int, log_start: int = 0) -> None:
        """Open a range at ``offset`` for each vendor that is on, and close those of the others.

        Ranges that end at or below ``log_start`` are forgotten, because their records are deleted.
        """
        if self.since is None:
            self.since = offset
        for vendor in enabled:
            ranges = self.on.setdefault(vendor, [])
            if not ranges or ranges[-1][1] is not None:
                ranges.append([offset, None])
        for vendor, ranges in self.on.items():
            if vendor not in enabled and ranges and ranges[-1][1] is None:
                ranges[-1][1] = offset
            ranges[:] = [range_ for range_ in ranges if range_[0] != range_[1]]
        self._forget_below(log_start)
        self._forget_what_does_not_fit()

    def _forget_below(self, offset: int) -> None:
        for ranges in self.on.values():
            ranges[:] = [range_ for range_ in ranges if range_[1] is None or range_[1] > offset]

    def _forget_what_does_not_fit(self) -> None:
        """Forget the oldest ranges of the vendor with the most, and set ``since`` to their end."""
        while len(msgspec.json.encode(self)) > MAX_RANGES_BYTES:
            end = max(self.on.values(), key=len)[0][1]
            if end is None:
                return  # one open range a vendor, which always fits
            self.since = max(self.since or 0, end)
            self._forget_below(end)


_decode = json_decoder(EnabledRanges)


def read_ranges(tp: TP, metadata: str) -> EnabledRanges:
    """Return the ranges in a commit's metadata; none if it is not enrichment's."""
    if not metadata:
        return EnabledRanges()
    try:
        known: EnabledRanges = _decode(metadata)
    except msgspec.DecodeError:
        log.warning(
            "%s partition %d: commit metadata that is not ours: %.80r; which vendors were on "
            "before this offset is not known",
            *tp,
            metadata,
        )
        return EnabledRanges()
    if known.since is None and known.on:
        known.since = 0  # written before there was such a mark
    return known
