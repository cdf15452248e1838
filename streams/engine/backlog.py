"""What a consumer still has to do: for status pages, never for decisions."""

from faust.types import TP

from streams.engine.consumer import Consumer
from streams.engine.offset_tracker import OpenRecord


def oldest_by_partition(consumer: Consumer) -> dict[TP, OpenRecord]:
    """Return, by source partition, the oldest record that was read and is not settled."""
    oldest = {}
    for tp, tracker in consumer.offset_trackers.items():
        stash = consumer.stash.get(tp)
        if (record := tracker.oldest_open()) is not None:
            oldest[tp] = record
        elif stash is not None and (waiting := stash.first) is not None:
            oldest[tp] = OpenRecord(waiting.offset, waiting.timestamp, waiting.value)
    return oldest


def oldest_open(consumer: Consumer) -> dict[str, OpenRecord]:
    """Return, by topic, the oldest record that was read and is not settled."""
    oldest: dict[str, OpenRecord] = {}
    for tp, record in oldest_by_partition(consumer).items():
        known = oldest.get(tp.topic)
        if known is None or record.timestamp < known.timestamp:
            oldest[tp.topic] = record
    return oldest


def lag(consumer: Consumer) -> dict[TP, int]:
    """Return the lag of each source partition, in offsets."""
    found = {}
    assigned = consumer.assignment()
    for tp in consumer.offset_trackers:
        if tp not in assigned:
            continue
        # The end known from fetches is outdated if nothing is fetched: a vendor is down.
        known = [
            at for at in (consumer.highwater(tp), consumer.known_ends.get(tp)) if at is not None
        ]
        end = max(known, default=None)
        settled = consumer.committable(tp)
        if settled is None:
            settled = consumer.last_commit(tp)
        if end is not None and settled is not None:
            found[tp] = max(0, end - settled)
    return found
