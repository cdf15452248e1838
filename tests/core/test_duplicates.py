"""Duplicates: found exactly within the window, never for another event, and bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core import duplicates
from streams.core.duplicates import PassedOn, bits, identity, trim

MINUTE = 60_000
WINDOW = 10 * MINUTE
T = 1_795_168_800_000
VENDORS = ("eightselect", "voyado", "miso")
ALL = 0b111
ANNA = identity(b"anna", "e1")


def passed_on() -> PassedOn:
    """What a partition passed on: nothing yet, to three vendors, for ten minutes."""
    return PassedOn(WINDOW, VENDORS)


def test_a_repeat_at_another_offset_is_found_for_the_vendors_that_got_the_first() -> None:
    """And for no other."""
    made = passed_on()
    made.add(ANNA, 7, T, bits(VENDORS)["voyado"] | bits(VENDORS)["miso"])
    assert made.vendors_of(ANNA, 8, T + 5, None) == ("voyado", "miso")
    assert made.vendors_of(identity(b"bert", "e1"), 8, T + 5, None) == ()
    assert made.vendors_of(identity(b"anna", "e2"), 8, T + 5, None) == ()


def test_a_record_that_is_read_again_is_not_its_own_duplicate() -> None:
    """After a crash or a rebalance its place is the same."""
    made = passed_on()
    made.add(ANNA, 7, T, ALL)
    assert made.vendors_of(ANNA, 7, T, None) == ()
    made.add(ANNA, 7, T, ALL)
    assert made.vendors_of(ANNA, 8, T, None) == VENDORS
    assert len(made) == 1


@pytest.mark.parametrize(
    ("later_ms", "found"),
    [(0, True), (WINDOW, True), (WINDOW + 1, False), (-WINDOW, True), (-WINDOW - 1, False)],
)
def test_the_window_is_exact_to_the_millisecond(later_ms: int, found: bool) -> None:
    """In both directions, since producers' clocks differ."""
    made = passed_on()
    made.add(ANNA, 7, T, ALL)
    assert bool(made.vendors_of(ANNA, 8, T + later_ms, None)) is found


def test_what_was_passed_on_before_the_visitor_was_forgotten_does_not_count() -> None:
    """A tombstone makes the visitor a new one."""
    made = passed_on()
    made.add(ANNA, 7, T, ALL)
    assert made.vendors_of(ANNA, 8, T + 2, T - 1) == VENDORS
    assert made.vendors_of(ANNA, 8, T + 2, T) == ()


def test_places_of_one_identity_add_up() -> None:
    """First one vendor got it, later another, each from its own record."""
    made = passed_on()
    made.add(ANNA, 7, T, 0b001)
    made.add(ANNA, 8, T + MINUTE, 0b100)
    assert made.vendors_of(ANNA, 9, T + 2 * MINUTE, None) == ("eightselect", "miso")
    assert made.vendors_of(ANNA, 9, T + 10 * MINUTE + 1, None) == ("miso",)
    assert made.vendors_of(ANNA, 8, T + 2 * MINUTE, None) == ("eightselect",)


def test_what_is_read_back_is_known_in_any_order() -> None:
    """Vendor by vendor, each from its own topic, some of it twice."""
    made = passed_on()
    for vendor in (0b100, 0b001):
        for minute in (9, 0, 4, 4):
            made.recall(identity(b"anna", f"e{minute}"), minute, T + minute * MINUTE, vendor)
    assert len(made) == 3
    made.advance(T + 10 * MINUTE, T + 10 * MINUTE)
    for minute in (0, 4, 9):
        who = identity(b"anna", f"e{minute}")
        assert made.vendors_of(who, 99, T + 10 * MINUTE, None) == ("eightselect", "miso")
        assert made.vendors_of(who, minute, T + 10 * MINUTE, None) == ()


def test_ids_are_forgotten_after_at_most_one_and_a_half_windows() -> None:
    """One event a second for an hour: never fewer than those of 10 minutes, nor more than of 15."""
    made = passed_on()
    for second in range(3600):
        now = T + second * 1000
        made.advance(now, now)
        made.add(identity(b"anna", f"e{second}"), second, now, ALL)
        assert min(second + 1, 601) <= len(made) <= 901
        first = identity(b"anna", f"e{max(0, second - 600)}")
        assert made.vendors_of(first, -1, now, None) == VENDORS


def test_a_chunk_that_spans_long_is_not_forgotten_by_its_first_record() -> None:
    """What its last record passed on is as young as that one."""
    made = passed_on()
    made.advance(T, T + 9 * MINUTE)
    made.add(ANNA, 7, T + 9 * MINUTE, ALL)
    for minute in (9, 12, 15, 18):
        made.advance(T + minute * MINUTE, T + minute * MINUTE)
    assert made.vendors_of(ANNA, 8, T + 18 * MINUTE, None) == VENDORS


def test_the_oldest_go_first_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever partition they are of; what is kept is the newest."""
    monkeypatch.setattr(duplicates, "MAX_GENERATION_IDS", 10)
    first, second = passed_on(), passed_on()
    for number in range(100):
        for made in (first, second):
            made.advance(T + number, T + number)
            made.add(identity(b"anna", f"e{number}"), number, T + number, ALL)
    assert trim([first, second], 200) == 0
    assert trim([first, second], 150) == 50
    assert len(first) + len(second) == 150
    for made in (first, second):
        assert made.vendors_of(identity(b"anna", "e99"), -1, T + 100, None) == VENDORS
        assert made.vendors_of(identity(b"anna", "e0"), -1, T + 100, None) == ()
    assert trim([first, second], 0) == 150
    assert len(first) + len(second) == 0


texts = st.text(max_size=3) | st.text(min_size=80, max_size=90)


@given(texts, texts, texts, texts)
def test_identities_are_equal_only_for_equal_visitors_and_ids(
    visitor: str, event_id: str, other: str, other_id: str
) -> None:
    """Whatever the texts hold; long ones take 16 bytes."""
    one, two = identity(visitor.encode(), event_id), identity(other.encode(), other_id)
    assert (one == two) is ((visitor, event_id) == (other, other_id))
    assert len(one) <= 80


places = st.tuples(
    st.sampled_from("abc"),
    st.integers(0, 30).map(lambda minute: T + minute * MINUTE // 2),
    st.integers(1, 7),
)


@given(st.lists(places, max_size=40), st.lists(st.booleans(), min_size=40, max_size=40))
def test_found_is_what_a_plain_list_of_all_places_says(
    given_places: list[tuple[str, int, int]], is_recalled: list[bool]
) -> None:
    """Nothing more, whatever the order of times; and nothing less, where times do not fall."""
    made, known = passed_on(), list[tuple[str, int, int, int]]()
    newest = 0
    for offset, ((event_id, ms, vendors), recalled) in enumerate(
        zip(given_places, is_recalled, strict=False)
    ):
        who = identity(b"anna", event_id)
        wanted = 0
        for other, at, other_ms, to in known:
            if other == event_id and at != offset and abs(ms - other_ms) <= WINDOW:
                wanted |= to
        if recalled and not newest:
            made.recall(who, offset, ms, vendors)
        else:
            made.advance(ms, ms)
            found = sum(bits(VENDORS)[vendor] for vendor in made.vendors_of(who, offset, ms, None))
            assert found & ~wanted == 0
            if ms >= newest:
                newest = ms
                assert found == wanted or any(known_ms > ms for _, _, known_ms, _ in known)
            made.add(who, offset, ms, vendors)
        known.append((event_id, offset, ms, vendors))
