"""What is looked for in the bytes of a batch. Pure."""

import re
from collections.abc import Iterable


class AnyOf:
    """Any of a few strings of bytes."""

    def __init__(self, byte_patterns: Iterable[bytes]) -> None:
        self._byte_patterns = tuple(byte_patterns)

    def is_in(self, buffer: bytes, start: int, end: int) -> bool:
        """Return whether one of them is there."""
        return any(
            buffer.find(byte_pattern, start, end) >= 0 for byte_pattern in self._byte_patterns
        )


class Places:
    """Any mention of one of many raw records, in a header, a receipt or a dead letter."""

    _MENTION = re.compile(rb'/(\d{1,9})/(\d{1,18})|"partition":(\d{1,9}),"offset":(\d{1,18})')

    def __init__(self, places: Iterable[tuple[int, int]]) -> None:
        """Take partitions and offsets."""
        self._places = {(b"%d" % partition, b"%d" % offset) for partition, offset in places}

    def is_in(self, buffer: bytes, start: int, end: int) -> bool:
        """Return whether one of them is mentioned."""
        for mention in self._MENTION.finditer(buffer, start, end):
            one, two, three, four = mention.groups()
            if ((one, two) if one is not None else (three, four)) in self._places:
                return True
        return False
