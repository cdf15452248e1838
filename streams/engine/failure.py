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
