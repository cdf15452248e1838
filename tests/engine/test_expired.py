"""What retention deleted unread, as the commits carry it."""

from faust.types import TP

from streams.engine.expired import ALL, Expired, total_by_topic


def test_a_gap_counts_in_the_commit_that_has_passed_it() -> None:
    """One that lies before the commit's own offset must not: its next owner finds it again."""
    expired = Expired({ALL: 5, "miso": 2})
    expired.note(20, {ALL: 10, "miso": 10})
    assert expired.below(19) == {ALL: 5, "miso": 2}
    assert expired.below(20) == {ALL: 15, "miso": 12}
    assert expired.below(25) == {ALL: 15, "miso": 12}


def test_gaps_are_passed_one_by_one() -> None:
    """Each at its own end; the total knows all of them at once."""
    expired = Expired({})
    expired.note(10, {ALL: 1})
    expired.note(30, {ALL: 2})
    assert expired.total == 3
    assert expired.below(12) == {ALL: 1}
    assert expired.below(30) == {ALL: 3}
    assert expired.total == 3


def test_nothing_expired_is_nothing_in_the_metadata() -> None:
    """Nor in the totals by topic."""
    assert Expired({}).below(7) == {}
    assert total_by_topic({TP("a", 0): Expired({}), TP("b", 0): Expired({ALL: 2})}) == {"b": 2}


def test_totals_are_those_of_all_partitions_of_a_topic() -> None:
    """As a worker shows them."""
    totals = {TP("a", 0): Expired({ALL: 1}), TP("a", 1): Expired({ALL: 4})}
    assert total_by_topic(totals) == {"a": 5}
