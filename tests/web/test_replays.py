"""Runs of replays and resends as the page shows them."""

from streams.core.runs import Asked, Run, RunReceipt, VendorPart
from streams.web.replays import shown
from tests.web.scenes import plain

TEN = 36_000_000


def run(state: str, receipt: RunReceipt | None, **changes: object) -> Run:
    """A replay of Miso's morning."""
    part = VendorPart("miso", state, selected=500, sent=480, receipt=receipt)  # type: ignore[arg-type]
    return Run(
        "r-20261121-101500-ab12",
        Asked("replay", TEN, TEN + 3_600_000, visitor="visitor-0123456789"),
        "1970-01-01T11:15:00.000Z",
        "1970-01-01T11:15:30.000Z",
        parts=[part],
        **changes,  # type: ignore[arg-type]
    )


def test_a_run_that_goes_on_says_how_far_it_is() -> None:
    """What was asked, what became of it until now, and how to end it."""
    receipt = RunReceipt(500, 480, 200, {"rejected": 3}, {"no_consent": 7}, waiting=280, unread=500)
    made = shown(run("running", receipt), alive=True)
    assert made["goes_on"]
    assert plain(made["what"]) == "replay from 10:00 UTC to 11:00 UTC, visitor #gjx4"
    assert plain(made["sentence"]) == "Running since 11:15 UTC."
    assert made["can"] == ["stop"]
    assert made["parts"] == [
        {
            "name": "Miso",
            "sentence": "500 selected, 200 accepted, 3 refused (rejected), 7 skipped (no_consent), "
            "280 still waiting, 500 raw records not read yet.",
            "done": 0.22,
        }
    ]


def test_a_run_whose_process_died_says_how_to_go_on() -> None:
    """Nothing of it is lost; somebody has to say what is wanted."""
    made = shown(run("running", None), alive=False)
    assert plain(made["sentence"]) == "Interrupted since 11:15 UTC. Resume or stop it."
    assert made["can"] == ["resume", "stop"]


def test_a_finished_run_is_full() -> None:
    """Also one that had nothing to do."""
    made = shown(run("done", RunReceipt(), ended_at="1970-01-01T11:20:00.000Z"), alive=False)
    assert plain(made["sentence"]) == "Done, ended 11:20 UTC."
    assert made["parts"][0]["done"] == 1.0
    assert made["can"] == []
    failed = shown(run("failed", None, problem="The broker refused."), alive=False)
    assert plain(failed["sentence"]) == "Failed. The broker refused."
