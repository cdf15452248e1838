"""The sections of the settings that belong to no vendor, each a frozen type with its defaults."""

import contextlib
import json
import logging
import re
import ssl
from base64 import b64encode
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import unquote

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    field_validator,
    model_validator,
)

from streams.core.errors import SettingsError
from streams.core.fields import FIELDS, FieldMap
from streams.core.ingest.section import IngestSection
from streams.core.ingest.targets import TARGETS
from streams.core.ingest.visitors import VisitorIndex
from streams.core.kinds import KINDS
from streams.core.time_formats import UNITS
from streams.settings.loading import read_secret
from streams.settings.proxies import Route, route_to
from streams.vendors.eightselect.events import EightSelectEventSettings
from streams.vendors.miso.events import MisoEventSettings
from streams.vendors.voyado.events import VoyadoEventSettings

if TYPE_CHECKING:
    import httpx

TOKEN_MECHANISMS = ("OAUTHBEARER", "AWS_MSK_IAM")
"""With these a token is sent, and no user name or password."""
SLOTS = 10
"""How many workers of one stage a machine's web ports are kept free for."""


class Section(BaseModel):
    """What all sections share: no unknown keys, no changes after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class HttpSettings(Section):
    """Section ``[http]``: how vendors are reached."""

    proxy: str | None = None
    """``http://host:port``, a user name may stand before the host; None: straight to vendors.

    The variables ``HTTP_PROXY`` and ``HTTPS_PROXY`` of the system are not read.
    """
    proxy_password: SecretStr | None = None
    no_proxy: str = ""
    """Hosts reached without the proxy, separated by commas; see ``settings.proxies``."""
    ca_file: Path | None = None
    """Certificate authorities that are trusted beside the system's."""

    def route_to(self, url: str) -> Route:
        """How this address is reached."""
        return route_to(url, self.proxy, self.no_proxy)

    def proxy_to(self, url: str) -> "httpx.Proxy | None":
        """The proxy through which this address is reached, with its login; None: none."""
        import httpx

        address = self.route_to(url).proxy
        if address is None:
            return None
        proxy, password = httpx.URL(address), self.proxy_password
        headers = {}
        if proxy.username:
            login = f"{proxy.username}:{password.get_secret_value() if password else ''}"
            headers["Proxy-Authorization"] = f"Basic {b64encode(login.encode()).decode()}"
        return httpx.Proxy(proxy.copy_with(username=None), headers=headers)

    def ssl_context(self) -> ssl.SSLContext | None:
        """What certificates are judged by; None: by the system's authorities alone.

        Raises OSError where ``ca_file`` cannot be used.
        """
        if self.ca_file is None:
            return None
        context = ssl.create_default_context()
        context.load_verify_locations(self.ca_file)
        return context


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
    sasl_mechanism: (
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "AWS_MSK_IAM"] | None
    ) = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    oauth_token_file: Path | None = None
    """Something else keeps a valid token in it."""
    oauth_token_url: str | None = None
    """Asked for a token by OAuth's client credentials, for each connection anew."""
    oauth_client_id: str | None = None
    oauth_client_secret: SecretStr | None = None
    oauth_scope: str | None = None
    oauth_extensions: dict[str, str] = Field(default_factory=dict)
    """SASL extensions that go with the token."""
    aws_region: str | None = Field(None, pattern=r"^[a-z0-9-]+$")
    ssl_cafile: Path | None = None
    """None: the system's certificate authorities."""
    ssl_certfile: Path | None = None
    ssl_keyfile: Path | None = None
    ssl_key_password: SecretStr | None = None
    client_rack: str | None = Field(None, min_length=1)
    """As ``broker.rack``: records are then read from a copy nearby, where brokers allow it."""
    compression: Literal["none", "lz4", "zstd"] = "none"
    """Of the batches that are written."""
    session_seconds: float = Field(10, ge=6, le=300)
    """So long a worker may be silent before its partitions go to others."""
    _secret_files: dict[str, Path] = PrivateAttr(default_factory=dict)
    _http: HttpSettings = PrivateAttr(default_factory=HttpSettings)

    def connected_by(self, http: HttpSettings, secret_files: Mapping[str, Path]) -> "KafkaSettings":
        """Return the same with the way to ``oauth_token_url``, and where secrets are read anew."""
        made = self.model_copy()
        made._http, made._secret_files = http, dict(secret_files)
        return made

    @property
    def http(self) -> HttpSettings:
        """How ``oauth_token_url`` is reached."""
        return self._http

    def current(self) -> "KafkaSettings":
        """Return the same with secret files read again; raises SettingsError where one cannot be.

        What is a path here is read wherever it is used.
        """
        values = {}
        for name, path in self._secret_files.items():
            try:
                values[name] = SecretStr(read_secret(path))
            except ValueError as error:
                raise SettingsError([f"STREAMS_KAFKA_{name.upper()}_FILE: {error}."]) from error
        return self.model_copy(update=values)

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
            options["ssl_context"] = self.ssl_context()
        if self.sasl_mechanism in TOKEN_MECHANISMS:
            options["sasl_mechanism"] = "OAUTHBEARER"
        elif self.sasl_mechanism is not None and self.sasl_password is not None:
            options["sasl_mechanism"] = self.sasl_mechanism
            options["sasl_plain_username"] = self.sasl_username
            options["sasl_plain_password"] = self.sasl_password.get_secret_value()
        return options

    def ssl_context(self) -> ssl.SSLContext:
        """What TLS connections are made with, of the files as they are now.

        Raises SettingsError where a certificate or key cannot be used; nobody is asked for the
        key's password.
        """
        try:
            name = "SSL_CAFILE"
            context = ssl.create_default_context(cafile=self.ssl_cafile)
            if self.ssl_certfile is not None:
                name = "SSL_CERTFILE"
                x509 = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                x509.load_verify_locations(self.ssl_certfile)
                name = "SSL_KEYFILE" if self.ssl_key_password is None else "SSL_KEY_PASSWORD"
                password = self.ssl_key_password
                # Without any, OpenSSL would ask for it on the terminal.
                secret = "" if password is None else password.get_secret_value()
                context.load_cert_chain(self.ssl_certfile, self.ssl_keyfile, lambda: secret)
        except (OSError, ValueError) as error:  # ssl.SSLError among them
            raise SettingsError(
                [f"STREAMS_KAFKA_{name}: {self._unusable(name, error)}."]
            ) from error
        return context

    def _unusable(self, name: str, error: Exception) -> str:
        words = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        if name == "SSL_KEY_PASSWORD":
            return f"does not open the key {self.ssl_keyfile} ({words})"
        if name == "SSL_KEYFILE":
            return (
                f"{self.ssl_keyfile} is no key of {self.ssl_certfile}, or is encrypted and needs "
                f"STREAMS_KAFKA_SSL_KEY_PASSWORD ({words})"
            )
        path = self.ssl_cafile if name == "SSL_CAFILE" else self.ssl_certfile
        return f"{path} cannot be used ({words})"


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


def _list_of(value: Any) -> Any:
    """Return a text as a list of one."""
    if isinstance(value, str) and value.startswith("["):
        # As an environment variable has a list.
        with contextlib.suppress(ValueError):
            return json.loads(value)
    return (value,) if isinstance(value, str) else value


class SourceSettings(Section):
    """A section ``[source.<kind>]``: how a shop's own records become events."""

    known_fields: ClassVar[Collection[str]] = FIELDS

    fields: dict[str, str | dict[str, str]] = Field(default_factory=dict)
    """Our field → a JMESPath expression over the shop's record; empty: the record has our names.

    Parts of ``page``, ``campaign`` and ``content`` are dotted keys or a table.
    """
    timestamp_format: tuple[str, ...] | None = None
    """Strptime patterns, ``s``, ``ms``, ``us`` or ``ns``, tried in order; None: RFC 3339 or ms.

    One may be given without a list.
    """
    timezone: str | None = Field(None, min_length=1)
    """IANA name of the zone in which patterns without one are read; None: UTC."""

    @property
    def is_on(self) -> bool:
        """Whether its topic is read."""
        return True

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
        return _list_of(value)

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
        return FieldMap(
            self.fields, self.timestamp_format, self.timezone, name=name, known=self.known_fields
        )


class OptionalSourceSettings(SourceSettings):
    """A section ``[source.<kind>]`` of a kind that not every shop has."""

    enabled: bool = False

    @property
    def is_on(self) -> bool:
        """Whether its topic is read."""
        return self.enabled


SOURCE_MODELS: Mapping[str, type[SourceSettings]] = {
    source: type(
        "".join(map(str.title, source.split("-"))) + "SourceSettings",
        (OptionalSourceSettings if kind.is_optional else SourceSettings,),
        {"known_fields": kind.fields, "__doc__": f"Section ``[source.{source}]``."},
    )
    for source, kind in KINDS.items()
}
"""By source."""


class IngestSettings(SourceSettings):
    """A section ``[ingest.NAME]``: what becomes of the records of one of the shop's own topics."""

    topic: str = Field(min_length=1, max_length=249, pattern=r"^[A-Za-z0-9._-]+$")
    """As the shop calls it; the prefix is not put before it."""
    to: str
    format: Literal["json", "confluent-json", "confluent-avro"] = "json"
    envelope: Literal["none", "debezium", "connect"] = "none"
    when: str | None = None
    """JMESPath: the record counts for this section where it is true; None: each does."""
    each: str | None = None
    """JMESPath to a list: one event for each element, as ``_item`` with ``_index``."""
    key: str | None = None
    """JMESPath to the Kafka key; None: ``anonymous_id``, for products ``product_id``."""
    visitor_from: tuple[str, ...] | None = None
    """Ids by which the visitor of an event without ``anonymous_id`` is looked for, in this order.

    One may be given without a list; None: such an event is a dead letter.
    """

    @field_validator("visitor_from", mode="before")
    @classmethod
    def _id_may_be_one(cls, value: Any) -> Any:
        return _list_of(value)

    @field_validator("visitor_from")
    @classmethod
    def _ids_are_known(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is None:
            return None
        if not value or len(set(value)) < len(value) or not set(value) <= {"user_id", "order_id"}:
            raise ValueError('must be "user_id", "order_id", or a list of both')
        return value

    @field_validator("to")
    @classmethod
    def _target_is_known(cls, value: str) -> str:
        if value not in TARGETS:
            raise ValueError(f'must be one of {", ".join(TARGETS)}, not "{value}"')
        return value

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

    def section(
        self, name: str, vendors: Collection[str], visitors: VisitorIndex | None = None
    ) -> IngestSection:
        """This section, compiled; ``vendors`` are those for which an event may state consent.

        ``visitors``: as for ``IngestSection``. Raises SettingsError; loaded settings have been
        checked.
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
            visitor_from=self.visitor_from or (),
            visitors=visitors,
        )


class EventSettings(EightSelectEventSettings, VoyadoEventSettings, MisoEventSettings):
    """A section ``[events.NAME]``: what each vendor gets of an event of this name."""


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
    metrics_token: SecretStr | None = Field(None, min_length=8)
    """Reads ``/metrics`` and nothing else."""


class AlertSettings(Section):
    """Section ``[alerts]``: who gets a message when something is wrong."""

    urls: SecretStr | None = None
    """Addresses as Apprise writes them, separated by spaces or line ends; None: nobody."""

    @field_validator("urls", mode="before")
    @classmethod
    def _may_be_a_list(cls, value: Any) -> Any:
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return "\n".join(value)
        return value

    def addresses(self) -> list[str]:
        """Each address, in order."""
        return [] if self.urls is None else self.urls.get_secret_value().split()

    def services(self) -> list[Any]:
        """What Apprise makes of each address; None of one that it cannot use."""
        import apprise

        # It logs addresses. Why a message was not taken is in the result of sending it.
        own = logging.getLogger("apprise")
        own.setLevel(logging.WARNING)
        own.propagate = False
        own.addHandler(logging.NullHandler())
        return [apprise.Apprise.instantiate(one) for one in self.addresses()]

    def secrets(self) -> list[str]:
        """Each address and what of it may be a key, so that logging can leave it out."""
        found = [text for one in self.addresses() for text in (one, *_keys_in(one))]
        return [form for text in found for form in dict.fromkeys((text, unquote(text)))]


def _keys_in(address: str) -> Iterator[str]:
    """Yield the password of an address and each part that looks like a key."""
    rest = address.partition("://")[2]
    login, at, _ = rest.partition("/")[0].rpartition("@")
    if at:
        yield login.rpartition(":")[2]
    for part in re.split(r"[/?&=@:#,]", rest):
        if re.fullmatch(r"(?=.*[A-Z0-9])[^.]{8,}", part):
            yield part


class LogSettings(Section):
    """Section ``[log]``."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least serious lines that a worker writes."""


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
