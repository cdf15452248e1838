"""The sink's send filter: decides right before each request which events may not be sent."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from streams.core.consent import (
    MAX_ROW_DELAY_SECONDS,
    NoConsent,
    Said,
    Word,
    said_about,
    still_allows,
    word_for,
)
from streams.core.outcome import SkipReason
from streams.core.rows import decode_user
from streams.core.times import HOUR_MS
from streams.delivery.ordered_queue import Item
from streams.engine.tables import MALFORMED, Admit, TopicTable
from streams.stages.sink.outcome_writer import happened_ms
from streams.stages.sink.run_stops import RunStops
from streams.vendors import VENDORS

_NOTHING: Mapping[bytes, Any] = {}
_YES = Word.YES


def admit_said(vendor: str) -> Admit:
    """Return a function that reduces a user row to what it says about the vendor."""

    def admit(value: bytes) -> Said:
        return said_about(vendor, decode_user(value, VENDORS))

    return admit


class RowSendFilter:
    """Stops events by age, consent and stopped runs."""

    def __init__(
        self,
        users: TopicTable,
        runs: RunStops,
        max_age_hours: float | None,
        *,
        delay_seconds: Callable[[int], float],
        wall_ms: Callable[[], int],
    ) -> None:
        """``users``: rows as ``admit_said`` reduces them.

        ``delay_seconds`` returns how long ago its partition was last known to be complete.
        """
        self._users = users
        self._runs = runs
        self._delay_seconds = delay_seconds
        self._max_age_ms = None if max_age_hours is None else round(max_age_hours * HOUR_MS)
        self._wall_ms = wall_ms

    def is_current(self, partition: int) -> bool:
        """Return whether the user rows of a partition are known up to at most 5 s ago."""
        return self._delay_seconds(partition) <= MAX_ROW_DELAY_SECONDS

    def stopped(self, items: Sequence[Item]) -> Mapping[int, SkipReason | None]:
        """Return the events that must not be sent: index → reason; None: of a stopped run."""
        partition: int | None = None
        rows, forgotten = _NOTHING, _NOTHING
        stopped_runs = self._runs.stopped
        oldest_ms = None if self._max_age_ms is None else self._wall_ms() - self._max_age_ms
        found: dict[int, SkipReason | None] = {}
        for number, item in enumerate(items):
            if item.partition != partition:  # events of one partition are adjacent
                partition = item.partition
                rows = self._users.rows.get(partition, _NOTHING)
                forgotten = self._users.forgotten.get(partition, _NOTHING)
            if stopped_runs and item.run_id in stopped_runs:
                found[number] = None
                continue
            if oldest_ms is not None and happened_ms(item) < oldest_ms:
                found[number] = SkipReason.TOO_OLD
                continue
            key = item.key or b""
            said = rows.get(key)
            if said is _YES and key not in forgotten:
                continue  # the usual case: this runs for each event of each request
            if said is MALFORMED:
                word: Word | None = Word.NO
            else:
                word = None if said is None else word_for(said, happened_ms(item))
            if not still_allows(item.ground, word, forgotten.get(key), item.raw_ms):
                found[number] = SkipReason.NO_CONSENT
        return found

    def why_no_consent(self, item: Item) -> NoConsent:
        """Return why an event has no consent, by the rows as they are now."""
        key = item.key or b""
        forgotten_ms = self._users.forgotten.get(item.partition, _NOTHING).get(key)
        if forgotten_ms is not None and item.raw_ms <= forgotten_ms:
            return NoConsent.FORGOTTEN
        said = self._users.rows.get(item.partition, _NOTHING).get(key)
        if said is None:
            return NoConsent.NO_ROW
        if said is MALFORMED:
            return NoConsent.MALFORMED_ROW
        if said is Word.NO:
            return NoConsent.SAID_NO
        return NoConsent.NOT_SAID if said is Word.SILENT else NoConsent.YES_ONLY_LATER
