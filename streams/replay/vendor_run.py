"""One vendor's share of a run: writes judged events for the sink, never far ahead of it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

from aiokafka import AIOKafkaProducer

from streams.core.dead_letter import build_dead_letter, encode_dead_letter, letter_key
from streams.core.enrich import Refuse, Send, Skip
from streams.core.errors import InvalidEvent
from streams.core.fields import FieldMap
from streams.core.outcome import Outcome
from streams.core.receipts import encode_receipt
from streams.core.records import Origin, Receipt, TopicRecord
from streams.core.runs import Run, VendorPart
from streams.core.times import utc_text
from streams.core.topics import Topics
from streams.engine import wall_clock
from streams.engine.outputs import Outputs
from streams.replay.counts import Counts
from streams.replay.run_pages import PAGE_RECORDS, RecordPage, RunPages, Task

log = logging.getLogger("streams.replay")

LEAD_RECORDS = 2_000
"""So many records of a partition at most are written that the sink has not settled."""
REDELIVERY = "redelivery"


class PartRunner:
    """Writes one part; ``part`` holds, at each await, exactly what the broker has acknowledged."""

    def __init__(
        self,
        run: Run,
        part: VendorPart,
        topics: Topics,
        pages: RunPages,
        producer: AIOKafkaProducer,
        *,
        written: Mapping[str, set[int]],
        ends: Mapping[int, int],
        fields: Mapping[str, FieldMap | None],
    ) -> None:
        """``written``: by ``topic/partition`` the raw offsets that are written and not counted.

        ``ends``: where each partition of the redelivery topic ends.
        ``fields``: the field map of each raw topic.
        """
        self.run = run
        self.part = part
        self.pages = pages
        self.committed: dict[int, int] = {}
        """By partition of the redelivery topic, what the sink has settled; others set it."""
        self.changed = asyncio.Event()
        """Set when ``committed`` or ``is_stopped`` may have changed."""
        self.is_stopped = False
        self._topics = topics
        self._producer = producer
        self._written = {place: set(offsets) for place, offsets in written.items()}
        self._ends = dict(ends)
        self._fields = fields
        # A replay meets what enrichment gave up on, whose letters are there; to send a letter
        # again and fail is news.
        self._keeps_no_events = run.asked.command == "resend" and part is run.parts[0]
        self._events = topics.redelivery(part.vendor)
        self._next_at = 0.0
        rate = run.asked.rate
        # About a second's worth at a time, so that a stop is soon obeyed.
        self._page_records = PAGE_RECORDS if rate is None else max(1, min(PAGE_RECORDS, int(rate)))

    async def write(self, page_written: Callable[[RecordPage], Awaitable[None]]) -> None:
        """Write all there is; returns early where the run is stopped.

        ``page_written`` is called with each page that the broker has, before it is counted.
        """
        while not self.is_stopped:
            open_ = self.pages.open_partitions()
            if not open_:
                self.part.all_written = True
                return
            ready = {number for number in open_ if self._has_room(number)}
            pause = self._next_at - asyncio.get_running_loop().time()
            if not ready or pause > 0:
                # Whatever the rate, a stop is obeyed at once.
                self.changed.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.changed.wait(), pause if ready else None)
                continue
            now_ms = wall_clock.now_ms()
            pages = await self.pages.next_pages(ready, self._page_records, now_ms)
            await self._write(pages, utc_text(now_ms), page_written)

    def is_passed(self) -> bool:
        """Return whether the sink has passed all that was written."""
        return all(self.committed.get(number, 0) >= end for number, end in self._ends.items())

    def _has_room(self, number: int) -> bool:
        ahead = self._ends[number] - self.committed.get(number, 0)
        return ahead + self._page_records <= LEAD_RECORDS

    async def _write(
        self,
        pages: Sequence[RecordPage],
        at: str,
        page_written: Callable[[RecordPage], Awaitable[None]],
    ) -> None:
        # A receipt is what says that nothing more is to be done: letters are there before it.
        letters, outputs = Outputs(self._producer), Outputs(self._producer)
        counts = [self._fill(page, at, letters, outputs) for page in pages]
        self._pace(sum(one.sent for one in counts))
        if letters:
            await (await letters.send()).acknowledged()
        acknowledged = await (await outputs.send()).acknowledged() if outputs else {}
        for (topic, number), ranges in acknowledged.items():
            if topic == self._events:
                self._ends[number] = ranges[-1].stop
        for page in pages:
            await page_written(page)
        # All at once, with no await between: the record of the run is written by another task.
        for page, one in zip(pages, counts, strict=True):
            self._count(page, one)

    def _fill(self, page: RecordPage, at: str, letters: Outputs, outputs: Outputs) -> Counts:
        """Append all that comes of a page; what an earlier process wrote is only counted."""
        counts = Counts(self.part.vendor)
        written = self._written.get(f"{page.tp.topic}/{page.tp.partition}", ())
        for task in page.tasks:
            record, judgement = task.record, task.judgement
            if record.offset in written:
                counts.sent += 1
                continue
            counts.add(judgement, None)
            if isinstance(judgement, Send):
                headers = redelivery_headers(record, judgement, self.run.run_id)
                outputs.append(self._events, record.partition, record.key, judgement.value, headers)
            elif isinstance(judgement, Skip):
                self._settle(task, Outcome.SKIPPED, judgement.reason, at, outputs)
            elif isinstance(judgement, Refuse):
                self._refuse(task, judgement.error, at, letters, outputs)
        return counts

    def _count(self, page: RecordPage, counts: Counts) -> None:
        """Take over what the broker has acknowledged of a page."""
        part, number = self.part, page.tp.partition
        place = f"{page.tp.topic}/{number}"
        written = self._written.get(place, set())
        written -= {offset for offset in written if offset < page.upto}
        uncounted = [name for name, offsets in self._written.items() if offsets]
        # A resend that is resumed begins anew, so that it must find all that it ever wrote.
        is_resend = self.run.asked.command == "resend"
        if not is_resend and not any(name.endswith(f"/{number}") for name in uncounted):
            part.written_to[str(number)] = self._ends[number]
        part.positions[place] = page.upto
        part.selected += counts.selected
        part.sent += counts.sent
        for known, new in (
            (part.left, counts.left),
            (part.skipped, counts.skipped),
            (part.refused, counts.refused),
        ):
            for word, count in new.items():
                known[word] = known.get(word, 0) + count

    def _refuse(
        self, task: Task, error: InvalidEvent, at: str, letters: Outputs, outputs: Outputs
    ) -> None:
        """Keep what today's mapping refuses as a dead letter, as enrichment does."""
        record, is_event = task.record, task.event_id is not None
        if not is_event and not self._keeps_no_events:
            return
        letter = build_dead_letter(
            stage="deliver" if is_event else "enrich",
            vendor=self.part.vendor if is_event else None,
            event_id=task.event_id,
            reason=error.reason,
            detail=error.detail,
            field=error.field,
            source=Origin(record.topic, record.partition, record.offset, record.timestamp),
            record=record.value,
            at=at,
            fields=self._fields[record.topic],
        )
        topics = self._topics
        to = topics.dead_letters(self.part.vendor) if is_event else topics.enrich_dead_letters
        letters.append(to, record.partition, letter_key(record.key), encode_dead_letter(letter))
        if is_event:
            self._settle(task, Outcome.DEAD_LETTERED, error.reason, at, outputs)

    def _settle(self, task: Task, outcome: Outcome, reason: str, at: str, outputs: Outputs) -> None:
        """Write the receipt of an event that the run itself settles."""
        record, event_id = task.record, task.event_id
        assert event_id is not None
        receipt = Receipt(
            event_id=event_id,
            outcome=outcome,
            at=at,
            attempts=0,
            source=f"{record.topic}/{record.partition}/{record.offset}",
            lane=REDELIVERY,
            position=None,
            reason=reason,
            run_id=self.run.run_id,
        )
        to = self._topics.receipts(self.part.vendor)
        outputs.append(to, record.partition, event_id.encode(), encode_receipt(receipt))

    def _pace(self, events: int) -> None:
        """Put off the next page so that no more than the asked rate is written."""
        if rate := self.run.asked.rate:
            now = asyncio.get_running_loop().time()
            self._next_at = max(self._next_at, now) + events / rate


def redelivery_headers(record: TopicRecord, sent: Send, run_id: str) -> list[tuple[str, bytes]]:
    """Return the headers of a redelivery: its raw record's place and time, consent, the run."""
    return [
        ("source", f"{record.topic}/{record.partition}/{record.offset}".encode()),
        ("consent", sent.consent.encode()),
        ("source-time", b"%d" % record.timestamp),
        ("run-id", run_id.encode()),
    ]
