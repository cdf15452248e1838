"""The command line: times in the zone of the machine, and tables on a narrow terminal."""

import time
from collections.abc import Iterator
from io import StringIO
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console

from streams.cli.terminal import local_zone, moment_ms, new_table
from streams.core.errors import SettingsError
from streams.core.moments import shown_moment
from streams.core.times import to_ms, utc_text
from streams.operations.audit.report import SectionBooks
from streams.operations.audit.table import section_table


@pytest.fixture
def _berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_berlin")
def test_a_time_without_an_offset_is_of_this_machines_zone() -> None:
    """In winter and in summer, and shown back with the offset of that day."""
    assert utc_text(moment_ms("2026-11-20 14:00")) == "2026-11-20T13:00:00.000Z"
    assert utc_text(moment_ms("2026-07-01 14:00")) == "2026-07-01T12:00:00.000Z"
    assert shown_moment(to_ms("2026-07-01T12:00:00Z"), local_zone()) == (
        "2026-07-01 14:00:00 +02:00 (CEST)"
    )


@pytest.mark.usefixtures("_berlin")
@pytest.mark.parametrize("minute", range(0, 240, 30))
@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25"])
def test_the_zone_of_the_machine_is_the_one_of_that_name(day: str, minute: int) -> None:
    """Through both changes of the clocks, every moment has the offset that it had."""
    ms = to_ms(f"{day}T00:00:00Z") + (minute - 60) * 60_000
    assert shown_moment(ms, local_zone()) == shown_moment(ms, ZoneInfo("Europe/Berlin"))


@pytest.mark.usefixtures("_berlin")
def test_a_time_that_the_clocks_showed_twice_is_refused_by_its_option() -> None:
    """With the offset as the remedy."""
    with pytest.raises(SettingsError, match=r"--from: 2026-10-25 02:30:00 was shown twice") as no:
        moment_ms("2026-10-25 02:30", "--from")
    assert "+02:00" in str(no.value)


def test_a_narrow_terminal_wraps_names_and_cuts_none() -> None:
    """Two topics of one vendor are told apart, and so are two sections of ingest."""
    console = Console(width=80, file=StringIO())
    table = new_table("stage", "topic", numbers=("partition", "committed", "log start", "log end"))
    topics = ("vendor.eightselect.events", "vendor.eightselect.redelivery")
    for topic in topics:
        table.add_row("eightselect", topic, *("1,000,000",) * 4)
    sections = ("web-events-add-to-carts", "web-events-add-to-wishlists")
    console.print(table, section_table([SectionBooks(one, "web", "clicks") for one in sections]))
    assert isinstance(console.file, StringIO)
    text = console.file.getvalue()
    assert "…" not in text
    first = [line.partition("┃")[0].partition("│")[0] for line in text.splitlines()]
    names = [line.split("│")[1] for line in text.splitlines() if line.count("│") == 5]
    assert "".join(names).replace(" ", "") == "".join(topics)
    assert "".join(sections) in "".join(first).replace(" ", "")
