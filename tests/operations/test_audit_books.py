"""The book-keeping of an audit, on logs in memory: what it counts and when it must not balance."""

from tests.operations.audit_logs_in_memory import (
    CARTS,
    CLICKS,
    Logs,
    letter,
    numbers,
    receipt,
)


def settled() -> Logs:
    """Return six clicks, each settled in another way, and everything committed."""
    s = [f"{CLICKS}/0/{offset}" for offset in range(6)]
    return Logs(
        raw={CLICKS: dict.fromkeys(range(6), 1_000), CARTS: {}},
        enrich_committed={CLICKS: 6},
        records={0: s[0], 1: s[1], 2: s[2]},
        sink_committed=3,
        receipts=[
            receipt(s[0], "accepted", 0),
            receipt(s[1], "dead_lettered", 1, reason="rejected"),
            receipt(s[2], "skipped", 2, reason="too_old"),
            receipt(s[3], "skipped", None, reason="no_consent"),
        ],
        letters=[letter(s[1], "deliver", "rejected"), letter(s[4], "enrich", "invalid_payload")],
        enrich_letters=[letter(s[5], "enrich", "invalid_json")],
    )


def test_every_outcome_is_counted_under_its_name() -> None:
    """Six clicks with six outcomes give both sides of the sum, exactly."""
    report = settled().audit()
    assert report.balanced
    assert report.raw == {CLICKS: 6, CARTS: 0}
    assert report.enrich_dead_letters == {"invalid_json": 1}
    assert numbers(report) == {
        "raw": 6,
        "enrich_dead_lettered": 1,
        "accepted": 1,
        "dead_lettered.rejected": 1,
        "dead_lettered.invalid_payload": 1,
        "skipped.too_old": 1,
        "skipped.no_consent": 1,
        "vendor_records": 3,
        "receipts": 4,
        "letters": 2,
        "enrich_letters": 1,
    }
    assert (report.vendors[0].owed, report.vendors[0].explained) == (5, 5)


def test_what_no_commit_has_passed_is_waiting() -> None:
    """Records above the commits wait: for enrichment without a trace, for the vendor with one."""
    logs = settled()
    logs.raw[CARTS] = dict.fromkeys(range(3), 2_000)
    logs.enrich_committed[CARTS] = 1
    logs.records[3] = f"{CARTS}/0/0"
    report = logs.audit()
    assert report.balanced
    assert report.vendors[0].waiting_for_vendor == 1
    assert report.vendors[0].waiting_for_enrichment == 2


def test_without_any_commit_everything_waits() -> None:
    """A relay that never ran owes nothing yet, also where retention has already deleted records."""
    logs = Logs(raw={CLICKS: {7: 1, 8: 1}, CARTS: {}}, raw_start=7)
    report = logs.audit()
    assert report.balanced
    assert report.vendors[0].waiting == 2
    assert report.expired == {CLICKS: 0, CARTS: 0}


def test_a_record_passed_without_trace_is_missing() -> None:
    """Below enrichment's commit there is no waiting: without a trace a record is missing."""
    logs = settled()
    logs.raw[CLICKS][6] = 1_000
    logs.enrich_committed[CLICKS] = 7
    report = logs.audit()
    assert not report.balanced
    assert report.vendors[0].missing == 1
    assert (report.vendors[0].owed, report.vendors[0].explained) == (6, 5)
    assert report.vendors[0].examples[0].where == f"{CLICKS}/0/6"


def test_a_passed_vendor_record_without_receipt_is_missing() -> None:
    """Below the sink's commit each vendor record must have a receipt."""
    logs = settled()
    del logs.receipts[0]
    report = logs.audit()
    assert not report.balanced
    assert report.vendors[0].missing == 1
    assert "no receipt" in report.vendors[0].examples[0].detail


def test_a_dead_letter_that_was_not_kept_is_missing() -> None:
    """A receipt that says dead_lettered is no proof that the record was kept."""
    logs = settled()
    del logs.letters[0]
    report = logs.audit()
    assert not report.balanced
    assert report.vendors[0].missing == 1
    assert "no dead letter" in report.vendors[0].examples[0].detail


def test_an_accepted_receipt_wins_whatever_its_order() -> None:
    """Of several receipts accepted counts before dead_lettered before skipped."""
    logs = settled()
    source = f"{CLICKS}/0/0"
    logs.receipts.insert(0, receipt(source, "skipped", 0, reason="no_consent"))
    logs.receipts.append(receipt(source, "dead_lettered", 0, reason="rejected"))
    report = logs.audit()
    assert report.balanced
    assert report.vendors[0].accepted == 1
    assert report.vendors[0].repeated_receipts == 2


def test_repeats_after_a_crash_count_once() -> None:
    """The same vendor record and the same dead letters written twice change no sum."""
    logs = settled()
    logs.records[3] = f"{CLICKS}/0/0"
    logs.sink_committed = 4
    logs.letters += logs.letters
    logs.enrich_letters += logs.enrich_letters
    report = logs.audit()
    assert report.balanced
    books = report.vendors[0]
    assert (books.repeated_records, books.repeated_letters, books.accepted) == (1, 2, 1)
    assert report.enrich_dead_letters == {"invalid_json": 1}


def test_a_vendor_record_of_nothing_is_unexplained() -> None:
    """A source beyond the end, in a gap, or in no raw topic cannot be."""
    for source in (
        f"{CLICKS}/0/99",
        f"{CLICKS}/1/0",
        "shop.users/0/1",
        "nonsense",
        f"{CLICKS}/0/-1",
    ):
        logs = settled()
        logs.records[3] = source
        report = logs.audit()
        assert not report.balanced, source
        assert report.vendors[0].unexplained == 1, source


def test_a_receipt_must_point_to_its_vendor_record() -> None:
    """A live receipt about a position that holds another event was invented."""
    logs = settled()
    logs.raw[CLICKS][6] = 1_000
    for position in (1, 99, -1, None):
        logs.receipts[4:] = [receipt(f"{CLICKS}/0/6", "accepted", position)]
        assert logs.audit().vendors[0].unexplained == 1, position


def test_an_unknown_outcome_is_unreadable() -> None:
    """A receipt with a word that is not in the list is no receipt."""
    logs = settled()
    logs.receipts.append(receipt(f"{CLICKS}/0/0", "delivered", 0))
    report = logs.audit()
    assert not report.balanced
    assert report.vendors[0].unreadable == 1


def test_a_record_given_up_and_yet_sent_contradicts() -> None:
    """Enrichment's dead letter about a record that has a vendor record breaks the sum."""
    logs = settled()
    logs.enrich_letters.append(letter(f"{CLICKS}/0/0", "enrich", "invalid_field"))
    report = logs.audit()
    assert not report.balanced
    assert report.vendors[0].contradicting == 1
    assert (report.vendors[0].owed, report.vendors[0].explained) == (4, 5)


def test_a_dead_letter_of_enrichment_that_was_mended_counts_by_its_redelivery() -> None:
    """What was sent again by a run and accepted is accepted, no longer given up."""
    logs = settled()
    again = receipt(f"{CLICKS}/0/5", "accepted", 0, lane="redelivery", run_id="r1")
    logs.receipts.append(again)
    report = logs.audit()
    assert report.balanced
    assert (report.vendors[0].accepted, report.vendors[0].enrich_dead_lettered) == (2, 0)


def test_the_receipts_of_a_replay_are_no_repeats_after_a_crash() -> None:
    """An event that was accepted is sent again on purpose, by two runs."""
    logs = settled()
    source = f"{CLICKS}/0/0"
    for run in ("r1", "r2"):
        logs.receipts.append(receipt(source, "accepted", 0, lane="redelivery", run_id=run))
    report = logs.audit()
    assert report.balanced
    assert (report.vendors[0].accepted, report.vendors[0].repeated_receipts) == (1, 0)


def test_gaps_in_a_log_are_no_events() -> None:
    """Transaction markers and compaction leave offsets without a record: nothing is missing."""
    logs = settled()
    logs.raw[CLICKS][9] = 1_000
    logs.enrich_committed[CLICKS] = 9
    report = logs.audit()
    assert report.balanced
    assert report.vendors[0].raw == 7


def test_a_running_relay_still_balances() -> None:
    """Traces of records newer than the audit's ends are not its business."""
    logs = settled()
    logs.later_end[CLICKS] = 8
    logs.records[3] = f"{CLICKS}/0/6"
    logs.receipts.append(receipt(f"{CLICKS}/0/7", "skipped", None, reason="no_consent"))
    report = logs.audit()
    assert report.balanced
    assert report.vendors[0].raw == 6


def test_events_read_while_the_vendor_was_off_are_on_neither_side() -> None:
    """Outside the ranges in enrichment's commit nothing is owed; what has a trace counts."""
    logs = Logs(
        raw={CLICKS: dict.fromkeys(range(6), 1), CARTS: {}},
        enrich_committed={CLICKS: 6},
        on={"miso": [(0, 2), (4, None)]},
        records={0: f"{CLICKS}/0/0", 1: f"{CLICKS}/0/1", 2: f"{CLICKS}/0/4", 3: f"{CLICKS}/0/5"},
        sink_committed=0,
    )
    report = logs.audit()
    assert report.balanced
    assert (report.vendors[0].off, report.vendors[0].waiting_for_vendor) == (2, 4)
    del logs.records[3]
    assert logs.audit().vendors[0].missing == 1


def test_a_vendor_that_the_commit_does_not_name_was_off() -> None:
    """Where a commit says when vendors were on, one that is not named never was."""
    logs = Logs(
        raw={CLICKS: {0: 1}, CARTS: {}}, enrich_committed={CLICKS: 1}, on={"voyado": [(0, None)]}
    )
    report = logs.audit()
    assert report.balanced
    assert report.vendors[0].off == 1


def test_a_window_counts_by_kafka_time() -> None:
    """Records before the window are on neither side, nor are their traces unexplained."""
    logs = settled()
    logs.raw[CLICKS] = {offset: 1_000 * offset for offset in range(6)}
    logs.since_ms = 3_000
    report = logs.audit()
    assert report.balanced
    assert (report.vendors[0].raw, report.vendors[0].accepted) == (3, 0)


def test_what_retention_deleted_is_not_unexplained() -> None:
    """Receipts outlive the records that they are about, also those deleted while we read."""
    logs = settled()
    logs.raw_start = 2
    del logs.raw[CLICKS][0], logs.raw[CLICKS][1], logs.raw[CLICKS][2]
    logs.raw_trimmed = 3
    report = logs.audit()
    assert report.balanced
    assert report.vendors[0].raw == 3


def test_raw_records_deleted_before_they_were_read_are_expired() -> None:
    """A log start above enrichment's commit is counted by offsets, on both sides of the sum."""
    logs = Logs(raw={CLICKS: {7: 1, 8: 1}, CARTS: {}}, raw_start=7, enrich_committed={CLICKS: 4})
    report = logs.audit()
    assert report.balanced
    assert report.expired == {CLICKS: 3, CARTS: 0}
    (books,) = report.vendors
    assert (books.raw, books.gone, books.waiting) == (5, 3, 2)
    assert books.skipped == {"expired": 3}


def test_what_expired_below_the_commits_is_still_counted() -> None:
    """By what the commits say; a vendor that was off is owed nothing of it."""
    logs = settled()
    logs.told = {"*": 9, "miso": 4}
    report = logs.audit()
    assert report.balanced
    assert report.expired == {CLICKS: 9, CARTS: 0}
    before = settled().audit().vendors[0]
    books = report.vendors[0]
    assert (books.raw - before.raw, books.skipped["expired"]) == (4, 4)
    logs.since_ms = 1
    assert "expired" not in logs.audit().vendors[0].skipped


def test_what_a_vendor_that_is_off_did_not_get_has_not_expired_for_it() -> None:
    """The deleted records above the commit would have been read while it is off."""
    logs = Logs(raw={CLICKS: {7: 1, 8: 1}, CARTS: {}}, raw_start=7, enrich_committed={CLICKS: 4})
    logs.on = {"miso": [(0, 2)]}
    report = logs.audit()
    assert report.balanced
    assert (report.expired[CLICKS], report.vendors[0].skipped) == (3, {})


def test_vendor_records_that_expired_are_counted_after_their_raw_records_are_gone() -> None:
    """A sink has passed the gap, both logs start behind it, and nothing changes any more."""
    logs = Logs(
        raw={CLICKS: {5: 1}, CARTS: {}},
        raw_start=5,
        enrich_committed={CLICKS: 6},
        records={5: f"{CLICKS}/0/5"},
        records_start=5,
        sink_committed=6,
        sink_told=3,
        receipts=[receipt(f"{CLICKS}/0/5", "accepted", 5)],
    )
    report = logs.audit()
    assert report.balanced
    (books,) = report.vendors
    assert (books.raw, books.gone, books.accepted) == (4, 3, 1)
    assert books.skipped == {"expired": 3}


def test_a_deleted_vendor_record_that_was_settled_out_of_order_has_not_expired() -> None:
    """Its receipt tells, although the sink's commit lies below it."""
    logs = Logs(
        raw={CLICKS: dict.fromkeys(range(4), 1), CARTS: {}},
        enrich_committed={CLICKS: 4},
        records={3: f"{CLICKS}/0/3"},
        records_start=3,
        sink_committed=1,
        receipts=[
            receipt(f"{CLICKS}/0/0", "accepted", 0),
            receipt(f"{CLICKS}/0/2", "accepted", 2),
        ],
    )
    report = logs.audit()
    assert report.balanced
    (books,) = report.vendors
    assert (books.accepted, books.skipped, books.waiting) == (2, {"expired": 1}, 1)


def test_vendor_records_deleted_before_they_were_sent_are_expired() -> None:
    """At most as many as the log lost above the sink's commit, and only older than what is left."""
    logs = Logs(
        raw={CLICKS: dict.fromkeys(range(5), 1), CARTS: {}},
        enrich_committed={CLICKS: 5},
        records={3: f"{CLICKS}/0/3", 4: f"{CLICKS}/0/4"},
        records_start=3,
        sink_committed=1,
        receipts=[receipt(f"{CLICKS}/0/0", "accepted", 0)],
    )
    report = logs.audit()
    assert report.balanced
    assert report.vendors[0].skipped == {"expired": 2}
    logs.sink_committed = 2
    report = logs.audit()
    assert not report.balanced
    assert (report.vendors[0].skipped, report.vendors[0].missing) == ({"expired": 1}, 1)


def lost_beside_expired() -> Logs:
    """Return ten clicks: 2 to 4 expired unsent, 6 and 7 were lost, the others accepted."""
    kept = [0, 1, 5, 8, 9]
    positions = {0: 0, 1: 1, 5: 5, 8: 6, 9: 7}
    return Logs(
        raw={CLICKS: dict.fromkeys(range(10), 1), CARTS: {}},
        enrich_committed={CLICKS: 10},
        records={positions[n]: f"{CLICKS}/0/{n}" for n in (5, 8, 9)},
        records_start=5,
        sink_committed=8,
        sink_told=3,
        sink_gaps=[(2, 5, 3)],
        receipts=[receipt(f"{CLICKS}/0/{n}", "accepted", positions[n]) for n in kept],
    )


def test_what_expired_once_does_not_hide_what_is_lost_later() -> None:
    """Only records between those before and behind the gap can have expired in it."""
    report = lost_beside_expired().audit()
    (books,) = report.vendors
    assert not report.balanced
    assert (books.missing, books.missing_among_expired) == (2, 0)
    assert books.missing_offsets == {f"{CLICKS}/0": [(6, 7)]}
    assert books.skipped == {"expired": 3}
    assert (books.examples[0].where, len(books.examples)) == (f"{CLICKS}/0/6-7", 1)


def test_between_expired_records_a_loss_is_counted() -> None:
    """Which of them it was nobody can tell, but it is one more than expired."""
    logs = lost_beside_expired()
    logs.sink_told, logs.sink_gaps = 2, [(2, 5, 2)]
    (books,) = logs.audit().vendors
    assert (books.missing, books.missing_among_expired) == (3, 1)
    assert books.examples[-1].where == f"{CLICKS}/0/2-4"
    assert "3 records without a trace, of which only 2 can" in books.examples[-1].detail


def test_a_total_of_an_older_version_explains_no_record_that_is_there() -> None:
    """It says how many expired, not where; for the figures that is enough."""
    logs = lost_beside_expired()
    logs.sink_gaps = []
    (books,) = logs.audit().vendors
    assert books.missing_offsets == {f"{CLICKS}/0": [(2, 4), (6, 7)]}
    assert books.skipped == {"expired": 3}


def test_below_what_the_commit_knows_no_vendor_passes_for_off() -> None:
    """Metadata that was lost must not turn a loss into a vendor that was off."""
    logs = Logs(
        raw={CLICKS: dict.fromkeys(range(6), 1), CARTS: {}},
        enrich_committed={CLICKS: 6},
        on={"miso": [(4, None)]},
    )
    assert logs.audit().vendors[0].off == 4
    logs.on_since = 4
    (books,) = logs.audit().vendors
    assert (books.off, books.missing_offsets) == (0, {f"{CLICKS}/0": [(0, 5)]})


def test_receipts_of_a_recreated_topic_settle_no_record_of_the_new_one() -> None:
    """Offsets begin anew; times tell the two apart."""
    from streams.operations.audit.books import Books
    from streams.operations.audit.decode import ReceiptFacts
    from streams.operations.audit.logs import CLOCK_SKEW_MS, RawLog, VendorLog

    now = 10**12
    books = Books({(CLICKS, 0): RawLog(0, 0, 2, 2, 2)}, {"miso": {0: VendorLog(4, 4, 6, 6, 6)}})
    for offset in range(2):
        books.raw_record(CLICKS, 0, offset, now)
    for position, source in enumerate((0, 7), 4):
        books.vendor_record("miso", 0, position, f"{CLICKS}/0/{source}", now - 1)
    for offset, position, written in ((1, 2, now - CLOCK_SKEW_MS - 1), (0, 4, now), (7, 5, now)):
        facts = ReceiptFacts("e", "accepted", f"{CLICKS}/0/{offset}", "live", position)
        books.receipt("miso", 0, 0, facts, written)
    (found,) = books.report().vendors
    assert (found.accepted, found.unexplained) == (0, 0)
    assert found.missing_offsets == {f"{CLICKS}/0": [(0, 1)]}


def test_receipts_of_a_worker_whose_clock_was_set_back_count() -> None:
    """They lie behind one of a right clock: a skip of enrichment, and an accepted event."""
    from streams.operations.audit.books import Books
    from streams.operations.audit.decode import ReceiptFacts
    from streams.operations.audit.logs import RawLog, VendorLog

    now, back = 10**12, 10**12 - 259_200_000
    books = Books({(CLICKS, 0): RawLog(0, 0, 3, 3, 3)}, {"miso": {0: VendorLog(0, 0, 2, 2, 2)}})
    for offset in range(3):
        books.raw_record(CLICKS, 0, offset, now)
    for position, source in enumerate((0, 2)):
        books.vendor_record("miso", 0, position, f"{CLICKS}/0/{source}", now)
    for facts, at in (
        (ReceiptFacts("e", "accepted", f"{CLICKS}/0/0", "live", 0), now),
        (ReceiptFacts("e", "skipped", f"{CLICKS}/0/1", "live", None), back),
        (ReceiptFacts("e", "accepted", f"{CLICKS}/0/2", "live", 1), back),
    ):
        books.receipt("miso", 0, 0, facts, at)
    (found,) = books.report().vendors
    assert (found.accepted, found.missing, found.unexplained) == (2, 0, 0)


def test_a_record_on_another_partition_than_its_source_is_unexplained() -> None:
    """Order is only kept where a visitor's events stay on one partition."""
    from streams.operations.audit.books import Books
    from streams.operations.audit.logs import RawLog, VendorLog

    books = Books(
        {(CLICKS, 0): RawLog(0, 0, 1, 1, 1), (CLICKS, 1): RawLog(0, 0, 0, 0, 0)},
        {"miso": {0: VendorLog(0, 0, 0, 0, 0), 1: VendorLog(0, 0, 1, 1, 0)}},
    )
    books.raw_record(CLICKS, 0, 0, 1)
    books.vendor_record("miso", 1, 0, f"{CLICKS}/0/0")
    assert books.report().vendors[0].unexplained == 1


def test_reasons_beyond_what_a_byte_holds_are_counted_together() -> None:
    """A flood of invented reasons cannot break the books."""
    count = 300
    sources = [f"{CLICKS}/0/{offset}" for offset in range(count)]
    logs = Logs(
        raw={CLICKS: dict.fromkeys(range(count), 1), CARTS: {}},
        enrich_committed={CLICKS: count},
        receipts=[
            receipt(source, "skipped", None, reason=f"r{i}") for i, source in enumerate(sources)
        ],
    )
    report = logs.audit()
    assert report.balanced
    assert sum(report.vendors[0].skipped.values()) == count
    assert report.vendors[0].skipped["other"] == count - 254
