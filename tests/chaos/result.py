"""What a run has come to, and which bounds did not hold."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.blame import Blame, longest_silence
from tests.chaos.books import Findings, Repeat
from tests.chaos.fleet import Ending
from tests.chaos.site import Happened


@dataclass(slots=True)
class Result:
    """What a run came to."""

    began: float = 0.0
    """On the clock of all other moments."""
    happened: list[Happened] = field(default_factory=list)
    back: list[dict[str, float]] = field(default_factory=list)
    """By fault: watched vendor → seconds until it took an event again."""
    everywhere: list[float | None] = field(default_factory=list)
    """By fault: seconds until the slowest watched vendor took events of every partition again."""
    by_fault: list[dict[str, Blame]] = field(default_factory=list)
    unexplained: list[Repeat] = field(default_factory=list)
    findings: Findings = field(default_factory=Findings)
    missing_by: Counter[int | None] = field(default_factory=Counter)
    """Missing events by the fault to which they are laid; None: to none."""
    overtaken_by: Counter[int | None] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    """Bounds that did not hold, one sentence each."""
    endings: list[Ending] = field(default_factory=list)
    events: int = 0
    accepted: dict[str, int] = field(default_factory=dict)
    stored: dict[str, int] = field(default_factory=dict)
    audit: dict[str, Any] = field(default_factory=dict)
    """What ``streams audit --json`` says in the end."""
    seconds: float = 0.0
    producer_renewals: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    """Vendor → events over which it failed to the end."""
    given_up: dict[str, int] = field(default_factory=dict)
    """Vendor → those of them that became dead letters; the others waited until it took them."""
    revoked: int = 0
    """Visitors who said no."""


def broken_bounds(result: Result) -> list[str]:
    """Return one sentence for each bound of a fault that did not hold.

    Repeats, silence and the exit codes of workers that were told to end.
    """
    found = []
    for fault, entry, back in zip(result.happened, result.by_fault, result.back, strict=False):
        for vendor, one in entry.items():
            if len(one.repeated_requests) > one.allowed_requests:
                found.append(
                    f"round {fault.round}, {fault.plan.words}: {vendor} got "
                    f"{len(one.repeated_requests)} requests again, {one.allowed_requests} at most "
                    "were in flight"
                )
        found += [
            f"round {fault.round}, {fault.plan.words}: {vendor} was silent for {seconds:.0f} s"
            for vendor, seconds in back.items()
            if seconds > longest_silence(fault)
        ]
        found += [
            f"round {fault.round}, {fault.plan.words}: exit code {code} instead of 0"
            for code in fault.codes
            if code != 0
        ]
    if result.unexplained:
        repeat = result.unexplained[0]
        found.append(
            f"{len(result.unexplained)} repeats belong to no fault, "
            f"such as event {repeat.number} at {repeat.vendor}"
        )
    return found
