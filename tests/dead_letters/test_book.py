"""Open letters: copies count once, resolutions close, equal causes are one group."""

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.topics import Topics
from streams.dead_letters import compact
from streams.dead_letters.book import (
    MAX_CAUSES,
    OTHER,
    LetterBook,
    Position,
    Selection,
    UnreadableLetterError,
    all_groups,
    encode_resolution,
    kafka_time,
    words_of,
)
from streams.operations.audit.decode import read_letter

TOPIC = "vendor.miso.dead-letters"
AT_MS = 1_777_622_400_000
"""2026-05-01T08:00:00Z"""


def letter(offset: int, partition: int = 0, **more: Any) -> bytes:
    """A letter about the click at this offset."""
    fields = {
        "stage": "deliver",
        "vendor": "miso",
        "reason": "rejected",
        "detail": "product_ids is invalid.",
        "fingerprint": "k7m2pq9x",
        "attempts": 1,
        "at": "2026-05-01T08:00:00.000Z",
        "source": {
            "topic": "shop.clicks",
            "partition": partition,
            "offset": offset,
            "timestamp": 1,
        },
        "record": "{}",
        "record_bytes": 2,
    }
    return json.dumps(fields | more).encode()


def resolution(offset: int, partition: int = 0, action: str = "dropped") -> bytes:
    """The note that the letter at this offset was dropped."""
    return encode_resolution(Position(TOPIC, partition, offset), action, "2026-05-01T09:00:00.000Z")


EVERY = Selection()


def book_of(*values: bytes, first_offset: int = 0, selection: Selection = EVERY) -> LetterBook:
    """A book over these records of partition 0, a second apart."""
    book = LetterBook("miso", TOPIC, Topics(), selection)
    for offset, value in enumerate(values, first_offset):
        book.add(0, offset, AT_MS + 1000 * offset, value)
    return book


def open_sources(book: LetterBook) -> list[str]:
    """The raw records whose letters are open."""
    return [str(one.source) for one in book]


def test_a_letter_written_twice_counts_once() -> None:
    """After a crash the same record is refused again: one letter, first and last seen."""
    (one,) = book_of(letter(7), letter(7))
    assert one.copies == 2
    assert (one.first_ms, one.last_ms) == (AT_MS, AT_MS + 1000)
    assert str(one.position) == "vendor.miso.dead-letters-0-1"
    assert str(one.source) == "shop.clicks/0/7"


def test_a_resolution_closes_the_letter_that_it_names() -> None:
    """And no other."""
    book = book_of(letter(7), letter(8), resolution(0))
    assert open_sources(book) == ["shop.clicks/0/8"]
    assert book.resolved == {"dropped": 1}


@pytest.mark.parametrize("named", [0, 1])
def test_a_resolution_of_any_copy_closes_the_letter(named: int) -> None:
    """Both lie before it and are about the same record."""
    assert open_sources(book_of(letter(7), letter(7), resolution(named))) == []


def test_a_letter_after_its_resolution_is_open_anew() -> None:
    """What was sent again and refused again is not hidden by the note on the first letter."""
    book = book_of(letter(7), resolution(0, action="resent"), letter(7))
    assert (len(book), book.resolved) == (1, {"resent": 1})


def test_a_second_resolution_of_the_first_letter_leaves_the_new_one_open() -> None:
    """Two people may drop the same letter; what came after is neither's."""
    book = book_of(letter(7), resolution(0), letter(7), resolution(0))
    assert (len(book), book.resolved) == (1, {"dropped": 1})


def test_a_resolution_of_a_letter_that_retention_deleted_is_nothing() -> None:
    """The note outlives the letter by what lies between them."""
    book = book_of(resolution(3), letter(9), first_offset=5)
    assert open_sources(book) == ["shop.clicks/0/9"]


def test_a_resolution_on_another_partition_counts_whichever_is_read_first() -> None:
    """Other tools may not keep to the letter's partition."""
    early, late = LetterBook("miso", TOPIC, Topics()), LetterBook("miso", TOPIC, Topics())
    early.add(1, 0, AT_MS, resolution(0))
    early.add(0, 0, AT_MS, letter(7))
    late.add(0, 0, AT_MS, letter(7))
    late.add(1, 0, AT_MS, resolution(0))
    assert open_sources(early) == open_sources(late) == []


def test_a_record_without_an_id_has_that_of_its_place() -> None:
    """The prefix is no part of it, as in enrichment."""
    value = letter(44, source={"topic": "t1.shop.clicks", "partition": 2, "offset": 44})
    for event_id in ("shop.clicks-2-44", None):
        topic = "t1.enrich.dead-letters"
        book = LetterBook("enrich", topic, Topics("t1."), Selection(event_id=event_id))
        book.add(2, 0, AT_MS, value)
        (one,) = book
        assert words_of(one, value).event_id == "shop.clicks-2-44"


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\xff",
        b"[]",
        b'"text"',
        b"{}",
        b'{"resolves": 7}',
        b'{"resolves": ["a-0-1"]}',
        b'{"resolves": "vendor.miso.dead-letters"}',
        b'{"resolves": "vendor.miso.dead-letters-x-1"}',
        b'{"resolves": "vendor.miso.dead-letters-0--1"}',
        b'{"resolves": "vendor.voyado.dead-letters-0-1"}',
        letter(1, source={"topic": "shop.clicks"}),
        letter(1, reason=None),
        letter(-1),
        letter(2**50),
        letter(1, more=10**400),
        letter(1)[:-1] + b', "deep": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        letter(1)[:-1] + b', "many": 1e999}',
    ],
)
def test_what_is_neither_letter_nor_resolution_is_named(value: bytes | None) -> None:
    """Whatever a stranger writes there."""
    book = LetterBook("miso", TOPIC, Topics())
    with pytest.raises(UnreadableLetterError):
        book.add(0, 0, AT_MS, value)
    assert len(book) == 0


@given(st.binary())
def test_any_bytes_are_taken_or_named(value: bytes) -> None:
    """Nothing else is raised."""
    book = LetterBook("miso", TOPIC, Topics())
    try:
        book.add(0, 0, AT_MS, value)
    except UnreadableLetterError:
        assert len(book) == 0


def test_the_resolution_is_the_one_of_the_contract_and_nothing_to_an_audit() -> None:
    """Compact JSON; with a run where one sent it again. The books of an audit pass it over."""
    note = encode_resolution(Position(TOPIC, 0, 7), "dropped", "2026-05-01T09:00:00.000Z")
    assert note == (
        b'{"resolves":"vendor.miso.dead-letters-0-7","action":"dropped",'
        b'"at":"2026-05-01T09:00:00.000Z"}'
    )
    resent = encode_resolution(Position(TOPIC, 0, 7), "resent", "2026-05-01T09:00:00.000Z", "r-1")
    assert json.loads(resent)["run_id"] == "r-1"
    assert read_letter(note) is None
    assert read_letter(resent) is None


def test_a_position_reads_back() -> None:
    """Topic names have dashes of their own."""
    text = "eu-1.vendor.miso.dead-letters-5-1234567890123"
    assert str(Position.parse(text)) == text
    assert Position.parse(text) == ("eu-1.vendor.miso.dead-letters", 5, 1234567890123)


def test_equal_causes_are_one_group_and_the_most_frequent_comes_first() -> None:
    """With when it began, when it was last seen, the newest as the example, and the fix."""
    values = (
        letter(1, reason="defect", fingerprint="aaaaaaaa", detail="KeyError: 'x'"),
        letter(2, detail="product_ids is invalid. The product 'a' is unknown.", status=422),
        letter(3, detail="product_ids is invalid. The product 'b' is unknown.", event_id="e-3"),
    )
    first, second = book_of(*values).groups()
    assert first.to_json() == {
        "vendor": "miso",
        "reason": "rejected",
        "fingerprint": "k7m2pq9x",
        "open": 2,
        "first_seen": "2026-05-01T08:00:01.000Z",
        "last_seen": "2026-05-01T08:00:02.000Z",
        "example": {
            "event_id": "e-3",
            "detail": "product_ids is invalid. The product 'b' is unknown.",
            "status": None,
            "source": "shop.clicks/0/3",
            "position": "vendor.miso.dead-letters-0-2",
        },
        "fix": (
            "The id is not in Miso's catalogue: upload the product there, or set [miso] "
            "product_id to the id that the catalogue has (sku or product_id)."
        ),
    }
    assert (second.cause.reason, second.open) == ("defect", 1)


def test_equal_fingerprints_of_two_vendors_are_two_groups() -> None:
    """Each is repaired by itself."""
    books = []
    for owner in ("miso", "voyado"):
        book = LetterBook(owner, f"vendor.{owner}.dead-letters", Topics())
        book.add(0, 0, AT_MS, letter(1, reason="too_large", fingerprint="bbbbbbbb"))
        books.append(book)
    assert [one.owner for one in all_groups(books)] == ["miso", "voyado"]


def test_a_selection_is_all_of_its_parts() -> None:
    """Each part that is given must agree; the time is that of the newest copy."""
    values = [letter(7, event_id="e-7"), letter(7, event_id="e-7")]
    for selection in (Selection(), Selection("miso", "k7m2pq9x", "e-7", AT_MS + 1000)):
        assert len(book_of(*values, selection=selection)) == 1
    for other in (
        Selection(fingerprint="k7m2pq9"),
        Selection(event_id="e-8"),
        Selection(since_ms=AT_MS + 1001),
    ):
        assert len(book_of(*values, selection=other)) == 0


def test_times_that_are_none_are_shown_as_the_nearest() -> None:
    """Producers choose a record's time; -1 and the far future end no listing."""
    assert kafka_time(-1) == "1970-01-01T00:00:00.000Z"
    assert kafka_time(2**62) == "9999-12-31T23:59:59.999Z"


@given(st.lists(st.tuples(st.sampled_from("LR"), st.integers(0, 5)), max_size=40))
def test_open_is_what_was_written_after_its_last_resolution(steps: list[tuple[str, int]]) -> None:
    """Against a model: a set of open sources, and which source lies at which offset.

    A resolution closes only where the letter it names belongs to what is open now.
    """
    book = LetterBook("miso", TOPIC, Topics())
    open_copies: dict[int, set[int]] = {}
    for offset, (kind, number) in enumerate(steps):
        if kind == "L":
            book.add(0, offset, AT_MS, letter(number))
            open_copies.setdefault(number, set()).add(offset)
        else:
            book.add(0, offset, AT_MS, resolution(number))
            open_copies = {s: copies for s, copies in open_copies.items() if number not in copies}
    assert sorted(open_sources(book)) == sorted(f"shop.clicks/0/{s}" for s in open_copies)


def test_what_failed_again_before_its_resend_was_noted_is_a_letter_of_its_own() -> None:
    """A note that a copy was sent again closes it and older copies, never a newer one."""
    run_id = "r-20260501-080000-ab12"
    note = encode_resolution(Position(TOPIC, 0, 1), "resent", "2026-05-01T09:00:00.000Z", run_id)
    values = [letter(7), letter(7), letter(7, reason="invalid_payload"), note]
    book = LetterBook("miso", TOPIC, Topics(), closed_by=run_id)
    for offset, value in enumerate(values):
        book.add(0, offset, AT_MS, value)
    assert (book.resolved, [str(one.source) for one in book.of_run()]) == (
        {"resent": 1},
        ["shop.clicks/0/7"],
    )
    (second,) = book
    assert (second.copies, second.cause.reason) == (1, "invalid_payload")
    assert second.position == Position(TOPIC, 0, 2)
    (one,) = book.groups()
    assert (one.cause.reason, one.open) == ("invalid_payload", 1)
    book.add(0, 4, AT_MS, resolution(2))
    assert (open_sources(book), book.groups()) == ([], [])


def test_a_groups_times_and_example_are_those_of_what_is_open() -> None:
    """Also after its oldest and newest letters were closed: then the example is read again."""
    book = book_of(*(letter(n, event_id=f"e-{n}") for n in range(5)), resolution(0), resolution(4))
    (one,) = book.groups()
    assert (one.open, one.first_ms, one.last_ms) == (3, AT_MS + 1000, AT_MS + 3000)
    assert (str(one.example.position), one.words) == (f"{TOPIC}-0-3", None)


Step = tuple[str, int, int]


class Model:
    """The same by plain lists: every letter, its copies, and who closed it."""

    def __init__(self) -> None:
        self.letters: list[dict[str, Any]] = []

    def letter(self, offset: int, source: int, cause: int) -> None:
        """Write one."""
        for one in self.letters:
            if one["source"] == source and one["closed"] is None:
                one["copies"].append((offset, cause))
                return
        self.letters.append({"source": source, "copies": [(offset, cause)], "closed": None})

    def resolve(self, offset: int, action: str) -> None:
        """Write a note about what lies at this offset."""
        for one in self.letters:
            if one["closed"] is None and offset in dict(one["copies"]):
                one["closed"] = action
                newest, cause = one["copies"][-1]
                if action == "resent" and newest > offset:
                    self.letter(newest, one["source"], cause)
                return

    def open(self) -> list[tuple[int, int, int, int]]:
        """Newest offset, source, cause, copies."""
        return sorted(
            (one["copies"][-1][0], one["source"], one["copies"][0][1], len(one["copies"]))
            for one in self.letters
            if one["closed"] is None
        )


steps = st.lists(
    st.tuples(
        st.sampled_from(["letter", "dropped", "resent"]), st.integers(0, 12), st.integers(0, 2)
    ),
    max_size=60,
)


@given(steps)
def test_packed_letters_are_what_plain_lists_say(taken: list[Step]) -> None:
    """Whatever is written, copied and resolved in whatever order; blocks are packed early."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compact, "BLOCK", 8)
        patch.setattr(compact, "_RARE", 2)
        book, model = LetterBook("miso", TOPIC, Topics()), Model()
        for offset, (kind, number, cause) in enumerate(taken):
            if kind == "letter":
                book.add(0, offset, AT_MS + offset, letter(number, fingerprint=f"cause-{cause}"))
                model.letter(offset, number, cause)
            else:
                book.add(0, offset, AT_MS + offset, resolution(number, action=kind))
                model.resolve(number, kind)
        found = [
            (one.position.offset, one.source.offset, int(one.cause.fingerprint[-1]), one.copies)
            for one in book
        ]
        assert found == model.open()
        counts = Counter(cause for _, _, cause, _ in model.open())
        assert {int(g.cause.fingerprint[-1]): g.open for g in book.groups()} == counts
        closed = Counter(one["closed"] for one in model.letters if one["closed"])
        assert book.resolved == closed
        for one in book.groups():
            mine = [o for o, _, cause, _ in model.open() if cause == int(one.cause.fingerprint[-1])]
            assert (one.last_ms, one.example.position.offset) == (AT_MS + max(mine), max(mine))


def test_causes_without_end_are_one_from_some_number_on() -> None:
    """A stranger can invent a fingerprint for each letter; memory stays bounded."""
    book = LetterBook("miso", TOPIC, Topics())
    for number in range(MAX_CAUSES + 10):
        book.add(0, number, AT_MS, letter(number, fingerprint=f"f{number}"))
    groups = book.groups()
    assert (len(groups), sum(one.open for one in groups)) == (MAX_CAUSES + 1, MAX_CAUSES + 10)
    assert (groups[0].cause.reason, groups[0].open) == (OTHER, 10)


def test_letters_beyond_the_room_are_counted_and_said() -> None:
    """What is known stays exact: notes go on being read."""
    book = LetterBook("miso", TOPIC, Topics(), max_bytes=300_000)
    for number in range(20_000):
        book.add(0, number, AT_MS + number, letter(number * 70_000))
    assert (len(book) + book.left_out, book.full_at_ms) == (20_000, AT_MS + len(book) - 1)
    assert 300_000 < book.nbytes < 400_000
    known = len(book)
    book.add(0, 20_000, AT_MS, resolution(3))
    assert len(book) == known - 1


@pytest.mark.parametrize("step", [1, 100])
def test_a_letter_takes_a_few_bytes(step: int) -> None:
    """Every raw record failed, or one in a hundred: ten million letters are some dozen MiB."""
    book = LetterBook("miso", TOPIC, Topics())
    template = letter(1_000_000_000).replace(b"1000000000", b"%d")
    for number in range(50_000):
        book.add(0, 3 * number, AT_MS + 7 * number, template % (10**9 + step * number))
    assert book.nbytes < 5 * 50_000 + 4 * 8 * compact.BLOCK
