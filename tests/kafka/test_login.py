"""Every way to log in, on one broker that ends sessions after ten seconds and idle ones sooner."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from streams.core.errors import SetupError
from streams.kafka.connection import ask_brokers
from streams.settings import load_settings
from tests.kafka.doors import KEY_PASSWORD, PASSWORD, Doors, broker_with_doors, token
from tests.kafka.pipeline import Pipeline, Worker, many, visitors

pytestmark = [
    pytest.mark.kafka,
    # aiokafka does not wait for the TLS connections that it closes; the loop may end before.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

LOAD_SECONDS = 32
"""Three sessions."""
TOKEN_URL = "STREAMS_KAFKA_OAUTH_TOKEN_URL"


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """The broker of all these tests."""
    with broker_with_doors(tmp_path_factory.mktemp("doors")) as broker:
        yield broker


class TokenServer:
    """An identity provider that issues tokens by client credentials."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[dict[str, str]] = []
        self.answer = "token"
        self.seconds = 3600.0

    async def serve(self, request: web.BaseRequest) -> web.Response:
        """Answer as it is told to."""
        form = dict(part.split("=") for part in (await request.text()).split("&"))
        self.asked.append(form | {"login": request.headers.get("Authorization", "")})
        match self.answer:
            case "hang":
                await asyncio.sleep(60)
            case "html":
                return web.Response(text="<html>Log in</html>", content_type="text/html")
            case "refuse":
                return web.json_response({"error": "invalid_client"}, status=401)
            case "empty":
                return web.json_response({"access_token": ""})
        return web.json_response({"access_token": token(self.seconds), "token_type": "Bearer"})


@asynccontextmanager
async def token_server() -> AsyncIterator[TokenServer]:
    """Yield one that listens."""
    server = TokenServer()
    runner = web.ServerRunner(web.Server(server.serve), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/token"
    try:
        yield server
    finally:
        await runner.cleanup()


def by_url(doors: Doors, server: TokenServer, **more: str) -> dict[str, str]:
    """Settings for tokens of this server."""
    return doors.sasl(
        "OAUTHBEARER",
        **{
            TOKEN_URL: server.url,
            "STREAMS_KAFKA_OAUTH_CLIENT_ID": "relay",
            "STREAMS_KAFKA_OAUTH_CLIENT_SECRET": "client secret",
            **more,
        },
    )


@pytest.mark.parametrize(
    "way", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "mTLS", "token file", "token url"]
)
async def test_each_way_leads_in(doors: Doors, tmp_path: Path, way: str) -> None:
    """With the settings of the contract."""
    async with token_server() as server:
        if way == "mTLS":
            env = doors.mtls(tmp_path)
        elif way == "token file":
            (tmp_path / "token").write_text(token() + "\n")
            extensions = '{"logicalCluster": "lkc-1"}'
            env = doors.sasl(
                "OAUTHBEARER",
                STREAMS_KAFKA_OAUTH_TOKEN_FILE=str(tmp_path / "token"),
                STREAMS_KAFKA_OAUTH_EXTENSIONS=extensions,
            )
        elif way == "token url":
            env = by_url(doors, server, STREAMS_KAFKA_OAUTH_SCOPE="kafka")
        else:
            env = doors.sasl(way)
        await ask_brokers(load_settings(env).kafka)
        if way == "token url":
            assert {form["scope"] for form in server.asked} == {"kafka"}
            assert {form["grant_type"] for form in server.asked} == {"client_credentials"}
            assert all(form["login"].startswith("Basic ") for form in server.asked)


@asynccontextmanager
async def loaded(
    doors: Doors, env: dict[str, str], prefix: str, folder: Path
) -> AsyncIterator[tuple[Pipeline, tuple[Worker, Worker], "asyncio.Task[int]"]]:
    """Yield a pipeline into which events flow, through workers that log in so."""
    async with Pipeline(doors, prefix, folder) as pipeline:
        await pipeline.products("p1")
        workers = (pipeline.start("enrich", **env), pipeline.start("miso", **env))
        await pipeline.ready(*workers)

        async def flow() -> int:
            sent, ends = 0, time.monotonic() + LOAD_SECONDS
            while time.monotonic() < ends:
                await pipeline.send(*many(20, visitors(10), sent))
                sent += 20
                await asyncio.sleep(0.1)
            return sent

        flowing = asyncio.create_task(flow())
        try:
            yield pipeline, workers, flowing
            sent = await flowing
            await pipeline.settled(sent)
            assert set(Counter(pipeline.stored()).values()) == {1}
            for worker in workers:
                assert worker.code is None
                assert "Traceback" not in worker.output()
                for secret in (PASSWORD, KEY_PASSWORD, "client secret"):
                    assert secret not in worker.output()
        finally:
            flowing.cancel()


@pytest.mark.slow
async def test_sessions_that_end_and_passwords_that_change_under_load_lose_nothing(
    doors: Doors, prefix: str, tmp_path: Path
) -> None:
    """Each event once; nobody starts again; not one connection is cut for an ended session."""
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    env = doors.sasl("SCRAM-SHA-512", STREAMS_KAFKA_SASL_PASSWORD_FILE=str(file))
    del env["STREAMS_KAFKA_SASL_PASSWORD"]
    try:
        async with loaded(doors, env, prefix, tmp_path) as (_, workers, _flowing):
            await asyncio.sleep(12)
            # Later one may log in again between the change at the broker and that of the file.
            for worker in workers:
                assert "closed" not in worker.output()
            await asyncio.to_thread(doors.set_scram_password, "another secret")
            file.write_text("another secret")
        for worker in workers:
            assert "another secret" not in worker.output()
    finally:
        doors.set_scram_password(PASSWORD)


@pytest.mark.slow
async def test_tokens_that_expire_and_are_exchanged_under_load_lose_nothing(
    doors: Doors, prefix: str, tmp_path: Path
) -> None:
    """Tokens of eight seconds, issued again and again."""
    async with token_server() as server:
        server.seconds = 8
        async with loaded(doors, by_url(doors, server), prefix, tmp_path):
            pass
        assert len(server.asked) > 10


@pytest.mark.slow
async def test_a_certificate_that_is_exchanged_under_load_is_taken_at_the_next_connection(
    doors: Doors, prefix: str, tmp_path: Path
) -> None:
    """Its key stays encrypted; idle connections are cut meanwhile and made anew."""
    async with loaded(doors, doors.mtls(tmp_path), prefix, tmp_path):
        doors.issue(tmp_path)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("hang", "has not answered within 6 s."),
        ("html", "answers 200 without a token that can be used: "),
        ("empty", "answers 200 without a token that can be used: "),
        (
            "refuse",
            (
                "refuses the client (401): check STREAMS_KAFKA_OAUTH_CLIENT_ID, "
                "STREAMS_KAFKA_OAUTH_CLIENT_SECRET and STREAMS_KAFKA_OAUTH_SCOPE."
            ),
        ),
    ],
)
async def test_a_token_server_that_gives_none_is_named(
    doors: Doors, answer: str, words: str
) -> None:
    """Not the brokers; the client's secret is not shown."""
    async with token_server() as server:
        server.answer = answer
        with pytest.raises(SetupError) as caught:
            await ask_brokers(load_settings(by_url(doors, server)).kafka)
    assert str(caught.value).startswith(f"{TOKEN_URL}: {server.url} {words}")
    assert "client secret" not in str(caught.value)
    assert caught.value.exit_code == 1


async def test_a_token_that_the_brokers_refuse_is_told_from_brokers_that_are_away(
    doors: Doors, tmp_path: Path
) -> None:
    """Aiokafka would take the refusal for a success."""
    (tmp_path / "token").write_text("no.token.")
    env = doors.sasl("OAUTHBEARER", STREAMS_KAFKA_OAUTH_TOKEN_FILE=str(tmp_path / "token"))
    with pytest.raises(SetupError) as caught:
        await ask_brokers(load_settings(env).kafka)
    assert str(caught.value).startswith("the brokers do not accept the token (")
    assert "STREAMS_KAFKA_OAUTH_TOKEN_FILE" in str(caught.value)


async def test_a_certificate_for_another_host_names_the_servers(doors: Doors) -> None:
    """Its name is not the one that was asked for."""
    servers = doors.sasl_servers.replace("127.0.0.1", "localhost")
    env = doors.sasl("PLAIN", STREAMS_KAFKA_BOOTSTRAP_SERVERS=servers)
    with pytest.raises(SetupError) as caught:
        await ask_brokers(load_settings(env).kafka)
    assert str(caught.value).startswith(
        f"Kafka at {servers} (STREAMS_KAFKA_BOOTSTRAP_SERVERS) shows a certificate that is "
        "refused: Hostname mismatch"
    )
    assert "use the name for which it was issued" in str(caught.value)


async def test_a_session_that_the_brokers_do_not_allow_ends_a_worker_for_good(
    doors: Doors, prefix: str, tmp_path: Path
) -> None:
    """One sentence with the variable's name, exit code 2."""
    async with Pipeline(doors, prefix, tmp_path) as pipeline:
        worker = pipeline.start("enrich", STREAMS_KAFKA_SESSION_SECONDS="300")
        await pipeline.ready(worker)  # the default limit is half an hour
        worker.kill()
        program = (
            "-c",
            (
                "from streams.cli import main; from streams.settings import models; "
                "models.KafkaSettings.session_seconds = property(lambda _: 3600.0); main()"
            ),
        )
        worker = pipeline.start("enrich", program=program)
        assert await worker.ended(30) == 2
        assert "STREAMS_KAFKA_SESSION_SECONDS" in worker.output().splitlines()[-1]


def test_msk_signs_a_token_for_the_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS's own signer makes it of the credentials that are there."""
    from base64 import urlsafe_b64decode
    from urllib.parse import parse_qs, urlsplit

    from streams.kafka.login import Login

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "aws secret of the test")
    kafka = load_settings(
        {
            "STREAMS_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "STREAMS_KAFKA_SASL_MECHANISM": "AWS_MSK_IAM",
            "STREAMS_KAFKA_AWS_REGION": "eu-central-1",
        }
    ).kafka
    assert kafka.client_options()["sasl_mechanism"] == "OAUTHBEARER"
    signed = asyncio.run(Login(kafka).token())
    url = urlsplit(urlsafe_b64decode(signed + "=" * (-len(signed) % 4)).decode())
    query = parse_qs(url.query)
    assert url.hostname == "kafka.eu-central-1.amazonaws.com"
    assert query["Action"] == ["kafka-cluster:Connect"]
    assert query["X-Amz-Credential"][0].startswith("AKIATEST/")
    assert query["X-Amz-Credential"][0].endswith("/eu-central-1/kafka-cluster/aws4_request")
    assert query["X-Amz-Expires"] == ["900"]
