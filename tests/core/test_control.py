"""Operator commands on their topic."""

import pytest

from streams.core.control import UnreadableControl, VendorControl, decode_control, encode_control


def test_a_will_survives_its_way_through_the_topic() -> None:
    """Whatever was said is read back."""
    control = VendorControl(
        paused=True,
        at="2026-11-21T10:00:00.000Z",
        resumed_at="2026-11-20T09:00:00.000Z",
        stopped_runs=("r-20261121-101500-ab12",),
    )
    assert encode_control(control) == (
        b'{"paused":true,"at":"2026-11-21T10:00:00.000Z",'
        b'"resumed_at":"2026-11-20T09:00:00.000Z","stopped_runs":["r-20261121-101500-ab12"]}'
    )
    assert decode_control(encode_control(control)) == control


def test_where_nobody_has_said_anything_the_vendor_runs() -> None:
    """A tombstone, an empty object, and fields of a newer version."""
    assert decode_control(None) == VendorControl()
    assert decode_control(b"{}") == VendorControl()
    assert decode_control(b'{"paused":false,"later":1}') == VendorControl()


@pytest.mark.parametrize("value", [b"", b"[]", b'{"paused":"yes"}', b"\xff"])
def test_what_is_no_will_is_refused(value: bytes) -> None:
    """The reader decides what to do then; nothing is guessed."""
    with pytest.raises(ValueError, match=r".+"):
        decode_control(value)


def test_a_record_that_cannot_be_read_counts_as_a_pause_and_changes_nothing_else() -> None:
    """What a worker that starts now would not know otherwise; it is never written as such."""
    before = VendorControl(
        at="2026-11-21T10:00:00.000Z", resumed_at="hour 1", stopped_runs=("r-1",)
    )
    control = UnreadableControl.after(before)
    assert (control.paused, control.resumed_at, control.stopped_runs) == (True, "hour 1", ("r-1",))
    assert control.is_unreadable
    assert control != VendorControl(paused=True, resumed_at="hour 1", stopped_runs=("r-1",))
    resumed = control.changed(paused=False, at="hour 2")
    assert resumed == VendorControl(at="hour 2", resumed_at="hour 1", stopped_runs=("r-1",))
    assert not resumed.is_unreadable
