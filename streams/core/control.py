"""The operator's will about one vendor: the value of a ``streams.control`` record (contract §1)."""

import msgspec


class Will(msgspec.Struct, frozen=True, omit_defaults=True):
    """What every worker of a vendor's stage obeys, whenever it starts."""

    paused: bool = False
    at: str = ""
    """When it was last changed: RFC 3339 UTC; empty where nobody has said anything yet."""
    resumed_at: str | None = None
    """When somebody last resumed the vendor; it ends a parking that no probe can end."""
    stopped_runs: tuple[str, ...] = ()
    """Run ids whose waiting redeliveries are passed over."""


_DECODER = msgspec.json.Decoder(Will)


def encode_will(will: Will) -> bytes:
    """Return the record value."""
    return msgspec.json.encode(will)


def decode_will(value: bytes | None) -> Will:
    """Read a record value back; no value means that nothing was said.

    Raises:
        ValueError: the value is no will (``msgspec.DecodeError`` is one).
    """
    return Will() if value is None else _DECODER.decode(value)
