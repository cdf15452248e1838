"""Consent: every combination of event, row and mode."""

from itertools import product

import pytest

from streams.core.consent import (
    MALFORMED,
    ConsentMode,
    Ground,
    Word,
    ground_for,
    still_allows,
    word_for,
)
from streams.core.rows import User

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
    assert ground_for("miso", consent, ROWS[row], "required") == required
    assert ground_for("miso", consent, ROWS[row], "assumed") == assumed


@pytest.mark.parametrize("mode", ["required", "assumed"])
def test_malformed_row_says_no_whatever_the_event_says(mode: ConsentMode) -> None:
    """Consent fails closed."""
    assert ground_for("miso", {"miso": True}, MALFORMED, mode) is None


def test_consent_for_another_vendor_is_none_for_this_one() -> None:
    """Each vendor needs its own yes."""
    assert ground_for("miso", {"voyado": True}, OTHER, "required") is None


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
    assert word_for("miso", row) is word
