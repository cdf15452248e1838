"""Where ``streams trace`` looks: slices of time, and the ways in which a text is written."""

import json

from hypothesis import given
from hypothesis import strategies as st

from streams.kafka.byte_patterns import AnyOf
from streams.operations.trace.slices import in_json, slices

MINUTE = 60_000
NOW = 1_777_000_000_000


def test_slices_go_back_from_now_to_the_time_that_was_asked_for() -> None:
    """Small ones first: most questions are about what has just happened."""
    assert slices(NOW, NOW - 60 * MINUTE) == [
        NOW - 2 * MINUTE,
        NOW - 10 * MINUTE,
        NOW - 30 * MINUTE,
        NOW - 60 * MINUTE,
    ]
    assert slices(NOW, NOW - MINUTE) == [NOW - MINUTE]
    assert slices(NOW, NOW) == [NOW]


def test_days_are_looked_through_one_by_one() -> None:
    """Until the beginning that was asked for, however old."""
    found = slices(NOW, NOW - 3 * 24 * 60 * MINUTE)
    assert found[5:] == [
        NOW - 12 * 60 * MINUTE,
        NOW - 36 * 60 * MINUTE,
        NOW - 60 * 60 * MINUTE,
        NOW - 72 * 60 * MINUTE,
    ]


@given(st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable()))
def test_a_text_is_found_however_its_encoder_writes_it(text: str) -> None:
    """Escaped to ASCII, plain, with escaped slashes."""
    byte_pattern = AnyOf(in_json(text))
    for written in (
        json.dumps({"id": text}),
        json.dumps({"id": text}, ensure_ascii=False),
        json.dumps({"id": text}).replace("/", "\\/"),
    ):
        value = written.encode("utf-8", "replace")
        assert byte_pattern.is_in(value, 0, len(value))
