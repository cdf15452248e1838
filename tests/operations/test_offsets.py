"""Setting a stage to another place: which offsets, and metadata that hide nothing."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiokafka import TopicPartition

from streams.cli.offsets import reset_lines
from streams.core.errors import SettingsError, SetupError
from streams.delivery.progress import Metadata, PartitionProgress, read_metadata
from streams.kafka.reader import Commit
from streams.operations import offsets
from streams.operations.offsets import plan_reset
from streams.settings import Settings, load_settings
from tests.operations.log_reader_in_memory import LogsInMemory, record

AT_MS = 1_777_622_400_000
CLICKS, CARTS = "shop.clicks", "shop.add-to-carts"
EVENTS, REDELIVERY = "vendor.miso.events", "vendor.miso.redelivery"
RECEIPTS = "vendor.miso.receipts"
SETTINGS = load_settings({"STREAMS_MISO_API_KEY": "secret"})


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> LogsInMemory:
    """Ten clicks a second apart, ten events of them from offset 2 on, ten receipts; all settled."""
    clicks = [record(CLICKS, n, b"{}", at_ms=AT_MS + 1000 * n) for n in range(10)]
    events = [
        record(
            EVENTS,
            n + 2,
            b"{}",
            at_ms=AT_MS + 1000 * n,
            headers={"source": f"{CLICKS}/0/{n}", "source-time": str(AT_MS + 1000 * n)},
        )
        for n in range(10)
    ]
    receipts = [record(RECEIPTS, n, b"{}") for n in range(10)]
    found = LogsInMemory(*clicks, *events, *receipts)
    marks = Metadata(marks={CLICKS: (9, AT_MS + 9000)}, settled=[20, 1], clean=True, expired=3)
    found.committed = {
        ("streams-enrich", CLICKS): Commit(10, json.dumps({"on": {"miso": [[4, None]]}})),
        ("streams-miso", EVENTS): Commit(12, msgspec.json.encode(marks).decode()),
        ("streams-miso", REDELIVERY): Commit(0, ""),
    }

    @asynccontextmanager
    async def connect(_kafka: Any) -> AsyncIterator[LogsInMemory]:
        yield found

    async def nobody(_settings: Settings, _stage: str) -> None:
        """No worker runs."""

    monkeypatch.setattr(offsets, "connect", connect)
    monkeypatch.setattr(offsets, "_require_empty", nobody)
    return found


@pytest.mark.parametrize(
    ("to", "at", "mark"),
    [
        ("earliest", 0, None),
        (AT_MS + 3000, 5, (2, AT_MS + 2000)),
        (AT_MS + 3001, 6, (3, AT_MS + 3000)),
        ("latest", 12, (9, AT_MS + 9000)),
        (AT_MS + 99_000, 12, (9, AT_MS + 9000)),
    ],
)
async def test_a_sink_goes_on_from_its_new_place_as_if_it_had_never_been_further(
    logs: LogsInMemory, to: Any, at: int, mark: tuple[int, int] | None
) -> None:
    """Marks are those below the place, no receipt counts, what is listed as settled is gone."""
    planned = await plan_reset(SETTINGS, "miso", to)
    (new,) = planned.commits["miso"].values()
    metadata = read_metadata(new.metadata)
    assert new.offset == at
    assert metadata.marks == ({} if mark is None else {CLICKS: mark})
    assert (metadata.receipts, metadata.settled) == (10, [])
    assert (metadata.clean, metadata.expired) == (True, 3)
    assert (planned.repeated, planned.left_out) == (12 - at, 0)
    progress = PartitionProgress(new.offset, metadata, {}, 10)
    for one in logs.logs[EVENTS].values():
        if one.offset >= at:
            source = dict(one.headers)["source"].decode()
            raw_ms = int(dict(one.headers)["source-time"])
            assert progress.admit(one.offset, source, one.timestamp, raw_ms).value == "new"


async def test_enrichment_takes_its_sinks_marks_down_with_it(logs: LogsInMemory) -> None:
    """And says that vendors are on in what it reads again."""
    planned = await plan_reset(SETTINGS, "enrich", AT_MS + 3000)
    clicks = TopicPartition(CLICKS, 0)
    assert planned.commits["enrich"][clicks].offset == 3
    assert json.loads(planned.commits["enrich"][clicks].metadata) == {"on": {"miso": [[3, None]]}}
    (lowered,) = planned.commits["miso"].values()
    assert lowered.offset == 12
    assert read_metadata(lowered.metadata).marks == {CLICKS: (2, AT_MS + 9000)}
    assert planned.repeated == 7
    assert "lowered" in reset_lines(planned, AT_MS + 3000)[-1]


async def test_enrichment_waits_for_its_sinks_before_it_is_set_back(logs: LogsInMemory) -> None:
    """What waits there would come after what is enriched again, and hide it."""
    commit = logs.committed["streams-miso", EVENTS]
    logs.committed["streams-miso", EVENTS] = Commit(11, commit.metadata)
    with pytest.raises(SetupError, match=r"1 events wait for miso on vendor\.miso\.events"):
        await plan_reset(SETTINGS, "enrich", "earliest")
    forward = await plan_reset(SETTINGS, "enrich", "latest")
    assert set(forward.commits) == {"enrich"}


async def test_of_a_stage_with_a_recreated_topic_only_that_one_is_set(logs: LogsInMemory) -> None:
    """The cure that the worker's last line names touches nothing that is well."""
    logs.committed["streams-enrich", CLICKS] = Commit(
        8812, json.dumps({"on": {"miso": [[4, None]]}})
    )
    logs.committed["streams-enrich", CARTS] = Commit(0, "")
    planned = await plan_reset(SETTINGS, "enrich", "earliest")
    assert {place.tp.topic for place, _ in planned.changes} == {CLICKS}
    (new,) = planned.commits["enrich"].values()
    assert (new.offset, new.metadata) == (0, "")
    assert set(planned.commits) == {"enrich"}
    assert planned.repeated == 0


async def test_redeliveries_are_set_only_by_name(logs: LogsInMemory) -> None:
    """Their runs are over."""
    planned = await plan_reset(SETTINGS, "miso", "earliest", REDELIVERY)
    assert [place.tp.topic for place, _ in planned.changes] == [REDELIVERY]
    with pytest.raises(
        SettingsError, match=r"stage miso reads no shop\.clicks; it reads vendor\.miso"
    ):
        await plan_reset(SETTINGS, "miso", "earliest", CLICKS)
    with pytest.raises(SettingsError, match='"misi" is not a stage'):
        await plan_reset(SETTINGS, "misi", "earliest")


async def test_what_is_left_out_for_good_is_said(logs: LogsInMemory) -> None:
    """A stage that is set forward never reads what lies between."""
    commit = logs.committed["streams-miso", EVENTS]
    logs.committed["streams-miso", EVENTS] = Commit(5, commit.metadata)
    planned = await plan_reset(SETTINGS, "miso", "latest")
    assert (planned.repeated, planned.left_out) == (0, 7)
    assert "7 records will never be read" in "\n".join(reset_lines(planned, "latest"))
