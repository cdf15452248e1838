"""``streams replay`` and ``offsets``: mistakes in sentences, and what people are shown."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console

from streams.cli import main
from streams.cli.replay_view import (
    Watching,
    counts_table,
    receipt_table,
    run_json,
    run_line,
    run_lines,
    state_word,
)
from streams.core.enrich import Send, Skip
from streams.core.outcome import SkipReason
from streams.core.runs import ONE_VISITOR, RUNNING, STOPPED, Asked, Run, RunReceipt, VendorPart
from streams.replay.counts import Counts
from streams.replay.planner import Left
from streams.replay.preview import ReplayPreview
from streams.replay.preview_text import (
    asked_words,
    counts_rows,
    preview_lines,
    question,
    resend_lines,
)
from streams.replay.resend import ResendPreview
from streams.settings import load_settings

BERLIN = ZoneInfo("Europe/Berlin")
FROM_MS = 1_777_622_400_000
SETTINGS = load_settings({"STREAMS_MISO_API_KEY": "secret", "STREAMS_VOYADO_ENABLED": "false"})
WINDOW = ("--vendor", "miso", "--from", "2h ago", "--to", "now")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["replay"], "--vendor: is missing"),
        (["replay", *WINDOW], "give --yes to send, or --preview"),
        (["replay", *WINDOW[:-2], "--preview"], "--to: is missing"),
        (
            ["replay", "--vendor", "miso", "--from", "soon", "--to", "now", "--yes"],
            '--from: "soon"',
        ),
        (
            ["replay", "--vendor", "miso", "--from", "1h ago", "--to", "2h ago", "--yes"],
            "--from: must be before --to and in the past.",
        ),
        (["replay", *WINDOW, "--only", "sent", "--yes"], '--only: "sent"'),
        (["replay", *WINDOW, "--yes"], "--vendor: Miso is off"),
        (["replay", "--vendor", "all", *WINDOW[2:], "--yes"], "no vendor is on"),
        (["replay", *WINDOW, "--rate", "0", "--yes"], "--rate: must be at least 0.001 events"),
        (["replay", *WINDOW, "--sku", " ", "--yes"], "--sku: must not be empty."),
        (["replay", "stop"], "RUN"),
        (["replay", "--source", "x", *WINDOW, "--yes"], "--source: goes with --from, --to,"),
        (
            ["replay", "--source", "x", *WINDOW[2:], "--yes"],
            '--source: there is no section "x"; there are: none',
        ),
        (["offsets", "reset", "--stage", "miso", "--to", "earliest"], "give --yes to reset"),
        (
            ["offsets", "reset", "--stage", "miso", "--to", "soon", "--yes"],
            '--to: "soon" is not a time',
        ),
        (["offsets", "show", "--stage", "x\x1b"], r'"x\x1b" is not a stage'),
        (["dead-letters", "resend", "--vendor", "miso", "--yes"], "--vendor: Miso is off"),
    ],
)
def test_wrong_use_is_exit_2_before_a_broker_is_asked(
    arguments: Sequence[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is asked where there is no terminal; every mistake has its sentence."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in " ".join(err.split())


def shown(table: object) -> list[str]:
    """The lines of a table, spaces squeezed."""
    console = Console(width=200, no_color=True)
    with console.capture() as capture:
        console.print(table)
    return [" ".join(line.replace("│", " ").split()) for line in capture.get().splitlines()]


def test_a_preview_shows_window_and_zone_and_what_is_not_sent_and_why() -> None:
    """A hostile vendor's reason is shown, not obeyed."""
    counts = Counts("miso")
    for _ in range(3):
        counts.add(Send("miso", b"{}", "row"), "dead_lettered")
    counts.add(Left("miso", "already_accepted"), "accepted")
    counts.add(Skip("miso", SkipReason.NO_CONSENT), None)
    counts.skipped["[red]\x1b"] += 1
    seen = ReplayPreview(Asked("replay", FROM_MS, FROM_MS + 1), [counts], records=6, looked_at=6)
    (first,) = preview_lines(seen, BERLIN)
    assert first == (
        "from 2026-05-01 10:00:00 +02:00 (CEST) to 2026-05-01 10:00:00.001 +02:00 (CEST): 6 records"
    )
    lines = shown(counts_table(["miso"], counts_rows(SETTINGS, seen.vendors, 1.0)))
    for line in (
        "events 6",
        "- already accepted 1",
        "- no consent now 1",
        r"- skipped: [red]\x1b 1",
        "= would be sent 3",
        "dead letters before 3",
        "requests (about) 1",
        "takes at least 3 s",
    ):
        assert line in lines
    assert question(seen) == "Send 3 events?"


def test_a_sample_is_said_to_be_one() -> None:
    """In capitals, with how many were looked at; so is what may be missing."""
    seen = ReplayPreview(
        Asked("replay", FROM_MS, FROM_MS + 1),
        [],
        records=5_000_000,
        looked_at=200_000,
        sampled=True,
        kept_from_ms=FROM_MS,
        is_cut=True,
        late_ms=86_400_000,
        off={"shop.orders": 1_234},
    )
    assert question(seen) == "Send about 0 events?"
    text = "\n".join(preview_lines(seen, BERLIN))
    assert "about 5,000,000 records" in text
    assert "SAMPLE: 200,000 of them were read" in text
    assert "kept since 2026-05-01 10:00:00 +02:00 (CEST)" in text
    assert "Retention has deleted records" in text
    assert "more than 24 h late" in text
    left = "About 1,234 records of shop.orders are not replayed: the source is switched off."
    assert left in text


def test_what_a_resend_leaves_open_is_said() -> None:
    """By whose it is."""
    seen = ResendPreview(Asked("resend"), 3, [], foreign=1, off={"miso": 2})
    seen.of_sources = {"shop.orders": 4}
    assert resend_lines(seen, BERLIN) == [
        "dead letters: 3 open",
        (
            "1 are about records that another producer wrote to the relay's own topics, or about "
            "partitions that do not exist any more; they are never resent."
        ),
        "4 are of shop.orders, whose source is switched off; they stay open.",
        "2 belong to miso, which is off; they stay open.",
    ]


def run_of(*parts: VendorPart, **more: object) -> Run:
    """A run of Miso's."""
    asked = Asked("replay", FROM_MS, FROM_MS + 1, visitor="v\x1b")
    return Run("r-20260501-080000-ab12", asked, "then", "now", parts=list(parts), **more)  # type: ignore[arg-type]


RECEIPT = RunReceipt(
    selected=9,
    sent=5,
    accepted=3,
    refused={"rejected": 1},
    skipped={"no_contact": 2},
    left={"already_accepted": 2},
    passed_over=1,
)


def test_a_receipt_shows_every_way_in_which_an_event_ended() -> None:
    """And the same as JSON, with whether the sum balances."""
    run = run_of(VendorPart("miso", STOPPED, receipt=RECEIPT), problem="It was stopped.")
    lines = shown(receipt_table(run.parts))
    for line in (
        "state stopped",
        "selected 9",
        "accepted 3",
        "refused: rejected 1",
        "skipped: no_contact 2",
        "not sent: already accepted 2",
        "passed over 1",
    ):
        assert line in lines
    assert "waiting" not in "\n".join(lines)
    text = "\n".join(run_lines(run, BERLIN, has_process=False))
    assert "It was stopped." in text
    assert r"visitor v\x1b" in text
    (vendor,) = run_json(run, has_process=False)["vendors"]
    assert (vendor["accepted"], vendor["balanced"]) == (3, True)
    assert run_line(run, has_process=False) == (
        "r-20260501-080000-ab12  stopped      miso  9 selected, 5 sent, 3 accepted, 1 refused, "
        "2 skipped, 1 passed over"
    )


@pytest.mark.parametrize(
    ("all_written", "has_process", "word", "advice"),
    [
        (False, True, "running", None),
        (True, True, "running", None),
        (False, False, "interrupted", "streams replay resume r-20260501-080000-ab12"),
        (True, False, "delivering", "the workers are delivering them"),
    ],
)
def test_a_run_without_its_process_says_what_to_do(
    all_written: bool, has_process: bool, word: str, advice: str | None
) -> None:
    """Where all is written, nothing is."""
    run = run_of(VendorPart("miso", RUNNING, all_written=all_written))
    assert state_word(run, has_process=has_process) == word
    text = "\n".join(run_lines(run, BERLIN, has_process=has_process))
    assert advice is None or advice in text


def test_an_ended_run_names_no_visitor() -> None:
    """Nothing keeps a visitor's id for ever."""
    run = run_of()
    run.end("then")
    assert run.asked.visitor == ONE_VISITOR
    assert "one visitor" in asked_words(run.asked, BERLIN)


def test_a_sink_that_takes_nothing_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With where to look; the run goes on waiting."""
    clock = iter((100.0, 110.0, 116.0, 130.0))
    monkeypatch.setattr("streams.cli.replay_view.monotonic", lambda: next(clock))
    written: list[str] = []
    watch = Watching(written.append)
    run = run_of(VendorPart("miso", sent=5, receipt=RunReceipt(sent=5, waiting=5)))
    for _ in range(4):
        watch(run)
    said = [text for text in written if text.endswith("\n")]
    assert said[0] == "Run r-20260501-080000-ab12\n"
    assert len(said) == 2
    assert "miso has settled nothing for 15 s" in said[1]
