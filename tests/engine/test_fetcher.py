"""How often the broker is asked for records."""

import pytest

from streams.engine.fetcher import PATIENT, PROMPT, FetchPace, Gathering


def paced(records_a_second: float, gathering: Gathering = PROMPT) -> FetchPace:
    """Return a pace that has seen such a rate for three seconds, and was asked at second 100."""
    pace = FetchPace(gathering)
    for tenth in range(971, 1001):
        pace.record_records(round(records_a_second / 10), tenth / 10)
    pace.record_request(100.0)
    return pace


@pytest.mark.parametrize(
    ("records_a_second", "apart"),
    [(0, 0.1), (10, 0.1), (50, 0.06), (100, 0.03), (200, 0.02), (500, 0.02), (1900, 0.02)],
)
def test_requests_are_as_far_apart_as_it_takes_for_three_records_to_come(
    records_a_second: int, apart: float
) -> None:
    """But no less than 20 ms, and no more than a record may wait."""
    pace = paced(records_a_second)
    assert pace.wait(100.0) == pytest.approx(apart, rel=0.1)


@pytest.mark.parametrize(
    ("records_a_second", "apart"),
    [(0, 0.1), (50, 0.1), (200, 0.075), (500, 0.03), (1900, 0.03)],
)
def test_a_patient_stage_waits_for_more_records_but_no_longer(
    records_a_second: int, apart: float
) -> None:
    """Its outputs wait longer than this afterwards."""
    pace = paced(records_a_second, PATIENT)
    assert pace.wait(100.0) == pytest.approx(apart, rel=0.1)


def test_a_record_that_comes_after_a_silence_waits_for_nothing() -> None:
    """The request that brought it was made long ago."""
    assert paced(0).wait(100.25) <= 0


def test_under_load_the_next_request_waits_for_nothing() -> None:
    """More waits at the broker than one hand-over took."""
    pace = paced(1000)
    pace.record_records(200, 100.001)
    assert pace.wait(100.002) <= 0


def test_the_pace_follows_a_rate_that_falls() -> None:
    """Within a second or two."""
    pace = paced(1000)
    for tenth in range(1001, 1025):
        pace.record_records(1, tenth / 10)
    pace.record_request(102.5)
    assert pace.wait(102.5) == pytest.approx(0.1)


def test_while_a_micro_batch_gathers_records_are_requested_shortly_before_it_is_due() -> None:
    """One request brings all of them, the earlier the more there are to take."""
    pace = paced(500)
    assert pace.wait(100.01, wanted_at=100.2) == pytest.approx(0.19 - 0.023, rel=0.01)
    assert paced(1900).wait(100.01, wanted_at=100.2) == pytest.approx(0.19 - 0.045, rel=0.01)
    assert pace.wait(100.19, wanted_at=100.2) <= 0


def test_rows_of_tables_are_requested_however_late_records_are_wanted() -> None:
    """A visitor may withdraw consent while a batch gathers for a minute."""
    assert paced(500).wait(100.0, wanted_at=160.0) == pytest.approx(0.25)


def test_the_request_before_a_batch_is_not_repeated_while_it_is_still_due() -> None:
    """It has just brought what there is."""
    assert paced(500).wait(100.0, wanted_at=100.005) == pytest.approx(0.02)


def test_records_are_taken_before_more_are_requested() -> None:
    """With the first of a batch it is known when the batch is due."""
    pace = paced(50)
    pace.record_records(1, 100.3)
    assert pace.wait(100.3) == pytest.approx(0.005)


def test_under_load_no_request_waits_for_a_batch_to_be_due() -> None:
    """It will be full before."""
    pace = paced(1000)
    pace.record_records(200, 100.001)
    assert pace.wait(100.002, wanted_at=100.2) <= 0
