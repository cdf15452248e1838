"""``streams init`` as people call it: on a terminal and in a pipe."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.shapes.formats import EVENTS


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with a file of a PHP shop's events and products."""
    lines = [
        json.dumps({"topic": topic, "value": json.loads(value or b"")})
        for topic, records in EVENTS["magento_cart"]().topics.items()
        for _, value in records
    ]
    (tmp_path / "shop.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def environment() -> Mapping[str, str]:
    """The variables of this process without our own settings."""
    return {name: text for name, text in os.environ.items() if not name.startswith("STREAMS_")}


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the command without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "streams", "init", *arguments],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_without_a_terminal_nothing_is_asked_and_the_careful_answer_is_said(shop: Path) -> None:
    """The sections are written all the same."""
    done = run(shop, "shop.jsonl", "--write")
    assert done.returncode == 0, done.stderr
    assert "have no zone; UTC is assumed" in done.stdout
    assert "no_consent" in done.stdout
    written = (shop / "streams.toml").read_text(encoding="utf-8")
    assert 'timezone = "UTC"' in written
    assert '# mode = "assumed"' in written


def test_on_a_terminal_it_asks_what_the_records_do_not_say(shop: Path) -> None:
    """A wrong answer is asked for again; right ones go into the settings."""
    here, there = pty.openpty()
    os.write(here, b"Berlin\nEurope/Berlin\nassumed\n")
    with subprocess.Popen(
        [sys.executable, "-m", "streams", "init", "shop.jsonl", "--write"],
        cwd=shop,
        env=environment(),
        stdin=there,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        output, _ = process.communicate(timeout=120)
    os.close(here)
    os.close(there)
    assert process.returncode == 0, output
    assert "In which IANA zone" in output
    assert "Answer with an IANA name" in output
    written = (shop / "streams.toml").read_text(encoding="utf-8")
    assert 'timezone = "Europe/Berlin"' in written
    assert '[consent]\nmode = "assumed"' in written


def test_as_json_it_is_one_array_of_sections(shop: Path) -> None:
    """With expression, share and a masked example for each field."""
    done = run(shop, "shop.jsonl", "--json")
    sections = json.loads(done.stdout)
    assert [section["to"] for section in sections] == ["clicks", "add-to-carts", "products"]
    assert sections[0]["fields"]["price"] == "to_number(price)"
    assert sections[0]["found"]["price"] == {"share": 1.0, "example": "19.9"}


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["gone.jsonl"], 2, "There is no file gone.jsonl."),
        (["empty.jsonl"], 2, "empty.jsonl contains no JSON lines."),
        (
            ["noise.jsonl"],
            1,
            "noise has no record with a JSON object; nothing is proposed. Try again",
        ),
    ],
)
def test_what_cannot_be_sampled_is_said_in_one_sentence(
    tmp_path: Path, arguments: list[str], code: int, sentence: str
) -> None:
    """Never in a traceback."""
    (tmp_path / "empty.jsonl").write_text("\n\n")
    (tmp_path / "noise.jsonl").write_text("nonsense\n[1, 2]\n")
    done = run(tmp_path, *arguments)
    assert done.returncode == code
    assert sentence in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
