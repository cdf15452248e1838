"""One broker with a door for each way to log in, whose sessions are short and idle ones shorter."""

import json
import subprocess
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from streams.lab.embedded import EmbeddedKafka
from streams.lab.embedded.jars import DEFAULT_VERSION, java_home, kafka_jars
from streams.lab.embedded.ports import free_port

USER, PASSWORD, KEY_PASSWORD = "relay", "a secret of the test", "key secret of the test"
SESSION_SECONDS = 10
_SECURITY = "org.apache.kafka.common.security"
_MODULES = {
    "plain": f'{_SECURITY}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";',
    "scram-sha-256": f"{_SECURITY}.scram.ScramLoginModule required;",
    "scram-sha-512": f"{_SECURITY}.scram.ScramLoginModule required;",
    "oauthbearer": (
        f"{_SECURITY}.oauthbearer.OAuthBearerLoginModule required "
        'unsecuredLoginStringClaim_sub="broker";'
    ),
}


def token(seconds: float = 3600, subject: str = USER) -> str:
    """An unsigned token, as Kafka's own validator for development takes it."""
    now = time.time()
    claims = {"sub": subject, "iat": now - 60, "exp": now + seconds}
    parts = (json.dumps(part).encode() for part in ({"alg": "none"}, claims))
    return ".".join([*(urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts), ""])


@dataclass
class Doors:
    """The broker's addresses and what opens them."""

    kind: str
    bootstrap_servers: str
    """Open to everybody."""
    sasl_servers: str
    tls_servers: str
    folder: Path
    authority: trustme.CA

    def sasl(self, mechanism: str, **more: str) -> dict[str, str]:
        """Settings for a user name and a password, or for a token."""
        env = {
            "STREAMS_KAFKA_BOOTSTRAP_SERVERS": self.sasl_servers,
            "STREAMS_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "STREAMS_KAFKA_SSL_CAFILE": str(self.folder / "ca.pem"),
            "STREAMS_KAFKA_SASL_MECHANISM": mechanism,
        }
        if mechanism not in ("OAUTHBEARER", "AWS_MSK_IAM"):
            env["STREAMS_KAFKA_SASL_USERNAME"] = USER
            env["STREAMS_KAFKA_SASL_PASSWORD"] = PASSWORD
        return {**env, **more}

    def mtls(self, folder: Path, **more: str) -> dict[str, str]:
        """Settings for a certificate in this folder, whose key is encrypted."""
        self.issue(folder)
        return {
            "STREAMS_KAFKA_BOOTSTRAP_SERVERS": self.tls_servers,
            "STREAMS_KAFKA_SECURITY_PROTOCOL": "SSL",
            "STREAMS_KAFKA_SSL_CAFILE": str(self.folder / "ca.pem"),
            "STREAMS_KAFKA_SSL_CERTFILE": str(folder / "relay.pem"),
            "STREAMS_KAFKA_SSL_KEYFILE": str(folder / "relay.key"),
            "STREAMS_KAFKA_SSL_KEY_PASSWORD": KEY_PASSWORD,
            **more,
        }

    def issue(self, folder: Path) -> None:
        """Write a new certificate and its encrypted key."""
        issued = self.authority.issue_cert("relay.example")
        key = load_pem_private_key(issued.private_key_pem.bytes(), None)
        encrypted = key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(KEY_PASSWORD.encode())
        )
        (folder / "relay.key").write_bytes(encrypted)
        (folder / "relay.pem").write_bytes(b"".join(p.bytes() for p in issued.cert_chain_pems))

    def set_scram_password(self, password: str) -> None:
        """Let the user in with this password from now on, with either hash."""
        for hash_ in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
            self._alter(f"{hash_}=[iterations=4096,password={password}]")

    def _alter(self, config: str) -> None:
        jars = ":".join(map(str, kafka_jars(DEFAULT_VERSION, None)))
        words = ["--alter", "--add-config", config, "--entity-type", "users"]
        subprocess.run(
            [
                *(str(java_home() / "bin" / "java"), "-XX:TieredStopAtLevel=1", "-cp", jars),
                *("kafka.admin.ConfigCommand", "--bootstrap-server", self.bootstrap_servers),
                *(*words, "--entity-name", USER),
            ],
            check=True,
            capture_output=True,
        )


@contextmanager
def broker_with_doors(folder: Path) -> Iterator[Doors]:
    """Yield a broker that ends each session after ten seconds and idle connections after eight."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued = authority.issue_cert("127.0.0.1")
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    store = folder / "server.pem"
    store.write_bytes(pem + b"".join(part.bytes() for part in issued.cert_chain_pems))
    ports = {"SASL": free_port()}
    ports["TLS"] = next(port for port in iter(free_port, 0) if port != ports["SASL"])
    properties: dict[str, str] = {
        "listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items()),
        "listener.security.protocol.map": "SASL:SASL_SSL,TLS:SSL",
        "connections.max.idle.ms": "8000",
        "listener.name.sasl.sasl.enabled.mechanisms": (
            "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER"
        ),
        "listener.name.tls.ssl.client.auth": "required",
        "listener.name.tls.ssl.truststore.type": "PEM",
        "listener.name.tls.ssl.truststore.location": str(folder / "ca.pem"),
        "listener.name.sasl.oauthbearer.sasl.server.callback.handler.class": (
            f"{_SECURITY}.oauthbearer.internals.unsecured."
            "OAuthBearerUnsecuredValidatorCallbackHandler"
        ),
    }
    properties["advertised.listeners"] = properties["listeners"]
    for mechanism, module in _MODULES.items():
        properties[f"listener.name.sasl.{mechanism}.sasl.jaas.config"] = module
        properties[f"listener.name.sasl.{mechanism}.connections.max.reauth.ms"] = str(
            SESSION_SECONDS * 1000
        )
    for listener in ("sasl", "tls"):
        properties[f"listener.name.{listener}.ssl.keystore.type"] = "PEM"
        properties[f"listener.name.{listener}.ssl.keystore.location"] = str(store)
    with EmbeddedKafka(data_dir=folder / "kafka", properties=properties) as kafka:
        doors = Doors(
            "embedded, with doors",
            kafka.bootstrap_servers,
            f"127.0.0.1:{ports['SASL']}",
            f"127.0.0.1:{ports['TLS']}",
            folder,
            authority,
        )
        doors.set_scram_password(PASSWORD)
        yield doors
