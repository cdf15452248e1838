"""docs/get-started.md, command by command: what it shows is what happens."""

import asyncio
import json
import os
import pty
import re
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.broker_fixtures import Broker
from tests.kafka.pipeline import Pipeline
from tests.shapes.formats import EVENTS

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "get-started.md"
ENV = {
    "STREAMS_EIGHTSELECT_API_ID": "sandbox-secret",
    "STREAMS_EIGHTSELECT_USER_ID_SECRET": "a-long-text-that-nobody-guesses",
    "STREAMS_VOYADO_API_KEY": "sandbox-secret",
}

STAGES = ("ingest", "enrich", "eightselect", "voyado", "miso")


class Shown(NamedTuple):
    """A command of the page, what is answered to its questions, and the lines that it prints."""

    command: str
    answers: tuple[str, ...]
    lines: tuple[str, ...]


def shown(heading: str) -> Iterator[Shown]:
    """Yield the commands below a heading."""
    section = PAGE.read_text("utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    for block in re.findall(r"```console\n(.*?)```", section, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *lines = part.splitlines()
            # A question ends with its default in brackets; what follows is typed.
            answers = tuple(
                found[1] for line in lines if (found := re.search(r"\[\S+\]: (\S+)$", line))
            )
            printed = tuple(re.sub(r"(\[\S+\]:) \S+$", r"\1", line) for line in lines)
            yield Shown(command, answers, printed)


def run(one: Shown, shop: Pipeline) -> str:
    """Run a command on a terminal where somebody answers, and return what it prints."""
    here, there = pty.openpty()
    os.write(here, "".join(f"{answer}\n" for answer in one.answers).encode())
    around = {name: text for name, text in os.environ.items() if not name.startswith("STREAMS_")}
    with subprocess.Popen(
        ["/bin/sh", "-c", one.command],
        cwd=shop.folder,
        env=around | shop.env | {"PATH": f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}"},
        stdin=there if one.answers else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        output, _ = process.communicate(timeout=120)
    os.close(here)
    os.close(there)
    with (shop.folder / "printed.txt").open("a") as printed:
        printed.write(f"$ {one.command}\n{output}\n")
    return output


def words(text: str) -> str:
    """The text with all space alike."""
    return " ".join(text.split())


def assert_printed(one: Shown, output: str) -> None:
    """Each line of the page stands in the output, in order; … stands for anything."""
    rest = words(output)
    for line in one.lines:
        if words(line).strip("…"):
            pattern = ".*?".join(re.escape(part) for part in words(line).split("…"))
            found = re.search(pattern, rest)
            assert found, f"{one.command}: {line!r} is not in what it prints:\n{output}"
            rest = rest[found.end() :]


@pytest.mark.slow
@pytest.mark.parametrize("heading", ["With the sample", "With your own topic"])
async def test_the_page_s_commands_print_what_it_shows(
    broker: Broker, prefix: str, tmp_path: Path, heading: str
) -> None:
    """With workers of all stages beside them, until the last event has its receipt."""
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    config = tmp_path / "streams.toml"
    config.write_text("", "utf-8")
    env = ENV | {"STREAMS_CONFIG": str(config)}
    async with Pipeline(broker, prefix, tmp_path, env=env) as shop:
        if heading == "With your own topic":
            lines = [
                json.dumps({"topic": "my-topic", "value": json.loads(value or b"")})
                for _, value in EVENTS["segment"]().topics["segment"]
            ]
            (tmp_path / "mine.jsonl").write_text("\n".join(lines), "utf-8")
            run(Shown("streams produce mine.jsonl --own-topics", (), ()), shop)
        for one in shown(heading):
            if one.command == "streams worker ingest":
                await shop.ready(*(shop.start(stage) for stage in STAGES))
            elif one.command == "streams audit":
                await shop.until(partial(prints, one, shop))
            else:
                printed = await asyncio.to_thread(run, one, shop)
                assert_printed(one, printed)
        if heading == "With your own topic":
            await shop.until(lambda: len(shop.stored()) == 200)


async def prints(one: Shown, shop: Pipeline) -> bool:
    """Whether a command prints what the page shows by now."""
    printed = await asyncio.to_thread(run, one, shop)
    try:
        assert_printed(one, printed)
    except AssertionError:
        return False
    return True
