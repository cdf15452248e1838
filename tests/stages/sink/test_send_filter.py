"""The send_filter: what must not be sent any more, judged right before it would be."""

from types import SimpleNamespace
from typing import Any

from streams.core.consent import Ground, Word
from streams.core.outcome import SkipReason
from streams.core.times import utc_text
from streams.delivery.ordered_queue import Item
from streams.engine.tables import MALFORMED
from streams.stages.sink.send_filter import RowSendFilter, admit_said

HOUR_MS = 3_600_000
NOW_MS = 1_800_000_000_000


class Around:
    """A send_filter with the tables of one worker and a clock."""

    def __init__(self, max_age_hours: float | None = None) -> None:
        self.now_ms = NOW_MS
        self.rows: dict[int, dict[bytes, Any]] = {}
        self.forgotten: dict[int, dict[bytes, int]] = {}
        self.delays: dict[int, float] = {}
        runs: Any = SimpleNamespace(stopped=frozenset())
        self.runs = runs
        users: Any = SimpleNamespace(rows=self.rows, forgotten=self.forgotten)
        self.send_filter = RowSendFilter(
            users,
            runs,
            max_age_hours,
            delay_seconds=lambda partition: self.delays[partition],
            wall_ms=lambda: self.now_ms,
        )


def item(
    visitor: str,
    ground: Ground = "row",
    *,
    partition: int = 0,
    age_ms: int = 0,
    run: str | None = None,
) -> Item:
    """An event that was read an hour after it happened ``age_ms`` before now."""
    happened_ms = NOW_MS - age_ms
    return Item(
        partition,
        0,
        visitor,
        "shop.clicks/0/0",
        utc_text(happened_ms),
        b"",
        happened_ms,
        visitor.encode(),
        None,
        run,
        ground,
    )


def test_each_event_is_judged_by_its_own_visitors_row() -> None:
    """Of the partition on which it lies, by index."""
    around = Around()
    around.rows[0] = {
        b"yes": Word.YES,
        b"no": Word.NO,
        b"silent": Word.SILENT,
        b"bad": MALFORMED,
    }
    around.rows[1] = {b"no": Word.YES, b"missing": Word.YES}
    names = ("yes", "no", "silent", "bad", "missing")
    stop = SkipReason.NO_CONSENT
    found = around.send_filter.stopped([item(name) for name in names])
    assert found == {1: stop, 2: stop, 3: stop, 4: stop}
    assert around.send_filter.stopped([item(name, "event") for name in names]) == {1: stop, 3: stop}
    assert around.send_filter.stopped([item(name, "assumed") for name in names]) == {
        1: stop,
        3: stop,
    }
    assert around.send_filter.stopped([item("missing", partition=1)]) == {}
    assert around.send_filter.stopped([item("yes", partition=7)]) == {0: stop}
    shared = [item(name, partition=n) for n in (0, 1) for name in ("yes", "no", "missing")]
    assert around.send_filter.stopped(shared) == {1: stop, 2: stop, 3: stop}


def test_a_yes_counts_for_events_from_consent_since_on() -> None:
    """By the event's own time, however late it is sent; another ground needs no yes of the row."""
    around = Around()
    around.rows[0] = {b"anna": NOW_MS - 1_000}
    items = [item("anna", age_ms=1_001), item("anna", age_ms=1_000), item("anna", age_ms=999)]
    assert around.send_filter.stopped(items) == {0: SkipReason.NO_CONSENT}
    assert around.send_filter.stopped([item("anna", "event", age_ms=1_001)]) == {}
    assert around.send_filter.stopped([item("anna", "assumed", age_ms=1_001)]) == {}


def test_a_tombstone_stops_what_is_not_newer_whatever_came_after_it() -> None:
    """A tombstone makes the visitor a new one."""
    around = Around()
    around.rows[0] = {b"anna": Word.YES}
    around.forgotten[0] = {b"anna": NOW_MS - 1_000}
    older, newer = item("anna", age_ms=1_000), item("anna", age_ms=999)
    assert around.send_filter.stopped([older, newer]) == {0: SkipReason.NO_CONSENT}


def test_age_comes_before_consent_and_grows_while_an_event_waits() -> None:
    """What was young enough when it was read may be too old when the vendor answers again."""
    around = Around(max_age_hours=2)
    around.rows[0] = {b"no": Word.NO, b"yes": Word.YES}
    items = [item("no"), item("yes"), item("yes", age_ms=HOUR_MS + 1)]
    assert around.send_filter.stopped(items) == {0: SkipReason.NO_CONSENT}
    around.now_ms += HOUR_MS
    assert around.send_filter.stopped(items) == {0: SkipReason.NO_CONSENT, 2: SkipReason.TOO_OLD}
    around.now_ms += 2 * HOUR_MS
    assert around.send_filter.stopped(items) == dict.fromkeys(range(3), SkipReason.TOO_OLD)


def test_of_a_stopped_run_nothing_becomes() -> None:
    """Not even a skip, and live events are no run's."""
    around = Around(max_age_hours=1)
    around.runs.stopped = frozenset({"r-1"})
    items = [
        item("anna", "event", run="r-1", age_ms=2 * HOUR_MS),
        item("anna", "event", run="r-2"),
        item("anna", "event"),
    ]
    assert around.send_filter.stopped(items) == {0: None}


def test_a_partition_whose_users_are_read_with_more_than_5_seconds_delay_waits() -> None:
    """Each partition by itself."""
    around = Around()
    around.delays = {0: 5.0, 1: 5.1}
    assert around.send_filter.is_current(0)
    assert not around.send_filter.is_current(1)


def test_of_a_row_only_what_it_says_about_the_vendor_is_kept() -> None:
    """Neither e-mail nor ids stay in a sink's memory."""
    admit = admit_said("miso")
    assert admit(b'{"email": "a@example.com", "consent": {"miso": true}}') is Word.YES
    assert admit(b'{"consent": {"miso": false, "voyado": true}}') is Word.NO
    assert admit(b'{"consent": {"voyado": true}}') is Word.SILENT
    since = b'"consent_since": {"miso": 1800000000000, "voyado": "2026-11-20T10:00:00Z"}'
    assert admit(b'{"consent": {"miso": true}, %b}' % since) == 1_800_000_000_000
    assert admit(b'{"consent": {"miso": false}, %b}' % since) is Word.NO
