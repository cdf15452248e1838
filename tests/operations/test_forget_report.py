"""The report of ``streams forget``: what workers, vendors and topics are said to be."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from streams.cli import main
from streams.cli.forget import report_lines, survey_lines
from streams.core.snapshot import VendorStatus, WorkerSnapshot
from streams.core.topics import Topics
from streams.engine.partitioner import home_of
from streams.operations.forget.plan import AtVendor, HeldRecords, StillHeld, VisitorTraces
from streams.operations.forget.report import Done, Obeys, Report, StageWord, VendorWord, stage_words
from streams.operations.forget.survey import Survey
from streams.settings import load_settings
from streams.status.status import WorkerStatus
from streams.vendors import VENDORS

NOW = 1_777_000_000_000
USERS = "shop.users"
HOSTILE = "\x1b[2J[red]\u202e\r\nDone"


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """A command that sets up logging leaves the process's as it found it."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def worker(name: str, stage: str, *, stale: bool = False, **more: object) -> WorkerStatus:
    """A worker with partition 2 of the users."""
    fields: dict[str, object] = {
        "slot": 0,
        "host": "shop-1",
        "pid": 7,
        "version": "0.1.0",
        "at": NOW,
        "started_at": NOW,
        "ready": True,
        "partitions": {USERS: [2]},
    }
    snapshot = WorkerSnapshot(worker=name, stage=stage, **(fields | more))  # type: ignore[arg-type]
    return WorkerStatus(snapshot, snapshot.at, 0.0, stale)


def words(*workers: WorkerStatus) -> dict[str, StageWord]:
    """What is said of the stages enrich and miso, the tombstone being 2/50."""
    found = stage_words(("enrich", "miso"), workers, users=USERS, partition=2, offset=50)
    return {word.stage: word for word in found}


def test_a_stage_obeys_once_the_worker_with_the_partition_has_read_the_tombstone() -> None:
    """Others of the stage do not matter; a vendor's state comes along."""
    parked = VendorStatus("parked", NOW)
    said = words(
        worker("enrich-a-0", "enrich", users_read={2: 50}),
        worker("miso-a-0", "miso", users_read={2: 49}, partitions={USERS: [0, 1]}),
        worker("miso-a-1", "miso", users_read={2: 51}, vendor=parked),
    )
    assert said["enrich"] == StageWord("enrich", Obeys.YES, "enrich-a-0")
    assert said["miso"] == StageWord("miso", Obeys.YES, "miso-a-1", "parked")
    assert said["enrich"].sentence == (
        "enrich-a-0 has read the tombstone. It sends no older events."
    )


def test_a_stage_without_workers_reads_it_at_its_start() -> None:
    """One that has long been silent does not count."""
    said = words(worker("miso-a-0", "miso", stale=True, users_read={2: 60}))
    assert said["miso"].obeys is Obeys.NO_WORKER
    assert said["miso"].sentence == (
        "no worker is running. A worker reads the tombstone before it sends events."
    )


def test_where_it_is_not_sure_it_says_so() -> None:
    """Not read yet; nobody has the partition; two workers name it while it moves."""
    behind = worker("miso-a-0", "miso", users_read={2: 49})
    elsewhere = worker("enrich-a-0", "enrich", partitions={USERS: [1]})
    said = words(behind, elsewhere, worker("miso-a-1", "miso", users_read={2: 50}))
    assert [word.obeys for word in said.values()] == [Obeys.UNSURE, Obeys.UNSURE]
    assert said["miso"].sentence.startswith(
        "miso-a-0 has not confirmed that it has read the tombstone."
    )
    assert said["enrich"].sentence.startswith("no worker has the visitor's partition yet.")


def vendor_word(done: Done, **more: object) -> VendorWord:
    """One of Miso's, three events accepted."""
    fields: dict[str, object] = {"accepted": 3, "waiting": 0}
    return VendorWord(vendor="miso", name="Miso", done=done, **(fields | more))  # type: ignore[arg-type]


def report(*vendors: VendorWord, stages: tuple[StageWord, ...] = ()) -> Report:
    """A report with these words."""
    held = [StillHeld("shop.clicks", 2, NOW), StillHeld("shop.users", 1, None, "until compacted")]
    return Report(
        "anna", "2026-05-01T08:00:00.000Z", "shop.users/2/50", [*stages], [*vendors], held
    )


def test_the_report_of_a_visitor_that_is_forgotten() -> None:
    """Line by line."""
    made = report(
        vendor_word(Done.DELETED, deleted="all interactions of the visitor", by_hand="Ask Miso."),
        stages=(StageWord("enrich", Obeys.YES, "enrich-a-0"),),
    )
    assert report_lines(made) == [
        "Visitor anna: tombstone written, shop.users/2/50.",
        "",
        "Workers",
        "  enrich       enrich-a-0 has read the tombstone. It sends no older events.",
        "",
        "Vendors",
        "  Miso           deleted all interactions of the visitor (3 events had been accepted).",
        "  Miso           manual step: Ask Miso.",
        "",
        "Still on the topics until retention deletes it",
        "  shop.clicks: 2 records, deleted by 2026-04-24T03:06Z at the latest",
        "  shop.users: 1 record, until compacted",
        "",
        "All steps are complete.",
    ]
    assert made.complete
    shown = json.loads(json.dumps(made.to_json()))
    assert shown["held"] == [
        {"topic": "shop.clicks", "records": 2, "note": "", "gone_by": "2026-04-24T03:06:40.000Z"},
        {"topic": "shop.users", "records": 1, "note": "until compacted", "gone_by": None},
    ]
    assert shown["stages"][0]["obeys"] == "yes"
    assert (shown["vendors"][0]["done"], shown["complete"]) == ("deleted", True)


@pytest.mark.parametrize(
    "made",
    [
        report(vendor_word(Done.FAILED, problem="Miso did not delete: 503.")),
        report(vendor_word(Done.DELETED), stages=(StageWord("enrich", Obeys.UNSURE),)),
    ],
    ids=["a vendor failed", "a worker did not say"],
)
def test_what_is_left_to_do_is_said_at_the_end(made: Report) -> None:
    """And makes exit code 1."""
    assert (
        report_lines(made)[-1]
        == "Some steps are not complete. See above, then run this command again."
    )
    assert not made.complete


def test_what_waits_and_what_is_for_people_alone_is_no_failure() -> None:
    """It is stopped when its turn comes."""
    made = report(vendor_word(Done.NOTHING, waiting=1, by_hand="Ask."))
    assert made.complete
    assert any(
        "1 event without an outcome will be stopped before sending." in x
        for x in report_lines(made)
    )


def test_strangers_text_is_shown_and_obeyed_by_no_terminal() -> None:
    """Ids are what browsers wrote."""
    settings = load_settings({"STREAMS_MISO_API_KEY": "key"})
    traces = VisitorTraces(HOSTILE, Topics(), {"miso": VENDORS["miso"]})
    traces.held["shop.clicks"] = HeldRecords(1, NOW)
    traces.user_ids[HOSTILE] = None
    traces.at_vendor["miso"] = AtVendor(accepted={"s"}, open={("t", 1): "s2"})
    lines = survey_lines(settings, Survey(traces, 0, ("miso",), {}))
    escaped = "\\x1b[2J[red]\\x202e\\x0d\\x0aDone"
    assert lines == [
        f"Visitor {escaped}: 1 record on 1 topic.",
        (
            "  Miso: 1 event accepted, 1 waiting, which will not be sent; to be deleted: all "
            f"interactions of the visitor and of the user {escaped}."
        ),
        "This cannot be undone.",
    ]
    shown = report_lines(report(vendor_word(Done.FAILED, problem=HOSTILE)))
    assert all(line.isprintable() for line in shown)


def test_without_a_terminal_nothing_is_asked_and_nothing_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--yes is needed, and said."""
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert main(["forget", "anna"]) == 2
    assert capsys.readouterr().err == (
        "There is no terminal for the confirmation: give --yes to forget.\n"
    )


@pytest.mark.parametrize("visitor", ["", "v" * 513])
def test_what_cannot_be_a_visitor_is_refused(
    visitor: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the broker is asked."""
    assert main(["forget", "--yes", visitor]) == 2
    assert capsys.readouterr().err == "A visitor's id has 1 to 512 characters.\n"


def test_the_partition_is_that_of_kafkas_own_partitioner() -> None:
    """The Java client's own examples of murmur2, -973932308 and -790332482, without their sign."""
    assert home_of(b"21", 2**31) == 1_173_551_340
    assert home_of(b"foobar", 2**31) == 1_357_151_166
    assert home_of(b"foobar", 6) == 0
