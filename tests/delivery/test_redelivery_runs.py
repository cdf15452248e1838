"""A run that the vendor mostly refuses is found; the others go on."""

from streams.delivery.redelivery_runs import WATCHED_RUNS, RedeliveryRuns


def test_a_run_of_which_more_than_half_is_refused_stops_at_its_twentieth_response() -> None:
    """Eleven of twenty; ten would not do."""
    runs = RedeliveryRuns()
    assert runs.record("r-1", accepted=9, refused=10) == ""
    assert runs.record("r-1", accepted=0, refused=1) == "11 of its last 20 events were refused"


def test_half_is_not_more_than_half_and_an_acceptance_stops_nothing() -> None:
    """Only a refusal can tip the balance."""
    runs = RedeliveryRuns()
    assert runs.record("r-1", accepted=10, refused=10) == ""
    assert runs.record("r-1", accepted=200, refused=0) == ""


def test_only_the_last_two_hundred_responses_count() -> None:
    """A good beginning does not excuse what comes after it."""
    runs = RedeliveryRuns()
    runs.record("r-1", accepted=10_000, refused=0)
    assert runs.record("r-1", accepted=0, refused=100) == ""
    assert runs.record("r-1", accepted=0, refused=1) == "101 of its last 200 events were refused"


def test_another_run_is_judged_by_its_own_responses() -> None:
    """And the stopped one, if it is resumed, by new ones."""
    runs = RedeliveryRuns()
    assert runs.record("r-1", accepted=0, refused=20) == "20 of its last 20 events were refused"
    assert runs.record("r-2", accepted=20, refused=19) == ""
    assert runs.record("r-1", accepted=0, refused=19) == ""


def test_no_more_runs_are_remembered_than_there_can_be_at_a_time() -> None:
    """What strangers write as run ids cannot fill the memory."""
    runs = RedeliveryRuns()
    for number in range(WATCHED_RUNS + 1):
        runs.record(f"r-{number}", accepted=0, refused=19)
    assert runs.record("r-0", accepted=0, refused=1) == ""
    assert runs.record(f"r-{WATCHED_RUNS}", accepted=0, refused=1) != ""
