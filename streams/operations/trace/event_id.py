"""Finding an event by the id that the shop gave it.

It stands in the receipts of each vendor that was on: those of one are looked through, newest first,
and only what has no receipt there yet is looked for elsewhere.
"""

from collections.abc import Callable, Iterable, Sequence

from streams.core.records import Source
from streams.kafka.byte_patterns import AnyOf
from streams.kafka.reader import Offsets
from streams.kafka.topic_search import BytePattern, FoundRecord
from streams.operations.trace.facts import place_of, read_letter, read_receipt, read_sent
from streams.operations.trace.logs import TraceLogs
from streams.operations.trace.slices import in_json, names_event, newest_first, raw_byte_pattern
from streams.settings import ENRICH

Read = Callable[[FoundRecord], Source | None]
"""Returns the raw record that a record is about, if it is about the event."""


class EventIdSearch:
    """One search; ``find`` returns the places of the raw records with this id."""

    def __init__(self, logs: TraceLogs, event_id: str, since_ms: int) -> None:
        self._logs = logs
        self._id = event_id
        self._key = event_id.encode()
        self._forms = in_json(event_id)
        self._since_ms = since_ms

    async def find(self) -> list[Source]:
        """Look where it is likeliest and cheapest first; several records can have one id."""
        logs, topics, raw = self._logs, self._logs.topics, self._logs.raw_topics
        by_key, by_value = AnyOf([self._key]), AnyOf(self._forms)
        in_raw = raw_byte_pattern(logs, self._forms)
        by_waiting = sorted(logs.vendors, key=self._waiting)
        first, others = by_waiting[:1], by_waiting[1:]
        receipts = [topics.receipts(vendor) for vendor in first]
        found = await self._look(receipts, by_key, self._of_receipt)
        # Not settled there, or that vendor was off: then it waits in one of these tails ...
        if not found:
            tails = self._tails(ENRICH, raw)
            found = await self._look(raw, in_raw, self._of_raw, tails)
        for vendor in first:
            if not found:
                events = [topics.events(vendor)]
                tails = self._tails(vendor, events)
                found = await self._look(events, by_value, self._of_vendor_record, tails)
        # ... or it is no event, or that vendor was off when it was read.
        if not found:
            letters = [topics.enrich_dead_letters]
            found = await self._look(letters, by_value, self._of_letter)
        found = found or await self._look(raw, in_raw, self._of_raw)
        # Where retention has deleted raw records, receipts that outlive them are all that is left.
        has_lost = any(logs.starts[tp] > 0 for tp in logs.partitions(raw))
        for vendor in others if has_lost else ():
            if not found:
                receipts = [topics.receipts(vendor)]
                found = await self._look(receipts, by_key, self._of_receipt)
        return found

    async def _look(
        self,
        topics: Sequence[str],
        byte_pattern: BytePattern,
        read: Read,
        starts: Offsets | None = None,
    ) -> list[Source]:
        logs = self._logs
        tps = logs.partitions(topics)

        def is_its(record: FoundRecord) -> bool:
            return read(record) is not None

        async for records in newest_first(logs, tps, byte_pattern, self._since_ms, is_its, starts):
            sources = map(read, await logs.committed(records))
            found = [one for one in sources if one is not None and one.topic in logs.raw_topics]
            if found:
                return found
        return []

    def _of_receipt(self, record: FoundRecord) -> Source | None:
        received = read_receipt(record) if record.key == self._key else None
        is_its = received is not None and received.receipt.event_id == self._id
        return received.source if received is not None and is_its else None

    def _of_letter(self, record: FoundRecord) -> Source | None:
        lettered = read_letter(record)
        is_its = lettered is not None and lettered.letter.event_id == self._id
        return lettered.source if lettered is not None and is_its else None

    def _of_vendor_record(self, record: FoundRecord) -> Source | None:
        sent = read_sent(record, is_redelivery=False)
        is_its = sent is not None and sent.record.event_id == self._id
        return sent.source if sent is not None and is_its else None

    def _of_raw(self, record: FoundRecord) -> Source | None:
        return place_of(record) if names_event(self._logs, record, self._id) else None

    def _waiting(self, vendor: str) -> int:
        """Return how much has no receipt yet; who is off has receipts for nothing new."""
        logs = self._logs
        waiting = 0 if vendor in logs.settings.enabled_vendors() else 10**15
        for tp, start in self._tails(vendor, [logs.topics.events(vendor)]).items():
            waiting += logs.ends[tp] - start
        return waiting

    def _tails(self, stage: str, topics: Iterable[str]) -> Offsets:
        """Return from where on a stage has not committed."""
        logs = self._logs
        return {
            tp: max(logs.lane(stage, tp).committed or 0, logs.starts[tp])
            for tp in logs.partitions(topics)
        }
