"""Which way an address is reached: through the proxy, or past it."""

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Route:
    """The way to one address."""

    proxy: str | None
    """The proxy's address; None: none is used."""
    is_exempt: bool = False
    """``no_proxy`` is why none is used."""

    @property
    def words(self) -> str:
        """The way as it is shown, without a user name; empty where no proxy is set."""
        if self.is_exempt:
            return "without the proxy, as STREAMS_HTTP_NO_PROXY says"
        if self.proxy is None:
            return ""
        parts = urlsplit(self.proxy)
        return f"through the proxy {parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def route_to(url: str, proxy: str | None, no_proxy: str) -> Route:
    """Return the way to ``url``.

    An entry of ``no_proxy`` is a host (its subdomains count, too), an address, a network such as
    ``10.0.0.0/8``, or ``*`` for every host. Names are not looked up.
    """
    if proxy is None:
        return Route(None)
    host = (urlsplit(url).hostname or "").rstrip(".")
    is_exempt = any(_covers(entry, host) for entry in entries(no_proxy))
    return Route(None if is_exempt else proxy, is_exempt)


def entries(no_proxy: str) -> list[str]:
    """Return the entries of ``no_proxy`` in lower case."""
    return [entry for entry in (one.strip().lower() for one in no_proxy.split(",")) if entry]


def entry_problem(entry: str) -> str | None:
    """Return why this can be no entry of ``no_proxy``, as a part of a sentence, or None."""
    if "://" in entry or (":" in entry and "]" not in entry and entry.count(":") == 1):
        return "takes hosts without scheme or port"
    if "/" in entry and _network(entry) is None:
        return "takes networks such as 10.0.0.0/8"
    if " " in entry or ("*" in entry.removeprefix("*.") and entry != "*"):
        return "takes hosts separated by commas, and * alone or as the first label"
    return None


def _covers(entry: str, host: str) -> bool:
    if entry == "*":
        return True
    network, address = _network(entry.strip("[]")), _network(host)
    if network is not None:
        return address is not None and address[0] in network
    name = entry.removeprefix("*").strip(".")
    return host == name or host.endswith(f".{name}")


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
