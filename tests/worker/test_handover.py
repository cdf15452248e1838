"""What a worker leaves behind for the one that is started in its place."""

from pathlib import Path

from streams.core.snapshot import Outcomes, Restarts
from streams.worker.handover import Handover, exit_words

NOW = 1_777_000_000_000


def test_the_first_worker_of_a_slot_was_not_restarted(tmp_path: Path) -> None:
    """There was none before."""
    assert Handover(tmp_path / "x.json", NOW).restarts(NOW) == Restarts()


def test_an_orderly_stop_is_no_failure(tmp_path: Path) -> None:
    """A deployment restarts everything."""
    Handover(tmp_path / "x.json", NOW).end()
    assert Handover(tmp_path / "x.json", NOW + 1).restarts(NOW + 1) == Restarts()


def test_each_failure_is_counted_for_an_hour(tmp_path: Path) -> None:
    """With the last exit as the supervisor saw it; a kill leaves no word of its own."""
    path = tmp_path / "x.json"
    Handover(path, NOW)
    Handover(path, NOW + 1_000, exit_words(70))
    third = Handover(path, NOW + 2_000, exit_words(-9))
    assert third.restarts(NOW + 2_000) == Restarts([NOW + 1_000, NOW + 2_000], "signal 9")
    assert third.restarts(NOW + 3_601_500) == Restarts([NOW + 2_000], "signal 9")
    assert third.restarts(NOW + 3_700_000) == Restarts()


def test_outcomes_outlive_the_process(tmp_path: Path) -> None:
    """As of when they were kept last."""
    path = tmp_path / "x.json"
    letters = {"miso": Outcomes(0, {}, {"rejected": 400})}
    Handover(path, NOW).save(NOW + 11_000, letters)
    after = Handover(path, NOW + 30_000)
    assert (after.carried, after.carried_at_ms) == (letters, NOW + 11_000)


def test_what_a_clock_that_was_ahead_left_is_not_taken_for_news(tmp_path: Path) -> None:
    """Otherwise three failed starts would be a crash loop until that time comes."""
    path, ahead = tmp_path / "x.json", NOW + 3 * 86_400_000
    letters = {"miso": Outcomes(0, {}, {"rejected": 400})}
    Handover(path, ahead)
    was_ahead = Handover(path, ahead + 1_000)
    was_ahead.save(ahead + 12_000, letters)
    # The clock is set while it runs, and then it ends.
    assert was_ahead.restarts(NOW) == Restarts()
    after = Handover(path, NOW + 1_000, exit_words(-9))
    assert after.restarts(NOW + 1_000) == Restarts([NOW + 1_000], "signal 9")
    assert (after.carried, after.carried_at_ms) == ({}, 0)
    # From then on outcomes are kept again.
    was_ahead.save(NOW + 2_000, letters)
    assert Handover(path, NOW + 3_000).carried == letters


def test_a_damaged_file_costs_nothing(tmp_path: Path) -> None:
    """The history begins anew."""
    path = tmp_path / "x.json"
    path.write_bytes(b'{"started_at": ')
    assert Handover(path, NOW).restarts(NOW) == Restarts()
