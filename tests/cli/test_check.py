"""`streams check` as people and programs meet it."""

import json
from pathlib import Path
from typing import Any

import pytest

from streams.cli import main

LINES: list[Any] = [
    {"topic": "users", "key": "v-1", "value": {"consent": {"miso": True}}},
    {"topic": "products", "key": "p-1", "value": {"sku": "8S-1"}},
    {
        "event_id": "e-1",
        "anonymous_id": "v-1",
        "product_id": "p-1",
        "timestamp": "2026-11-20T09:59:58Z",
    },
    {"anonymous_id": "v-2", "product_id": "p-1", "timestamp": "2026-11-20T09:59:58Z"},
    {"anonymous_id": "v-1\u001b[31m", "product_id": "p-1", "timestamp": "yesterday"},
]
KEY = "miso-secret-0815"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lines in a file, and only Miso on."""
    for vendor in ("EIGHTSELECT", "VOYADO"):
        if vendor.lower() in _vendors():
            monkeypatch.setenv(f"STREAMS_{vendor}_ENABLED", "false")
    path = tmp_path / "events.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in LINES))
    return path


def _vendors() -> list[str]:
    from streams.vendors import VENDORS

    return list(VENDORS)


def test_a_mapping_is_shown_line_by_line(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Payload or reason, the sums, and which vendors are off."""
    assert main(["check", "--mapping", str(file)]) == 0
    out = capsys.readouterr().out
    assert (
        "line 3  shop.clicks  click e-1  visitor v-1\n"
        '  Miso            sent           {"type":"product_detail_page_view","anonymous_id":"v-1",'
        '"timestamp":"2026-11-20T09:59:58.000Z","context":{"custom_context":{"uuid":"e-1"}},'
        '"product_ids":["8S-1"]}\n'
        "line 4  shop.clicks  click shop.clicks-0-1 (from its position in Kafka)  visitor v-2\n"
        "  Miso            skipped        no_consent: consent not given, given only later, "
        "refused, or visitor forgotten\n"
        "line 5  shop.clicks\n"
        "  all vendors     dead letter    invalid_field: timestamp: neither RFC 3339 with an "
        "offset nor an integer of milliseconds  (field timestamp)\n"
    ) in out
    assert "2 rows of users and products taken.\n" in out
    assert "of 3 shop.clicks" in out
    counted = {line.split()[0]: line.split()[-1] for line in out.splitlines() if " │ " in line}
    assert counted["timestamp"] == "3"
    assert counted["event_id"] == "1"
    assert counted["user_id"] == "0"
    assert "Miso is off until STREAMS_MISO_API_KEY is given" in out
    assert "\x1b" not in out


def test_a_mapping_as_json_is_one_array(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One row for each line and vendor; remarks go to stderr."""
    assert main(["check", "--mapping", str(file), "--json"]) == 0
    out, err = capsys.readouterr()
    rows = json.loads(out)
    assert [(row["line"], row.get("vendor"), row["outcome"]) for row in rows] == [
        (1, None, "row"),
        (2, None, "row"),
        (3, "miso", "sent"),
        (4, "miso", "skipped"),
        (5, None, "dead_lettered"),
    ]
    assert "Miso is off until STREAMS_MISO_API_KEY is given" in err


def test_an_empty_mapping_is_an_empty_array(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Blank lines are none."""
    (tmp_path / "empty.jsonl").write_text("\n\n")
    assert main(["check", "--mapping", str(tmp_path / "empty.jsonl"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_an_unreadable_line_is_exit_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    """As `streams produce` would end over it."""
    (tmp_path / "bad.jsonl").write_text("nonsense\n")
    assert main(["check", "--mapping", str(tmp_path / "bad.jsonl"), *more]) == 1
    assert "is not JSON" in capsys.readouterr().out


def test_mapping_and_send_test_exclude_each_other(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong use, exit code 2."""
    assert main(["check", "--mapping", str(file), "--send-test"]) == 2
    assert capsys.readouterr().err == "--mapping excludes --send-test and --store-test.\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--store-test", "miso", "--contact", "x"], "--store-test: takes voyado alone"),
        (["--contact", "cf6d21fa-6e2b-481c-ab38-afa1012233ff"], "--store-test: takes voyado alone"),
        (["--store-test", "voyado"], "--contact: must be Voyado's id of a contact, a GUID."),
        (["--store-test", "voyado", "--contact", "kate"], "--contact: must be Voyado's id"),
    ],
)
def test_a_store_test_needs_voyado_and_a_contact(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is stored anywhere else."""
    assert main(["check", *arguments]) == 2
    assert capsys.readouterr().err.startswith(words)


def test_lines_of_the_shops_own_topic_are_shown_each_event_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the topic in the line or as an option; without it a sentence says what to do."""
    config, file = tmp_path / "streams.toml", tmp_path / "web.jsonl"
    config.write_text(
        '[ingest.orders]\ntopic = "web"\nto = "add-to-carts"\neach = "items"\n'
        '[ingest.orders.fields]\nanonymous_id = "client"\ntimestamp = "at"\n'
        'product_id = "_item"\n'
    )
    monkeypatch.setenv("STREAMS_CONFIG", str(config))
    order = {"client": "v-1", "at": "2026-11-20T09:59:58Z", "items": ["p-1", None]}
    file.write_text(json.dumps(order))
    assert main(["check", "--mapping", str(file), "--topic", "web"]) == 0
    out = capsys.readouterr().out
    assert "line 1  shop.add-to-carts  add_to_cart web-0-0-0  visitor v-1\n" in out
    assert "line 1  web  event web-0-0-1\n" in out
    assert "name it with --topic" not in out
    assert main(["check", "--mapping", str(file)]) == 1
    assert "name it with --topic" in capsys.readouterr().out
    assert main(["check", "--mapping", str(file), "--topic", "wbe"]) == 2
    assert "no section [ingest.NAME] reads wbe" in capsys.readouterr().err
    assert main(["check", "--topic", "web"]) == 2


def test_a_missing_file_is_exit_2(tmp_path: Path) -> None:
    """Wrong use."""
    assert main(["check", "--mapping", str(tmp_path / "none.jsonl")]) == 2


@pytest.fixture
def _nothing_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMS_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("STREAMS_MISO_API_KEY", KEY)
    monkeypatch.setenv("STREAMS_MISO_BASE_URL", "http://127.0.0.1:2")


@pytest.mark.usefixtures("_nothing_answers")
def test_findings_are_lines_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    """Level, subject, sentence, remedy; exit code 1 with problems; no key anywhere."""
    assert main(["check"]) == 1
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "ok       settings     The settings fit together; stages: enrich, miso."
    assert lines[1] == (
        "problem  broker       Kafka at 127.0.0.1:1 (STREAMS_KAFKA_BOOTSTRAP_SERVERS) cannot be "
        "reached (connection refused). Start the broker (`docker compose up` starts one here), or "
        "correct this setting and STREAMS_KAFKA_SECURITY_PROTOCOL."
    )
    (miso,) = [line for line in lines if line.startswith("problem  miso ")]
    assert "Miso at http://127.0.0.1:2 does not answer: " in miso
    assert "Check STREAMS_MISO_BASE_URL" in miso
    assert KEY not in out + err
    assert err == ""


@pytest.mark.usefixtures("_nothing_answers")
def test_findings_as_json_are_one_array(capsys: pytest.CaptureFixture[str]) -> None:
    """The same findings, and nothing else on stdout."""
    assert main(["check", "--json"]) == 1
    findings = json.loads(capsys.readouterr().out)
    assert findings[0] == {
        "level": "ok",
        "subject": "settings",
        "text": "The settings fit together; stages: enrich, miso.",
    }
    assert [f["subject"] for f in findings if f["level"] == "problem"] == ["broker", "miso"]


def test_settings_that_cannot_be_read_are_exit_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of them at once, before anything is asked."""
    monkeypatch.setenv("STREAMS_KAFKA_PARTITIONS", "x")
    monkeypatch.setenv("STREAMS_WEB_PORT", "y")
    assert main(["check"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 2


@pytest.mark.usefixtures("_nothing_answers")
def test_without_a_vendor_the_exit_code_is_2(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker would refuse to start, with the same code."""
    monkeypatch.setenv("STREAMS_MISO_ENABLED", "false")
    assert main(["check"]) == 2
