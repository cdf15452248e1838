"""``--only``: outcomes, reasons and types."""

import pytest

from streams.core.errors import SettingsError
from streams.replay.only_filter import MISSING, parse_only


def test_without_words_all_is_meant() -> None:
    """Every type, every outcome."""
    only = parse_only([])
    assert only.has_type("click")
    assert only.has_outcome("accepted", None)
    assert only.has_outcome(MISSING, None)


def test_outcomes_are_one_or_the_other_and_a_reason_narrows() -> None:
    """Commas and repeated options are the same."""
    for only in (
        parse_only(["dead_lettered,skipped:no_contact", "missing"]),
        parse_only([" dead_lettered , skipped:no_contact,missing,"]),
    ):
        assert only.has_outcome("dead_lettered", "rejected")
        assert only.has_outcome("skipped", "no_contact")
        assert only.has_outcome(MISSING, None)
        assert not only.has_outcome("skipped", "no_consent")
        assert not only.has_outcome("accepted", None)
        assert only.words == ("dead_lettered", "skipped:no_contact", "missing")


@pytest.mark.parametrize("word", ["add_to_cart", "add_to_carts", "add-to-cart", "add-to-carts"])
def test_a_type_is_meant_beside_any_outcome(word: str) -> None:
    """However people write it."""
    only = parse_only([word])
    assert only.has_type("add_to_cart")
    assert not only.has_type("click")
    assert only.has_outcome("accepted", None)


@pytest.mark.parametrize("word", ["sent", "skipped:rejected", "dead_lettered:", "accepted:x", ":"])
def test_a_word_that_means_nothing_is_refused_with_those_that_do(word: str) -> None:
    """As a mistake of settings, exit code 2."""
    with pytest.raises(SettingsError, match=r"neither an outcome nor a type; name.*skipped:REASON"):
        parse_only([word])
