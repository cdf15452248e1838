"""The recipes of CONTRIBUTING.md, followed in a copy: its steps are enough, and a test misses one.

That of a vendor is followed by tests/contract/test_fourth_vendor.py.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

GREET = '''"""``streams greet``: says hello."""

from typing import Annotated

import typer


def greet(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whom to greet.")],
    loudly: Annotated[bool, typer.Option("--loudly", help="Add an exclamation mark.")] = False,
) -> None:
    """Greet somebody."""
    typer.echo(f"Hello {name}" + ("!" if loudly else ""))
'''
GREET_SECTION = """### streams greet

Greet somebody.

| argument or option | default | meaning |
| --- | --- | --- |
| `NAME` | required | Whom to greet. |
| `--loudly` |  | Add an exclamation mark. |

"""
METRIC = '    Metric("streams_greetings_total", "counter", ("stage",), "Greetings sent."),\n'
METRIC_ROW = "| `streams_greetings_total` | counter | `stage` | Greetings sent. |\n"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The program, its documents and the test that holds them to it."""
    for name in ("streams", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "README.md", tmp_path)
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "test_reference.py", tmp_path / "tests")
    return tmp_path


def put_before(file: Path, place: str, text: str) -> None:
    """Write something before what stands once in a file."""
    before = file.read_text("utf-8")
    assert before.count(place) == 1, place
    file.write_text(before.replace(place, text + place), "utf-8")


def run(copy: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """What Python does in the copy."""
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(
        command, cwd=copy, capture_output=True, text=True, check=False, timeout=120
    )


def unmet(copy: Path, words: str) -> set[str]:
    """The tests of the reference that fail in the copy, of those that match these words."""
    done = run(
        copy,
        *("pytest", "-q", "-rf", "--tb=no", "-p", "no:cacheprovider", "-k", words),
        "tests/test_reference.py",
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    return {line.partition("::")[2].partition(" - ")[0] for line in failed}


def test_a_command_is_a_module_a_line_and_a_section(copy: Path) -> None:
    """It runs after two steps; without its section a test names it."""
    line_up = copy / "streams" / "cli" / "__init__.py"
    (copy / "streams" / "cli" / "greet.py").write_text(GREET, "utf-8")
    put_before(line_up, "    offsets,\n", "    greet,\n")
    put_before(line_up, "\n\ndef main(", 'app.command("greet")(greet.greet)\n')
    assert run(copy, "streams", "greet", "Ada", "--loudly").stdout == "Hello Ada!\n"
    assert run(copy, "streams", "greet").returncode == 2
    ours = "greet or no_command"
    assert unmet(copy, ours) == {
        "test_every_argument_and_option_has_a_row[streams greet]",
        "test_no_command_is_shown_that_is_not_there",
        "test_the_words_about_a_command_are_those_of_its_help[streams greet]",
    }
    put_before(copy / "docs" / "reference.md", "### streams dead-letters list\n", GREET_SECTION)
    assert unmet(copy, ours) == set()


def test_a_metric_is_an_entry_and_a_row(copy: Path) -> None:
    """Without its row a test names it."""
    put_before(copy / "streams" / "metrics.py", ")\n\nCATALOGUE", METRIC)
    assert unmet(copy, "metric") == {"test_every_metric_has_a_row_as_the_catalogue_has_it"}
    put_before(copy / "docs" / "reference.md", "\nThe client library adds", METRIC_ROW)
    assert unmet(copy, "metric") == set()
