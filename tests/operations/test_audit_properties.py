"""Whatever is taken from the topics or invented in them, the books notice or show exactly that."""

from copy import deepcopy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.operations.audit_logs_in_memory import (
    CARTS,
    CLICKS,
    Logs,
    difference,
    letter,
    numbers,
    receipt,
)

SETTLED = ["given_up", "misfit", "skipped", "accepted", "dead", "skipped_by_sink", "repeated"]
OPEN = [*SETTLED, "waiting", "unread"]

# What a balanced report may say after one record has been taken away.
TAKEN: dict[str, list[dict[str, int]]] = {
    "raw": [{"raw": -1, "waiting_for_enrichment": -1}],
    "records": [
        {"vendor_records": -1, "repeated_records": -1},
        {"vendor_records": -1, "waiting_for_vendor": -1, "waiting_for_enrichment": 1},
    ],
    "receipts": [
        {"receipts": -1, "repeated_receipts": -1},
        {"receipts": -1, "accepted": -1, "waiting_for_vendor": 1},
        {"receipts": -1, "dead_lettered.rejected": -1, "waiting_for_vendor": 1},
        {"receipts": -1, "skipped.too_old": -1, "waiting_for_vendor": 1},
        {"receipts": -1, "skipped.no_consent": -1, "waiting_for_enrichment": 1},
    ],
    "letters": [
        {"letters": -1},
        {"letters": -1, "repeated_letters": -1},
        {"letters": -1, "dead_lettered.invalid_payload": -1, "waiting_for_enrichment": 1},
    ],
    "enrich_letters": [
        {"enrich_letters": -1},
        {"enrich_letters": -1, "enrich_dead_lettered": -1, "waiting_for_enrichment": 1},
    ],
}


def relayed(settled: dict[str, list[str]], open_: dict[str, list[str]]) -> Logs:
    """Return the logs after a relay has taken each event on its path, commits as late as may be."""
    logs = Logs()
    waiting: list[int] = []
    for topic in (CLICKS, CARTS):
        passed, later = settled[topic], open_[topic]
        logs.enrich_committed[topic] = len(passed)
        # Enrichment goes in order: what it has not read lies behind everything that it has.
        for offset, path in enumerate([*passed, *sorted(later, key="unread".__eq__)]):
            logs.raw[topic][offset] = 1
            take(logs, f"{topic}/0/{offset}", path, waiting)
    logs.sink_committed = min(waiting, default=len(logs.records))
    return logs


def take(logs: Logs, source: str, path: str, waiting: list[int]) -> None:
    """Let one event go its path; ``waiting`` collects positions without a receipt."""
    position = len(logs.records)
    if path in {"waiting", "accepted", "dead", "skipped_by_sink", "repeated"}:
        logs.records[position] = source
    match path:
        case "given_up":
            logs.enrich_letters.append(letter(source, "enrich", "invalid_json"))
        case "misfit":
            logs.letters.append(letter(source, "enrich", "invalid_payload"))
        case "skipped":
            logs.receipts.append(receipt(source, "skipped", None, reason="no_consent"))
        case "waiting":
            waiting.append(position)
        case "accepted":
            logs.receipts.append(receipt(source, "accepted", position))
        case "dead":
            logs.letters.append(letter(source, "deliver", "rejected"))
            logs.receipts.append(receipt(source, "dead_lettered", position, reason="rejected"))
        case "skipped_by_sink":
            logs.receipts.append(receipt(source, "skipped", position, reason="too_old"))
        case "repeated":
            logs.records[position + 1] = source
            logs.receipts += [receipt(source, "accepted", position)] * 2


paths = st.fixed_dictionaries(
    {topic: st.lists(st.sampled_from(SETTLED), max_size=5) for topic in (CLICKS, CARTS)}
)
open_paths = st.fixed_dictionaries(
    {topic: st.lists(st.sampled_from(OPEN), max_size=4) for topic in (CLICKS, CARTS)}
)
relays = st.builds(relayed, paths, open_paths)


def places(logs: Logs, kind: str) -> list[Any]:
    """Return the key of each record of one kind of topic."""
    if kind == "raw":
        return [(topic, offset) for topic, log in logs.raw.items() for offset in log]
    found = getattr(logs, kind)
    return list(found) if isinstance(found, dict) else list(range(len(found)))


def frozen(logs: Logs) -> Logs:
    """Return a copy whose ends stay where they are when a record is taken away."""
    copy = deepcopy(logs)
    copy.raw_end = {topic: len(log) for topic, log in logs.raw.items()}
    copy.events_end = len(logs.records)
    return copy


@given(relays)
def test_what_a_relay_leaves_behind_balances(logs: Logs) -> None:
    """Any mixture of paths and any lag: both sides are equal."""
    report = logs.audit()
    assert report.balanced, report
    assert report.vendors[0].owed == report.vendors[0].explained


@given(relays, st.sampled_from(sorted(TAKEN)), st.data())
def test_one_record_taken_away_is_noticed(logs: Logs, kind: str, data: st.DataObject) -> None:
    """The books stop balancing, or exactly the numbers of that record change."""
    candidates = places(logs, kind)
    if not candidates:
        return
    before = logs.audit()
    after = frozen(logs)
    key = data.draw(st.sampled_from(candidates))
    if kind == "raw":
        del after.raw[key[0]][key[1]]
    else:
        del getattr(after, kind)[key]
    report = after.audit()
    if report.balanced:
        assert difference(before, report) in TAKEN[kind]


@given(paths, st.sampled_from(sorted(TAKEN)), st.data())
def test_with_all_commits_at_the_end_each_record_is_needed(
    settled: dict[str, list[str]], kind: str, data: st.DataObject
) -> None:
    """Nothing is waiting, so taking anything but a repeat away breaks the books."""
    whole = relayed(settled, {CLICKS: [], CARTS: []})
    candidates = places(whole, kind)
    if not candidates:
        return
    before = whole.audit()
    after = frozen(whole)
    key = data.draw(st.sampled_from(candidates))
    if kind == "raw":
        del after.raw[key[0]][key[1]]
    else:
        del getattr(after, kind)[key]
    report = after.audit()
    if report.balanced:
        assert set(difference(before, report)) in (
            {"vendor_records", "repeated_records"},
            {"receipts", "repeated_receipts"},
        )


@given(relays, st.sampled_from(["records", "receipts", "letters", "enrich_letters"]))
def test_a_record_about_nothing_breaks_the_books(logs: Logs, kind: str) -> None:
    """A source that no raw record has cannot be explained."""
    source = f"{CLICKS}/0/{len(logs.raw[CLICKS])}"
    match kind:
        case "records":
            logs.records[len(logs.records)] = source
        case "receipts":
            logs.receipts.append(receipt(source, "skipped", None, reason="no_consent"))
        case "letters":
            logs.letters.append(letter(source, "deliver", "rejected"))
        case _:
            logs.enrich_letters.append(letter(source, "enrich", "invalid_json"))
    assert not logs.audit().balanced


@given(relays, st.data())
def test_an_invented_receipt_moves_its_own_event_only(logs: Logs, data: st.DataObject) -> None:
    """An accepted receipt from nowhere breaks the books; a true one settles what waited."""
    sources = [f"{topic}/0/{offset}" for topic, log in logs.raw.items() for offset in log]
    if not sources:
        return
    source = data.draw(st.sampled_from(sources))
    position = next((p for p, s in logs.records.items() if s == source), None)
    before = logs.audit()
    logs.receipts.append(receipt(source, "accepted", position))
    report = logs.audit()
    if position is None:
        assert not report.balanced
    else:
        assert report.balanced
        changed = difference(before, report)
        assert changed.pop("receipts") == 1
        assert sum(changed.values()) == (1 if "repeated_receipts" in changed else 0)


@given(relays, st.data())
def test_one_more_raw_record_is_missing_or_waits(logs: Logs, data: st.DataObject) -> None:
    """A raw record more is one event more to be accounted for, never a silent one."""
    topic = data.draw(st.sampled_from([CLICKS, CARTS]))
    end = len(logs.raw[topic])
    before = logs.audit()
    logs.raw[topic][end] = 1
    if data.draw(st.booleans()):
        assert difference(before, logs.audit()) == {"raw": 1, "waiting_for_enrichment": 1}
    elif logs.enrich_committed[topic] == end:
        logs.enrich_committed[topic] = end + 1
        assert difference(before, logs.audit()) == {"raw": 1, "missing": 1}
        assert not logs.audit().balanced


def test_the_generated_relays_use_every_path() -> None:
    """The paths above leave each number that they are meant to leave."""
    logs = relayed({CLICKS: SETTLED, CARTS: []}, {CLICKS: OPEN, CARTS: []})
    assert numbers(logs.audit()) == {
        "raw": 16,
        "enrich_dead_lettered": 2,
        "accepted": 4,
        "dead_lettered.invalid_payload": 2,
        "dead_lettered.rejected": 2,
        "skipped.no_consent": 2,
        "skipped.too_old": 2,
        "waiting_for_vendor": 1,
        "waiting_for_enrichment": 1,
        "vendor_records": 11,
        "repeated_records": 2,
        "receipts": 12,
        "repeated_receipts": 2,
        "letters": 4,
        "enrich_letters": 2,
    }
