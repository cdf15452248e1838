"""The supervisor: when a worker is started again, how all of them end, and what is shown."""

import asyncio
import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from io import StringIO

import pytest

from streams.worker.supervisor.console import SharedConsole, read_line
from streams.worker.supervisor.parent_watch import end_with_parent
from streams.worker.supervisor.restart_policy import Ending, RestartPolicy
from streams.worker.supervisor.supervisor import Supervisor, worker_command


class Heard:
    """A console that remembers, and tells when a line has come."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.endings: list[Ending] = []
        self.on_line: Callable[[str, str], None] = lambda _stage, _text: None
        self.on_ending: Callable[[], None] = lambda: None

    def line(self, stage: str, text: str) -> None:
        """Remember a line."""
        self.lines.append((stage, text))
        self.on_line(stage, text)

    def ended(self, ending: Ending) -> None:
        """Remember an ending."""
        self.endings.append(ending)
        self.on_ending()


def quick() -> RestartPolicy:
    """The usual rules with pauses of milliseconds."""
    return RestartPolicy(first_pause_seconds=0.001, longest_pause_seconds=0.004)


def children(scripts: Mapping[str, str], heard: Heard, stop_seconds: float = 12.0) -> Supervisor:
    """A supervisor of one small Python script a stage."""

    def command(stage: str) -> list[str]:
        return [sys.executable, "-I", "-S", "-c", scripts[stage]]

    return Supervisor(list(scripts), command, heard, policy=quick, stop_seconds=stop_seconds)


LONG_LIVED = "import signal; print('up', flush=True); signal.pause()"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {LONG_LIVED}"


class TestRestartPolicy:
    """The rules alone."""

    def test_pauses_double_up_to_a_minute(self) -> None:
        """A worker that crashes again and again is started ever more seldom."""
        policy = RestartPolicy()
        pauses = [policy.after(70, ran_seconds=5) for _ in range(8)]
        assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]

    def test_a_minute_of_running_well_starts_the_pauses_anew(self) -> None:
        """A crash now and then is not a crash loop."""
        policy = RestartPolicy()
        ran = [5, 5, 5, 59.9, 60, 5]
        assert [policy.after(70, seconds) for seconds in ran] == [1, 2, 4, 8, 1, 2]

    def test_exit_code_2_is_final_however_long_it_ran(self) -> None:
        """Settings, a fenced worker, a recreated topic: a restart cannot help."""
        assert RestartPolicy().after(2, ran_seconds=0.5) is None
        assert RestartPolicy().after(2, ran_seconds=86_400) is None

    def test_exit_code_1_at_the_very_start_is_final(self) -> None:
        """The broker was not reached or a topic is missing: somebody is there to be told."""
        assert RestartPolicy().after(1, ran_seconds=9) is None

    def test_exit_code_1_of_one_that_had_run_is_not(self) -> None:
        """A broker that is away for a while comes back."""
        crashed = RestartPolicy()
        assert [crashed.after(70, 5), crashed.after(1, 9), crashed.after(1, 9)] == [1, 2, 4]
        assert RestartPolicy().after(1, ran_seconds=60) == 1

    @pytest.mark.parametrize("code", [0, 3, 70, -9, -15, 137])
    def test_any_other_end_is_followed_by_a_start(self, code: int) -> None:
        """Also a clean end: nobody told the supervisor."""
        assert RestartPolicy().after(code, ran_seconds=5) == 1


async def test_a_crashed_worker_is_started_again_with_growing_pauses() -> None:
    """Each end is told with its code and the pause; the other worker is not touched."""
    heard, stop = Heard(), asyncio.Event()
    scripts = {"enrich": LONG_LIVED, "miso": "import sys; print('crash'); sys.exit(70)"}

    def third_crash(stage: str, _text: str) -> None:
        crashes = len([one for one, _ in heard.lines if one == "miso"])
        if crashes >= 4 and ("enrich", "up") in heard.lines:
            stop.set()

    heard.on_line = third_crash
    assert await children(scripts, heard).run(stop) == 0
    assert heard.endings[:3] == [
        Ending("miso", 70, 0.001),
        Ending("miso", 70, 0.002),
        Ending("miso", 70, 0.004),
    ]
    assert {ending.stage for ending in heard.endings} == {"miso"}
    assert heard.lines.count(("enrich", "up")) == 1


async def test_exit_code_2_is_not_restarted_and_the_others_go_on() -> None:
    """A fenced worker stays down; when the last one is gone, too, the exit code is 2."""
    heard, stop = Heard(), asyncio.Event()
    scripts = {
        "enrich": "import sys; print('fenced', file=sys.stderr); sys.exit(2)",
        "miso": LONG_LIVED,
    }
    running = asyncio.create_task(children(scripts, heard).run(stop))
    both, ended = asyncio.Event(), asyncio.Event()
    heard.on_line = lambda _stage, _text: both.set() if len(heard.lines) == 2 else None
    heard.on_ending = ended.set
    await both.wait()
    await ended.wait()
    assert sorted(heard.lines) == [("enrich", "fenced"), ("miso", "up")]
    assert not running.done()
    stop.set()
    assert await running == 0
    assert heard.endings == [Ending("enrich", 2, None)]

    alone = Heard()
    assert await children({"enrich": scripts["enrich"]}, alone).run(asyncio.Event()) == 2
    assert alone.lines == [("enrich", "fenced")]


async def test_a_wrong_set_up_at_the_start_ends_everything_with_1() -> None:
    """The sentence of the one is shown, and the other is not left behind."""
    heard = Heard()
    scripts = {
        "enrich": LONG_LIVED,
        "miso": "import sys; print('Topic shop.clicks does not exist', end=''); sys.exit(1)",
    }
    supervisor = children(scripts, heard)
    assert await supervisor.run(asyncio.Event()) == 1
    assert ("miso", "Topic shop.clicks does not exist") in heard.lines
    assert heard.endings == [Ending("miso", 1, None)]
    assert supervisor.pids == {}


async def test_a_worker_that_does_not_end_in_time_is_killed() -> None:
    """SIGTERM first; after the time that workers have, SIGKILL."""
    heard, stop = Heard(), asyncio.Event()
    supervisor = children({"enrich": STUBBORN, "miso": LONG_LIVED}, heard, stop_seconds=0.2)
    pids: list[int] = []

    def when_both_are_up(_stage: str, _text: str) -> None:
        if len(heard.lines) == 2:
            pids.extend(supervisor.pids.values())
            stop.set()

    heard.on_line = when_both_are_up
    assert await supervisor.run(stop) == 0
    assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_long_lines_and_bad_utf8_come_through() -> None:
    """A line of a megabyte comes in pieces, and bytes that are no text are marked."""
    heard = Heard()
    script = r"import os; os.write(1, b'x' * 1000000 + b'\n\xff\n'); os._exit(2)"
    assert await children({"miso": script}, heard).run(asyncio.Event()) == 2
    texts = [text for _, text in heard.lines]
    assert "".join(texts[:-1]) == "x" * 1_000_000
    assert texts[-1] == "�"


SUPERVISING = """
import asyncio, sys
from streams.worker.supervisor.supervisor import Supervisor
CHILD = '''
import os, signal
from streams.worker.supervisor.parent_watch import end_with_parent
signal.signal(signal.SIGTERM, signal.SIG_IGN)
end_with_parent()
print(os.getpid(), flush=True)
signal.pause()
'''
class Out:
    def line(self, stage, text): print(text, flush=True)
    def ended(self, ending): print(ending, flush=True)
command = lambda stage: [sys.executable, "-c", CHILD]
asyncio.run(Supervisor(["enrich", "miso"], command, Out()).run(asyncio.Event()))
"""


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for processes of others: Linux")
def test_the_workers_die_with_a_killed_supervisor() -> None:
    """Nothing is left running after kill -9, even where a worker ignores SIGTERM."""
    parent = subprocess.Popen(
        [sys.executable, "-c", SUPERVISING], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    assert parent.stdout is not None
    watched = [os.pidfd_open(int(parent.stdout.readline())) for _ in range(2)]
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    for one in watched:
        ended, _, _ = select.select([one], [], [], 10)
        os.close(one)
        assert ended, "a worker outlived its supervisor"


def test_the_life_line_ends_the_process_when_it_breaks() -> None:
    """What is written to it is of no interest; its end is."""
    read_end, write_end = os.pipe()
    ended: list[str] = []
    thread = end_with_parent(read_end, lambda: ended.append("killed"))
    os.write(write_end, b"whatever")
    assert ended == []
    os.close(write_end)
    thread.join(10)
    os.close(read_end)
    assert ended == ["killed"]


def test_each_worker_is_the_same_command_with_its_stage() -> None:
    """As a person would type it, and told that it is supervised."""
    start = [sys.executable, "-m", "streams", "worker", "miso"]
    assert worker_command("miso") == [*start, "--supervised"]
    assert worker_command("miso", 3) == [*start, "--slot", "3", "--supervised"]


class Terminal(StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


LOGGED = json.dumps(
    {
        "event": "parked: 401",
        "level": "warning",
        "logger": "streams.delivery",
        "timestamp": "2026-11-20T10:00:00.000000Z",
        "vendor": "miso",
        "title": "\x1b[31m[bold]red",
    }
)


def test_json_lines_stay_json_lines_that_name_their_stage() -> None:
    """Elsewhere than in a terminal a log collector reads them; other lines are led by the stage."""
    out = StringIO()
    console = SharedConsole(["enrich", "miso"], out)
    console.line("miso", LOGGED)
    console.line("miso", "Kafka cannot be reached")
    console.ended(Ending("miso", 70, 2.0))
    first, second, third = out.getvalue().splitlines()
    assert json.loads(first) == {"stage": "miso", **json.loads(LOGGED)}
    assert second == "miso   | Kafka cannot be reached"
    told = json.loads(third)
    assert told["stage"] == "miso"
    assert told["event"] == "miso ended with exit code 70; it is started again in 2 s"


def test_a_terminal_shows_text_led_by_the_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Aligned and coloured; what strangers sent neither steers it nor counts as markup."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    out = Terminal()
    SharedConsole(["enrich", "miso"], out).line("miso", LOGGED)
    assert "\x1b[" in out.getvalue()
    shown = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())
    assert re.sub(r"^\d\d:\d\d:\d\d", "10:00:00", shown) == (
        "10:00:00 miso   parked: 401 vendor=miso title=\\x1b[31m[bold]red\n"
    )


@pytest.mark.parametrize("line", ["", "{", "[1]", '{"event": 7}', "plain words"])
def test_a_line_that_is_no_log_line_is_its_own_words(line: str) -> None:
    """Nothing that a worker prints is lost."""
    said = read_line(line)
    assert (said.words, said.level, said.matters) == (line, None, True)


def test_an_ordinary_log_line_does_not_matter_to_a_person() -> None:
    """Warnings and worse do."""
    assert not read_line('{"event": "ready", "level": "info", "timestamp": "soon"}').matters
    assert read_line('{"event": "parked", "level": "error"}').matters
