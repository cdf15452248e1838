"""Everything that the demo runs beside the broker: topics, simulators and workers."""

import asyncio
import json
import secrets
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import aiohttp

from streams.core.errors import SetupError
from streams.core.kinds import ALWAYS_ON
from streams.kafka.topics import create_topics
from streams.lab.demo.books import Closing, close_books
from streams.lab.demo.feed import Feed
from streams.lab.demo.progress import OnProgress, follow, gauge
from streams.lab.demo.writing import STALL_SECONDS, audit_at_rest, write
from streams.lab.sandbox import Sandbox
from streams.settings import Settings, load_settings, variable
from streams.worker.supervisor.console import ending_words, read_line
from streams.worker.supervisor.restart_policy import Ending
from streams.worker.supervisor.supervisor import Console, Supervisor, worker_command

OPTIONAL_SOURCES = ("orders",)
"""Those that the demo switches on."""
SOURCES = (*ALWAYS_ON, *OPTIONAL_SOURCES)
READY_SECONDS = 60.0

_KEPT_WORDS = 5


class WorkerFailedError(SetupError):
    """A worker of the demo ended when it should not; the message holds its own words."""


class Rig:
    """A running pipeline on a broker that is there; an async context manager."""

    def __init__(
        self,
        bootstrap_servers: str,
        folder: Path,
        web_port: int,
        console: Console,
        environ: Mapping[str, str],
        topic_prefix: str = "",
        source: Mapping[str, str] | None = None,
    ) -> None:
        """Describe a pipeline; nothing happens before the block is entered.

        Args:
            bootstrap_servers: of the broker.
            folder: for state and settings; it must exist.
            web_port: the first port of the workers' web views.
            console: where the workers' lines and endings go.
            environ: of the caller; none of its settings are used.
            topic_prefix: of all topics.
            source: variables that say how records become events.
        """
        self.sandbox = Sandbox()
        self.folder = folder
        self.environment: dict[str, str] = {
            "STREAMS_CONFIG": str(folder / "streams.toml"),
            "STREAMS_KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
            "STREAMS_STATE_DIR": str(folder / "state"),
            "STREAMS_WEB_PORT": str(web_port),
            **{variable(f"source.{name}", "enabled"): "true" for name in OPTIONAL_SOURCES},
            "STREAMS_WEB_TOKEN": secrets.token_urlsafe(9),
        }
        """The settings of this pipeline, as variables."""
        self.environment |= source or {}
        if topic_prefix:
            self.environment["STREAMS_KAFKA_TOPIC_PREFIX"] = topic_prefix
        self._around = {n: v for n, v in environ.items() if not n.startswith("STREAMS_")}
        self._console = console
        self._words: dict[str, list[str]] = {}
        self._stop = asyncio.Event()
        self._is_up = False
        self._supervising: asyncio.Task[int] | None = None
        self.supervisor: Supervisor | None = None
        self.failed: asyncio.Future[WorkerFailedError] = asyncio.get_running_loop().create_future()
        """Done once a worker ends that is not started again, or ends before all were ready."""

    @property
    def settings(self) -> Settings:
        """The settings of this pipeline, loaded when the block was entered."""
        return self._settings

    @property
    def env_file(self) -> Path:
        """A file for a shell's ``.``: it gives other commands this pipeline's settings."""
        return self.folder / "env"

    async def __aenter__(self) -> Self:
        await self.sandbox.start()
        try:
            lines = self.sandbox.example_environment()
            self.environment |= dict(line.split("=", 1) for line in lines)
            # An empty file of our own: a streams.toml where the demo was started is not meant.
            (self.folder / "streams.toml").write_text("", encoding="utf-8")
            pairs = self.environment.items()
            exports = [f"export {name}={shlex.quote(value)}\n" for name, value in pairs]
            self.env_file.write_text("".join(exports), encoding="utf-8")
            self._settings = load_settings(self.environment)
            await create_topics(self._settings)
        except BaseException:
            await self.sandbox.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop_workers()
        await self.sandbox.stop()

    async def write_rows(self, feed: Feed) -> None:
        """Write users and products; before the workers start, so that they read all of them."""
        await write(self._settings, feed, events=False)

    async def start_workers(self) -> None:
        """Start one worker a stage and return when all are ready.

        Raises SetupError with their reasons where they are not within READY_SECONDS; a worker
        that ends is told by ``failed``.
        """
        stages = self._settings.stages()
        self.supervisor = Supervisor(
            stages, worker_command, self, environ=self._around | self.environment
        )
        self._supervising = asyncio.create_task(self.supervisor.run(self._stop))
        waiting = dict.fromkeys(stages, "it has not answered yet")
        try:
            headers = {"Authorization": f"Bearer {self.web_token}"}
            async with (
                asyncio.timeout(READY_SECONDS),
                aiohttp.ClientSession(headers=headers) as session,
            ):
                while waiting:
                    for stage in list(waiting):
                        pid = self.supervisor.pids.get(stage)
                        reason = await _not_ready(session, self.web_url(stage), pid)
                        if reason is None:
                            del waiting[stage]
                        else:
                            waiting[stage] = reason
                    await asyncio.sleep(0.1)
        except TimeoutError:
            lines = [f"Not every worker is ready after {READY_SECONDS:.0f} s."]
            for stage, reason in waiting.items():
                lines += [f"{stage}: {reason}", *self._words.get(stage, ())]
            raise SetupError("\n".join(lines)) from None
        self._is_up = True

    async def stop_workers(self) -> None:
        """Let the workers settle and end; returns when they are gone."""
        self._stop.set()
        if self._supervising is not None:
            await self._supervising

    @property
    def web_token(self) -> str:
        """The token with which everything on the dashboard can be tried."""
        return self.environment["STREAMS_WEB_TOKEN"]

    def web_url(self, stage: str) -> str:
        """Return the address of a stage's web view."""
        return f"http://{self._settings.web.host}:{self._settings.web_port(stage)}"

    async def play(self, feed: Feed, tell: OnProgress, stall_seconds: float = STALL_SECONDS) -> int:
        """Write the events and wait until each has its last word; return how many were written.

        Returns also where nothing has moved for so long: the books then say what waits.
        """
        written = 0

        def count(total: int) -> None:
            nonlocal written
            written = total

        async with gauge(self._settings) as read:
            writing = asyncio.create_task(
                write(self._settings, feed, events=True, on_written=count)
            )
            try:
                await follow(read, writing, lambda: written, tell, stall_seconds)
            finally:
                writing.cancel()
                await asyncio.wait({writing})
        return written

    async def close_books(self, written: int, stall_seconds: float = STALL_SECONDS) -> Closing:
        """Wait until nothing waits any more, as the audit sees it, and close the books.

        What still waits after ``stall_seconds`` without a change stands in the books.
        """
        report = await audit_at_rest(self._settings, stall_seconds, keep_ids=True)
        return await close_books(self._settings, self.sandbox.url, report, written)

    def line(self, stage: str, text: str) -> None:
        """Take a worker's line: keep its last words, and pass it on once all are ready.

        What is said before, such as that a fresh broker has no coordinator yet, matters only
        where a worker fails; then it is told with the failure.
        """
        said = read_line(text)
        if said.level in (None, "error", "critical") and said.words.strip():
            self._words[stage] = [*self._words.get(stage, []), said.words][-_KEPT_WORDS:]
        if self._is_up:
            self._console.line(stage, text)

    def ended(self, ending: Ending) -> None:
        """Take the news that a worker has ended: before all were ready, that is a failure."""
        if self._is_up and ending.pause_seconds is not None:
            self._console.ended(ending)
        elif not self.failed.done():
            words: Sequence[str] = self._words.get(ending.stage, ["It said nothing."])
            final = Ending(ending.stage, ending.code, None)
            error = "\n".join([f"Worker {ending_words(final)}:", *words])
            self.failed.set_result(WorkerFailedError(error))


def source_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return, as variables, how the caller's settings make events of its records.

    Raises SettingsError where these settings cannot be read.
    """
    found = {}
    for name_of_source, source in load_settings(environ).sources.items():
        section = f"source.{name_of_source}"
        values = source.model_dump(exclude_none=True, exclude_defaults=True)
        for name, value in values.items():
            text = value if isinstance(value, str) else json.dumps(value)
            found[variable(section, name)] = text
    return found


async def _not_ready(session: aiohttp.ClientSession, url: str, pid: int | None) -> str | None:
    """Return why the worker with this process id is not ready, or None: it is."""
    try:
        async with session.get(f"{url}/api/status") as answer:
            if answer.status != 200:
                return f"{url}/api/status answers {answer.status}"
            status = await answer.json()
    except aiohttp.ClientError:
        return "its web view does not answer yet"
    if status.get("pid") != pid:
        return f"another program answers at {url}"
    return None if status["ready"] else " ".join(status["not_ready"])
