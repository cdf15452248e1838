"""Where a stage begins to read."""

from typing import NamedTuple


class StartPosition(NamedTuple):
    """Where a partition is about to be read from."""

    offset: int
    committed: int
    """The group's commit, below ``offset`` where retention has deleted what comes next."""
    metadata: str
    """Of the group's last commit; empty where there was none."""
    log_end: int
    """The end of the log as it is now."""
    log_start: int = 0
    """The first offset that retention has left."""
