"""The command line: exit codes, sentences instead of tracebacks, and a fast start."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer

from streams import cli
from streams.cli import app, main
from streams.core.errors import SettingsError, SetupError
from streams.core.outcome import DeadLetterReason, SkipReason
from streams.engine.errors import EngineError

HEAVY = ("aiokafka", "aiohttp", "faust", "httpx", "jmespath", "msgspec", "pydantic", "structlog")


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], int]:
    """Runs a command that ends with the given exception; returns the exit code."""

    def run(error: BaseException) -> int:
        def command(*_: Any, **__: Any) -> None:
            raise error

        def chosen(_: typer.Typer) -> Callable[..., None]:
            return command

        monkeypatch.setattr("typer.main.get_command", chosen)
        return main([])

    return run


def streams(
    *arguments: str, cwd: Path | None = None, environ: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """What the real command does in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "streams", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=environ,
        timeout=60,
    )


def test_reasons_are_the_closed_list_one_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Skips first, in the order in which they are looked for, then those of dead letters."""
    assert main(["reasons"]) == 0
    words = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert words == [*SkipReason, *DeadLetterReason]
    assert words[: len(SkipReason)] == [
        "too_old",
        "expired",
        "duplicate",
        "no_consent",
        "unmapped",
        "own_pathway",
        "unknown_product",
        "no_products",
        "outside_content",
        "no_contact",
        "thinned",
    ]


def test_reasons_as_json_are_one_array(capsys: pytest.CaptureFixture[str]) -> None:
    """Each with the outcome it explains."""
    assert main(["reasons", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[0] == {
        "reason": "too_old",
        "outcome": "skipped",
        "meaning": "older than the vendor's max_age_hours when it was read or sent",
    }
    assert {row["outcome"] for row in rows} == {"skipped", "dead_lettered"}


def test_every_problem_of_the_settings_is_a_line_and_exit_2(
    failing: Callable[[BaseException], int], capsys: pytest.CaptureFixture[str]
) -> None:
    """On stderr; stdout stays clean for results."""
    assert failing(SettingsError(["STREAMS_A: is missing.", "STREAMS_B: is \x1b[31m."])) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "STREAMS_A: is missing.\nSTREAMS_B: is \\x1b[31m.\n"


@pytest.mark.parametrize(
    ("error", "code"), [(SetupError("No broker."), 1), (EngineError("Cannot go on."), 1)]
)
def test_what_is_not_as_it_must_be_is_a_sentence(
    failing: Callable[[BaseException], int],
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    code: int,
) -> None:
    """No traceback for what a person can put right."""
    assert failing(error) == code
    assert capsys.readouterr().err == f"{error}\n"


def test_a_setup_error_may_name_its_exit_code(failing: Callable[[BaseException], int]) -> None:
    """A fenced worker, for example, must not be restarted."""

    class FencedError(SetupError):
        exit_code = 2

    assert failing(FencedError("Another worker has this slot.")) == 2


def test_an_interrupt_is_130_and_silent(
    failing: Callable[[BaseException], int], capsys: pytest.CaptureFixture[str]
) -> None:
    """As shells expect of what Ctrl-C ended."""
    assert failing(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == ""


def test_a_defect_keeps_its_traceback(failing: Callable[[BaseException], int]) -> None:
    """What nobody but us can put right is not hidden."""
    with pytest.raises(ZeroDivisionError):
        failing(ZeroDivisionError())


@pytest.mark.parametrize("arguments", [["nonsense"], ["reasons", "--nonsense"], ["produce"]])
def test_wrong_use_is_exit_2(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With the usage on stderr."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Usage: streams" in err


def test_help_imports_nothing_heavy() -> None:
    """The start stays fast because commands import what they need when they run."""
    code = f"import sys, streams.cli; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"


def test_every_command_says_what_it_does() -> None:
    """Help is a sentence for each command and group."""
    for command in app.registered_commands:
        assert command.callback is not None
        assert command.callback.__doc__
    for group in app.registered_groups:
        assert group.typer_instance is not None
        assert group.typer_instance.info.help or group.typer_instance.registered_callback


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("init", "Propose [ingest.NAME] sections"),
        ("diff", "For topics in [ingest.NAME] your own"),
        ("replay", "again, by [ingest.NAME]."),
        ("demo", "your sections [source.…], and"),
    ],
)
def test_help_names_sections_as_they_are_written(
    command: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Brackets are no markup."""
    assert main([command, "--help"]) == 0
    assert words in " ".join(capsys.readouterr().out.replace("│", " ").split())


def test_python_m_streams_is_the_command(tmp_path: Path) -> None:
    """Wrong settings reach the shell as sentences and exit code 2."""
    (tmp_path / "some.jsonl").write_text("{}\n")
    done = streams("produce", "some.jsonl", cwd=tmp_path, environ={"STREAMS_KAFKA_PARTITIONS": "x"})
    assert done.returncode == 2
    assert done.stderr == 'STREAMS_KAFKA_PARTITIONS: must be a whole number, not "x".\n'


def test_an_unreachable_broker_is_one_sentence_and_exit_1(tmp_path: Path) -> None:
    """It names the address, the setting and what to do."""
    (tmp_path / "some.jsonl").write_text("{}\n")
    environ = {"STREAMS_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    done = streams("produce", "some.jsonl", cwd=tmp_path, environ=environ)
    assert done.returncode == 1
    assert done.stderr.startswith("Kafka at 127.0.0.1:1 (STREAMS_KAFKA_BOOTSTRAP_SERVERS) cannot")
    assert done.stderr.count("\n") == 1


def test_a_reader_that_leaves_is_no_traceback() -> None:
    """`streams reasons | head -1` ends quietly."""
    script = f"{sys.executable} -m streams reasons --json | true"
    done = subprocess.run(
        ["/bin/sh", "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stderr == ""


def test_version_is_the_distributions(capsys: pytest.CaptureFixture[str]) -> None:
    """For reports of problems."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("streams ")
    assert cli.app.info.name == "streams"
