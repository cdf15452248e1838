"""New dead letters that are open: the tails of the topics, read within bounds and not often."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from streams.core.errors import SetupError
from streams.core.snapshot import Outcomes
from streams.core.topics import Topics
from streams.dead_letters.book import Position, encode_resolution
from streams.kafka.reader import LogReader
from streams.settings import load_settings
from streams.status import new_letters as module
from streams.status.judge import stages_with_letters
from streams.status.known import Known
from streams.status.new_letters import MAX_BYTES, MAX_RECORDS, NewLetters, open_since
from tests.dead_letters.test_book import letter
from tests.operations.log_reader_in_memory import LogsInMemory, record
from tests.status.test_judge import NOW, pipeline, worker

MISO, ENRICH = "vendor.miso.dead-letters", "enrich.dead-letters"
EIGHTSELECT = "vendor.eightselect.dead-letters"
SINCE = NOW - 600_000
AT = "2026-05-01T09:00:00.000Z"
STAGES = ("enrich", "eightselect", "miso")


def logs(**values: list[bytes | None]) -> LogsInMemory:
    """Topics by owner, whose records were written just now."""
    names = {"miso": MISO, "enrich": ENRICH, "eightselect": EIGHTSELECT}
    return LogsInMemory(
        *(
            record(names[owner], offset, value, at_ms=NOW)
            for owner, log in values.items()
            for offset, value in enumerate(log)
        )
    )


def note(offset: int, action: str, topic: str = MISO) -> bytes:
    """The resolution of the letter at this offset."""
    return encode_resolution(Position(topic, 0, offset), action, AT)


async def read(logs: LogsInMemory) -> dict[str, dict[str, int]]:
    """What is open on the topics of all stages."""
    return await open_since(cast("LogReader", logs), Topics(), STAGES, SINCE)


@pytest.mark.parametrize("action", ["resent", "dropped"])
async def test_what_was_resent_or_dropped_is_not_open(action: str) -> None:
    """By stage and reason; a stage without letters has none open."""
    letters: list[bytes | None] = [
        letter(0),
        letter(1),
        letter(2, reason="invalid_payload"),
        note(0, action),
        note(2, action),
    ]
    assert await read(logs(miso=letters, enrich=[letter(7, reason="invalid_json")])) == {
        "eightselect": {},
        "enrich": {"invalid_json": 1},
        "miso": {"rejected": 1},
    }


async def test_a_letter_written_twice_counts_once_and_one_that_failed_again_counts_again() -> None:
    """As ``streams dead-letters list`` counts."""
    assert (await read(logs(miso=[letter(0), letter(0)])))["miso"] == {"rejected": 1}
    again: list[bytes | None] = [letter(0), note(0, "resent"), letter(0)]
    assert (await read(logs(miso=again)))["miso"] == {"rejected": 1}
    again.append(note(2, "resent"))
    assert (await read(logs(miso=again)))["miso"] == {}


async def test_causes_of_one_reason_are_added_up() -> None:
    """They differ in their fingerprints."""
    found = await read(logs(miso=[letter(0), letter(1, fingerprint="zzzzzzzz")]))
    assert found["miso"] == {"rejected": 2}


async def test_older_letters_and_what_is_no_letter_count_for_nothing() -> None:
    """Nor does the note on a letter that lies before what is read."""
    topics = logs(miso=[letter(0), None, b"{", note(0, "resent"), letter(3)])
    topics.logs[MISO][0] = record(MISO, 0, letter(0), at_ms=SINCE - 1)
    assert (await read(topics))["miso"] == {"rejected": 1}


async def test_a_flood_is_unknown_and_hides_no_other_stage() -> None:
    """Beyond so many records, whatever they are."""
    many: list[bytes | None] = [letter(n) for n in range(MAX_RECORDS)]
    assert (await read(logs(miso=many)))["miso"] == {"rejected": MAX_RECORDS}
    assert await read(logs(miso=many, enrich=[letter(0)])) == {
        "eightselect": {},
        "enrich": {"rejected": 1},
    }


async def test_large_letters_are_unknown_beyond_so_many_bytes() -> None:
    """No more than these are taken in."""
    large: list[bytes | None] = [letter(n, record="x" * (MAX_BYTES // 4)) for n in range(4)]
    assert (await read(logs(miso=large[:3])))["miso"] == {"rejected": 3}
    assert await read(logs(miso=large)) == {"eightselect": {}, "enrich": {}}


async def test_a_missing_topic_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not say that nothing is open."""
    topics = logs(miso=[letter(0)])

    async def partitions(names: Any) -> dict[str, list[Any]]:
        return {**await LogsInMemory.partitions(topics, names), EIGHTSELECT: []}

    monkeypatch.setattr(topics, "partitions", partitions)
    assert await read(topics) == {"enrich": {}, "miso": {"rejected": 1}}


class Broker:
    """Counts how often it is read; ``topics`` None: it does not answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.topics: LogsInMemory | None = logs(miso=[letter(0), letter(1), note(0, "resent")])
        self.readings = 0
        self.now = 0.0
        monkeypatch.setattr(module, "connect", self.connect)
        settings = load_settings({"STREAMS_MISO_API_KEY": "k"})
        self.letters = NewLetters(settings, lambda: self.now)

    @asynccontextmanager
    async def connect(self, *_: object) -> AsyncIterator[LogsInMemory]:
        """Answer, or not."""
        self.readings += 1
        if self.topics is None:
            raise SetupError("no answer")
        yield self.topics


COUNTED = pipeline(worker("miso", lately={"miso": Outcomes(0, {}, {"rejected": 2})}))


async def test_nothing_is_read_while_workers_count_no_letter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was known before is forgotten then."""
    broker = Broker(monkeypatch)
    await broker.letters.refresh(pipeline())
    assert (broker.readings, broker.letters.open) == (0, {})
    await broker.letters.refresh(COUNTED)
    assert (broker.readings, broker.letters.open) == (1, {"miso": {"rejected": 1}})
    await broker.letters.refresh(pipeline())
    assert (broker.readings, broker.letters.open) == (1, {})


async def test_topics_are_read_every_five_seconds_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often somebody looks."""
    broker = Broker(monkeypatch)
    read_by = []
    for now in (0.0, 1.0, 4.9, 5.0, 6.0, 10.0):
        broker.now = now
        await broker.letters.refresh(COUNTED)
        read_by.append(broker.readings)
    assert read_by == [1, 1, 1, 2, 2, 3]


async def test_where_the_brokers_do_not_answer_the_workers_figures_stand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was read before may be long over."""
    broker = Broker(monkeypatch)
    await broker.letters.refresh(COUNTED)
    broker.topics, broker.now = None, 5.0
    await broker.letters.refresh(COUNTED)
    assert broker.letters.open == {}


def test_only_stages_with_letters_are_read() -> None:
    """Of all that are configured."""
    assert stages_with_letters(COUNTED) == ["miso"]
    assert stages_with_letters(Known(NOW, [])) == []
