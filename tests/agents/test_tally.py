"""What a worker counts."""

from streams.agents.tally import Tally


def test_ages_are_percentiles_of_the_newest() -> None:
    """Of at most two thousand."""
    tally = Tally()
    assert tally.ages() == {}
    tally.note_ages([3.0])
    assert tally.ages() == {"p50": 3.0, "p95": 3.0}
    tally.note_ages([float(n) for n in range(100_000)])
    assert tally.ages() == {"p50": 98_999.0, "p95": 99_899.0}


def test_the_rate_is_that_of_the_last_ten_seconds() -> None:
    """Not since the start."""
    tally = Tally()
    assert tally.sample_rate(100.0) == 0.0
    for second in range(1, 21):
        tally.events += 50 if second > 10 else 0
        rate = tally.sample_rate(100.0 + second)
    assert rate == 50.0
