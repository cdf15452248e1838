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
        in_receipts = [([topics.receipts(v)], by_key, self._of_receipt, None) for v in by_waiting]
        looks: list[tuple[Sequence[str], BytePattern, Read, Offsets | None]] = [
            *in_receipts[:1],
            # Not settled there, or that vendor was off: then it waits in one of these tails ...
            (raw, in_raw, self._of_raw, self._tails(ENRICH, raw)),
        ]
        for vendor in by_waiting[:1]:
            events = [topics.events(vendor)]
            tails = self._tails(vendor, events)
            looks.append((events, by_value, self._of_vendor_record, tails))
        looks += [
            # ... or it is no event, or that vendor was off when it was read.
            ([topics.enrich_dead_letters], by_value, self._of_letter, None),
            (raw, in_raw, self._of_raw, None),
        ]
        # Where retention has deleted raw records, receipts that outlive them are all that is left.
        if any(logs.starts[tp] > 0 for tp in logs.partitions(raw)):
            looks += in_receipts[1:]
        for look in looks:
            if found := await self._look(*look):
                return found
        return []

    async def _look(
        self,
        topics: Sequence[str],
        byte_pattern: BytePattern,
        read: Read,
        starts: Offsets | None,
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
        return received.source if received and received.receipt.event_id == self._id else None

    def _of_letter(self, record: FoundRecord) -> Source | None:
        lettered = read_letter(record)
        return lettered.source if lettered and lettered.letter.event_id == self._id else None

    def _of_vendor_record(self, record: FoundRecord) -> Source | None:
        sent = read_sent(record, is_redelivery=False)
        return sent.source if sent and sent.record.event_id == self._id else None

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
