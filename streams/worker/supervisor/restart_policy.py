"""When a worker that ended is started again; pure, so that an hour of crashes takes no time."""

from dataclasses import dataclass

SET_UP = 1
"""Exit code: what the worker needs is not there."""
DO_NOT_RESTART = 2
"""Exit code: settings, a fenced worker, a recreated topic; somebody must change something first."""


@dataclass(frozen=True, slots=True)
class Ending:
    """A worker that ended without being told to."""

    stage: str
    code: int
    """Its exit code; minus the signal's number where one ended it."""
    pause_seconds: float | None
    """How long until it is started again; None: it is not."""


@dataclass(slots=True)
class RestartPolicy:
    """One worker's history, as far as it decides about the next start."""

    first_pause_seconds: float = 1.0
    longest_pause_seconds: float = 60.0
    well_seconds: float = 60.0
    """Who ran this long ran well: the pauses begin anew."""
    _pause_seconds: float = 0.0
    _has_run: bool = False

    def after(self, code: int, ran_seconds: float) -> float | None:
        """Return the seconds to wait before the next start, or None: it is not started again.

        Each pause is twice the one before. Exit code 2 is final, and so is 1 as long as the worker
        has never run: the set-up is wrong. Later a broker may just be away.
        """
        ran_well = ran_seconds >= self.well_seconds
        self._has_run = self._has_run or ran_well or code not in (SET_UP, DO_NOT_RESTART)
        if code == DO_NOT_RESTART or not self._has_run:
            return None
        if ran_well or not self._pause_seconds:
            self._pause_seconds = self.first_pause_seconds
        else:
            self._pause_seconds = min(2 * self._pause_seconds, self.longest_pause_seconds)
        return self._pause_seconds
