"""Consent: every combination of event, row and mode."""

from itertools import product

import pytest

from streams.core.consent import (
    NO_TO_ALL,
    ConsentMode,
    Ground,
    Word,
    ground_for,
    said_about,
    still_allows,
    word_for,
)
from streams.core.rows import User

AT = 1_795_168_800_000
"""When the event happened, in ms."""
NO_ROW = None
SILENT = User()
YES = User(consent={"miso": True})
NO = User(consent={"miso": False})
OTHER = User(consent={"voyado": False})
UNDECIDED = User(consent={"miso": None})

EXPECTED = {
    # event, row: (required, assumed)
    (None, "none"): (None, "assumed"),
    (None, "silent"): (None, "assumed"),
    (None, "other"): (None, "assumed"),
    (None, "undecided"): (None, "assumed"),
    (None, "yes"): ("row", "row"),
    (None, "no"): (None, None),
    (True, "none"): ("event", "event"),
    (True, "silent"): ("event", "event"),
    (True, "other"): ("event", "event"),
    (True, "undecided"): ("event", "event"),
    (True, "yes"): ("event", "event"),
    (True, "no"): (None, None),
    (False, "none"): (None, None),
    (False, "silent"): (None, None),
    (False, "other"): (None, None),
    (False, "undecided"): (None, None),
    (False, "yes"): (None, None),
    (False, "no"): (None, None),
}
ROWS = {
    "none": NO_ROW,
    "silent": SILENT,
    "other": OTHER,
    "undecided": UNDECIDED,
    "yes": YES,
    "no": NO,
}


@pytest.mark.parametrize(("stated", "row"), list(product((None, True, False), ROWS)))
def test_ground_of_every_combination(stated: bool | None, row: str) -> None:
    """The event is asked before the row, and a no in the row always wins."""
    consent = None if stated is None else {"miso": stated}
    required, assumed = EXPECTED[stated, row]
    assert ground_for("miso", consent, ROWS[row], "required", AT) == required
    assert ground_for("miso", consent, ROWS[row], "assumed", AT) == assumed


@pytest.mark.parametrize("mode", ["required", "assumed"])
def test_malformed_row_says_no_whatever_the_event_says(mode: ConsentMode) -> None:
    """Consent fails closed."""
    assert ground_for("miso", {"miso": True}, NO_TO_ALL, mode, AT) is None


def test_consent_for_another_vendor_is_none_for_this_one() -> None:
    """Each vendor needs its own yes."""
    assert ground_for("miso", {"voyado": True}, OTHER, "required", AT) is None
    assert ground_for("miso", {"voyado": True}, OTHER, "assumed", AT) == "assumed"


WORDS = {"none": None, "silent": Word.SILENT, "yes": Word.YES, "no": Word.NO}
STILL = {
    # ground, row now: whether it may still be sent
    ("event", "none"): True,
    ("event", "silent"): True,
    ("event", "yes"): True,
    ("event", "no"): False,
    ("row", "none"): False,
    ("row", "silent"): False,
    ("row", "yes"): True,
    ("row", "no"): False,
    ("assumed", "none"): True,
    ("assumed", "silent"): True,
    ("assumed", "yes"): True,
    ("assumed", "no"): False,
}
GROUNDS: tuple[Ground, ...] = ("event", "row", "assumed")


@pytest.mark.parametrize(("ground", "row"), list(product(GROUNDS, WORDS)))
def test_what_was_allowed_is_judged_again_by_the_row_as_it_is(ground: Ground, row: str) -> None:
    """A tombstone stops what is not newer than it, and nothing else."""
    wanted = STILL[ground, row]
    assert still_allows(ground, WORDS[row], None, 1_000) is wanted
    assert still_allows(ground, WORDS[row], 999, 1_000) is wanted
    assert still_allows(ground, WORDS[row], 1_000, 1_000) is False
    assert still_allows(ground, WORDS[row], 1_001, 1_000) is False


@pytest.mark.parametrize(
    ("row", "word"),
    [
        (SILENT, Word.SILENT),
        (OTHER, Word.SILENT),
        (UNDECIDED, Word.SILENT),
        (YES, Word.YES),
        (NO, Word.NO),
    ],
)
def test_the_word_of_a_row_is_about_one_vendor(row: User, word: Word) -> None:
    """What it says of others does not count."""
    assert said_about("miso", row) is word
    assert word_for(word, AT) is word


def since(ms: int, **consent: bool | None) -> User:
    """A row with a consent that counts for Miso from this moment on."""
    return User(consent=consent, yes_from_ms={"miso": ms})


@pytest.mark.parametrize(
    ("later_ms", "required", "assumed", "word"),
    [
        (-1, None, "assumed", Word.SILENT),
        (0, "row", "row", Word.YES),
        (1, "row", "row", Word.YES),
    ],
)
def test_a_yes_of_the_row_counts_from_consent_since_on(
    later_ms: int, required: Ground | None, assumed: Ground, word: Word
) -> None:
    """An older event has no word of the row, neither when it is read nor when it is sent."""
    row = since(AT, miso=True, voyado=True)
    assert ground_for("miso", None, row, "required", AT + later_ms) == required
    assert ground_for("miso", None, row, "assumed", AT + later_ms) == assumed
    assert ground_for("voyado", None, row, "required", AT + later_ms) == "row"
    assert ground_for("miso", {"miso": True}, row, "required", AT + later_ms) == "event"
    assert ground_for("miso", {"miso": False}, row, "assumed", AT + later_ms) is None
    assert word_for(said_about("miso", row), AT + later_ms) is word
    assert word_for(said_about("voyado", row), AT + later_ms) is Word.YES


def test_a_no_of_the_row_needs_no_since() -> None:
    """It wins whenever the event happened."""
    row = since(AT, miso=False)
    for at in (AT - 1, AT):
        assert ground_for("miso", {"miso": True}, row, "assumed", at) is None
        assert word_for(said_about("miso", row), at) is Word.NO
