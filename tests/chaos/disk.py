"""A small disk for the broker's data that can be full: a file system in memory of its own size."""

import os
import subprocess
from pathlib import Path

ROOMY = 4 << 30
LEFT_OVER = 256 << 10
"""Bytes that are still free on a full disk: less than the broker writes in a few seconds."""
PAGE = 4096


class Disk:
    """A mounted tmpfs; only root may mount one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @staticmethod
    def may_be_had() -> bool:
        """Whether this process may mount."""
        return os.geteuid() == 0

    def mount(self) -> None:
        """Make it, with all the room that a run needs; memory is taken only for what is written."""
        self.path.mkdir()
        _run("mount", "-t", "tmpfs", "-o", f"size={ROOMY}", "tmpfs", str(self.path))

    def fill(self) -> None:
        """Leave next to no room."""
        # What the broker writes meanwhile may need more than was asked for: then once more.
        for _ in range(9):
            if self._resize(self._used() + LEFT_OVER):
                return
        self._resize(self._used() + LEFT_OVER, must=True)

    def free(self) -> None:
        """Give all the room back."""
        self._resize(ROOMY, must=True)

    def unmount(self) -> None:
        """Take it away, with all that is on it."""
        _run("umount", "-l", str(self.path))

    def _used(self) -> int:
        room = os.statvfs(self.path)
        return (room.f_blocks - room.f_bfree) * room.f_frsize

    def _resize(self, size: int, *, must: bool = False) -> bool:
        pages = -(-size // PAGE) * PAGE
        return _run("mount", "-o", f"remount,size={pages}", str(self.path), must=must)


def _run(*command: str, must: bool = True) -> bool:
    return subprocess.run(command, check=must, capture_output=True).returncode == 0
