"""The wait before the next attempt: growing, with jitter, without end."""

from collections.abc import Callable, Sequence

JITTER = 0.5
"""A wait is drawn from the upper half of its step, so that queues do not retry together."""
MAX_RETRY_AFTER_SECONDS = 3_600.0


def wait_seconds(failures: int, steps: Sequence[float], random: Callable[[], float]) -> float:
    """Return the wait after this many failures in a row (1 or more); the last step repeats.

    ``random`` returns a number from 0 to 1.
    """
    step = steps[min(failures, len(steps)) - 1]
    return step * (1 - JITTER + JITTER * random())


def obeyed(retry_after_seconds: float) -> float:
    """Return the vendor's Retry-After in seconds, from 0 to an hour."""
    return min(max(retry_after_seconds, 0.0), MAX_RETRY_AFTER_SECONDS)
