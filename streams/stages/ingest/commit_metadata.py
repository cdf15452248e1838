"""What ``ingest`` commits beside an offset."""

import msgspec

from streams.core.json_decoder import json_decoder


class CommitMetadata(msgspec.Struct):
    """The metadata of one commit."""

    expired: dict[str, int] = {}
    """``*`` → records of this partition that expired below the commit."""

    def encode(self) -> str:
        """Return it as it is committed."""
        return msgspec.json.encode(self).decode()


_decode = json_decoder(CommitMetadata)


def decode_metadata(metadata: str) -> CommitMetadata:
    """Return a commit's metadata; raises ValueError if they are not those of ``ingest``."""
    return _decode(metadata or "{}")
