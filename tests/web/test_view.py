"""What the dashboard shows of a pipeline, made of snapshots alone."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from streams.core.snapshot import VendorStatus, Waiting, WorkerSnapshot
from streams.operations.status.status import StatusBoard
from streams.settings import load_settings
from streams.web.build import frame_of
from streams.web.history import SAMPLES, History
from streams.web.vendors import summarize
from streams.web.view import summaries, view
from streams.web.words import plain
from tests.web import scenes

NOW = 1_800_000_000_000
"""2027-01-15T08:00Z."""


def shown(
    snapshots: Sequence[WorkerSnapshot], history: History | None = None, **more: Any
) -> dict[str, Any]:
    """The view of these workers."""
    workers = StatusBoard({one.worker: one for one in snapshots}).workers(NOW)
    frame = scenes.frame()
    made = view(frame, workers, summaries(frame, workers), history or History(), NOW, **more)
    json.dumps(made)
    return made


def vendor(made: dict[str, Any], key: str) -> dict[str, Any]:
    """One vendor's part."""
    return next(one for one in made["vendors"] if one["key"] == key)


def fact(made: dict[str, Any], key: str, name: str) -> str:
    """One of a vendor's figures."""
    return str(next(f["value"] for f in vendor(made, key)["facts"] if f["name"] == name))


def test_a_calm_pipeline_is_said_to_be_well() -> None:
    """One sentence, and a figure that shows that it lives."""
    made = shown(scenes.calm(NOW))
    assert made["verdict"]["level"] == "good"
    assert plain(made["verdict"]["text"]) == (
        "All is well. 8SELECT, Voyado Engage and Miso take what comes, 52 raw events a second."
    )
    assert plain(vendor(made, "miso")["sentence"]) == (
        "Running. It takes 50 events a second, half of them within 310 ms."
    )
    assert fact(made, "voyado", "quota") == "9.6 of 40 /s"
    assert fact(made, "miso", "done in") == "a moment"


def test_a_refused_key_is_said_with_what_waits_and_what_to_do() -> None:
    """The sentence that the person on call needs, and the same in short at the top."""
    status = VendorStatus("parked", NOW - 7_200_000, "401: no such key", "Check the key.")
    made = shown(scenes.in_state(NOW, "miso", status, 18_204))
    assert made["verdict"] == {
        "level": "bad",
        "text": [
            "Miso is parked since ",
            {"at": NOW - 7_200_000},
            ": Miso refuses the key (401). 18,204 events wait. Nothing is lost.",
        ],
        "vendor": "miso",
        "more": 0,
    }
    assert plain(vendor(made, "miso")["sentence"]) == (
        "Parked since 06:00 UTC: Miso refuses the key (401). 18,204 events wait, the oldest "
        "add-to-cart since 05:59 UTC. Nothing is lost. Put the new key into `STREAMS_MISO_API_KEY` "
        "and restart its workers."
    )
    assert fact(made, "miso", "done in") == "not while parked"
    assert vendor(made, "miso")["requests"][0]["status"] == 401


@pytest.mark.parametrize(
    ("state", "level", "begins"),
    [
        ("degraded", "look", "Degraded since 07:00 UTC: Miso has a fault of its own (503)."),
        ("throttled", "look", "Throttled since 07:00 UTC: Miso has a fault of its own (503)."),
        ("paused", "look", "Paused since 07:00 UTC: an operator wants it so."),
        ("parked", "bad", "Parked since 07:00 UTC: Miso has a fault of its own (503)."),
    ],
)
def test_every_state_is_said_in_words(state: Any, level: str, begins: str) -> None:
    """With since when, why, and that nothing is lost."""
    status = VendorStatus(state, NOW - 3_600_000, "503: down", "Nothing: it is tried again.")
    made = shown(scenes.in_state(NOW, "miso", status, 12))
    said = plain(vendor(made, "miso")["sentence"])
    assert said.startswith(begins)
    assert "Nothing is lost." in said
    assert made["verdict"]["level"] == level
    assert made["verdict"]["vendor"] == "miso"
    assert vendor(made, "miso")["can"] == ("resume" if state == "paused" else "pause")


def test_what_retention_deletes_is_never_called_safe() -> None:
    """For an hour it is the news; afterwards it stays a fact about the vendor."""
    status = VendorStatus("parked", NOW, "503", "")
    workers = scenes.in_state(NOW, "miso", status, 5)
    workers = [replace(w, expired={"t": 1_200}) if w.stage == "miso" else w for w in workers]
    history = History()
    for total in (0, 700, 500, 1_200):
        history.note_expired("miso", total)
    said = plain(vendor(shown(workers, history), "miso")["sentence"])
    assert "Nothing is lost" not in said
    assert "Retention has deleted 1,200 events unread until now." in said
    calm = [replace(w, expired={"t": 1_200}) if w.stage == "miso" else w for w in scenes.calm(NOW)]
    assert plain(shown(calm, history)["verdict"]["text"]) == (
        "Within the hour retention deleted 1,200 events for Miso before they were read."
    )
    for _ in range(SAMPLES):
        history.note_expired("miso", 1_200)
    assert shown(calm, history)["verdict"]["level"] == "good"
    history.note_expired("enrich", 0)
    history.note_expired("enrich", 9)
    assert plain(shown(calm, history)["verdict"]["text"]) == (
        "Within the hour retention deleted 9 raw events before enrichment read them."
    )


def test_a_vendor_without_workers_is_missed() -> None:
    """It is on, so somebody expects it to run."""
    made = shown([w for w in scenes.calm(NOW) if w.stage != "voyado"])
    assert vendor(made, "voyado")["state"] == "gone"
    assert plain(made["verdict"]["text"]) == "No worker runs for Voyado Engage: its events wait."
    assert "`streams worker voyado`" in plain(vendor(made, "voyado")["sentence"])
    assert fact(made, "voyado", "waiting") == "-"


def test_a_worker_that_stopped_speaking_is_not_taken_for_alive() -> None:
    """Its figures are old and count for nothing."""
    workers = [replace(w, at=NOW - 40_000) if w.stage == "miso" else w for w in scenes.calm(NOW)]
    made = shown(workers)
    said = plain(vendor(made, "miso")["sentence"])
    assert said.startswith("No worker of Miso has spoken for 40 s.")
    assert next(w for w in made["workers"] if w["stage"] == "miso")["doing"] == "silent for 40 s"


def test_without_enrichment_nothing_reaches_anybody() -> None:
    """That comes first, before any vendor's trouble."""
    status = VendorStatus("parked", NOW, "503", "")
    workers = [w for w in scenes.in_state(NOW, "miso", status, 5) if w.stage != "enrich"]
    text = plain(shown(workers)["verdict"]["text"])
    assert text.startswith("No enrichment worker runs: nothing new reaches any vendor.")
    assert text.endswith("1 more thing to look at below.")


def test_more_coming_in_than_going_out_is_noticed() -> None:
    """Ten million wait and become no fewer."""
    history = History()
    for second in range(30):
        history.note_waiting(float(second), "miso", 10_000_000 + second * 20)
    topic = "vendor.miso.events"
    workers = [
        replace(
            w,
            lag={topic: 10_000_000},
            waiting={topic: Waiting(10_000_000, NOW - 9_000_000, "click")},
        )
        if w.stage == "miso"
        else w
        for w in scenes.calm(NOW)
    ]
    board = StatusBoard({one.worker: one for one in workers}).workers(NOW)
    frame = scenes.frame()
    made = view(frame, board, summaries(frame, board), history, NOW)
    assert fact(made, "miso", "waiting") == "10,000,000"
    assert fact(made, "miso", "done in") == "never at this rate"
    assert made["verdict"]["level"] == "look"
    assert plain(made["verdict"]["text"]).startswith(
        "Miso takes less than comes in: 10,000,000 events wait, the oldest since "
    )


def test_nothing_at_all_is_shown_as_nothing() -> None:
    """No worker, no event: the page says what to start and divides by nothing."""
    made = shown([])
    assert made["verdict"]["level"] == "bad"
    assert made["join"]["rows"][0]["share"] == "-"
    assert made["workers"] == []
    quiet = [
        replace(
            w, rate=0.0, accepted_rate=0.0, settled_rate=0.0, lag={}, waiting={}, age_seconds={}
        )
        for w in scenes.calm(NOW)
    ]
    made = shown(quiet)
    assert plain(made["verdict"]["text"]) == (
        "All is well. 8SELECT, Voyado Engage and Miso have taken everything; nothing comes in at "
        "the moment."
    )
    assert fact(made, "miso", "age p50") == "-"


def test_two_workers_of_a_vendor_are_one() -> None:
    """Sums of what adds up, the worst of what does not, and the weighted middle."""
    one = scenes.sink(NOW, "voyado")
    two = replace(
        one,
        worker="voyado-shop-2-0",
        accepted_rate=3.1,
        age_seconds={"p50": 1.0, "p95": 9.0},
        vendor=VendorStatus("throttled", NOW - 1_000, "429", ""),
    )
    workers = StatusBoard({w.worker: w for w in (one, two)}).workers(NOW)
    summary = summarize("voyado", "Voyado Engage", workers, [])
    assert summary.state == "throttled"
    assert round(summary.accepted_rate, 1) == 12.2
    assert (round(summary.p50 or 0, 3), summary.p95) == (0.485, 9.0)
    assert (summary.quota_used, summary.quota_limit) == (19.2, 40.0)
    assert summary.waiting == 8


def test_a_silent_broker_is_said_before_all_else() -> None:
    """What the page knows is old then; it does not blame the workers."""
    made = shown(scenes.calm(NOW), broker_silent_seconds=42.0)
    assert plain(made["verdict"]["text"]).startswith("Kafka has told this worker nothing for 42 s")


def test_the_hour_keeps_an_hour() -> None:
    """Older points leave, a vendor that comes later begins with gaps."""
    history, frame = History(), scenes.frame()
    workers = StatusBoard({w.worker: w for w in scenes.calm(NOW)}).workers(NOW)
    vendors = summaries(frame, workers)
    history.sample(NOW - 1, 52.0, vendors[:2])
    for step in range(SAMPLES + 5):
        history.sample(NOW + step, 52.0, vendors)
    curves = history.to_json()
    assert curves["began"] == NOW + 5
    assert {len(c) for c in curves["vendors"]["miso"].values()} == {SAMPLES}
    fresh = History()
    fresh.sample(NOW, 52.0, vendors[:2])
    fresh.sample(NOW + 1, 52.0, vendors)
    assert fresh.to_json()["vendors"]["miso"]["accepted"] == [None, 49.8]


def test_where_a_key_is_put_is_said_as_it_is_set(tmp_path: Path) -> None:
    """By its variable, or by its file, which needs no restart."""
    by_variable = frame_of(load_settings({"STREAMS_MISO_API_KEY": "key-4711"}))
    assert by_variable.key_places["miso"] == "`STREAMS_MISO_API_KEY` and restart its workers"
    assert by_variable.vendors == {"miso": "Miso"}
    assert not by_variable.may_change
    file = tmp_path / "miso"
    file.write_text("key-4711")
    by_file = frame_of(load_settings({"STREAMS_MISO_API_KEY_FILE": str(file)}))
    assert by_file.key_places["miso"] == f"`{file}`: the next probe reads it, within 10 s"
