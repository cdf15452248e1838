"""Slots: which worker of a stage this is on its machine, held by a lock for the process's life.

A slot makes the worker's name in its group stable, so that a restarted one takes its partitions
up at once instead of waiting for the old one's session to end.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

from streams.core.errors import SetupError

MAX_SLOTS = 10


class Slot(NamedTuple):
    """A held slot; keep the object as long as the process runs."""

    number: int
    lock: IO[bytes]

    def release(self) -> None:
        """Give the slot up before the process ends."""
        self.lock.close()


def take_slot(state_dir: Path, stage: str, wanted: int | None) -> Slot:
    """Take the wanted slot of a stage on this machine, or the lowest free one.

    Raises SetupError where it is taken, where all are, or where the folder cannot be used.
    """
    numbers = range(MAX_SLOTS) if wanted is None else (wanted,)
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in numbers:
            if lock := _locked(state_dir / f"{stage}-{number}.lock"):
                return Slot(number, lock)
    except OSError as error:
        raise SetupError(
            f"The state folder {state_dir} cannot be used ({error.strerror}): "
            "set STREAMS_STATE_DIR to a folder that this user may write."
        ) from error
    if wanted is not None:
        raise SetupError(
            f"Another worker of stage {stage} holds slot {wanted} here: stop it, or leave "
            "--slot out to take the next free one."
        )
    raise SetupError(f"{MAX_SLOTS} workers of stage {stage} run here already: stop one first.")


def _locked(path: Path) -> IO[bytes] | None:
    """Return the file, locked for this process; None where another one has it."""
    lock = path.open("ab", buffering=0)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        if isinstance(error, BlockingIOError):
            return None
        raise
    # For people only: a full disk must not keep a worker from starting.
    with suppress(OSError):
        lock.truncate(0)
        lock.write(b"%d\n" % os.getpid())
    return lock
