"""How far a partition of vendor records is settled, through crashes of both stages."""

import random
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.core.kinds import KINDS
from streams.delivery.courier import MAX_UNCLEAR
from streams.delivery.progress import (
    MAX_METADATA_BYTES,
    MAX_RUN_MARKS,
    MAX_TOPICS,
    Admission,
    Metadata,
    PartitionProgress,
    Recalled,
    read_metadata,
)
from streams.engine.expired import MAX_GAPS

CLICKS, CARTS = "shop.clicks", "shop.add-to-carts"


def fresh(start: int = 0) -> PartitionProgress:
    """A partition of which nothing is known."""
    return PartitionProgress(start, Metadata(), {}, 0)


def admit(
    progress: PartitionProgress, position: int, offset: int, topic: str = CLICKS
) -> Admission:
    """Hand over a record whose raw record was written at its offset, in ms."""
    return progress.admit(position, f"{topic}/0/{offset}", 1_000 + position, offset)


def test_nothing_is_safe_before_it_is_settled() -> None:
    """The first open position is the limit, whatever is settled above it."""
    progress = fresh()
    for position in range(3):
        assert admit(progress, position, position) is Admission.NEW
    progress.settle(1, 7)
    progress.settle(2, 8)
    assert progress.safe_below() == 0
    progress.settle(0, 9)
    assert progress.safe_below() == 3


def test_gaps_in_the_log_need_no_outcome() -> None:
    """Offsets of markers and aborted records do not exist for anybody."""
    progress = fresh(10)
    admit(progress, 12, 0)
    admit(progress, 20, 1)
    progress.settle(12, 0)
    assert progress.safe_below() == 20
    progress.settle(20, 1)
    assert progress.safe_below() == 21


def test_what_enrichment_wrote_again_is_a_repeat() -> None:
    """Raw offsets only grow within one raw topic; the other topic has its own mark."""
    progress = fresh()
    found = [
        admit(progress, position, offset, topic)
        for position, (topic, offset) in enumerate(
            [(CLICKS, 5), (CLICKS, 6), (CARTS, 5), (CLICKS, 5), (CLICKS, 6), (CLICKS, 7)]
        )
    ]
    new, repeat = Admission.NEW, Admission.REPEAT
    assert found == [new, new, new, repeat, repeat, new]


def test_a_repeat_is_settled_at_once_and_its_original_stays_open() -> None:
    """So the commit stands still until the original has its outcome."""
    progress = fresh()
    admit(progress, 0, 5)
    admit(progress, 1, 5)
    assert progress.safe_below() == 0
    progress.settle(0, 0)
    assert progress.safe_below() == 2


def test_the_first_events_of_a_recreated_raw_topic_are_new() -> None:
    """Their offsets begin anew, but their records are newer than all before them."""
    progress = fresh()
    assert progress.admit(0, "shop.clicks/0/500", 1, 90_000) is Admission.NEW
    assert progress.admit(1, "shop.clicks/0/0", 1, 90_001) is Admission.NEW
    assert progress.admit(2, "shop.clicks/0/0", 1, 90_001) is Admission.REPEAT
    assert progress.admit(3, "shop.clicks/0/1", 1, 89_000) is Admission.NEW
    for position in (0, 1, 3):
        progress.settle(position, position)
    again = PartitionProgress(progress.safe_below(), read_metadata(progress.metadata()), {}, 4)
    assert again.admit(4, "shop.clicks/0/1", 1, 89_000) is Admission.REPEAT
    assert again.admit(5, "shop.clicks/0/2", 1, 89_000) is Admission.NEW


@pytest.mark.parametrize(
    "source",
    ["", "nowhere", "a/b", "a/b/1", "a/0/x", "a/-1/5", "a/0/" + "9" * 19, "t" * 250 + "/0/1"],
)
def test_a_source_that_is_none_is_refused_and_nothing_is_taken(source: str) -> None:
    """The position is still free for ``admit_foreign``."""
    progress = fresh()
    with pytest.raises(ValueError, match=r".*"):
        progress.admit(0, source, 1, 1)
    progress.admit_foreign(0)
    assert progress.safe_below() == 0
    progress.settle(0, 0)
    assert progress.safe_below() == 1


def test_strangers_cannot_fill_the_metadata_with_topics() -> None:
    """There is one raw topic for each kind of event, and some room beside them."""
    progress = fresh()
    for position in range(MAX_TOPICS):
        admit(progress, position, 0, f"topic{position}")
    with pytest.raises(ValueError, match=f"no raw topic: 'topic{MAX_TOPICS}'"):
        admit(progress, MAX_TOPICS, 0, f"topic{MAX_TOPICS}")
    assert admit(progress, MAX_TOPICS + 1, 1, "topic3") is Admission.NEW


def test_the_longest_names_leave_room_for_what_else_is_stored() -> None:
    """As many as there can be, beside unclear positions and gaps, live and of runs."""
    live, redelivered = fresh(), of_runs()
    far = 2**40
    for number in range(60):
        topic = f"{number:02d}{'t' * 247}"
        if number < MAX_TOPICS:
            live.admit(number, f"{topic}/0/{far}", far, far)
            live.settle(number, number)
        redelivered.admit(number, f"{topic}/0/{far}", far, far, f"r-20261121-101500-{number:04d}")
        redelivered.settle(number, number)
    gaps = [(far, far, far)] * MAX_GAPS
    unclear = [far + number for number in range(MAX_UNCLEAR)]
    for progress in (live, redelivered):
        text = progress.metadata(unclear=unclear, expired=far, expired_gaps=gaps)
        assert len(text) <= MAX_METADATA_BYTES


def test_events_of_all_kinds_share_a_partition() -> None:
    """None of them is taken for a stranger's, live or redelivered."""
    progress, redelivered = fresh(), of_runs()
    for position, kind in enumerate(KINDS.values()):
        assert admit(progress, position, 0, kind.topic) is Admission.NEW
        for run in ("r-1", "r-2", "r-3", "r-4"):
            at = redelivered.read_below
            assert redelivered.admit(at, f"{kind.topic}/0/0", 1_000, 0, run) is Admission.NEW
            assert redelivered.admit(at + 1, f"{kind.topic}/0/0", 1_000, 0, run) is Admission.REPEAT
    assert redelivered.admit(99, "shop.clicks/0/0", 1_000, 0, "r-1") is Admission.REPEAT


def test_the_next_owner_skips_what_was_settled_above_the_commit() -> None:
    """From the metadata of the commit alone."""
    progress = fresh()
    for position in range(6):
        admit(progress, position, position)
    for position in (1, 2, 5):
        progress.settle(position, position)
    metadata = read_metadata(progress.metadata())
    assert metadata.settled == [1, 2, 2, 1]
    again = PartitionProgress(progress.safe_below(), metadata, {}, 6)
    found = [admit(again, position, position) for position in range(6)]
    new, settled = Admission.NEW, Admission.SETTLED
    assert found == [new, settled, settled, new, new, settled]


def test_settled_positions_stay_where_they_are_when_the_log_begins_later() -> None:
    """Retention deleted beyond the commit: what is left is judged by its own position."""
    progress = fresh()
    for position in range(10):
        admit(progress, position, position)
    for position in (2, 3, 4, 8):
        progress.settle(position, position)
    again = PartitionProgress(6, read_metadata(progress.metadata()), {}, 10)
    found = [admit(again, position, position) for position in range(6, 10)]
    new, settled = Admission.NEW, Admission.SETTLED
    assert found == [new, new, settled, new]


def test_a_receipt_counts_only_for_the_record_it_was_written_for() -> None:
    """Another source, or a receipt much older than the record, is of a topic that is gone.

    Five minutes are allowed for clocks of two hosts that differ.
    """
    recalled = {
        0: Recalled("shop.clicks/0/0", 5_000),
        1: Recalled("shop.clicks/0/99", 5_000),
        2: Recalled("shop.clicks/0/2", -298_999),
        3: Recalled("shop.clicks/0/3", -298_997),
    }
    progress = PartitionProgress(0, Metadata(), recalled, 4)
    found = [admit(progress, position, position) for position in range(4)]
    new, settled = Admission.NEW, Admission.SETTLED
    assert found == [settled, new, new, settled]


def test_metadata_that_is_not_ours_is_refused() -> None:
    """The caller then reads all receipts."""
    for text in ("reset by hand", "[]", '{"m": 3}', '{"s": ["a"]}'):
        with pytest.raises(ValueError, match="not ours"):
            read_metadata(text)
    assert read_metadata("") == Metadata()


@given(
    st.integers(0, 2**40),
    st.sets(st.integers(1, 5_000), max_size=3_000),
    st.text("abc.-_", min_size=0, max_size=200),
    st.sets(st.integers(0, 2**40), max_size=MAX_UNCLEAR),
)
@settings(max_examples=60)
def test_metadata_never_exceeds_what_the_broker_takes_and_forgets_nothing(
    start: int, settled: set[int], prefix: str, unclear: set[int]
) -> None:
    """What does not fit the list is found by the receipts from the metadata's offset on."""
    progress = fresh(start)
    count = max(settled, default=0) + 1
    topics = [prefix + kind.topic for kind in KINDS.values()]
    for place in range(count):
        progress.admit(start + place, f"{topics[place % len(topics)]}/0/{2**40 + place}", 1, 2**40)
    for receipt, place in enumerate(settled):
        progress.settle(start + place, receipt)
    text = progress.metadata(unclear=list(unclear))
    assert len(text.encode()) <= MAX_METADATA_BYTES
    metadata = read_metadata(text)
    assert metadata.clean
    assert metadata.unclear == sorted(unclear)
    listed = metadata.listed()
    later = {start + p for receipt, p in enumerate(settled) if receipt >= metadata.receipts}
    wanted = {start + place for place in settled}
    assert listed <= wanted <= listed | later


# -- one owner after the other above a stuck head


@dataclass
class Partition:
    """What outlives every owner: the log's length, the receipts, the newest commit."""

    rng: random.Random
    length: int
    receipts: list[int | None] = field(default_factory=list)
    """By offset: the position it speaks of; None: it speaks of another lane's or stage's."""
    committed: int = 0
    metadata: str = ""
    listed: set[int] = field(default_factory=set)
    """Every position that any commit ever listed."""

    def owner(self, in_hand: int) -> None:
        """Take the partition, settle some of it in any order with commits between, and die."""
        rng = self.rng
        metadata = read_metadata(self.metadata)
        recalled = {
            position: Recalled(f"{CLICKS}/0/{position}", 10**9, offset)
            for offset, position in enumerate(self.receipts)
            if offset >= metadata.receipts and position is not None and position >= self.committed
        }
        progress = PartitionProgress(self.committed, metadata, recalled, len(self.receipts))
        known = self.listed | {position for position in self.receipts if position is not None}
        new = [
            position
            for position in range(self.committed, min(self.length, self.committed + in_hand))
            if admit(progress, position, position) is Admission.NEW
        ]
        assert not known.intersection(new)
        rng.shuffle(new)
        is_stuck = rng.random() < 0.7
        count = int(len(new) * rng.choice((0.02, 0.15, 0.4, 1)))
        heard = count - rng.choice((0, 0, 5))
        """From there on receipts are written, but the broker's word does not come any more."""
        for number, position in enumerate(new[:count]):
            if is_stuck and position == self.committed:
                continue
            self.receipts += [None] * rng.choice((0, 0, 0, 3))
            self.receipts.append(position)
            if number < heard:
                progress.settle(position, len(self.receipts) - 1)
            if rng.random() < 3 / (count + 1):
                self.commit(progress)
        if rng.random() < 0.8:
            self.commit(progress)

    def commit(self, progress: PartitionProgress) -> None:
        """Commit what is settled."""
        self.committed, self.metadata = progress.safe_below(), progress.metadata()
        assert len(self.metadata) <= MAX_METADATA_BYTES
        self.listed |= read_metadata(self.metadata).listed()


@given(
    st.integers(0, 2**32),
    st.sampled_from((10, 1_000, 6_000, 10_000)),
    st.lists(st.sampled_from((500, 3_000, 10_000)), min_size=2, max_size=6),
)
@settings(max_examples=40)
def test_what_has_a_receipt_or_was_listed_is_never_sent_again_by_any_successor(
    seed: int, length: int, in_hand: list[int]
) -> None:
    """However many owners follow one another, and however much each of them has in hand."""
    partition = Partition(random.Random(seed), length)
    for records in in_hand:
        partition.owner(records)
    partition.owner(length)


def test_scattered_positions_above_a_stuck_head_are_all_listed_and_move_the_receipts_on() -> None:
    """Ten thousand records in hand, every other one settled: a successor reads no old receipt."""
    progress = fresh()
    for position in range(10_000):
        admit(progress, position, position)
    for receipt, position in enumerate(range(1, 10_000, 2)):
        progress.settle(position, 7_000_000 + receipt)
    metadata = read_metadata(progress.metadata())
    assert metadata.listed() == set(range(1, 10_000, 2))
    assert metadata.receipts == 7_005_000


def test_positions_that_fit_no_list_are_found_by_their_receipts() -> None:
    """Those of a former owner's list by all receipts, since theirs may be any."""
    progress = fresh()
    for position in range(40_000):
        admit(progress, position, position)
    for receipt, position in enumerate(range(1, 40_000, 2)):
        progress.settle(position, 1_000 + receipt)
    metadata = read_metadata(progress.metadata())
    last = max(metadata.listed())
    assert metadata.receipts == 1_000 + (last + 1) // 2
    successor = PartitionProgress(0, Metadata(settled=[1, 1, 38_000, 1], receipts=9), {}, 9)
    for position in range(40_000):
        admit(successor, position, position)
    for position in range(4, 38_000, 2):
        successor.settle(position, 50_000)
    assert read_metadata(successor.metadata()).receipts == 0


# -- both stages, the log and crashes, as a model


@dataclass
class World:
    """One partition: its raw log, the vendor records and receipts, and what the vendor got."""

    rng: random.Random
    raw: int
    """Raw records, half of them clicks, half add-to-carts, enriched in batches."""
    vendor_log: list[tuple[str, int]] = field(default_factory=list)
    """Source and raw time by position."""
    receipts: list[tuple[int, str]] = field(default_factory=list)
    """Position and source by receipt offset."""
    got: list[str] = field(default_factory=list)
    kept_before_send: list[str] = field(default_factory=list)
    """Events that were sent although a receipt of theirs had been kept before."""
    raw_committed: dict[str, int] = field(default_factory=lambda: {CLICKS: 0, CARTS: 0})
    committed: int = 0
    metadata: str = ""

    def enrich(self) -> None:
        """Write some batches of both topics in order; crash before the commit, or not."""
        at = dict(self.raw_committed)
        for _ in range(self.rng.randint(1, 4)):
            topic = self.rng.choice((CLICKS, CARTS))
            until = min(self.raw, at[topic] + self.rng.randint(1, 5))
            for offset in range(at[topic], until):
                if offset % 7 != 3:  # some are skipped for this vendor
                    self.vendor_log.append((f"{topic}/0/{offset}", 10 * offset))
            at[topic] = until
            if self.rng.random() < 0.5:
                self.raw_committed[topic] = until

    def deliver(self) -> None:
        """Start a sink from the commit, let it work for a while, and kill it at any point."""
        rng = self.rng
        metadata = read_metadata(self.metadata)
        recalled = {
            position: Recalled(source, 10**9, metadata.receipts + at)
            for at, (position, source) in enumerate(self.receipts[metadata.receipts :])
            if position >= self.committed
        }
        progress = PartitionProgress(self.committed, metadata, recalled, len(self.receipts))
        sink = _Sink(self, progress, self.committed)
        for _ in range(rng.randint(0, 40)):
            rng.choice((sink.read, sink.send, sink.write_receipt, sink.settle, sink.commit))()


class _Sink:
    """One life of the sink, step by step."""

    def __init__(self, world: World, progress: PartitionProgress, start: int) -> None:
        self._world, self._progress, self._next = world, progress, start
        self._waiting: list[int] = []
        self._accepted: list[int] = []
        self._written: list[tuple[int, int]] = []

    def read(self) -> None:
        """Take some records of the log."""
        log = self._world.vendor_log
        until = min(len(log), self._next + self._world.rng.randint(1, 6))
        for position in range(self._next, until):
            source, raw_ms = log[position]
            if self._progress.admit(position, source, 1, raw_ms) is Admission.NEW:
                self._waiting.append(position)
        self._next = until

    def send(self) -> None:
        """Have the vendor accept an event, of any queue."""
        if self._waiting:
            world = self._world
            position = self._waiting.pop(world.rng.randrange(len(self._waiting)))
            source = world.vendor_log[position][0]
            if any(kept == source for _, kept in world.receipts):
                world.kept_before_send.append(source)
            world.got.append(source)
            self._accepted.append(position)

    def write_receipt(self) -> None:
        """Let a receipt reach the log; the broker's word may not come."""
        if self._accepted:
            position = self._accepted.pop(0)
            self._world.receipts.append((position, self._world.vendor_log[position][0]))
            self._written.append((position, len(self._world.receipts) - 1))

    def settle(self) -> None:
        """Let the broker's word come."""
        for position, receipt in self._written:
            self._progress.settle(position, receipt)
        self._written.clear()

    def commit(self) -> None:
        """Commit what is settled."""
        world = self._world
        world.committed, world.metadata = self._progress.safe_below(), self._progress.metadata()


@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(0, 25))
@settings(max_examples=400)
def test_no_sequence_of_crashes_loses_an_event_or_repeats_one_whose_receipt_was_kept(
    seed: int, raw: int, crashes: int
) -> None:
    """Enrichment writes batches again, the sink dies anywhere; then both are left in peace."""
    world = World(random.Random(seed), raw)
    for _ in range(crashes):
        world.enrich()
        world.deliver()
    for _ in range(1_000):
        if world.raw_committed == {CLICKS: raw, CARTS: raw} and world.committed == len(
            world.vendor_log
        ):
            break
        world.enrich()
        world.deliver()
    wanted = {f"{topic}/0/{n}" for topic in (CLICKS, CARTS) for n in range(raw) if n % 7 != 3}
    assert set(world.got) == wanted
    assert world.kept_before_send == []
    assert all(n >= 1 for n in Counter(world.got).values())


def test_of_deleted_positions_those_that_were_settled_have_not_expired() -> None:
    """Neither those that the metadata list, nor those with a receipt; nothing is kept of them."""
    metadata = Metadata(settled=[12, 2], receipts=3)
    recalled = {n: Recalled(f"shop.clicks/0/{n}", 1, at) for n, at in ((15, 4), (21, 6))}
    progress = PartitionProgress(20, metadata, recalled, 9)
    assert progress.forget_deleted(10, 20) == 7
    assert read_metadata(progress.metadata(expired=7)) == Metadata(receipts=6, expired=7)
    gaps = [(5, 12, 7)]
    said = progress.metadata(expired=7, expired_gaps=gaps)
    assert read_metadata(said) == Metadata(receipts=6, expired=7, expired_gaps=gaps)


# -- redeliveries


def of_runs(start: int = 0, metadata: str = "", receipts_end: int = 0) -> PartitionProgress:
    """A partition of redeliveries."""
    return PartitionProgress(start, read_metadata(metadata), {}, receipts_end, of_runs=True)


def admit_of(progress: PartitionProgress, run: str, position: int, offset: int) -> Admission:
    """Hand over a redelivery of a click."""
    return progress.admit(position, f"{CLICKS}/0/{offset}", 1_000, offset, run)


def test_each_run_has_marks_of_its_own() -> None:
    """A second run of the same records is no repeat of the first; what a run wrote twice is."""
    progress = of_runs()
    new, repeat = Admission.NEW, Admission.REPEAT
    assert [admit_of(progress, "r-1", n, n) for n in range(3)] == [new] * 3
    assert [admit_of(progress, "r-2", 3 + n, n) for n in range(3)] == [new] * 3
    assert [admit_of(progress, "r-1", 6 + n, n) for n in range(2, 5)] == [repeat, new, new]


def test_marks_of_runs_are_handed_on_with_the_commit() -> None:
    """The next owner knows the repeats of a run that goes on."""
    progress = of_runs()
    for position in range(3):
        admit_of(progress, "r-1", position, 10 + position)
        progress.settle(position, position)
    again = of_runs(progress.safe_below(), progress.metadata(), 3)
    assert admit_of(again, "r-1", 3, 12) is Admission.REPEAT
    assert admit_of(again, "r-1", 4, 13) is Admission.NEW


def test_of_many_runs_the_marks_that_moved_last_are_kept_and_fit() -> None:
    """A long run keeps its mark however many short ones come and go."""
    progress = of_runs()
    position = 0
    for number in range(60):
        for run in (f"r-20261121-101500-{number:04d}", "r-long"):
            admit_of(progress, run, position, number)
            progress.settle(position, position)
            position += 1
    text = progress.metadata()
    assert len(text) <= MAX_METADATA_BYTES
    assert len(read_metadata(text).marks) == MAX_RUN_MARKS
    again = of_runs(progress.safe_below(), text, position)
    assert admit_of(again, "r-long", position, 59) is Admission.REPEAT


def test_what_is_passed_over_is_settled_and_its_run_may_write_it_once_more() -> None:
    """A stopped run leaves no mark behind, neither here nor with the next owner."""
    progress = of_runs()
    for position in range(4):
        admit_of(progress, "r-1", position, position)
    progress.settle(0, 0)
    progress.forget_run("r-1")
    for position in (1, 2, 3):
        progress.pass_over(position)
    progress.admit_foreign(4)
    progress.pass_over(4)
    assert progress.safe_below() == 5
    assert read_metadata(progress.metadata()).marks == {}
    assert admit_of(progress, "r-1", 5, 1) is Admission.NEW


def test_an_idle_lane_does_not_make_the_next_owner_read_all_receipts_of_the_other() -> None:
    """Receipts of both lanes lie on one partition: what one has seen, the other need not read."""
    progress = of_runs(receipts_end=7)
    assert progress.receipts_end == 7
    progress.record_receipts_end(5_000)
    assert read_metadata(progress.metadata()).receipts == 5_000
    progress.record_receipts_end(4_000)
    assert progress.receipts_end == 5_000
