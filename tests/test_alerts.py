"""Each alert as Prometheus itself judges it: what makes it fire, and what must leave it silent."""

import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

RULES = Path(__file__).resolve().parent.parent / "deploy" / "prometheus-rules.yml"
PROMTOOL = shutil.which("promtool")
UP = 'up{job="streams",stage="%s",instance="%s"}'
STATE = 'streams_vendor_state{vendor="miso",state="%s"}'
EXPIRED = 'streams_expired_records_total{topic="shop.clicks",instance="a"}'
LETTERS = 'streams_dead_letters_total{vendor="miso",reason="rejected",instance="a"}'
NO_SKU = 'streams_unjoined_events_total{missing="sku"}'
READ = 'streams_records_read_total{stage="enrich"}'
READY = 'streams_ready{stage="enrich",instance="a"}'
ROWS_LEFT = 'streams_recovery_remaining_rows{stage="enrich",instance="a"}'
CRASHES = 'streams_findings{level="problem",subject="miso",kind="crash_loop",instance="%s"}'
NOT_ACCEPTED = 'streams_findings{level="warning",subject="miso",kind="nothing_accepted"}'
NEEDS = 'streams_vendor_needs_action{vendor="miso"}'

DRIFT = 'streams_drift{section="web",change="field_gone",instance="%s"}'
OF_SHOP = 'streams_vendor_needs_action{shop="%s",vendor="miso"}'
OWNERLESS = (
    'streams_partitions_without_owner{shop="acme.",stage="miso",topic="acme.vendor.miso.events",'
    'instance="%s"}'
)


class Case(NamedTuple):
    """Series as promtool writes them, a sample a minute, and what is seen at one moment."""

    alert: str
    what: str
    series: dict[str, str]
    at: str
    fires: tuple[dict[str, str], ...] = ()
    """The labels of each alert that fires, without its name and severity."""


CASES = (
    Case(
        "StreamsShopRecordsChanged",
        "one of two workers finds that a field is gone",
        {DRIFT % "a": "0x5 1x5", DRIFT % "b": "0x10"},
        "6m",
        ({"section": "web", "change": "field_gone"},),
    ),
    Case(
        "StreamsShopRecordsChanged",
        "the field is back",
        {DRIFT % "a": "1x5 stale"},
        "11m",
    ),
    Case(
        "StreamsWorkerAbsent",
        "a target does not answer",
        {UP % ("miso", "m:1"): "1x5 0x10", UP % ("enrich", "e:1"): "1x20"},
        "10m",
        ({"job": "streams", "stage": "miso", "instance": "m:1"},),
    ),
    Case(
        "StreamsWorkerAbsent",
        "the only target of a stage vanishes",
        {UP % ("miso", "m:1"): "1x5 stale", UP % ("enrich", "e:1"): "1x60"},
        "30m",
        ({"stage": "miso"},),
    ),
    Case(
        "StreamsWorkerAbsent",
        "all targets have vanished for more than a day",
        {UP % ("miso", "m:1"): "1x5 stale"},
        "26h",
        ({"job": "streams"},),
    ),
    Case(
        "StreamsWorkerAbsent",
        "one of two targets of a stage is taken away",
        {UP % ("miso", "m:1"): "1x5 stale", UP % ("miso", "m:2"): "1x60"},
        "30m",
    ),
    Case("StreamsWorkerAbsent", "a restart", {UP % ("miso", "m:1"): "1x5 0 1x10"}, "10m"),
    Case(
        "StreamsWorkerNotReady",
        "no partitions",
        {READY: "0x20", ROWS_LEFT: "0x20"},
        "15m",
        ({"stage": "enrich", "instance": "a"},),
    ),
    Case(
        "StreamsCrashLoop",
        "two workers say it of a third",
        {
            CRASHES % "a": "_x5 1x20",
            CRASHES % "b": "_x5 1x20",
        },
        "15m",
        ({"subject": "miso"},),
    ),
    Case("StreamsCrashLoop", "it is over", {CRASHES % "a": "1x5 stale"}, "15m"),
    Case(
        "StreamsEventsNotAccepted",
        "a vendor accepts nothing for longer than ten minutes",
        {NOT_ACCEPTED: "1x20"},
        "15m",
        ({"subject": "miso", "kind": "nothing_accepted"},),
    ),
    Case("StreamsEventsNotAccepted", "a short while", {NOT_ACCEPTED: "1x5 stale"}, "15m"),
    Case("StreamsWorkerNotReady", "rows are read", {READY: "0x20", ROWS_LEFT: "90-1x20"}, "15m"),
    Case("StreamsWorkerNotReady", "a start", {READY: "0x5 1x20", ROWS_LEFT: "0x25"}, "15m"),
    Case(
        "StreamsTablesBeingRead",
        "for 30 minutes",
        {ROWS_LEFT: "9000-1x60"},
        "40m",
        ({"stage": "enrich", "instance": "a"},),
    ),
    Case("StreamsTablesBeingRead", "for 20 minutes", {ROWS_LEFT: "20-1x20 0x40"}, "40m"),
    Case(
        "StreamsKafkaSilent",
        "two minutes",
        {'streams_kafka_silent_seconds{stage="miso"}': "0+60x10"},
        "4m",
        ({"stage": "miso"},),
    ),
    Case(
        "StreamsKafkaSilent", "ten s", {'streams_kafka_silent_seconds{stage="miso"}': "9x9"}, "4m"
    ),
    Case(
        "StreamsVendorParked",
        "a refused key",
        {NEEDS: "0x2 1x20", STATE % "parked": "0x2 1x20"},
        "10m",
        ({"vendor": "miso"},),
    ),
    Case(
        "StreamsVendorParked",
        "a refused key of one of two shops",
        {OF_SHOP % "acme.": "0x2 1x20", OF_SHOP % "other.": "0x22"},
        "10m",
        ({"shop": "acme.", "vendor": "miso"},),
    ),
    Case(
        "StreamsPartitionsWithoutOwner",
        "all workers of a stage say so",
        {OWNERLESS % "a": "0x2 2x20", OWNERLESS % "b": "0x2 2x20"},
        "10m",
        ({"shop": "acme.", "stage": "miso", "topic": "acme.vendor.miso.events"},),
    ),
    Case(
        "StreamsPartitionsWithoutOwner",
        "a restart",
        {OWNERLESS % "a": "0x2 2x3 0x20"},
        "10m",
    ),
    Case(
        "StreamsVendorParked",
        "an outage, which needs only time",
        {NEEDS: "0x60", STATE % "parked": "1x60"},
        "50m",
    ),
    Case(
        "StreamsVendorAway",
        "an outage",
        {NEEDS: "0x60", STATE % "parked": "1x60"},
        "20m",
        ({"vendor": "miso"},),
    ),
    Case(
        "StreamsVendorAway",
        "a refused key is the other alert's",
        {NEEDS: "1x60", STATE % "parked": "1x60"},
        "20m",
    ),
    Case(
        "StreamsVendorPaused",
        "for four hours",
        {STATE % "paused": "1x300"},
        "245m",
        ({"vendor": "miso"},),
    ),
    Case("StreamsVendorPaused", "for an hour", {STATE % "paused": "1x60 0x300"}, "245m"),
    Case(
        "StreamsVendorThrottled",
        "for half an hour",
        {STATE % "throttled": "1x60"},
        "35m",
        ({"vendor": "miso"},),
    ),
    Case("StreamsVendorThrottled", "now and then", {STATE % "throttled": "1x9 0 1x9 0"}, "19m"),
    Case(
        "StreamsLagGrowing",
        "more and more",
        {'streams_lag_records{topic="vendor.miso.events"}': "20000+100x90"},
        "75m",
        ({"topic": "vendor.miso.events"},),
    ),
    Case(
        "StreamsLagGrowing",
        "much, and less and less",
        {'streams_lag_records{topic="vendor.miso.events"}': "90000-100x90"},
        "75m",
    ),
    Case(
        "StreamsRetentionNear",
        "90 %",
        {'streams_retention_used_ratio{topic="shop.clicks"}': "0.9x20"},
        "10m",
        ({"topic": "shop.clicks"},),
    ),
    Case(
        "StreamsRetentionNear",
        "half",
        {'streams_retention_used_ratio{topic="shop.clicks"}': "0.5x20"},
        "10m",
    ),
    Case(
        "StreamsEventsOld",
        "two hours behind",
        {'streams_oldest_unsettled_seconds{vendor="miso"}': "7200x20"},
        "15m",
        ({"vendor": "miso"},),
    ),
    Case(
        "StreamsEventsOld",
        "a minute behind",
        {'streams_oldest_unsettled_seconds{vendor="miso"}': "60x20"},
        "15m",
    ),
    Case(
        "StreamsRecordsExpired",
        "the series first appears above zero",
        {EXPIRED: "_x20 17x30"},
        "22m",
        ({"topic": "shop.clicks"},),
    ),
    Case(
        "StreamsRecordsExpired",
        "a known series grows",
        {EXPIRED: "0x30 17x30"},
        "32m",
        ({"topic": "shop.clicks"},),
    ),
    Case("StreamsRecordsExpired", "a series appears at zero", {EXPIRED: "_x20 0x30"}, "22m"),
    Case("StreamsRecordsExpired", "it was long ago", {EXPIRED: "17x90"}, "80m"),
    Case(
        "StreamsDeadLettersRising",
        "the series first appears with many",
        {LETTERS: "_x20 50x30"},
        "27m",
        ({"vendor": "miso", "reason": "rejected"},),
    ),
    Case(
        "StreamsDeadLettersRising",
        "a known series grows",
        {LETTERS: "5x30 5+10x30"},
        "45m",
        ({"vendor": "miso", "reason": "rejected"},),
    ),
    Case("StreamsDeadLettersRising", "a few", {LETTERS: "_x20 3x30"}, "27m"),
    Case(
        "StreamsEventsWithoutSku",
        "half of them",
        {NO_SKU: "0+50x120", READ: "0+100x120"},
        "90m",
        ({},),
    ),
    Case("StreamsEventsWithoutSku", "a tenth", {NO_SKU: "0+10x120", READ: "0+100x120"}, "90m"),
    Case(
        "StreamsStrayRows",
        "a few",
        {'streams_stray_rows{table="users"}': "3x30"},
        "15m",
        ({"table": "users"},),
    ),
    Case("StreamsStrayRows", "none", {'streams_stray_rows{table="users"}': "0x30"}, "15m"),
)


def rules() -> dict[str, dict[str, Any]]:
    """The rules by alert."""
    groups = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    """So none is added that nobody has seen firing."""
    assert {case.alert for case in CASES if case.fires} == set(rules())
    assert {case.alert for case in CASES if not case.fires} == set(rules())


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not here: apt-get install prometheus")
@pytest.mark.parametrize("alert", dict.fromkeys(case.alert for case in CASES))
def test_it_fires_when_it_should_and_only_then(alert: str, tmp_path: Path) -> None:
    """By promtool, with the rules as they are deployed."""
    severity = rules()[alert]["labels"]["severity"]
    tests = [
        {
            "name": case.what,
            "interval": "1m",
            "input_series": [
                {"series": name, "values": values} for name, values in case.series.items()
            ],
            "alert_rule_test": [
                {
                    "eval_time": case.at,
                    "alertname": alert,
                    "exp_alerts": [
                        {"exp_labels": {**labels, "severity": severity}} for labels in case.fires
                    ],
                }
            ],
        }
        for case in CASES
        if case.alert == alert
    ]
    shown = without_words(tmp_path)
    file = tmp_path / "tests.yml"
    file.write_text(yaml.safe_dump({"rule_files": [shown.name], "tests": tests}), "utf-8")
    assert PROMTOOL is not None
    done = subprocess.run(
        [PROMTOOL, "test", "rules", str(file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def without_words(folder: Path) -> Path:
    """The rules without their annotations, which promtool would compare to the letter."""
    document = yaml.safe_load(RULES.read_text("utf-8"))
    for group in document["groups"]:
        for rule in group["rules"]:
            del rule["annotations"]
    file = folder / RULES.name
    file.write_text(yaml.safe_dump(document), "utf-8")
    return file


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not here: apt-get install prometheus")
@pytest.mark.parametrize(
    ("series", "at", "words"),
    [
        (
            {UP % ("miso", "m:1"): "0x9"},
            "5m",
            "No worker of miso answers at m:1.",
        ),
        ({"other": "0x9"}, "5m", "No worker of any stage answers and none is looked for."),
    ],
)
def test_an_absent_worker_is_named_as_far_as_it_is_known(
    series: dict[str, str], at: str, words: str, tmp_path: Path
) -> None:
    """A target that is gone has no address."""
    rule = rules()["StreamsWorkerAbsent"]
    labels = {"job": "streams", "severity": rule["labels"]["severity"]}
    if "m:1" in words:
        labels |= {"stage": "miso", "instance": "m:1"}
    expected = {"exp_labels": labels, "exp_annotations": {**rule["annotations"], "summary": words}}
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [
            {"eval_time": at, "alertname": rule["alert"], "exp_alerts": [expected]}
        ],
    }
    file = tmp_path / "tests.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "tests": [test]}), "utf-8")
    assert PROMTOOL is not None
    done = subprocess.run(
        [PROMTOOL, "test", "rules", str(file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
