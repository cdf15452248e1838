"""Ingest: chunks of the shop's topics in, one batch a raw partition out.

A chunk is settled once the broker has acknowledged all that came of it. After a crash its records
are written again, events with the same ids: enrichment skips them as duplicates.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial

import msgspec
from faust.types import TP

from streams.core.errors import InvalidEvent
from streams.core.ingest.decoding import RegistryAway
from streams.core.ingest.outcomes import (
    IngestOutcome,
    IngestRecord,
    IngestRefusal,
    SkippedRecord,
)
from streams.core.ingest.topic_mapping import TopicMapping
from streams.core.ingest.visitors import VisitorIndex
from streams.core.ingest.watch import TopicWatch
from streams.core.masking import masked_json, masked_text
from streams.core.outcome import DeadLetterReason
from streams.core.records import SECTION
from streams.core.snapshot import REGISTRY, DriftNote
from streams.core.topics import Topics
from streams.engine.app import Stage, StageApp
from streams.engine.chunks import Chunk, Record
from streams.engine.expired import ALL, ExpiredRecords
from streams.engine.failure import leave
from streams.engine.outputs import Delivery, Outputs
from streams.engine.partitioner import home_of
from streams.engine.positions import StartPosition
from streams.stages.ingest.commit_metadata import CommitMetadata, decode_metadata
from streams.stages.ingest.letters import IngestLetters
from streams.stages.ingest.visitor_wait import NOT_JOINED, VisitorWait
from streams.worker.counters import Counters

log = logging.getLogger("streams.ingest")

# The hash is Python: a visitor's events share their key, so the last ones are remembered.
_home_of = lru_cache(maxsize=65_536)(home_of)

IN_FLIGHT = 8
"""How many writes may wait for acknowledgement at once."""
MAX_EXAMPLE_CHARS = 400
"""Of a record in which something has changed."""
REGISTRY_SECONDS = 1.0
"""How soon a registry that is away is asked again."""


class IngestStage(Stage):
    """The stage ``ingest`` in one process."""

    def __init__(
        self,
        app: StageApp,
        topics: Topics,
        mappings: Mapping[str, TopicMapping],
        *,
        partitions: Mapping[str, int],
        wall_ms: Callable[[], int],
        secrets: Sequence[str] = (),
        absent: Sequence[str] = (),
        visitors: VisitorIndex | None = None,
    ) -> None:
        """Declare an agent for each topic of the shop that exists; ``mappings`` are by topic.

        ``partitions``: of each topic that is read or written. ``secrets`` are masked in dead
        letters. ``absent``: a sentence about each topic of the shop that does not exist.
        ``visitors``: where ``mappings`` look for visitors, kept up to date here; None: nowhere.
        """
        super().__init__(app)
        self.counters = Counters()
        self._absent = tuple(absent)
        self._topics = topics
        self._letters = IngestLetters(wall_ms, secrets)
        self._wall_ms = wall_ms
        self._secrets = tuple(secrets)
        self._watches = {topic: TopicWatch(mapping) for topic, mapping in mappings.items()}
        self._of_rows = frozenset(
            topic
            for topic, mapping in mappings.items()
            if not any(section.target.writes_events for section in mapping.sections)
        )
        """Topics of which only rows are made."""
        sections = [one.name for mapping in mappings.values() for one in mapping.sections]
        self._names = {name: (SECTION, name.encode()) for name in sections}
        """By section: the header that names it."""
        targets = {to: topics.of_shop(to) for to in topics.fed}
        self._targets = {to: (topic, partitions[topic]) for to, topic in targets.items()}
        """By ``to``: the topic and its number of partitions."""
        self._letter_partitions = partitions[topics.ingest_dead_letters]
        self._in_flight: set[asyncio.Task[None]] = set()
        self._has_room = asyncio.Semaphore(IN_FLIGHT)
        self._refused: Mapping[int, str] = {}
        self._waits_for: dict[str, str] = {}
        """By topic: why the registry cannot be used for its records now."""
        self._wait = None
        if visitors is not None:
            self._wait = VisitorWait(
                app,
                topics,
                mappings.values(),
                visitors,
                partitions=partitions,
                read=self._outcomes,
                wall_ms=wall_ms,
            )
        for topic, mapping in mappings.items():
            take = partial(self._take, mapping)
            app.read_chunks(topic, name=f"ingest-{topic}", take=take)

    # -- the way of a record

    async def _take(self, mapping: TopicMapping, chunks: Sequence[Chunk]) -> None:
        """Map chunks, and queue what came of them behind all that was queued before."""
        await self._prepare(mapping, chunks)
        if self._wait is not None:
            await self._wait.until_known(mapping, chunks)
        await self._has_room.acquire()
        try:
            # Not where it was revoked meanwhile: the next owner starts from the commit. Rows that
            # are written late would stand over newer ones.
            ours = await self.app.ours(chunks)
            outputs = self.app.new_outputs()
            for chunk in ours:
                self._map(mapping, chunk, outputs)
            delivery = await outputs.send()
        except BaseException:
            self._has_room.release()
            raise
        task = asyncio.ensure_future(self._finish(ours, delivery))
        self._in_flight.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._in_flight.discard(task)
        self._has_room.release()

    async def _finish(self, chunks: Sequence[Chunk], delivery: Delivery) -> None:
        try:
            await delivery.acknowledged()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            leave(f"{error}; starting again from the last commit", cause=error)
        for chunk in chunks:
            self.app.consumer.ack(chunk)

    async def _prepare(self, mapping: TopicMapping, chunks: Sequence[Chunk]) -> None:
        """Get what decoding needs; waits while the registry is away and the chunks are ours."""
        values = [
            data
            for chunk in chunks
            for record in chunk.value
            for data in (record.value, record.key)
            if data is not None
        ]
        while any(self.app.consumer.is_in_hand(chunk) for chunk in chunks):
            try:
                await mapping.decoder.prepare(values)
            except RegistryAway as away:
                if self._waits_for.get(mapping.topic) != str(away):
                    log.warning("records of %s wait: %s", mapping.topic, away)
                self._waits_for[mapping.topic] = str(away)
                await asyncio.sleep(REGISTRY_SECONDS)
            else:
                break
        if self._waits_for.pop(mapping.topic, None) is not None:
            log.info("records of %s go on: the registry answers", mapping.topic)

    def _map(self, mapping: TopicMapping, chunk: Chunk, outputs: Outputs) -> None:
        """Append all that comes of these records of one partition."""
        topic, partition = chunk.tp
        counters, place = self.counters, f"{topic}/{partition}/".encode()
        watch, now_ms = self._watches[topic], self._wall_ms()
        append, targets, names = outputs.append, self._targets, self._names
        written: dict[str, int] = {}
        is_watched = True
        for record in chunk.value:
            if is_watched:
                is_watched = watch.look(record.key, record.value, now_ms / 1000, now_ms)
            source = ("source", b"%b%d" % (place, record.offset))
            for outcome in self._outcomes(mapping, partition, record):
                if type(outcome) is IngestRecord:
                    section, key = outcome.section, outcome.key
                    target, partitions = targets[outcome.to]
                    name = names[section]
                    if outcome.element is not None:
                        name = (SECTION, b"%b/%d" % (name[1], outcome.element))
                    append(target, _home_of(key, partitions), key, outcome.value, [source, name])
                    written[section] = written.get(section, 0) + 1
                    if outcome.notes:
                        counters.notes.update(outcome.notes)
                elif type(outcome) is IngestRefusal:
                    self._refuse(mapping, chunk.tp, record, outcome, outputs)
                elif type(outcome) is SkippedRecord:
                    counters.skipped[outcome.reason] += 1
                else:
                    counters.ingested[outcome.section, "unmapped"] += 1  # type: ignore[union-attr]
        counters.events += len(chunk.value)
        for section, count in written.items():
            counters.ingested[section, "written"] += count

    def _outcomes(
        self, mapping: TopicMapping, partition: int, record: Record
    ) -> list[IngestOutcome]:
        try:
            return mapping.read(
                record.key, record.value, partition, record.offset, record.timestamp
            )
        except RegistryAway:
            raise
        except Exception as defect:
            place = mapping.topic, partition, record.offset
            log.exception("our own code failed on %s/%d/%d", *place)
            words = f"{type(defect).__name__}: {defect}"
            error = InvalidEvent(DeadLetterReason.DEFECT, words)
            return [IngestRefusal(mapping.sections[0].name, error, is_whole=True)]

    def _refuse(
        self,
        mapping: TopicMapping,
        tp: TP,
        record: Record,
        refusal: IngestRefusal,
        outputs: Outputs,
    ) -> None:
        letter, value = self._letters.build(mapping, tp, record, refusal)
        to = self._topics.ingest_dead_letters
        outputs.append(to, tp.partition % self._letter_partitions, *value)
        self.counters.dead_lettered[refusal.error.reason] += 1
        self.counters.ingested[refusal.section, "dead_lettered"] += 1
        self.counters.note_cause(letter)

    # -- what the engine asks

    def commit_metadata(self, tp: TP, offset: int) -> str | None:
        """Return how many records expired below the offset; None: not known."""
        expired = self.expired.get(tp)
        return None if expired is None else CommitMetadata(expired.below(offset)).encode()

    async def on_start_positions(self, positions: Mapping[TP, StartPosition]) -> None:
        """Continue the last owner's count of expired records."""
        for tp, start in positions.items():
            try:
                said = decode_metadata(start.metadata)
            except ValueError:
                log.warning("%s partition %d: commit metadata that is not ours", *tp)
                said = CommitMetadata()
            self.expired[tp] = ExpiredRecords(said.expired)

    def on_partitions_gone(self, tps: Iterable[TP]) -> None:
        """Forget partitions that another worker has now."""
        for tp in tps:
            self.expired.pop(tp, None)

    async def settle(self, seconds: float) -> None:
        """Wait until the broker has acknowledged what was written."""
        if self._in_flight:
            await asyncio.wait(set(self._in_flight), timeout=seconds)

    def on_refused(self, partitions: Mapping[int, str]) -> None:
        """Record that topics refuse writes: records of any partition may wait for that."""
        self._refused = partitions

    def may_be_silent(self, tp: TP) -> bool:
        """Return whether a topic refuses writes, the registry is away, or visitors are awaited."""
        return (
            bool(self._refused)
            or tp.topic in self._waits_for
            or (self._wait is not None and tp.topic in self._wait.waiting)
        )

    def not_ready(self) -> list[str]:
        """Return why records wait although they are read, one sentence each."""
        return [f"{REGISTRY}{why}" for why in dict.fromkeys(self._waits_for.values())]

    def warnings(self) -> list[str]:
        """Return which topics of the shop do not exist, one sentence each."""
        return list(self._absent)

    def effect_of_hidden(self, tp: TP) -> str:
        """Return what happens while an open transaction hides records of a topic of the shop."""
        if self._wait is not None and self._wait.names_visitors(tp):
            return NOT_JOINED
        return super().effect_of_hidden(tp)

    def drift(self) -> list[DriftNote]:
        """Return what has changed in the shop's records, examples masked."""
        return [
            DriftNote(
                one.change,
                one.section,
                masked_text(one.what, self._secrets),
                one.words,
                one.since_ms,
                topic,
                masked_text(
                    msgspec.json.encode(masked_json(one.example, self._secrets)).decode(),
                    self._secrets,
                    MAX_EXAMPLE_CHARS,
                ),
            )
            for topic, watch in self._watches.items()
            for one in watch.found()
        ]

    def may_be_compacted(self, topic: str) -> bool:
        """Return whether a topic gives rows only."""
        return topic in self._of_rows

    def on_expired(self, tp: TP, first: int, end: int) -> None:
        """Count and log records that were deleted before they were read."""
        records = end - first
        self.expired[tp].record(first, end, {ALL: records})
        self.counters.expired[tp.topic] += records
        log.error(
            "%d records of %s partition %d were deleted by retention before they were read",
            records,
            *tp,
        )
