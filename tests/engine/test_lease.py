"""How long a worker may take its membership for granted."""

import pytest

from streams.engine.lease import Lease, Moment


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.moment = Moment(1_000.0, 5_000.0)

    def __call__(self) -> Moment:
        """Return the moment."""
        return self.moment


def test_nobody_is_a_member_before_a_heartbeat_was_answered() -> None:
    """However young the process is."""
    assert not Lease(10.0, Clock()).holds()


@pytest.mark.parametrize(
    ("running", "wall", "holds"),
    [
        (7.9, 7.9, True),
        (8.0, 8.0, False),
        (20.0, 20.0, False),
        # A virtual machine stood still, and then its time of day was set right.
        (0.1, 3_600.0, False),
        # Somebody set the time of day back.
        (1.0, -3_600.0, True),
        (9.0, -3_600.0, False),
    ],
)
def test_a_lease_ends_before_the_session_by_whichever_clock_says_more(
    running: float, wall: float, holds: bool
) -> None:
    """Of a session of ten seconds eight are relied on."""
    clock = Clock()
    lease = Lease(10.0, clock)
    lease.renew(lease.now())
    clock.moment = Moment(1_000.0 + running, 5_000.0 + wall)
    assert lease.holds() is holds


def test_a_member_that_the_broker_does_not_know_has_no_lease() -> None:
    """At once, whatever time is left."""
    lease = Lease(10.0, Clock())
    lease.renew(lease.now())
    assert lease.holds()
    lease.end()
    assert not lease.holds()
