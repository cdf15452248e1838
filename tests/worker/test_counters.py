"""What a worker counts."""

from streams.core.records import DeadLetter, Origin
from streams.worker.counters import MAX_CAUSES, OTHER_CAUSE, Counters, Rate


def test_ages_are_percentiles_of_the_newest() -> None:
    """Of at most two thousand."""
    counters = Counters()
    assert counters.ages() == {}
    counters.note_ages([3.0])
    assert counters.ages() == {"p50": 3.0, "p95": 3.0}
    counters.note_ages([float(n) for n in range(100_000)])
    assert counters.ages() == {"p50": 98_999.0, "p95": 99_899.0}


def test_the_rate_is_that_of_the_last_ten_seconds() -> None:
    """Not since the start."""
    rate, events = Rate(), 0
    assert rate.sample(100.0, events) == 0.0
    for second in range(1, 21):
        events += 50 if second > 10 else 0
        rate.sample(100.0 + second, events)
    assert rate.per_second == 50.0


def letter(fingerprint: str, detail: str = "") -> DeadLetter:
    """A dead letter of Miso."""
    return DeadLetter(
        stage="deliver",
        reason="rejected",
        detail=detail,
        fingerprint=fingerprint,
        attempts=1,
        at="2026-11-21T10:00:00.000Z",
        source=Origin("shop.clicks", 0, 7, 1),
        record="{}",
        record_bytes=2,
        vendor="miso",
    )


def test_causes_are_counted_and_bounded() -> None:
    """The most frequent are shown, with words in which no values are; very many become one."""
    counters = Counters()
    counters.note_cause(letter("aaaa", 'sku "S-1" of anna@mail.example is unknown'))
    for number in range(3 * MAX_CAUSES):
        counters.note_cause(letter(f"f{number}"))
    counters.note_cause(letter("aaaa"))
    assert len(counters.causes) == MAX_CAUSES + 1
    most = counters.most_causes(2)
    assert (most[0].fingerprint, most[0].count) == (OTHER_CAUSE, 2 * MAX_CAUSES + 1)
    assert (most[1].fingerprint, most[1].count) == ("aaaa", 2)
    assert most[1].example == "sku # of *** is unknown"


def test_skips_are_counted_by_vendor_and_together() -> None:
    """Enrichment skips an event for each vendor by itself."""
    counters = Counters()
    counters.take_skips(
        {("miso", "no_consent", "no_row"): 3, ("voyado", "no_consent", "said_no"): 2}
    )
    counters.take_skips({("miso", "no_consent", "no_row"): 1})
    assert counters.skipped == {"no_consent": 6}
    assert counters.skipped_by_vendor == {"miso": {"no_consent": 4}, "voyado": {"no_consent": 2}}
