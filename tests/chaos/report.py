"""What a run prints and keeps: a Markdown table, and the same in JSON with every fault."""

from collections.abc import Sequence
from statistics import median
from typing import Any

from tests.chaos.result import Result
from tests.chaos.schedule import FROZEN, KILL, ORDER, START_KILL, TERM, TRICKLE_KILL, WIPE
from tests.chaos.shop import NAMES, VENDORS

HEAD = (
    *("fault", "times", "missing", "out of order"),
    *(f"again at {NAMES[vendor]}" for vendor in VENDORS),
    *("back, median", "back, worst", "every partition, worst"),
)


def row_of(plan_kind: str, target: str) -> str:
    """Return the table's row of a fault: kill, SIGTERM and freeze have one for each stage."""
    if plan_kind in (KILL, TERM, FROZEN):
        return f"{plan_kind}: {target}"
    return plan_kind


def table(result: Result) -> list[list[str]]:
    """Return the rows of a run, the sums last."""
    names = [row_of(fault.plan.kind, fault.plan.target) for fault in result.happened]
    order = sorted(set(names), key=lambda name: (_place(name), name))
    rows = []
    for name in order:
        chosen = [at for at, each in enumerate(names) if each == name]
        missing = sum(result.missing_by[at] for at in chosen)
        late = sum(result.overtaken_by[at] for at in chosen)
        rows.append(_row(name, result, chosen, missing=str(missing), overtaken=str(late)))
    findings = result.findings
    rows.append(
        _row(
            "all",
            result,
            range(len(names)),
            missing=str(findings.count_missing),
            overtaken=str(findings.count_overtaken),
        )
    )
    return rows


def _row(
    name: str, result: Result, chosen: Sequence[int], *, missing: str, overtaken: str
) -> list[str]:
    back = [max(result.back[at].values()) for at in chosen if result.back[at]]
    cells = [name, str(len(chosen)), missing, overtaken]
    for vendor in VENDORS:
        entries = [result.by_fault[at].get(vendor) for at in chosen]
        events = sum(entry.repeated_events for entry in entries if entry)
        requests = sum(len(entry.repeated_requests) for entry in entries if entry)
        allowed = sum(entry.allowed_requests for entry in entries if entry)
        shown = f"{events}"
        if requests or allowed:
            shown += f" ({requests} of {allowed} requests)"
        cells.append(shown)
    cells += [f"{median(back):.1f} s", f"{max(back):.1f} s"] if back else ["", ""]
    everywhere = [seconds for at in chosen if (seconds := result.everywhere[at]) is not None]
    cells.append(f"{max(everywhere):.1f} s" if everywhere else "")
    return cells


def restarts(result: Result) -> list[float]:
    """Return the seconds until work went on after each restart of a stage's only worker."""
    kinds = (KILL, TERM, WIPE, START_KILL, TRICKLE_KILL)
    return [
        max(back.values())
        for fault, back in zip(result.happened, result.back, strict=False)
        if fault.plan.kind in kinds
    ]


def told(result: Result) -> list[str]:
    """Return a sentence about the events never taken, and one about the visitors who said no."""
    found = []
    if never := sum(result.refused.values()):
        found.append(
            f"{never} events that their vendor never took: {sum(result.given_up.values())} given "
            "up as undeliverable, the others waited until it took them"
        )
    in_spite = sum(map(len, result.findings.in_spite.values()))
    found.append(f"{result.revoked} visitors said no; {in_spite} of their events sent in spite")
    return found


def _place(name: str) -> int:
    return next(at for at, kind in enumerate(ORDER) if name.startswith(kind))


def markdown(rows: Sequence[Sequence[str]], head: Sequence[str] = HEAD) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def as_json(result: Result, **about: Any) -> dict[str, Any]:
    """Return everything, ready for JSON."""
    faults = [
        {
            "round": fault.round,
            "kind": fault.plan.kind,
            "step": fault.plan.step,
            "aims": fault.plan.aims,
            "target": fault.plan.target,
            "at": round(fault.began - result.began, 2),
            "seconds": round(fault.mended - fault.began, 2),
            "kills": fault.kills,
            "open": fault.open,
            "exit_codes": fault.codes,
            "back_seconds": {vendor: round(value, 2) for vendor, value in back.items()},
            "every_partition_seconds": None if everywhere is None else round(everywhere, 2),
            "repeated": {
                vendor: {
                    "events": one.repeated_events,
                    "requests": len(one.repeated_requests),
                    "in_flight": one.allowed_requests,
                }
                for vendor, one in entry.items()
            },
        }
        for fault, back, everywhere, entry in zip(
            result.happened, result.back, result.everywhere, result.by_fault, strict=True
        )
    ]
    findings = result.findings
    return {
        **about,
        "seconds": round(result.seconds, 1),
        "events": result.events,
        "restarts": _summary(restarts(result)),
        "kills": sum(fault.kills for fault in result.happened),
        "to_accept": result.accepted,
        "stored": result.stored,
        "missing": findings.count_missing,
        "out_of_order": findings.count_overtaken,
        "wrong_outcome": findings.count_contradicting,
        "sent_in_spite_of_a_no": {v: len(n) for v, n in findings.in_spite.items()},
        "visitors_who_said_no": result.revoked,
        "never_taken": result.refused,
        "given_up": result.given_up,
        "broken": result.broken,
        "unexplained": [
            {
                "vendor": one.vendor,
                "event": one.number,
                "first_request_at": round(one.first_at - result.began, 2),
                "again_at": round(one.again_at - result.began, 2),
            }
            for one in result.unexplained
        ],
        "producer_renewals": result.producer_renewals,
        "endings": [
            {
                "worker": one.worker,
                "at": round(one.at - result.began, 2),
                "code": one.code,
                "words": one.words[-400:],
            }
            for one in result.endings
        ],
        "audit": result.audit,
        "faults": faults,
    }


def _summary(seconds: Sequence[float]) -> dict[str, float]:
    if not seconds:
        return {"count": 0}
    return {
        "count": len(seconds),
        "median_seconds": round(median(seconds), 2),
        "worst_seconds": round(max(seconds), 2),
    }
