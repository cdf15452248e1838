"""What a consumer has before it: for status pages, never for decisions."""

from faust.types import TP

from streams.engine.consumer import Consumer


def oldest_unsettled_ms(consumer: Consumer) -> int | None:
    """Return the Kafka time of the oldest record that was read and is not settled."""
    oldest: int | None = None
    for tp, ledger in consumer.ledgers.items():
        record = ledger.oldest_open() or next(iter(consumer._stash.get(tp, ())), None)
        if record is not None and (oldest is None or record.timestamp < oldest):
            oldest = record.timestamp
    return oldest


def lag(consumer: Consumer) -> dict[TP, int]:
    """Return, by source partition, how many offsets lie above what is settled."""
    found = {}
    assigned = consumer.assignment()
    for tp, ledger in consumer.ledgers.items():
        if tp not in assigned:
            continue
        end = consumer.highwater(tp)
        settled = ledger.committable()
        if settled is None:
            settled = consumer.settled_at_start(tp)
        if end is not None and settled is not None:
            found[tp] = max(0, end - settled)
    return found
