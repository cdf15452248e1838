"""What the dashboard shows, made of the workers' snapshots. Pure: the page only draws it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from streams.core.outcome import DEAD_LETTER_MEANING, SKIP_MEANING
from streams.core.snapshot import JoinHealth, WorkerSnapshot
from streams.operations.status.status import WorkerStatus
from streams.settings import ENRICH
from streams.web import words
from streams.web.history import History
from streams.web.vendors import GONE, LIVE, REDELIVERY, VendorSummary, sentence, summarize
from streams.web.verdict import silent_broker, verdict

SHOWN_CAUSES = 5


@dataclass(frozen=True, slots=True)
class Frame:
    """What of the installation the view needs beside the snapshots."""

    vendors: Mapping[str, str] = field(default_factory=dict)
    """Key → name of the vendors that are on, in the order in which they are shown."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Key → name of all vendors there are."""
    key_places: Mapping[str, str] = field(default_factory=dict)
    """Key → where the vendor's key is set, as the end of a sentence."""
    prefix: str = ""
    """Of all topics."""
    may_change: bool = False
    """Whether a token is set: without one the page only reads."""


def summaries(frame: Frame, workers: Sequence[WorkerStatus]) -> list[VendorSummary]:
    """Return each vendor that is on, or of which a worker speaks."""
    enrich = [w.snapshot for w in workers if w.snapshot.stage == ENRICH and not w.is_stale]
    stages = {w.snapshot.stage for w in workers} - {ENRICH}
    keys = [*frame.vendors, *sorted(stages - set(frame.vendors))]
    return [
        summarize(
            key,
            frame.vendors.get(key) or frame.names.get(key, key),
            [w for w in workers if w.snapshot.stage == key],
            enrich,
        )
        for key in keys
    ]


def view(
    frame: Frame,
    workers: Sequence[WorkerStatus],
    vendors: Sequence[VendorSummary],
    history: History,
    now_ms: int,
    broker_silent_seconds: float | None = None,
) -> dict[str, Any]:
    """Return the whole page as JSON-ready values."""
    enrich = [w for w in workers if w.snapshot.stage == ENRICH]
    alive = [w.snapshot for w in enrich if not w.is_stale]
    raw_rate = sum(s.rate for s in alive)
    for vendor in vendors:
        vendor.shrinking_rate = history.shrinking_rate(vendor.key)
        vendor.expired_lately = history.expired_lately(vendor.key)
    top = verdict(vendors, enrich, enrich_rate=raw_rate, raw_expired=history.expired_lately(ENRICH))
    if broker_silent_seconds is not None:
        top = silent_broker(broker_silent_seconds)
    return {
        "at": now_ms,
        "may_change": frame.may_change,
        "verdict": top,
        "flow": _flow(frame, alive, vendors, raw_rate),
        "vendors": [_vendor(vendor, frame) for vendor in vendors],
        "join": _join([s.join for s in alive if s.join is not None]),
        "enrich": _enrich(alive),
        "warnings": list(dict.fromkeys(w for one in workers for w in one.snapshot.warnings)),
        "workers": [_worker(worker, frame) for worker in workers],
    }


def _flow(
    frame: Frame, enrich: Sequence[WorkerSnapshot], vendors: Sequence[VendorSummary], rate: float
) -> dict[str, Any]:
    waiting: Counter[str] = Counter()
    for snapshot in enrich:
        for topic, records in snapshot.lag.items():
            waiting[topic.removeprefix(frame.prefix)] += records
    raw = [
        {"name": name, "waiting": words.count(waiting[name])}
        for name in ("shop.clicks", "shop.add-to-carts")
    ]
    return {
        "raw": raw,
        "enrich": {"rate": words.rate(rate), "flows": rate > 0, "alive": bool(enrich)},
        "vendors": [
            {
                "key": vendor.key,
                "name": vendor.name,
                "state": vendor.state,
                "rate": words.rate(vendor.accepted_rate),
                "flows": vendor.accepted_rate > 0,
                "waiting": words.count(vendor.waiting),
            }
            for vendor in vendors
        ],
    }


def _vendor(vendor: VendorSummary, frame: Frame) -> dict[str, Any]:
    live, redelivery = vendor.lanes[LIVE], vendor.lanes[REDELIVERY]
    drained = (
        f"not while {vendor.state}"
        if vendor.state in {"parked", "paused", GONE} and vendor.waiting
        else words.drained(vendor.waiting, vendor.settled_rate, vendor.shrinking_rate)
    )
    known = vendor.workers > 0
    facts = [
        ("accepted", f"{words.rate(vendor.accepted_rate)} /s" if known else "-", ""),
        ("waiting", words.count(live.events) if known else "-", ""),
        ("age p50", _span(vendor.p50), "half of the events are accepted within it"),
        ("age p95", _span(vendor.p95), "95 of 100 events are accepted within it"),
        ("done in", drained if known else "-", "at the speed of the last minute"),
    ]
    if redelivery.events:
        facts.append(("redeliveries", words.count(redelivery.events), "served after live events"))
    if vendor.quota_limit is not None:
        used = f"{words.rate(vendor.quota_used)} of {words.rate(vendor.quota_limit)} /s"
        facts.append(("quota", used, f"{words.rate(vendor.quota_share)} a second are allowed now"))
    return {
        "key": vendor.key,
        "name": vendor.name,
        "state": vendor.state,
        "sentence": sentence(vendor, frame.key_places.get(vendor.key, "")),
        "facts": [{"name": name, "value": value, "hint": hint} for name, value, hint in facts],
        "accepted": words.count(vendor.accepted),
        "skips": _counts(vendor.skipped, SKIP_MEANING),
        "dead_lettered": words.count(vendor.dead_lettered),
        "causes": [
            {
                "reason": cause.reason,
                "fingerprint": cause.fingerprint,
                "count": words.count(cause.count),
                "example": cause.example or DEAD_LETTER_MEANING.get(cause.reason, ""),  # type: ignore[call-overload]
            }
            for cause in vendor.causes[:SHOWN_CAUSES]
        ],
        "requests": [
            msgspec.to_builtins(r) | {"took": words.span(r.seconds)} for r in vendor.requests
        ],
        "quota_share": (
            None
            if not vendor.quota_limit
            else min(1.0, round(vendor.quota_used / vendor.quota_limit, 3))
        ),
        "can": None if vendor.state == GONE else ("resume" if _resumable(vendor) else "pause"),
    }


def _resumable(vendor: VendorSummary) -> bool:
    """A vendor that is parked for good goes on by resuming it, too."""
    if vendor.state == "paused":
        return True
    status = vendor.status
    return vendor.state == "parked" and status is not None and "resume" in status.advice


def _counts(counts: Mapping[str, int], meaning: Mapping[Any, str]) -> list[dict[str, str]]:
    return [
        {"reason": reason, "count": words.count(number), "meaning": meaning.get(reason, "")}
        for reason, number in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]


def _span(seconds: float | None) -> str:
    return "-" if seconds is None else words.span(seconds)


def _enrich(alive: Sequence[WorkerSnapshot]) -> dict[str, Any]:
    letters: Counter[str] = Counter()
    notes: Counter[str] = Counter()
    for snapshot in alive:
        for cause in snapshot.causes:
            if cause.vendor is None:
                letters[cause.reason] += cause.count
        notes.update(snapshot.notes)
    return {
        "dead_letters": _counts(letters, DEAD_LETTER_MEANING),
        "notes": [
            {"name": name, "count": words.count(number)} for name, number in notes.most_common(8)
        ],
    }


_JOINS = (
    ("user", "without_user", "without a user id", "No user row, and the event names no user"),
    (
        "product",
        "without_product",
        "without a product row",
        "shop.products has none for their product",
    ),
    ("sku", "without_sku", "without any SKU", "These go to no vendor that needs one"),
)


def _join(healths: Iterable[JoinHealth]) -> dict[str, Any]:
    found = list(healths)
    events = sum(health.events for health in found)
    rows = []
    for what, name, title, hint in _JOINS:
        missed = sum(getattr(health, name) for health in found)
        examples = [text for health in found for text in health.examples.get(what, ())]
        rows.append(
            {
                "title": title,
                "hint": hint,
                "share": words.percent(missed, events),
                "part": round(missed / events, 4) if events else 0,
                "count": words.count(missed),
                "examples": examples[:3],
            }
        )
    return {"events": words.count(events), "rows": rows}


def _worker(worker: WorkerStatus, frame: Frame) -> dict[str, Any]:
    snapshot = worker.snapshot
    if worker.is_stale:
        doing = f"silent for {words.span(worker.silent_seconds)}"
    else:
        doing = "ready" if snapshot.ready else " ".join(snapshot.not_ready)
    partitions = {
        topic.removeprefix(frame.prefix): numbers for topic, numbers in snapshot.partitions.items()
    }
    tables = ("shop.users", "shop.products", "streams.control")
    mine = {t: numbers for t, numbers in partitions.items() if t not in tables}
    return {
        "worker": snapshot.worker,
        "stage": snapshot.stage,
        "host": snapshot.host,
        "slot": snapshot.slot,
        "pid": snapshot.pid,
        "state": "gone" if worker.is_stale else ("ready" if snapshot.ready else "starting"),
        "doing": doing,
        "partitions": words.count(sum(map(len, mine.values()))),
        "partition_list": "; ".join(f"{t} {_ranges(numbers)}" for t, numbers in mine.items()),
        "rate": words.rate(snapshot.rate),
        "waiting": words.count(sum(snapshot.lag.values())),
        "memory": words.size(snapshot.memory_bytes),
        "version": snapshot.version,
        "versions": ", ".join(f"{name} {number}" for name, number in snapshot.versions.items()),
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
