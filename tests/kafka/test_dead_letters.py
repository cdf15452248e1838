"""``streams dead-letters`` on a real broker, over planted letters."""

import asyncio
import io
import json
import logging
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import RecordsToDelete
from pydantic import SecretStr

from streams.cli import main
from streams.core.dead_letter import build_dead_letter, encode_dead_letter
from streams.core.errors import SetupError
from streams.core.records import Origin
from streams.core.runs import Asked, Run, VendorPart
from streams.dead_letters.book import Selection
from streams.dead_letters.dead_letters import drop_letters, find_letters, read_whole
from streams.engine.memory import memory_bytes
from streams.kafka.connection import admin
from streams.kafka.topics import create_topics
from streams.operations.audit.audit import run_audit
from streams.replay.run_store import run_store
from streams.settings import KafkaSettings, Settings
from streams.vendors.miso import MisoSettings
from streams.web.letters import MAX_BYTES
from tests.broker_fixtures import Broker
from tests.kafka.test_audit import Relay, one_of_each

pytestmark = pytest.mark.kafka

AT = "2026-05-01T09:00:00.000Z"
HOSTILE = "\x1b[2J[red]\u202e\r\nmiso  rejected"


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """A command that sets up logging leaves the process's as it found it."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


@pytest.fixture
async def settings(broker: Broker, prefix: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings for this test's own topics, 2 partitions each, which exist; in the environment."""
    kafka = KafkaSettings(
        bootstrap_servers=broker.bootstrap_servers, topic_prefix=prefix, partitions=2
    )
    made = Settings(kafka=kafka, vendors={"miso": MisoSettings(api_key=SecretStr("key"))})
    await create_topics(made)
    monkeypatch.setenv("STREAMS_KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
    monkeypatch.setenv("STREAMS_KAFKA_TOPIC_PREFIX", prefix)
    monkeypatch.setenv("STREAMS_MISO_API_KEY", "key")
    return made


class Writer:
    """Plants what a relay, or a stranger, would write."""

    def __init__(self, settings: Settings, producer: AIOKafkaProducer) -> None:
        self.topics = settings.topics
        self.miso = settings.topics.dead_letters("miso")
        self.enrich = settings.topics.enrich_dead_letters
        self.producer = producer

    async def rejected(self, offset: int, words: str = "product_ids is invalid. 'x'") -> None:
        """Miso refused the click at this offset of partition 1."""
        await self.letter(
            self.miso,
            1,
            offset,
            stage="deliver",
            vendor="miso",
            reason="rejected",
            detail=words,
            vendor_message="product_ids is invalid.",
            status=422,
        )

    async def letter(self, topic: str, partition: int, offset: int, **more: Any) -> None:
        """Write a letter about a click, with its visitor's key."""
        letter = build_dead_letter(
            source=Origin(self.topics.clicks, partition, offset, 1),
            record=b'{"anonymous_id": "v-%d", "ip": "203.0.113.77"}' % offset,
            at="2026-05-01T08:00:00.000Z",
            **more,
        )
        await self.send(topic, partition, encode_dead_letter(letter), b"v-%d" % offset)

    async def send(
        self, topic: str, partition: int, value: bytes | None, key: bytes | None = None
    ) -> None:
        """Write any record."""
        await self.producer.send_and_wait(topic, value, key, partition=partition)


@pytest.fixture
async def writer(settings: Settings) -> AsyncIterator[Writer]:
    """A writer on this test's topics."""
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka.bootstrap_servers, enable_idempotence=True
    )
    await producer.start()
    try:
        yield Writer(settings, producer)
    finally:
        await producer.stop()


async def run(*arguments: str) -> int:
    """Run a command as the shell does."""
    return await asyncio.to_thread(main, ["dead-letters", *arguments])


async def records_of(settings: Settings, topic: str, partition: int) -> list[Any]:
    """All records of a partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka.bootstrap_servers)
    await consumer.start()
    try:
        tp = TopicPartition(topic, partition)
        consumer.assign([tp])
        await consumer.seek_to_beginning(tp)
        (end,) = (await consumer.end_offsets([tp])).values()
        records: list[Any] = []
        while await consumer.position(tp) < end:
            records += (await consumer.getmany(tp, timeout_ms=500)).get(tp, [])
        return records
    finally:
        await consumer.stop()


async def test_list_groups_what_is_open(
    settings: Settings, writer: Writer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of enrichment and of vendors, copies once, strangers' records named beside."""
    for offset in (1, 2, 2, 3):
        await writer.rejected(offset)
    await writer.letter(
        writer.enrich, 0, 9, stage="enrich", reason="invalid_field", field="timestamp",
        detail="timestamp: it lies before the year 2000",
    )  # fmt: skip
    await writer.send(writer.miso, 0, b"\x1b nonsense")
    await writer.send(writer.miso, 0, None, b"v-1")
    assert await run("list", "--json") == 0
    out, err = capsys.readouterr()
    rejected, refused = json.loads(out)
    assert (rejected["vendor"], rejected["reason"], rejected["open"]) == ("miso", "rejected", 3)
    assert rejected["example"] == {
        "event_id": "shop.clicks-1-3",
        "detail": "product_ids is invalid. 'x'",
        "status": 422,
        "source": f"{writer.topics.clicks}/1/3",
        "position": f"{writer.miso}-1-3",
    }
    assert (refused["vendor"], refused["open"]) == ("enrich", 1)
    assert "these lie before the year 2000" in refused["fix"]
    assert f"{writer.miso}: 2 records are no dead letters, such as {writer.miso}/0/0: not" in err
    assert await run("list") == 0
    assert "4 dead letters of 2 causes open." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "offsets"),
    [
        (["--vendor", "miso"], [1, 2]),
        (["--vendor", "enrich"], [9]),
        (["--event-id", "shop.clicks-1-2"], [2]),
        (["--since", "2020-01-01T00:00:00Z"], [1, 2, 9]),
        (["--since", "2100-01-01T00:00:00Z"], []),
        (["--fingerprint", "zzzzzzzz"], []),
    ],
)
async def test_show_shows_what_is_selected(
    settings: Settings,
    writer: Writer,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    offsets: list[int],
) -> None:
    """Each letter whole, with where it lies and the fix."""
    await writer.rejected(1)
    await writer.rejected(2)
    await writer.letter(writer.enrich, 0, 9, stage="enrich", reason="empty", detail="no value")
    assert await run("show", "--json", *arguments) == 0
    rows = json.loads(capsys.readouterr().out)
    assert sorted(row["source"]["offset"] for row in rows) == offsets
    for row in rows:
        assert "203.0.113.77" not in row["record"]
        assert row["fix"].endswith(".")
    assert await run("show", *arguments) == 0
    assert capsys.readouterr().out.count("  record, ") == len(offsets)


async def test_hostile_letters_are_shown_and_never_obeyed(
    settings: Settings, writer: Writer, capsys: pytest.CaptureFixture[str]
) -> None:
    """In every command and in JSON: no control character of a stranger reaches the terminal."""
    await writer.rejected(1, HOSTILE)
    value = {
        "stage": HOSTILE,
        "reason": HOSTILE,
        "fingerprint": HOSTILE + "\x7f",
        "event_id": HOSTILE,
        "source": {"topic": HOSTILE, "partition": 0, "offset": 0},
        "record": HOSTILE,
    }
    await writer.send(writer.miso, 0, msgspec.json.encode(value))
    resolution = {"resolves": f"{writer.miso}-1-0", "action": HOSTILE}
    await writer.send(writer.miso, 1, msgspec.json.encode(resolution))
    await writer.rejected(2, HOSTILE)
    for arguments in (
        ["list"],
        ["show"],
        ["list", "--json"],
        ["show", "--json"],
        ["drop", "--yes"],
    ):
        assert await run(*arguments) == 0
        out, err = capsys.readouterr()
        assert all(line.isprintable() for line in (out + err).split("\n"))
        assert "rejected" in out + err


async def test_drop_appends_a_resolution_and_deletes_nothing(
    settings: Settings, writer: Writer, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the letter's own key and partition; the letter is listed no more, a new one is."""
    await writer.rejected(1)
    await writer.rejected(2)
    assert await run("drop", "--event-id", "shop.clicks-1-1", "--yes") == 0
    out, err = capsys.readouterr()
    assert out == "1 dead letter dropped.\n"
    assert "1 dead letter will be closed: no longer listed" in err
    records = await records_of(settings, writer.miso, 1)
    assert [record.key for record in records] == [b"v-1", b"v-2", b"v-1"]
    note = json.loads(records[2].value)
    assert list(note) == ["resolves", "action", "at"]
    assert (note["resolves"], note["action"]) == (f"{writer.miso}-1-0", "dropped")
    found = await find_letters(settings, Selection())
    assert [str(one.source) for one in found.open] == [f"{writer.topics.clicks}/1/2"]
    assert found.resolved == {"dropped": 1}
    await writer.rejected(1)
    assert len((await find_letters(settings, Selection())).open) == 2
    assert await run("drop", "--yes", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["vendor"], row["reason"], row["dropped"]) == ("miso", "rejected", 2)
    assert await run("drop", "--yes") == 0
    assert "No dead letter is open here. Closed: 3 dropped." in capsys.readouterr().err


@pytest.mark.parametrize("fingerprint", [None, "k7m2pq9x"])
async def test_what_a_run_is_sending_is_not_dropped(
    settings: Settings,
    writer: Writer,
    capsys: pytest.CaptureFixture[str],
    fingerprint: str | None,
) -> None:
    """It has read the letters and sends them, whatever is noted now; other letters are dropped."""
    await writer.rejected(1)
    resent = Asked("resend", owner="miso", fingerprint=fingerprint)
    sending = Run("r-1", resent, AT, AT, parts=[VendorPart("miso")])
    async with run_store(settings) as store:
        await store.claim(sending, is_new=True)
        assert await run("drop", "--yes") == 2
        said = "Nothing was dropped: run r-1 is sending these dead letters. Wait for it, or stop"
        assert said in capsys.readouterr().err
        assert await run("drop", "--fingerprint", "abcd2345", "--yes") == 0
        assert len((await find_letters(settings, Selection())).open) == 1
        sending.pid = None
        await store.write(sending)
    assert await run("drop", "--yes") == 0
    assert "1 dead letter dropped." in capsys.readouterr().out


class Terminal(io.StringIO):
    """A person at the keyboard."""

    def isatty(self) -> bool:
        """Be one."""
        return True


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, 0), ("n\n", 1, 1), ("\n", 1, 1)])
async def test_drop_asks_on_a_terminal(
    settings: Settings,
    writer: Writer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: str,
    code: int,
    left: int,
) -> None:
    """Having said what will happen; anything but a yes drops nothing."""
    await writer.rejected(1)
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    assert await run("drop") == code
    assert "They stay on their topics until retention deletes them." in capsys.readouterr().err
    assert len((await find_letters(settings, Selection())).open) == left


async def test_letters_that_retention_deleted_are_no_error(
    settings: Settings, writer: Writer
) -> None:
    """Before reading they are not listed; after it they can be neither shown nor dropped."""
    for offset in (1, 2, 3):
        await writer.rejected(offset)
    found = await find_letters(settings, Selection())
    assert len(found.open) == 3
    async with admin(settings.kafka) as client:
        tp = TopicPartition(writer.miso, 1)
        await client.delete_records({tp: RecordsToDelete(before_offset=2)})
    shown: list[str] = []
    gone = await read_whole(settings, found.open, lambda letter, _: shown.append(letter.place_id))
    assert (shown, gone) == (["shop.clicks-1-3"], 2)
    dropped = await drop_letters(settings, found.open, at=AT)
    assert (dropped.letters, dropped.gone) == (1, 2)
    assert not len((await find_letters(settings, Selection())).open)


async def test_a_missing_topic_is_a_sentence(settings: Settings, broker: Broker) -> None:
    """Of a vendor that is off only where it is named."""
    await find_letters(settings, Selection())
    other = Settings(
        kafka=KafkaSettings(bootstrap_servers=broker.bootstrap_servers, topic_prefix="nobody.")
    )
    with pytest.raises(SetupError, match=r"nobody\.enrich\.dead-letters\. Create them with"):
        await find_letters(other, Selection())
    with pytest.raises(SetupError, match=r"nobody\.vendor\.voyado\.dead-letters"):
        await find_letters(other, Selection(owner="voyado"))


async def test_an_audit_is_not_disturbed_by_resolutions(settings: Settings, writer: Writer) -> None:
    """Its books are the same before and after all letters are dropped."""
    await one_of_each(Relay(settings, writer.producer))
    before = await run_audit(settings)
    found = await find_letters(settings, Selection())
    assert len(found.open) == 3
    await drop_letters(settings, found.open, at=AT)
    after = await run_audit(settings)
    assert before.balanced
    assert after == before


async def many(writer: Writer, count: int, record_bytes: int) -> None:
    """Write so many letters of one cause to one partition."""
    template = encode_dead_letter(
        build_dead_letter(
            stage="deliver", vendor="miso", reason="rejected", detail="product_ids is invalid.",
            source=Origin("shop.clicks", 1, 987_654_321, 1), at=AT, record=b"x" * record_bytes,
        )
    )  # fmt: skip
    batch = writer.producer.create_batch()
    for offset in range(count):
        value = template.replace(b"987654321", b"%d" % offset)
        if batch.append(key=b"v-1", value=value, timestamp=None) is None:
            await writer.producer.send_batch(batch, writer.miso, partition=1)
            batch = writer.producer.create_batch()
            assert batch.append(key=b"v-1", value=value, timestamp=None) is not None
    await writer.producer.send_batch(batch, writer.miso, partition=1)
    await writer.producer.flush()


async def test_a_hundred_thousand_letters_are_listed_in_seconds(
    settings: Settings, writer: Writer
) -> None:
    """Half a minute is the bound on any machine; the runbook's figure is a few seconds."""
    await many(writer, 100_000, 500)
    async with asyncio.timeout(30):
        found = await find_letters(settings, Selection())
    (one,) = found.groups
    assert one.open == len(found.open) == 100_000


async def test_the_page_takes_little_of_its_workers_memory(
    settings: Settings, writer: Writer
) -> None:
    """Large letters are read in small pieces, and places without end are not held."""
    await many(writer, 5_000, 20_000)
    peak = before = memory_bytes()
    looking = True

    def look() -> None:
        nonlocal peak
        while looking:
            peak = max(peak, memory_bytes())
            time.sleep(0.005)

    watching = asyncio.create_task(asyncio.to_thread(look))
    found = await find_letters(settings, Selection(), max_bytes=MAX_BYTES)
    assert (len(found.open), found.full_at_ms) == (5_000, None)
    found = await find_letters(settings, Selection(), max_bytes=200_000)
    looking = False
    await watching
    assert len(found.open) + found.left_out == 5_000
    assert found.full_at_ms is not None
    assert peak - before < 50 * 2**20


async def test_thousands_are_dropped_in_pieces(settings: Settings, writer: Writer) -> None:
    """More than are read at once, each by a note of its own."""
    await many(writer, 12_000, 10)
    found = await find_letters(settings, Selection(owner="miso"))
    dropped = await drop_letters(settings, found.open, at=AT)
    assert (dropped.letters, dropped.gone) == (12_000, 0)
    found = await find_letters(settings, Selection(owner="miso"))
    assert (len(found.open), found.resolved) == (0, {"dropped": 12_000})
