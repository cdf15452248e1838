"""A child that ends with its parent, however the parent ends.

The child's stdin is a pipe whose other end only the parent holds; the kernel closes that end even
when the parent is killed. Nothing is ever written to it.
"""

import os
import signal
import threading
from collections.abc import Callable


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def end_with_parent(fd: int = 0, end: Callable[[], None] = _die) -> threading.Thread:
    """Watch the life line from a thread of its own, and kill this process when it breaks.

    At once: nobody would collect what an orderly stop could still settle, and the next supervisor
    wants the slot. Nothing is lost by it, as by any crash.
    """

    def watch() -> None:
        while os.read(fd, 4096):
            pass
        end()

    thread = threading.Thread(target=watch, name="life-line", daemon=True)
    thread.start()
    return thread
