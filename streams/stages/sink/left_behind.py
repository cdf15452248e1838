"""What the last owner of a partition left: read from its commit and from the receipts."""

import logging
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from faust.types import TP

from streams.core.receipts import (
    LIVE,
    REDELIVERY,
    ReceiptsOfSinks,
    decode_receipt,
    is_of_a_sink,
)
from streams.core.topics import Topics
from streams.delivery.progress import Metadata, Recalled, read_metadata
from streams.engine.positions import StartPosition
from streams.kafka.reader import connect_ranges, read_at_start
from streams.kafka.topic_search import FoundRecord

log = logging.getLogger("streams.sink")


class LeftBehind(NamedTuple):
    """What is known of one lane of a partition at its start."""

    metadata: Metadata
    recalled: Mapping[int, Recalled]
    """Receipts of positions from the committed offset on."""
    receipts_end: int
    """Receipts below this offset are known."""
    open_below: int
    """A request may have been left without a response about positions below this; 0: none."""


async def find_left_behind(
    positions: Mapping[TP, StartPosition],
    vendor: str,
    topics: Topics,
    client_options: Mapping[str, Any],
) -> dict[TP, LeftBehind]:
    """Return what was settled above each committed offset, and what was left open."""
    redelivery, receipts = topics.redelivery(vendor), topics.receipts(vendor)
    metadata = {tp: _read(tp, start.metadata) for tp, start in positions.items()}
    starts: dict[TP, int] = {}
    for tp, start in positions.items():
        is_new = tp.topic == redelivery and not start.metadata
        # An upgrade must not read all receipts for a lane that had no owner before.
        first = sys.maxsize if is_new else metadata[tp].receipts
        of_receipts = TP(receipts, tp.partition)
        starts[of_receipts] = min(first, starts.get(of_receipts, first))
    async with connect_ranges(client_options) as reader:
        ends = await reader.ends(starts)
        recalled: dict[TP, dict[int, Recalled]] = {tp: {} for tp in positions}
        lanes = {LIVE: topics.events(vendor), REDELIVERY: redelivery}
        tell = read_at_start.counted()
        async for records in reader.search(starts, ends, ReceiptsOfSinks(), tell, _is_ours):
            for record in records:
                _recall(record, lanes, positions, recalled)
    found = {}
    for tp, start in positions.items():
        known, end = metadata[tp], ends[TP(receipts, tp.partition)]
        if tp.topic == redelivery and not start.metadata:
            known = Metadata(receipts=end)
        # Without metadata the partition had no owner that could have left something open.
        open_below = 0 if known.clean or not start.metadata else start.log_end
        found[tp] = LeftBehind(known, recalled[tp], end, open_below)
    return found


def _recall(
    record: FoundRecord,
    lanes: Mapping[str, str],
    positions: Mapping[TP, StartPosition],
    recalled: Mapping[TP, dict[int, Recalled]],
) -> None:
    try:
        receipt = decode_receipt(record.value or b"")
    except ValueError:
        return  # not a receipt of ours: its event, if any, is sent again
    tp, position = TP(lanes.get(receipt.lane, ""), record.tp.partition), receipt.position
    start = positions.get(tp)
    if start is not None and position is not None and position >= start.committed:
        recalled[tp][position] = Recalled(receipt.source, record.timestamp, record.offset)


def _read(tp: TP, metadata: str) -> Metadata:
    try:
        return read_metadata(metadata)
    except ValueError as error:
        log.warning("%s partition %d: %s; all receipts are read instead", *tp, error)
        return Metadata()


def _is_ours(record: FoundRecord) -> bool:
    """Return whether a receipt may be a sink's; sinks do not use transactions."""
    value = record.value
    return value is not None and not record.is_transactional and is_of_a_sink(value)
