"""The judgement on a pipeline: each state with the sentences that a person would want."""

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from streams.core.snapshot import (
    Cause,
    DriftNote,
    Outcomes,
    QuotaUse,
    Restarts,
    Trend,
    VendorStatus,
    Waiting,
    WorkerSnapshot,
)
from streams.status.findings import FindingKind, Level
from streams.status.judge import judge
from streams.status.known import Known, StageState
from streams.status.status import WorkerStatus

NOW = 1_777_000_000_000
"""2026-04-24, 03:06:40 UTC."""
MINUTE = 60_000
NAMES = {"enrich": "Enrichment", "eightselect": "8SELECT", "miso": "Miso"}


def worker(stage: str, /, silent: float = 0.4, **changes: Any) -> WorkerStatus:
    """Return a worker that is well, but for the changes; ``silent``: seconds since it spoke."""
    at = NOW - int(silent * 1000)
    snapshot = WorkerSnapshot(
        worker=f"{stage}-shop-1-0",
        stage=stage,
        slot=0,
        host="shop-1",
        pid=7,
        version="0.1.0",
        at=at,
        started_at=NOW - 300 * MINUTE,
        ready=True,
        rate=52.0,
        vendor=None if stage == "enrich" else VendorStatus("running", NOW - 300 * MINUTE),
    )
    snapshot = replace(snapshot, **changes)
    return WorkerStatus(snapshot, snapshot.at, silent, silent > 15)


def pipeline(
    *changed: WorkerStatus,
    without: Sequence[str] = (),
    stages: dict[str, dict[str, Any]] | None = None,
    **more: Any,
) -> Known:
    """Return a pipeline of enrichment and two vendors that is well, but for the changes."""
    of = stages or {}
    defaults = {"eightselect": {"key_place": "`/run/secrets/8select`: the next probe reads it"}}
    listed = [
        StageState(key, name, **defaults.get(key, {}) | of.get(key, {}))
        for key, name in NAMES.items()
    ]
    changed_stages = {one.snapshot.stage for one in changed}
    workers = [worker(key) for key in NAMES if key not in changed_stages | set(without)]
    return Known(NOW, listed, [*workers, *changed], **more)


def at(text: str) -> int:
    """Return a time of day as ms."""
    hours, minutes = map(int, text.split(":"))
    return NOW - (3 * 60 + 6) * MINUTE - 40_000 + (hours * 60 + minutes) * MINUTE


def parked(reason: str, advice: str, since: str = "02:48") -> VendorStatus:
    """Return a vendor's state."""
    return VendorStatus("parked", at(since), reason, advice)


CHECK_KEY = (
    "Check the key and the address of 8SELECT in the settings. A key file is read again at "
    "each probe, other settings at a restart."
)
ONLY_TIME = "No action is needed: Miso is probed every 10 s."
REFUSED_MOST = (
    "Check `streams dead-letters list`: so many refusals usually have one cause in the mapping, "
    "the product ids or a schema. Fix it, then `streams resume miso`."
)
RETRIED = "No action is needed: requests are retried automatically."
EVENTS_8 = "vendor.eightselect.events"
GONE = DriftNote(
    "field_gone",
    "web-clicks",
    "price",
    "97 % of events had it, the last 25 have not",
    at("02:58"),
    "web",
    '{"event":"view"}',
)
RENAMED = DriftNote(
    "new_event_name",
    "web-clicks",
    "bagged",
    "no section takes it, and 20 % of the topic's records have had it since",
    at("03:02"),
    "web",
    '{"event":"bagged"}',
)

Expected = list[tuple[Level, str, str]]
OK, WARNING, PROBLEM = Level.OK, Level.WARNING, Level.PROBLEM

STATES: dict[str, tuple[Known, Expected]] = {
    "all is well": (
        pipeline(),
        [
            (OK, "all_well", "All is well. 8SELECT and Miso keep up with 52 events a second."),
        ],
    ),
    "all is well, one vendor": (
        Known(
            NOW,
            [StageState("enrich", "Enrichment"), StageState("miso", "Miso")],
            [worker("enrich"), worker("miso")],
        ),
        [
            (OK, "all_well", "All is well. Miso keeps up with 52 events a second."),
        ],
    ),
    "nothing comes in, nothing waits": (
        pipeline(worker("enrich", rate=0.0)),
        [
            (OK, "all_well", "All is well. 8SELECT and Miso are all caught up, no new events."),
        ],
    ),
    "nothing comes in, something waits": (
        pipeline(worker("enrich", rate=0.0), worker("miso", lag={"vendor.miso.events": 12})),
        [
            (OK, "all_well", "All is well. 8SELECT and Miso are working through 12 events."),
        ],
    ),
    "no vendor is enabled": (
        Known(NOW, [StageState("enrich", "Enrichment")], [worker("enrich")]),
        [
            (
                PROBLEM,
                "no_vendor",
                (
                    "No vendor is enabled. No event is delivered. Set the credentials of "
                    "a vendor: docs/operations.md, Settings."
                ),
            ),
        ],
    ),
    "nothing is known at all": (
        Known(NOW, [StageState(k, n) for k, n in NAMES.items()]),
        [
            (
                PROBLEM,
                "no_worker",
                ("No enrichment worker is running. Start one with `streams worker enrich`."),
            ),
            (
                PROBLEM,
                "no_worker",
                ("No worker for 8SELECT is running. Start one with `streams worker eightselect`."),
            ),
            (
                PROBLEM,
                "no_worker",
                ("No worker for Miso is running. Start one with `streams worker miso`."),
            ),
        ],
    ),
    "kafka is away": (
        pipeline(kafka_silent_since=at("03:05")),
        [
            (
                PROBLEM,
                "kafka_away",
                (
                    "Kafka has not answered since 03:05 UTC: The state of workers and "
                    "vendors is unknown until then. Check the brokers. Workers continue by "
                    "themselves when Kafka answers."
                ),
            ),
        ],
    ),
    "kafka is away and says why": (
        pipeline(
            kafka_silent_since=at("03:05"),
            kafka_problem="The broker at kafka:9092 refuses the connection.",
        ),
        [
            (
                PROBLEM,
                "kafka_away",
                (
                    "Kafka has not answered since 03:05 UTC: The broker at kafka:9092 "
                    "refuses the connection. The state of workers and vendors is unknown "
                    "until then. Check the brokers. Workers continue by themselves when "
                    "Kafka answers."
                ),
            ),
        ],
    ),
    "kafka is away and a key is refused": (
        pipeline(
            worker("eightselect", vendor=parked("401 Unauthorized", CHECK_KEY)),
            kafka_silent_since=at("03:05"),
        ),
        [
            (
                PROBLEM,
                "kafka_away",
                (
                    "Kafka has not answered since 03:05 UTC: The state of workers and "
                    "vendors is unknown until then. Check the brokers. Workers continue by "
                    "themselves when Kafka answers."
                ),
            ),
        ],
    ),
    "enrichment has no worker after an orderly stop": (
        pipeline(without=["enrich"], stages={"enrich": {"waiting": 120}}),
        [
            (
                PROBLEM,
                "no_worker",
                (
                    "No enrichment worker is running. 120 events wait. Nothing is lost. "
                    "Start one with `streams worker enrich`."
                ),
            ),
        ],
    ),
    "a vendor has no worker after an orderly stop": (
        pipeline(without=["miso"], stages={"miso": {"waiting": 1}}),
        [
            (
                PROBLEM,
                "no_worker",
                (
                    "No worker for Miso is running. 1 event waits. Nothing is lost. Start "
                    "one with `streams worker miso`."
                ),
            ),
        ],
    ),
    "a vendor has no worker and the brokers' figures are unknown": (
        pipeline(without=["miso"]),
        [
            (
                PROBLEM,
                "no_worker",
                ("No worker for Miso is running. Start one with `streams worker miso`."),
            ),
        ],
    ),
    "a vendor has no worker and nothing waits": (
        pipeline(without=["miso"], stages={"miso": {"waiting": 0}}),
        [
            (
                PROBLEM,
                "no_worker",
                (
                    "No worker for Miso is running. No events wait. Nothing is lost. Start "
                    "one with `streams worker miso`."
                ),
            ),
        ],
    ),
    "a vendor's first worker is still to be started": (
        pipeline(without=["miso"], stages={"miso": {"waiting": 5, "has_run": False}}),
        [
            (
                WARNING,
                "no_worker",
                (
                    "No worker for Miso has run yet. 5 events wait. Nothing is lost. Start one "
                    "with `streams worker miso`."
                ),
            ),
        ],
    ),
    "a paused vendor has no worker": (
        pipeline(without=["miso"], stages={"miso": {"waiting": 40, "is_paused": True}}),
        [
            (
                WARNING,
                "no_worker",
                (
                    "Miso is paused by an operator and no worker runs for it. 40 events "
                    "wait. Nothing is lost. Resume it with `streams resume miso`, and start "
                    "a worker with `streams worker miso`."
                ),
            ),
        ],
    ),
    "nobody can read whether a vendor is paused": (
        pipeline(
            without=["miso"], stages={"miso": {"is_paused": True, "is_control_unreadable": True}}
        ),
        [
            (
                WARNING,
                "no_worker",
                (
                    "Miso counts as paused, because its newest control record is unreadable, and "
                    "no worker runs for it. Resume it with `streams resume miso`, and start a "
                    "worker with `streams worker miso`."
                ),
            ),
        ],
    ),
    "the only worker of a vendor is frozen": (
        pipeline(
            worker("miso", silent=40, lag={"vendor.miso.events": 0}),
            stages={"miso": {"waiting": 7}},
        ),
        [
            (
                PROBLEM,
                "no_worker",
                (
                    "No worker for Miso has reported since 03:06 UTC: miso-shop-1-0 stopped "
                    "reporting: the process has ended or hangs. 7 events wait. Nothing is "
                    "lost. Check the process and its log. If it has ended: `streams worker "
                    "miso`."
                ),
            ),
        ],
    ),
    "one of two workers is frozen": (
        pipeline(
            worker("miso", silent=40),
            worker("miso", worker="miso-shop-2-0"),
            stages={"miso": {"waiting": 7}},
        ),
        [
            (
                WARNING,
                "silent_worker",
                (
                    "miso-shop-1-0 has not reported since 03:06 UTC: 1 other worker of Miso "
                    "runs and will take over the partitions. 7 events wait. Nothing is "
                    "lost. Check the process and its log."
                ),
            ),
        ],
    ),
    "enrichment is frozen": (
        pipeline(worker("enrich", silent=95)),
        [
            (
                PROBLEM,
                "no_worker",
                (
                    "No enrichment worker has reported since 03:05 UTC: enrich-shop-1-0 "
                    "stopped reporting: the process has ended or hangs. "
                    "Check the process and its log. If it has ended: "
                    "`streams worker enrich`."
                ),
            ),
        ],
    ),
    "enrichment reads its tables": (
        pipeline(
            worker(
                "enrich",
                ready=False,
                started_at=at("03:06"),
                not_ready=["Tables are being read: 1,204 rows remain."],
            )
        ),
        [
            (
                WARNING,
                "starting",
                "Enrichment is starting since 03:06 UTC: Tables are being read: 1,204 rows remain.",
            ),
        ],
    ),
    "the schema registry is away": (
        Known(
            NOW,
            [StageState("ingest", "Ingest", waiting=312), *pipeline().stages],
            [
                *pipeline().workers,
                worker("ingest", vendor=None),
                worker(
                    "ingest",
                    vendor=None,
                    slot=1,
                    ready=False,
                    not_ready=[
                        (
                            "registry: The schema registry at https://schemas.shop.example gives "
                            "no schemas: status 503."
                        ),
                    ],
                    trend=Trend(300.0, 500.0, 100.0),
                ),
            ],
        ),
        [
            (
                PROBLEM,
                "registry_away",
                (
                    "Ingest waits for the schema registry. The schema registry at "
                    "https://schemas.shop.example gives no schemas: status 503. 312 events wait. "
                    "Nothing is lost. Check the registry and [registry] url. Ingest continues by "
                    "itself when it answers."
                ),
            ),
        ],
    ),
    "a sink is starting": (
        pipeline(
            worker(
                "miso",
                ready=False,
                started_at=at("03:06"),
                not_ready=["No partitions are assigned yet."],
            )
        ),
        [
            (
                WARNING,
                "starting",
                "Miso is starting since 03:06 UTC: No partitions are assigned yet.",
            ),
        ],
    ),
    "a worker was killed once": (
        pipeline(worker("miso", restarts=Restarts([NOW - 2 * MINUTE], "signal 9"))),
        [
            (
                WARNING,
                "restarted",
                (
                    "miso-shop-1-0 failed and was restarted once in 10 minutes. The last "
                    "one ended with signal 9. Read the error before the restart in its log."
                ),
            ),
        ],
    ),
    "a worker was killed once, long ago": (
        pipeline(worker("miso", restarts=Restarts([NOW - 30 * MINUTE], "signal 9"))),
        [
            (OK, "all_well", "All is well. 8SELECT and Miso keep up with 52 events a second."),
        ],
    ),
    "a crash loop": (
        pipeline(
            worker(
                "enrich",
                restarts=Restarts([NOW - n * MINUTE for n in (9, 7, 5, 3, 1)], "exit code 3"),
            )
        ),
        [
            (
                PROBLEM,
                "crash_loop",
                (
                    "enrich-shop-1-0 keeps failing: it was restarted 5 times in 10 minutes. "
                    "The last one ended with exit code 3. Read the error before each "
                    "restart in its log. Exit codes: docs/operations.md."
                ),
            ),
        ],
    ),
    "the key is refused": (
        pipeline(
            worker("eightselect", lag={EVENTS_8: 12}, vendor=parked("401 Unauthorized", CHECK_KEY)),
            stages={"eightselect": {"waiting": 12}},
        ),
        [
            (
                PROBLEM,
                "parked",
                (
                    "8SELECT is parked since 02:48 UTC: 8SELECT refuses the key (401). 12 "
                    "events wait. Nothing is lost. Put the new key into "
                    "`/run/secrets/8select`: the next probe reads it."
                ),
            ),
        ],
    ),
    "a vendor is away for long": (
        pipeline(
            worker(
                "miso",
                lag={"vendor.miso.events": 900},
                vendor=parked("connection refused", ONLY_TIME),
            )
        ),
        [
            (
                WARNING,
                "parked",
                (
                    "Miso is parked since 02:48 UTC: Connection refused. 900 events wait. "
                    "Nothing is lost. No action is needed: Miso is probed every 10 s."
                ),
            ),
        ],
    ),
    "a vendor answers 500": (
        pipeline(
            worker(
                "miso",
                lag={"vendor.miso.events": 3},
                vendor=VendorStatus("degraded", at("03:06"), "500 Error", RETRIED),
            )
        ),
        [
            (
                WARNING,
                "degraded",
                (
                    "Miso is degraded since 03:06 UTC: Miso reports a server error (500). 3 "
                    "events wait. Nothing is lost. No action is needed: requests are "
                    "retried automatically."
                ),
            ),
        ],
    ),
    "a vendor asks to slow down": (
        pipeline(
            worker(
                "miso",
                lag={"vendor.miso.events": 1},
                vendor=VendorStatus("throttled", at("03:06"), "429 Too Many Requests"),
            )
        ),
        [
            (
                WARNING,
                "throttled",
                (
                    "Miso is throttled since 03:06 UTC: Miso asks to slow down (429). 1 "
                    "event waits. Nothing is lost."
                ),
            ),
        ],
    ),
    "a vendor refuses most events": (
        pipeline(
            worker(
                "miso",
                lag={"vendor.miso.events": 5},
                vendor=parked(
                    "Miso refused 15 of the last 20 events.",
                    REFUSED_MOST,
                ),
            )
        ),
        [
            (
                PROBLEM,
                "parked",
                (
                    "Miso is parked since 02:48 UTC: Miso refused 15 of the last 20 events. "
                    "5 events wait. Nothing is lost. Check `streams dead-letters list`: "
                    "so many refusals usually have one cause in the mapping, the product ids "
                    "or a schema. Fix it, then `streams resume miso`."
                ),
            ),
        ],
    ),
    "an operator paused a vendor": (
        pipeline(
            worker(
                "miso",
                lag={"vendor.miso.events": 5},
                vendor=VendorStatus(
                    "paused",
                    at("02:00"),
                    "Paused by an operator since 2026-04-24 02:00 UTC; nothing is lost.",
                    "Resume with `streams resume miso`.",
                ),
            )
        ),
        [
            (
                WARNING,
                "paused",
                (
                    "Miso is paused by an operator since 02:00 UTC: 5 events wait. Nothing "
                    "is lost. Resume with `streams resume miso`."
                ),
            ),
        ],
    ),
    "after a restart a vendor is asked": (
        pipeline(
            worker("miso", asking=24, trend=Trend(300, 9, 0), lag={"vendor.miso.events": 2000})
        ),
        [
            (
                WARNING,
                "asking_after_restart",
                (
                    "After the restart, Miso is asked which of 24 events it has stored. This "
                    "takes about 30 s. Only events that it has not stored are sent again."
                ),
            ),
        ],
    ),
    "one event is asked after": (
        pipeline(worker("miso", asking=1)),
        [
            (
                WARNING,
                "asking_after_restart",
                (
                    "After the restart, Miso is asked whether it has stored 1 event. This "
                    "takes about 30 s. Only events that it has not stored are sent again."
                ),
            ),
        ],
    ),
    "retention deleted events": (
        pipeline(expired_lately={"miso": 31}),
        [
            (
                PROBLEM,
                "expired",
                (
                    "Kafka deleted 31 records within the hour before Miso read them. 31 "
                    "were lost: the retention of the topic is shorter than the delay. Raise "
                    "retention.ms of the topic now: docs/operations.md, Retention."
                ),
            ),
        ],
    ),
    "retention deletes raw events": (
        pipeline(expired_lately={"enrich": 1}),
        [
            (
                PROBLEM,
                "expired",
                (
                    "Kafka deleted 1 record within the hour before enrichment read it. 1 "
                    "was lost: the retention of the topic is shorter than the delay. Raise "
                    "retention.ms of the topic now: docs/operations.md, Retention."
                ),
            ),
        ],
    ),
    "retention deletes while parked": (
        pipeline(
            worker("eightselect", lag={EVENTS_8: 12}, vendor=parked("401 Unauthorized", CHECK_KEY)),
            expired_lately={"eightselect": 31},
        ),
        [
            (
                PROBLEM,
                "expired",
                (
                    "Kafka deleted 31 records within the hour before 8SELECT read them. 31 "
                    "were lost: the retention of the topic is shorter than the delay. Raise "
                    "retention.ms of the topic now: docs/operations.md, Retention."
                ),
            ),
            (
                PROBLEM,
                "parked",
                (
                    "8SELECT is parked since 02:48 UTC: 8SELECT refuses the key (401). 12 "
                    "events wait. Put the new key into `/run/secrets/8select`: the next "
                    "probe reads it."
                ),
            ),
        ],
    ),
    "fresh dead letters of enrichment": (
        pipeline(
            worker(
                "enrich",
                lately={"enrich": Outcomes(0, {}, {"invalid_json": 400})},
                causes=[Cause(None, "invalid_json", "m4qk7wzd", 400, "not json at position #")],
            )
        ),
        [
            (
                WARNING,
                "new_dead_letters",
                (
                    "Enrichment: 400 new dead letters in 10 minutes. By reason: 400 "
                    "invalid_json. Most often: not json at position #. List them with "
                    "`streams dead-letters list`, fix the cause, then send them again with "
                    "`streams dead-letters resend`."
                ),
            ),
        ],
    ),
    "fresh dead letters of a vendor": (
        pipeline(
            worker(
                "miso",
                lately={"miso": Outcomes(960, {}, {"rejected": 39, "invalid_payload": 1})},
                causes=[
                    Cause(
                        "miso", "rejected", "h7k2mnpq", 39, "product_ids: # is not in the catalogue"
                    )
                ],
            )
        ),
        [
            (
                WARNING,
                "new_dead_letters",
                (
                    "Miso: 40 new dead letters of 1,000 events (4.0 %) in 10 minutes. By "
                    "reason: 39 rejected and 1 invalid_payload. Most often: product_ids: # "
                    "is not in the catalogue. List them with `streams dead-letters list`, "
                    "fix the cause, then send them again with `streams dead-letters "
                    "resend`."
                ),
            ),
        ],
    ),
    "one dead letter": (
        pipeline(worker("miso", lately={"miso": Outcomes(0, {}, {"rejected": 1})})),
        [
            (
                WARNING,
                "new_dead_letters",
                (
                    "Miso: 1 new dead letter in 10 minutes. By reason: 1 rejected. List "
                    "them with `streams dead-letters list`, fix the cause, then send them "
                    "again with `streams dead-letters resend`."
                ),
            ),
        ],
    ),
    "some new dead letters were resent": (
        pipeline(
            worker(
                "miso",
                lately={"miso": Outcomes(960, {}, {"rejected": 39, "invalid_payload": 1})},
                causes=[
                    Cause("miso", "rejected", "h7k2mnpq", 39, "# is not in the catalogue"),
                    Cause("miso", "invalid_payload", "p3x8rtwd", 1, "a price below 0"),
                ],
            ),
            open_letters={"miso": {"invalid_payload": 1}},
        ),
        [
            (
                WARNING,
                "new_dead_letters",
                (
                    "Miso: 1 new dead letter of 1,000 events (0.1 %) in 10 minutes. By reason: "
                    "1 invalid_payload. Most often: a price below 0. List them with `streams "
                    "dead-letters list`, fix the cause, then send them again with `streams "
                    "dead-letters resend`."
                ),
            ),
        ],
    ),
    "all new dead letters were resent or dropped": (
        pipeline(
            worker("enrich", lately={"enrich": Outcomes(0, {}, {"invalid_json": 400})}),
            worker("miso", lately={"miso": Outcomes(960, {}, {"rejected": 39})}),
            open_letters={"enrich": {}, "miso": {}},
        ),
        [
            (OK, "all_well", "All is well. 8SELECT and Miso keep up with 52 events a second."),
        ],
    ),
    "one vendor's new dead letters were resent, of another's it is unknown": (
        pipeline(
            worker("eightselect", lately={"eightselect": Outcomes(0, {}, {"rejected": 9_000})}),
            worker("miso", lately={"miso": Outcomes(0, {}, {"rejected": 39})}),
            open_letters={"miso": {}},
        ),
        [
            (
                WARNING,
                "new_dead_letters",
                (
                    "8SELECT: 9,000 new dead letters in 10 minutes. By reason: 9,000 rejected. "
                    "List them with `streams dead-letters list`, fix the cause, then send them "
                    "again with `streams dead-letters resend`."
                ),
            ),
        ],
    ),
    "more letters lie open than the workers counted lately": (
        pipeline(
            worker("miso", lately={"miso": Outcomes(0, {}, {"rejected": 1})}),
            open_letters={"miso": {"rejected": 5, "invalid_payload": 2}},
        ),
        [
            (
                WARNING,
                "new_dead_letters",
                (
                    "Miso: 1 new dead letter in 10 minutes. By reason: 1 rejected. List "
                    "them with `streams dead-letters list`, fix the cause, then send them "
                    "again with `streams dead-letters resend`."
                ),
            ),
        ],
    ),
    "a vendor accepts none of what comes": (
        pipeline(
            worker(
                "enrich",
                lately={
                    "miso": Outcomes(0, {"no_consent": 990}, {}, {"no_row": 980, "said_no": 10})
                },
            )
        ),
        [
            (
                WARNING,
                "nothing_accepted",
                (
                    "Miso accepted none of the last 990 events. In the last 10 minutes it "
                    "skipped 990 as no_consent. Of no_consent: 980 (no row "
                    "in shop.users) and 10 (row says no). Check whether shop.users still "
                    "gets rows with consent."
                ),
            ),
        ],
    ),
    "two vendors accept none": (
        pipeline(
            worker(
                "enrich",
                lately={
                    "miso": Outcomes(0, {"no_consent": 990}),
                    "eightselect": Outcomes(0, {"outside_content": 700, "no_consent": 290}),
                },
            )
        ),
        [
            (
                WARNING,
                "nothing_accepted",
                (
                    "8SELECT accepted none of the last 990 events. In the last 10 minutes "
                    "it skipped 700 as outside_content and 290 as no_consent. Check the "
                    "mapping of the field that marks 8SELECT content."
                ),
            ),
            (
                WARNING,
                "nothing_accepted",
                (
                    "Miso accepted none of the last 990 events. In the last 10 minutes it "
                    "skipped 990 as no_consent. Check whether shop.users still gets "
                    "rows with consent."
                ),
            ),
        ],
    ),
    "a few events skipped": (
        pipeline(worker("enrich", lately={"miso": Outcomes(0, {"no_consent": 19})})),
        [
            (OK, "all_well", "All is well. 8SELECT and Miso keep up with 52 events a second."),
        ],
    ),
    "many skipped as always": (
        pipeline(
            worker(
                "enrich",
                lately={"miso": Outcomes(0, {"no_consent": 600})},
                before={"miso": Outcomes(0, {"no_consent": 3000})},
            ),
            worker("miso", lately={"miso": Outcomes(400)}, before={"miso": Outcomes(2000)}),
        ),
        [
            (OK, "all_well", "All is well. 8SELECT and Miso keep up with 52 events a second."),
        ],
    ),
    "a skip reason jumps": (
        pipeline(
            worker(
                "enrich",
                lately={"miso": Outcomes(0, {"unknown_product": 600})},
                before={"miso": Outcomes(0, {"unknown_product": 50})},
            ),
            worker("miso", lately={"miso": Outcomes(400)}, before={"miso": Outcomes(4950)}),
        ),
        [
            (
                WARNING,
                "skip_reason_jumped",
                (
                    "Miso skips 60 % of events as unknown_product, up from 1.0 %. 600 of "
                    "1,000 events within 10 minutes. Check whether shop.products is "
                    "written."
                ),
            ),
        ],
    ),
    "a vendor falls behind": (
        pipeline(
            worker(
                "miso",
                trend=Trend(300, 50, 20),
                lag={"vendor.miso.events": 9000},
                waiting={"vendor.miso.events": Waiting(9000, at("02:30"), "click")},
            )
        ),
        [
            (
                WARNING,
                "falling_behind",
                (
                    "Miso is falling behind. Over 5 min, 50 events a second came in and 20 "
                    "were settled. 9,000 events wait. Nothing is lost. The oldest is 37 min "
                    "old. Start another worker with `streams worker miso --slot 1`, up to "
                    "one per partition."
                ),
            ),
        ],
    ),
    "a vendor with a quota falls behind": (
        pipeline(
            worker(
                "miso",
                trend=Trend(300, 50, 20),
                lag={"vendor.miso.events": 9000},
                quota=QuotaUse(20, 20, 20),
            )
        ),
        [
            (
                WARNING,
                "falling_behind",
                (
                    "Miso is falling behind. Over 5 min, 50 events a second came in and 20 "
                    "were settled. Its quota allows 20 requests a second. 9,000 events "
                    "wait. Nothing is lost. Ask the vendor for a higher quota, or send "
                    "fewer events."
                ),
            ),
        ],
    ),
    "a short burst": (
        pipeline(worker("miso", trend=Trend(30, 500, 20), lag={"vendor.miso.events": 9000})),
        [
            (OK, "all_well", "All is well so far. 9,000 events wait for 8SELECT and Miso."),
        ],
    ),
    "a backlog that shrinks": (
        pipeline(worker("miso", trend=Trend(300, 20, 50), lag={"vendor.miso.events": 9000})),
        [
            (OK, "all_well", "All is well so far. 9,000 events wait for 8SELECT and Miso."),
        ],
    ),
    "malformed rows": (
        pipeline(worker("enrich", notes={"malformed_rows:users": 1, "malformed_rows:products": 3})),
        [
            (
                WARNING,
                "malformed_rows",
                (
                    "3 keys of shop.products have a malformed row. Events of these products "
                    "are handled as if the row did not exist. The worker's log names key, "
                    "partition and offset. Write a valid row for each key."
                ),
            ),
            (
                WARNING,
                "malformed_rows",
                (
                    "1 key of shop.users has a malformed row. Events of these visitors are "
                    "skipped with no_consent. The worker's log names key, partition and "
                    "offset. Write a valid row for each key."
                ),
            ),
        ],
    ),
    "a worker warns": (
        pipeline(worker("enrich", warnings=["The retention of shop.clicks is nearly used up."])),
        [
            (WARNING, "warned", "The retention of shop.clicks is nearly used up."),
        ],
    ),
    "refused key and enrichment down": (
        pipeline(
            worker("eightselect", vendor=parked("401 Unauthorized", CHECK_KEY)),
            without=["enrich"],
            stages={"enrich": {"waiting": 77}},
        ),
        [
            (
                PROBLEM,
                "no_worker",
                (
                    "No enrichment worker is running. 77 events wait. Nothing is lost. "
                    "Start one with `streams worker enrich`."
                ),
            ),
            (
                PROBLEM,
                "parked",
                (
                    "8SELECT is parked since 02:48 UTC: 8SELECT refuses the key (401). No "
                    "events wait. Nothing is lost. Put the new key into "
                    "`/run/secrets/8select`: the next probe reads it."
                ),
            ),
        ],
    ),
    "a vendor slow and another refused": (
        pipeline(
            worker(
                "miso",
                vendor=VendorStatus("degraded", at("03:06"), "503 Service Unavailable", RETRIED),
            ),
            worker("eightselect", vendor=parked("403 Forbidden", CHECK_KEY)),
        ),
        [
            (
                PROBLEM,
                "parked",
                (
                    "8SELECT is parked since 02:48 UTC: 8SELECT refuses access (403). No "
                    "events wait. Nothing is lost. Put a key that has access into "
                    "`/run/secrets/8select`: the next probe reads it."
                ),
            ),
            (
                WARNING,
                "degraded",
                (
                    "Miso is degraded since 03:06 UTC: Miso reports a server error (503). "
                    "No events wait. Nothing is lost. No action is needed: requests are "
                    "retried automatically."
                ),
            ),
        ],
    ),
    "the shop's records have changed": (
        Known(
            NOW,
            [
                StageState("ingest", "Ingest"),
                StageState("enrich", "Enrichment"),
                StageState("miso", "Miso"),
            ],
            [
                worker("ingest", vendor=None, drift=[GONE, RENAMED]),
                worker("ingest", vendor=None, drift=[replace(GONE, since=at("03:01"))]),
                worker("enrich"),
                worker("miso"),
            ],
        ),
        [
            (
                WARNING,
                "drift",
                (
                    "Records of web have lost the field price since 02:58 UTC: 97 % of events had "
                    'it, the last 25 have not. For example: {"event":"view"}. Check '
                    "[ingest.web-clicks] in streams.toml."
                ),
            ),
            (
                WARNING,
                "drift",
                (
                    "Events of web have a new name: bagged since 03:02 UTC: No section takes it, "
                    "and 20 % of the topic's records have had it since. For example: "
                    '{"event":"bagged"}. If these events matter, let the `when` of a section take '
                    "them: look at [ingest.web-clicks] and its neighbours in streams.toml."
                ),
            ),
        ],
    ),
    "dead letters and a crash loop": (
        pipeline(
            worker(
                "miso",
                lately={"miso": Outcomes(5, {}, {"rejected": 2})},
                restarts=Restarts([NOW - n * MINUTE for n in (3, 2, 1)], "signal 9"),
            )
        ),
        [
            (
                PROBLEM,
                "crash_loop",
                (
                    "miso-shop-1-0 keeps failing: it was restarted 3 times in 10 minutes. "
                    "The last one ended with signal 9. Read the error before each restart "
                    "in its log. Exit codes: docs/operations.md."
                ),
            ),
            (
                WARNING,
                "new_dead_letters",
                (
                    "Miso: 2 new dead letters of 7 events (29 %) in 10 minutes. By reason: "
                    "2 rejected. List them with `streams dead-letters list`, fix the cause, "
                    "then send them again with `streams dead-letters resend`."
                ),
            ),
        ],
    ),
}


@pytest.mark.parametrize("state", STATES)
def test_a_state_has_these_findings(state: str) -> None:
    """Level, kind and the whole sentence, the gravest first."""
    known, expected = STATES[state]
    assert [(f.level, f.kind, f.sentence()) for f in judge(known)] == expected


def test_every_kind_is_in_the_table() -> None:
    """A kind without a state here would be a sentence that nobody has read."""
    shown = {kind for _, expected in STATES.values() for _, kind, _ in expected}
    assert shown == set(FindingKind)


def test_what_waits_is_unknown_where_a_worker_does_not_report() -> None:
    """The figures of a frozen worker are old, and those of the others are not all."""
    frozen = pipeline(worker("miso", silent=40, lag={"vendor.miso.events": 0}))
    away = pipeline(kafka_silent_since=NOW - MINUTE)
    for known, expected in ((frozen, ("gone", None)), (away, ("unknown", None))):
        miso = known.stages[2]
        assert (known.state(miso), known.waiting(miso)) == expected


def test_the_brokers_figures_say_what_waits() -> None:
    """They hold whether a worker runs or not."""
    stopped = pipeline(without=["miso"], stages={"miso": {"waiting": 7}})
    miso = stopped.stages[2]
    assert (stopped.state(miso), stopped.waiting(miso)) == ("gone", 7)


def test_a_vendor_that_does_not_report_is_not_said_to_accept_nothing() -> None:
    """What it accepted is unknown: enrichment alone tells what it skipped for it."""
    known = pipeline(
        worker("enrich", lately={"miso": Outcomes(0, {"no_contact": 347})}),
        worker("miso", silent=40.0),
    )
    assert [finding.kind for finding in judge(known)] == ["no_worker"]


def with_ingest(*workers: WorkerStatus, **stage: Any) -> Known:
    """A pipeline that reads a shop's own topics."""
    known = pipeline()
    stages = [StageState("ingest", "Ingest", **stage), *known.stages]
    return Known(NOW, stages, [*known.workers, *workers])


def test_ingest_is_a_stage_of_its_own_and_no_vendor() -> None:
    """Its worker, its dead letters and its backlog are told; it is not among those that keep up."""
    well = worker("ingest", vendor=None)
    assert [finding.kind for finding in judge(with_ingest(well))] == ["all_well"]
    assert "8SELECT and Miso keep up" in judge(with_ingest(well))[0].text
    (gone,) = judge(with_ingest(waiting=12))
    assert (gone.level, gone.kind, gone.subject) == (PROBLEM, "no_worker", "ingest")
    assert gone.text == "No ingest worker is running."
    assert gone.remedy == "Start one with `streams worker ingest`."
    letters = worker(
        "ingest",
        vendor=None,
        lately={"ingest": Outcomes(90, {}, {"invalid_field": 10})},
        causes=[Cause(None, "invalid_field", "abcdefgh", 10, "product_id: it is missing")],
    )
    (new,) = judge(with_ingest(letters))
    assert new.text == "Ingest: 10 new dead letters of 100 events (10 %) in 10 minutes."
    assert "Most often: product_id: it is missing." in new.cause
    behind = worker("ingest", vendor=None, trend=Trend(300.0, 500.0, 100.0), lag={"web": 100_000})
    (late,) = judge(with_ingest(behind, waiting=100_000))
    assert (late.kind, late.text) == ("falling_behind", "Ingest is falling behind.")
