"""`streams voyado-interactions` as people and programs meet it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from streams.cli import main
from streams.lab.sandbox.voyado import VoyadoSimulator
from streams.lab.sandbox.voyado_contacts import contact_id_of
from tests.clients.simulators import KEY, InMemory

ANNA = contact_id_of("customKey", "anna")
KATE = contact_id_of("customKey", "kate")
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def transport(monkeypatch: pytest.MonkeyPatch) -> InMemory:
    """Voyado's simulator, and settings that lead there."""
    found = InMemory(VoyadoSimulator())
    monkeypatch.setattr("streams.clients.client.HttpClient", lambda *_, **__: found)
    monkeypatch.setenv("STREAMS_VOYADO_BASE_URL", "https://shop.voyado.com")
    monkeypatch.setenv("STREAMS_VOYADO_API_KEY", KEY)
    return found


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """An export of two interactions."""
    lines = [
        {
            "id": f"i-{n}",
            "contactId": contact,
            "schemaId": "productClick",
            "createdDate": "2026-11-20T09:59:58.120Z",
            "payload": {"eventId": f"e-{n}", "productSku": "8S-1042"},
        }
        for n, contact in enumerate((ANNA, KATE))
    ]
    file = tmp_path / "saved.jsonl"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return file


@pytest.fixture
def typing(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Makes stdin a terminal at which somebody says yes or no."""

    def type_(answer: bool) -> None:
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
        monkeypatch.setattr("typer.confirm", lambda *_, **__: answer)

    return type_


def run(*arguments: str) -> int:
    """Run one of the commands, faster than it may be at Voyado."""
    return main(["voyado-interactions", *arguments])


def test_what_was_exported_is_imported_once(
    transport: InMemory, saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its date; a second import stores nothing, and an export gives the same lines."""
    assert run("import", str(saved), "--yes", "--rate", "200") == 0
    said = capsys.readouterr()
    assert said.out == "2 stored, 0 were there already.\n"
    assert "2 interactions of productClick.\nAutomations for new interactions run" in said.err
    assert run("import", str(saved), "--yes", "--rate", "200") == 0
    assert capsys.readouterr().out == "0 stored, 2 were there already.\n"
    contacts = tmp_path / "contacts"
    contacts.write_text(f"{ANNA}\n{KATE}\n{NOBODY}\n")
    export = ["export", "--schema", "productClick", "--contacts", str(contacts)]
    assert run(*export, "--contact", ANNA, "--rate", "200") == 0
    said = capsys.readouterr()
    assert [json.loads(line)["payload"]["eventId"] for line in said.out.splitlines()] == [
        "e-0",
        "e-1",
    ]
    assert said.err == "2 interactions of 3 contacts.\n"
    assert len(transport.simulator.ledger) == 2


def test_an_import_asks_first(
    transport: InMemory,
    saved: Path,
    typing: Callable[[bool], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit code 2 where nobody can answer, 1 where the answer is no; nothing is sent."""
    assert run("import", str(saved)) == 2
    assert "Importing asks first, and there is no terminal: give --yes." in capsys.readouterr().err
    typing(False)
    assert run("import", str(saved)) == 1
    assert "pause them in Voyado Engage first" in capsys.readouterr().err
    assert transport.requests == []
    typing(True)
    assert run("import", str(saved)) == 0


@pytest.mark.usefixtures("transport")
def test_lines_that_are_none_are_named(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1, and nothing was imported."""
    file = tmp_path / "bad.jsonl"
    file.write_text(f"{saved.read_text()}not json\n{{}}\n")
    assert run("import", str(file), "--yes") == 1
    assert capsys.readouterr().err.splitlines() == [
        "line 3: it is not JSON",
        "line 4: it is no interaction: it must be an object with a payload",
        "Nothing was imported.",
    ]


@pytest.mark.usefixtures("transport")
def test_refused_ones_are_named_and_the_others_stored(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1."""
    file = tmp_path / "mixed.jsonl"
    file.write_text(saved.read_text().replace(ANNA, NOBODY))
    assert run("import", str(file), "--yes", "--rate", "200") == 1
    said = capsys.readouterr()
    assert said.out == "1 stored, 0 were there already.\n"
    assert f"refused: e-0 of {NOBODY}: " in said.err
    assert "404 ContactNotFound" in said.err


@pytest.mark.usefixtures("transport")
def test_an_interaction_is_listed_shown_and_deleted(
    saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By Voyado's id; deleting asks first."""
    assert run("import", str(saved), "--yes", "--rate", "200") == 0
    capsys.readouterr()
    named = ["list", "--contact", ANNA, "--schema", "productClick"]
    assert run(*named, "--json") == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert one["createdDate"] == "2026-11-20T09:59:58.120Z"
    assert run(*named) == 0
    shown = f"{one['id']}  2026-11-20T09:59:58.120Z  eventId=e-0 productSku=8S-1042\n"
    assert capsys.readouterr().out == shown
    assert run("show", one["id"]) == 0
    assert json.loads(capsys.readouterr().out) == one
    assert run("delete", one["id"]) == 2
    assert run("delete", one["id"], "--yes") == 0
    assert run("delete", one["id"], "--yes") == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{one['id']}  deleted",
        f"{one['id']}  was not there",
    ]
    assert run("show", one["id"]) == 1
    assert run(*named) == 0
    assert capsys.readouterr().out == "There are none.\n"


@pytest.mark.usefixtures("transport")
def test_an_export_needs_contacts_and_a_schema_that_is_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One sentence each."""
    assert run("export", "--schema", "productClick") == 2
    assert capsys.readouterr().err == "Name contacts: --contact ID, or --contacts FILE.\n"
    assert run("export", "--schema", "wishlist", "--contact", ANNA) == 1
    words = "Voyado has no schema wishlist: see `streams voyado-schemas list`.\n"
    assert capsys.readouterr().err == words


@pytest.mark.parametrize("command", ["list", "export"])
def test_a_contact_that_is_no_guid_is_wrong_use(
    command: str, transport: InMemory, capsys: pytest.CaptureFixture[str]
) -> None:
    """Voyado is not asked."""
    assert run(command, "--schema", "productClick", "--contact", "anna") == 2
    words = "--contact: must be Voyado's id of a contact, a GUID.\n"
    assert capsys.readouterr() == ("", words)
    assert transport.requests == []
