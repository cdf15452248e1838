"""Which fault repeated a request, how many it may repeat, and when work went on after it. Pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.chaos.books import Repeat, in_flight, repeats
from tests.chaos.ledgers import BUFFERED_SECONDS, Door
from tests.chaos.logs import Logs
from tests.chaos.schedule import BROKER_FAULTS, ONE_EVENT_FAULTS, SECOND_TERM, TERM
from tests.chaos.shop import VENDORS
from tests.chaos.site import Happened

MOST_REQUESTS: Mapping[str, int] = {"eightselect": 32, "voyado": 60, "miso": 16}
"""How many requests one worker has under way at most (docs/architecture.md)."""
NEVER_TWICE = ("voyado",)
"""Vendors that can be asked what they have."""
SILENCE_SECONDS = 60.0
"""Starts, a session that has to end, a probe: on a machine that has much else to do."""
VOYADO_WAITS = 30.0
"""Before it is asked for what a worker left open."""
ONE_EVENT_SECONDS = 15.0
"""One event that a vendor never takes holds up nobody but its visitor."""


@dataclass(slots=True)
class Blame:
    """What one fault did to one vendor."""

    repeated_events: int = 0
    repeated_requests: set[int] = field(default_factory=set)
    """The requests that stored these events first."""
    allowed_requests: int = 0


def blame(
    happened: Sequence[Happened], doors: Mapping[str, Door], logs: Logs
) -> tuple[list[dict[str, Blame]], list[Repeat]]:
    """Return for each fault what it repeated at each vendor, and the repeats that none explains."""
    by_fault: list[dict[str, Blame]] = [defaultdict(Blame) for _ in happened]
    unexplained = []
    for vendor, door in doors.items():
        for index, fault in enumerate(happened):
            if vendor in fault.vendors:
                by_fault[index][vendor].allowed_requests = _allowed(fault, vendor, door, logs)
        for repeat in repeats(door):
            culprit = _culprit(repeat, happened)
            if culprit is None:
                unexplained.append(repeat)
                continue
            entry = by_fault[culprit][vendor]
            entry.repeated_events += 1
            entry.repeated_requests.add(repeat.first_request)
    return by_fault, unexplained


def _culprit(repeat: Repeat, happened: Sequence[Happened]) -> int | None:
    """Return the first fault at this vendor between the first storing's request and the second.

    Of several that began together the one that is allowed to repeat.
    """
    for index, fault in enumerate(happened):
        if repeat.vendor not in fault.vendors:
            continue
        over = fault.over + BUFFERED_SECONDS
        if fault.began <= repeat.again_at and repeat.first_at <= over:
            return index
    return None


def _allowed(fault: Happened, vendor: str, door: Door, logs: Logs) -> int:
    kind = fault.plan.kind
    if (
        vendor in NEVER_TWICE
        or kind in (TERM, SECOND_TERM)
        or fault.plan.target
        in (
            "ingest",
            "enrich",
        )
    ):
        return 0
    if vendor in fault.stored_unanswered:
        return fault.stored_unanswered[vendor]
    if fault.cuts:
        receipts = logs.receipts[vendor]
        found = (in_flight(door, receipts, at.released, at.receipts[vendor]) for at in fault.cuts)
        return len(set().union(*found))
    return MOST_REQUESTS[vendor] if kind in BROKER_FAULTS else 0


def next_fault(moment: float, vendor: str, happened: Sequence[Happened]) -> int | None:
    """Return the first fault at this vendor that was not over by then: what a loss is laid to."""
    concerned = (at for at, fault in enumerate(happened) if vendor in fault.vendors)
    return next((at for at in concerned if happened[at].mended >= moment), None)


def last_fault(moment: float, vendor: str, happened: Sequence[Happened]) -> int | None:
    """Return the last fault at this vendor that had begun by then: what disorder is laid to."""
    concerned = (at for at, fault in enumerate(happened) if vendor in fault.vendors)
    return max((at for at in concerned if happened[at].began <= moment), default=None)


def longest_silence(fault: Happened) -> float:
    """Return the most seconds that a vendor may take until events come again after a fault."""
    if fault.plan.kind in ONE_EVENT_FAULTS:
        return ONE_EVENT_SECONDS
    return SILENCE_SECONDS + (VOYADO_WAITS if fault.plan.target in NEVER_TWICE else 0.0)


def watched(fault: Happened) -> tuple[str, ...]:
    """Return the vendors by which is told whether work goes on.

    Voyado only where it is meant: what a worker of it left open waits 30 s by the contract.
    """
    if fault.plan.target in VENDORS:
        return (fault.plan.target,)
    return tuple(vendor for vendor in VENDORS if vendor not in NEVER_TWICE)


def back_after(fault: Happened, door: Door, sent_at: Sequence[float], first: int) -> float | None:
    """Return the seconds until a vendor took the first event that was sent after the mending.

    ``first``: the number of the first event sent after it. None where none has come yet.
    """
    came = (door.first_at.get(number) for number in range(first, len(sent_at)))
    soonest = min((at for at in came if at is not None), default=None)
    return None if soonest is None else soonest - fault.mended


def back_everywhere(
    fault: Happened, door: Door, partition_of: Mapping[int, int], sent: range, partitions: int
) -> float | None:
    """Return the seconds until a vendor took an event sent after the mending on every partition.

    ``sent``: the numbers of these events. None where a partition has had none.
    """
    soonest: dict[int, float] = {}
    for number in sent:
        at = door.first_at.get(number)
        if at is not None:
            partition = partition_of[number]
            soonest[partition] = min(at, soonest.get(partition, at))
    return max(soonest.values()) - fault.mended if len(soonest) == partitions else None
