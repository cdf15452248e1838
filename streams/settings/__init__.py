"""Typed, frozen settings from a file, the environment and secret files (contract §7).

``load_settings`` is called once, by the command line; everything else gets what it needs handed in.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, SecretStr

from streams.core.errors import SettingsError
from streams.core.events import EventParser
from streams.core.fields import FieldMap
from streams.core.topics import Topics
from streams.settings.loading import Loader, process_environment, read_secret, variable
from streams.settings.models import (
    ConsentSettings,
    EnrichSettings,
    KafkaSettings,
    SourceSettings,
    StateSettings,
    WatchdogSettings,
    WebSettings,
)
from streams.settings.rules import (
    is_loopback,
    kafka_problems,
    source_problems,
    vendor_problems,
    web_problems,
)
from streams.vendors import VENDORS
from streams.vendors.base import VendorSettings

__all__ = [
    "ENRICH",
    "ConsentSettings",
    "EnrichSettings",
    "KafkaSettings",
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

ENRICH = "enrich"
"""The stage that is no vendor's."""

_WEB_ORDER = (ENRICH, "eightselect", "voyado", "miso")
"""Stages by their distance from the first web port (contract §9); further vendors follow."""


def section_models() -> dict[str, type[BaseModel]]:
    """Every section by name, in the order in which people read them."""
    return {
        "kafka": KafkaSettings,
        "consent": ConsentSettings,
        "source.clicks": SourceSettings,
        "source.add-to-carts": SourceSettings,
        "enrich": EnrichSettings,
        **{key: vendor.settings for key, vendor in VENDORS.items()},
        "web": WebSettings,
        "state": StateSettings,
        "watchdog": WatchdogSettings,
    }


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one installation, checked, secrets masked in its repr."""

    kafka: KafkaSettings = field(default_factory=KafkaSettings)
    consent: ConsentSettings = field(default_factory=ConsentSettings)
    source_clicks: SourceSettings = field(default_factory=SourceSettings)
    source_add_to_carts: SourceSettings = field(default_factory=SourceSettings)
    enrich: EnrichSettings = field(default_factory=EnrichSettings)
    vendors: Mapping[str, VendorSettings] = field(default_factory=dict)
    """Every registered vendor's section, also of those that are off."""
    web: WebSettings = field(default_factory=WebSettings)
    state: StateSettings = field(default_factory=StateSettings)
    watchdog: WatchdogSettings = field(default_factory=WatchdogSettings)
    secret_files: Mapping[str, Path] = field(default_factory=dict)
    """``section.name`` → the file that holds this secret."""

    @property
    def topics(self) -> Topics:
        """The topic names with this installation's prefix."""
        return Topics(self.kafka.topic_prefix)

    def secrets(self) -> tuple[str, ...]:
        """Return every secret's text, so that logging can leave it out."""
        sections = (self.kafka, self.web, *self.vendors.values())
        values = [value for section in sections for _, value in section]
        return tuple(v.get_secret_value() for v in values if isinstance(v, SecretStr))

    def field_maps(self) -> Mapping[str, FieldMap | None]:
        """Return by raw topic how its records become events; None: as they are."""
        return {
            self.topics.clicks: self.source_clicks.field_map("source.clicks.fields"),
            self.topics.add_to_carts: self.source_add_to_carts.field_map(
                "source.add-to-carts.fields"
            ),
        }

    def event_parsers(self) -> Mapping[str, EventParser]:
        """Return what reads the records of each raw topic."""
        maps, topics = self.field_maps(), self.topics
        clicks, carts = topics.clicks, topics.add_to_carts
        return {
            clicks: EventParser("click", "shop.clicks", maps[clicks], vendors=VENDORS),
            carts: EventParser("add_to_cart", "shop.add-to-carts", maps[carts], vendors=VENDORS),
        }

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
        return (ENRICH, *self.enabled_vendors())

    def require_stage(self, stage: str) -> None:
        """Raise SettingsError where this stage cannot run with these settings."""
        if stage != ENRICH and stage not in self.vendors:
            known = ", ".join((ENRICH, *self.vendors))
            raise SettingsError([f'"{stage}" is no stage; there are: {known}.'])
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
        current = self.vendors[vendor]
        values = current.model_dump()
        for name, path in self.secret_files.items():
            section, _, setting = name.rpartition(".")
            if section == vendor:
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
    loaded = Loader(section_models(), process_environment() if environ is None else environ).load()
    problems = list(loaded.problems)
    rules: dict[str, Any] = {
        "kafka": kafka_problems,
        "source.clicks": source_problems,
        "source.add-to-carts": source_problems,
        "web": web_problems,
    }
    for section, model in loaded.sections.items():
        if section in VENDORS:
            found = vendor_problems(VENDORS[section], model, variable)  # type: ignore[arg-type]
        elif section in rules:
            found = rules[section](model)
        else:
            continue
        problems += [
            f"{variable(section, name)}: {words}."
            for name, words in found
            if (section, name) not in loaded.refused
        ]
    if problems:
        raise SettingsError(problems)
    vendors: dict[str, VendorSettings] = {}
    for key in VENDORS:
        section_of_vendor = loaded.sections.pop(key)
        assert isinstance(section_of_vendor, VendorSettings)
        address = section_of_vendor.base_url.rstrip("/")
        vendors[key] = section_of_vendor.model_copy(update={"base_url": address})
    named = {name.replace(".", "_").replace("-", "_"): m for name, m in loaded.sections.items()}
    return Settings(
        vendors=MappingProxyType(vendors),
        secret_files=MappingProxyType(loaded.secret_files),
        **named,  # type: ignore[arg-type]
    )


def _either(vendor: str) -> str:
    return " and ".join(variable(vendor, name) for name in VENDORS[vendor].credentials)
