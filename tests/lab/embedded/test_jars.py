"""Getting Kafka's jars once, from a Maven repository that is a dictionary here."""

import io
import os
import ssl
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import requests
from jgo.constants import MAVEN_CENTRAL_URL

from streams.core.errors import SetupError
from streams.lab.embedded import DownloadProgress
from streams.lab.embedded.jars import kafka_jars

CENTRAL = f"{MAVEN_CENTRAL_URL}/"


def pom(group: str, name: str, version: str, *needs: str) -> bytes:
    """A POM with compile dependencies, each ``group:name:version``."""
    dependencies = ""
    for need in needs:
        g, a, v = need.split(":")
        dependencies += (
            f"<dependency><groupId>{g}</groupId><artifactId>{a}</artifactId>"
            f"<version>{v}</version><scope>compile</scope></dependency>"
        )
    return (
        "<project><modelVersion>4.0.0</modelVersion>"
        f"<groupId>{group}</groupId><artifactId>{name}</artifactId><version>{version}</version>"
        f"<dependencies>{dependencies}</dependencies></project>"
    ).encode()


def jar(content: str) -> bytes:
    """A jar with one file."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr("content", content)
    return whole.getvalue()


class Central:
    """Maven Central as far as a small Kafka needs it; remembers what was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.failures: list[Exception] = []
        """Raised one by one, before anything is answered."""
        kafka = "org.apache.kafka:kafka-tools-api:9.0.0"
        self._add(
            "org.apache.kafka",
            "kafka_2.13",
            "9.0.0",
            kafka,
            "org.apache.logging.log4j:log4j-core:2.0.1",
        )
        self._add("org.apache.kafka", "kafka-tools-api", "9.0.0")
        self._add("org.apache.logging.log4j", "log4j-core", "2.0.1")
        self._add("org.apache.logging.log4j", "log4j-slf4j-impl", "2.0.1")

    def _add(self, group: str, name: str, version: str, *needs: str) -> None:
        folder = f"{group.replace('.', '/')}/{name}/{version}/{name}-{version}"
        self.files[f"{folder}.pom"] = pom(group, name, version, *needs)
        self.files[f"{folder}.jar"] = jar(name)

    def request(self, _method: str, url: str, **_: Any) -> requests.Response:
        """What ``requests.request`` would answer."""
        if self.failures:
            raise self.failures.pop(0)
        path = url.removeprefix(CENTRAL)
        self.asked.append(path)
        answer = requests.Response()
        body = self.files.get(path)
        answer.status_code = 404 if body is None else 200
        answer.raw = io.BytesIO(body or b"")
        answer.headers["content-length"] = str(len(body or b""))
        return answer


@pytest.fixture
def central(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Central:
    """A repository of its own and empty caches."""
    repository = Central()
    monkeypatch.setattr(requests, "request", repository.request)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))
    monkeypatch.setenv("JGO_CACHE_DIR", str(tmp_path / "jgo"))
    monkeypatch.setenv("JGO_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    return repository


def nothing(progress: DownloadProgress) -> None:
    """Show no progress."""


def names(found: list[Path]) -> list[str]:
    """The jars' names, sorted."""
    return sorted(path.name for path in found)


def test_jars_are_all_that_kafka_needs_and_what_writes_its_log(central: Central) -> None:
    """The POM leaves the log's writer to the distribution, and kafka-tools-api is not needed."""
    assert names(kafka_jars("9.0.0", nothing)) == [
        "kafka_2.13-9.0.0.jar",
        "log4j-core-2.0.1.jar",
        "log4j-slf4j-impl-2.0.1.jar",
    ]


def test_second_call_asks_for_nothing(central: Central) -> None:
    """What is in the cache is found without the network."""
    first = kafka_jars("9.0.0", nothing)
    central.asked.clear()
    assert kafka_jars("9.0.0", nothing) == first
    assert central.asked == []


def test_progress_counts_the_jars(central: Central) -> None:
    """One report while it is unknown how many there are, then one for each."""
    reports: list[DownloadProgress] = []
    kafka_jars("9.0.0", reports.append)
    assert reports == [
        DownloadProgress("Apache Kafka 9.0.0: looking up what it needs", 0, 0),
        DownloadProgress("Apache Kafka 9.0.0: downloading", 1, 3),
        DownloadProgress("Apache Kafka 9.0.0: downloading", 2, 3),
        DownloadProgress("Apache Kafka 9.0.0: downloading", 3, 3),
    ]


def test_half_a_jar_of_an_interrupted_download_is_fetched_again(
    central: Central, tmp_path: Path
) -> None:
    """A file that is there need not be whole."""
    half = tmp_path / "m2/org/apache/kafka/kafka_2.13/9.0.0/kafka_2.13-9.0.0.jar"
    half.parent.mkdir(parents=True)
    half.write_bytes(jar("kafka_2.13")[:40])
    kafka_jars("9.0.0", nothing)
    assert zipfile.is_zipfile(half)


def test_deleted_jar_is_fetched_again(central: Central) -> None:
    """Somebody who empties the Maven cache in part gets it filled again."""
    first = kafka_jars("9.0.0", nothing)
    first[0].unlink()
    assert kafka_jars("9.0.0", nothing) == first
    assert first[0].exists()


def test_connection_that_fails_twice_is_tried_a_third_time(central: Central) -> None:
    """A short failure of the network does not end a first start."""
    central.failures = [requests.ConnectionError("reset"), requests.Timeout("slow")]
    assert len(kafka_jars("9.0.0", nothing)) == 3


def test_no_network_names_what_is_missing(central: Central) -> None:
    """One plain sentence and what to do."""
    central.failures = [requests.ConnectionError("no route to host")] * 3
    with pytest.raises(SetupError) as caught:
        kafka_jars("9.0.0", nothing)
    assert str(caught.value) == (
        "Apache Kafka 9.0.0 is not in the Maven cache and could not be downloaded "
        "(ConnectionError: no route to host). Connect to the network for the first start."
    )


def test_version_that_does_not_exist_is_a_sentence(central: Central) -> None:
    """A number that Maven Central does not have ends like a missing network."""
    with pytest.raises(SetupError, match=r"Apache Kafka 9\.9\.9 is not in the Maven cache"):
        kafka_jars("9.9.9", nothing)


def test_word_that_is_no_version_is_refused(central: Central) -> None:
    """Nothing is asked for with it."""
    with pytest.raises(SetupError, match="'latest' is no version of Apache Kafka"):
        kafka_jars("latest", nothing)
    assert central.asked == []


def test_certificate_of_the_system_store_is_accepted(
    central: Central, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A company's own authority stands in the system's store and not in certifi's."""
    bundles: list[str | None] = []

    def request(method: str, url: str, **options: Any) -> requests.Response:
        bundles.append(os.environ.get("REQUESTS_CA_BUNDLE"))
        if bundles[-1] is None:
            raise requests.exceptions.SSLError("self-signed certificate in certificate chain")
        return central.request(method, url, **options)

    paths = ssl.get_default_verify_paths()._replace(cafile="/etc/company.pem")
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    monkeypatch.setattr(requests, "request", request)
    assert len(kafka_jars("9.0.0", nothing)) == 3
    assert set(bundles) == {None, "/etc/company.pem"}
    assert "REQUESTS_CA_BUNDLE" not in os.environ


def test_unwritable_cache_is_a_sentence(
    central: Central, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where nothing can be stored, the folder is named."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("JGO_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(SetupError, match=r"Kafka's jars cannot be stored in .*/file"):
        kafka_jars("9.0.0", nothing)
