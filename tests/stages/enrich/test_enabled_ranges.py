"""In which raw offsets vendors were on, as stored with commits."""

import logging

import msgspec
import pytest
from faust.types import TP

from streams.stages.enrich.enabled_ranges import MAX_RANGES_BYTES, EnabledRanges, read_ranges

CLICKS = TP("shop.clicks", 0)


def test_a_range_is_open_while_its_vendor_is_on() -> None:
    """Starting again with the same vendors changes nothing."""
    ranges = EnabledRanges()
    ranges.switch(["miso"], 5)
    ranges.switch(["miso"], 9)
    assert ranges.on == {"miso": [[5, None]]}


def test_switching_closes_and_opens() -> None:
    """Each vendor for itself."""
    ranges = EnabledRanges()
    ranges.switch(["miso"], 5)
    ranges.switch(["voyado"], 9)
    ranges.switch(["miso", "voyado"], 12)
    assert ranges.on == {"miso": [[5, 9], [12, None]], "voyado": [[9, None]]}


def test_a_range_without_records_is_forgotten() -> None:
    """On and off again before anything was read."""
    ranges = EnabledRanges()
    ranges.switch(["miso", "voyado"], 5)
    ranges.switch(["miso"], 5)
    assert ranges.on == {"miso": [[5, None]], "voyado": []}
    ranges.switch(["miso"], 6)
    ranges.switch(["voyado", "miso"], 7)
    assert ranges.on["voyado"] == [[7, None]]


def test_a_vendor_that_is_switched_for_ever_still_fits_a_commit() -> None:
    """The oldest ranges go; those that are open stay."""
    ranges = EnabledRanges()
    for number in range(2_000):
        ranges.switch(["miso", "voyado"] if number % 2 else ["miso"], 10**9 + number)
    assert len(msgspec.json.encode(ranges)) <= MAX_RANGES_BYTES
    assert ranges.on["miso"] == [[10**9, None]]
    assert ranges.on["voyado"][-1] == [10**9 + 1_999, None]


def test_it_reads_what_it_wrote() -> None:
    """And nothing where there is nothing."""
    ranges = EnabledRanges()
    ranges.switch(["miso"], 5)
    assert read_ranges(CLICKS, msgspec.json.encode(ranges).decode()) == ranges
    assert read_ranges(CLICKS, "") == EnabledRanges()


def test_foreign_metadata_is_said_and_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    """Somebody else's tool may have set the offset."""
    with caplog.at_level(logging.WARNING):
        assert read_ranges(CLICKS, "reset by hand") == EnabledRanges()
    assert "shop.clicks partition 0: commit metadata that is not ours" in caplog.text


def test_what_expired_travels_with_the_ranges() -> None:
    """A commit without it is one of an older version."""
    ranges = EnabledRanges({"miso": [[5, None]]}, {"*": 3, "miso": 2}, 5)
    assert read_ranges(CLICKS, msgspec.json.encode(ranges).decode()) == ranges
    assert read_ranges(CLICKS, '{"on": {"miso": [[5, null]]}}').expired == {}


def test_without_readable_metadata_nobody_knows_who_was_on_below() -> None:
    """A vendor that is not named there was not off: it is unknown."""
    ranges = read_ranges(CLICKS, "")
    ranges.switch(["miso"], 100)
    ranges.switch(["miso", "voyado"], 200)
    assert ranges == EnabledRanges({"miso": [[100, None]], "voyado": [[200, None]]}, {}, 100)


def test_metadata_of_older_versions_is_known_from_the_beginning() -> None:
    """They had no mark; the audit goes on as before."""
    assert read_ranges(CLICKS, '{"on": {"miso": [[5, null]]}}').since == 0
    assert read_ranges(CLICKS, "{}").since is None


def test_ranges_below_the_log_are_forgotten() -> None:
    """No raw record is left that they could be about; what reaches into the log stays."""
    ranges = EnabledRanges({"miso": [[0, 10], [20, 30], [40, None]], "voyado": [[0, 20]]}, {}, 0)
    ranges.switch(["miso"], 50, log_start=20)
    assert ranges == EnabledRanges({"miso": [[20, 30], [40, None]], "voyado": []}, {}, 0)


def test_ranges_that_do_not_fit_become_unknown_not_off() -> None:
    """A loss there would otherwise pass for a vendor that was off."""
    ranges = EnabledRanges()
    for number in range(2_000):
        ranges.switch(["miso", "voyado"] if number % 2 else ["miso"], 10**9 + number)
    oldest = ranges.on["voyado"][0][0]
    assert oldest is not None
    assert ranges.since is not None
    assert 10**9 < oldest - 1 == ranges.since
