"""From a record's bytes to its value, by the ``format`` of its section; JSON is in ``core``."""

from collections.abc import Iterable

from streams.core.errors import InvalidEvent
from streams.core.ingest.decoding import Decoder, PlainJsonDecoder
from streams.core.ingest.framing import FRAME_BYTES, read_frame
from streams.core.strict_json import Decoded
from streams.registry.client import Registry
from streams.settings import RegistrySettings


class FramedJsonDecoder(PlainJsonDecoder):
    """Decodes ``confluent-json``: the schema's id is passed over, no registry is asked."""

    def decode(self, value: bytes) -> Decoded:
        """See ``Decoder``."""
        return super().decode(bytes(read_frame(value).content))


class AvroDecoder:
    """Decodes ``confluent-avro``."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def prepare(self, values: Iterable[bytes]) -> None:
        """Load the schemas that the values name; raises RegistryAway."""
        for head in {value[:FRAME_BYTES] for value in values}:
            try:
                frame = read_frame(head)
            except InvalidEvent:
                continue
            await self._registry.load(frame.schema_id)

    def decode(self, value: bytes) -> Decoded:
        """See ``Decoder``."""
        frame = read_frame(value)
        return Decoded(self._registry.schema(frame.schema_id).decode(frame.content))


class Decoders:
    """The decoders of one process; those of Avro share one registry, of one event loop."""

    def __init__(self, settings: RegistrySettings) -> None:
        self._settings = settings
        self._registry: Registry | None = None

    def of(self, format_: str) -> Decoder:
        """Return the decoder of a section's ``format``.

        Raises SettingsError where the registry's ``ca_file`` cannot be used.
        """
        if format_ == "json":
            return PlainJsonDecoder()
        if format_ == "confluent-json":
            return FramedJsonDecoder()
        if self._registry is None:
            self._registry = Registry(self._settings)
        return AvroDecoder(self._registry)
