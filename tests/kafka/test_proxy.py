"""Workers whose only way to the vendor is a proxy: its faults park the vendor and lose nothing."""

import ssl
from collections import Counter
from pathlib import Path

import pytest
import trustme

from streams.lab.sandbox import Sandbox
from tests import proxies
from tests.broker_fixtures import Broker
from tests.kafka.pipeline import Pipeline, click
from tests.proxies import PASSWORD

SOON = (
    "-c",
    (
        "from streams.cli import main; from streams.delivery import circuit_breaker as breaker; "
        "breaker.PROBE_SECONDS = breaker.PARK_AFTER_SECONDS = 0.5; main()"
    ),
)
"""A worker that parks and probes sooner than after a minute and every ten seconds."""


@pytest.mark.parametrize("kind", proxies.KINDS)
async def test_a_proxy_that_is_down_or_refuses_the_login_parks_the_vendor_and_loses_nothing(
    broker: Broker, prefix: str, tmp_path: Path, kind: str
) -> None:
    """Each event arrives once, all through the proxy; the password is shown nowhere."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    secret = tmp_path / "proxy-password"
    secret.write_text(PASSWORD)
    async with proxies.running(kind, tmp_path) as proxy:
        env = {
            "STREAMS_HTTP_PROXY": proxy.url,
            "STREAMS_HTTP_PROXY_PASSWORD_FILE": str(secret),
            "STREAMS_HTTP_CA_FILE": str(tmp_path / "ca.pem"),
        }
        sandbox = Sandbox(tls=context)
        async with Pipeline(broker, prefix, tmp_path, env=env, sandbox=sandbox) as pipeline:
            await pipeline.products("p1")
            await pipeline.worker("enrich")
            miso = pipeline.start("miso", program=SOON)
            await pipeline.ready(miso)

            async def is_parked(reason: str) -> None:
                async def says() -> bool:
                    vendor = (await pipeline.status(miso))["vendor"]
                    return vendor["state"] == "parked" and reason in vendor["reason"]

                await pipeline.until(says, 40, f"the vendor to be parked: {reason}")

            await pipeline.send(*(click("anna", event_id=f"a{n}") for n in range(20)))
            await pipeline.settled(20)
            await proxy.stop()
            await pipeline.send(*(click("anna", event_id=f"b{n}") for n in range(20)))
            await is_parked("cannot be reached")
            proxy.password = "rotatedSecret2"
            await proxy.start()
            await is_parked("STREAMS_HTTP_PROXY_PASSWORD")
            secret.write_text(proxy.password)
            await pipeline.settled(40)
            assert set(Counter(pipeline.stored()).values()) == {1}
            assert len(pipeline.stored()) == 40
            assert set(proxy.connected()) == {sandbox.url.removeprefix("https://")}
            assert miso.code is None
            assert PASSWORD not in miso.output()
            assert proxy.password not in miso.output()
