"""`streams miso upload` as people and programs meet it."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from streams.cli import main
from streams.lab.sandbox.miso import MisoSimulator
from tests.clients.simulators import KEY, InMemory

VIEW: dict[str, Any] = {
    "type": "product_detail_page_view",
    "product_ids": ["a001"],
    "anonymous_id": "v-1",
}


@pytest.fixture
def transport(monkeypatch: pytest.MonkeyPatch) -> InMemory:
    """Miso's simulator, and settings that lead there."""
    found = InMemory(MisoSimulator())
    monkeypatch.setattr("streams.clients.client.HttpClient", lambda *_, **__: found)
    monkeypatch.setenv("STREAMS_MISO_API_KEY", KEY)
    return found


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([VIEW, VIEW]),
        json.dumps({"data": [VIEW, VIEW]}),
        f"{json.dumps(VIEW)}\n\n{json.dumps(VIEW)}\n",
        f"\ufeff{json.dumps([VIEW, VIEW], indent=2)}",
    ],
)
def test_a_file_is_uploaded_in_any_form(
    transport: InMemory, tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A list, a wrapped one, a record on each line."""
    file = tmp_path / "events.json"
    file.write_text(text, "utf-8")
    assert main(["miso", "upload", str(file)]) == 0
    assert capsys.readouterr().out == "2 records uploaded.\n"
    assert transport.simulator.ledger.payloads() == [VIEW, VIEW]


def test_a_dry_run_from_stdin_stores_nothing(
    transport: InMemory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Miso checks the records."""
    stdin = io.TextIOWrapper(io.BytesIO(json.dumps(VIEW).encode()))
    monkeypatch.setattr("sys.stdin", stdin)
    assert main(["miso", "upload", "-", "--dry-run"]) == 0
    assert capsys.readouterr().out == "1 record checked by Miso; nothing was stored.\n"
    assert len(transport.simulator.ledger) == 0
    assert transport.simulator.ledger.dry_run_records == 1


def test_records_that_break_the_rules_are_named_and_nothing_is_sent(
    transport: InMemory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1."""
    file = tmp_path / "events.json"
    file.write_text(json.dumps([VIEW, {**VIEW, "type": "rate", "rating": 6}, {**VIEW, "user": 1}]))
    assert main(["miso", "upload", str(file)]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "record 1: rate.rating: Input should be less than or equal to 5",
        "record 2: product_detail_page_view.user: Extra inputs are not permitted",
        "Nothing was uploaded.",
    ]
    assert transport.requests == []


def test_a_file_that_is_no_json_is_refused(
    transport: InMemory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With where it breaks; a file that is not there is a mistake in the command."""
    file = tmp_path / "events.json"
    file.write_text("type=click")
    assert main(["miso", "upload", str(file)]) == 1
    assert "record 0: it is not JSON: Expecting value: line 1" in capsys.readouterr().err
    assert main(["miso", "upload", str(tmp_path / "nowhere")]) == 2
    assert transport.requests == []


def test_what_miso_refuses_is_named_with_what_is_stored(
    transport: InMemory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By number over the whole file; the requests before it stay."""
    monkeypatch.setenv("STREAMS_MISO_BATCH_RECORDS", "2")
    monkeypatch.setattr(
        "streams.lab.sandbox.miso.record_problems",
        lambda record: [(".product_ids", "Unknown.")] if record["product_ids"] == ["bad"] else [],
    )
    records = [{**VIEW, "product_ids": [p]} for p in ("a", "b", "c", "bad", "d")]
    file = tmp_path / "events.json"
    file.write_text(json.dumps(records))
    assert main(["miso", "upload", str(file)]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith(
        "Uploading interactions: Miso at https://api.askmiso.com refuses that"
    )
    assert said[1:] == [
        "record 3: product_ids is invalid. Unknown.",
        "2 records before that are stored.",
    ]
    assert len(transport.simulator.ledger) == 2


def test_a_key_that_is_missing_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Exit code 2."""
    file = tmp_path / "events.json"
    file.write_text(json.dumps(VIEW))
    assert main(["miso", "upload", str(file)]) == 2
    words = "STREAMS_MISO_API_KEY: is missing; Miso cannot be asked without it.\n"
    assert capsys.readouterr().err == words
