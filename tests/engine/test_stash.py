"""Fetched records wait in order, and leave within both limits."""

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streams.engine.stash import Stash, record_size

records = st.builds(
    SimpleNamespace,
    key=st.none() | st.binary(max_size=5),
    value=st.none() | st.binary(max_size=300),
    headers=st.lists(st.tuples(st.text(max_size=3), st.none() | st.binary(max_size=9))),
)


@given(st.lists(st.lists(records)), st.integers(1, 5), st.integers(0, 1_000))
def test_every_record_leaves_once_in_order_and_within_the_limits(
    fetches: list[list[Any]], most_records: int, most_bytes: int
) -> None:
    """At least one leaves each time; the size is always that of those that wait."""
    stash, waiting = Stash(), []
    for fetched in [*fetches, *[[]] * sum(map(len, fetches))]:
        stash.extend(fetched)
        waiting += fetched
        assert (len(stash), stash.size) == (len(waiting), sum(map(record_size, waiting)))
        if not stash:
            continue
        batch = stash.pop(most_records, most_bytes)
        count, sizes = len(batch.records), [record_size(record) for record in batch.records]
        assert batch.records == waiting[:count]
        assert 1 <= count <= most_records
        assert count == 1 or sum(sizes) <= most_bytes
        assert (batch.size, batch.largest) == (sum(sizes), max(sizes))
        del waiting[:count]
    assert not waiting
