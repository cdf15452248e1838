"""Runs the broker's JVM and ends it with the process that wanted it, however that one ends.

Started as a script of its own with the standard library alone, so that it is small and has one
thread. Its stdin tells whether the parent lives: the other end lies there, and the kernel closes it
even when the parent is killed. Arguments: a folder to delete when the parent is gone (``-``: none),
the file for the JVM's output, the JVM's command line. It prints the JVM's pid and takes the lines
``stop`` (SIGTERM) and ``kill`` (SIGKILL); it exits with the JVM.
"""

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable

POLL_SECONDS = 0.1
GRACE_SECONDS = 10
PR_SET_PDEATHSIG = 1


def _die_with_watcher() -> Callable[[], None] | None:
    """What the JVM does before it starts: on Linux, ask to be killed with the watcher.

    The kernel ties this to the thread that forked; the watcher has only one.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    watcher = os.getpid()

    def ask() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != watcher:
            os._exit(1)

    return ask


def _end(jvm: subprocess.Popen[bytes], folder: str) -> None:
    """End the JVM of a parent that is gone: at once if nobody will read its data again."""
    if folder == "-":
        jvm.terminate()
        try:
            jvm.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            jvm.kill()
    else:
        jvm.kill()
    jvm.wait()
    if folder != "-":
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """Run the JVM; return its exit status, or 0 if it was ended with its parent."""
    folder, output, *command = sys.argv[1:]
    parent = os.getppid()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with open(output, "ab") as console:  # noqa: PTH123 - pathlib is not worth its import here
        jvm = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            preexec_fn=_die_with_watcher(),  # noqa: PLW1509 - one thread only
        )
    try:
        os.write(1, b"%d\n" % jvm.pid)
        while True:
            ready, _, _ = select.select([0], [], [], POLL_SECONDS)
            orders = os.read(0, 4096).split() if ready else []
            # A child that the parent forked may hold stdin open: look at the parent, too.
            if (ready and not orders) or os.getppid() != parent:
                break
            if b"kill" in orders:
                jvm.kill()
            elif b"stop" in orders:
                jvm.terminate()
            status = jvm.poll()
            if status is not None:
                return abs(status)
    except BaseException:
        jvm.kill()
        raise
    _end(jvm, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
