"""``streams dead-letters resend``: preview, run, and the notes that close and open letters."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from streams.core.enrich import Refuse, Send
from streams.core.errors import SettingsError
from streams.core.runs import ALREADY_ACCEPTED, RUNNING, Asked, Run, VendorPart
from streams.dead_letters.book import (
    ENRICH,
    INGEST,
    RESENT,
    Letter,
    Selection,
    encode_resolution,
)
from streams.dead_letters.compact import NumberSet
from streams.dead_letters.dead_letters import find_letters, newest_copies
from streams.engine import wall_clock
from streams.engine.errors import EngineError
from streams.kafka.reader import LogReader, Tell, connect, silent
from streams.kafka.writer import connect_writer, writing_failed
from streams.replay.counts import Counts
from streams.replay.planner import Left
from streams.replay.redeliver import LetterPages, LetterTable, ToSend
from streams.replay.run import Job
from streams.replay.run_outcomes import RunOutcomes, outcomes_of
from streams.replay.run_pages import PAGE_RECORDS, RecordPage
from streams.replay.run_store import has_process, list_runs
from streams.settings import Settings
from streams.vendors import VENDORS


@dataclass(slots=True)
class ResendPreview:
    """What a resend would do."""

    asked: Asked
    letters: int
    """How many are open and about a raw record."""
    vendors: list[Counts]
    foreign: int = 0
    """Letters about no raw record, or about a partition that does not exist: never sent."""
    off: dict[str, int] = field(default_factory=dict)
    """Letters of vendors that are off, by vendor."""
    of_sources: dict[str, int] = field(default_factory=dict)
    """Letters about records of sources that are off, by raw topic."""
    of_ingest: int = 0
    """Letters about the shop's own records, which are sent again by themselves."""

    @property
    def would_send(self) -> int:
        """Events, over all vendors."""
        return sum(counts.sent for counts in self.vendors)


def selection_of(asked: Asked) -> Selection:
    """Return which letters are meant."""
    return Selection(asked.owner, asked.fingerprint, asked.event_id, asked.since_ms)


async def refuse_while_resent(settings: Settings, selection: Selection) -> None:
    """Raise SettingsError where a run may be sending letters of this selection now.

    It has read them already, and would send them though they are dropped.
    """
    now_ms = wall_clock.now_ms()
    for run in await list_runs(settings):
        is_resend = run.asked.command == "resend" and run.state == RUNNING
        if is_resend and has_process(run, now_ms) and selection_of(run.asked).may_share(selection):
            words = (
                f"Nothing was dropped: run {run.run_id} is sending these dead letters. Wait for "
                f"it, or stop it with `streams replay stop {run.run_id}`."
            )
            raise SettingsError([words])


async def preview_resend(
    settings: Settings, asked: Asked, *, tell: Tell = silent, now_ms: int
) -> ResendPreview:
    """Judge every open letter that is meant; nothing is written.

    Raises SettingsError for an owner that there is none of or that is off, SetupError where the
    brokers do not answer or a topic is missing.
    """
    on = settings.enabled_vendors()
    if asked.owner is not None and asked.owner in VENDORS and asked.owner not in on:
        name = VENDORS[asked.owner].name
        raise SettingsError([f"--vendor: {name} is off; switch it on before sending it anything."])
    found = await find_letters(settings, selection_of(asked), tell=tell)
    topics_off = settings.topics.off
    async with connect(settings.kafka) as reader:
        letters = await about_raw(settings, reader, found.open)
    of_ingest = sum(group.open for group in found.groups if group.owner == INGEST)
    of_sources = Counter(one.source.topic for one in found.open if one.source.topic in topics_off)
    foreign = len(found.open) - len(letters) - of_ingest - of_sources.total()
    preview = ResendPreview(asked, len(letters), [], foreign, of_ingest=of_ingest)
    preview.of_sources = dict(of_sources)
    preview.off = {v: n for v, n in letters.counts.items() if v != ENRICH and v not in on}
    vendors = [vendor for vendor in on if letters.is_for(vendor)]
    if len(letters) and not on:
        raise SettingsError(["No vendor is on, so there is none to send to."])
    settings.require_mappings(vendors)
    if not vendors:
        return preview
    job = ResendJob()
    async with connect(settings.kafka) as reader:
        await job.read(settings, asked, vendors, letters, reader)
        for vendor in vendors:
            counts = Counts(vendor)
            pages = await job.pages(VendorPart(vendor), reader)
            while open_ := pages.open_partitions():
                for page in await pages.next_pages(open_, PAGE_RECORDS, now_ms):
                    for task in page.tasks:
                        counts.add(task.judgement, "dead_lettered")
                pages.letters.clear()
            preview.vendors.append(counts)
    return preview


async def about_raw(
    settings: Settings, reader: LogReader, letters: Iterable[Letter]
) -> LetterTable:
    """Return those about raw records, of partitions that exist.

    A topic that was recreated may have fewer; the brokers do not answer for the others.
    """
    found = await reader.partitions(settings.topics.raw)
    raw = {tuple(tp) for tps in found.values() for tp in tps}
    return LetterTable(one for one in letters if one.source[:2] in raw)


class ResendJob(Job):
    """The letters that a run is about: those open now, and those that it has closed itself."""

    def __init__(self) -> None:
        self._pages: dict[str, LetterPages] = {}
        self._gone: dict[TopicPartition, NumberSet] = {}
        """Sources of letters about no vendor of which nothing could be judged."""
        self._unwritten: set[str] = set()
        self._own = ""
        """The run's id, once there is one."""

    async def begin(self, settings: Settings, run: Run, reader: LogReader) -> None:
        """Find the letters; a run that is resumed looks at all of them anew.

        What it wrote before is known from the redelivery topics, from where the run began.
        """
        self._own = run.run_id
        found = await find_letters(settings, selection_of(run.asked), closed_by=run.run_id)
        both = chain(found.open, found.open.of_run())
        letters = await about_raw(settings, reader, both)
        parts = [part for part in run.parts if part.state == RUNNING]
        for part in parts:
            part.selected = part.sent = 0
            part.left, part.skipped, part.refused, part.positions = {}, {}, {}, {}
            part.all_written = False
        self._unwritten = {part.vendor for part in parts}
        await self.read(settings, run.asked, sorted(self._unwritten), letters, reader)

    async def read(
        self,
        settings: Settings,
        asked: Asked,
        vendors: Sequence[str],
        letters: LetterTable,
        reader: LogReader,
    ) -> None:
        """Read the tables and what is known of these letters' events."""
        self._settings = settings
        self._letters = letters
        window = letters.window(await reader.starts(letters.partitions()))
        await self.load(settings, asked, vendors, window, reader, self._own)

    async def pages(self, part: VendorPart, reader: LogReader) -> LetterPages:
        """Return the letters that go to one vendor; the reader is the work's alone."""
        vendor = part.vendor
        settings = self._settings
        mapper = settings.record_mapper([settings.plan_for(vendor)], self.rows)
        mode = settings.consent.mode
        pages = LetterPages(reader, self._letters, mapper, self.history, vendor, mode)
        self._pages[vendor] = pages
        return pages

    async def page_written(
        self, run: Run, part: VendorPart, page: RecordPage, producer: AIOKafkaProducer, at: str
    ) -> None:
        """Close the vendor's letters that were sent, had been accepted, or failed anew."""
        letters = []
        for task in page.tasks:
            offset, judgement = task.record.offset, task.judgement
            letter = self._pages[part.vendor].letters.pop((page.tp, offset))
            if isinstance(judgement, Left) and judgement.why != ALREADY_ACCEPTED:
                gone = self._gone.setdefault(page.tp, NumberSet())
                if offset not in gone:
                    gone.add(offset)
            elif letter.owner == part.vendor and isinstance(judgement, Send | Refuse | Left):
                letters.append(letter)
        await _resolve(producer, run.run_id, letters, at)

    async def written(
        self, run: Run, part: VendorPart, producer: AIOKafkaProducer, at: str
    ) -> None:
        """Close the letters about no vendor, once every vendor's share is written."""
        self._unwritten.discard(part.vendor)
        if self._unwritten:
            return
        none = NumberSet()
        letters = (
            letter
            for letter in self._letters
            if letter.owner == ENRICH
            and letter.source.offset not in self._gone.get(TopicPartition(*letter.source[:2]), none)
        )
        while some := list(islice(letters, PAGE_RECORDS)):
            await _resolve(producer, run.run_id, some, at)


async def _resolve(
    producer: AIOKafkaProducer, run_id: str, letters: Sequence[ToSend], at: str
) -> None:
    waiting = []
    for letter in letters:
        topic, partition, _ = letter.position
        value = encode_resolution(letter.position, RESENT, at, run_id)
        waiting.append(await producer.send(topic, value, partition=partition))
    try:
        for sent in waiting:
            await sent
    except KafkaError as error:
        raise EngineError(f"noting what was sent again failed: {error!r}") from error


async def reopen_letters(settings: Settings, run: Run) -> int:
    """Open the letters again whose events a stopped run has written and no sink has settled.

    A copy of each is appended, which is open. Returns how many these are.
    """
    found = await find_letters(settings, selection_of(run.asked), closed_by=run.run_id)
    if next(found.open.of_run(), None) is None:
        return 0
    reopened = 0
    refused = writing_failed("the topics of dead letters")
    async with (
        connect(settings.kafka) as reader,
        connect_writer(settings.kafka, "streams-replay", refused) as producer,
    ):
        settled = {p.vendor: outcomes_of(settings.topics, run.run_id, p) for p in run.parts}
        for outcomes in settled.values():
            await outcomes.follow(reader)
        left = (one for one in found.open.of_run() if _is_unsettled(one, settled))
        async for letter, record in newest_copies(reader, left):
            if record is not None:
                topic, partition, _ = letter.position
                await producer.send_and_wait(topic, record.value, record.key, partition=partition)
                reopened += 1
    return reopened


def _is_unsettled(letter: Letter, settled: Mapping[str, RunOutcomes]) -> bool:
    topic, partition, offset = letter.source
    vendors = list(settled) if letter.owner == ENRICH else [letter.owner]
    place = f"{topic}/{partition}"
    return any(v in settled and not settled[v].has(place, offset) for v in vendors)
