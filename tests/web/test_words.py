"""The sentences of the dashboard, written out."""

import pytest

from streams.core import quantities
from streams.web import words

TEN = 36_000_000
"""1970-01-01T10:00Z."""


@pytest.mark.parametrize(
    ("number", "shown"), [(0, "0"), (1, "1"), (18_204, "18,204"), (10_000_000, "10,000,000")]
)
def test_numbers_have_separators(number: int, shown: str) -> None:
    """From nothing to ten million."""
    assert quantities.count(number) == shown


def test_a_noun_follows_its_number() -> None:
    """One event, more events."""
    assert quantities.count(1, "event") == "1 event"
    assert quantities.count(0, "event") == "0 events"
    assert quantities.count(2, "redelivery", "redeliveries") == "2 redeliveries"


@pytest.mark.parametrize(
    ("per_second", "shown"),
    [(0.0, "0"), (0.01, "< 0.1"), (0.44, "0.4"), (9.96, "10"), (52.3, "52"), (12_040.0, "12,040")],
)
def test_rates_are_short(per_second: float, shown: str) -> None:
    """One decimal where it matters."""
    assert quantities.rate(per_second) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "0 ms"),
        (0.31, "310 ms"),
        (2.34, "2.3 s"),
        (42.0, "42 s"),
        (59.8, "60 s"),
        (60.0, "1 min"),
        (3_540.0, "59 min"),
        (3_600.0, "1 h"),
        (7_800.0, "2 h 10 min"),
        (43_200.0, "12 h"),
        (180_000.0, "2 d 2 h"),
        (8_640_000.0, "100 d"),
    ],
)
def test_spans_have_two_units_at_most(seconds: float, shown: str) -> None:
    """As people say them."""
    assert quantities.span(seconds) == shown


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [
        (0, 0, "-"),
        (0, 10, "0 %"),
        (1, 10_000, "< 0.1 %"),
        (702_441, 941_203, "75 %"),
        (1, 40, "2.5 %"),
        (99_999, 100_000, "> 99.9 %"),
        (7, 7, "100 %"),
    ],
)
def test_shares_never_round_something_to_nothing_or_all(part: int, whole: int, shown: str) -> None:
    """A few of very many stay visible, and so does a gap."""
    assert quantities.percent(part, whole) == shown


@pytest.mark.parametrize(
    ("waiting", "settled", "shrinking", "said"),
    [
        (0, 0.0, None, "all caught up"),
        (10, 50.0, None, "a moment"),
        (18_204, 0.0, None, "never at this rate"),
        (18_204, 50.0, -3.0, "never at this rate"),
        (18_204, 50.0, 0.1, "never at this rate"),
        (18_204, 50.0, 20.0, "about 15 min"),
        (10_000_000, 500.0, 400.0, "about 6 h 57 min"),
        (3_000, 50.0, None, "about 1 min"),
    ],
)
def test_how_long_what_waits_will_take(
    waiting: int, settled: float, shrinking: float | None, said: str
) -> None:
    """By how fast it has become less, not by how fast it is worked on."""
    assert words.drained(waiting, settled, shrinking) == said
