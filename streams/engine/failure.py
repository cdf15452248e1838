"""How a process ends when a guarantee can no longer be kept in it.

Only a fresh process hands unacknowledged records out again, so the engine never carries on after
a fault: it says what happened in one line and leaves at once. A supervisor starts it again.
"""

import logging
import os
import sys
from typing import NoReturn

log = logging.getLogger("streams.engine")
SERVICE_LOG = logging.getLogger("faust.service")
"""Where Faust's services say that they start and stop: of no interest but in a hang."""

RESTART = 70
"""Exit code: start me again."""
SET_UP = 1
"""Exit code: something outside must change, and may do so by itself."""
DO_NOT_RESTART = 2
"""Exit code: somebody must change something first."""


class FencedError(Exception):
    """Another worker has taken this one's place in the group."""


def leave(message: str, *, code: int = RESTART, cause: BaseException | None = None) -> NoReturn:
    """End the process now with one plain line; nothing is committed on the way out."""
    log.critical(message, exc_info=cause if log.isEnabledFor(logging.DEBUG) else None)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def leave_fenced() -> NoReturn:
    """End the process for good: another one has its name in the group."""
    leave(
        "another worker runs with the same stage, host and slot and has taken over; "
        "stop one of them or start it with another --slot",
        code=DO_NOT_RESTART,
    )


def leave_recreated(stage: str, tp: tuple[str, int], read: int, found: int) -> NoReturn:
    """End the process for good: a topic's offsets begin anew, so old ones mean nothing."""
    leave(
        f"{tp[0]} partition {tp[1]} has come to offset {found}, below offset {read} up to which "
        f"this group has read: the topic was recreated. Run `streams offsets reset --stage "
        f"{stage} --to earliest` and start again",
        code=DO_NOT_RESTART,
    )
