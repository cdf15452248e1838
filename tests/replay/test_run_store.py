"""Which runs have a process, and who may begin one."""

import os
import socket
import subprocess
import sys
from typing import Any

import pytest

from streams.core.errors import SettingsError
from streams.core.runs import (
    DONE,
    RUNNING,
    SILENT_MS,
    Asked,
    Run,
    State,
    VendorPart,
    decode_run,
    encode_run,
)
from streams.core.times import utc_text
from streams.engine import wall_clock
from streams.replay import run_store as replay_store
from streams.replay.run_store import RunStore, busy_sentence, has_process

NOW = 1_900_000_000_000
"""Long after this test's own process began."""
HERE = socket.gethostname()


def run(run_id: str = "r-1", state: State = RUNNING, vendor: str = "miso", **more: Any) -> Run:
    """A run that spoke now."""
    spoken = {"started_at": utc_text(NOW), "at": utc_text(NOW)}
    return Run(run_id, Asked("replay", 1, 2), **(spoken | more), parts=[VendorPart(vendor, state)])


def ended_pid() -> int:
    """The id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_run_has_a_process_while_that_lives() -> None:
    """On this host the process itself is asked; of another host its word must not be old."""
    assert has_process(run(host=HERE, pid=os.getpid()), NOW)
    assert has_process(run(host=HERE, pid=os.getpid()), NOW + 10 * SILENT_MS)
    assert not has_process(run(host=HERE, pid=ended_pid()), NOW)
    assert not has_process(run(), NOW)
    assert has_process(run(host="elsewhere", pid=1), NOW + SILENT_MS - 1)
    assert not has_process(run(host="elsewhere", pid=1), NOW + SILENT_MS)
    assert not has_process(run(host="elsewhere", pid=1, at="never"), NOW)


def test_a_process_that_began_after_the_run_spoke_is_another_one() -> None:
    """Ids are given anew."""
    long_ago = utc_text(1_000_000_000_000)
    assert not has_process(run(host=HERE, pid=os.getpid(), at=long_ago), NOW)


class Store(RunStore):
    """Runs in a list; others may write between any two steps."""

    def __init__(self, *runs: Run) -> None:
        self.runs = {one.run_id: one for one in runs}
        self.news: list[list[Run]] = []
        """By reading: what others wrote before it, and before what was written here last."""
        self.written: list[tuple[str, str]] = []
        self.last: Run | None = None

    async def read_on(self, offset: int | None = None) -> dict[str, Run]:
        """Read what others wrote."""
        for one in self.news.pop(0) if self.news else []:
            self.runs[one.run_id] = one
        before = dict(self.runs)
        if offset is not None and self.last is not None:
            self.runs[self.last.run_id] = decode_run(encode_run(self.last))
        return before

    async def write(self, run: Run) -> int:
        """Note it."""
        self.written.append((run.run_id, run.state))
        self.last = run
        return len(self.written)


async def test_one_run_at_a_time_has_a_vendor() -> None:
    """The other one is named, with what to do; runs to other vendors and ended ones are fine."""
    store = Store(run("r-1"), run("r-2", DONE, "voyado"), run("r-3", RUNNING, "eightselect"))
    with pytest.raises(SettingsError, match=r"Run r-1 to miso is not finished.*resume r-1"):
        await store.claim(run("r-4"), is_new=True)
    assert store.written == []
    new = run("r-4", vendor="voyado")
    await store.claim(new, is_new=True)
    assert (new.host, new.pid) == (HERE, os.getpid())
    assert store.written == [("r-4", "running")]


@pytest.mark.parametrize("other", ["r-1", "r-3"])
async def test_of_two_that_begin_at_once_the_first_in_the_log_goes_on(other: str) -> None:
    """Whatever their names: the later one sees the other's record before its own."""
    store = Store()
    store.news = [[], [run(other)]]
    with pytest.raises(SettingsError, match=other):
        await store.claim(run("r-2"), is_new=True)
    assert store.written == [("r-2", "running"), ("r-2", "stopped")]


async def test_of_two_that_resume_a_run_at_once_one_goes_on() -> None:
    """The other leaves the record to it, as it was; nothing is written twice."""
    left = run("r-1")
    theirs = run("r-1", host="elsewhere", pid=7, at=wall_clock.now_text())
    store = Store(left)
    store.news = [[], [theirs]]
    with pytest.raises(SettingsError, match=r"Run r-1 is running \(process 7 on elsewhere\)"):
        await store.claim(left, is_new=False)
    assert store.last is theirs
    store = Store(left)
    store.news = [[theirs]]
    with pytest.raises(SettingsError, match="process 7 on elsewhere"):
        await store.claim(left, is_new=False)
    assert store.written == []


async def test_a_run_is_resumed_as_it_was_written_last() -> None:
    """A command that only looks may have read it long before."""
    store = Store(run("r-1"))
    newest = run("r-1")
    newest.parts[0].sent = 40
    store.news = [[newest]]
    claimed = await store.claim(run("r-1"), is_new=False)
    assert (claimed.parts[0].sent, claimed.pid) == (40, os.getpid())
    ended = Store(run("r-1"))
    ended.news = [[run("r-1", DONE)]]
    with pytest.raises(SettingsError, match="Run r-1 is done: there is nothing to go on with"):
        await ended.claim(run("r-1"), is_new=False)


def test_of_a_run_at_work_it_is_said_that_it_can_be_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not that it can be gone on with."""
    monkeypatch.setattr(replay_store, "has_process", lambda *_: True)
    said = busy_sentence(run("r-1"), ["miso", "voyado"])
    assert "Run r-1 is already sending to miso, voyado" in said
    assert "`streams replay stop r-1`" in said
    assert "resume" not in said
