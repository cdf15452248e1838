"""The sample as records on topics."""

from collections import Counter

from streams.core.topics import Topics
from streams.lab.demo.records import event_records, table_records
from streams.lab.demo.sample import load_sample

SAMPLE = load_sample(1_795_000_000_000)
TOPICS = Topics("demo.")


def test_tables_hold_every_row_once() -> None:
    """Sixteen visitors with a row, and the listed products."""
    records = list(table_records(SAMPLE, TOPICS))
    counts = Counter(record.topic for record in records)
    assert counts == {
        "demo.shop.users": len(SAMPLE.users),
        "demo.shop.products": len(SAMPLE.products),
    }
    assert len({(record.topic, record.key) for record in records}) == len(records)


def test_events_hold_every_event_and_every_broken_record_once() -> None:
    """852 events in order, and the broken ones between them rather than at an end."""
    records = list(event_records(SAMPLE, TOPICS))
    assert len(records) == 852 + len(SAMPLE.broken)
    broken = [(one.key, one.value) for one in SAMPLE.broken]
    places = [n for n, (_, key, value) in enumerate(records) if (key, value) in broken]
    assert [records[n][1:] for n in places] == broken
    assert places[0] > 50
    assert places[-1] < 852
