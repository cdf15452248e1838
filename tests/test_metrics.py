"""The catalogue of metrics, its page, the histogram, and what deploy/ makes of the names."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from streams.core.snapshot import VendorState
from streams.metrics import CATALOGUE, COMMON, STATES, Histogram

ROOT = Path(__file__).resolve().parent.parent
RULES = ROOT / "deploy" / "prometheus-rules.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboards" / "streams.json"

OWN = {
    name
    for metric in CATALOGUE.values()
    for name in (
        [f"{metric.name}_{part}" for part in ("bucket", "sum", "count")]
        if metric.kind == "histogram"
        else [metric.name]
    )
}
OTHERS = {"up", "process_cpu_seconds_total"}
"""Prometheus's own, and the client library's."""
WORDS = {
    *("sum", "max", "by", "on", "or", "and", "rate", "increase", "deriv", "histogram_quantile"),
    *("group_left", "le", "unless", "group", "min", "last_over_time", "absent", "offset"),
}


def expressions() -> list[str]:
    """Every expression in the rules and in the dashboard."""
    groups = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    rules = [rule["expr"] for group in groups for rule in group["rules"]]
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    return [*rules, *(target["expr"] for panel in panels for target in panel["targets"])]


def names_in(expression: str) -> set[str]:
    """The metrics that an expression reads: words that are no label, duration or function."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(?:by|on|group_left) ?\([^)]*\)", " ", expression)
    return set(re.findall(r"[a-z_]{2,}", bare)) - WORDS


@pytest.mark.parametrize("expression", expressions())
def test_every_metric_in_deploy_is_in_the_catalogue(expression: str) -> None:
    """With the labels that it has, and no name that nobody exports."""
    assert names_in(expression)
    assert names_in(expression) <= OWN | OTHERS
    for name, labels in re.findall(r"(streams_\w+)\{([^}]*)\}", expression):
        metric = CATALOGUE[re.sub(r"_(?:bucket|sum|count)$", "", name)]
        assert set(re.findall(r"(\w+)=", labels)) <= {*COMMON, *metric.labels, "job"}


def test_every_label_that_is_grouped_by_exists() -> None:
    """``by (vendor)`` over a metric without a vendor would give one line for all."""
    own = {label for metric in CATALOGUE.values() for label in metric.labels}
    known = own | {*COMMON, "le", "instance"}
    for expression in expressions():
        for labels in re.findall(r"\bby ?\(([^)]*)\)", expression):
            assert set(labels.replace(" ", "").split(",")) <= known, expression


def test_what_concerns_one_shop_is_never_added_to_another() -> None:
    """Whatever is grouped or joined keeps the shop apart."""
    for expression in expressions():
        for labels in re.findall(r"\b(?:by|on) ?\(([^)]*)\)", expression):
            assert "shop" in labels.replace(" ", "").split(","), expression
        grouped = re.findall(r"\b(?:sum|max|min|group)\b(?! by)", expression)
        assert not grouped, expression


def anchors_of(page: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"(?m)^#+ (.+)$", page)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_every_alert_says_what_is_wrong_and_what_to_do() -> None:
    """In sentences; and the runbook has each."""
    runbook = (ROOT / "docs" / "operations.md").read_text("utf-8")
    rules: list[dict[str, Any]] = [
        rule
        for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"]
        for rule in group["rules"]
    ]
    for rule in rules:
        assert rule["annotations"]["summary"].endswith("."), rule["alert"]
        assert rule["annotations"]["action"].endswith("."), rule["alert"]
        severity = rule["labels"]["severity"]
        assert severity in {"page", "ticket"}
        file, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert anchor in anchors_of((ROOT / file).read_text("utf-8")), rule["alert"]
        assert f"\n| `{rule['alert']}` | {severity} |" in runbook
    assert len({rule["alert"] for rule in rules}) == len(rules)


def test_the_scrape_configuration_names_every_stage_at_its_port() -> None:
    """As docker-compose.yml runs them."""
    jobs = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text("utf-8"))
    (job,) = jobs["scrape_configs"]
    assert [(c["targets"], c["labels"]["stage"]) for c in job["static_configs"]] == [
        (["enrich:6066"], "enrich"),
        (["eightselect:6067"], "eightselect"),
        (["voyado:6068"], "voyado"),
        (["miso:6069"], "miso"),
    ]
    assert jobs["rule_files"] == [RULES.name]


def test_grafana_finds_its_dashboard_and_its_source() -> None:
    """Each panel asks the data source that is provisioned; the folder is the one in compose."""
    provisioning = ROOT / "deploy" / "grafana" / "provisioning"
    source = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text("utf-8"))
    (found,) = source["datasources"]
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    assert {panel["datasource"]["uid"] for panel in dashboard["panels"]} == {found["uid"]}
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
    folders = yaml.safe_load((provisioning / "dashboards" / "streams.yml").read_text("utf-8"))
    path = folders["providers"][0]["options"]["path"]
    assert f"./deploy/grafana/dashboards:{path}:ro" in services["grafana"]["volumes"]
    assert services["grafana"]["profiles"] == services["prometheus"]["profiles"] == ["metrics"]
    assert all(services[name]["image"].count(":") == 1 for name in ("grafana", "prometheus"))


def test_names_are_as_prometheus_wants_them() -> None:
    """Counters end in _total, histograms in their unit, nothing else does; no label is an id."""
    for metric in CATALOGUE.values():
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert metric.help.endswith(".")
        assert not {"event_id", "visitor", "key", "sku", "partition"} & set(metric.labels)
        assert bool(metric.buckets) == (metric.kind == "histogram")
        assert list(metric.buckets) == sorted(metric.buckets)
    assert set(get_args(VendorState)) == set(STATES)


def test_a_histogram_counts_up_to_and_with_each_bound() -> None:
    """Cumulated, with the rest in the last; what lies in the future counts as now."""
    histogram = Histogram((1.0, 2.0))
    for value in (-3.0, 1.0, 1.5, 9.0):
        histogram.observe(value)
    assert histogram.buckets() == ([("1.0", 2.0), ("2.0", 3.0), ("+Inf", 4.0)], 11.5)


def test_a_sample_stands_for_all_that_it_was_drawn_from() -> None:
    """Seven events of which three were measured count seven times."""
    histogram = Histogram((1.0, 2.0))
    histogram.observe_sample([0.5, 1.5, 5.0], 7)
    assert histogram.count == 7
    assert histogram.buckets()[0] == [("1.0", 3.0), ("2.0", 5.0), ("+Inf", 7.0)]
    histogram.observe_sample([], 0)
    assert histogram.count == 7
