"""Typed, frozen settings from a file, the environment and secret files.

The command line calls ``load_settings`` once and passes on what others need.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import BaseModel, SecretStr

from streams.core.enrich import VendorPlan
from streams.core.errors import SettingsError
from streams.core.events import EventParser
from streams.core.fields import FieldMap
from streams.core.ingest.decoding import Decoder, plain_decoder
from streams.core.ingest.topic_mapping import TopicMapping
from streams.core.ingest.visitors import VisitorIndex
from streams.core.kinds import KINDS
from streams.core.record_mapper import RecordMapper, RowLookup
from streams.core.topics import Topics
from streams.settings.kafka_rules import kafka_problems
from streams.settings.loading import Loader, process_environment, read_secret, variable
from streams.settings.models import (
    SOURCE_MODELS,
    AlertSettings,
    ConsentSettings,
    EnrichSettings,
    EventSettings,
    HttpSettings,
    IngestSettings,
    KafkaSettings,
    LogSettings,
    RegistrySettings,
    SourceSettings,
    StateSettings,
    WatchdogSettings,
    WebSettings,
)
from streams.settings.rules import (
    alert_problems,
    http_problems,
    ingest_conflicts,
    ingest_problems,
    is_loopback,
    registry_problems,
    source_problems,
    vendor_problems,
    web_problems,
)
from streams.vendors import VENDORS, plan_for
from streams.vendors.base import VendorSettings

__all__ = [
    "ENRICH",
    "INGEST",
    "STAGE_NAMES",
    "AlertSettings",
    "ConsentSettings",
    "EnrichSettings",
    "EventSettings",
    "HttpSettings",
    "IngestSettings",
    "KafkaSettings",
    "LogSettings",
    "RegistrySettings",
    "Settings",
    "SourceSettings",
    "StateSettings",
    "WatchdogSettings",
    "WebSettings",
    "is_loopback",
    "load_settings",
    "section_models",
    "variable",
]

_Section = TypeVar("_Section", bound=BaseModel)

ENRICH = "enrich"
"""The stage that is no vendor's."""

INGEST = "ingest"
"""The stage that reads the shop's own topics; off without a section ``[ingest.NAME]``."""

EVENTS = "events"
"""The family of sections ``[events.NAME]``."""

STAGE_NAMES = {INGEST: "Ingest", ENRICH: "Enrichment"}
"""As people call the stages that are no vendor's."""

_WEB_ORDER = (ENRICH, "eightselect", "voyado", "miso", INGEST)
"""Stages by their distance from the first web port; further vendors follow."""


def section_models() -> dict[str, type[BaseModel]]:
    """Every section by name, in the order in which people read them."""
    return {
        "kafka": KafkaSettings,
        "consent": ConsentSettings,
        **{f"source.{source}": model for source, model in SOURCE_MODELS.items()},
        "enrich": EnrichSettings,
        "registry": RegistrySettings,
        **{key: vendor.settings for key, vendor in VENDORS.items()},
        "http": HttpSettings,
        "web": WebSettings,
        "alerts": AlertSettings,
        "log": LogSettings,
        "state": StateSettings,
        "watchdog": WatchdogSettings,
    }


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one installation, checked, secrets masked in its repr."""

    kafka: KafkaSettings = field(default_factory=KafkaSettings)
    consent: ConsentSettings = field(default_factory=ConsentSettings)
    sources: Mapping[str, SourceSettings] = field(
        default_factory=lambda: {source: model() for source, model in SOURCE_MODELS.items()}
    )
    """The sections ``[source.X]`` by X, also of those that are off."""
    enrich: EnrichSettings = field(default_factory=EnrichSettings)
    ingest: Mapping[str, IngestSettings] = field(default_factory=dict)
    """The sections ``[ingest.NAME]`` by NAME, in the order of the file."""
    events: Mapping[str, EventSettings] = field(default_factory=dict)
    """The sections ``[events.NAME]`` by NAME."""
    registry: RegistrySettings = field(default_factory=RegistrySettings)
    vendors: Mapping[str, VendorSettings] = field(default_factory=dict)
    """Every registered vendor's section, also of those that are off."""
    http: HttpSettings = field(default_factory=HttpSettings)
    web: WebSettings = field(default_factory=WebSettings)
    alerts: AlertSettings = field(default_factory=AlertSettings)
    log: LogSettings = field(default_factory=LogSettings)
    state: StateSettings = field(default_factory=StateSettings)
    watchdog: WatchdogSettings = field(default_factory=WatchdogSettings)
    secret_files: Mapping[str, Path] = field(default_factory=dict)
    """``section.name`` → the file that holds this secret."""

    @property
    def topics(self) -> Topics:
        """The topic names with this installation's prefix."""
        sections = self.ingest.values()
        return Topics(
            self.kafka.topic_prefix,
            shop=tuple(dict.fromkeys(section.topic for section in sections)),
            fed=tuple(dict.fromkeys(section.to for section in sections)),
            sources=tuple(source for source, one in self.sources.items() if one.is_on),
            joins=any(section.visitor_from for section in sections),
        )

    @property
    def named_events(self) -> Mapping[str, EventSettings]:
        """The sections ``[events.NAME]`` by NAME; none while their source is off."""
        return self.events if self.sources[EVENTS].is_on else {}

    def secrets(self) -> tuple[str, ...]:
        """Return every secret's text, so that logging can leave it out."""
        sections = (self.kafka, self.http, self.registry, self.web, *self.vendors.values())
        values = [value for section in sections for _, value in section]
        own = (v.get_secret_value() for v in values if isinstance(v, SecretStr))
        return (*own, *self.alerts.secrets())

    def field_maps(self, sources: Sequence[str] = ()) -> Mapping[str, FieldMap | None]:
        """Return by raw topic how its records become events; None: as they are.

        Of these sources; none named: of those that are on.
        """
        return {
            self.topics.of_shop(source): self.sources[source].field_map(f"source.{source}.fields")
            for source in sources or self.topics.sources
        }

    def event_parsers(self, sources: Sequence[str] = ()) -> Mapping[str, EventParser]:
        """Return what reads the records of each raw topic of these sources, as ``field_maps``."""
        kinds = (KINDS[source] for source in sources or self.topics.sources)
        return {
            topic: EventParser(kind.event_type, kind.topic, fields, vendors=VENDORS)
            for kind, (topic, fields) in zip(kinds, self.field_maps(sources).items(), strict=True)
        }

    def ingest_mappings(
        self,
        decoder_of: Callable[[str], Decoder] = plain_decoder,
        visitors: VisitorIndex | None = None,
    ) -> Mapping[str, TopicMapping]:
        """Return by topic of the shop what becomes of its records.

        ``decoder_of`` makes the decoder of a ``format``; ``visitors``: as for ``IngestSection``.
        """
        by_topic: dict[str, list[str]] = {}
        for name, section in self.ingest.items():
            by_topic.setdefault(section.topic, []).append(name)
        return {
            topic: TopicMapping(
                topic,
                [self.ingest[name].section(name, VENDORS, visitors) for name in names],
                decoder_of(self.ingest[names[0]].format),
            )
            for topic, names in by_topic.items()
        }

    def record_mapper(self, plans: Iterable[VendorPlan], rows: RowLookup) -> RecordMapper:
        """Return what makes of records of the raw topics what enrichment would make of them."""
        return RecordMapper(self.event_parsers(), tuple(plans), self.consent.mode, rows)

    def keeps_email(self, vendors: Iterable[str]) -> bool:
        """Return whether one of these vendors looks contacts up by the e-mail of user rows."""
        return any(getattr(self.vendors.get(key), "lookup_email", False) for key in vendors)

    def plan_for(self, vendor: str) -> VendorPlan:
        """Return the vendor as enrichment needs it; raises SettingsError for a missing secret."""
        return plan_for(VENDORS[vendor], self.vendors[vendor], self.events)

    def has_credentials(self, vendor: str) -> bool:
        """Whether all that the vendor's own stage needs to be let in is given."""
        return not self._missing(vendor)

    def enabled_vendors(self) -> tuple[str, ...]:
        """The vendors that are on: ``enabled`` says so, or is silent and credentials are given."""
        return tuple(
            key
            for key, vendor in self.vendors.items()
            if vendor.enabled or (vendor.enabled is None and self.has_credentials(key))
        )

    def stages(self) -> tuple[str, ...]:
        """The stages that ``streams worker`` runs where none is named."""
        return (*((INGEST,) if self.ingest else ()), ENRICH, *self.enabled_vendors())

    def require_stage(self, stage: str) -> None:
        """Raise SettingsError where this stage cannot run with these settings."""
        if stage not in {INGEST, ENRICH, *self.vendors}:
            known = ", ".join((ENRICH, *self.vendors, INGEST))
            raise SettingsError([f'"{stage}" is not a stage; there are: {known}.'])
        if stage == INGEST:
            if not self.ingest:
                words = "stage ingest has nothing to do: there is no section [ingest.NAME]."
                raise SettingsError([words])
            return
        if stage != ENRICH:
            self._require_vendor(stage)
        if stage == ENRICH:
            self.require_mappings(self.enabled_vendors())
        if not self.enabled_vendors():
            raise SettingsError(
                [
                    f"No vendor is on: set {_either(key)} or {variable(key, 'enabled')}=true."
                    for key in self.vendors
                ]
            )

    def require_mappings(self, vendors: Iterable[str]) -> None:
        """Raise SettingsError where events cannot be mapped for one of these vendors."""
        problems = [
            f"{variable(key, name)}: is missing; events cannot be mapped for "
            f"{VENDORS[key].name} without it."
            for key in vendors
            for name in VENDORS[key].mapping_secrets
            if getattr(self.vendors[key], name) is None
        ]
        if problems:
            raise SettingsError(problems)

    def web_port(self, stage: str, slot: int = 0) -> int:
        """The port of one worker's web view; raises SettingsError where there is none left."""
        order = (*_WEB_ORDER, *(key for key in self.vendors if key not in _WEB_ORDER))
        port = self.web.port + order.index(stage) + 10 * slot
        if slot < 0 or port > 65535:
            name = variable("web", "port")
            raise SettingsError([f"{name}: {self.web.port} leaves no port for slot {slot}."])
        return port

    def with_current_secrets(self, vendor: str) -> VendorSettings:
        """This vendor's section with its secret files read again.

        Raises SettingsError where a file cannot be read: the caller keeps what it had.
        """
        return self._with_current_secrets(vendor, self.vendors[vendor])

    def current_http(self) -> HttpSettings:
        """Section ``[http]`` with its secret file read again.

        Raises SettingsError where it cannot be read: the caller keeps what it had.
        """
        return self._with_current_secrets("http", self.http)

    def _with_current_secrets(self, section: str, current: _Section) -> _Section:
        values = current.model_dump()
        for name, path in self.secret_files.items():
            owner, _, setting = name.rpartition(".")
            if owner == section:
                try:
                    values[setting] = read_secret(path)
                except ValueError as error:
                    shown = f"{variable(section, setting)}_FILE"
                    raise SettingsError([f"{shown}: {error}."]) from error
        return type(current).model_validate(values)

    def _missing(self, vendor: str) -> list[str]:
        settings = self.vendors[vendor]
        return [name for name in VENDORS[vendor].credentials if getattr(settings, name) is None]

    def _require_vendor(self, vendor: str) -> None:
        switch = variable(vendor, "enabled")
        if self.vendors[vendor].enabled is False:
            raise SettingsError([f"{switch}: is false; stage {vendor} has nothing to do."])
        problems = [
            f"{variable(vendor, name)}: is missing; stage {vendor} cannot deliver without it."
            for name in self._missing(vendor)
        ]
        if problems:
            raise SettingsError(problems)


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process, or of a given environment.

    Raises SettingsError with every problem, one sentence each, by variable name.
    """
    loaded = Loader(
        section_models(),
        process_environment() if environ is None else environ,
        {INGEST: IngestSettings, EVENTS: EventSettings},
        named_freely=[EVENTS],
    ).load()
    problems = list(loaded.problems)
    rules: dict[str, Any] = {
        "kafka": kafka_problems,
        **{f"source.{source}": source_problems for source in KINDS},
        "registry": registry_problems,
        "http": http_problems,
        "web": web_problems,
        "alerts": alert_problems,
    }
    for section, model in loaded.sections.items():
        if section in VENDORS:
            found = vendor_problems(VENDORS[section], model, variable)  # type: ignore[arg-type]
        elif section in rules:
            found = rules[section](model)
        elif isinstance(model, IngestSettings):
            found = ingest_problems(model)
        else:
            continue
        problems += [
            f"{variable(section, name)}: {words}."
            for name, words in found
            if (section, name) not in loaded.refused
        ]
    ingest, events = (
        {
            name.partition(".")[2]: loaded.sections.pop(name)
            for name in [*loaded.sections]
            if name.startswith(f"{family}.")
        }
        for family in (INGEST, EVENTS)
    )
    if not problems:
        problems = _ingest_conflicts(loaded.sections, ingest)  # type: ignore[arg-type]
    problems += _schema_conflicts(loaded.sections, events)
    if problems:
        raise SettingsError(problems)
    vendors: dict[str, VendorSettings] = {}
    for key in VENDORS:
        section_of_vendor = loaded.sections.pop(key)
        assert isinstance(section_of_vendor, VendorSettings)
        address = section_of_vendor.base_url.rstrip("/")
        vendors[key] = section_of_vendor.model_copy(update={"base_url": address})
    kafka, http = loaded.sections["kafka"], loaded.sections["http"]
    assert isinstance(kafka, KafkaSettings)
    assert isinstance(http, HttpSettings)
    own = {
        name.removeprefix("kafka."): path
        for name, path in loaded.secret_files.items()
        if name.startswith("kafka.")
    }
    loaded.sections["kafka"] = kafka.connected_by(http, own)
    sources = {source: loaded.sections.pop(f"source.{source}") for source in KINDS}
    named = {name.replace(".", "_").replace("-", "_"): m for name, m in loaded.sections.items()}
    return Settings(
        sources=MappingProxyType(sources),  # type: ignore[arg-type]
        ingest=MappingProxyType(ingest),  # type: ignore[arg-type]
        events=MappingProxyType(events),  # type: ignore[arg-type]
        vendors=MappingProxyType(vendors),
        secret_files=MappingProxyType(loaded.secret_files),
        **named,  # type: ignore[arg-type]
    )


def _ingest_conflicts(
    sections: Mapping[str, BaseModel], ingest: Mapping[str, IngestSettings]
) -> list[str]:
    kafka, registry = sections["kafka"], sections["registry"]
    assert isinstance(kafka, KafkaSettings)
    assert isinstance(registry, RegistrySettings)
    sources = {name: sections[f"source.{name}"] for name in KINDS}
    mapped = {name for name, one in sources.items() if one.field_map() is not None}  # type: ignore[attr-defined]
    off = {name for name, one in sources.items() if not one.is_on}  # type: ignore[attr-defined]
    found = ingest_conflicts(ingest, Topics(kafka.topic_prefix), registry, mapped, off)
    return [f"[{INGEST}.{name}]: {words}." for name, words in found]


def _schema_conflicts(
    sections: Mapping[str, BaseModel], events: Mapping[str, BaseModel]
) -> list[str]:
    """Return which schemas of Voyado would be one to its mail editor, which knows no case."""
    voyado = sections.get("voyado")
    names = ("click_schema_id", "add_to_cart_schema_id")
    known = {id_.lower(): id_ for name in names if (id_ := getattr(voyado, name, None))}
    problems = []
    for name, section in events.items():
        id_ = getattr(section, "voyado_schema_id", None)
        if id_ and known.setdefault(id_.lower(), id_) != id_:
            problems.append(
                f"[{EVENTS}.{name}]: voyado_schema_id {id_} differs from {known[id_.lower()]} in "
                "case only, and Voyado's mail editor has both in lower case; rename one of them."
            )
    return problems


def _either(vendor: str) -> str:
    return " and ".join(variable(vendor, name) for name in VENDORS[vendor].credentials)
