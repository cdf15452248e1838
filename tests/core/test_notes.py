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
    """Those of the runbook's list."""
    runbook = (STREAMS.parent / "docs" / "operations.md").read_text("utf-8")
    (row,) = re.findall(r"^\| `notes` \|.*$", runbook, re.MULTILINE)
    notes = [name for name in re.findall(r"`([a-z_:<>]+)`", row) if name != "notes"]
    assert len(notes) >= 9
    assert [note for note in notes if note_words(note) == note] == []
