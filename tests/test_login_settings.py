"""Settings with which to log in to Kafka: what cannot work is one sentence without a secret."""

import json
import time
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from streams.core.errors import SettingsError
from streams.settings import load_settings
from streams.settings.kafka_rules import token_problem

K = "STREAMS_KAFKA_"
OAUTH = {f"{K}SECURITY_PROTOCOL": "SASL_SSL", f"{K}SASL_MECHANISM": "OAUTHBEARER"}
BY_URL = {
    **OAUTH,
    f"{K}OAUTH_TOKEN_URL": "https://login.example.com/token",
    f"{K}OAUTH_CLIENT_ID": "relay",
    f"{K}OAUTH_CLIENT_SECRET": "hidden-word",
}


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No streams.toml lies around."""
    monkeypatch.chdir(tmp_path)


def problems(environ: dict[str, str]) -> list[str]:
    """What loading this environment complains about."""
    with pytest.raises(SettingsError) as caught:
        load_settings(environ)
    assert "hidden-word" not in str(caught.value)
    return list(caught.value.problems)


def jwt(expires: float) -> str:
    """A token that says until when it is valid."""
    body = urlsafe_b64encode(json.dumps({"exp": expires}).encode()).rstrip(b"=").decode()
    return f"head.{body}.sign"


def test_each_mechanism_asks_for_what_it_needs_alone() -> None:
    """No user name for a token, no region for a password."""
    load_settings(BY_URL)
    assert problems(OAUTH) == [
        f"{K}OAUTH_TOKEN_FILE: is missing; OAUTHBEARER needs it, or oauth_token_url."
    ]
    assert problems({**BY_URL, f"{K}OAUTH_TOKEN_FILE": "token"}) == [
        f"{K}OAUTH_TOKEN_FILE: stands beside oauth_token_url; give one of them."
    ]
    assert problems({**BY_URL, f"{K}OAUTH_CLIENT_SECRET": ""}) == [
        f"{K}OAUTH_CLIENT_SECRET: is missing; oauth_token_url needs it."
    ]
    assert problems({f"{K}OAUTH_SCOPE": "kafka"}) == [
        f"{K}OAUTH_SCOPE: has no effect without sasl_mechanism OAUTHBEARER."
    ]
    msk = {f"{K}SECURITY_PROTOCOL": "SASL_SSL", f"{K}SASL_MECHANISM": "AWS_MSK_IAM"}
    assert problems(msk) == [f"{K}AWS_REGION: is missing; sasl_mechanism AWS_MSK_IAM needs it."]


def test_msk_without_its_signer_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signer is an extra."""
    monkeypatch.setattr("streams.settings.kafka_rules.find_spec", lambda _name: None)
    environ = {
        f"{K}SECURITY_PROTOCOL": "SASL_SSL",
        f"{K}SASL_MECHANISM": "AWS_MSK_IAM",
        f"{K}AWS_REGION": "eu-central-1",
    }
    assert problems(environ) == [
        (
            f"{K}SASL_MECHANISM: AWS_MSK_IAM needs: pip install 'clickstream-relay[msk]', "
            "or an image built with EXTRAS=msk."
        )
    ]


def test_a_codec_without_its_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes with the package; somebody has taken it away."""
    load_settings({f"{K}COMPRESSION": "zstd"})
    monkeypatch.setattr("streams.settings.kafka_rules.find_spec", lambda _name: None)
    assert problems({f"{K}COMPRESSION": "zstd"}) == [
        f"{K}COMPRESSION: zstd needs: pip install cramjam."
    ]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://login.example.com/token", "must begin with https://, or the secret would be "),
        ("login.example.com", "must be an address like https://login.example.com/token."),
        ("https://relay:hidden-word@login.example.com", "must be an address like https://"),
    ],
)
def test_a_token_url_that_cannot_be_meant_is_refused(url: str, words: str) -> None:
    """Nor one that would show the secret."""
    (problem,) = problems({**BY_URL, f"{K}OAUTH_TOKEN_URL": url})
    assert problem.startswith(f"{K}OAUTH_TOKEN_URL: {words}")


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (None, "cannot read token: No such file or directory"),
        ("", "token is empty"),
        ("\n", "token is empty"),
        (jwt(0), "the token in token expired at 1970-01-01 00:00:00 UTC"),
        ("two words", "the token in token has characters that no token has"),
    ],
)
def test_a_token_file_without_a_valid_token_is_refused(token: str | None, words: str) -> None:
    """Empty, expired or away."""
    if token is not None:
        Path("token").write_text(token)
    assert problems({**OAUTH, f"{K}OAUTH_TOKEN_FILE": "token"}) == [
        f"{K}OAUTH_TOKEN_FILE: {words}."
    ]


def test_a_token_that_is_no_jwt_is_taken_as_it_is() -> None:
    """And one that is valid still."""
    assert token_problem("opaque-token", 0) is None
    assert token_problem(jwt(time.time() + 60), time.time()) is None


@pytest.fixture
def tls(tmp_path: Path) -> dict[str, str]:
    """A certificate whose key is encrypted."""
    authority = trustme.CA()
    issued = authority.issue_cert("relay.example")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    (tmp_path / "relay.pem").write_bytes(b"".join(p.bytes() for p in issued.cert_chain_pems))
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    encrypted = key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"right-word")
    )
    (tmp_path / "relay.key").write_bytes(encrypted)
    return {
        f"{K}SECURITY_PROTOCOL": "SSL",
        f"{K}SSL_CAFILE": "ca.pem",
        f"{K}SSL_CERTFILE": "relay.pem",
        f"{K}SSL_KEYFILE": "relay.key",
    }


def test_an_encrypted_key_needs_its_password_and_never_asks(tls: dict[str, str]) -> None:
    """Neither a person nor a terminal."""
    load_settings({**tls, f"{K}SSL_KEY_PASSWORD": "right-word"})
    (without,) = problems(tls)
    assert without.startswith(
        f"{K}SSL_KEYFILE: relay.key is no key of relay.pem, or is encrypted and needs "
        f"{K}SSL_KEY_PASSWORD ("
    )
    (wrong,) = problems({**tls, f"{K}SSL_KEY_PASSWORD": "hidden-word"})
    assert wrong.startswith(f"{K}SSL_KEY_PASSWORD: does not open the key relay.key (")


def test_a_key_of_another_certificate_is_refused(tls: dict[str, str]) -> None:
    """Or what is no certificate at all."""
    Path("relay.key").write_bytes(trustme.CA().issue_cert("x.example").private_key_pem.bytes())
    (problem,) = problems(tls)
    assert problem.startswith(f"{K}SSL_KEYFILE: relay.key is no key of relay.pem")
    Path("relay.pem").write_text("none")
    (problem,) = problems(tls)
    assert problem.startswith(f"{K}SSL_CERTFILE: relay.pem cannot be used (")


@pytest.mark.parametrize(("seconds", "words"), [("5", "at least 6"), ("301", "at most 300")])
def test_a_session_has_6_to_300_seconds(seconds: str, words: str) -> None:
    """What brokers allow by default."""
    (problem,) = problems({f"{K}SESSION_SECONDS": seconds})
    assert problem.startswith(f"{K}SESSION_SECONDS: must be {words}")


def test_secrets_of_files_are_read_anew(tmp_path: Path) -> None:
    """What cannot be read is said by the variable's name."""
    (tmp_path / "password").write_text("first")
    kafka = load_settings(
        {
            f"{K}SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            f"{K}SASL_MECHANISM": "PLAIN",
            f"{K}SASL_USERNAME": "relay",
            f"{K}SASL_PASSWORD_FILE": "password",
        }
    ).kafka
    (tmp_path / "password").write_text("second")
    assert kafka.current().client_options()["sasl_plain_password"] == "second"
    (tmp_path / "password").unlink()
    with pytest.raises(SettingsError, match=r"^STREAMS_KAFKA_SASL_PASSWORD_FILE: cannot read "):
        kafka.current()
