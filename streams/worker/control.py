"""Operator commands on the broker: pause, resume, stop a run (``streams.control``).

A record replaces the one before it, so a change is read, made, written, and read back: a command
that another operator wrote in between is not lost, and a later one wins.
"""

import logging
from collections.abc import Callable
from typing import NamedTuple

from aiokafka import AIOKafkaProducer

from streams.core.control import UnreadableControl, VendorControl, decode_control, encode_control
from streams.core.errors import SettingsError, SetupError
from streams.engine import wall_clock
from streams.kafka.reader import Following, LogReader, connect
from streams.kafka.writer import connect_writer, writing_failed
from streams.settings import Settings
from streams.vendors import VENDORS

log = logging.getLogger("streams.control")

STOPPED_RUNS_KEPT = 200
"""The newest of a vendor: what an older run left behind has long been passed over."""
_TRIES = 5

Change = Callable[[VendorControl], VendorControl]
"""Returns the changed control; the same one if nothing changes."""


async def read_controls(reader: LogReader, settings: Settings) -> dict[str, VendorControl]:
    """Return each vendor's current control; raises SetupError if it cannot be read."""
    found = await _ControlLog.of(reader, settings.topics.control)
    return dict(found.controls)


async def stopped_runs(settings: Settings) -> frozenset[tuple[str, str]]:
    """Return vendor and run id of stopped runs; raises SetupError if they cannot be read."""
    async with connect(settings.kafka) as reader:
        controls = await read_controls(reader, settings)
    return frozenset(
        (vendor, run) for vendor, control in controls.items() for run in control.stopped_runs
    )


async def set_paused(settings: Settings, vendor: str, paused: bool) -> VendorControl:
    """Pause a vendor for all its workers, or resume it, and return the control in force.

    Pausing a paused vendor changes nothing. A resume is recorded each time, since it also ends a
    parking that no probe can end. The returned control differs from the requested one only if
    another operator changed it later.

    Raises:
        SettingsError: there is no such vendor.
        SetupError: the broker does not answer, or the topic is missing.
    """
    return await _change(settings, vendor, _paused_at if paused else _resumed_at)


async def stop_run(settings: Settings, vendor: str, run_id: str) -> VendorControl:
    """Have a run's waiting redeliveries skipped, and return the control in force.

    Raises as ``set_paused`` does.
    """

    def stopped(control: VendorControl) -> VendorControl:
        if run_id in control.stopped_runs:
            return control
        runs = (*control.stopped_runs, run_id)[-STOPPED_RUNS_KEPT:]
        # "at" stays: it says since when the vendor is paused.
        return control.changed(stopped_runs=runs, at=control.at or wall_clock.now_text())

    return await _change(settings, vendor, stopped)


async def write_control(
    producer: AIOKafkaProducer, topic: str, vendor: str, control: VendorControl
) -> int:
    """Write a control and return its offset, once all replicas have it; raises KafkaError."""
    written = await producer.send_and_wait(topic, encode_control(control), vendor.encode())
    return int(written.offset)


def _paused_at(control: VendorControl) -> VendorControl:
    if control.paused and not control.is_unreadable:
        return control
    return control.changed(paused=True, at=wall_clock.now_text())


def _resumed_at(control: VendorControl) -> VendorControl:
    now = wall_clock.now_text()
    return control.changed(paused=False, at=now, resumed_at=now)


async def _change(settings: Settings, vendor: str, change: Change) -> VendorControl:
    if vendor not in VENDORS:
        raise SettingsError([f"There is no vendor {vendor}; name one of {', '.join(VENDORS)}."])
    topic = settings.topics.control
    async with (
        connect(settings.kafka) as reader,
        connect_writer(settings.kafka, "streams-control", writing_failed(topic)) as producer,
    ):
        found = await _ControlLog.of(reader, topic)
        current = found.controls.get(vendor, VendorControl())
        for _ in range(_TRIES):
            wanted = change(current)
            if wanted == current:
                return current
            offset = await write_control(producer, topic, vendor, wanted)
            news = [new for new in await found.read_on() if new.vendor == vendor]
            if later := [new for new in news if new.offset > offset]:
                return later[-1].control
            missed = [new for new in news if new.offset < offset]
            if not missed:
                return wanted
            current = missed[-1].control
    raise SetupError(
        f"Other operators keep changing the control of {vendor} ({topic}): agree with them, then "
        "try again."
    )


class _NewControl(NamedTuple):
    offset: int
    vendor: str
    control: VendorControl


class _ControlLog:
    """The topic's controls, read on from where the last reading ended."""

    def __init__(self, reader: LogReader, following: Following, topic: str) -> None:
        self.controls: dict[str, VendorControl] = {}
        self._reader = reader
        self._following = following
        self._topic = topic

    @classmethod
    async def of(cls, reader: LogReader, topic: str) -> "_ControlLog":
        tps = await reader.own(topic)
        found = cls(reader, Following(await reader.starts(tps[:1])), topic)
        await found.read_on()
        return found

    async def read_on(self) -> list[_NewControl]:
        """Read to the end and return what is new, in order."""
        news = []
        async for records in self._following.news(self._reader):
            for record in records:
                vendor = (record.key or b"").decode("utf-8", "replace")
                try:
                    control = decode_control(record.value)
                except ValueError as error:
                    log.warning(
                        "%s offset %d cannot be read, so %s counts as paused: %s",
                        self._topic,
                        record.offset,
                        vendor,
                        error,
                    )
                    control = UnreadableControl.after(self.controls.get(vendor, VendorControl()))
                self.controls[vendor] = control
                news.append(_NewControl(record.offset, vendor, control))
        return news
