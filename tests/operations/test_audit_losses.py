"""Records are lost at random from histories of every kind: the audit names exactly these."""

from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from streams.operations.audit.books import Books
from streams.operations.audit.decode import LetterFacts, LetterOrigin, OnRanges, ReceiptFacts
from streams.operations.audit.logs import CLOCK_SKEW_MS, RawLog, VendorLog
from streams.operations.audit.report import VendorBooks

CLICKS, CARTS = "shop.clicks", "shop.add-to-carts"
FORMER_MS, NOW_MS = 10**9, 10**9 + 2 * CLOCK_SKEW_MS
OUTCOMES = ["accepted", "dead", "skipped", "skipped_by_sink", "given_up", "misfit", "off"]


@dataclass
class History:
    """What a relay of one vendor did with the records of one partition of each raw topic.

    Enrichment takes them in the order of ``read``; what it sends lies on ``written`` in order.
    """

    read: list[tuple[str, int]] = field(default_factory=list)
    outcomes: dict[tuple[str, int], str] = field(default_factory=dict)
    lost: set[tuple[str, int]] = field(default_factory=set)
    """Lost by enrichment: passed without a trace."""
    unkept: set[tuple[str, int]] = field(default_factory=set)
    """Lost by the sink: passed without a receipt."""
    written: list[tuple[str, int]] = field(default_factory=list)
    gaps: list[tuple[int, int]] = field(default_factory=list)
    """Positions of vendor records that retention deleted before the sink read them."""
    raw_start: dict[str, int] = field(default_factory=dict)
    replayed: set[tuple[str, int]] = field(default_factory=set)
    former: int = 0
    """So many records of each topic were settled before both were recreated."""

    @property
    def expired(self) -> set[tuple[str, int]]:
        """The raw records of which every vendor record expired."""
        gone = {p for first, end in self.gaps for p in range(first, end)}
        kept = {record for p, record in enumerate(self.written) if p not in gone}
        return {self.written[p] for p in gone} - kept

    def audit(self) -> VendorBooks:
        """Write down what the topics and commits hold, and audit it."""
        raw = {}
        for topic in (CLICKS, CARTS):
            end = sum(name == topic for name, _ in self.read)
            off = [n for name, n in self.read if self.outcomes[name, n] == "off" and name == topic]
            on = _ranges(end, off)
            start = min(self.raw_start.get(topic, 0), end)
            raw[topic, 0] = RawLog(start, start, end, end, end, OnRanges({"miso": on}), {})
        # What the sink has read is deleted, too, up to the newest gap: receipts alone tell of it.
        start, end = max((e for _, e in self.gaps), default=0), len(self.written)
        gaps = [(first, last, last - first) for first, last in self.gaps]
        told = sum(expired for _, _, expired in gaps)
        books = Books(raw, {"miso": {0: VendorLog(start, start, end, end, end, 0, told, gaps)}})
        for topic, offset in self.read:
            if offset >= self.raw_start.get(topic, 0):
                books.raw_record(topic, 0, offset, NOW_MS)
        for position in range(start, end):
            topic, offset = self.written[position]
            books.vendor_record("miso", 0, position, f"{topic}/0/{offset}", NOW_MS)
        self._settle_all(books)
        return books.report().vendors[0]

    def _settle_all(self, books: Books) -> None:
        # Of a recreated topic that is still empty, nobody can tell whom former receipts are about.
        topics = {topic for topic, n in self.read if n >= self.raw_start.get(topic, 0)}
        for former in ((topic, offset) for topic in topics for offset in range(self.former)):
            books.receipt("miso", 0, 0, _receipt(former, "skipped", None), FORMER_MS)
        taken = set(self.unkept)
        for position, record in enumerate(self.written):
            is_gone = any(first <= position < last for first, last in self.gaps)
            if not is_gone and record not in taken:
                taken.add(record)  # a copy that comes later is a repeat
                self._settle(books, record, position)
        for record in self.read:
            self._close(books, record)
        for record in self.replayed:
            again = _receipt(record, "accepted", 0, lane="redelivery")
            books.receipt("miso", 0, 0, again, NOW_MS)

    def _settle(self, books: Books, record: tuple[str, int], position: int) -> None:
        outcome = {"accepted": "accepted", "dead": "dead_lettered"}.get(
            self.outcomes[record], "skipped"
        )
        if outcome == "dead_lettered":
            books.dead_letter("miso", 0, 0, _letter(record, "deliver"))
        books.receipt("miso", 0, 0, _receipt(record, outcome, position), NOW_MS)

    def _close(self, books: Books, record: tuple[str, int]) -> None:
        match "lost" if record in self.lost else self.outcomes[record]:
            case "skipped":
                books.receipt("miso", 0, 0, _receipt(record, "skipped", None), NOW_MS)
            case "given_up":
                books.dead_letter(None, 0, 0, _letter(record, "enrich"))
            case "misfit":
                books.dead_letter("miso", 0, 0, _letter(record, "enrich"))


def _receipt(
    record: tuple[str, int], outcome: str, position: int | None, lane: str = "live"
) -> ReceiptFacts:
    source = f"{record[0]}/0/{record[1]}"
    return ReceiptFacts(f"e-{source}", outcome, source, lane, position, "no_consent")


def _letter(record: tuple[str, int], stage: str) -> LetterFacts:
    return LetterFacts(stage, "rejected", LetterOrigin(record[0], 0, record[1], NOW_MS))


def _ranges(end: int, off: list[int]) -> list[tuple[int, int | None]]:
    """Return the ranges between the offsets at which the vendor was off."""
    borders = [-1, *off, end]
    return [(a + 1, b if b < end else None) for a, b in pairwise(borders) if a + 1 < b or b == end]


SENT = {"accepted", "dead", "skipped_by_sink"}


@st.composite
def histories(draw: st.DrawFn, *, lose_among_expired: bool = False) -> History:
    """Return a history with expiry, ranges off, a recreation, repeats, replays, and losses."""
    history = History(former=draw(st.sampled_from([0, 60])))
    counts = {CLICKS: 0, CARTS: 0}
    for topic in draw(st.lists(st.sampled_from([CLICKS, CARTS]), min_size=1, max_size=40)):
        record = topic, counts[topic]
        counts[topic] += 1
        history.read.append(record)
        history.outcomes[record] = draw(st.sampled_from(OUTCOMES))
        if history.outcomes[record] != "off" and draw(st.integers(0, 5)) == 0:
            history.lost.add(record)
        elif history.outcomes[record] in SENT:
            history.written.append(record)
            if draw(st.integers(0, 9)) == 0:  # a crash: enrichment writes its last ones again
                repeated = history.written[-draw(st.integers(1, 3)) :]
                history.written += list(dict.fromkeys(repeated))
    length = len(history.written)
    borders = sorted(draw(st.sets(st.integers(0, length), max_size=6)))
    history.gaps = list(zip(borders[::2], borders[1::2], strict=False))
    history.raw_start = {t: draw(st.integers(0, n)) // 2 for t, n in counts.items()}
    read = max((end for _, end in history.gaps), default=0)
    kept = [r for r in history.written[read:] if r not in history.written[:read]]
    if kept:
        history.unkept = draw(st.sets(st.sampled_from(kept), max_size=2))
    history.replayed = draw(st.sets(st.sampled_from(history.read), max_size=2))
    history.replayed -= {r for r in history.read if history.outcomes[r] == "off"}
    return history


def among_expired(history: History) -> set[tuple[str, int]]:
    """Return the lost records that lie, in their topic, where records before and after expired.

    That is: what is known to have been written before the gap came earlier in the topic, and what
    was written behind it later. Nothing in the topics tells them from those that expired.
    """
    gone = {p for first, end in history.gaps for p in range(first, end)}
    read = max((end for _, end in history.gaps), default=0)
    taken: set[tuple[str, int]] = set()
    known = []
    for position, record in enumerate(history.written):
        if position >= read or (position not in gone and record not in taken):
            known.append((position, *record))
        if position not in gone:
            taken.add(record)
    return {
        (topic, offset)
        for topic, offset in history.lost
        for first, end in history.gaps
        if all(
            n < offset if p < first else n > offset
            for p, name, n in known
            if name == topic and not first <= p < end
        )
    }


def named(books: VendorBooks) -> set[tuple[str, int]]:
    """Return every record that the report names as missing."""
    return {
        (where.rpartition("/")[0], offset)
        for where, runs in books.missing_offsets.items()
        for first, last in runs
        for offset in range(first, last + 1)
    }


@given(histories())
def test_the_audit_names_exactly_the_records_that_were_lost(history: History) -> None:
    """Whatever else has happened; between expired records it says how many, where that is known."""
    books = history.audit()
    lost = {
        record
        for record in (history.lost | history.unkept) - history.replayed
        if record[1] >= history.raw_start.get(record[0], 0)
    }
    hidden = among_expired(history)
    assert named(books) == lost - hidden
    assert books.missing_among_expired <= len(lost & hidden)
    assert books.balanced == (not named(books) and not books.missing_among_expired)
    assert books.owed - books.explained == books.missing
    assert books.unexplained == 0


@given(histories())
def test_between_expired_records_it_counts_the_losses(history: History) -> None:
    """Exactly, where all of the gap's raw records are still there and none was written twice."""
    history.written = list(dict.fromkeys(history.written))
    history.gaps = [pair for pair in history.gaps if pair[1] <= len(history.written)]
    history.unkept.clear()
    history.replayed.clear()
    history.raw_start.clear()
    books = history.audit()
    hidden = among_expired(history)
    assert books.missing == len(history.lost)
    assert books.missing_among_expired == len(history.lost & hidden)
    assert books.skipped.get("expired", 0) == sum(end - first for first, end in history.gaps)
