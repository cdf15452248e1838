"""What a worker counts, once per event and per batch rather than per call."""

from collections import Counter, deque
from collections.abc import Collection, Mapping, Sequence

from streams.core.dead_letter import without_values
from streams.core.masking import masked_text
from streams.core.records import DeadLetter
from streams.core.snapshot import Cause
from streams.metrics import AGE_SECONDS, Histogram

AGE_SAMPLES = 2_000
RATE_SECONDS = 10
MAX_CAUSES = 50
OTHER_CAUSE = "other"
"""The fingerprint under which further causes are counted together."""


class Rate:
    """How fast a count grows, over the last 10 s."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=RATE_SECONDS + 1)
        self.per_second = 0.0

    def sample(self, now: float, count: int) -> float:
        """Note the count now (about once a second); return its growth per second lately."""
        self._samples.append((now, count))
        (first, before), (last, after) = self._samples[0], self._samples[-1]
        self.per_second = (after - before) / (last - first) if last > first else 0.0
        return self.per_second


class Counters:
    """Counts since the worker started."""

    def __init__(self) -> None:
        self.events = 0
        self.accepted = 0
        self.skipped: Counter[str] = Counter()
        self.dead_lettered: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        """What was left out or corrected in events, by its name."""
        self.expired: Counter[str] = Counter()
        """Records that retention deleted before they were read, by topic."""
        self.skipped_by_vendor: dict[str, Counter[str]] = {}
        """Enrichment's skips, by vendor and reason."""
        self.no_consent: dict[str, Counter[str]] = {}
        """Which ``no_consent``, by vendor and ``core.consent.NoConsent``."""
        self.causes: Counter[tuple[str | None, str, str]] = Counter()
        """Dead letters by vendor, reason and fingerprint."""
        self.ingested: Counter[tuple[str, str]] = Counter()
        """By section ``[ingest.NAME]`` and what became of its records: ``written``, ``unmapped``,
        ``dead_lettered``."""
        self._examples: dict[tuple[str | None, str, str], str] = {}
        self.repeats = 0
        """Vendor records that were written twice, or settled by a former owner, and not sent."""
        self.age_seconds = Histogram(AGE_SECONDS)
        """From an event to its acceptance."""
        self._ages: deque[float] = deque(maxlen=AGE_SAMPLES)
        self._deliveries: deque[float] = deque(maxlen=AGE_SAMPLES)

    @property
    def settled(self) -> int:
        """Events that have their outcome."""
        return self.accepted + self.skipped.total() + self.dead_lettered.total()

    def note_ages(self, seconds: Sequence[float], of: int | None = None) -> None:
        """Take how old events were when they were accepted; ``of`` so many these are a sample."""
        self._ages.extend(seconds)
        self.age_seconds.observe_sample(seconds, len(seconds) if of is None else of)

    def note_deliveries(self, seconds: Sequence[float]) -> None:
        """Take how long accepted events had been in Kafka, from the shop's record on."""
        self._deliveries.extend(seconds)

    def ages(self) -> dict[str, float]:
        """Return p50 and p95 in seconds of the newest accepted events; empty without any."""
        return _percentiles(self._ages)

    def deliveries(self) -> dict[str, float]:
        """Return the same of their time in Kafka."""
        return _percentiles(self._deliveries)

    def take_skips(self, skips: Mapping[tuple[str, str, str | None], int]) -> None:
        """Count a chunk's skips, by vendor, reason and which ``no_consent`` it is."""
        for (vendor, reason, detail), count in skips.items():
            self.skipped[reason] += count
            self.skipped_by_vendor.setdefault(vendor, Counter())[reason] += count
            if detail is not None:
                self.no_consent.setdefault(vendor, Counter())[str(detail)] += count

    def note_cause(self, letter: DeadLetter) -> None:
        """Count a dead letter under its cause."""
        cause = (letter.vendor, letter.reason, letter.fingerprint)
        if cause not in self.causes and len(self.causes) >= MAX_CAUSES:
            cause = (letter.vendor, letter.reason, OTHER_CAUSE)
        self.causes[cause] += 1
        if cause not in self._examples:
            self._examples[cause] = masked_text(without_values(letter.detail))

    def most_causes(self, limit: int) -> list[Cause]:
        """Return the most frequent causes of dead letters."""
        return [
            Cause(*cause, count, self._examples.get(cause, ""))
            for cause, count in self.causes.most_common(limit)
        ]


def _percentiles(seconds: Collection[float]) -> dict[str, float]:
    if not seconds:
        return {}
    ordered = sorted(seconds)
    last = len(ordered) - 1
    return {"p50": ordered[last // 2], "p95": ordered[round(last * 0.95)]}
