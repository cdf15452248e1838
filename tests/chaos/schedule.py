"""Which fault comes when: follows from the seed alone."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.chaos.shop import VENDORS

STAGES = ("ingest", "enrich", *VENDORS)

KILL = "kill -9"
TERM = "SIGTERM"
WIPE = "all workers killed, state wiped"
START_KILL = "killed (-9) in the first second of a start"
TRICKLE_KILL = "killed (-9) at 2 events/s"
SECOND_TERM = "second worker joins, SIGTERM"
SECOND_KILL = "second worker joins, kill -9"
JOIN_KILL = "joining worker killed (-9) at the rebalance"
STAY_KILL = "older worker killed (-9) at the rebalance"
FROZEN = "frozen (SIGSTOP) for two sessions"
FROZEN_BESIDE = "frozen for two sessions beside a second worker"
CLOCK = "clock stepped"
BROKER_KILL = "broker kill -9, restart"
BROKER_AWAY = "broker away"
BROKER_STOPPED = "broker stopped (SIGSTOP)"
DISK_FULL = "broker's disk full"
RECEIPTS_REFUSED = "receipts refused"
THROTTLED = "vendor answers 429"
ERRORS = "vendor answers 503"
REFUSED_KEY = "vendor answers 401"
HANGS = "vendor hangs half-open"
DROPS = "vendor stores, then drops"
DOWN = "vendor down"
ONE_500 = "one event answered 500 for ever"
ONE_403 = "one event answered 403 for ever"
ONE_503 = "one event answered 503 for ever"

VENDOR_FAULTS = (THROTTLED, ERRORS, REFUSED_KEY, HANGS, DROPS, DOWN)
BROKER_FAULTS = (BROKER_KILL, BROKER_AWAY, BROKER_STOPPED, DISK_FULL)
ONE_EVENT_FAULTS = (ONE_500, ONE_403, ONE_503)
OF_EACH_STAGE = (
    *(KILL, TERM, START_KILL, TRICKLE_KILL, SECOND_TERM, SECOND_KILL),
    *(JOIN_KILL, STAY_KILL, FROZEN, FROZEN_BESIDE, CLOCK),
)
ORDER = (
    *(KILL, TERM, WIPE, START_KILL, TRICKLE_KILL, SECOND_TERM, SECOND_KILL),
    *(JOIN_KILL, STAY_KILL, FROZEN, FROZEN_BESIDE, CLOCK),
    *BROKER_FAULTS,
    RECEIPTS_REFUSED,
    *VENDOR_FAULTS,
    *ONE_EVENT_FAULTS,
)
"""In which the table shows them."""

STARTS_KILLED = 4
"""Starts in a row that one round kills."""
CLOCK_STEPS = (600.0, 7_200.0, 259_200.0)
"""Seconds: a drift, a wrong time zone, a wrong date. Forwards and backwards."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One fault that is to come."""

    kind: str
    target: str = ""
    """Stage or vendor; empty: everything."""
    seconds: float = 0.0
    """How long it lasts; 0: a moment."""
    pause_events: int = 20
    """So many more events each vendor concerned takes before the next round."""
    aims: tuple[float, ...] = ()
    """Seconds from the moment aimed at to each kill."""
    step: float = 0.0
    """Seconds by which a clock is stepped."""

    @property
    def words(self) -> str:
        """Kind, target and length for people."""
        step = f" by {self.step:+g} s" if self.step else ""
        length = f" {self.seconds:g} s" if self.seconds else ""
        return f"{self.kind}{step}{length}" + (f": {self.target}" if self.target else "")


Round = tuple[Plan, ...]
"""Faults that begin together: none concerns what another one does."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long faults last that last."""

    broker_away: float = 60.0
    broker_stopped: float = 10.0
    disk_full: float = 5.0
    """After the broker has ended over it."""
    vendor: float = 6.0
    vendor_down: float = 75.0
    """Long enough to be parked."""
    frozen: float = 20.0
    """Twice the session."""
    clock: float = 8.0
    receipts: float = 15.0


SHORT_LENGTHS = Lengths(broker_away=8.0, broker_stopped=4.0, vendor=2.5, vendor_down=4.0)


def schedule(rounds: int, seed: int, lengths: Lengths) -> list[Round]:
    """Return so many rounds: every fault once at every target, in random order, then mostly kills.

    Fewer rounds than there are faults: a random choice of them.
    """
    choose = random.Random(seed)
    wanted = [*_each_once(choose, lengths)]
    choose.shuffle(wanted)
    while len(wanted) < rounds:
        wanted.append(_any(choose, lengths))
    return [_paused(choose, one) for one in wanted[:rounds]]


def short_schedule(seed: int) -> list[Round]:
    """Return the rounds that CI runs: what is quick, each kind once; the seed chooses targets."""
    choose = random.Random(seed)
    lengths = SHORT_LENGTHS
    sinks = list(VENDORS)
    choose.shuffle(sinks)
    quick = ("ingest", "enrich", "eightselect", "miso")
    rounds: list[Round] = [(Plan(KILL, stage),) for stage in STAGES if stage != "voyado"]
    rounds.append((Plan(TERM, choose.choice(quick)),))
    rounds.append((Plan(SECOND_KILL, choose.choice(quick)),))
    rounds.append((_at_stage(START_KILL, choose.choice(quick), choose, lengths),))
    rounds += [(Plan(BROKER_KILL),), (Plan(BROKER_AWAY, seconds=lengths.broker_away),)]
    rounds.append(_vendor_round((ERRORS, REFUSED_KEY, DOWN), sinks, lengths))
    choose.shuffle(rounds)
    # First what somebody waits for a minute, or half of one; the run meanwhile goes on.
    frozen, stepped = choose.sample(("eightselect", "miso"), 2)
    first: list[Round] = [
        (
            Plan(KILL, "voyado"),
            _at_stage(FROZEN, frozen, choose, lengths),
            _at_stage(CLOCK, stepped, choose, lengths),
        ),
        _vendor_round((HANGS, DROPS, THROTTLED), sinks, lengths),
        (Plan(WIPE),),
    ]
    return [_paused(choose, one) for one in (*first, *rounds)]


def only(rounds: Sequence[Round], words: Sequence[str]) -> list[Round]:
    """Return the rounds with a fault whose words contain one of these."""
    return [
        plans for plans in rounds if any(word in plan.words for plan in plans for word in words)
    ]


def without(rounds: Sequence[Round], kind: str) -> list[Round]:
    """Return the rounds that have no such fault."""
    return [plans for plans in rounds if all(plan.kind != kind for plan in plans)]


def _each_once(choose: random.Random, lengths: Lengths) -> list[Round]:
    rounds: list[Round] = [
        (_at_stage(kind, stage, choose, lengths),) for kind in OF_EACH_STAGE for stage in STAGES
    ]
    rounds += [(_at_stage(CLOCK, stage, choose, lengths, back=True),) for stage in STAGES]
    rounds.append((Plan(WIPE),))
    rounds += [(_broker(kind, lengths),) for kind in (*BROKER_FAULTS, DISK_FULL)]
    rounds += [(Plan(RECEIPTS_REFUSED, vendor, lengths.receipts),) for vendor in VENDORS]
    # Each fault at each vendor, three at a time.
    for turn in range(len(VENDOR_FAULTS)):
        kinds = [VENDOR_FAULTS[(turn + 2 * n) % len(VENDOR_FAULTS)] for n in range(len(VENDORS))]
        rounds.append(_vendor_round(kinds, VENDORS, lengths))
    for turn in range(len(ONE_EVENT_FAULTS)):
        kinds = [ONE_EVENT_FAULTS[(turn + n) % len(ONE_EVENT_FAULTS)] for n in range(len(VENDORS))]
        rounds.append(_vendor_round(kinds, VENDORS, lengths))
    return rounds


def _at_stage(
    kind: str, stage: str, choose: random.Random, lengths: Lengths, *, back: bool = False
) -> Plan:
    if kind == START_KILL:
        return Plan(kind, stage, aims=tuple(choose.random() for _ in range(STARTS_KILLED)))
    if kind in (JOIN_KILL, STAY_KILL):
        return Plan(kind, stage, aims=(choose.random(),))
    if kind in (FROZEN, FROZEN_BESIDE):
        return Plan(kind, stage, lengths.frozen)
    if kind == CLOCK:
        step = choose.choice(CLOCK_STEPS)
        return Plan(kind, stage, lengths.clock, step=-step if back else step)
    return Plan(kind, stage)


def _any(choose: random.Random, lengths: Lengths) -> Round:
    kind = choose.choices(
        (KILL, START_KILL, JOIN_KILL, STAY_KILL, TERM, WIPE, SECOND_KILL, BROKER_KILL, "vendors"),
        (54, 12, 4, 4, 8, 6, 4, 4, 4),
    )[0]
    if kind == "vendors":
        kinds = choose.sample((THROTTLED, ERRORS, DROPS, HANGS), 3)
        return _vendor_round(kinds, VENDORS, lengths)
    if kind in (WIPE, BROKER_KILL):
        return (Plan(kind),)
    if kind != KILL:
        return (_at_stage(kind, choose.choice(STAGES), choose, lengths),)
    # Sinks have nothing to do with each other, so several kills fit into a round. After a kill
    # Voyado's open events wait 30 s: it gets fewer.
    targets = (
        *(("ingest",), ("enrich",), ("eightselect",), ("miso",), ("voyado",)),
        *(("eightselect", "miso"), VENDORS),
    )
    return tuple(Plan(KILL, one) for one in choose.choices(targets, (13, 13, 8, 10, 4, 46, 6))[0])


def _broker(kind: str, lengths: Lengths) -> Plan:
    seconds = {
        BROKER_AWAY: lengths.broker_away,
        BROKER_STOPPED: lengths.broker_stopped,
        DISK_FULL: lengths.disk_full,
    }
    return Plan(kind, seconds=seconds.get(kind, 0.0))


def _vendor_round(kinds: Sequence[str], vendors: Sequence[str], lengths: Lengths) -> Round:
    seconds = {DOWN: lengths.vendor_down, **dict.fromkeys(ONE_EVENT_FAULTS, 0.0)}
    return tuple(
        Plan(kind, vendor, seconds.get(kind, lengths.vendor))
        for kind, vendor in zip(kinds, vendors, strict=True)
    )


def _paused(choose: random.Random, plans: Round) -> Round:
    events = choose.randint(5, 40)
    return tuple(replace(plan, pause_events=events) for plan in plans)
