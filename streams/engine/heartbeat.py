"""Notices that the event loop does not come round any more: nothing in the loop could.

A thread of its own counts in which of its seconds the loop has not moved. A pause of the whole
process (SIGSTOP, a sleeping machine) is one such second, however long it took.
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
"""What stands still may be what writes the log: then the process ends without a word."""


class Heartbeat:
    """Watches the loop that it was started in, from a thread."""

    def __init__(
        self,
        seconds: float,
        on_silence: Callable[[str], object] | None = None,
        tick_seconds: float = TICK_SECONDS,
    ) -> None:
        """After ``seconds`` without a round ``on_silence`` gets what to say; it runs in a thread.

        Without one the process ends.
        """
        self._seconds = seconds
        self._on_silence = on_silence or _leave
        self._tick_seconds = tick_seconds
        self._beats = 0
        self._ended = threading.Event()
        self._watched = threading.get_ident()

    def start(self) -> None:
        """Begin, in the thread of the running loop."""
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
                    f"the event loop has not come round for {silent:g} s; it stands in {where}; "
                    "starting again"
                )
                return


def _stack(frame: FrameType | None) -> str:
    """Return where a thread is, the innermost call first."""
    calls = reversed(traceback.extract_stack(frame)[-FRAMES:]) if frame else ()
    return " < ".join(f"{call.name} ({call.filename}:{call.lineno})" for call in calls)


def _leave(message: str) -> None:
    last_word = threading.Timer(SPEAK_SECONDS, os._exit, (RESTART,))
    last_word.daemon = True
    last_word.start()
    leave(message)
