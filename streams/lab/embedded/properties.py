"""The broker's configuration files, as text."""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path

LISTS = ("listeners", "advertised.listeners", "listener.security.protocol.map")
"""What is given of these is added to what the node has, not put in its place."""


def _template(name: str) -> str:
    return resources.files("streams.lab.embedded").joinpath(name).read_text("utf-8")


def server_properties(
    data: Path, port: int, controller_port: int, more: Mapping[str, str] | None = None
) -> str:
    """``server.properties`` of a node that serves clients on loopback ``port``.

    ``more``: the broker's own properties by name; those in ``LISTS`` are appended.
    """
    lines = _template("broker.properties").splitlines()
    whole = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    whole |= {
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "log.dirs": str(data),
    }
    for name, value in (more or {}).items():
        whole[name] = f"{whole[name]},{value}" if name in LISTS else value
    return "".join(f"{name}={value}\n" for name, value in whole.items())


def write_log_config(folder: Path, log: Path, version: str) -> str:
    """Write the log configuration into ``folder``; return the JVM argument that names it."""
    is_old = version.startswith("3.")
    path = folder / ("reload4j.properties" if is_old else "log4j2.properties")
    path.write_text(_template(path.name).format(log=log), encoding="utf-8")
    option = "log4j.configuration" if is_old else "log4j2.configurationFile"
    return f"-D{option}={'file:' if is_old else ''}{path}"
