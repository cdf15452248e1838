"""What the dashboard shows of a pipeline, made of what is known alone."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from streams.core.snapshot import Cause, Outcomes, Restarts, VendorStatus, Waiting, WorkerSnapshot
from streams.status.judge import judge
from streams.status.known import StageState
from streams.status.status import WorkerStatus
from streams.web.history import SAMPLES, History, Point
from streams.web.view import DELIVERY_TIME, EVENT_TIME, summaries, view
from tests.web import scenes
from tests.web.scenes import plain

NOW = 1_800_000_000_000
"""2027-01-15T08:00Z."""


def shown(
    snapshots: Sequence[WorkerSnapshot], history: History | None = None, **more: Any
) -> dict[str, Any]:
    """The view of these workers."""
    known = scenes.known(NOW, snapshots, **more)
    made = view(scenes.installation(), known, summaries(known), history or History())
    json.dumps(made)
    return made


def vendor(made: dict[str, Any], key: str) -> dict[str, Any]:
    """One vendor's part."""
    return next(one for one in made["vendors"] if one["key"] == key)


def fact(made: dict[str, Any], key: str, name: str) -> str:
    """One of a vendor's figures."""
    return str(next(f["value"] for f in vendor(made, key)["facts"] if f["name"] == name))


def test_the_page_shows_the_findings_and_adds_none() -> None:
    """Each in its parts: what is so, since when, why, and the remedy."""
    status = VendorStatus("parked", NOW - 7_200_000, "401: no such key", "Check the key.")
    workers = scenes.in_state(NOW, "miso", status, 18_204)
    workers = [
        replace(w, restarts=Restarts([NOW - 1_000], "signal 9")) if w.stage == "voyado" else w
        for w in workers
    ]
    made = shown(workers)
    found = judge(scenes.known(NOW, workers))
    assert [(one["subject"], one["kind"]) for one in made["findings"]] == [
        ("miso", "parked"),
        ("voyado", "restarted"),
    ]
    for one, finding in zip(made["findings"], found, strict=True):
        assert plain(one["text"]).startswith(finding.text.removesuffix("."))
        assert (one["cause"], one["remedy"]) == (finding.cause, finding.remedy)
    assert plain(made["findings"][0]["text"]) == "Miso is parked since 06:00 UTC."
    assert made["findings"][0]["remedy"] == (
        "Put the new key into `STREAMS_MISO_API_KEY` and restart its workers."
    )
    assert vendor(made, "miso")["findings"] == [0]
    assert vendor(made, "eightselect")["findings"] == []


def test_the_vendor_to_look_at_comes_first() -> None:
    """Then the others as they are configured; without trouble nothing moves."""
    assert [one["key"] for one in shown(scenes.calm(NOW))["vendors"]] == [*scenes.NAMES]
    status = VendorStatus("degraded", NOW, "503", "")
    made = shown(scenes.in_state(NOW, "miso", status, 5))
    assert [one["key"] for one in made["vendors"]] == ["miso", "eightselect", "voyado"]
    without = [w for w in scenes.in_state(NOW, "miso", status, 5) if w.stage != "voyado"]
    assert [one["key"] for one in shown(without)["vendors"]] == ["voyado", "miso", "eightselect"]
    assert [one["name"] for one in made["flow"]["vendors"]] == [*scenes.NAMES.values()]


def test_a_finding_has_the_button_that_its_remedy_names() -> None:
    """Resume where an operator has paused, the list where dead letters are new."""
    paused = VendorStatus(
        "paused", NOW, "Paused by an operator.", "Resume it: `streams resume miso`."
    )
    made = shown(scenes.in_state(NOW, "miso", paused, 5))
    assert made["findings"][0]["act"] == "resume"
    assert vendor(made, "miso")["can"] == "resume"
    assert vendor(made, "voyado")["can"] == "pause"
    workers = [
        replace(w, lately={"miso": Outcomes(90, {}, {"rejected": 10})}) if w.stage == "miso" else w
        for w in scenes.calm(NOW)
    ]
    (finding,) = shown(workers)["findings"]
    assert (finding["subject"], finding["act"]) == ("miso", "letters")


def test_rates_count_what_is_skipped() -> None:
    """What enrichment skips for a vendor is settled as well, so vendors' rates can be compared."""
    history = History()
    for second in range(11):
        history.note_skipped(float(second), "eightselect", 1_000 + 46 * second)
    made = shown(scenes.calm(NOW), history)
    assert fact(made, "eightselect", "settled") == "52 /s"
    assert fact(made, "eightselect", "accepted") == "6.4 /s"
    assert made["flow"]["vendors"][0]["rate"] == "52"
    history.note_skipped(11.0, "eightselect", 3)
    assert history.skipped_rate("eightselect") == 0.0


def test_ages_say_which_clock_they_begin_at() -> None:
    """The event's own time, and its arrival in Kafka."""
    made = shown(scenes.calm(NOW))
    assert fact(made, "miso", EVENT_TIME) == "half in 4.2 s, 95 % in 1 min"
    assert fact(made, "miso", DELIVERY_TIME) == "half in 310 ms, 95 % in 740 ms"
    quiet = [replace(w, age_seconds={}, delivery_seconds={}) for w in scenes.calm(NOW)]
    assert fact(shown(quiet), "miso", EVENT_TIME) == "none accepted yet"


def test_a_card_begins_with_what_became_of_the_hours_events() -> None:
    """Accepted, skipped and dead-lettered, by sink and enrichment together."""
    workers = [
        replace(
            w,
            lately={"miso": Outcomes(600, {"too_old": 30}, {"rejected": 3})},
            before={"miso": Outcomes(2_400, {}, {"rejected": 2})},
        )
        if w.stage == "miso"
        else replace(w, lately={"miso": Outcomes(0, {"no_consent": 965})})
        if w.stage == "enrich"
        else w
        for w in scenes.calm(NOW)
    ]
    assert vendor(shown(workers), "miso")["shares"] == {
        "events": "4,000 events",
        "rows": [
            {"name": "accepted", "count": "3,000", "share": "75 %", "part": 0.75},
            {"name": "skipped", "count": "995", "share": "25 %", "part": 0.2487},
            {"name": "dead-lettered", "count": "5", "share": "0.1 %", "part": 0.0013},
        ],
    }


@pytest.mark.parametrize("state", ["degraded", "throttled", "paused", "parked"])
def test_every_state_is_the_vendors_own_word(state: Any) -> None:
    """With what waits and that it does not clear while nothing is sent."""
    status = VendorStatus(state, NOW - 3_600_000, "503: down", "Nothing to do: it is tried again.")
    made = shown(scenes.in_state(NOW, "miso", status, 12))
    assert vendor(made, "miso")["state"] == state
    assert fact(made, "miso", "waiting") == "12"
    clears = {"paused": "not while paused", "parked": "not while parked"}
    assert fact(made, "miso", "time to clear") == clears.get(state, "never at this rate")
    assert vendor(made, "miso")["requests"][0]["status"] == 401


def test_a_stage_without_a_worker_is_a_row_with_what_waits() -> None:
    """By the brokers' offsets; it is on, so somebody expects it to run."""
    workers = [w for w in scenes.calm(NOW) if w.stage != "voyado"]
    made = shown(workers, waiting={"voyado": 1_204})
    assert vendor(made, "voyado")["state_word"] == "no worker"
    assert (vendor(made, "voyado")["waiting"], vendor(made, "voyado")["rate"]) == ("1,204", "?")
    assert vendor(made, "voyado")["shares"] is None
    assert fact(made, "voyado", "time to clear") == "not without a worker"
    assert [(w["stage"], w["doing"], w["waiting"]) for w in made["workers"]] == [
        ("enrich", ["ready"], "3"),
        ("eightselect", ["ready"], "4"),
        ("voyado", ["no worker"], "1,204"),
        ("miso", ["ready"], "4"),
    ]
    flow = {one["key"]: one["waiting"] for one in made["flow"]["vendors"]}
    assert flow["voyado"] == "1,204"


def test_what_is_not_known_is_never_nought() -> None:
    """A worker that stopped reporting, brokers that say nothing: question marks, and since when."""
    workers = [replace(w, at=NOW - 40_000) if w.stage == "miso" else w for w in scenes.calm(NOW)]
    made = shown(workers)
    assert {fact(made, "miso", name) for name in ("settled", "waiting", "time to clear")} == {"?"}
    assert {fact(made, "miso", name) for name in (EVENT_TIME, DELIVERY_TIME)} == {"?"}
    silent, none = [w for w in made["workers"] if w["stage"] == "miso"]
    assert silent["doing"] == ["unknown since ", {"at": NOW - 40_000}]
    assert (silent["rate"], silent["waiting"], silent["memory"]) == ("?", "?", "?")
    assert (none["doing"], none["waiting"]) == (["no worker"], "?")
    assert made["dead_letters"]["unknown"] == ["Miso"]
    without_enrich = shown([w for w in scenes.calm(NOW) if w.stage != "enrich"])
    assert [raw["waiting"] for raw in without_enrich["flow"]["raw"]] == ["?", "?"]
    assert without_enrich["flow"]["enrich"]["rate"] == "?"
    assert without_enrich["join"]["events"] == "?"
    assert without_enrich["join"]["rows"][0]["count"] == "?"


def test_while_kafka_is_silent_nothing_is_known() -> None:
    """The brokers are the finding; the vendors are not blamed."""
    made = shown(scenes.calm(NOW), kafka_silent_since=NOW - 42_000)
    assert [one["kind"] for one in made["findings"]] == ["kafka_away"]
    assert {one["state"] for one in made["vendors"]} == {"unknown"}
    assert {one["waiting"] for one in made["vendors"]} == {"?"}
    assert made["dead_letters"] == {"hour": "?", "total": "?", "unknown": []}


def test_more_coming_in_than_going_out_never_clears() -> None:
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
    made = shown(workers, history)
    assert fact(made, "miso", "waiting") == "10,000,000"
    assert fact(made, "miso", "time to clear") == "never at this rate"


def test_dead_letters_are_counted_live() -> None:
    """Those of vendors and of enrichment, in the last hour and since the workers started."""
    workers = [
        replace(w, lately={"miso": Outcomes(90, {}, {"rejected": 2})}) if w.stage == "miso" else w
        for w in scenes.calm(NOW)
    ]
    assert shown(workers)["dead_letters"] == {"hour": "2", "total": "28", "unknown": []}


def test_what_retention_deletes_stays_a_figure_of_the_vendor() -> None:
    """For an hour it is a finding; afterwards the sum is still there."""
    history = History()
    for total in (0, 700, 500, 1_200):
        history.note_expired("miso", total)
    assert history.expired_lately() == {"miso": 1_200}
    for _ in range(SAMPLES):
        history.note_expired("miso", 1_200)
    assert history.expired_lately() == {}
    calm = [replace(w, expired={"t": 1_200}) if w.stage == "miso" else w for w in scenes.calm(NOW)]
    assert fact(shown(calm), "miso", "expired") == "1,200"


def test_nothing_at_all_is_shown_as_nothing_known() -> None:
    """No worker, no event: nothing is divided by nothing."""
    made = shown([])
    assert made["findings"][0]["level"] == "problem"
    assert {one["state"] for one in made["workers"]} == {"gone"}
    assert made["dead_letters"]["hour"] == "?"


def test_two_workers_of_a_vendor_are_one() -> None:
    """Sums of what adds up, the worst of what does not, and the weighted middle."""
    one = scenes.sink(NOW, "voyado")
    two = replace(
        one,
        worker="voyado-shop-2-0",
        accepted_rate=3.1,
        age_seconds={"p50": 14.2, "p95": 90.0},
        vendor=VendorStatus("throttled", NOW - 1_000, "429", ""),
    )
    made = shown([scenes.enrich(NOW), one, two])
    assert vendor(made, "voyado")["state"] == "throttled"
    assert fact(made, "voyado", "accepted") == "12 /s"
    assert fact(made, "voyado", EVENT_TIME) == "half in 6.7 s, 95 % in 2 min"
    assert fact(made, "voyado", "quota") == "19 of 40 /s"
    assert fact(made, "voyado", "waiting") == "8"


def test_the_hour_keeps_an_hour() -> None:
    """Older points leave; a vendor that comes later begins with gaps, one that leaves has them."""
    history = History()
    history.sample(NOW - 1, {"voyado": Point(9.1, 4)})
    for step in range(SAMPLES + 5):
        history.sample(NOW + step, {"miso": Point(49.8, 4)})
    curves = history.to_json()
    assert curves["began"] == NOW + 5
    assert {len(c) for c in curves["vendors"]["miso"].values()} == {SAMPLES}
    assert set(curves["vendors"]["voyado"]["settled"]) == {None}
    fresh = History()
    fresh.sample(NOW, {})
    fresh.sample(NOW + 1, {"miso": Point(49.8, None)})
    assert fresh.to_json()["vendors"]["miso"] == {"settled": [None, 49.8], "waiting": [None, None]}


def test_whether_anything_may_be_changed_is_known_from_the_token() -> None:
    """Without one the page only reads."""
    known = scenes.known(NOW, [])
    for with_token in (False, True):
        settings = scenes.installation(may_change=with_token)
        assert view(settings, known, {}, History())["may_change"] is with_token


def test_ingest_is_a_row_among_the_workers_and_no_card() -> None:
    """Its dead letters count with the others."""
    known = scenes.known(NOW, scenes.calm(NOW))
    other = known.workers[0]
    causes = [Cause(None, "invalid_field", "abcdefgh", 4)]
    ingest = replace(other.snapshot, worker="ingest-a-0", stage="ingest", join=None, causes=causes)
    workers = [WorkerStatus(ingest, ingest.at, 0.0, False), *known.workers]
    with_ingest = dataclasses.replace(
        known, stages=[StageState("ingest", "Ingest"), *known.stages], workers=workers
    )
    before = view(scenes.installation(), known, summaries(known), History())
    made = view(scenes.installation(), with_ingest, summaries(with_ingest), History())
    assert made["workers"][0]["worker"] == "ingest-a-0"
    assert [one["key"] for one in made["vendors"]] == [*scenes.NAMES]
    total = [int(one["dead_letters"]["total"]) for one in (before, made)]
    assert total[1] == total[0] + 4
