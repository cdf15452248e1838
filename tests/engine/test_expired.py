"""What retention deleted unread, as the commits carry it."""

from faust.types import TP

from streams.engine.expired import ALL, MAX_GAPS, ExpiredRecords, Gap, total_by_topic


def test_a_gap_counts_in_the_commit_that_has_passed_it() -> None:
    """One that lies before the commit's own offset must not: its next owner finds it again."""
    expired = ExpiredRecords({ALL: 5, "miso": 2})
    expired.record(10, 20, {ALL: 10, "miso": 10})
    assert expired.below(19) == {ALL: 5, "miso": 2}
    assert expired.below(20) == {ALL: 15, "miso": 12}
    assert expired.below(25) == {ALL: 15, "miso": 12}


def test_gaps_are_passed_one_by_one() -> None:
    """Each at its own end; the total knows all of them at once."""
    expired = ExpiredRecords({})
    expired.record(9, 10, {ALL: 1})
    expired.record(28, 30, {ALL: 2})
    assert expired.total == 3
    assert expired.below(12) == {ALL: 1}
    assert expired.below(30) == {ALL: 3}
    assert expired.total == 3


def test_nothing_expired_is_nothing_in_the_metadata() -> None:
    """Nor in the totals by topic."""
    assert ExpiredRecords({}).below(7) == {}
    assert total_by_topic(
        {TP("a", 0): ExpiredRecords({}), TP("b", 0): ExpiredRecords({ALL: 2})}
    ) == {"b": 2}


def test_totals_are_those_of_all_partitions_of_a_topic() -> None:
    """As a worker shows them."""
    totals = {TP("a", 0): ExpiredRecords({ALL: 1}), TP("a", 1): ExpiredRecords({ALL: 4})}
    assert total_by_topic(totals) == {"a": 5}


def test_where_the_gaps_lay_is_kept_by_the_commit_that_has_passed_them() -> None:
    """A gap of which a former owner had settled everything lost nothing."""
    expired = ExpiredRecords({ALL: 5}, [[3, 9, 5]])
    expired.record(20, 30, {ALL: 8})
    expired.record(40, 45, {ALL: 0})
    assert expired.gaps_below(29) == [Gap(3, 9, 5)]
    assert expired.gaps_below(50) == [Gap(3, 9, 5), Gap(20, 30, 8)]


def test_gaps_that_touch_are_one() -> None:
    """Retention deletes a log segment by segment while nobody reads."""
    expired = ExpiredRecords({}, [[3, 9, 5]])
    expired.record(9, 30, {ALL: 21})
    assert expired.gaps_below(30) == [Gap(3, 30, 26)]


def test_of_too_many_gaps_the_closest_become_one_and_no_record_is_lost() -> None:
    """A commit's metadata is bounded; how many expired stays exact."""
    expired = ExpiredRecords({})
    for number in range(MAX_GAPS + 1):
        first = 100 * number + (90 if number == 4 else 0)
        expired.record(first, first + 5, {ALL: 2})
    gaps = expired.gaps_below(10_000)
    assert len(gaps) == MAX_GAPS
    assert gaps[4] == Gap(490, 505, 4)
    assert sum(gap.records for gap in gaps) == expired.total == 2 * (MAX_GAPS + 1)
