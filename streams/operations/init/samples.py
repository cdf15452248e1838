"""Samples of topics and of files of JSON lines."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from streams.core.errors import InvalidEvent, SettingsError, SetupError
from streams.core.ingest.decoding import Decoder
from streams.core.ingest.framing import FRAME_BYTES, read_frame
from streams.core.proposal.model import SampledRecord, TopicSample
from streams.core.strict_json import BYTE_ORDER_MARK, StrictJsonError, decode_repaired
from streams.kafka.connection import admin
from streams.kafka.reader import LogReader, Tell, connect
from streams.kafka.topics import cleanup_policies
from streams.operations.check.topic_preview import newest_starts
from streams.operations.ingest.mappings import prepare_decoder
from streams.operations.own_topics import NotNamedError, parse_own_line
from streams.registry.decoders import Decoders
from streams.settings import KafkaSettings, RegistrySettings

ROWS_PER_RECORD = 20
"""Of a compacted topic so many times as many records are read: its keys are to meet events' ids."""
AVRO = "confluent-avro"
_NO_TOPIC_CHAR = re.compile(r"[^A-Za-z0-9._-]+")
_SHOWN_HEADERS = 6
_MANY_TABS = 50
_TABS = (
    "their fields are separated by tabs, as in Snowplow's enriched events: let the producer, such "
    "as Snowbridge, write them as JSON"
)
_SUFFIXES = (".jsonl", ".json", ".ndjson", ".txt")


class UndecodedRecord(NamedTuple):
    """A sampled record as it lies there."""

    key: bytes | None
    value: bytes | None


class RawSample(NamedTuple):
    """The bytes of one topic's sample."""

    topic: str
    records: Sequence[UndecodedRecord]
    is_compacted: bool | None = None
    is_from_avro: bool = False
    """Whether keys and values are JSON that was made of Avro."""
    problem: str = ""
    """Why the first value that is not could not be read."""
    headers: Sequence[str] = ()
    """The names of the records' headers."""

    @property
    def is_framed(self) -> bool:
        """Whether a schema's id stands before most values."""
        values = [value for _, value in self.records if value is not None]
        return not self.is_from_avro and sum(map(_has_frame, values)) > len(values) / 2

    def _has_tabs(self) -> bool:
        """Return whether the first value has so many tabs as Snowplow's enriched events."""
        first = next((value for _, value in self.records if value is not None), b"")
        return first.count(b"\t") >= _MANY_TABS

    def bodies(self) -> list[UndecodedRecord]:
        """Return the records without the framing of their values."""
        start = FRAME_BYTES if self.is_framed else 0
        return [UndecodedRecord(key, value and value[start:]) for key, value in self.records]

    def decoded(self) -> TopicSample:
        """Return the sample as JSON reads it."""
        records: list[SampledRecord] = []
        unreadable = 0
        for key, value in self.bodies():
            try:
                decoded = None if value is None else decode_repaired(value).value
            except StrictJsonError:
                unreadable += 1
                continue
            records.append(SampledRecord(_decoded_key(key), decoded))
        format_ = AVRO if self.is_from_avro else "json"
        if self.is_framed:
            is_json = unreadable < len(self.records) / 2
            format_ = "confluent-json" if is_json else AVRO
        return TopicSample(
            self.topic,
            records,
            self.is_compacted,
            unreadable,
            format_,
            needs_registry=format_ == AVRO and not self.is_from_avro,
            problem=self.problem or (_TABS if unreadable and self._has_tabs() else ""),
            headers=self.headers,
        )


def _has_frame(value: bytes) -> bool:
    try:
        return bool(read_frame(value).content)
    except InvalidEvent:
        return False


async def decode_avro(samples: Sequence[RawSample], settings: RegistrySettings) -> list[RawSample]:
    """Return the samples with Avro as JSON, by the schemas of the registry.

    Without ``[registry] url`` they stay as they are; a record that its schema does not describe
    stays unreadable. Raises SetupError where the registry is away.
    """
    if settings.url is None:
        return list(samples)
    decoder = Decoders(settings).of(AVRO)
    found = []
    for sample in samples:
        if sample.decoded().format != AVRO:
            found.append(sample)
            continue
        await prepare_decoder(decoder, sample.topic, sample.records)
        records, problem = [], ""
        for key, value in sample.records:
            read, why = _as_json(decoder, value)
            records.append(UndecodedRecord(_as_json(decoder, key)[0], read))
            problem = problem or why
        found.append(sample._replace(records=records, is_from_avro=True, problem=problem))
    return found


def _as_json(decoder: Decoder, data: bytes | None) -> tuple[bytes | None, str]:
    """Return Avro as JSON, or what cannot be read as it is, and why."""
    if data is None:
        return None, ""
    try:
        return msgspec.json.encode(decoder.decode(data).value), ""
    except InvalidEvent as problem:
        return data, problem.detail


def _decoded_key(key: bytes | None) -> Any:
    if key is None:
        return None
    try:
        return decode_repaired(key).value
    except StrictJsonError:
        return key.decode("utf-8", "replace")


def is_file(name: str) -> bool:
    """Return whether a sample is named by a file's path; raises SettingsError where it is gone."""
    if Path(name).is_file():
        return True
    if "/" in name or name.endswith(_SUFFIXES):
        raise SettingsError([f"There is no file {name}."])
    return False


def read_file(path: Path, limit: int) -> list[RawSample]:
    """Return the records of a file of JSON lines, evenly chosen where they are more than the limit.

    Lines ``{"topic", "key", "value"}`` are records of that topic; others are values of a topic that
    is called like the file. Raises SettingsError where the file cannot be read or is empty.
    """
    try:
        lines = path.read_bytes().removeprefix(BYTE_ORDER_MARK).splitlines()
    except OSError as error:
        raise SettingsError([f"{path} cannot be read: {error.strerror or error}."]) from error
    by_topic: dict[str, list[UndecodedRecord]] = {}
    name = _NO_TOPIC_CHAR.sub("-", path.stem).strip("-") or "records"
    for line in lines:
        if not line.strip():
            continue
        try:
            topic, key, value = parse_own_line(line)
        except NotNamedError:
            topic, key, value = name, None, line
        by_topic.setdefault(topic, []).append(UndecodedRecord(key, value))
    if not by_topic:
        raise SettingsError([f"{path} contains no JSON lines."])
    return [RawSample(topic, _chosen(records, limit)) for topic, records in by_topic.items()]


def _chosen(records: Sequence[UndecodedRecord], limit: int) -> Sequence[UndecodedRecord]:
    if len(records) <= limit:
        return records
    return [records[number * len(records) // limit] for number in range(limit)]


async def read_topics(
    kafka: KafkaSettings, topics: Sequence[str], limit: int, tell: Tell
) -> list[RawSample]:
    """Return the newest records of each topic, of compacted ones more.

    Raises SetupError where a topic is not there or cannot be read.
    """
    async with admin(kafka) as client:
        policies = await cleanup_policies(client, topics)
    missing = [topic for topic in topics if topic not in policies]
    if missing:
        raise SetupError(
            f"There is no topic {', '.join(missing)} at {kafka.bootstrap_servers}. Name topics as "
            "they are called there, or files of JSON lines."
        )
    async with connect(kafka) as reader:
        return [await _read_topic(reader, topic, policies[topic], limit, tell) for topic in topics]


async def _read_topic(
    reader: LogReader, topic: str, policy: str | None, limit: int, tell: Tell
) -> RawSample:
    is_compacted = None if policy is None else "compact" in policy
    wanted = limit * ROWS_PER_RECORD if is_compacted else limit
    partitions = (await reader.partitions([topic]))[topic]
    begins, ends = await reader.starts(partitions), await reader.ends(partitions)
    starts = newest_starts({tp: (begins[tp], ends[tp]) for tp in partitions}, wanted)
    records: list[UndecodedRecord] = []
    headers: dict[str, None] = {}
    async for _, batch in reader.read(starts, ends, tell):
        records += [UndecodedRecord(record.key, record.value) for record in batch]
        headers |= dict.fromkeys(name for record in batch for name, _ in record.headers)
    return RawSample(topic, records, is_compacted, headers=tuple(headers)[:_SHOWN_HEADERS])
