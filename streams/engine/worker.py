"""Runs one stage's app in this process until a signal or a fault ends it."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
from collections.abc import Coroutine
from time import monotonic
from typing import Any, NoReturn, Protocol, TypeVar

from streams.engine.app import StageApp
from streams.engine.failure import RESTART, leave
from streams.engine.heartbeat import Heartbeat

log = logging.getLogger("streams.engine")
T = TypeVar("T")

SETTLE_ON_STOP_SECONDS = 8.0
LAST_COMMIT_BY_SECONDS = 9.5
"""Seconds after the signal. Settling takes at most 9 s, with 1 s for the last receipts."""
GOODBYE_SECONDS = 0.3
"""A worker ends within ten seconds of the signal."""


class Background(Protocol):
    """Tasks beside the app."""

    async def publish(self) -> None:
        """Run for as long as the worker lives."""

    async def say_goodbye(self) -> None:
        """Remove this worker from the status topic, before the producer stops."""


def run_worker(app: StageApp, background: Background) -> NoReturn:
    """Run until a signal (exit code 0) or a fault (RESTART) ends the process."""
    _tune_garbage_collector()
    _use_uvloop()
    asyncio.run(_run(app, background))


def _use_uvloop() -> None:
    """Use uvloop for this process's event loop if it is installed."""
    with contextlib.suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


def _tune_garbage_collector() -> None:
    """Collect cycles rarely: with tens of thousands of open records each collection is long.

    Reference counting frees records and their bytes; only exceptions leave cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


async def _run(app: StageApp, background: Background) -> NoReturn:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    loop.set_exception_handler(_log_loop_error)
    app.in_worker = True
    starting = asyncio.ensure_future(app.start())
    stopping = asyncio.ensure_future(stop.wait())
    publishing = asyncio.ensure_future(background.publish())
    _beside(app.retention.run(), "looking at the retention")
    _beside(app.partition_watch.run(), "looking at the partitions")
    _beside(app.contact.run(), "looking whether Kafka answers")
    grown = _beside(app.watchdog.run(), "the watchdog")
    Heartbeat(app.options.stall_seconds / 2).start()
    crashed = asyncio.ensure_future(_wait_for_crash(app, starting))
    await asyncio.wait({stopping, crashed, grown}, return_when=asyncio.FIRST_COMPLETED)
    if not stop.is_set() and not grown.done():
        reason = app.crash_reason or (starting.done() and starting.exception())
        log.critical("the worker stopped by itself: %r", reason)
        _exit_now(RESTART)
    if not stop.is_set():
        log.critical(grown.result())
    publishing.cancel()
    await _stop(app, background)
    _exit_now(0 if stop.is_set() else RESTART)


async def _stop(app: StageApp, background: Background) -> None:
    """Settle requests that get a response in time, commit, and leave the rest.

    Faust's own stop would only take longer: a static member does not leave its group.
    """
    log.info("stopping: waiting up to %g s for requests in flight", SETTLE_ON_STOP_SECONDS)
    last_commit_by = monotonic() + LAST_COMMIT_BY_SECONDS
    consumer = app.started_consumer
    if consumer is not None:
        consumer.cancel_seek()
        consumer.stop_flow()
        app.flow_control.suspend()
        app.flow_control.clear()
        await app.stage.settle(SETTLE_ON_STOP_SECONDS)
        with contextlib.suppress(Exception):
            await asyncio.wait_for(consumer.commit_last(), last_commit_by - monotonic())
    with contextlib.suppress(Exception):
        await asyncio.wait_for(background.say_goodbye(), GOODBYE_SECONDS)


def _beside(work: Coroutine[Any, Any, T], name: str) -> "asyncio.Task[T]":
    """Start a task for the life of the process; its failure ends the process."""

    def ended(task: "asyncio.Task[T]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            leave(f"{name} failed: {error!r}", cause=error)

    task = asyncio.ensure_future(work)
    task.add_done_callback(ended)
    return task


async def _wait_for_crash(app: StageApp, starting: "asyncio.Future[Any]") -> None:
    with contextlib.suppress(Exception):
        await starting
        await app.wait_until_stopped()


def _exit_now(code: int) -> NoReturn:
    # Nothing that Faust's services could still do is wanted.
    logging.shutdown()
    os._exit(code)


def _log_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:  # noqa: ARG001
    error = context.get("exception")
    log.error("unhandled in the event loop: %s %r", context.get("message"), error)
