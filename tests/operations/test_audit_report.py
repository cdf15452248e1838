"""What an audit says and shows: JSON, the table, the comparison with a ledger, times, reading."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from streams.cli.terminal import moment_ms
from streams.core.errors import SettingsError
from streams.operations.audit.decode import (
    Expired,
    OnRanges,
    UnreadableError,
    read_enrich_commit,
    read_letter,
    read_receipt,
    read_sink_commit,
    read_source,
)
from streams.operations.audit.report import SectionBooks, compare_with_ledger
from streams.operations.audit.table import audit_lines, audit_table, section_table
from tests.operations.audit_logs_in_memory import CARTS, CLICKS, Logs, receipt


def accepted_twice() -> Logs:
    """Return two accepted clicks, the second with an event id of its own."""
    sources = [f"{CLICKS}/0/0", f"{CLICKS}/0/1"]
    return Logs(
        raw={CLICKS: {0: 1, 1: 1}, CARTS: {}},
        enrich_committed={CLICKS: 2},
        records=dict(enumerate(sources)),
        sink_committed=2,
        receipts=[
            receipt(sources[0], "accepted", 0, event_id="e-1"),
            receipt(sources[0], "accepted", 0, event_id="e-1"),
            receipt(sources[1], "accepted", 1, event_id="e-2"),
        ],
    )


def shown(logs: Logs) -> str:
    """Return what the terminal shows."""
    report = logs.audit()
    console = Console(width=120, file=StringIO())
    console.print(audit_table(report))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue() + "\n".join(audit_lines(report))


def test_sections_that_could_not_be_counted_are_said_and_shown_without_numbers() -> None:
    """All others are shown as they are; nothing unknown is 0."""
    why = "Records of web cannot be read: the registry is away."
    sections = (
        SectionBooks("views", "web", "clicks", unknown=why),
        SectionBooks("carts", "web", "add-to-carts", unknown=why),
        SectionBooks("people", "crm", "users", read=7, events=7, written=7),
    )
    report = replace(accepted_twice().audit(), sections=sections)
    assert not report.balanced
    assert audit_lines(report)[-2:] == [
        f"The numbers of [ingest.views] and [ingest.carts] are not known. {why}",
        "What is known balances; the rest is unknown.",
    ]
    views, _, people = report.to_json()["sections"]
    assert (views["read"], views["written"], views["balanced"]) == (None, None, False)
    assert (people["read"], people["written"], people["balanced"]) == (7, 7, True)
    console = Console(width=120, file=StringIO())
    console.print(section_table(sections))
    assert isinstance(console.file, StringIO)
    rows = [line.replace("│", " ").split() for line in console.file.getvalue().splitlines()[2:]]
    assert rows == [
        ["views", *"??????"],
        ["carts", *"??????"],
        ["people", "7", "7", "7", "0", "0", "0"],
    ]


def test_a_ledger_that_holds_each_accepted_event_once_agrees() -> None:
    """Receipts written twice are one event."""
    comparison = compare_with_ledger(accepted_twice().audit(), "miso", {"e-1": 1, "e-2": 1})
    assert comparison.agrees
    assert (comparison.accepted, comparison.in_ledger) == (2, 2)


def test_each_run_sends_an_event_once_more() -> None:
    """A replay with --again is a second entry in the ledger, and no duplicate."""
    logs = accepted_twice()
    again = {"lane": "redelivery", "run_id": "r1", "event_id": "e-1"}
    logs.receipts += [receipt(f"{CLICKS}/0/0", "accepted", 0, **again)] * 2
    assert compare_with_ledger(logs.audit(), "miso", {"e-1": 2, "e-2": 1}).agrees


def test_each_way_in_which_a_ledger_differs_is_named() -> None:
    """What it lacks, what no receipt knows, and what it holds twice are three things."""
    comparison = compare_with_ledger(accepted_twice().audit(), "miso", {"e-1": 3, "e-9": 2})
    assert not comparison.agrees
    assert comparison.lacking == {"e-2": 1}
    assert comparison.without_receipt == {"e-9": 2}
    assert comparison.duplicates == {"e-1": 2}


def test_a_comparison_needs_the_ids_of_that_vendor() -> None:
    """An audit without ids cannot agree with a ledger by having nothing to compare."""
    with pytest.raises(ValueError, match="kept no event ids of voyado"):
        compare_with_ledger(accepted_twice().audit(), "voyado", {})


def test_json_has_both_sides_and_no_ids() -> None:
    """Machines get the derived sums too; ids of events stay inside."""
    logs = accepted_twice()
    logs.receipts[2:] = []
    report = logs.audit().to_json()
    (books,) = report["vendors"]
    assert "accepted_ids" not in report
    assert (report["balanced"], books["balanced"]) == (False, False)
    assert (books["owed"], books["explained"], books["missing"]) == (2, 1, 1)
    assert books["examples"] == [
        {
            "where": f"{CLICKS}/0/1",
            "detail": "the sink has passed its vendor record and there is no receipt",
        }
    ]


def test_the_table_says_whether_the_books_balance() -> None:
    """The last line is the verdict; troubles are rows of their own only where there are any."""
    logs = accepted_twice()
    text = shown(logs)
    assert text.endswith("The sums match: every event is accounted for.")
    assert "missing" not in text
    logs.receipts.clear()
    text = shown(logs)
    assert text.endswith("The sums do NOT match.")
    assert "miso: 2 to be accounted for, 0 accounted for: a difference of 2." in text
    assert f"  {CLICKS}/0/0-1: the sink has passed its vendor record" in text


def test_reasons_from_records_are_shown_and_not_obeyed() -> None:
    """A reason that somebody planted in a receipt reaches the terminal as plain text."""
    logs = accepted_twice()
    planted = "[red]x[/red]\x1b[2J"
    logs.raw[CLICKS][2] = 1
    logs.receipts.append(receipt(f"{CLICKS}/0/2", "skipped", None, reason=planted))
    logs.receipts.append(receipt("\x1b[2J[/red]", "skipped", None))
    text = shown(logs)
    assert "[red]x[/red]\\x1b[2J" in text
    assert "\x1b" not in text


def test_since_takes_ms_and_rfc_3339_with_an_offset() -> None:
    """Both name the same moment; what is no time is refused with the remedy."""
    assert moment_ms("1777622400000") == 1_777_622_400_000
    assert moment_ms("2026-05-01T08:00:00Z") == 1_777_622_400_000
    assert moment_ms("2026-05-01T10:00:00+02:00") == 1_777_622_400_000
    for text in ("2026-05-01T08", "soon", ""):
        with pytest.raises(SettingsError, match="--since"):
            moment_ms(text)


@pytest.mark.parametrize(
    "value",
    [None, b"", b"{", b"\xff", b"[]", b'{"event_id": "e", "outcome": "accepted"}'],
)
def test_what_is_no_receipt_or_dead_letter_is_unreadable(value: bytes | None) -> None:
    """Any bytes are either read or named, never a crash."""
    with pytest.raises(UnreadableError):
        read_receipt(value)
    with pytest.raises(UnreadableError):
        read_letter(value)


def test_a_resolution_is_no_dead_letter() -> None:
    """That a letter was sent again or dropped is a note in the same topic."""
    assert read_letter(b'{"resolves": "vendor.miso.dead-letters-0-7", "action": "resent"}') is None


def test_a_vendor_record_without_source_is_unreadable() -> None:
    """The header ``source`` is what ties a vendor record to its raw record."""
    headers = [("consent", b"row"), ("source", b"shop.clicks/0/1")]
    assert read_source(headers) == ("shop.clicks/0/1", None)
    assert read_source([*headers, ("source-time", b"17")]) == ("shop.clicks/0/1", 17)
    with pytest.raises(UnreadableError, match="source"):
        read_source([("consent", b"row"), ("source", None)])


def test_a_sinks_commit_says_how_many_expired_and_where() -> None:
    """Those of older versions say only how many."""
    assert read_sink_commit(None) == Expired()
    assert read_sink_commit('{"x": 7, "r": 3}') == Expired(7)
    assert read_sink_commit('{"x": 7, "g": [[5, 12, 7]]}') == Expired(7, ((5, 12, 7),))
    for text in ("x", '{"g": [[1, 2]]}'):
        with pytest.raises(UnreadableError):
            read_sink_commit(text)


def test_commit_metadata_is_ranges_or_nothing() -> None:
    """Empty metadata means always on; text that is no ranges is an error, never a guess."""
    assert read_enrich_commit("") == (None, {})
    assert read_enrich_commit(None) == (None, {})
    assert read_enrich_commit('{"other": 1}') == (None, {})
    told = '"on": {"miso": [[0, 5], [9, null]]}, "expired": {"*": 3}'
    ranges = {"miso": [(0, 5), (9, None)]}
    assert read_enrich_commit(f"{{{told}}}") == (OnRanges(ranges, 0), {"*": 3})
    assert read_enrich_commit(f'{{{told}, "since": 4}}') == (OnRanges(ranges, 4), {"*": 3})
    for text in ("x", '{"on": [1]}', '{"on": {"miso": [[0]]}}'):
        with pytest.raises(UnreadableError):
            read_enrich_commit(text)


def test_what_a_source_that_is_off_left_unread_is_said() -> None:
    """With its number, under the table; it is in no sum."""
    report = replace(accepted_twice().audit(), not_read={"shop.orders": 1_200, "shop.events": 0})
    assert audit_lines(report) == [
        "shop.orders: 1,200 records are not read and in no sum: the source is switched off.",
        "The sums match: every event is accounted for.",
    ]
    assert report.to_json()["not_read"] == {"shop.orders": 1_200, "shop.events": 0}
