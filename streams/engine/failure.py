"""How a process ends when it can no longer keep a guarantee.

Only a new process reads unsettled records again. After a fault the engine therefore logs one line
and ends the process at once. A supervisor starts it again.
"""

import logging
import os
import sys
from collections.abc import Iterable
from typing import NoReturn

log = logging.getLogger("streams.engine")
SERVICE_LOG = logging.getLogger("faust.service")
"""The log of Faust's services about starts and stops; useful only if something hangs."""

RESTART = 70
"""Exit code: start the worker again."""
DO_NOT_RESTART = 2
"""Exit code: an operator must act first."""


class FencedError(Exception):
    """Another worker has replaced this one in the group."""


def leave(message: str, *, code: int = RESTART, cause: BaseException | None = None) -> NoReturn:
    """Log one line and end the process now, without a commit."""
    log.critical(message, exc_info=cause if log.isEnabledFor(logging.DEBUG) else None)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def leave_fenced() -> NoReturn:
    """End the process with ``DO_NOT_RESTART``: another one has its name in the group."""
    leave(
        "another worker runs with the same stage, host and slot and has taken over; "
        "stop one of them or start it with another --slot",
        code=DO_NOT_RESTART,
    )


def leave_recreated(stage: str, tp: tuple[str, int], read: int, found: int) -> NoReturn:
    """End the process with ``DO_NOT_RESTART``: a topic was recreated, old offsets are invalid."""
    leave(
        f"{tp[0]} partition {tp[1]} is at offset {found}, but this group has already read up to "
        f"offset {read}: the topic was recreated. Run `streams offsets reset --stage "
        f"{stage} --to earliest` and start again",
        code=DO_NOT_RESTART,
    )


def leave_deleted(topics: Iterable[str]) -> NoReturn:
    """End the process with ``RESTART``: topics that it reads are gone, if only for a moment.

    What it knows of them is about the old ones, and committed on new ones it would hide records.
    """
    leave(
        f"{', '.join(sorted(topics))} was deleted, or deleted and created again; starting again to "
        "read it from its beginning"
    )
