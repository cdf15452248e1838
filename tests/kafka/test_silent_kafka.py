"""Kafka that is away or refuses the login: said within seconds, and seen by who asks for health."""

import asyncio
import time
from pathlib import Path

import aiohttp
import pytest

from streams.lab.embedded import EmbeddedKafka
from streams.lab.embedded.ports import free_port
from tests.broker_fixtures import Elsewhere
from tests.kafka.pipeline import Pipeline, Worker

pytestmark = pytest.mark.kafka


def broker(folder: Path, port: int, password: str) -> EmbeddedKafka:
    """A broker whose second listener asks for a password."""
    login = (
        f'org.apache.kafka.common.security.plain.PlainLoginModule required user_relay="{password}";'
    )
    return EmbeddedKafka(
        data_dir=folder,
        properties={
            "listeners": f"SECURED://127.0.0.1:{port}",
            "advertised.listeners": f"SECURED://127.0.0.1:{port}",
            "listener.security.protocol.map": "SECURED:SASL_PLAINTEXT",
            "listener.name.secured.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.secured.plain.sasl.jaas.config": login,
        },
    )


async def ready(pipeline: Pipeline, worker: Worker) -> tuple[int, str, int]:
    """Return the status of /health/ready with its reasons, and that of /health/live."""
    base = f"http://127.0.0.1:{worker.port}/health"
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{base}/ready") as found:
            body = await found.json()
        async with http.get(f"{base}/live") as live:
            return found.status, " ".join(body["reasons"]), live.status


@pytest.mark.slow
async def test_kafka_that_is_away_or_refuses_the_login_makes_a_worker_not_ready(
    prefix: str, tmp_path: Path
) -> None:
    """One line within 5 s, 503 with the words, alive all the time, and at work again after it."""
    port = free_port()
    env = {
        "STREAMS_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "STREAMS_KAFKA_SASL_MECHANISM": "PLAIN",
        "STREAMS_KAFKA_SASL_USERNAME": "relay",
        "STREAMS_KAFKA_SASL_PASSWORD": "the first one",
    }
    kafka = broker(tmp_path / "kafka", port, "the first one")
    kafka.start()
    try:
        where = Elsewhere("with a password", f"127.0.0.1:{port}")
        async with Pipeline(where, prefix, tmp_path, partitions=1, env=env) as pipeline:
            miso = await pipeline.worker("miso")
            assert await ready(pipeline, miso) == (200, "", 200)
            kafka.kill()
            gone_at = time.monotonic()
            await pipeline.until(lambda: "Kafka has not answered for" in miso.output())
            assert time.monotonic() - gone_at < 5.5

            async def is_not_ready() -> bool:
                status, words, live = await ready(pipeline, miso)
                assert live == 200
                return status == 503 and "cannot be reached" in words

            await pipeline.until(is_not_ready)
            assert 14 < time.monotonic() - gone_at < 20
            said = [line for line in miso.output().splitlines() if "for 4 s; nothing" in line]
            assert len(said) == 1

            with broker(tmp_path / "kafka", port, "another one"):

                async def is_refused() -> bool:
                    status, words, live = await ready(pipeline, miso)
                    assert live == 200
                    return status == 503 and "refuses the credentials" in words

                await pipeline.until(is_refused)
                await asyncio.sleep(2)
                assert await is_refused()
            with broker(tmp_path / "kafka", port, "the first one"):

                async def is_ready() -> bool:
                    return (await ready(pipeline, miso))[0] == 200

                await pipeline.until(is_ready)
                assert "the first one" not in miso.output()
                assert miso.code is None
    finally:
        kafka.stop()
