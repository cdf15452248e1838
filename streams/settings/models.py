"""The sections of the settings that belong to no vendor, each a frozen type with its defaults."""

import contextlib
import json
import ssl
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from streams.core.errors import SettingsError
from streams.core.fields import FieldMap
from streams.core.ingest.section import IngestSection
from streams.core.ingest.targets import TARGETS
from streams.core.time_formats import UNITS

SLOTS = 10
"""How many workers of one stage a machine's web ports are kept free for."""


class Section(BaseModel):
    """What all sections share: no unknown keys, no changes after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class KafkaSettings(Section):
    """Section ``[kafka]``."""

    bootstrap_servers: str = "127.0.0.1:9092"
    """``host:port``, several separated by commas."""
    topic_prefix: str = Field("", max_length=200, pattern=r"^[A-Za-z0-9._-]*$")
    partitions: int = Field(6, ge=1, le=10_000)
    """Of the topics that ``streams topics create`` makes."""
    replication_factor: int | None = Field(None, ge=1, le=100)
    """None: the smaller of 3 and the number of brokers."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_cafile: Path | None = None
    """None: the system's certificate authorities."""
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None

    @field_validator("bootstrap_servers")
    @classmethod
    def _names_ports(cls, value: str) -> str:
        servers = [server.strip() for server in value.split(",")]
        for server in servers:
            host, _, port = server.rpartition(":")
            if not host or not port.isdecimal() or not 0 < int(port) < 65536:
                raise ValueError(f'must be host:port, separated by commas, not "{server}"')
        return ",".join(servers)

    @property
    def servers(self) -> list[str]:
        """The brokers, ``host:port`` each."""
        return self.bootstrap_servers.split(",")

    def client_options(self) -> dict[str, Any]:
        """What aiokafka's clients need to reach and enter these brokers.

        Raises SettingsError where a certificate or key cannot be used.
        """
        options: dict[str, Any] = {
            "bootstrap_servers": self.servers,
            "security_protocol": self.security_protocol,
        }
        if self.security_protocol.endswith("SSL"):
            options["ssl_context"] = self._ssl_context()
        if self.sasl_mechanism is not None and self.sasl_password is not None:
            options["sasl_mechanism"] = self.sasl_mechanism
            options["sasl_plain_username"] = self.sasl_username
            options["sasl_plain_password"] = self.sasl_password.get_secret_value()
        return options

    def _ssl_context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.ssl_cafile)
            if self.ssl_certfile is not None:
                context.load_cert_chain(self.ssl_certfile, self.ssl_keyfile)
        except OSError as error:  # ssl.SSLError among them
            files = (self.ssl_cafile, self.ssl_certfile, self.ssl_keyfile)
            named = ", ".join(str(path) for path in files if path is not None)
            raise SettingsError(
                [f"STREAMS_KAFKA_SSL_*: {named} cannot be used: {error.strerror or error}."]
            ) from error
        return context


class ConsentSettings(Section):
    """Section ``[consent]``."""

    mode: Literal["required", "assumed"] = "required"
    """``required``: nothing is sent without a yes. ``assumed``: all is sent but after a no."""


class EnrichSettings(Section):
    """Section ``[enrich]``."""

    duplicate_minutes: float = Field(10, ge=0, le=24 * 60)
    """How long an event id is remembered per visitor; 0: not at all."""
    chunk_records: int = Field(500, ge=1, le=10_000)
    """Records of one partition that travel together."""


class SourceSettings(Section):
    """A section ``[source.<kind>]``: how a shop's own records become events."""

    fields: dict[str, str | dict[str, str]] = Field(default_factory=dict)
    """Our field → a JMESPath expression over the shop's record; empty: contract §2 as it is.

    Parts of ``page``, ``campaign`` and ``content`` are dotted keys or a table.
    """
    timestamp_format: tuple[str, ...] | None = None
    """Strptime patterns, ``s``, ``ms``, ``us`` or ``ns``, tried in order; None: contract §2.

    One may be given without a list.
    """
    timezone: str | None = Field(None, min_length=1)
    """IANA name of the zone in which patterns without one are read; None: UTC."""

    @model_validator(mode="before")
    @classmethod
    def _times_may_stand_among_the_fields(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not isinstance(value.get("fields"), dict):
            return value
        fields, beside = dict(value["fields"]), dict(value)
        for name in ("timestamp_format", "timezone"):
            if name not in fields:
                continue
            if name in beside:
                raise ValueError(f"{name} stands both beside and inside fields; keep one")
            beside[name] = fields.pop(name)
        return beside | {"fields": fields}

    @field_validator("timestamp_format", mode="before")
    @classmethod
    def _format_may_be_one(cls, value: Any) -> Any:
        if isinstance(value, str) and value.startswith("["):
            # As an environment variable has a list.
            with contextlib.suppress(ValueError):
                return json.loads(value)
        return (value,) if isinstance(value, str) else value

    @field_validator("timestamp_format")
    @classmethod
    def _formats_are_known(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        units = ", ".join(f'"{unit}"' for unit in UNITS)
        for one in value or ():
            if one not in UNITS and "%" not in one:
                raise ValueError(f'must be {units} or a strptime pattern, not "{one}"')
        return value

    def field_map(self, name: str = "") -> FieldMap | None:
        """How to read a record of this kind; None: as it is.

        Raises SettingsError, each line led by ``name``; loaded settings have been checked.
        """
        if not self.fields and self.timestamp_format is None and self.timezone is None:
            return None
        return FieldMap(self.fields, self.timestamp_format, self.timezone, name=name)


class IngestSettings(SourceSettings):
    """A section ``[ingest.NAME]``: what becomes of the records of one of the shop's own topics."""

    topic: str = Field(min_length=1, max_length=249, pattern=r"^[A-Za-z0-9._-]+$")
    """As the shop calls it; the prefix is not put before it."""
    to: Literal["clicks", "add-to-carts", "users", "products"]
    format: Literal["json", "confluent-json", "confluent-avro"] = "json"
    envelope: Literal["none", "debezium", "connect"] = "none"
    when: str | None = None
    """JMESPath: the record counts for this section where it is true; None: each does."""
    each: str | None = None
    """JMESPath to a list: one event for each element, as ``_item`` with ``_index``."""
    key: str | None = None
    """JMESPath to the Kafka key; None: ``anonymous_id``, for products ``product_id``."""

    def field_map(self, name: str = "") -> FieldMap | None:
        """How to read the fields of ``to``; see ``SourceSettings``."""
        if not self.fields and self.timestamp_format is None and self.timezone is None:
            return None
        target = TARGETS[self.to]
        return FieldMap(
            self.fields,
            self.timestamp_format,
            self.timezone,
            name=name,
            known=target.known,
            what=target.what,
        )

    def section(self, name: str, vendors: Collection[str]) -> IngestSection:
        """This section, compiled; ``vendors`` are those for which an event may state consent.

        Raises SettingsError; loaded settings have been checked.
        """
        return IngestSection(
            name,
            self.to,
            fields=self.field_map(),
            envelope=self.envelope,
            when=self.when,
            each=self.each,
            key=self.key,
            vendors=vendors,
        )


class RegistrySettings(Section):
    """Section ``[registry]``: where schemas of Confluent's framing are asked for."""

    url: str | None = None
    """Up to where ``/schemas/ids`` begins."""
    username: str | None = None
    password: SecretStr | None = None
    ca_file: Path | None = None
    """Certificate authorities that are trusted beside the system's."""


class WebSettings(Section):
    """Section ``[web]``."""

    host: str = Field("127.0.0.1", min_length=1)
    port: int = Field(6066, ge=1, le=65535 - 4 - 10 * (SLOTS - 1))
    """The first of a machine's ports: + 0 to 4 by stage, + 10 by slot."""
    token: SecretStr | None = Field(None, min_length=8)
    """None: pages are readable on loopback only, and nothing can be changed."""


class WatchdogSettings(Section):
    """Section ``[watchdog]``: when a worker ends itself, to be started again."""

    stall_seconds: float = Field(120, ge=5, le=24 * 3600)
    """So long something may stand still that has no reason to."""
    memory_mb: int | None = Field(None, ge=100)
    """MiB that a worker may use; None: 90 % of its container's limit, if that has one."""


class StateSettings(Section):
    """Section ``[state]``."""

    dir: Path = Path("./state")
    """Where tables lie; workers of different stages may share it."""
