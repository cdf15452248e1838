"""What a worker leaves behind for the one that is started in its place: a small file.

It tells a restart from a failure, and keeps the last ten minutes' outcomes, which somebody on call
wants to see above all after a crash.
"""

import logging
from pathlib import Path

import msgspec

from streams.core.snapshot import Outcomes, Restarts

log = logging.getLogger("streams.status")

REMEMBERED_MS = 3_600_000
SAVE_SECONDS = 10.0


class _HandoverFile(msgspec.Struct):
    started_at: int
    """In ms since the epoch."""
    has_ended: bool = False
    """In good order."""
    restarts: list[int] = []
    last_exit: str = ""
    saved_at: int = 0
    lately: dict[str, Outcomes] = {}


class Handover:
    """One slot's history; nothing of it decides about any event, so a lost file costs nothing."""

    def __init__(self, path: Path, now_ms: int, last_exit: str = "") -> None:
        """Take what the process before left, and note that this one starts.

        ``last_exit`` is how it ended, where whoever started this process has seen it.
        """
        self._path = path
        left = _read(path)
        # What a clock that was ahead called the time is no time that lies behind.
        restarts, last = [at for at in left.restarts if at <= now_ms], left.last_exit
        if not left.has_ended:
            restarts.append(now_ms)
            last = last_exit
        is_past = left.saved_at <= now_ms
        self.carried: dict[str, Outcomes] = left.lately if is_past else {}
        """Outcomes of the last ten minutes before this process, as of ``carried_at_ms``."""
        self.carried_at_ms = left.saved_at if is_past else 0
        self._now = _HandoverFile(
            now_ms,
            restarts=restarts,
            last_exit=last,
            saved_at=self.carried_at_ms,
            lately=self.carried,
        )
        self._write()

    def restarts(self, now_ms: int) -> Restarts:
        """Return the restarts of the last hour that followed a failure."""
        recent = [at for at in self._now.restarts if now_ms - REMEMBERED_MS < at <= now_ms]
        return Restarts(recent, self._now.last_exit if recent else "")

    def save(self, now_ms: int, lately: dict[str, Outcomes]) -> None:
        """Keep the outcomes of the last ten minutes, at most every ``SAVE_SECONDS``."""
        if not 0 <= now_ms - self._now.saved_at < SAVE_SECONDS * 1000:
            self._now.saved_at, self._now.lately = now_ms, lately
            self._now.restarts = self.restarts(now_ms).at
            self._write()

    def end(self) -> None:
        """Note that the process ends in good order."""
        self._now.has_ended = True
        self._write()

    def _write(self) -> None:
        beside = self._path.with_suffix(".new")
        try:
            beside.write_bytes(msgspec.json.encode(self._now))
            beside.replace(self._path)
        except OSError as error:
            log.debug("%s could not be written: %s", self._path, error)


def _read(path: Path) -> _HandoverFile:
    """Return what is there; the file of a process that ended well where nothing can be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=_HandoverFile)
    except (OSError, msgspec.DecodeError):
        return _HandoverFile(0, has_ended=True)


def exit_words(code: int) -> str:
    """Return an exit code in words; a negative one is a signal's."""
    return f"signal {-code}" if code < 0 else f"exit code {code}"
