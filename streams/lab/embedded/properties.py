"""The broker's configuration files, as text."""

from collections.abc import Mapping
from pathlib import Path

BROKER = {
    "node.id": "1",
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    # A topic that nobody made is an error here as in production.
    "auto.create.topics.enable": "false",
    "num.partitions": "6",
    "default.replication.factor": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    # Groups form at once, and a killed member is missed soon.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # After a kill the next start waits for the old registration to expire.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    # One node for one person: small pools, a small heap.
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
    "log.cleaner.dedupe.buffer.size": "16777216",
}

LOG4J2 = """\
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = {log}
appender.file.filePattern = {log}.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d %p %c: %m%n
appender.file.policies.type = SizeBasedTriggeringPolicy
appender.file.policies.size = 20MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 2
rootLogger.level = INFO
rootLogger.appenderRef.file.ref = file
"""

RELOAD4J = """\
log4j.rootLogger=INFO, file
log4j.appender.file=org.apache.log4j.RollingFileAppender
log4j.appender.file.File={log}
log4j.appender.file.MaxFileSize=20MB
log4j.appender.file.MaxBackupIndex=2
log4j.appender.file.layout=org.apache.log4j.PatternLayout
log4j.appender.file.layout.ConversionPattern=%d %p %c: %m%n
"""


LISTS = ("listeners", "advertised.listeners", "listener.security.protocol.map")
"""What is given of these is added to what the node has, not put in its place."""


def server_properties(
    data: Path, port: int, controller_port: int, more: Mapping[str, str] | None = None
) -> str:
    """``server.properties`` of a node that serves clients on loopback ``port``.

    ``more``: the broker's own properties by name; those in ``LISTS`` are appended.
    """
    own = {
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "log.dirs": str(data),
    }
    whole = {**BROKER, **own}
    for name, value in (more or {}).items():
        whole[name] = f"{whole[name]},{value}" if name in LISTS else value
    return "".join(f"{name}={value}\n" for name, value in whole.items())


def write_log_config(folder: Path, log: Path, version: str) -> str:
    """Write the log configuration into ``folder``; return the JVM argument that names it."""
    if version.startswith("3."):
        path = folder / "reload4j.properties"
        path.write_text(RELOAD4J.format(log=log), encoding="utf-8")
        return f"-Dlog4j.configuration=file:{path}"
    path = folder / "log4j2.properties"
    path.write_text(LOG4J2.format(log=log), encoding="utf-8")
    return f"-Dlog4j2.configurationFile={path}"
