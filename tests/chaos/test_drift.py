"""A soak tells what grows from what merely varies."""

from tests.chaos.drift import FILES, MEMORY, START, THREADS, drift


def test_what_varies_does_not_drift() -> None:
    """One peak in the last quarter is no drift: the medians count."""
    found = drift("miso", "memory, MiB", [90, 92, 91, 93, 90, 92, 91, 90, 92, 91, 190, 92], MEMORY)
    assert (found.first, found.last, found.is_broken) == (91, 92, False)


def test_what_grows_steadily_drifts_beyond_its_tolerance() -> None:
    """From 93.5 MiB on 10 % and 8 MiB more are allowed."""
    found = drift("miso", "memory, MiB", list(range(90, 122)), MEMORY)
    assert (found.first, found.last, round(found.limit, 2)) == (93.5, 117.5, 110.85)
    assert found.words == "miso: memory, MiB drifted from 93.5 to 117.5, 110.9 at most"
    assert found.is_broken


def test_each_thing_has_its_own_tolerance() -> None:
    """Two threads, eight files; a start may take half again and a second."""
    assert not drift("x", "threads", [10] * 6 + [12] * 6, THREADS).is_broken
    assert drift("x", "threads", [10] * 6 + [13] * 6, THREADS).is_broken
    assert not drift("x", "files", [40] * 6 + [48] * 6, FILES).is_broken
    assert drift("x", "files", [40] * 6 + [49] * 6, FILES).is_broken
    assert not drift("x", "start", [2.0] * 6 + [4.0] * 6, START).is_broken
    assert drift("x", "start", [2.0] * 6 + [4.1] * 6, START).is_broken


def test_too_few_samples_are_no_proof() -> None:
    """Seven, or none at all, end a soak with 1."""
    assert drift("x", "threads", [10] * 7, THREADS).words == "x: only 7 samples of threads"
    assert drift("x", "threads", [10] * 7, THREADS).is_broken
    assert drift("x", "threads", [], THREADS).is_broken
    assert not drift("x", "threads", [10] * 8, THREADS).is_broken
