"""What the sink's receipts say of one run at one vendor. Pure but for ``follow``."""

from collections import Counter
from collections.abc import Iterable

import msgspec
from aiokafka import TopicPartition

from streams.core.json_decoder import json_decoder
from streams.core.outcome import Outcome
from streams.core.runs import STOPPED, RunReceipt, VendorPart
from streams.core.topics import Topics
from streams.kafka.reader import Following, LogReader, Offsets, Tell, silent

_RANK = {Outcome.ACCEPTED: 0, Outcome.DEAD_LETTERED: 1, Outcome.SKIPPED: 2}


class _ReceiptFacts(msgspec.Struct, frozen=True, gc=False):
    outcome: str
    source: str
    position: int | None
    reason: str | None = None
    run_id: str | None = None


_decode = json_decoder(_ReceiptFacts)


class RunOutcomes:
    """The outcomes of a run's events; several receipts of one event count once."""

    def __init__(self, run_id: str, starts: Offsets) -> None:
        """Start with nothing; ``starts``: where the run's receipts may begin."""
        self._run_id = run_id
        self._mark = run_id.encode()
        self._following = Following(starts)
        self._known: dict[str, dict[int, tuple[int, str]]] = {}
        self._counts: Counter[tuple[int, str]] = Counter()

    async def follow(self, reader: LogReader, tell: Tell = silent) -> None:
        """Read the receipts from where this last ended to their ends as they are now."""
        async for records in self._following.news(reader, tell):
            self.add_receipts(record.value for record in records)

    def add_receipts(self, values: Iterable[bytes | None]) -> None:
        """Enter receipts, of whatever run."""
        for value in values:
            if value is None or self._mark not in value:
                continue
            try:
                facts = _decode(value)
                rank = _RANK[facts.outcome]  # type: ignore[index]
                place, _, number = facts.source.rpartition("/")
                offset = int(number)
            except (ValueError, KeyError):
                continue
            # One without a position was written by the run itself, which counts it, too.
            if facts.run_id != self._run_id or facts.position is None:
                continue
            known = self._known.setdefault(place, {})
            now = (rank, facts.reason or "")
            before = known.get(offset)
            if before is None or rank < before[0]:
                known[offset] = now
                self._counts[now] += 1
                if before is not None:
                    self._counts[before] -= 1

    def has(self, place: str, offset: int) -> bool:
        """Return whether the event of this raw record (``topic/partition``, offset) is settled."""
        return offset in self._known.get(place, ())

    @property
    def events(self) -> int:
        """How many events of the run the sink has settled."""
        return sum(self._counts.values())

    def receipt(self, part: VendorPart, *, is_over: bool, unread: int = 0) -> RunReceipt:
        """Return what became of the run's events until now.

        ``is_over``: the sink has passed all that the run wrote, so that nothing waits any more.
        """
        refused, skipped = Counter(part.refused), Counter(part.skipped)
        accepted = 0
        for (rank, reason), count in self._counts.items():
            if rank == _RANK[Outcome.ACCEPTED]:
                accepted += count
            elif rank == _RANK[Outcome.DEAD_LETTERED]:
                refused[reason] += count
            else:
                skipped[reason] += count
        # A run that was killed may have written more than it counted, and settled events show it.
        uncounted = max(0, self.events - part.sent)
        open_ = part.sent + uncounted - self.events
        if is_over and part.state != STOPPED and open_ > 0:
            # Passed, and without a receipt: deleted by retention before the sink read it.
            skipped["expired"] += open_
            open_ = 0
        is_passed_over = is_over and part.state == STOPPED
        return RunReceipt(
            selected=part.selected + uncounted,
            sent=part.sent + uncounted,
            accepted=accepted,
            refused=_words(refused),
            skipped=_words(skipped),
            left=_words(Counter(part.left)),
            passed_over=open_ if is_passed_over else 0,
            waiting=0 if is_passed_over else open_,
            unread=max(0, unread - uncounted),
        )


def _words(counter: Counter[str]) -> dict[str, int]:
    return {word: count for word, count in sorted(counter.items()) if count}


def outcomes_of(topics: Topics, run_id: str, part: VendorPart) -> RunOutcomes:
    """Return the outcomes of a run at one vendor, of which nothing is read yet."""
    topic = topics.receipts(part.vendor)
    return RunOutcomes(run_id, partitions_from(topic, part.receipts_from))


def partitions_from(topic: str, starts: dict[str, int]) -> Offsets:
    """Return offsets by partition from their form in a run's record."""
    return {TopicPartition(topic, int(number)): at for number, at in starts.items()}
