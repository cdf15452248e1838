"""A real registry: Apicurio's application from Maven Central, on the Java of the embedded Kafka."""

import subprocess
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from streams.lab.embedded.jars import java_home
from streams.lab.embedded.ports import free_port

VERSION = "3.3.3"
START_SECONDS = 180


def apicurio_archive() -> Path:
    """The application; downloaded into the Maven cache unless it is there."""
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext

    settings = GlobalSettings.load()
    context = MavenContext(
        repo_cache=settings.repo_cache,
        remote_repos={"central": MAVEN_CENTRAL_URL, **settings.repositories},
        timeout=120,
    )
    component = context.project("io.apicurio", "apicurio-registry-app").at_version(VERSION)
    return Path(component.artifact(classifier="all", packaging="tar.gz").resolve())


@contextmanager
def apicurio(archive: Path, folder: Path) -> Iterator[str]:
    """Run it in ``folder``, schemas in memory; yield the URL of its Confluent-compatible API."""
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    port = free_port()
    options = {
        "quarkus.http.host": "127.0.0.1",
        "quarkus.http.port": port,
        "quarkus.management.enabled": "false",
        "quarkus.management.host": "127.0.0.1",
        "quarkus.management.port": 0,
        "apicurio.storage.kind": "sql",
        "apicurio.storage.sql.kind": "h2",
    }
    url = f"http://127.0.0.1:{port}/apis/ccompat/v7"
    with (folder / "console.log").open("wb") as console:
        process = _start(folder, options, console)
        try:
            _wait(process, url, folder / "console.log")
            yield url
        finally:
            process.kill()
            process.wait()


def _start(
    folder: Path, options: dict[str, object], console: IO[bytes]
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [
            *(str(java_home() / "bin" / "java"), "-Xmx512m", "-XX:TieredStopAtLevel=1"),
            *(f"-D{name}={value}" for name, value in options.items()),
            *("-jar", "quarkus-run.jar"),
        ],
        cwd=folder,
        stdout=console,
        stderr=subprocess.STDOUT,
    )


def _wait(process: "subprocess.Popen[bytes]", url: str, console: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"{url}/subjects", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            assert process.poll() is None, console.read_text()[-2000:]
            assert time.monotonic() < deadline, console.read_text()[-2000:]
            time.sleep(0.2)
