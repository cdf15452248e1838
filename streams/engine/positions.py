"""Where a stage begins to read."""

from typing import NamedTuple


class StartPosition(NamedTuple):
    """Where a partition is about to be read from."""

    offset: int
    metadata: str
    """Of the group's last commit; empty where there was none."""
    log_end: int
    """The end of the log as it is now."""
