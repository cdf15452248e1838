"""The operator's will on the broker: pause, resume, stop a run (``streams.control``).

A record replaces the one before it, so a change is read, made, written, and looked at again: a will
that somebody else wrote in between is not lost, and one that came later wins.
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
"""Returns what is to be true instead; the same will where nothing is to be changed."""


async def read_wills(settings: Settings) -> dict[str, VendorControl]:
    """Return by vendor what was last said; raises SetupError where it cannot be read."""
    async with connect(settings.kafka) as reader:
        said = await _Said.of(reader, settings.topics.control)
        return dict(said.wills)


async def stopped_runs(settings: Settings) -> frozenset[tuple[str, str]]:
    """Return vendor and run id of what is stopped; raises SetupError where it cannot be read."""
    wills = await read_wills(settings)
    return frozenset((vendor, run) for vendor, will in wills.items() for run in will.stopped_runs)


async def set_paused(settings: Settings, vendor: str, paused: bool) -> VendorControl:
    """Pause a vendor for all its workers, or resume it, and return the will that is in force.

    Pausing what is paused changes nothing; a resume is noted each time, since it also ends a
    parking that no probe can end. The returned will is another than the one asked for only if
    somebody else said so later.

    Raises:
        SettingsError: there is no such vendor.
        SetupError: the broker does not answer, or the topic is missing.
    """
    return await _change(settings, vendor, _paused_at if paused else _resumed_at)


async def stop_run(settings: Settings, vendor: str, run_id: str) -> VendorControl:
    """Have a run's waiting redeliveries passed over, and return the will that is in force.

    Raises as ``set_paused`` does.
    """

    def stopped(will: VendorControl) -> VendorControl:
        if run_id in will.stopped_runs:
            return will
        runs = (*will.stopped_runs, run_id)[-STOPPED_RUNS_KEPT:]
        # "at" stays: it says since when the vendor is paused.
        return will.changed(stopped_runs=runs, at=will.at or wall_clock.now_text())

    return await _change(settings, vendor, stopped)


async def publish_will(
    producer: AIOKafkaProducer, topic: str, vendor: str, will: VendorControl
) -> int:
    """Write a will and return its offset, once all replicas have it; raises KafkaError."""
    written = await producer.send_and_wait(topic, encode_control(will), vendor.encode())
    return int(written.offset)


def _paused_at(will: VendorControl) -> VendorControl:
    if will.paused and not will.is_unreadable:
        return will
    return will.changed(paused=True, at=wall_clock.now_text())


def _resumed_at(will: VendorControl) -> VendorControl:
    now = wall_clock.now_text()
    return will.changed(paused=False, at=now, resumed_at=now)


async def _change(settings: Settings, vendor: str, change: Change) -> VendorControl:
    if vendor not in VENDORS:
        raise SettingsError([f"There is no vendor {vendor}; name one of {', '.join(VENDORS)}."])
    topic = settings.topics.control
    async with (
        connect(settings.kafka) as reader,
        connect_writer(settings.kafka, "streams-control", writing_failed(topic)) as producer,
    ):
        said = await _Said.of(reader, topic)
        current = said.wills.get(vendor, VendorControl())
        for _ in range(_TRIES):
            wanted = change(current)
            if wanted == current:
                return current
            offset = await publish_will(producer, topic, vendor, wanted)
            news = [new for new in await said.read_on() if new.vendor == vendor]
            if later := [new for new in news if new.offset > offset]:
                return later[-1].will
            missed = [new for new in news if new.offset < offset]
            if not missed:
                return wanted
            current = missed[-1].will
    raise SetupError(
        f"Others go on changing what {vendor} is to do ({topic}): agree with them, then try again."
    )


class _New(NamedTuple):
    offset: int
    vendor: str
    will: VendorControl


class _Said:
    """What the topic says, read on from where the last reading ended."""

    def __init__(self, reader: LogReader, following: Following, topic: str) -> None:
        self.wills: dict[str, VendorControl] = {}
        self._reader = reader
        self._following = following
        self._topic = topic

    @classmethod
    async def of(cls, reader: LogReader, topic: str) -> "_Said":
        tps = await reader.own(topic)
        said = cls(reader, Following(await reader.starts(tps[:1])), topic)
        await said.read_on()
        return said

    async def read_on(self) -> list[_New]:
        """Read to the end and return what is new, in order."""
        news = []
        async for records in self._following.news(self._reader):
            for record in records:
                vendor = (record.key or b"").decode("utf-8", "replace")
                try:
                    will = decode_control(record.value)
                except ValueError as error:
                    log.warning(
                        "%s offset %d cannot be read, so %s counts as paused: %s",
                        self._topic,
                        record.offset,
                        vendor,
                        error,
                    )
                    will = UnreadableControl.after(self.wills.get(vendor, VendorControl()))
                self.wills[vendor] = will
                news.append(_New(record.offset, vendor, will))
        return news
