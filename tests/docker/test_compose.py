"""``docker-compose.yml`` for real: the sample, scaling under load, kills, stops, refusals.

One project for all tests here; each builds on what the one before has left.
"""

import json
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest

from streams.vendors import VENDORS
from tests.docker.compose import (
    PROFILES,
    STAGES,
    UP_SECONDS,
    Compose,
    docker,
    require_docker,
    states,
    until,
)

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

IMAGE = "clickstream-relay"
SAMPLE_EVENTS = 862
LOAD_EVENTS = 10_000
LOAD_RATE = 1_000
HANDOVERS = 3
"""Two workers join, one is killed."""


@pytest.fixture(scope="module")
def relay() -> Iterator[Compose]:
    """The relay with simulators and sample, as ``up`` leaves it."""
    require_docker()
    compose = Compose()
    try:
        compose.run("up", "--detach", "--build", seconds=UP_SECONDS)
        yield compose
    finally:
        compose.remove()


def test_the_sample_is_accounted_for_at_every_simulator(relay: Compose) -> None:
    """``up`` with both profiles works like the demo: the books balance, and the ledgers agree."""
    (sample,) = relay.containers("sample")
    assert docker("wait", sample) == "0"
    said = relay.run("logs", "--no-log-prefix", "sample").stdout
    assert "The sums match: every event is accounted for." in said
    report = relay.audit()
    assert report["balanced"]
    assert [books["raw"] for books in report["vendors"]] == [SAMPLE_EVENTS] * (len(STAGES) - 1)
    ledgers = relay.ledgers()
    for books in report["vendors"]:
        assert ledgers[books["vendor"]]["records"] == books["accepted"] > 0


def test_the_image_runs_as_nobody_in_particular_and_holds_no_build_tools(relay: Compose) -> None:
    """The workers are no root, own nothing but their state, and the image is small."""
    (enrich,) = relay.containers("enrich")
    assert docker("exec", enrich, "id", "-un") == "streams"
    tools = "command -v gcc make git; ls /opt/streams/bin/pip; true"
    assert docker("exec", enrich, "sh", "-c", tools) == ""
    assert docker("exec", enrich, "stat", "-c", "%a %U", "/var/lib/streams") == "700 streams"
    assert int(docker("image", "inspect", "-f", "{{.Size}}", IMAGE)) < 300_000_000


def test_no_container_may_do_more_than_it_must(relay: Compose) -> None:
    """Read-only, without capabilities or a way to more, and bounded in memory."""
    for service in ("kafka", "sandbox", *STAGES):
        (container,) = relay.containers(service)
        host = json.loads(docker("inspect", "-f", "{{json .HostConfig}}", container))
        assert host["ReadonlyRootfs"], service
        assert host["CapDrop"] == ["ALL"], service
        assert host["SecurityOpt"] == ["no-new-privileges:true"], service
        assert 0 < host["Memory"] == host["MemorySwap"], service
    (enrich,) = relay.containers("enrich")
    assert "OTTO" in docker("exec", enrich, "cat", "/usr/share/doc/streams/NOTICE")


def test_the_watchdog_acts_before_the_kernel_does(relay: Compose) -> None:
    """What a worker may take, and what else runs in its container, stay below the limit."""
    (miso,) = relay.containers("miso")
    asked = (
        "from pathlib import Path; from streams.engine.memory import container_limit; "
        "pages = [int(p.read_text().split()[1]) for p in Path('/proc').glob('[0-9]*/statm')]; "
        "print(container_limit(), 4096 * (sum(pages) - max(pages)))"
    )
    may, beside = map(int, docker("exec", miso, "python", "-c", asked).split())
    limit = int(docker("inspect", "-f", "{{.HostConfig.Memory}}", miso))
    assert limit // 2 < may < limit - beside


@contextmanager
def load(container: str, name: str) -> Iterator[None]:
    """Clicks with consent for Miso, written while the block runs; at its end all are written."""
    now = int(time.time() * 1000)
    lines = (
        json.dumps(
            {
                "event_id": f"{name}-{number}",
                "timestamp": now,
                "anonymous_id": f"v-{number % 997}",
                "product_id": "p",
                "sku": "SKU-1",
                "consent": {"miso": True},
            }
        )
        for number in range(LOAD_EVENTS)
    )
    file = f"/tmp/{name}.jsonl"
    docker("exec", "-i", container, "sh", "-c", f"cat >{file}", stdin="\n".join(lines))
    command = ["docker", "exec", container, "streams", "produce", file, "--rate", str(LOAD_RATE)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as writing:
        yield
        assert writing.wait(timeout=120) == 0


def test_more_workers_of_a_stage_share_its_partitions_and_lose_nothing(relay: Compose) -> None:
    """Under load miso grows to three, then one is killed: each event is accepted all the same."""
    (enrich,) = relay.containers("enrich")

    def spread() -> bool | None:
        found = relay.workers("miso")
        owned = [one["partitions"].get("vendor.miso.events", []) for one in found]
        slots = [one["slot"] for one in found]
        return (slots == [0, 1, 2] and [len(each) for each in owned] == [2, 2, 2]) or None

    def begun(name: str) -> bool | None:
        return any(one.startswith(name) for one in relay.ledgers()["miso"]["ids"]) or None

    with load(enrich, "grow"):
        relay.run("up", "--detach", "--no-recreate", "--scale", "miso=3", "miso", seconds=120)
    until(spread, 60, "three workers have not taken two partitions each")
    with load(enrich, "kill"):
        until(lambda: begun("kill"), 60, "nothing of the load has arrived")
        docker("kill", "--signal", "KILL", relay.containers("miso")[-1])
    report = relay.audit()
    (books,) = (each for each in report["vendors"] if each["vendor"] == "miso")
    assert report["balanced"]
    assert books["raw"] == SAMPLE_EVENTS + 2 * LOAD_EVENTS
    rows = relay.ledgers("records")["miso"]["rows"]
    stored = Counter(row["event_id"] for row in rows)
    sent = {f"{name}-{n}" for name in ("grow", "kill") for n in range(LOAD_EVENTS)}
    assert sent - stored.keys() == set()
    # What is in flight at a kill, or for more than 3 s when a worker joins, comes again.
    first: dict[str, int] = {}
    for row in rows:
        first.setdefault(row["event_id"], row["request"])
    again = {first[event_id] for event_id, times in stored.items() if times > 1}
    assert len(again) <= HANDOVERS * VENDORS["miso"].concurrency(None)
    assert max(stored.values()) <= 1 + HANDOVERS


def test_a_worker_made_anew_takes_the_free_slot(relay: Compose) -> None:
    """The killed container's place, name and partitions go to the next one."""
    relay.run("up", "--detach", "--no-recreate", "--scale", "miso=3", "miso", seconds=120)
    until(
        lambda: (
            [one["worker"] for one in relay.workers("miso")]
            == ["miso-relay-0", "miso-relay-1", "miso-relay-2"]
            or None
        ),
        60,
        "the third worker is not back",
    )


def test_stop_ends_every_worker_with_0_within_10_seconds(relay: Compose) -> None:
    """SIGTERM reaches each worker, which settles, commits and leaves."""
    running = [one for stage in STAGES for one in relay.containers(stage)]
    before = time.time()
    relay.run("stop", *STAGES)
    for state in states(running):
        ended = datetime.fromisoformat(state["FinishedAt"][:19] + "+00:00").timestamp()
        assert state["ExitCode"] == 0
        assert ended - before < 10


def test_keys_are_refused_on_volumes_that_belong_to_the_simulators(relay: Compose) -> None:
    """Made-up events that wait never go to a vendor because somebody has set a key."""
    done = relay.run("run", "--rm", "--no-deps", "topics", fails=True, STREAMS_MISO_API_KEY="key")
    assert "These volumes hold events for the simulators." in done.stderr + done.stdout
    done = relay.run(
        "run", "--rm", "--no-deps", "sample-rows", fails=True, STREAMS_MISO_API_KEY="key"
    )
    assert "The sample's events are made up, but Miso is at https://api.askmiso.com" in (
        done.stderr + done.stdout
    )


def test_neither_keys_nor_simulators_is_said_before_anything_starts(relay: Compose) -> None:
    """``docker compose up`` without keys ends with what to do."""
    relay.run("stop", "sandbox")
    done = relay.run("run", "--rm", "--no-deps", "topics", fails=True)
    assert "No vendor's key is given: put yours into .env" in done.stderr + done.stdout


def test_the_sample_alone_is_no_project() -> None:
    """``--profile sample`` without the simulators is refused by compose itself."""
    require_docker()
    compose = Compose()
    command = ["docker", "compose", "--profile", "sample", "--project-name", compose.name, "config"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode != 0
    assert "sandbox" in done.stderr
    assert PROFILES == ("--profile", "sandbox", "--profile", "sample")
