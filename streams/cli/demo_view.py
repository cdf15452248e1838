"""What ``streams demo`` shows: steps, bars, the table, and what to try next."""

import shlex
import shutil
import sys
import time
from contextlib import ExitStack
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.status import Status
from rich.text import Text

from streams.cli.demo_table import books_table, verdict_lines
from streams.core.plain_text import plain
from streams.lab.demo.books import Closing
from streams.lab.demo.feed import Feed
from streams.lab.demo.progress import DemoProgress
from streams.lab.demo.rig import Rig
from streams.settings import ENRICH
from streams.vendors import VENDORS
from streams.worker.supervisor.console import SharedConsole, ending_words, read_line
from streams.worker.supervisor.restart_policy import Ending

_PLAIN_SECONDS = 2.0
"""Between two lines about the events where there is no terminal to draw bars on."""


class DemoView:
    """A terminal with spinners and bars, or a file with a line for each step."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, emoji=False)
        self._workers = SharedConsole([ENRICH, *VENDORS])
        self._is_terminal = self._console.is_terminal
        self._status: Status | None = None
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._live = ExitStack()
        self._step = ""
        self._began_at = 0.0
        self._said_at = 0.0
        self._last_detail = ""
        self._total = 0
        self._is_stopping = False

    def __enter__(self) -> Self:
        title = Text("streams demo", style="bold")
        title.append(": shop events through a real Kafka to vendor simulators", style="not bold")
        self._print(title)
        return self

    def __exit__(self, *_: object) -> None:
        self._live.close()

    def began(self, step: str) -> None:
        """Spin beside the step; elsewhere its end is enough."""
        self._step, self._began_at = step, time.monotonic()
        if self._is_terminal:
            self._live.close()
            self._status = self._live.enter_context(self._console.status(Text(f"{step} …")))

    def detail(self, words: str) -> None:
        """Show how far the step is: on the spinner, or once for each new sentence."""
        if self._status is not None and self._is_terminal:
            self._status.update(Text(f"{self._step}: {words} …"))
        elif (sentence := words.rstrip(" 0123456789of")) != self._last_detail:
            self._last_detail = sentence
            self._print(Text(f"  … {sentence}"))

    def done(self, step: str) -> None:
        """Tick the step off with the time it took."""
        self._live.close()
        took = time.monotonic() - self._began_at if self._began_at else 0.0
        line = Text("  ✓ ", style="green")
        line.append(f"{plain(step):<72}", style="default")
        line.append(f"{took:5.1f} s", style="dim")
        self._print(line)
        self._began_at = time.monotonic()

    def playing(self, feed: Feed) -> None:
        """Draw the bars."""
        self._total = feed.event_count
        self._print(Text(f"\n  {feed.event_count:,} events: {feed.name}"))
        self._began_at = self._said_at = time.monotonic()
        if not self._is_terminal:
            return
        self._bars = Progress(
            TextColumn("  {task.description:<22}"),
            BarColumn(bar_width=40, finished_style="green"),
            MofNCompleteColumn(),
            console=self._console,
        )
        self._live.enter_context(self._bars)

    def progress(self, progress: DemoProgress) -> None:
        """Move the bars; elsewhere a line now and then."""
        counts = {"written": progress.written, "enriched": progress.enriched, **progress.settled}
        if self._bars is not None:
            for name, count in counts.items():
                if name not in self._tasks:
                    title = f"{VENDORS[name].name} settled" if name in VENDORS else name
                    self._tasks[name] = self._bars.add_task(title, total=self._total)
                self._bars.update(self._tasks[name], completed=count)
            return
        now = time.monotonic()
        is_last = all(count >= self._total for count in counts.values())
        if now - self._said_at >= _PLAIN_SECONDS or is_last:
            self._said_at = now
            settled = [f"{VENDORS[v].name} {n:,} settled" for v, n in progress.settled.items()]
            told = ", ".join([f"{progress.enriched:,} enriched", *settled])
            self._print(Text(f"    {progress.written:,} written, {told}"))

    def played(self) -> None:
        """Leave the bars as they are."""
        self._live.close()
        self._bars = None

    def closed(self, closing: Closing) -> None:
        """Print the table and the verdict."""
        self._live.close()
        self._print(Text())
        self._console.print(books_table(closing))
        self._print(Text())
        for line in verdict_lines(closing):
            self._print(line)

    def staying(self, rig: Rig) -> None:
        """Print the addresses and commands to try."""
        settings, sandbox = rig.settings, rig.sandbox.url
        command = "streams" if shutil.which("streams") else shlex.quote(sys.argv[0])
        pages = [
            ("the dashboard", f"{rig.web_url(ENRICH)}/"),
            ("  its token, to log in", rig.web_token),
            ("what the simulators stored", f"{sandbox}/ledger"),
            ("their faults", f"{sandbox}/faults"),
            ("Kafka", settings.kafka.bootstrap_servers),
        ]
        self._print(Text("\nIt keeps running until you press Ctrl-C.\n", style="bold"))
        for title, address in pages:
            self._print(Text(f"  {title:<28}{address}"))
        event = '{"anonymous_id":"visitor-0","product_id":"643078","consent":{"miso":true},'
        event += '"sku":"SKU-1","timestamp":\'$(date +%s000)\'}'
        vendor = settings.enabled_vendors()[0]
        pid = rig.supervisor.pids.get(vendor, "PID") if rig.supervisor else "PID"
        fault = f"{vendor}:503,times=3"
        tries = (
            ("these settings, for another terminal", f". {rig.env_file}"),
            ("the pipeline, live", f"{command} status --watch"),
            (
                "three requests fail; the next event waits, and arrives",
                f"curl -d '\"{fault}\"' {sandbox}/faults",
            ),
            ("one more event", f"echo '{event}' | {command} produce /dev/stdin"),
            ("kill a worker; it is restarted", f"kill -9 {pid}"),
            ("every event accounted for", f"{command} audit"),
        )
        self._print(Text("\nTry in another terminal:\n", style="bold"))
        for why, what in tries:
            self._print(Text(f"  # {why}", style="dim"))
            self._print(Text(f"  {what}"))
        self._print(Text())

    def stopping(self) -> None:
        """Say once that everything is being stopped."""
        self._live.close()
        if not self._is_stopping:
            self._is_stopping = True
            self._print(Text("Stopping workers, simulators and Kafka.", style="dim"))

    def line(self, stage: str, text: str) -> None:
        """Show a worker's line if it matters to a person."""
        said = read_line(text)
        if said.matters and not self._is_stopping:
            self._print(self._workers.shown(stage, said))

    def ended(self, ending: Ending) -> None:
        """Show that a worker ended by itself."""
        if not self._is_stopping:
            self._print(Text(f"  {ending_words(ending)}", style="yellow"))

    def _print(self, text: Text) -> None:
        # Commands are there to be copied: rich must not break their lines.
        self._console.print(text, soft_wrap=True)
