"""What the dashboard shows: the findings, and the workers' figures. Pure: the page only draws it.

What is not known is ``?``, never 0.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from streams.core.notes import note_words
from streams.core.outcome import DEAD_LETTER_MEANING, SKIP_MEANING
from streams.core.quantities import count, percent, rate, size, span
from streams.core.snapshot import JoinHealth, WorkerSnapshot
from streams.core.topics import Topics
from streams.settings import ENRICH, STAGE_NAMES, Settings
from streams.status.findings import Finding, FindingKind, Level
from streams.status.judge import before, judge, lately
from streams.status.known import Known, StageState
from streams.status.status import WorkerStatus
from streams.vendors import VENDORS
from streams.web import words
from streams.web.history import History
from streams.web.vendors import Percentiles, VendorSummary, summarize

SHOWN_CAUSES = 5
UNKNOWN = "?"
RESUME = "`streams resume"
"""In a remedy: what the page has a button for."""
STATE_WORDS = {"gone": "no worker"}
"""Where people say it otherwise."""


def summaries(known: Known) -> dict[str, VendorSummary]:
    """Return, by key, each vendor that is on."""
    enrich = [worker.snapshot for worker in known.alive(ENRICH)]
    vendors = [stage.key for stage in known.stages if stage.is_vendor]
    return {
        key: summarize(key, [worker.snapshot for worker in known.alive(key)], enrich)
        for key in vendors
    }


def view(
    settings: Settings, known: Known, vendors: Mapping[str, VendorSummary], history: History
) -> dict[str, Any]:
    """Return the whole page as JSON-ready values."""
    findings = judge(known)
    stages = [stage for stage in known.stages if stage.key in vendors]
    alive = [] if known.kafka_silent_since else [w.snapshot for w in known.alive(ENRICH)]
    shown = {s.key: _vendor(known, s, vendors[s.key], history, findings) for s in stages}
    return {
        "at": known.now_ms,
        "may_change": settings.web.token is not None,
        "findings": [_finding(finding) for finding in findings],
        "flow": _flow(settings.topics, known, alive, [shown[stage.key] for stage in stages]),
        "vendors": [shown[key] for key in _worst_first(shown, findings)],
        "dead_letters": _dead_letters(known, vendors.values()),
        "join": _join([s.join for s in alive if s.join is not None]),
        "enrich": _enrich(alive),
        "workers": _workers(known, settings.topics),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    """Return a finding in its parts, with the button that does what its remedy says."""
    is_vendor = finding.subject in VENDORS
    act = None
    if is_vendor and RESUME in finding.remedy:
        act = "resume"
    elif finding.kind == FindingKind.DEAD_LETTERS:
        act = "letters"
    return {
        "level": str(finding.level),
        "subject": finding.subject,
        "name": VENDORS[finding.subject].name if is_vendor else "",
        "kind": finding.kind,
        "text": replace(finding, cause="", remedy="").parts(),
        "cause": finding.cause,
        "remedy": finding.remedy,
        "act": act,
    }


def _worst_first(keys: Iterable[str], findings: Sequence[Finding]) -> list[str]:
    """Return the vendors that somebody must look at first, the others as they are configured."""
    subjects = [finding.subject for finding in findings if finding.level != Level.OK]
    return sorted(keys, key=lambda key: subjects.index(key) if key in subjects else len(subjects))


def _flow(
    topics: Topics,
    known: Known,
    enrich: Sequence[WorkerSnapshot],
    vendors: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    waiting: Counter[str] = Counter()
    for snapshot in enrich:
        for topic, records in snapshot.lag.items():
            waiting[topics.without_prefix(topic)] += records
    is_whole = bool(enrich) and not any(worker.is_stale for worker in known.of(ENRICH))
    stage = next((one for one in known.stages if one.key == ENRICH), None)
    all_waiting = None if stage is None else known.waiting(stage)
    per_second = sum(snapshot.rate for snapshot in enrich)
    return {
        "raw": [
            {"name": name, "waiting": count(waiting[name]) if is_whole else UNKNOWN}
            for name in map(topics.without_prefix, topics.raw)
        ],
        "enrich": {
            "rate": rate(per_second) if enrich else UNKNOWN,
            "flows": per_second > 0,
            "alive": bool(enrich),
            "waiting": _count(all_waiting),
        },
        "vendors": [
            {name: vendor[name] for name in ("key", "name", "state", "state_word", "waiting")}
            | {"rate": vendor["rate"], "flows": vendor["rate"] not in ("0", UNKNOWN)}
            for vendor in vendors
        ],
    }


def _vendor(
    known: Known,
    stage: StageState,
    vendor: VendorSummary,
    history: History,
    findings: Sequence[Finding],
) -> dict[str, Any]:
    state, waiting = known.state(stage), known.waiting(stage)
    is_known = state not in ("gone", "unknown")
    settled = settled_rate(vendor, history)
    facts = [
        ("settled", f"{rate(settled)} /s" if is_known else UNKNOWN, _SETTLED),
        ("waiting", _count(waiting), "not settled yet"),
        ("accepted", f"{rate(vendor.accepted_rate)} /s" if is_known else UNKNOWN, ""),
    ]
    if vendor.quota_limit is not None:
        used = f"{rate(vendor.quota_used)} of {rate(vendor.quota_limit)} /s"
        facts.append(("quota", used, f"{rate(vendor.quota_share)} a second are allowed now"))
    if vendor.redeliveries:
        number = count(vendor.redeliveries)
        facts.append(("redeliveries", number, "served after live events"))
    if vendor.expired:
        number = count(vendor.expired)
        facts.append(("expired", number, "deleted by Kafka before they were read"))
    facts += [
        ("time to clear", _time_to_clear(state, waiting, vendor, history), "at the current rate"),
        (EVENT_TIME, _percentiles(vendor.age, is_known), ""),
        (DELIVERY_TIME, _percentiles(vendor.delivery, is_known), ""),
    ]
    return {
        "key": stage.key,
        "name": stage.name,
        "state": state,
        "state_word": STATE_WORDS.get(state, state),
        "rate": rate(settled) if is_known else UNKNOWN,
        "waiting": _count(waiting),
        "findings": [index for index, one in enumerate(findings) if one.subject == stage.key],
        "shares": _shares(known, stage.key) if is_known else None,
        "facts": [{"name": name, "value": value, "hint": hint} for name, value, hint in facts],
        "skips": _counts(vendor.skipped, SKIP_MEANING),
        "dead_lettered": count(vendor.dead_lettered),
        "causes": [
            {
                "reason": cause.reason,
                "fingerprint": cause.fingerprint,
                "count": count(cause.count),
                "example": cause.example or DEAD_LETTER_MEANING.get(cause.reason, ""),  # type: ignore[call-overload]
            }
            for cause in vendor.causes[:SHOWN_CAUSES]
        ],
        "requests": [msgspec.to_builtins(r) | {"took": span(r.seconds)} for r in vendor.requests],
        "quota_share": (
            None
            if not vendor.quota_limit
            else min(1.0, round(vendor.quota_used / vendor.quota_limit, 3))
        ),
        "can": _can(stage.key, state, findings),
    }


_SETTLED = "accepted, skipped or dead-lettered; also what enrichment skipped for this vendor"
EVENT_TIME = "event time: from the shop to the vendor"
DELIVERY_TIME = "delivery time: from Kafka to the vendor"


def settled_rate(vendor: VendorSummary, history: History) -> float:
    """Return how many events a second get an outcome for a vendor, enrichment's skips included."""
    return vendor.settled_rate + history.skipped_rate(vendor.key)


def _time_to_clear(state: str, waiting: int | None, vendor: VendorSummary, history: History) -> str:
    if waiting is None:
        return UNKNOWN
    if waiting and state in ("parked", "paused"):
        return f"not while {state}"
    if waiting and state == "gone":
        return "not without a worker"
    return words.drained(waiting, vendor.settled_rate, history.shrinking_rate(vendor.key))


def _percentiles(of: Percentiles, is_known: bool) -> str:
    if not is_known:
        return UNKNOWN
    if of.p50 is None or of.p95 is None:
        return "none accepted yet"
    return f"half in {span(of.p50)}, 95 % in {span(of.p95)}"


def _shares(known: Known, key: str) -> dict[str, Any]:
    """Return what became of the last hour's events, each outcome with its share."""
    hour = lately(known, key) + before(known, key)
    numbers = {
        "accepted": hour.accepted,
        "skipped": sum(hour.skipped.values()),
        "dead-lettered": sum(hour.dead_lettered.values()),
    }
    events = hour.events
    return {
        "events": count(events, "event"),
        "rows": [
            {
                "name": name,
                "count": count(number),
                "share": percent(number, events),
                "part": round(number / events, 4) if events else 0,
            }
            for name, number in numbers.items()
        ],
    }


def _can(key: str, state: str, findings: Sequence[Finding]) -> str | None:
    """Return which button a vendor has: that which its finding names, else the one to pause it."""
    if any(one.subject == key and RESUME in one.remedy for one in findings):
        return "resume"
    return None if state in ("gone", "unknown") else "pause"


def _dead_letters(known: Known, vendors: Iterable[VendorSummary]) -> dict[str, Any]:
    """Return how many there are, as the living workers count them."""
    hours = [lately(known, stage.key) + before(known, stage.key) for stage in known.stages]
    others = [w.snapshot for key in STAGE_NAMES for w in known.alive(key)]
    of_no_vendor = sum(c.count for one in others for c in one.causes if c.vendor is None)
    total = of_no_vendor + sum(vendor.dead_lettered for vendor in vendors)
    is_known = bool(known.workers) and known.kafka_silent_since is None
    return {
        "hour": _count(sum(sum(h.dead_lettered.values()) for h in hours) if is_known else None),
        "total": _count(total if is_known else None),
        "unknown": [stage.name for stage in known.stages if not known.alive(stage.key)],
    }


def _count(number: int | None) -> str:
    return UNKNOWN if number is None else count(number)


def _counts(counts: Mapping[str, int], meaning: Mapping[Any, str]) -> list[dict[str, str]]:
    return [
        {"reason": reason, "count": count(number), "meaning": meaning.get(reason, "")}
        for reason, number in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        if number
    ]


def _enrich(alive: Sequence[WorkerSnapshot]) -> dict[str, Any]:
    letters: Counter[str] = Counter()
    notes: Counter[str] = Counter()
    for snapshot in alive:
        for cause in snapshot.causes:
            if cause.vendor is None:
                letters[cause.reason] += cause.count
        notes.update(snapshot.notes)
    return {
        "invalid": _counts(letters, DEAD_LETTER_MEANING),
        "notes": [
            {"name": note_words(note), "count": count(number)}
            for note, number in notes.most_common(8)
        ],
    }


_JOINS = {
    "user": ("no user id", "The visitor has no user row with a user_id, and the event has none"),
    "product": ("no product row", "shop.products has no row for the product"),
    "sku": ("no SKU", "Vendors that need a SKU skip these events"),
}


def _join(healths: Iterable[JoinHealth]) -> dict[str, Any]:
    found = list(healths)
    events = sum(health.events for health in found)
    rows = []
    for what, (title, hint) in _JOINS.items():
        missed = sum(getattr(health, f"without_{what}") for health in found)
        examples = [text for health in found for text in health.examples.get(what, ())]
        rows.append(
            {
                "title": title,
                "hint": hint,
                "share": percent(missed, events) if found else UNKNOWN,
                "part": round(missed / events, 4) if events else 0,
                "count": count(missed) if found else UNKNOWN,
                "examples": examples[:3],
            }
        )
    return {"events": count(events) if found else UNKNOWN, "rows": rows}


def _workers(known: Known, topics: Topics) -> list[dict[str, Any]]:
    """Return a row for each worker, and for each stage that has none, in the stages' order."""
    rows = []
    keys = [stage.key for stage in known.stages]
    others = [w for w in known.workers if w.snapshot.stage not in keys]
    for stage in known.stages:
        rows += [_worker(worker, topics) for worker in known.of(stage.key)]
        if not known.alive(stage.key):
            rows.append(_no_worker(known, stage))
    return rows + [_worker(worker, topics) for worker in others]


def _no_worker(known: Known, stage: StageState) -> dict[str, Any]:
    is_unknown = known.kafka_silent_since is not None
    return {
        "worker": f"{stage.key} without a worker",
        "stage": stage.key,
        "place": "",
        "state": "unknown" if is_unknown else "gone",
        "doing": ["unknown"] if is_unknown else ["no worker"],
        "partitions": UNKNOWN if is_unknown else "0",
        "details": [],
        "rate": UNKNOWN if is_unknown else "0",
        "waiting": _count(known.waiting(stage)),
        "memory": "",
        "version": "",
        "started": None,
    }


def _worker(worker: WorkerStatus, topics: Topics) -> dict[str, Any]:
    snapshot, is_stale = worker.snapshot, worker.is_stale
    doing: words.Words = ["ready" if snapshot.ready else " ".join(snapshot.not_ready)]
    if is_stale:
        doing = ["unknown since ", words.at(worker.heard_ms)]
    partitions = {topics.without_prefix(t): ps for t, ps in snapshot.partitions.items()}
    tables = ("shop.users", "shop.products", "streams.control")
    mine = {t: numbers for t, numbers in partitions.items() if t not in tables}
    listed = "; ".join(f"{t} {_ranges(numbers)}" for t, numbers in mine.items())
    versions = ", ".join(f"{name} {number}" for name, number in snapshot.versions.items())
    return {
        "worker": snapshot.worker,
        "stage": snapshot.stage,
        "place": f"slot {snapshot.slot}",
        "state": "gone" if is_stale else ("ready" if snapshot.ready else "starting"),
        "doing": doing,
        "partitions": UNKNOWN if is_stale else count(sum(map(len, mine.values()))),
        "details": [
            f"{snapshot.host}, pid {snapshot.pid}",
            ("had " if is_stale else "") + (listed or "no partitions"),
            versions,
        ],
        "rate": UNKNOWN if is_stale else rate(snapshot.rate),
        "waiting": UNKNOWN if is_stale else count(sum(snapshot.lag.values())),
        "memory": UNKNOWN if is_stale else size(snapshot.memory_bytes),
        "version": snapshot.version,
        "started": snapshot.started_at,
    }


def _ranges(numbers: Sequence[int]) -> str:
    """Return partition numbers, neighbours drawn together: ``0-3, 7``."""
    shown: list[list[int]] = []
    for number in sorted(numbers):
        if shown and number == shown[-1][-1] + 1:
            shown[-1].append(number)
        else:
            shown.append([number])
    return ", ".join(str(r[0]) if len(r) == 1 else f"{r[0]}-{r[-1]}" for r in shown)
