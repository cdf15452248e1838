"""``demo --events``: the caller's field maps, and records that are no events."""

from pathlib import Path

from streams.lab.demo.books import Closing
from streams.lab.demo.rig import source_environment
from streams.operations.audit.report import AuditReport
from streams.settings import load_settings


def test_the_demo_reads_events_as_the_callers_settings_say(tmp_path: Path) -> None:
    """Fields, formats and zone of both kinds come along, and nothing else."""
    file = tmp_path / "streams.toml"
    file.write_text(
        '[kafka]\ntopic_prefix = "shop."\n'
        '[source.clicks]\ntimestamp_format = ["s", "%d.%m.%Y %H:%M"]\ntimezone = "Europe/Berlin"\n'
        '[source.clicks.fields]\nanonymous_id = "visitor.id"\n"page.url" = "url"\n'
        '[source.add-to-carts]\ntimestamp_format = "ms"\n',
        encoding="utf-8",
    )
    environ = {"STREAMS_CONFIG": str(file), "HOME": "/nowhere"}
    found = source_environment(environ)
    theirs, ours = load_settings(environ), load_settings(found)
    assert ours.sources["clicks"] == theirs.sources["clicks"]
    assert ours.sources["add-to-carts"] == theirs.sources["add-to-carts"]
    assert ours.sources["clicks"].fields == {"anonymous_id": "visitor.id", "page.url": "url"}
    assert set(found) == {
        "STREAMS_SOURCE_CLICKS_FIELDS",
        "STREAMS_SOURCE_CLICKS_TIMESTAMP_FORMAT",
        "STREAMS_SOURCE_CLICKS_TIMEZONE",
        "STREAMS_SOURCE_ADD_TO_CARTS_TIMESTAMP_FORMAT",
    }


def test_invalid_records_among_a_files_events_are_no_success() -> None:
    """The sample has some on purpose; a file of one's own should have none."""
    report = AuditReport(
        since_ms=None,
        raw={"shop.clicks": 3},
        expired={},
        enrich_dead_letters={"invalid_json": 1},
        enrich_letters=1,
        unexplained=0,
        unreadable=0,
        vendors=(),
    )
    sample, file = Closing(3, report, ()), Closing(3, report, (), may_hold_invalid=False)
    assert (sample.exit_code, file.exit_code) == (0, 1)
    assert file.problems() == [
        (
            "1 of 3 events are invalid records (1 invalid_json): look at them with `streams "
            "dead-letters list`, or try the file with `streams check --mapping`."
        )
    ]
