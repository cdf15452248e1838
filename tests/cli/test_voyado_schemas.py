"""`streams voyado-schemas` as people and programs meet it."""

# ruff: noqa: E501 - the sentences stand whole

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streams.cli import main
from streams.clients import VendorError, Voyado
from streams.lab.sandbox import Sandbox
from streams.operations.voyado_schemas.files import shipped_folder
from streams.settings import load_settings
from tests.operations.voyado_schemas_in_process import KEY, InProcess

EXAMPLES = str(shipped_folder() / "examples")
COLOUR = {"type": "string", "displayName": "Colour", "showInContactCard": "true"}


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> InProcess:
    """Voyado's simulator, and settings that lead there."""
    client = InProcess()
    monkeypatch.setattr("streams.clients.client.HttpClient", lambda *_, **__: client)
    monkeypatch.setenv("STREAMS_VOYADO_BASE_URL", "https://shop.voyado.com")
    monkeypatch.setenv("STREAMS_VOYADO_API_KEY", KEY)
    return client


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The shipped click with one property more."""
    content = json.loads((shipped_folder() / "productClick.json").read_text())
    content["jsonSchema"]["properties"]["colour"] = COLOUR
    (tmp_path / "click.json").write_text(json.dumps(content))
    return tmp_path


@pytest.fixture
def typing(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes stdin a terminal at which somebody types this."""

    def type_(text: str) -> None:
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
        monkeypatch.setattr("typer.prompt", lambda *_, **__: text)

    return type_


def run(*arguments: str) -> int:
    """Run one of the commands."""
    return main(["voyado-schemas", *arguments])


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What was printed since the last time, to stdout."""
    return capsys.readouterr().out.splitlines()


@pytest.mark.usefixtures("client")
def test_list_shows_the_name_of_the_mail_editor(capsys: pytest.CaptureFixture[str]) -> None:
    """In lower case, beside id, display name and properties."""
    assert run("list") == 0
    lines = lines_of(capsys)
    assert lines[:3] == [
        "productClick  Product click  (mail editor: productclick)",
        "  eventId      string required     Event ID",
        "  productSku   string required     SKU",
    ]
    assert lines[9] == "addToCart  Add to cart  (mail editor: addtocart)"
    assert lines[-1] == "  quantity     integer             Quantity"


@pytest.mark.usefixtures("client")
def test_list_as_json_is_one_array(capsys: pytest.CaptureFixture[str]) -> None:
    """With every property."""
    assert run("list", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["id"], row["mail_editor_name"]) for row in rows] == [
        ("productClick", "productclick"),
        ("addToCart", "addtocart"),
    ]
    assert rows[1]["properties"][-1] == {
        "name": "quantity",
        "type": "integer",
        "format": None,
        "display_name": "Quantity",
        "show_in_contact_card": "true",
        "add_to_segmentation": "false",
        "sort_order": "8",
        "required": False,
    }


def test_an_empty_list_says_so(client: InProcess, capsys: pytest.CaptureFixture[str]) -> None:
    """A sentence for people, an empty array for programs."""
    client.voyado.schemas.clear()
    assert run("list") == 0
    assert lines_of(capsys) == ["Voyado has no interaction schemas."]
    assert run("list", "--json") == 0
    assert lines_of(capsys) == ["[]"]


@pytest.mark.usefixtures("client")
def test_a_plan_without_differences(capsys: pytest.CaptureFixture[str]) -> None:
    """The shipped files are what the simulator starts with."""
    assert run("plan", "--check") == 0
    assert lines_of(capsys) == [
        "productClick  equal      Product click",
        "addToCart     equal      Add to cart",
        "2 equal.",
    ]


def test_a_plan_changes_nothing_and_ends_with_0(
    client: InProcess, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --check, 1; each difference has its line."""
    assert run("plan", "--dir", str(folder)) == 0
    lines = [
        "productClick  different  Product click",
        "                colour is only in the file",
        "addToCart     no file    Add to cart",
        "1 different, 1 no file.",
    ]
    assert lines_of(capsys) == lines
    assert run("plan", "--dir", str(folder), "--check") == 1
    assert lines_of(capsys) == lines
    assert {request.method for request in client.requests} == {"GET"}


@pytest.mark.usefixtures("client")
def test_a_plan_as_json_is_one_array(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each difference with both sides."""
    assert run("plan", "--dir", str(folder), "--json") == 0
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    assert rows[0] == {
        "id": "productClick",
        "display_name": "Product click",
        "state": "different",
        "differences": [{"property": "colour", "attribute": None, "file": COLOUR, "voyado": None}],
        "remark": "",
    }


def test_broken_files_are_refused_before_any_request(
    client: InProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By plan and by apply: exit code 2 and a line each."""
    (tmp_path / "a.json").write_text("{")
    for command in ("plan", "apply"):
        assert run(command, "--dir", str(tmp_path)) == 2
        assert capsys.readouterr().err.splitlines() == [
            (
                "a.json: it is not JSON: Expecting property name enclosed in double quotes in line 1, "
                "column 2."
            ),
            "Nothing was asked of Voyado.",
        ]
    assert client.requests == []


def test_apply_creates_what_is_missing(
    client: InProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once; the second time everything is there."""
    del client.voyado.schemas["addToCart"]
    assert run("apply") == 0
    assert lines_of(capsys) == ["addToCart  created", "productClick  equal"]
    assert run("apply") == 0
    assert lines_of(capsys) == ["productClick  equal", "addToCart  equal"]
    assert run("apply", "--dir", EXAMPLES) == 0
    assert len(client.voyado.schemas) == 8


def test_a_schema_of_a_named_event_is_planned_and_applied_by_the_same_command(
    client: InProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Until a file defines it both say so; it counts as one that the relay sends."""
    config = tmp_path / "streams.toml"
    config.write_text(
        "[source.events]\nenabled = true\n[events.wish]\n"
        'voyado_schema_id = "wishlist"\nvoyado_fields = {productSku = "_product.sku"}\n'
    )
    monkeypatch.setenv("STREAMS_CONFIG", str(config))
    lacking = (
        "wishlist, named by [events.wish] voyado_schema_id, is not at Voyado, and no file defines "
        "it: the workers of stage voyado would wait. Put its file into a folder, and give that as "
        "--dir.\n"
    )
    for command, code in ((("plan",), 0), (("plan", "--check"), 1), (("apply",), 1)):
        assert run(*command) == code
        assert capsys.readouterr().err == lacking
    folder = tmp_path / "schemas"
    folder.mkdir()
    example = (shipped_folder() / "examples" / "wishlist.json").read_text()
    (folder / "wishlist.json").write_text(example)
    assert run("plan", "--dir", str(folder), "--check") == 1
    assert lines_of(capsys)[0] == "wishlist      missing    Wishlist"
    assert run("apply", "--dir", str(folder)) == 0
    assert capsys.readouterr() == ("wishlist  created\n", "")
    assert run("plan", "--check") == 0
    assert run("delete", "wishlist") == 2
    assert "the workers of stage voyado wait" in capsys.readouterr().err
    monkeypatch.setenv("STREAMS_SOURCE_EVENTS_ENABLED", "false")
    assert run("delete", "wishlist") == 2
    assert "the workers of stage voyado wait" not in capsys.readouterr().err
    assert "wishlist" in client.voyado.schemas


def test_apply_leaves_what_differs(
    client: InProcess, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Named with the command that explains more; exit code 1."""
    assert run("apply", "--dir", str(folder), "--yes") == 1
    out, err = capsys.readouterr()
    assert out == "productClick  different, left as it is\n"
    assert err.splitlines() == [
        "  colour is only in the file",
        (
            "Voyado cannot change a schema: give the new one another id, or see what "
            f"`streams voyado-schemas apply --dir {folder} --replace productClick` would delete."
        ),
    ]
    assert client.asked("POST") == client.asked("DELETE") == 0


@pytest.mark.parametrize("arguments", [(), ("--yes",)])
def test_replace_wants_the_id_typed_or_yes(
    client: InProcess, folder: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    """Without a terminal and without --yes: explained, exit code 2, nothing deleted."""
    code = run("apply", "--dir", str(folder), "--replace", "productClick", *arguments)
    out, err = capsys.readouterr()
    assert "- deletes ALL its interactions, of all contacts" in out
    if arguments:
        assert code == 0
        assert "productClick  replaced, its interactions are deleted\n" in out
        assert "colour" in client.voyado.schemas["productClick"]["jsonSchema"]["properties"]
    else:
        assert code == 2
        assert err == (
            "Nobody is here to type productClick, which is asked before it is deleted. Nothing was "
            f"changed; `streams voyado-schemas apply --dir {folder} --replace productClick --yes` "
            "does not ask.\n"
        )
        assert client.asked("DELETE") == 0


@pytest.mark.parametrize(
    ("typed", "code", "deletions"),
    [("productClick", 0, 1), ("productclick", 1, 0), ("y", 1, 0), ("", 1, 0)],
)
def test_only_the_very_id_deletes(
    client: InProcess,
    folder: Path,
    typing: Callable[[str], None],
    typed: str,
    code: int,
    deletions: int,
) -> None:
    """A yes, or another case, does not."""
    typing(typed)
    assert run("apply", "--dir", str(folder), "--replace", "productClick") == code
    assert client.asked("DELETE") == deletions


def test_replace_does_nothing_where_nothing_differs(
    client: InProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor does it ask; a schema that is missing is created."""
    assert run("apply", "--replace", "addToCart") == 0
    del client.voyado.schemas["addToCart"]
    assert run("apply", "--replace", "addToCart") == 0
    assert lines_of(capsys) == [
        "addToCart is at Voyado as its file says: nothing was deleted.",
        "addToCart: Voyado has none, so there is nothing to delete.",
        "addToCart  created",
    ]
    assert client.asked("DELETE") == 0


def test_replace_needs_a_file_and_compatibility(
    client: InProcess, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 for an id without a file, 1 for a property that would be gone, even with --yes."""
    assert run("apply", "--dir", str(folder), "--replace", "wishlist", "--yes") == 2
    err = capsys.readouterr().err
    assert err == "--replace: no file defines wishlist; there are: productClick.\n"
    client.voyado.schemas["productClick"]["jsonSchema"]["properties"]["size"] = COLOUR
    assert run("apply", "--dir", str(folder), "--replace", "productClick", "--yes") == 1
    assert "size is gone, which existing interactions may have" in capsys.readouterr().err
    assert client.asked("DELETE") == 0


def test_export_writes_files_that_plan_as_equal(
    client: InProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One <id>.json each."""
    target = tmp_path / "schemas"
    assert run("export", "--dir", str(target)) == 0
    assert lines_of(capsys) == [
        f"{target / 'productClick.json'}  written",
        f"{target / 'addToCart.json'}  written",
    ]
    assert run("plan", "--dir", str(target), "--check") == 0
    assert client.is_closed


def test_settings_without_a_key_are_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    """By variable name."""
    assert run("list") == 2
    assert "STREAMS_VOYADO_API_KEY: is missing" in capsys.readouterr().err


def test_delete_asks_for_the_id_and_offers_an_export(
    client: InProcess, typing: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """With all its interactions; where nobody can answer it exits with 2."""
    assert run("delete", "productClick") == 2
    said = capsys.readouterr().err
    assert "`streams voyado-schemas delete productClick --yes` does not ask." in said
    assert "streams voyado-interactions export --schema productClick --contacts FILE" in said
    assert "the workers of stage voyado wait" in said
    typing("productclick")
    assert run("delete", "productClick") == 1
    assert client.asked("DELETE") == 0
    typing("productClick")
    assert run("delete", "productClick") == 0
    assert run("delete", "productClick", "--yes") == 0
    assert lines_of(capsys) == ["productClick  deleted", "productClick  was not there"]
    assert "productClick" not in client.voyado.schemas


@pytest.mark.parametrize("id_", ["", "a b"])
def test_what_is_no_id_is_not_deleted(
    client: InProcess, capsys: pytest.CaptureFixture[str], id_: str
) -> None:
    """A blank one would mean all of them: exit code 2, nothing asked."""
    assert run("delete", id_, "--yes") == 2
    said = capsys.readouterr().err
    assert said == f'ID: id must consist of a-z, A-Z, 0-9, _ and -, not "{id_}".\n'
    assert client.requests == []


def test_words_of_voyado_are_shown_and_not_obeyed(
    client: InProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    """Control characters in names are spelled out."""
    client.voyado.schemas["addToCart"]["displayName"] = "\x1b[31mred"
    assert run("list") == 0
    assert "addToCart  \\x1b[31mred  (mail editor: addtocart)" in lines_of(capsys)


@pytest.mark.parametrize("key", ["sandbox-secret", "sandbox-invalid-1"])
async def test_the_client_of_workers_reaches_a_simulator_on_a_port(key: str) -> None:
    """Over HTTP: a list, and a key that is refused and not shown."""
    server = Sandbox("127.0.0.1", 0)
    await server.start()
    environ = {"STREAMS_VOYADO_BASE_URL": server.url, "STREAMS_VOYADO_API_KEY": key}
    try:
        async with Voyado(load_settings(environ)) as voyado:
            if key == "sandbox-secret":
                assert [d.id for d in await voyado.list_schemas()] == [
                    "productClick",
                    "addToCart",
                ]
            else:
                with pytest.raises(VendorError, match="refuses the key: 401") as caught:
                    await voyado.list_schemas()
                assert key not in str(caught.value)
    finally:
        await server.stop()
