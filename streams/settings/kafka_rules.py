"""Rules between the settings of ``[kafka]``, each broken one a plain sentence."""

import base64
import json
import time
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from streams.core.errors import SettingsError
from streams.settings.loading import read_secret
from streams.settings.models import TOKEN_MECHANISMS, KafkaSettings
from streams.settings.rules import Problems, is_loopback


def kafka_problems(kafka: KafkaSettings) -> Problems:
    """What does not fit together in ``[kafka]``."""
    protocol, mechanism = kafka.security_protocol, kafka.sasl_mechanism
    needed = ("sasl_mechanism", "sasl_username", "sasl_password")
    for name in needed[:1] if mechanism in TOKEN_MECHANISMS else needed:
        given = getattr(kafka, name) is not None
        if protocol.startswith("SASL_") and not given:
            yield name, f"is missing; security_protocol {protocol} needs it"
        if given and not protocol.startswith("SASL_"):
            yield name, f"has no effect with security_protocol {protocol}; SASL_SSL uses it"
    if kafka.compression != "none" and find_spec("cramjam") is None:
        yield "compression", f"{kafka.compression} needs: pip install cramjam"
    yield from _token_problems(kafka)
    yield from _tls_problems(kafka)


def _tls_problems(kafka: KafkaSettings) -> Problems:
    protocol, is_there = kafka.security_protocol, True
    for name in ("ssl_cafile", "ssl_certfile", "ssl_keyfile"):
        path = getattr(kafka, name)
        if path is None:
            continue
        if not protocol.endswith("SSL"):
            yield name, f"has no effect with security_protocol {protocol}; SSL and SASL_SSL use it"
        elif not path.is_file():
            is_there = False
            yield name, f"there is no file {path}"
    if kafka.ssl_key_password is not None and kafka.ssl_keyfile is None:
        yield "ssl_key_password", "has no effect without ssl_keyfile"
    if kafka.ssl_certfile is not None and kafka.ssl_keyfile is None:
        yield "ssl_keyfile", "is missing; ssl_certfile needs its key"
    if kafka.ssl_keyfile is not None and kafka.ssl_certfile is None:
        yield "ssl_certfile", "is missing; ssl_keyfile belongs to a certificate"
    elif is_there and protocol.endswith("SSL"):
        try:
            kafka.ssl_context()
        except SettingsError as error:
            name, _, words = error.problems[0].removeprefix("STREAMS_KAFKA_").partition(": ")
            yield name.lower(), words.rstrip(".")


_OAUTH = ("oauth_token_file", "oauth_token_url", "oauth_client_id", "oauth_client_secret")
_OF_TOKEN_URL = ("oauth_client_id", "oauth_client_secret")


def _token_problems(kafka: KafkaSettings) -> Problems:
    mechanism = kafka.sasl_mechanism
    for name in (*_OAUTH, "oauth_scope"):
        if getattr(kafka, name) is not None and mechanism != "OAUTHBEARER":
            yield name, "has no effect without sasl_mechanism OAUTHBEARER"
    if kafka.aws_region is not None and mechanism != "AWS_MSK_IAM":
        yield "aws_region", "has no effect without sasl_mechanism AWS_MSK_IAM"
    if mechanism == "AWS_MSK_IAM":
        if kafka.aws_region is None:
            yield "aws_region", "is missing; sasl_mechanism AWS_MSK_IAM needs it"
        if find_spec("aws_msk_iam_sasl_signer") is None:
            needs = "pip install 'clickstream-relay[msk]', or an image built with EXTRAS=msk"
            yield "sasl_mechanism", f"AWS_MSK_IAM needs: {needs}"
    if mechanism == "OAUTHBEARER":
        yield from _oauth_problems(kafka)
    for name, value in kafka.oauth_extensions.items():
        if not name.isalpha() or name == "auth" or not value.isprintable() or not value.isascii():
            yield "oauth_extensions", f"{name} is no extension: a name has letters only"


def _oauth_problems(kafka: KafkaSettings) -> Problems:
    file, url = kafka.oauth_token_file, kafka.oauth_token_url
    if file is None and url is None:
        yield "oauth_token_file", "is missing; OAUTHBEARER needs it, or oauth_token_url"
    elif file is not None and url is not None:
        yield "oauth_token_file", "stands beside oauth_token_url; give one of them"
    elif file is not None:
        try:
            read_token(file, time.time())
        except ValueError as error:
            yield "oauth_token_file", str(error)
    for name in _OF_TOKEN_URL:
        given = getattr(kafka, name) is not None
        if kafka.oauth_token_url is None and given:
            yield name, "has no effect without oauth_token_url"
        elif kafka.oauth_token_url is not None and not given:
            yield name, "is missing; oauth_token_url needs it"
    if kafka.oauth_token_url is not None:
        yield from _token_url_problems(kafka.oauth_token_url)


def _token_url_problems(url: str) -> Problems:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or "@" in parts.netloc:
        yield "oauth_token_url", "must be an address like https://login.example.com/token"
    elif parts.scheme == "http" and not is_loopback(host):
        yield "oauth_token_url", "must begin with https://, or the secret would be readable"


def read_token(path: Path, now: float) -> str:
    """Return the token in a file; raises ValueError with why it cannot be used at this time."""
    token = read_secret(path).strip()
    problem = token_problem(token, now)
    if problem is not None:
        raise ValueError(f"the token in {path} {problem}")
    return token


def token_problem(token: str, now: float) -> str | None:
    """Return why a token cannot be used at this time (s since the epoch), or None; pure.

    Of a token that is no JWT only its characters are looked at.
    """
    if not token:
        return "is empty"
    if not token.isascii() or not token.isprintable() or " " in token:
        return "has characters that no token has"
    try:
        body = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        until = float(claims["exp"])
    except (IndexError, ValueError, KeyError, TypeError):
        return None
    if until > now:
        return None
    return f"expired at {datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M:%S} UTC"
