"""Slots: which worker of a stage this is on its machine, held by a lock for the process's life.

A slot makes the worker's name in its group stable, so that a restarted one takes its partitions
up at once instead of waiting for the old one's session to end.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import IO

from streams.core.errors import SetupError

MAX_SLOTS = 10


class Slot:
    """A held slot; keep the object as long as the process runs."""

    def __init__(self, number: int, lock: IO[bytes]) -> None:
        self.number = number
        self._lock = lock

    def release(self) -> None:
        """Give the slot up before the process ends."""
        self._lock.close()


def take_slot(state_dir: Path, stage: str, wanted: int | None) -> Slot:
    """Take the wanted slot of a stage on this machine, or the lowest free one.

    Raises SetupError where it is taken, where all are, or where the folder cannot be used.
    """
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(state_dir, error) from error
    numbers = range(MAX_SLOTS) if wanted is None else (wanted,)
    for number in numbers:
        slot = _try(state_dir / f"{stage}-{number}.lock", number)
        if slot is not None:
            return slot
    if wanted is not None:
        raise SetupError(
            f"Another worker of stage {stage} holds slot {wanted} here: stop it, or leave "
            "--slot out to take the next free one."
        )
    raise SetupError(f"{MAX_SLOTS} workers of stage {stage} run here already: stop one first.")


def _try(path: Path, number: int) -> Slot | None:
    try:
        lock = path.open("ab", buffering=0)
    except OSError as error:
        raise _unusable(path.parent, error) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    except OSError as error:
        lock.close()
        raise _unusable(path.parent, error) from error
    # For people only: a full disk must not keep a worker from starting.
    with suppress(OSError):
        lock.truncate(0)
        lock.write(b"%d\n" % os.getpid())
    return Slot(number, lock)


def _unusable(folder: Path, error: OSError) -> SetupError:
    return SetupError(
        f"The state folder {folder} cannot be used ({error.strerror}): "
        "set STREAMS_STATE_DIR to a folder that this user may write."
    )
