"""The watcher, with a sleeping process in the place of the JVM."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.lab.embedded import watcher

SLEEPER = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"]


def is_gone(pid: int) -> bool:
    """Whether no such process runs; one that nobody has waited for yet counts as gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return sys.platform == "linux"


def assert_gone(pid: int, seconds: float = 10) -> None:
    """Fail if the process outlives this many seconds."""
    deadline = time.monotonic() + seconds
    while not is_gone(pid):
        assert time.monotonic() < deadline, f"process {pid} still runs"
        time.sleep(0.02)


class Watched:
    """A watcher that this test started."""

    def __init__(self, folder: Path | None, output: Path, command: list[str]) -> None:
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", watcher.__file__, str(folder or "-"), str(output)),
                *command,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self.jvm = int(self.process.stdout.readline())

    def order(self, word: str) -> None:
        """Send it a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n".encode())
        self.process.stdin.flush()

    def close(self) -> None:
        """End it and wait."""
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        self.process.wait(10)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """A watcher over a sleeping process, with a folder to delete."""
    folder = tmp_path / "data"
    folder.mkdir()
    started = Watched(folder, tmp_path / "console.log", SLEEPER)
    yield started
    started.close()


def test_closed_life_line_ends_the_process_and_deletes_its_folder(
    watched: Watched, tmp_path: Path
) -> None:
    """The kernel closes the line of a parent that is gone, whatever killed it."""
    watched.close()
    assert is_gone(watched.jvm)
    assert not (tmp_path / "data").exists()


def test_folder_of_the_user_is_kept(tmp_path: Path) -> None:
    """Without a folder of its own the process is asked to end, and nothing is deleted."""
    watched = Watched(None, tmp_path / "console.log", SLEEPER)
    watched.close()
    assert is_gone(watched.jvm)
    assert (tmp_path / "console.log").exists()


@pytest.mark.parametrize(("word", "number"), [("stop", signal.SIGTERM), ("kill", signal.SIGKILL)])
def test_orders_end_the_process_and_the_watcher(
    watched: Watched, tmp_path: Path, word: str, number: int
) -> None:
    """It exits with the signal's number, and the data are kept for the next start."""
    watched.order(word)
    assert watched.process.wait(10) == number
    assert is_gone(watched.jvm)
    assert (tmp_path / "data").exists()


def test_terminated_watcher_takes_the_process_with_it(watched: Watched) -> None:
    """A system that shuts down ends both."""
    watched.process.terminate()
    assert watched.process.wait(10) == 1
    assert is_gone(watched.jvm)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's PR_SET_PDEATHSIG is Linux's")
def test_killed_watcher_takes_the_process_with_it(watched: Watched) -> None:
    """Even SIGKILL of the watcher leaves no process behind."""
    watched.process.kill()
    assert_gone(watched.jvm)


def test_child_that_holds_the_life_line_does_not_keep_the_process(tmp_path: Path) -> None:
    """A parent that forked and was killed is noticed though its child holds the line open."""
    program = (
        "import os, subprocess, sys, time\n"
        "watcher = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, start_new_session=True)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    time.sleep(30)\n"
        "    os._exit(0)\n"
        "print(child, flush=True)\n"
        "time.sleep(600)\n"
    )
    command = [sys.executable, "-I", "-S", watcher.__file__, "-", str(tmp_path / "log"), *SLEEPER]
    with subprocess.Popen(
        [sys.executable, "-c", program, *command], stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        numbers = {int(parent.stdout.readline()), int(parent.stdout.readline())}
        parent.kill()
        deadline = time.monotonic() + 10
        # One of them is the child, which goes on; the other is the watched process.
        while not any(is_gone(pid) for pid in numbers):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        for pid in numbers:
            if not is_gone(pid):
                os.kill(pid, signal.SIGKILL)
