"""A real Prometheus with the deployed configuration, and a real worker that it scrapes."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from streams.lab.embedded.ports import free_port
from tests.broker_fixtures import Broker
from tests.kafka.pipeline import Pipeline

PROMETHEUS = shutil.which("prometheus")
DEPLOY = Path(__file__).resolve().parents[2] / "deploy"

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.skipif(
        PROMETHEUS is None, reason="prometheus is not here: apt-get install prometheus"
    ),
]


@contextmanager
def prometheus(folder: Path, target: str, token: str) -> Iterator[str]:
    """Run it over one worker of miso, as deploy/prometheus.yml has it; yield its API's address."""
    secret = folder / "web-token"
    secret.write_text(token, "utf-8")
    config = yaml.safe_load((DEPLOY / "prometheus.yml").read_text("utf-8"))
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(DEPLOY / name) for name in config["rule_files"]]
    (job,) = config["scrape_configs"]
    job["authorization"]["credentials_file"] = str(secret)
    job["static_configs"] = [{"targets": [target], "labels": {"stage": "miso"}}]
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(config), "utf-8")
    address = f"127.0.0.1:{free_port()}"
    assert PROMETHEUS is not None
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                PROMETHEUS,
                f"--config.file={file}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address={address}",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield f"http://{address}/api/v1"
    finally:
        process.kill()
        process.wait()


async def test_prometheus_scrapes_a_worker_and_judges_the_rules_by_it(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """With the token for metrics alone; each series has its shop and stage, each rule is sound."""
    env = {"STREAMS_WEB_TOKEN": "token-for-all", "STREAMS_WEB_METRICS_TOKEN": "token-for-metrics"}
    async with (
        Pipeline(broker, prefix, tmp_path, env=env) as pipeline,
        aiohttp.ClientSession() as http,
    ):
        worker = await pipeline.worker("miso")
        target = f"127.0.0.1:{worker.port}"
        with prometheus(tmp_path, target, "token-for-metrics") as api:

            async def ask(path: str, **query: str) -> Any:
                async with http.get(f"{api}/{path}", params=query) as answer:
                    return (await answer.json())["data"]

            async def is_scraped() -> bool:
                try:
                    found = await ask("query", query="streams_ready == 1")
                except (aiohttp.ClientError, ValueError):
                    return False
                return bool(found["result"])

            await pipeline.until(is_scraped)
            (ready,) = (await ask("query", query="streams_ready"))["result"]
            assert ready["metric"] == {
                "__name__": "streams_ready",
                "shop": prefix,
                "stage": "miso",
                "job": "streams",
                "instance": target,
            }
            unlabelled = f'count({{__name__=~"streams_.+",shop!="{prefix}"}})'
            assert (await ask("query", query=unlabelled))["result"] == []
            (scraped,) = (await ask("targets"))["activeTargets"]
            assert (scraped["health"], scraped["lastError"]) == ("up", "")

            async def are_judged() -> bool:
                (group,) = (await ask("rules"))["groups"]
                return all(rule["health"] == "ok" for rule in group["rules"])

            await pipeline.until(are_judged)
