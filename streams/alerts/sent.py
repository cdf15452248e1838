"""What people were told, kept on the status topic: whichever worker tells them finds it there."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from streams.alerts.book import Alert
from streams.core.json_decoder import json_decoder
from streams.kafka.reader import connect
from streams.settings import Settings
from streams.status.status import ALERTS_KEY

WRITE_SECONDS = 10.0

_decode = json_decoder(tuple[Alert, ...])


class SentAlerts:
    """The newest record with the key ``alerts``; compaction keeps it."""

    def __init__(self, settings: Settings, producer: Callable[[], Any]) -> None:
        """``producer`` returns the worker's own, once it has started."""
        self._settings = settings
        self._producer = producer

    async def read(self) -> Sequence[Alert]:
        """Return what was written last, however long ago; nothing if that cannot be decoded.

        The topic is read whole: two segments of 16 MiB at most. Raises SetupError if the brokers
        do not answer.
        """
        value = None
        async with connect(self._settings.kafka) as reader:
            async for _, records in reader.read_topic(self._settings.topics.status):
                for record in records:
                    if record.key == ALERTS_KEY:
                        value = record.value
        try:
            return () if value is None else _decode(value)
        except msgspec.DecodeError:
            return ()

    async def write(self, sent: Sequence[Alert]) -> None:
        """Write it; raises what the producer does, or TimeoutError."""
        written = self._producer().send_and_wait(
            self._settings.topics.status, key=ALERTS_KEY, value=msgspec.json.encode(sent)
        )
        await asyncio.wait_for(written, WRITE_SECONDS)
