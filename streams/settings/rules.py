"""What one value cannot say alone: rules between settings, each broken one a plain sentence."""

import ipaddress
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from importlib.util import find_spec
from urllib.parse import urlsplit

import idna
from pydantic import SecretStr

from streams.core.errors import SettingsError
from streams.core.expressions import Expression, ExpressionError
from streams.core.ingest.overlaps import same_ids
from streams.core.ingest.targets import TARGETS
from streams.core.topics import Topics
from streams.settings.models import (
    AlertSettings,
    HttpSettings,
    IngestSettings,
    RegistrySettings,
    SourceSettings,
    WebSettings,
)
from streams.settings.proxies import entries, entry_problem
from streams.vendors import VENDORS
from streams.vendors.base import Vendor, VendorSettings

Problems = Iterator[tuple[str, str]]
"""Pairs of a field's name and what is wrong with it."""


def is_loopback(host: str) -> bool:
    """Whether a host name or address never leaves this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def host_problem(host: str) -> str | None:
    """Return why this can be no host of an address, as a part of a sentence, or None.

    Names are judged as they are looked up: by IDNA. An underscore is let through, since names of
    containers have it.
    """
    if ":" in host:  # in brackets, so it was judged as an IPv6 address already
        return None
    last = host.rstrip(".").rpartition(".")[2]
    if last.isascii() and last.isdigit():
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            return "an address of numbers has four of 0 to 255"
        return None
    try:
        encoded = [_encoded(label) for label in host.removesuffix(".").lower().split(".")]
    except ValueError as error:  # idna's own is one
        return str(error).rstrip(".")
    return None if len(".".join(encoded)) <= _MAX_NAME_CHARS else "it is longer than 253 characters"


_MAX_NAME_CHARS = 253
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")


def _encoded(label: str) -> str:
    """Return a part of a host name as it is looked up; raises ValueError with the reason."""
    if not label.isascii() or label.startswith("xn--"):
        return idna.alabel(label).decode()
    if _LABEL.fullmatch(label) is None:
        raise ValueError(f'"{label}" must be 1 to 63 letters, digits and hyphens, none at an end')
    return label


def source_problems(source: SourceSettings) -> Problems:
    """What of a field map cannot be read."""
    try:
        source.field_map()
    except SettingsError as error:
        for problem in error.problems:
            text = problem.lstrip(".: ")
            name = next(
                (one for one in ("timestamp_format", "timezone") if text.startswith(one)), "fields"
            )
            yield name, text.removeprefix(f"{name} ").rstrip(" :.")


def ingest_problems(section: IngestSettings) -> Problems:
    """What of a section's expressions cannot be read."""
    yield from source_problems(section)
    for name in ("when", "each", "key"):
        text = getattr(section, name)
        if text is not None:
            try:
                Expression(text)
            except ExpressionError as problem:
                yield name, str(problem)


def ingest_conflicts(
    sections: Mapping[str, IngestSettings],
    ours: Topics,
    registry: RegistrySettings,
    mapped: set[str],
    off: set[str],
) -> Problems:
    """Yield what does not go together between sections, each by its name, and with the rest.

    ``mapped``: the sources, as in ``to``, that have a field map; ``off``: those that are off.
    """
    formats: dict[str, tuple[str, str]] = {}
    compiled = [(one.topic, one.section(name, VENDORS)) for name, one in sections.items()]
    for name, section in sections.items():
        if ours.is_ours(section.topic):
            yield name, f"topic {section.topic} is one of streams itself; name a topic of the shop"
        if section.to in off:
            yield (
                name,
                f'writes to "{section.to}", which is off; set [source.{section.to}] enabled = true',
            )
        if section.to in mapped:
            yield (
                name,
                (
                    f'writes to "{section.to}", whose records [source.{section.to}] would map once '
                    f"more; move that map to this section"
                ),
            )
        yield from ((name, words) for words in _join_problems(section, sections.values()))
        first, format_ = formats.setdefault(section.topic, (name, section.format))
        if format_ != section.format:
            yield name, f"must have the format of [ingest.{first}], which reads the same topic"
        if section.format == "confluent-avro" and registry.url is None:
            yield name, "format confluent-avro needs [registry] url"
    for one, other in same_ids(compiled):
        yield (
            other.name,
            (
                f"would write events of the same ids as [ingest.{one.name}] to {one.to}: give each "
                "an event_id of its own in fields, or a when that is never true for the same record"
            ),
        )


def _join_problems(section: IngestSettings, every: Collection[IngestSettings]) -> Iterator[str]:
    """Yield what keeps a section from finding visitors, or from saying who they are."""
    links = [one for one in every if one.to == "visitors"]
    if section.to == "visitors" and section.key is not None:
        yield "key has no effect: the order or the visitor is the key of a row of visitors"
    if not section.visitor_from:
        return
    if not TARGETS[section.to].writes_events:
        yield f"visitor_from is for events, not for rows of {section.to}"
        return
    if section.key is not None:
        yield "visitor_from and key exclude each other; leave key out"
    for name in section.visitor_from:
        if name not in TARGETS[section.to].known:
            yield f"visitor_from names {name}, which {section.to} do not have"
    if "order_id" in section.visitor_from and not links:
        yield (
            'visitor_from names order_id, but no section writes to "visitors", which says whose '
            "an order is"
        )
    tells = {"visitors", "users"} if "user_id" in section.visitor_from else {"visitors"}
    if any(one.topic == section.topic and one.to in tells for one in every):
        yield (
            f"visitor_from: topic {section.topic} also says who the visitors are, and a record "
            "would wait for one of the same topic; let the shop write them to different topics"
        )


def registry_problems(registry: RegistrySettings) -> Problems:
    """What does not fit together in ``[registry]``."""
    if registry.url is not None:
        yield from _address_problems(
            registry.url, registry.password is not None, name="url", with_path=True
        )
    if (registry.username is None) != (registry.password is None):
        missing = "username" if registry.username is None else "password"
        yield missing, "is missing; username and password go together"
    if registry.ca_file is not None and not registry.ca_file.is_file():
        yield "ca_file", f"there is no file {registry.ca_file}"


def http_problems(http: HttpSettings) -> Problems:
    """What does not fit together in ``[http]``."""
    user = None
    if http.proxy is not None:
        user, problem = _proxy_problem(http.proxy)
        if problem is not None:
            yield "proxy", problem
        elif http.proxy_password is not None and user is None:
            yield "proxy", "names no user for proxy_password; write http://user@host:port"
    elif http.proxy_password is not None:
        yield "proxy_password", "has no effect without proxy"
    yield from _header_problems({"proxy_password": http.proxy_password})
    for entry in entries(http.no_proxy):
        if (problem := entry_problem(entry)) is not None:
            yield "no_proxy", f'{problem}, not "{entry}"'
            break
    try:
        http.ssl_context()
    except OSError as error:
        yield "ca_file", f"{http.ca_file} cannot be used: {error.strerror or error}"


def _proxy_problem(proxy: str) -> tuple[str | None, str | None]:
    """Return the user that a proxy's address names, and what is wrong with it; it is not shown."""
    shape = "must be scheme, host and port only, like http://proxy.example.com:3128"
    try:
        parts = urlsplit(proxy)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None, shape
    if parts.password is not None:
        return None, "must hold no password; give it as STREAMS_HTTP_PROXY_PASSWORD"
    if parts.scheme == "https":
        return None, "must begin with http://; what goes to vendors is encrypted all the same"
    if parts.scheme != "http" or not host or not port or not proxy.isprintable():
        return None, shape
    if parts.path not in ("", "/") or "?" in proxy or "#" in proxy:
        return None, f"{shape}, without a path"
    if (problem := host_problem(host)) is not None:
        return None, f"{host} is no host name: {problem}"
    return parts.username, None


def web_problems(web: WebSettings) -> Problems:
    """What does not fit together in ``[web]``."""
    if not is_loopback(web.host) and web.token is None:
        yield "token", f"is missing; host {web.host} can be reached from other machines"
    yield from _header_problems({"token": web.token, "metrics_token": web.metrics_token})
    if web.metrics_token is not None and web.token is None:
        yield "metrics_token", "has no effect without token: then /metrics needs none"
    elif web.metrics_token is not None and web.metrics_token == web.token:
        yield "metrics_token", "must differ from token, which may do everything"


def alert_problems(alerts: AlertSettings) -> Problems:
    """Yield what keeps an address of ``[alerts]`` from being used; addresses are not shown."""
    if not alerts.addresses():
        return
    if find_spec("apprise") is None:
        yield "urls", "needs: pip install 'clickstream-relay[alerts]'"
        return
    services = alerts.services()
    for number, service in enumerate(services, 1):
        if service is None:
            which = f"address {number} of {len(services)}"
            yield (
                "urls",
                f"{which} is none that Apprise can use, like slack://, mailtos:// or jsons://",
            )


def vendor_problems(
    vendor: Vendor, settings: VendorSettings, variable: Callable[[str, str], str]
) -> Problems:
    """What does not fit together in a vendor's section; ``variable`` names other settings."""
    secrets = {name: getattr(settings, name) for name in type(settings).model_fields}
    secrets = {
        name: value
        for name, value in secrets.items()
        if isinstance(value, SecretStr) and name not in vendor.mapping_secrets
    }
    yield from _header_problems(secrets)
    if settings.max_age_hours is not None and not 0 < settings.max_age_hours < float("inf"):
        yield "max_age_hours", "must be more than 0"

    given = [name for name in vendor.credentials if getattr(settings, name) is not None]
    if settings.base_url:
        yield from _address_problems(settings.base_url, bool(given))
    elif given:
        yield "base_url", f"is missing; {variable(vendor.key, given[0])} is given"
    if settings.enabled is None and given:
        off = variable(vendor.key, "enabled")
        for name in vendor.credentials:
            if name not in given:
                other = variable(vendor.key, given[0])
                yield name, f"is missing, while {other} is given; give both or set {off}=false"


def _header_problems(secrets: Mapping[str, SecretStr | None]) -> Problems:
    for name, secret in secrets.items():
        text = "" if secret is None else secret.get_secret_value()
        if not text.isascii() or not text.isprintable() or text != text.strip():
            yield name, "must be printable ASCII without spaces around it: it is sent in a header"


def _address_problems(
    url: str, with_key: bool, *, name: str = "base_url", with_path: bool = False
) -> Problems:
    shape = "must be scheme, host and port only, like https://api.example.com"
    if with_path:
        shape = "must be an address like https://registry.example.com:8081"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        yield name, shape
        return
    if parts.scheme not in ("http", "https") or not host or port == 0 or not url.isprintable():
        yield name, shape
    elif (problem := host_problem(host)) is not None:
        yield name, f"{host} is no host name: {problem}"
    elif "@" in parts.netloc or "?" in url or "#" in url:
        yield name, shape
    elif parts.path not in ("", "/") and not with_path:
        yield name, shape + "; the documented path is appended"
    elif parts.scheme == "http" and with_key and not is_loopback(host):
        yield name, f"must begin with https://, or the key would reach {host} unencrypted"
