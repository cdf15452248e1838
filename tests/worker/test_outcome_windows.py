"""What a worker says of the last minutes: outcomes, and how fast work comes and goes."""

from streams.core.snapshot import Outcomes, Trend
from streams.worker.outcome_windows import OutcomeWindows, Throughput


def counts(accepted: int, **letters: int) -> dict[str, Outcomes]:
    """Return Miso's counts since a start."""
    return {"miso": Outcomes(accepted, {}, letters)}


def test_what_a_young_worker_counted_is_all_of_the_last_minutes() -> None:
    """It has no time before."""
    windows = OutcomeWindows()
    for second in range(60):
        windows.sample(float(second), counts(second, rejected=2))
    assert windows.windows() == ({"miso": Outcomes(59, {}, {"rejected": 2})}, {})


def test_after_ten_minutes_outcomes_belong_to_the_time_before() -> None:
    """Two dead letters at the beginning are no longer new; none has come since."""
    windows = OutcomeWindows()
    for second in range(0, 900, 5):
        windows.sample(float(second), counts(second, rejected=2))
    lately, before = windows.windows()
    assert lately == {"miso": Outcomes(600, {}, {})}
    assert before == {"miso": Outcomes(295, {}, {"rejected": 2})}


def test_after_an_hour_outcomes_are_forgotten() -> None:
    """Neither window holds them."""
    windows = OutcomeWindows()
    windows.sample(0.0, counts(7))
    for second in range(10, 8_000, 10):
        windows.sample(float(second), counts(7))
    assert windows.windows() == ({}, {})


def test_what_the_process_before_counted_lately_stays_new() -> None:
    """A crash takes no dead letter out of sight; after ten minutes it is old, as any other."""
    windows = OutcomeWindows(counts(0, rejected=400), carried_at=-5.0)
    windows.sample(0.0, {})
    assert windows.windows() == (counts(0, rejected=400), {})
    windows.sample(596.0, {})
    assert windows.windows() == ({}, counts(0, rejected=400))


def test_rates_over_less_than_two_minutes_are_no_trend() -> None:
    """A burst looks like the end of the world for a while."""
    pace = Throughput()
    for second in range(0, 115, 5):
        pace.sample(float(second), 0, 100 * second, "p")
    assert pace.trend() is None


def test_the_trend_is_what_came_in_and_what_was_settled() -> None:
    """50 a second come in, 20 are settled."""
    pace = Throughput()
    for second in range(0, 125, 5):
        pace.sample(float(second), 20 * second, 30 * second, "p")
    assert pace.trend() == Trend(120.0, 50.0, 20.0)


def test_other_partitions_begin_a_new_look() -> None:
    """What another worker left behind did not come in just now."""
    pace = Throughput()
    for second in range(0, 125, 5):
        pace.sample(float(second), 20 * second, 30 * second, "p")
    pace.sample(125.0, 2_500, 900_000, "p and q")
    assert pace.trend() is None
