"""The examples run as they are, against the simulators, and print what they promise."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.clients.simulators import sandbox

ROOT = Path(__file__).resolve().parent.parent
PRINTED = {
    "eightselect_order.py": ["sent: view, interact, order"],
    "voyado_wishlist.py": [
        "2026-11-27T13:15:02+00:00 643078-0021",
        "left: 0",
        "refused: record 0: schema wishlist: price is no number, as the schema wants it",
    ],
    "miso_upload.py": [
        "checked: 2",
        "uploaded: 1200",
        "uploaded: 1",
        "refused: record 1: rate.rating: Input should be less than or equal to 5",
        "deleted: u-204",
    ],
}
STORED = {
    "eightselect": {"view": 1, "click": 1, "order": 1},
    "voyado": {"wishlist": 1},
    "miso": {"add_to_cart": 601, "checkout": 600, "home_page_view": 1},
}


def test_every_example_is_run_and_shown() -> None:
    """One for each client; the page of the examples has a row for each."""
    there = {path.name for path in (ROOT / "examples").glob("*.py")}
    page = (ROOT / "examples" / "README.md").read_text("utf-8")
    assert there == PRINTED.keys()
    assert all(f"| [{name}]({name}) |" in page for name in there)


@pytest.mark.parametrize("name", PRINTED)
async def test_an_example_runs_and_prints_what_it_did(name: str, tmp_path: Path) -> None:
    """In a process of its own, with the settings that the sandbox prints."""
    vendor = name.partition("_")[0]
    async with sandbox() as server:
        given = dict(line.partition("=")[::2] for line in server.example_environment())
        mine = {n: v for n, v in os.environ.items() if not n.startswith("STREAMS_")}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-W",
            "error",
            str(ROOT / "examples" / name),
            env=mine | given,
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        printed, failure = await process.communicate()
        assert failure.decode() == ""
        assert printed.decode().splitlines() == PRINTED[name]
        assert dict(server.ledgers[vendor].types) == STORED[vendor]
