"""The check as a whole: its order, what it says of settings and broker, and its exit code."""

import pytest

from streams.core.errors import SettingsError
from streams.operations.check.check import check_settings, exit_code, run_checks
from streams.settings import Settings, load_settings
from streams.status.findings import Finding, Level


def test_settings_with_a_vendor_fit_together() -> None:
    """The stages that would run are named."""
    assert check_settings(load_settings({"STREAMS_MISO_API_KEY": "k"})) == [
        Finding(Level.OK, "settings", "The settings fit together; stages: enrich, miso.")
    ]


def test_settings_without_a_vendor_are_a_problem() -> None:
    """With each way to switch one on."""
    (finding,) = check_settings(load_settings({}))
    assert (finding.level, finding.text) == (
        Level.PROBLEM,
        "No vendor is on, so no worker starts.",
    )
    assert finding.remedy.startswith("Set STREAMS_")
    assert "STREAMS_MISO_API_KEY or STREAMS_MISO_ENABLED=true" in finding.remedy


def test_what_a_mapping_lacks_is_a_problem_of_the_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Enrichment would refuse to start over it."""

    def refuse(*_: object) -> None:
        raise SettingsError(["STREAMS_MISO_SALT: is missing; ids are made with it."])

    monkeypatch.setattr(Settings, "plan_for", refuse)
    assert check_settings(load_settings({"STREAMS_MISO_API_KEY": "k"})) == [
        Finding(
            Level.PROBLEM,
            "settings",
            "Stage enrich cannot start: STREAMS_MISO_SALT: is missing; ids are made with it.",
            "Set it, or STREAMS_MISO_ENABLED=false.",
        )
    ]


@pytest.mark.parametrize(
    ("levels", "code"),
    [
        ([(Level.OK, "settings"), (Level.WARNING, "workers")], 0),
        ([(Level.OK, "settings"), (Level.PROBLEM, "miso")], 1),
        ([(Level.PROBLEM, "settings"), (Level.PROBLEM, "broker")], 2),
    ],
)
def test_the_exit_code_says_where_the_problem_is(
    levels: list[tuple[Level, str]], code: int
) -> None:
    """0 without one, 2 for settings, else 1."""
    assert exit_code([Finding(level, subject, "It is.") for level, subject in levels]) == code


async def test_without_a_broker_vendors_are_still_asked() -> None:
    """The broker's problem is one finding with its remedy apart."""
    settings = load_settings(
        {
            "STREAMS_MISO_ENABLED": "false",
            "STREAMS_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        }
    )
    findings = [finding async for finding in run_checks(settings, now_ms=0)]
    assert [finding.subject for finding in findings][:2] == ["settings", "broker"]
    assert findings[1] == Finding(
        Level.PROBLEM,
        "broker",
        "Kafka at 127.0.0.1:1 (STREAMS_KAFKA_BOOTSTRAP_SERVERS) cannot be reached (connection "
        "refused).",
        "Start the broker (`docker compose up` starts one here), or correct this setting and "
        "STREAMS_KAFKA_SECURITY_PROTOCOL.",
    )
    assert (
        Finding(Level.OK, "miso", "Miso is switched off (STREAMS_MISO_ENABLED=false).") in findings
    )


def test_a_finding_as_json_leaves_out_a_remedy_that_there_is_not() -> None:
    """Level, subject, text, and what to do if there is something to do."""
    assert Finding(Level.OK, "miso", "Fine.").to_json() == {
        "level": "ok",
        "subject": "miso",
        "text": "Fine.",
    }
    assert Finding(Level.PROBLEM, "miso", "Bad.", "Do.").to_json() == {
        "level": "problem",
        "subject": "miso",
        "text": "Bad.",
        "remedy": "Do.",
    }
