"""Notes in words."""

import re
from pathlib import Path

import pytest

from streams.core.notes import note_words

STREAMS = Path(__file__).resolve().parents[2] / "streams"


@pytest.mark.parametrize(
    ("note", "words"),
    [
        ("left_out:price", "ignored invalid price"),
        ("left_out:products.price", "ignored invalid products.price"),
        ("differs:eightselect_user_id", "event and row have different eightselect_user_id"),
        ("clock_ahead", "corrected a timestamp in the future"),
        ("a_note_of_a_newer_version", "a_note_of_a_newer_version"),
    ],
)
def test_a_note_is_said_in_words(note: str, words: str) -> None:
    """One that is not known is shown as it is."""
    assert note_words(note) == words


def test_every_note_that_is_counted_has_words() -> None:
    """Those of the reference's list."""
    reference = (STREAMS.parent / "docs" / "reference.md").read_text("utf-8")
    table = reference.partition("\n### Notes\n")[2].partition("\n## ")[0]
    notes = [
        name
        for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        for name in re.findall(r"`([a-z_:<>0-9]+)`", row)
    ]
    assert len(notes) >= 12
    assert [note for note in notes if note_words(note) == note] == []
