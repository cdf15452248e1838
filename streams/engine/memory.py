"""How much memory this process uses and may use."""

import resource
from pathlib import Path

OF_THE_CONTAINER = 0.9
"""The part of a container's limit at which a worker ends before it is killed."""
BESIDE_BYTES = 128 * 2**20
"""For the other processes in the container: the supervisor and health checks."""

_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_NO_LIMIT = 1 << 60
"""cgroup v1 writes a huge number for no limit."""


def memory_bytes() -> int:
    """Return the memory of this process in bytes; its peak if the system has only that."""
    # Asked for twice a second by an idle worker: a Path would cost it 2 % of its CPU.
    try:
        with open("/proc/self/statm", "rb") as statm:  # noqa: PTH123
            return int(statm.read().split()[1]) * resource.getpagesize()
    except FileNotFoundError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def container_limit(files: tuple[Path, ...] = _LIMITS) -> int | None:
    """Return how many bytes of its container's memory a worker may use; None: no limit."""
    for file in files:
        try:
            text = file.read_text().strip()
        except OSError:
            continue
        if text.isdecimal() and int(text) < _NO_LIMIT:
            limit = int(text)
            return max(limit // 2, min(int(limit * OF_THE_CONTAINER), limit - BESIDE_BYTES))
    return None
