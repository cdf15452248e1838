"""How long to wait before the next attempt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.delivery.retry import obeyed, wait_seconds

STEPS = (0.5, 1.0, 2.0, 30.0)


@pytest.mark.parametrize(
    ("failures", "shortest", "longest"),
    [(1, 0.25, 0.5), (2, 0.5, 1.0), (3, 1.0, 2.0), (4, 15.0, 30.0), (5, 15.0, 30.0), (999, 15, 30)],
)
def test_waits_grow_to_the_last_step_which_repeats(
    failures: int, shortest: float, longest: float
) -> None:
    """A wait lies in the upper half of its step."""
    assert wait_seconds(failures, STEPS, lambda: 0.0) == shortest
    assert wait_seconds(failures, STEPS, lambda: 1.0) == longest


@given(st.floats(allow_nan=False))
def test_a_retry_after_is_obeyed_up_to_an_hour_and_never_negative(asked: float) -> None:
    """Whatever a vendor writes there, the wait lies between now and an hour."""
    assert 0.0 <= obeyed(asked) <= 3600.0
    if 0.0 <= asked <= 3600.0:
        assert obeyed(asked) == asked
