"""Operator commands for one vendor: the value of a ``streams.control`` record."""

from typing import Any, ClassVar

import msgspec

from streams.core.json_decoder import json_decoder


class VendorControl(msgspec.Struct, frozen=True, omit_defaults=True):
    """The commands that every worker of a vendor's stage applies, whenever it starts."""

    paused: bool = False
    at: str = ""
    """When it was last changed: RFC 3339 UTC; empty if it never was."""
    resumed_at: str | None = None
    """When the vendor was last resumed; a newer resume ends every parking."""
    stopped_runs: tuple[str, ...] = ()
    """Runs whose waiting redeliveries are dropped."""

    is_unreadable: ClassVar[bool] = False
    """Whether the vendor's newest record cannot be read."""

    def changed(self, **changes: Any) -> "VendorControl":
        """Return a readable copy with changes."""
        return VendorControl(**(msgspec.structs.asdict(self) | changes))


class UnreadableControl(VendorControl, frozen=True):
    """Stands for a record that cannot be read: paused, and otherwise unchanged.

    The record may have been a pause. Waiting events are not lost, but sent events cannot be called
    back. The record before it may be compacted away, and all workers must do the same, whenever
    they started.
    """

    is_unreadable: ClassVar[bool] = True

    @classmethod
    def after(cls, before: VendorControl) -> "UnreadableControl":
        """Return the commands that apply after these."""
        return cls(True, "", before.resumed_at, before.stopped_runs)


_decode = json_decoder(VendorControl)


def encode_control(control: VendorControl) -> bytes:
    """Return the record value."""
    return msgspec.json.encode(control)


def decode_control(value: bytes | None) -> VendorControl:
    """Return the commands of a record value; None: no commands.

    Raises ValueError (``msgspec.DecodeError`` is one) if the value is malformed.
    """
    return VendorControl() if value is None else _decode(value)
