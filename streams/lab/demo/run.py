"""The demo from its first step to its last: broker, topics, simulators, workers, events, books."""

import asyncio
import signal
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from streams.core.errors import SetupError
from streams.core.topics import Topics
from streams.lab.demo.books import Closing
from streams.lab.demo.feed import Feed, file_feed, sample_feed
from streams.lab.demo.progress import DemoProgress
from streams.lab.demo.rig import SOURCES, Rig, source_environment
from streams.lab.embedded import DEFAULT_VERSION, DownloadProgress, EmbeddedKafka
from streams.lab.embedded.ports import free_port, is_free
from streams.settings import WebSettings
from streams.vendors import VENDORS
from streams.worker.supervisor.supervisor import Console

_PORT_TRIES = 50
_WEB_PORTS = 1 + max(3, len(VENDORS))
"""Enrichment's and one for each vendor, built or not."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the demo was asked for."""

    once: bool
    """End after the books are closed."""
    events: Path | None
    """JSON lines in place of the sample's events."""
    port: int | None
    """The first of the web views' ports; None: the usual ones or, if these are taken, others."""


class View(Console, Protocol):
    """What the person at the terminal sees."""

    def began(self, step: str) -> None:
        """Show that a step has begun."""

    def detail(self, words: str) -> None:
        """Show how far the step is."""

    def done(self, step: str) -> None:
        """Show that the step is done, in words that say what now is."""

    def playing(self, feed: Feed) -> None:
        """Show that the events are about to be written."""

    def progress(self, progress: DemoProgress) -> None:
        """Show how far the events are."""

    def played(self) -> None:
        """Show that no event is under way any more."""

    def closed(self, closing: Closing) -> None:
        """Show the result."""

    def staying(self, rig: Rig) -> None:
        """Show what is up now and what to try with it."""

    def stopping(self) -> None:
        """Show that everything is being stopped."""


def run_demo(options: Options, view: View, environ: Mapping[str, str]) -> int:
    """Run the demo; return 0 if the books balance, else 1.

    Without ``once`` it stays up until SIGINT or SIGTERM. Whatever ends it, nothing it started
    is left behind.

    Raises:
        SettingsError: the events cannot be read.
        SetupError: something it needs cannot be had, or a worker failed.
        KeyboardInterrupt: it was ended before the books were closed.
    """
    if options.port is not None:
        _require_web_port(options.port)
    topics = Topics(sources=SOURCES)
    feed = sample_feed(topics) if options.events is None else file_feed(options.events, topics)
    view.began(f"Starting Apache Kafka {DEFAULT_VERSION}")
    kafka = EmbeddedKafka(on_progress=lambda download: view.detail(_words(download)))
    # Until the event loop takes the signals: SIGTERM ends it as Ctrl-C does, in order.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with kafka:
        view.done(f"Apache Kafka {kafka.version} on {kafka.bootstrap_servers}")
        assert kafka.data_dir is not None
        # Inside the broker's own folder, which is deleted even when this process is killed.
        folder = kafka.data_dir / "streams"
        folder.mkdir(mode=0o700)
        web_port = options.port or usual_web_port()
        try:
            return asyncio.run(
                _run_beside(kafka.bootstrap_servers, folder, web_port, feed, options, view, environ)
            )
        finally:
            view.stopping()


async def _run_beside(
    bootstrap_servers: str,
    folder: Path,
    web_port: int,
    feed: Feed,
    options: Options,
    view: View,
    environ: Mapping[str, str],
) -> int:
    """Run the demo on a broker until it is done, a signal comes, or a worker fails."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    source = {} if options.events is None else source_environment(environ)
    rig = Rig(bootstrap_servers, folder, web_port, view, environ, source=source)
    result = Result()
    playing = asyncio.create_task(_play(rig, feed, options, view, result))
    stopping = asyncio.create_task(stop.wait())
    ends: set[asyncio.Future[Any]] = {playing, stopping, rig.failed}
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if playing.done():
        return playing.result()
    view.stopping()
    playing.cancel()
    await asyncio.wait({playing})
    if rig.failed.done():
        raise rig.failed.result()
    if result.closing is None:
        raise KeyboardInterrupt
    return result.closing.exit_code


@dataclass(slots=True)
class Result:
    """What the demo has come to so far."""

    closing: Closing | None = None


async def _play(rig: Rig, feed: Feed, options: Options, view: View, result: Result) -> int:
    view.began("Creating the topics")
    async with rig:
        settings = rig.settings
        vendors = [VENDORS[key].name for key in settings.enabled_vendors()]
        view.done(f"Simulator for {', '.join(vendors)} on {rig.sandbox.url}")
        view.began("Writing users and products")
        await rig.write_rows(feed)
        view.done(f"Topics created, {feed.row_count:,} users and products written")
        view.began("Starting the workers")
        await rig.start_workers()
        view.done(f"Workers ready: {', '.join(settings.stages())}")
        view.playing(feed)
        written = await rig.play(feed, view.progress)
        view.played()
        view.began("Auditing the topics and the ledgers")
        closing = await rig.close_books(written)
        result.closing = replace(closing, may_hold_invalid=options.events is None)
        view.closed(result.closing)
        if not options.once:
            view.staying(rig)
            await asyncio.Event().wait()
        view.stopping()
    return result.closing.exit_code


def usual_web_port() -> int:
    """Return the first web port of the settings' defaults, or of free ones where it is taken."""
    usual = WebSettings().port
    return free_web_port() if _taken(usual) else usual


def free_web_port() -> int:
    """Return a first web port with the other stages' ports free; raises SetupError if none is."""
    for _ in range(_PORT_TRIES):
        first = free_port()
        if not _taken(first):
            return first
    raise SetupError("There are no free ports for the workers' web views: give one with --port.")


def _require_web_port(first: int) -> None:
    if taken := _taken(first):
        raise SetupError(
            f"Port {taken[0]} on 127.0.0.1 is in use: stop what listens there, or give --port "
            f"another one; it and the next {_WEB_PORTS - 1} must be free."
        )


def _taken(first: int) -> list[int]:
    return [port for port in range(first, first + _WEB_PORTS) if not is_free(port)]


def _words(download: DownloadProgress) -> str:
    count = f" {download.done} of {download.total}" if download.total else ""
    # The step of the demo names Kafka already.
    return download.step.removeprefix(f"Apache Kafka {DEFAULT_VERSION}: ") + count
