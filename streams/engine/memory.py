"""How much memory this process uses, and how much it may."""

import resource
from pathlib import Path

OF_THE_CONTAINER = 0.9
"""The part of a container's limit beyond which a worker goes by itself, before it is killed."""
BESIDE_BYTES = 128 * 2**20
"""What else lives in the container: what watches the worker, and what asks for its health."""

_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_NO_LIMIT = 1 << 60
"""The older of the two files says so with a huge number."""


def memory_bytes() -> int:
    """Return the memory this process has in use; its peak where the system tells only that."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def container_limit(files: tuple[Path, ...] = _LIMITS) -> int | None:
    """Return what a worker may use of its container's memory, in bytes; None: no limit is set."""
    for file in files:
        try:
            text = file.read_text().strip()
        except OSError:
            continue
        if text.isdecimal() and int(text) < _NO_LIMIT:
            limit = int(text)
            return max(limit // 2, min(int(limit * OF_THE_CONTAINER), limit - BESIDE_BYTES))
    return None
