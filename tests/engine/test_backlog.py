"""How much waits is told from where the logs end, also where nothing is fetched any more."""

from types import SimpleNamespace
from typing import Any

from faust.types import TP

from streams.engine.backlog import lag

FETCHED, FULL, UNKNOWN = TP("events", 0), TP("events", 1), TP("events", 2)


class Settled:
    """A tracker that is settled below an offset."""

    def __init__(self, below: int) -> None:
        self._below = below

    def committable(self) -> int:
        """Return the offset."""
        return self._below


def test_lag_counts_what_came_after_the_last_fetch() -> None:
    """The log of a partition without room had 4,500 records at its last fetch and has 720,000."""
    settled = {FETCHED: 90, FULL: 500, UNKNOWN: 0}
    consumer: Any = SimpleNamespace(
        offset_trackers=settled,
        committable=settled.get,
        assignment=lambda: {FETCHED, FULL, UNKNOWN},
        highwater={FETCHED: 100, FULL: 4_500, UNKNOWN: None}.get,
        known_ends={FULL: 720_000},
    )
    assert lag(consumer) == {FETCHED: 10, FULL: 719_500}
