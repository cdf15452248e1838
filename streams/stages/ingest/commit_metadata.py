"""What ``ingest`` commits beside an offset."""

import msgspec

from streams.core.json_decoder import json_decoder
from streams.engine.thread import Committed


class CommitMetadata(msgspec.Struct):
    """The metadata of one commit."""

    expired: dict[str, int] = {}
    """``*`` → records of this partition that expired below the commit."""
    read: int | msgspec.UnsetType = msgspec.UNSET
    """Up to which offset there is nothing above the commit but markers of transactions."""

    def encode(self) -> str:
        """Return it as it is committed."""
        return msgspec.json.encode(self).decode()


_decode = json_decoder(CommitMetadata)


def decode_metadata(metadata: str) -> CommitMetadata:
    """Return a commit's metadata; raises ValueError if they are not those of ``ingest``."""
    return _decode(metadata or "{}")


def written_below(at: Committed) -> int:
    """Return the offset below which ``ingest`` has written all that comes of a partition."""
    try:
        read = decode_metadata(at.metadata).read or 0
    except ValueError:
        read = 0
    return max(at.offset or 0, at.log_start, read)
