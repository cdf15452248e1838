"""The clocks: what a step of the time of day does to them."""

import pytest

from streams.engine.wall_clock import ForwardTime, elapsed

HOUR_MS = 3_600_000


def test_the_elapsed_time_only_grows_whatever_the_time_of_day_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody may set that one."""
    monkeypatch.setattr("time.time", lambda: 0.0)
    monkeypatch.setattr("time.time_ns", lambda: 0)
    first, second = elapsed(), elapsed()
    assert 0.0 < first <= second


def test_a_step_backwards_is_not_followed_and_one_forwards_is() -> None:
    """A clock that was set right later than it should have been is believed."""
    wall_ms, passed = 1_000 * HOUR_MS, 7.0
    seen = ForwardTime(lambda: wall_ms, lambda: passed)
    assert seen.now_ms() == 1_000 * HOUR_MS
    wall_ms, passed = wall_ms - HOUR_MS, 8.0
    assert seen.now_ms() == 1_000 * HOUR_MS + 1_000
    wall_ms, passed = 1_002 * HOUR_MS, 9.0
    assert seen.now_ms() == 1_002 * HOUR_MS
