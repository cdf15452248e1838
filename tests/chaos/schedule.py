"""Which fault comes when: follows from the seed alone."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos.shop import VENDORS

STAGES = ("enrich", *VENDORS)

KILL = "kill -9"
TERM = "SIGTERM"
WIPE = "all workers killed, state wiped"
SECOND_TERM = "second worker joins, SIGTERM"
SECOND_KILL = "second worker joins, kill -9"
BROKER_KILL = "broker kill -9, restart"
BROKER_AWAY = "broker away"
BROKER_STOPPED = "broker stopped (SIGSTOP)"
THROTTLED = "vendor answers 429"
ERRORS = "vendor answers 503"
REFUSED_KEY = "vendor answers 401"
HANGS = "vendor hangs half-open"
DROPS = "vendor stores, then drops"
DOWN = "vendor down"

VENDOR_FAULTS = (THROTTLED, ERRORS, REFUSED_KEY, HANGS, DROPS, DOWN)
BROKER_FAULTS = (BROKER_KILL, BROKER_AWAY, BROKER_STOPPED)
ORDER = (
    *(KILL, TERM, WIPE, SECOND_TERM, SECOND_KILL),
    *BROKER_FAULTS,
    *VENDOR_FAULTS,
)
"""In which the table shows them."""


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

    @property
    def words(self) -> str:
        """Kind, target and length for people."""
        length = f" {self.seconds:g} s" if self.seconds else ""
        return f"{self.kind}{length}" + (f": {self.target}" if self.target else "")


Round = tuple[Plan, ...]
"""Faults that begin together: none concerns what another one does."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long faults last that last."""

    broker_away: float = 60.0
    broker_stopped: float = 10.0
    vendor: float = 6.0
    vendor_down: float = 75.0
    """Long enough to be parked."""


SHORT_LENGTHS = Lengths(broker_away=8.0, broker_stopped=4.0, vendor=2.5, vendor_down=4.0)


def schedule(rounds: int, seed: int, lengths: Lengths) -> list[Round]:
    """Return so many rounds: every fault once at every target, in random order, then mostly kills.

    Fewer rounds than there are faults: a random choice of them.
    """
    choose = random.Random(seed)
    wanted = [*_each_once(lengths)]
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
    rounds: list[Round] = [(Plan(KILL, stage),) for stage in STAGES if stage != "voyado"]
    rounds.append((Plan(TERM, choose.choice(("enrich", "eightselect", "miso"))),))
    rounds.append((Plan(SECOND_KILL, choose.choice(("enrich", "eightselect", "miso"))),))
    rounds += [(Plan(BROKER_KILL),), (Plan(BROKER_AWAY, seconds=lengths.broker_away),)]
    rounds.append(_vendor_round((ERRORS, REFUSED_KEY, DOWN), sinks, lengths))
    choose.shuffle(rounds)
    # First what somebody waits for a minute, or half of one; the run meanwhile goes on.
    first: list[Round] = [
        (Plan(KILL, "voyado"),),
        _vendor_round((HANGS, DROPS, THROTTLED), sinks, lengths),
        (Plan(WIPE),),
    ]
    return [_paused(choose, one) for one in (*first, *rounds)]


def _each_once(lengths: Lengths) -> list[Round]:
    rounds: list[Round] = [(Plan(kind, stage),) for kind in (KILL, TERM) for stage in STAGES]
    rounds.append((Plan(WIPE),))
    rounds += [(Plan(kind, stage),) for kind in (SECOND_TERM, SECOND_KILL) for stage in STAGES]
    rounds += [(_broker(kind, lengths),) for kind in BROKER_FAULTS]
    # Each fault at each vendor, three at a time.
    for turn in range(len(VENDOR_FAULTS)):
        kinds = [VENDOR_FAULTS[(turn + 2 * n) % len(VENDOR_FAULTS)] for n in range(len(VENDORS))]
        rounds.append(_vendor_round(kinds, VENDORS, lengths))
    return rounds


def _any(choose: random.Random, lengths: Lengths) -> Round:
    kind = choose.choices(
        (KILL, TERM, WIPE, SECOND_KILL, BROKER_KILL, "vendors"), (74, 8, 6, 4, 4, 4)
    )[0]
    if kind == "vendors":
        kinds = choose.sample((THROTTLED, ERRORS, DROPS, HANGS), 3)
        return _vendor_round(kinds, VENDORS, lengths)
    if kind in (WIPE, BROKER_KILL):
        return (Plan(kind),)
    if kind != KILL:
        return (Plan(kind, choose.choice(STAGES)),)
    # Sinks have nothing to do with each other, so several kills fit into a round. After a kill
    # Voyado's open events wait 30 s: it gets fewer.
    targets = (
        *(("enrich",), ("eightselect",), ("miso",), ("voyado",)),
        *(("eightselect", "miso"), VENDORS),
    )
    return tuple(Plan(KILL, one) for one in choose.choices(targets, (26, 8, 10, 4, 46, 6))[0])


def _broker(kind: str, lengths: Lengths) -> Plan:
    seconds = {BROKER_AWAY: lengths.broker_away, BROKER_STOPPED: lengths.broker_stopped}
    return Plan(kind, seconds=seconds.get(kind, 0.0))


def _vendor_round(kinds: Sequence[str], vendors: Sequence[str], lengths: Lengths) -> Round:
    return tuple(
        Plan(kind, vendor, lengths.vendor_down if kind == DOWN else lengths.vendor)
        for kind, vendor in zip(kinds, vendors, strict=True)
    )


def _paused(choose: random.Random, plans: Round) -> Round:
    events = choose.randint(5, 40)
    return tuple(Plan(plan.kind, plan.target, plan.seconds, events) for plan in plans)
