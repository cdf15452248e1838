"""The sink's send filter: decides right before each request which events may not be sent."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from faust.types import TP

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
from streams.delivery.ordered_queue import Item
from streams.engine.tables import MALFORMED, Admit, TopicTable
from streams.stages.sink.outcome_writer import happened_ms
from streams.vendors import VENDORS

HOUR_MS = 3_600_000

_NOTHING: Mapping[bytes, Any] = {}
_YES = Word.YES


def admit_said(vendor: str) -> Admit:
    """Return a function that reduces a user row to what it says about the vendor."""

    def admit(value: bytes) -> Said:
        return said_about(vendor, decode_user(value, VENDORS))

    return admit


class RowSendFilter:
    """Stops events by age, consent and stopped runs."""

    users: TopicTable
    """Rows as ``admit_said`` reduces them."""
    delay_seconds: Callable[[TP], float]
    """How long ago a table's partition was last known to be complete."""

    def __init__(
        self,
        users_topic: str,
        max_age_hours: float | None,
        *,
        wall_ms: Callable[[], int],
        passed_over: Callable[[Sequence[Item]], None],
    ) -> None:
        self._users_topic = users_topic
        self._max_age_ms = None if max_age_hours is None else round(max_age_hours * HOUR_MS)
        self._wall_ms = wall_ms
        self._passed_over = passed_over
        self.stopped_runs: frozenset[str] = frozenset()

    def is_current(self, partition: int) -> bool:
        """Return whether the user rows of a partition are known up to at most 5 s ago."""
        return self.delay_seconds(TP(self._users_topic, partition)) <= MAX_ROW_DELAY_SECONDS

    def stopped(self, items: Sequence[Item]) -> Mapping[int, SkipReason | None]:
        """Return the events that must not be sent: index → reason; None: of a stopped run."""
        partition: int | None = None
        rows, forgotten = _NOTHING, _NOTHING
        stopped_runs = self.stopped_runs
        oldest_ms = None if self._max_age_ms is None else self._wall_ms() - self._max_age_ms
        found: dict[int, SkipReason | None] = {}
        for number, item in enumerate(items):
            if item.partition != partition:  # events of one partition are adjacent
                partition = item.partition
                rows = self.users.rows.get(partition, _NOTHING)
                forgotten = self.users.forgotten.get(partition, _NOTHING)
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
        forgotten_ms = self.users.forgotten.get(item.partition, _NOTHING).get(key)
        if forgotten_ms is not None and item.raw_ms <= forgotten_ms:
            return NoConsent.FORGOTTEN
        said = self.users.rows.get(item.partition, _NOTHING).get(key)
        if said is None:
            return NoConsent.NO_ROW
        if said is MALFORMED:
            return NoConsent.MALFORMED_ROW
        if said is Word.NO:
            return NoConsent.SAID_NO
        return NoConsent.NOT_SAID if said is Word.SILENT else NoConsent.YES_ONLY_LATER

    def pass_over(self, items: Iterable[Item]) -> None:
        """Settle waiting redeliveries of a stopped run without a receipt."""
        self._passed_over(tuple(items))
