"""Leaving: at once, with one line and the right code."""

import subprocess
import sys


def left_by(code: str) -> tuple[int, list[str]]:
    """Run this in a process of its own; return exit code and what was written."""
    ended = subprocess.run(
        [sys.executable, "-c", f"import logging; logging.basicConfig()\n{code}"],
        check=False,
        capture_output=True,
        text=True,
    )
    return ended.returncode, (ended.stdout + ended.stderr).splitlines()


def test_leave_ends_the_process_at_once_with_one_line() -> None:
    """No finally, no exit handler, no thread is waited for."""
    code, lines = left_by(
        "from streams.engine.failure import leave\n"
        "try:\n    leave('the sentence', cause=ValueError('x'))\n"
        "finally:\n    print('never')\n"
    )
    assert code == 70
    assert lines == ["CRITICAL:streams.engine:the sentence"]


def test_a_replaced_worker_must_not_be_restarted() -> None:
    """Exit 2, with what to do."""
    code, lines = left_by("from streams.engine.failure import leave_fenced as go\ngo()")
    assert code == 2
    assert len(lines) == 1
    assert "start it with another --slot" in lines[0]


def test_a_recreated_topic_names_the_command_that_helps() -> None:
    """Exit 2."""
    code, lines = left_by(
        "from streams.engine.failure import leave_recreated as go\n"
        "go('miso', ('vendor.miso.events', 3), 100, 7)"
    )
    assert code == 2
    assert len(lines) == 1
    assert "vendor.miso.events partition 3" in lines[0]
    assert "`streams offsets reset --stage miso --to earliest`" in lines[0]
