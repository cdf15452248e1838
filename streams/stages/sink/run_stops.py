"""Runs of redeliveries that are stopped: by an operator, or by a worker that saw them refused."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from streams.core.errors import StreamsError

log = logging.getLogger("streams.sink")

WRITE_AGAIN_SECONDS = 10.0

WriteStop = Callable[[str], Awaitable[object]]
"""Tells all workers to stop a run; raises StreamsError where it could not."""


class RunStops:
    """What this worker stopped itself counts at once; that all do, is written and read back."""

    def __init__(self, vendor_name: str, write: WriteStop) -> None:
        self._vendor_name = vendor_name
        self._write = write
        self._mine: dict[str, None] = {}
        """Stopped here, and not yet read back."""
        self._writing: set[asyncio.Task[None]] = set()
        self.stopped: frozenset[str] = frozenset()

    def apply(self, stopped_runs: tuple[str, ...]) -> frozenset[str]:
        """Take what is stopped for all workers; return which of these were not before."""
        for run in stopped_runs:
            self._mine.pop(run, None)
        before, self.stopped = self.stopped, frozenset((*stopped_runs, *self._mine))
        return self.stopped - before

    def stop(self, run: str, why: str) -> bool:
        """Stop a run here at once and for all workers soon; return False if it was stopped."""
        if run in self.stopped:
            return False
        log.error(
            "run %s is stopped: %s at %s; live events go on. Look at `streams dead-letters list`, "
            "put the cause right and start another run.",
            run,
            why,
            self._vendor_name,
        )
        self._mine[run] = None
        self.stopped |= {run}
        task = asyncio.ensure_future(self._tell_all(run))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        return True

    async def _tell_all(self, run: str) -> None:
        while run in self._mine:
            try:
                await self._write(run)
            except StreamsError as error:
                log.warning("that run %s is stopped could not be written: %s", run, error)
                await asyncio.sleep(WRITE_AGAIN_SECONDS)
            else:
                return
