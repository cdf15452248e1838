"""Where a stage starts to read."""

from typing import NamedTuple


class StartPosition(NamedTuple):
    """Where a partition is about to be read from."""

    offset: int
    committed: int
    """The group's commit; below ``offset`` if the next records were deleted."""
    metadata: str
    """Of the group's last commit; empty if there was none."""
    log_end: int
    """The end of the log now."""
    log_start: int = 0
    """The first offset that still exists."""
