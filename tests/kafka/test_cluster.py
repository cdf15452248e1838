"""Three brokers: topics have three copies, and losing the one that leads loses nothing."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from streams.kafka.connection import admin
from streams.lab.embedded import EmbeddedKafka
from streams.lab.embedded.broker import new_cluster_id
from streams.lab.embedded.ports import free_port
from tests.kafka.pipeline import Pipeline, Worker, click

pytestmark = pytest.mark.kafka

NODES = (1, 2, 3)
STAGES = ("enrich", "miso")
COPIES = {
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "default.replication.factor": "3",
}
RACK_AWARE = "org.apache.kafka.common.replica.RackAwareReplicaSelector"
FETCHES_TOLD = """
from aiokafka.client import AIOKafkaClient
from streams.cli import main
from streams.engine.fetch_session import SessionRequest
send = AIOKafkaClient.send
async def told(client, node_id, request, **more):
    if isinstance(request, SessionRequest):
        print("fetches from", node_id, flush=True)
    return await send(client, node_id, request, **more)
AIOKafkaClient.send = told
main()
"""


class Cluster:
    """Three embedded brokers that are controllers, too."""

    kind = "three embedded brokers"

    def __init__(
        self, properties: Mapping[str, str] | None = None, classes: Path | None = None
    ) -> None:
        cluster_id = new_cluster_id()
        ports: dict[int, int] = {}
        for node in NODES:
            ports[node] = next(port for port in iter(free_port, 0) if port not in ports.values())
        voters = ",".join(f"{node}@127.0.0.1:{port}" for node, port in ports.items())
        self.nodes = {
            node: EmbeddedKafka(
                properties={
                    **COPIES,
                    **(properties or {}),
                    "node.id": str(node),
                    "controller.quorum.voters": voters,
                    "broker.rack": f"rack-{node}",
                    "replica.selector.class": RACK_AWARE,
                },
                classes=classes,
                controller_port=ports[node],
                cluster_id=cluster_id,
            )
            for node in NODES
        }
        with ThreadPoolExecutor() as threads:  # the first one waits for a second to answer
            servers = list(threads.map(EmbeddedKafka.start, self.nodes.values()))
        self.bootstrap_servers = ",".join(servers)

    def stop(self) -> None:
        """End all three."""
        for node in self.nodes.values():
            node.kill()
            node.stop()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Three brokers of this test's own."""
    started = Cluster()
    try:
        yield started
    finally:
        started.stop()


@pytest.mark.slow
async def test_a_broker_that_dies_under_load_takes_nothing_with_it(
    cluster: Cluster, prefix: str, tmp_path: Path
) -> None:
    """The one that leads the first partition is killed while events pass; each arrives once.

    Then what is left is too few copies for receipts and commits, for longer than the watchdog has
    patience: it says who refuses, and ends nobody.
    """
    env = {"STREAMS_WATCHDOG_STALL_SECONDS": "5"}
    async with Pipeline(cluster, prefix, tmp_path, env=env) as pipeline:
        events = pipeline.topics.events("miso")
        described = await pipeline.admin.describe_topics([events])
        partitions = described[0]["partitions"]
        assert [len(one["replicas"]) for one in partitions] == [3, 3, 3]
        asked = [ConfigResource(ConfigResourceType.TOPIC, events)]
        answer = (await pipeline.admin.describe_configs(asked))[0].resources[0]
        assert {name: value for name, value, *_ in answer[4]}["min.insync.replicas"] == "2"

        await pipeline.products("p1")
        workers = await pipeline.both()
        first = [f"e{n}" for n in range(300)]
        await pipeline.send(*(click(f"v{n % 40}", event_id=id_) for n, id_ in enumerate(first)))
        await pipeline.until(lambda: len(pipeline.stored()) >= 100)
        leader = next(one["leader"] for one in partitions if one["partition"] == 0)
        cluster.nodes[leader].kill()
        later = [f"e{n}" for n in range(300, 600)]
        await pipeline.send(*(click(f"v{n % 40}", event_id=id_) for n, id_ in enumerate(later)))
        await pipeline.until(lambda: set(pipeline.stored()) == {*first, *later}, 90)
        assert sorted(pipeline.stored()) == sorted([*first, *later])
        assert [worker.code for worker in workers] == [None, None]
        report = await pipeline.settled(600)
        assert report.vendors[0].accepted == 600

        below = ("__consumer_offsets", pipeline.topics.receipts("miso"))
        await needs_copies(pipeline, 3, *below)
        await pipeline.send(click("v1", event_id="e600"))
        enrich, miso = workers
        refuses = f"the coordinator of the group {prefix}streams-enrich refuses what is written ("
        await pipeline.until(lambda: enrich.output().count(refuses) >= 2)
        assert "NotEnoughReplicasError" in miso.output()
        assert [worker.code for worker in workers] == [None, None]
        await needs_copies(pipeline, 2, *below)
        await pipeline.settled(601)
        assert pipeline.stored().count("e600") == 1
        assert [worker.code for worker in workers] == [None, None]


def fetched_from(worker: Worker) -> Counter[str]:
    """Return the brokers of a worker's last fetches."""
    lines = worker.output().splitlines()
    return Counter([line.split()[-1] for line in lines if line.startswith("fetches from ")][-20:])


@pytest.mark.slow
async def test_workers_with_a_rack_read_from_the_copy_there(
    cluster: Cluster, prefix: str, tmp_path: Path
) -> None:
    """Leaders only say where logs end; when that broker dies, they are read. Each event once."""
    env = {"STREAMS_KAFKA_CLIENT_RACK": "rack-2"}
    async with Pipeline(cluster, prefix, tmp_path, env=env) as pipeline:
        await pipeline.products("p1")
        workers = [pipeline.start(stage, program=("-c", FETCHES_TOLD)) for stage in STAGES]
        await pipeline.ready(*workers)
        first = [f"e{n}" for n in range(300)]
        await pipeline.send(*(click(f"v{n % 40}", event_id=id_) for n, id_ in enumerate(first)))
        await pipeline.until(lambda: len(pipeline.stored()) == 300)
        await pipeline.until(lambda: all(fetched_from(worker)["2"] > 10 for worker in workers))
        # Longer than rows count as current without a word of the leader.
        await asyncio.sleep(6)
        await pipeline.send(click("v1", event_id="e600"))
        await pipeline.until(lambda: "e600" in pipeline.stored())
        assert all(fetched_from(worker)["2"] > 10 for worker in workers)
        cluster.nodes[2].kill()
        later = [f"e{n}" for n in range(300, 600)]
        await pipeline.send(*(click(f"v{n % 40}", event_id=id_) for n, id_ in enumerate(later)))
        await pipeline.until(lambda: len(set(pipeline.stored())) == 601, 90)
        assert sorted(pipeline.stored()) == sorted([*first, *later, "e600"])
        await pipeline.until(lambda: not any(fetched_from(worker)["2"] for worker in workers))
        assert [worker.code for worker in workers] == [None, None]


async def needs_copies(pipeline: Pipeline, copies: int, *topics: str) -> None:
    """Let these topics take writes only with so many copies in sync."""
    wanted = {"min.insync.replicas": str(copies)}
    # A client of its own: the pipeline's may take the killed broker for the controller.
    async with admin(pipeline.settings.kafka) as client:
        await client.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, topic, wanted) for topic in topics]
        )
