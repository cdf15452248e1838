"""``streams diff`` and ``streams check --mapping topic:NAME`` over live topics."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from streams.core.records import SECTION
from streams.kafka.reader import silent
from streams.operations.diff.diff import Compared, diff_topics
from streams.settings import load_settings
from tests.broker_fixtures import Broker
from tests.kafka.pipeline import Pipeline, cart, click, now_ms, product, user
from tests.kafka.test_ingest import Shop, view
from tests.kafka.test_ingest_avro import AT_US, CLICK, UNKNOWN, AvroShop
from tests.kafka.test_ingest_avro import click as avro_click
from tests.registry.simulator import RegistrySimulator

pytestmark = pytest.mark.kafka

YES = {"consent": {"miso": True}}
AHEAD_US = 1_000_000_000_000_000
"""Thirty years, of a browser whose clock is wrong."""


def side(pipeline: Pipeline, folder: Path, name: str, text: str) -> Compared:
    """A settings file of this pipeline's broker and prefix."""
    path = folder / name
    path.write_text(text)
    environ = {**pipeline.environment, "STREAMS_CONFIG": str(path)}
    return Compared(load_settings(environ), environ)


async def test_live_events_are_compared_with_the_rows_as_they_are_now(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """By time over partitions; a repeated event counts once, what is older is not looked at."""
    async with Pipeline(broker, prefix, tmp_path, partitions=3) as pipeline:
        await pipeline.products("p1")
        await pipeline.send(
            *(user(f"v{n}", YES) for n in range(9)), user("no", {"consent": {"miso": False}})
        )
        await pipeline.send(click("v1", event_id="early"))
        since = now_ms() + 1
        while now_ms() <= since:
            pass
        repeated = click("v2", event_id="twice", product_id="p1")
        await pipeline.send(repeated, repeated)
        await pipeline.send(*(click(f"v{n}", product_id="p1") for n in range(9)))
        await pipeline.send(*(cart(f"v{n}", product_id="p9") for n in range(4)))
        await pipeline.send(
            click("no", product_id="p1"), click("v1", price="much", product_id=None)
        )
        old = side(pipeline, tmp_path, "old.toml", "")
        new = side(pipeline, tmp_path, "new.toml", '[miso]\nproduct_id = "product_id"\n')
        found = await diff_topics(old, new, since, silent)
        miso = next(changes for changes in found.vendors if changes.vendor == "miso")
        assert found.events == 17
        assert (miso.same, miso.changed, miso.added, miso.gone) == (0, 10, 4, 0)
        assert miso.added_because == {"skipped: unknown_product": 4}
        assert miso.fields["product_ids[]"].changed == 10
        assert (await diff_topics(old, old, since, silent)).is_equal


async def test_the_shops_own_records_are_compared_and_what_ingest_wrote_is_not_counted_again(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Another producer's record on the same raw topic is; rows come from the shop's topics."""
    async with Shop(broker, prefix, tmp_path) as shop:
        await shop.make()
        await shop.write(shop.catalogue, [{"id": "p1", "code": "8S-1"}])
        said = {"op": "c", "after": {"id": 7, "says": {"miso": True}}}
        await shop.write(shop.crm, [said], key=b'{"id": 7}')
        await shop.write(shop.web, [view("7", ref=f"r{n}") for n in range(20)])
        await shop.write(shop.web, [{"name": "scroll"}, view("7", at="yesterday")])
        await shop.worker("ingest")
        await shop.arrived("clicks", 20)
        assert dict((await shop.raw("clicks"))[0].headers)[SECTION] == b"views"
        await shop.send(product("p1"), click("7", product_id="p1"))
        text = (tmp_path / "streams.toml").read_text()
        old = side(shop, tmp_path, "old.toml", text)
        changed = text.replace(
            'product_id = "product"\n', 'product_id = "product"\nevent_id = "ref"\n'
        )
        new = side(shop, tmp_path, "new.toml", changed)
        found = await diff_topics(old, new, 0, silent)
        miso = next(changes for changes in found.vendors if changes.vendor == "miso")
        assert (miso.same, miso.changed, miso.added, miso.gone) == (1, 20, 0, 0)
        assert list(miso.fields) == ["context.custom_context.uuid"]


@pytest.fixture
async def registry() -> AsyncIterator[RegistrySimulator]:
    """A registry that asks for a password."""
    simulator = RegistrySimulator(login=("streams", "right"))
    simulator.add("clicks-value", CLICK)
    await simulator.start()
    yield simulator
    await simulator.stop()


def check(pipeline: Pipeline, *arguments: str) -> tuple[int, str, str]:
    """Run ``streams check`` as a process beside the workers."""
    run = subprocess.run(
        [sys.executable, "-m", "streams", "check", *arguments],
        env={"PATH": "", **pipeline.environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return run.returncode, run.stdout, run.stderr


async def test_a_topic_is_checked_field_by_field(
    broker: Broker,
    prefix: str,
    tmp_path: Path,
    registry: RegistrySimulator,
) -> None:
    """Coverage, failures with a reason, and what each vendor would get; the newest records only."""
    async with AvroShop(broker, prefix, tmp_path, registry) as shop:
        await shop.products("1042")
        await shop.send(user("v-1", YES))
        await shop.write(shop.avro, *(avro_click(1, "old") for _ in range(5)))
        await shop.write(
            shop.avro,
            *(avro_click(1, f"v-{n}") for n in range(2)),
            avro_click(1, "v-2", AT_US + AHEAD_US),
            avro_click(UNKNOWN, "v-1"),
            avro_click(1, " "),
        )
        arguments = ("--mapping", f"topic:{shop.avro}", "--sample", "5")
        code, out, err = await asyncio.to_thread(check, shop, *arguments, "--json")
        assert (code, json.loads(out) and err.count("Traceback")) == (0, 0)
        rows: list[dict[str, Any]] = [
            row for row in json.loads(out) if row["vendor"] in (None, "miso")
        ]
        assert [(row["line"], row["outcome"], row["reason"]) for row in rows] == [
            (1, "skipped", "no_consent"),
            (2, "sent", None),
            (3, "skipped", "no_consent"),
            (4, "dead_lettered", "unknown_schema"),
            (5, "dead_lettered", "invalid_field"),
        ]
        assert rows[1]["source"] == f"{shop.avro}/0/6"
        assert [row["notes"] for row in rows[:3]] == [[], [], ["clock_ahead"]]
        code, out, _ = await asyncio.to_thread(check, shop, *arguments)
        assert code == 0
        assert f"The newest 5 records of {shop.avro}:" in out
        cells = {
            line.split("│")[0].strip(): [cell.strip() for cell in line.split("│")[1:]]
            for line in out.splitlines()
            if "│" in line
        }
        assert cells["anonymous_id"][:3] == ["3", "60.0%", "1"]
        # A record that is refused over one field has the others.
        assert cells["price"][:2] == ["4", "80.0%"]
        assert cells["the record"][2] == "1"
        assert cells["Miso"] == ["1", "2", "0"]


async def test_a_topic_that_cannot_be_checked_is_said_in_one_sentence(
    broker: Broker,
    prefix: str,
    tmp_path: Path,
    registry: RegistrySimulator,
) -> None:
    """Not read by anything: 2; empty, missing, or its registry away: 1."""
    async with AvroShop(broker, prefix, tmp_path, registry) as shop:

        async def said(topic: str) -> tuple[int, str]:
            code, _, err = await asyncio.to_thread(check, shop, "--mapping", f"topic:{topic}")
            return code, err

        code, err = await said("nowhere")
        assert (code, "no section [ingest.NAME] reads nowhere" in err) == (2, True)
        code, err = await said(shop.avro)
        assert (code, f"Topic {shop.avro} does not exist" in err) == (1, True)
        code, err = await said("clicks")
        assert (code, "has no records" in err) == (1, True)
        await shop.write(shop.avro, avro_click(1, "v-1"))
        registry.fault = "html"
        code, err = await said(shop.avro)
        assert (code, f"The schema registry at {registry.url} gives no schemas" in err) == (1, True)
        assert "Check [registry] url" in err
        assert "Traceback" not in err
