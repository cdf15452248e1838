"""Forgetting a visitor: tombstone, what waits is stopped, deletion at the vendors.

Everything is found anew at each run, so it can be repeated until nothing is left to do.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from functools import partial

from aiokafka.errors import KafkaError

from streams.core.ingest.visitors import names_visitor
from streams.delivery.http import HttpClient
from streams.engine import wall_clock
from streams.kafka.reader import Tell, connect
from streams.kafka.writer import connect_writer, writing_failed
from streams.operations.forget.plan import HeldRecords, still_held
from streams.operations.forget.report import Obeys, Report, StageWord, stage_words
from streams.operations.forget.shop_topics import held_by_shop
from streams.operations.forget.survey import Survey, keeping
from streams.operations.forget.vendors import DeletionClient, erase
from streams.settings import ENRICH, INGEST, Settings
from streams.status.status import follow_status
from streams.vendors import VENDORS

WORKERS_SECONDS = 20.0
"""So long running workers have to say that they have read the tombstone; they speak each second."""
UNDER_WAY_SECONDS = 15.0
"""So long requests that were under way have to be answered, and their receipts to be written."""
_LOOK_SECONDS = 0.5
_STANDING_STILL = ("parked", "paused")

Say = Callable[[str], None]
"""Called with what is being done, in a few words."""


async def run_forget(
    settings: Settings,
    survey: Survey,
    *,
    tell: Tell,
    say: Say,
    workers_seconds: float = WORKERS_SECONDS,
) -> Report:
    """Forget the visitor of this survey, which is brought up to date, and say what was done.

    A vendor that fails hides no other; ``Report.complete`` tells whether to run it again.
    Raises SetupError where the broker does not answer or refuses the tombstone.
    """
    at = wall_clock.now_text()
    say("writing the tombstone")
    offset = await _write_tombstone(settings, survey)
    await _write_link_tombstones(settings, survey, tell)
    say("waiting until the workers have read it")
    stages = await _workers(settings, survey, offset, workers_seconds)
    say("reading what was sent until then")
    await _catch_up(settings, survey, stages, tell)
    words = []
    for key in survey.vendors:
        vendor, section = VENDORS[key], settings.vendors[key]
        say(f"asking {vendor.name}")
        word = await erase(
            vendor,
            section,
            replace(survey.traces.trail(key), voyado_schema_ids=_schema_ids(settings)),
            survey.traces.at_vendor[key],
            has_credentials=settings.has_credentials(key),
            new_client=partial(_http_client, settings),
            secrets=settings.secrets(),
        )
        words.append(word)
    held = survey.traces.held
    shop = await held_by_shop(settings, survey.traces.visitor, tell)
    return Report(
        visitor=survey.traces.visitor,
        at=at,
        tombstone=f"{settings.topics.users}/{survey.partition}/{offset}",
        stages=stages,
        vendors=words,
        held=still_held(held, await keeping(settings, list(held))),
        not_ours=tuple(one.sentence for one in shop),
    )


def _schema_ids(settings: Settings) -> tuple[str, ...]:
    """Return the schemas of Voyado that the sections ``[events.NAME]`` name."""
    ids = (section.voyado_schema_id for section in settings.events.values())
    return tuple(dict.fromkeys(filter(None, ids)))


def _http_client(settings: Settings, base_url: str) -> DeletionClient:
    return HttpClient(base_url, concurrency=1, current_http=settings.current_http)


async def _write_tombstone(settings: Settings, survey: Survey) -> int:
    topic, key = settings.topics.users, survey.traces.visitor.encode()

    def refused(error: KafkaError) -> str:
        return (
            f"The tombstone could not be written to {topic}: {error!r}. Nothing was changed. Check "
            "the brokers and this user's rights, then try again."
        )

    async with connect_writer(settings.kafka, "streams-forget", refused) as producer:
        for partition in survey.elsewhere:
            await producer.send_and_wait(topic, None, key, partition=partition)
        written = await producer.send_and_wait(topic, None, key, partition=survey.partition)
    return int(written.offset)


async def _write_link_tombstones(settings: Settings, survey: Survey, tell: Tell) -> None:
    """Take away the rows of ``shop.visitors`` that name the visitor, where a section writes any."""
    topic = settings.topics.visitors
    if "visitors" not in settings.topics.fed:
        return
    links: dict[bytes, int] = {}
    async with connect(settings.kafka) as reader:
        async for _, records in reader.read_topic(topic, tell=tell):
            for record in records:
                links.pop(record.key or b"", None)
                if names_visitor(record.value, survey.traces.visitor):
                    links[record.key or b""] = record.timestamp
    if not links:
        return
    async with connect_writer(settings.kafka, "streams-forget", writing_failed(topic)) as producer:
        for key in links:
            await producer.send_and_wait(topic, None, key)
    survey.traces.held[topic] = HeldRecords(len(links), max(links.values()))


async def _workers(
    settings: Settings, survey: Survey, offset: int, seconds: float
) -> list[StageWord]:
    """Wait until every stage obeys the tombstone, or time is up."""
    deadline = time.monotonic() + seconds
    async with aclosing(follow_status(settings)) as boards:
        async for board in boards:
            words = stage_words(
                (*((INGEST,) if settings.topics.joins else ()), ENRICH, *survey.vendors),
                board.workers(wall_clock.now_ms()),
                users=settings.topics.users,
                partition=survey.partition,
                offset=offset,
            )
            if all(w.obeys is not Obeys.UNSURE for w in words) or time.monotonic() > deadline:
                break
            await asyncio.sleep(_LOOK_SECONDS)
    return words


async def _catch_up(
    settings: Settings, survey: Survey, stages: list[StageWord], tell: Tell
) -> None:
    """Read on until what vendors that can delete were just being sent has its receipts.

    A vendor that stands still sends nothing; nor does one of which no worker runs.
    """
    moving = [
        word.stage
        for word in stages
        if word.obeys is not Obeys.NO_WORKER and word.vendor_state not in _STANDING_STILL
    ]
    deadline = time.monotonic() + UNDER_WAY_SECONDS
    async with connect(settings.kafka) as reader:
        while True:
            await survey.read_on(settings, reader, tell)
            there = survey.traces.at_vendor
            if not any(there[stage].open for stage in moving if stage in there):
                return
            if time.monotonic() > deadline:
                return
            await asyncio.sleep(_LOOK_SECONDS)
