"""Notices from a thread that the event loop is blocked.

The thread counts the seconds in which the loop has not run. A pause of the whole process (SIGSTOP,
a sleeping machine) counts as one second, however long it is.
"""

import asyncio
import os
import sys
import threading
import traceback
from collections.abc import Callable
from types import FrameType

from streams.engine.failure import RESTART, leave

TICK_SECONDS = 1.0
FRAMES = 8
SPEAK_SECONDS = 5.0
"""If writing the log is what blocks, the process ends without a log line."""


class Heartbeat:
    """Watches the event loop that it was started in, from a thread."""

    def __init__(
        self,
        seconds: float,
        on_silence: Callable[[str], object] | None = None,
        tick_seconds: float = TICK_SECONDS,
    ) -> None:
        """After ``seconds`` of a blocked loop call ``on_silence`` with a message, in the thread.

        None: end the process.
        """
        self._seconds = seconds
        self._on_silence = on_silence or _leave
        self._tick_seconds = tick_seconds
        self._beats = 0
        self._ended = threading.Event()
        self._watched = threading.get_ident()

    def start(self) -> None:
        """Start, in the thread of the running loop."""
        self._watched = threading.get_ident()
        self._beat(asyncio.get_running_loop())
        threading.Thread(target=self._watch, name="heartbeat", daemon=True).start()

    def stop(self) -> None:
        """End the watch."""
        self._ended.set()

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self._beats += 1
        if not self._ended.is_set():
            loop.call_later(self._tick_seconds / 2, self._beat, loop)

    def _watch(self) -> None:
        seen, silent = 0, 0.0
        while not self._ended.wait(self._tick_seconds):
            if self._beats != seen:
                seen, silent = self._beats, 0.0
                continue
            silent += self._tick_seconds
            if silent >= self._seconds:
                where = _stack(sys._current_frames().get(self._watched))
                self._on_silence(
                    f"the event loop has been blocked for {silent:g} s, in {where}; starting again"
                )
                return


def _stack(frame: FrameType | None) -> str:
    """Return the calls of a thread, the innermost first."""
    calls = reversed(traceback.extract_stack(frame)[-FRAMES:]) if frame else ()
    return " < ".join(f"{call.name} ({call.filename}:{call.lineno})" for call in calls)


def _leave(message: str) -> None:
    last_word = threading.Timer(SPEAK_SECONDS, os._exit, (RESTART,))
    last_word.daemon = True
    last_word.start()
    leave(message)
