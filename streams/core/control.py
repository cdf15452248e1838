"""The operator's will about one vendor: the value of a ``streams.control`` record (contract §1)."""

from typing import Any, ClassVar

import msgspec


class VendorControl(msgspec.Struct, frozen=True, omit_defaults=True):
    """What every worker of a vendor's stage obeys, whenever it starts."""

    paused: bool = False
    at: str = ""
    """When it was last changed: RFC 3339 UTC; empty where nobody has said anything yet."""
    resumed_at: str | None = None
    """When somebody last resumed the vendor; it ends a parking that no probe can end."""
    stopped_runs: tuple[str, ...] = ()
    """Run ids whose waiting redeliveries are passed over."""

    is_unreadable: ClassVar[bool] = False
    """The vendor's newest record says something, and nobody can read what."""

    def changed(self, **changes: Any) -> "VendorControl":
        """Return this will with changes, as one that can be written and read."""
        return VendorControl(**(msgspec.structs.asdict(self) | changes))


class UnreadableControl(VendorControl, frozen=True):
    """What counts as said by a record that cannot be read: paused, and else what was said before.

    It may have been a pause, and the one before it may be compacted away, so that a worker that
    starts now could not know of it. Events that wait are not lost; those that are sent against the
    operator's will cannot be called back. And all workers must do the same, whenever they started.
    """

    is_unreadable: ClassVar[bool] = True

    @classmethod
    def after(cls, before: VendorControl) -> "UnreadableControl":
        """Return what counts behind this control."""
        return cls(True, "", before.resumed_at, before.stopped_runs)


_DECODER = msgspec.json.Decoder(VendorControl)


def encode_control(control: VendorControl) -> bytes:
    """Return the record value."""
    return msgspec.json.encode(control)


def decode_control(value: bytes | None) -> VendorControl:
    """Read a record value back; no value means that nothing was said.

    Raises:
        ValueError: the value is no will (``msgspec.DecodeError`` is one).
    """
    return VendorControl() if value is None else _DECODER.decode(value)
