"""Stopped runs of redeliveries: by an operator, or by a worker whose vendor refused them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from streams.core.errors import StreamsError

log = logging.getLogger("streams.sink")

WRITE_AGAIN_SECONDS = 10.0

WriteStop = Callable[[str], Awaitable[object]]
"""Writes to ``streams.control`` that a run is stopped; raises StreamsError if that fails."""


class RunStops:
    """A run that this worker stops counts here at once; other workers read it from the topic."""

    def __init__(self, vendor_name: str, write: WriteStop) -> None:
        self._vendor_name = vendor_name
        self._write = write
        self._mine: dict[str, None] = {}
        """Stopped here, not yet read from the topic."""
        self._writing: set[asyncio.Task[None]] = set()
        self.stopped: frozenset[str] = frozenset()

    def apply(self, stopped_runs: tuple[str, ...]) -> frozenset[str]:
        """Apply the stopped runs of all workers; return those that are newly stopped."""
        for run in stopped_runs:
            self._mine.pop(run, None)
        before, self.stopped = self.stopped, frozenset((*stopped_runs, *self._mine))
        return self.stopped - before

    def stop(self, run: str, why: str) -> bool:
        """Stop a run here at once, and soon for all workers; return False if it was stopped."""
        if run in self.stopped:
            return False
        log.error(
            "run %s is stopped: %s at %s. Live events are still delivered. See "
            "`streams dead-letters list`, fix the cause and start another run.",
            run,
            why,
            self._vendor_name,
        )
        self._mine[run] = None
        self.stopped |= {run}
        task = asyncio.ensure_future(self._write_stop(run))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        return True

    async def _write_stop(self, run: str) -> None:
        while run in self._mine:
            try:
                await self._write(run)
            except StreamsError as error:
                log.warning("the stop of run %s could not be written: %s", run, error)
                await asyncio.sleep(WRITE_AGAIN_SECONDS)
            else:
                return
