"""A blocked event loop is noticed from outside of it."""

import asyncio
import subprocess
import sys
import threading
import time

from streams.engine.heartbeat import Heartbeat


def _block_the_loop(until: threading.Event) -> None:
    until.wait(10)


def _work(seconds: float) -> None:
    time.sleep(seconds)


async def test_a_blocked_loop_is_reported_with_where_it_stands() -> None:
    """The innermost of our functions is among the first."""
    said: list[str] = []
    noticed = threading.Event()

    def note(message: str) -> None:
        said.append(message)
        noticed.set()

    Heartbeat(0.05, note, tick_seconds=0.01).start()
    _block_the_loop(noticed)
    (message,) = said
    assert message.startswith("the event loop has been blocked for 0.0")
    assert "_block_the_loop (" in message
    assert message.endswith("starting again")


async def test_a_loop_that_comes_round_is_left_alone() -> None:
    """Also when single rounds are long."""
    said: list[str] = []
    heartbeat = Heartbeat(0.5, said.append, tick_seconds=0.01)
    heartbeat.start()
    for _ in range(5):
        _work(0.05)
        await asyncio.sleep(0.02)
    heartbeat.stop()
    assert said == []


def test_the_process_ends_with_70() -> None:
    """Although its main thread never gives way."""
    code = (
        "import asyncio, logging, time\n"
        "from streams.engine.heartbeat import Heartbeat\n"
        "logging.basicConfig()\n"
        "async def main():\n"
        "    Heartbeat(0.1, tick_seconds=0.02).start()\n"
        "    time.sleep(20)\n"
        "asyncio.run(main())\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )
    assert ended.returncode == 70
    (line,) = ended.stderr.splitlines()
    assert line.startswith("CRITICAL:streams.engine:the event loop has been blocked")
    assert "in main" in line or "main (" in line
