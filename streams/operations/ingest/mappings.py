"""The sections as operations use them: beside the workers, over records already in Kafka."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from streams.core.errors import SetupError
from streams.core.ingest.decoding import Decoder, RegistryAway
from streams.core.ingest.topic_mapping import TopicMapping
from streams.core.ingest.visitors import VisitorIndex
from streams.kafka.reader import LogReader, Tell, silent
from streams.registry.decoders import Decoders
from streams.settings import Settings
from streams.vendors import VENDORS


def mappings_of(
    settings: Settings, visitors: VisitorIndex | None = None
) -> Mapping[str, TopicMapping]:
    """Return, by topic of the shop, what becomes of its records by these settings.

    ``visitors``: those that records without one are looked for in.
    """
    return settings.ingest_mappings(Decoders(settings.registry).of, visitors)


async def joined_mappings(
    settings: Settings, reader: LogReader, tell: Tell = silent
) -> Mapping[str, TopicMapping]:
    """Return the same, with the visitors that are known now; raises SetupError."""
    topics, visitors = settings.topics, VisitorIndex(VENDORS)
    for topic in topics.of_join:
        apply = visitors.apply_user if topic == topics.users else visitors.apply_link
        async for tp, records in reader.read_topic(topic, tell=tell):
            for record in records:
                apply(tp.partition, record)
    return mappings_of(settings, visitors)


def json_mappings_of(
    settings: Settings, visitors: VisitorIndex | None = None
) -> Mapping[str, TopicMapping]:
    """Return the same for records that are JSON without a frame, whatever ``format`` says."""
    sections = {
        name: section.model_copy(update={"format": "json"})
        for name, section in settings.ingest.items()
    }
    return replace(settings, ingest=sections).ingest_mappings(visitors=visitors)


class RegistryUnavailableError(SetupError):
    """The schemas that records need cannot be had now."""


class _Readable(Protocol):
    """A record, whoever read it."""

    @property
    def key(self) -> bytes | None: ...

    @property
    def value(self) -> bytes | None: ...


async def prepare(mapping: TopicMapping, records: Iterable[_Readable]) -> None:
    """Get what decoding these needs; raises RegistryUnavailableError."""
    await prepare_decoder(mapping.decoder, mapping.topic, records)


async def prepare_decoder(decoder: Decoder, topic: str, records: Iterable[_Readable]) -> None:
    """Get what decoding these records of a topic needs; raises RegistryUnavailableError."""
    values = [data for record in records for data in (record.value, record.key) if data is not None]
    try:
        await decoder.prepare(values)
    except RegistryAway as away:
        raise RegistryUnavailableError(
            f"Records of {topic} cannot be read: {str(away).rstrip('.')}. Check "
            "[registry] url, username and password, and that this machine may reach it; then run "
            "this again."
        ) from away
