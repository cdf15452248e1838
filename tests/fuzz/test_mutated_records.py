"""No mutated record stalls a stage, and none escapes; ``python -m tests.fuzz`` reads a million.

Here the bound is five times as wide: the suite's machine may be busy. What stalls takes seconds.
"""

from collections import Counter

import pytest

from tests.fuzz.mutations import LONG_EVERY, mutated
from tests.fuzz.readers import MAX_CPU_SECONDS, READERS, read_in

COUNT = 20 * LONG_EVERY


@pytest.mark.parametrize("name", READERS)
def test_a_mutated_record_is_read_at_once_and_nothing_escapes(name: str) -> None:
    """An event, a dead letter, a row or an unreadable line; whatever the bytes."""
    became: Counter[str] = Counter()
    for value in mutated(20_261_120, COUNT):
        outcome, seconds = read_in(READERS[name], value)
        became[outcome] += 1
        assert seconds <= 5 * MAX_CPU_SECONDS, value[:300]
    assert became.total() == COUNT
    # Else the mutations would only ever test the first line of the parser.
    assert name.endswith("inspected") or len(became) > 1
