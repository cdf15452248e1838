"""The judgement on a pipeline: from what is known to findings. Pure.

Page, ``status``, ``check``, health, metrics and log show these findings and add nothing of their
own. The gravest come first; of equal ones those of the earlier stage.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from streams.core.consent import NO_CONSENT_MEANING, NoConsent
from streams.core.quantities import count, listing, percent, rate, span
from streams.core.snapshot import DriftNote, Outcomes, Trend, WorkerSnapshot
from streams.delivery.circuit_breaker import NOTHING
from streams.settings import ENRICH, INGEST
from streams.status.causes import cause
from streams.status.findings import Finding, FindingKind, Level, problem, warning
from streams.status.known import Known, StageState
from streams.status.status import WorkerStatus, gravest

LATELY_SECONDS = 600
"""``WorkerSnapshot.lately`` covers this much."""
LOOP_RESTARTS = 3
LOOP_MS = 10 * 60 * 1000
"""So many restarts within this time are a crash loop."""
LEAST_EVENTS = 20
"""Fewer say nothing about shares."""
JUMP_SHARE = 0.2
"""A skip reason whose share grew by so much, and at least doubled, has jumped."""
TREND_SECONDS = 120.0
"""Rates over less do not say whether a stage keeps up."""
BEHIND_SECONDS = 60.0
"""Less work than this waiting is a short burst."""
MALFORMED_NOTE = "malformed_rows:"

_ORDER = {Level.PROBLEM: 0, Level.WARNING: 1, Level.OK: 2}


def judge(known: Known) -> list[Finding]:
    """Return the findings, the gravest first; exactly one, of level OK, where all is well.

    While Kafka does not answer there is only that one: what else was heard is old.
    """
    if known.kafka_silent_since is not None:
        return [_kafka_away(known)]
    vendors = [stage for stage in known.stages if stage.is_vendor]
    if not vendors:
        text = "No vendor is enabled. No event is delivered."
        remedy = "Set the credentials of a vendor: docs/operations.md, Settings."
        return [problem("settings", text, remedy, FindingKind.NOTHING_CONFIGURED)]
    found = [finding for stage in known.stages for finding in _of_stage(known, stage)]
    found.sort(key=lambda finding: _ORDER[finding.level])
    return found or [_well(known, vendors)]


def _kafka_away(known: Known) -> Finding:
    return problem(
        "broker",
        "Kafka has not answered.",
        "Check the brokers. Workers continue by themselves when Kafka answers.",
        FindingKind.KAFKA_AWAY,
        known.kafka_silent_since,
        f"{known.kafka_problem} The state of workers and vendors is unknown until then.".lstrip(),
    )


def _of_stage(known: Known, stage: StageState) -> Iterator[Finding]:
    workers, alive = known.of(stage.key), known.alive(stage.key)
    snapshots = [worker.snapshot for worker in alive]
    if not alive:
        yield _no_worker(known, stage, workers)
    elif len(alive) < len(workers):
        yield _some_silent(known, stage, [w for w in workers if w.is_stale], len(alive))
    yield from _not_ready(known, stage, snapshots)
    if lost := known.expired_lately.get(stage.key, 0):
        yield _expired(stage, lost)
    if alive and stage.is_vendor:
        yield from _of_vendor(known, stage, snapshots)
    if stage.key == ENRICH:
        yield from _malformed_rows(snapshots)
    if stage.key == INGEST and alive:
        yield from _behind(known, stage, snapshots)
    yield from _drift(snapshots)
    if stage.is_vendor:
        yield from _shares(known, stage)
    else:
        yield from _letters(known, stage, lately(known, stage.key))
    yield from _restarts(known, stage, snapshots)
    for text in dict.fromkeys(text for one in snapshots for text in one.warnings):
        yield warning(stage.key, text, kind=FindingKind.WARNED)


# -- workers


def _no_worker(known: Known, stage: StageState, silent: Sequence[WorkerStatus]) -> Finding:
    waits = _effect(known, stage, stage.waiting)
    start = f"Start one with `streams worker {stage.key}`."
    of_it = f"worker for {stage.name}" if stage.is_vendor else f"{stage.name.lower()} worker"
    if stage.is_paused:
        text = f"{stage.name} is paused by an operator and no worker runs for it."
        if stage.is_control_unreadable:
            text = (
                f"{stage.name} counts as paused, because its newest control record is unreadable, "
                "and no worker runs for it."
            )
        resume = f"Resume it with `streams resume {stage.key}`, and start a worker with "
        remedy = f"{resume}`streams worker {stage.key}`."
        return warning(stage.key, text, remedy, FindingKind.NO_WORKER, cause=waits)
    if not silent:
        made = problem if stage.has_run else warning
        text = f"No {of_it} is running." if stage.has_run else f"No {of_it} has run yet."
        return made(stage.key, text, start, FindingKind.NO_WORKER, cause=waits)
    since = max(worker.heard_ms for worker in silent)
    who = listing([worker.snapshot.worker for worker in silent])
    frozen = f"{who} stopped reporting: the process has ended or hangs."
    remedy = f"Check the process and its log. If it has ended: `streams worker {stage.key}`."
    text = f"No {of_it} has reported."
    why = f"{frozen} {waits}".rstrip()
    return problem(stage.key, text, remedy, FindingKind.NO_WORKER, since, why)


def _some_silent(
    known: Known, stage: StageState, silent: Sequence[WorkerStatus], others: int
) -> Finding:
    who = listing([worker.snapshot.worker for worker in silent])
    has = "has" if len(silent) == 1 else "have"
    since = min(worker.heard_ms for worker in silent)
    verb = "runs" if others == 1 else "run"
    why = (
        f"{count(others, 'other worker')} of {stage.name} {verb} and will take over the partitions."
        f" {_effect(known, stage, stage.waiting)}"
    ).rstrip()
    text, remedy = f"{who} {has} not reported.", "Check the process and its log."
    return warning(stage.key, text, remedy, FindingKind.SILENT_WORKER, since, why)


def _restarts(
    known: Known, stage: StageState, snapshots: Sequence[WorkerSnapshot]
) -> Iterator[Finding]:
    for one in snapshots:
        recent = [at for at in one.restarts.at if at > known.now_ms - LOOP_MS]
        if not recent:
            continue
        last = one.restarts.last_exit
        how = f"The last one ended with {last}." if last else ""
        times = "once" if len(recent) == 1 else count(len(recent), "time")
        if len(recent) >= LOOP_RESTARTS:
            text = f"{one.worker} keeps failing: it was restarted {times} in 10 minutes."
            remedy = (
                "Read the error before each restart in its log. Exit codes: docs/operations.md."
            )
            yield problem(stage.key, text, remedy, FindingKind.CRASH_LOOP, cause=how)
        else:
            text = f"{one.worker} failed and was restarted {times} in 10 minutes."
            remedy = "Read the error before the restart in its log."
            yield warning(stage.key, text, remedy, FindingKind.RESTARTED, cause=how)


def _not_ready(
    known: Known, stage: StageState, snapshots: Sequence[WorkerSnapshot]
) -> Iterator[Finding]:
    if away := dict.fromkeys(reason for one in snapshots for reason in one.registry_away):
        text = f"{stage.name} waits for the schema registry."
        why = " ".join(filter(None, (*away, _effect(known, stage, stage.waiting))))
        remedy = (
            "Check the registry and [registry] url. Ingest continues by itself when it answers."
        )
        yield problem(stage.key, text, remedy, FindingKind.REGISTRY_AWAY, cause=why)
    elif snapshots and not any(one.ready for one in snapshots):
        text, began = f"{stage.name} is starting.", min(one.started_at for one in snapshots)
        why = " ".join(dict.fromkeys(reason for one in snapshots for reason in one.not_ready))
        yield warning(stage.key, text, kind=FindingKind.STARTING, since=began, cause=why)


# -- the vendor


def _of_vendor(
    known: Known, stage: StageState, snapshots: Sequence[WorkerSnapshot]
) -> Iterator[Finding]:
    status = gravest(one.vendor for one in snapshots if one.vendor is not None)
    effect = _effect(known, stage, known.waiting(stage))
    if status is not None and status.state != "running":
        why = cause(stage.name, status.reason)
        why = f"{why[:1].upper()}{why[1:]}"
        advice = _advice(stage, status.advice, why)
        needs_somebody = status.state == "parked" and not advice.startswith(NOTHING)
        level = Level.PROBLEM if needs_somebody else Level.WARNING
        text = f"{stage.name} is {status.state}."
        if status.state == "paused":
            why = "" if why.startswith("Paused by an operator") else why
            text = f"{stage.name} is paused by an operator." if not why else text
        because = " ".join(filter(None, (why, effect)))
        kind = FindingKind(status.state)
        yield Finding(level, stage.key, text, advice, kind, status.since, because)
        return
    if asking := sum(one.asking for one in snapshots):
        asked = count(asking, "event")
        which = (
            f"whether it has stored {asked}" if asking == 1 else f"which of {asked} it has stored"
        )
        text = f"After the restart, {stage.name} is asked {which}."
        why = "This takes about 30 s. Only events that it has not stored are sent again."
        yield warning(stage.key, text, kind=FindingKind.ASKING, cause=why)
        return
    yield from _behind(known, stage, snapshots)


def _advice(stage: StageState, advice: str, why: str) -> str:
    if "refuses the key" in why and stage.key_place:
        return f"Put the new key into {stage.key_place}."
    if "refuses access" in why and stage.key_place:
        return f"Put a key that has access into {stage.key_place}."
    return advice


def _behind(
    known: Known, stage: StageState, snapshots: Sequence[WorkerSnapshot]
) -> Iterator[Finding]:
    trend = _trend(snapshots)
    waiting = known.waiting(stage)
    if trend is None or waiting is None or trend.arrived <= trend.settled:
        return
    if any(one.registry_away for one in snapshots):
        return  # which says more
    if waiting <= BEHIND_SECONDS * max(trend.settled, 1.0):
        return
    oldest = [waits.oldest_ms for one in snapshots for waits in one.waiting.values()]
    since = min((ms for ms in oldest if ms is not None), default=None)
    age = "" if since is None else f" The oldest is {span((known.now_ms - since) / 1000)} old."
    quotas = [one.quota.share for one in snapshots if one.quota is not None]
    limit = f" Its quota allows {rate(sum(quotas))} requests a second." if quotas else ""
    why = (
        f"Over {span(trend.seconds)}, {rate(trend.arrived)} events a second came in and "
        f"{rate(trend.settled)} were settled.{limit} {_effect(known, stage, waiting)}{age}"
    )
    remedy = (
        "Ask the vendor for a higher quota, or send fewer events."
        if limit
        else f"Start another worker with `streams worker {stage.key} --slot 1`, up to one per "
        "partition."
    )
    text = f"{stage.name} is falling behind."
    yield warning(stage.key, text, remedy, FindingKind.FALLING_BEHIND, cause=why)


# -- what became of the events


def _shares(known: Known, stage: StageState) -> Iterator[Finding]:
    recent = lately(known, stage.key)
    yield from _letters(known, stage, recent)
    events = recent.events
    # Of a vendor whose workers do not report only enrichment's skips are known.
    if events < LEAST_EVENTS or not known.alive(stage.key):
        return
    skipped = sum(recent.skipped.values())
    most = max(recent.skipped, key=lambda reason: recent.skipped[reason], default="")
    if not recent.accepted and skipped:
        text = f"{stage.name} accepted none of the last {count(events, 'event')}."
        which = _which_no_consent(recent)
        why = f"In the last 10 minutes it skipped {_each(recent.skipped, ' as ')}.{which}"
        remedy = _skip_remedy(most)
        yield warning(stage.key, text, remedy, FindingKind.NOTHING_ACCEPTED, cause=why)
        return
    earlier = before(known, stage.key)
    if earlier.events < LEAST_EVENTS:
        return
    for reason, number in recent.skipped.items():
        was, now = earlier.skipped.get(reason, 0) / earlier.events, number / events
        if now - was >= JUMP_SHARE and now >= 2 * was:
            text = (
                f"{stage.name} skips {percent(number, events)} of events as {reason}, up from "
                f"{percent(earlier.skipped.get(reason, 0), earlier.events)}."
            )
            why = f"{count(number)} of {count(events, 'event')} within 10 minutes."
            yield warning(stage.key, text, _skip_remedy(reason), FindingKind.SKIP_JUMP, cause=why)


def _which_no_consent(recent: Outcomes) -> str:
    """Return which kinds of no_consent there are, as a sentence to append."""
    numbers = recent.no_consent
    kinds = sorted((k for k in NoConsent if numbers.get(k)), key=lambda k: -numbers[k])
    words = [f"{count(numbers[k])} ({NO_CONSENT_MEANING[k]})" for k in kinds]
    return f" Of no_consent: {listing(words)}." if words else ""


_SKIP_REMEDIES = {
    "no_consent": "Check whether shop.users still gets rows with consent.",
    "unknown_product": "Check whether shop.products is written.",
    "no_contact": "Check whether shop.users names the contact.",
    "too_old": "Check the timestamps of the events and max_age_hours.",
    "outside_content": "Check the mapping of the field that marks 8SELECT content.",
}


def _skip_remedy(reason: str) -> str:
    return _SKIP_REMEDIES.get(reason, "Look at one of them with `streams trace`.")


def _letters(known: Known, stage: StageState, recent: Outcomes) -> Iterator[Finding]:
    letters = _still_open(known, stage, recent.dead_lettered)
    number = sum(letters.values())
    if not number:
        return
    of_all = f" of {count(recent.events, 'event')}" if recent.events > number else ""
    share = f" ({percent(number, recent.events)})" if of_all else ""
    text = f"{stage.name}: {count(number, 'new dead letter')}{of_all}{share} in 10 minutes."
    top = _top_reason(known, stage, letters)
    why = f"By reason: {_each(letters, ' ')}.{top}"
    remedy = (
        "List them with `streams dead-letters list`, fix the cause, then send them again with "
        "`streams dead-letters resend`."
    )
    yield warning(stage.key, text, remedy, FindingKind.DEAD_LETTERS, cause=why)


def _still_open(known: Known, stage: StageState, counted: Mapping[str, int]) -> dict[str, int]:
    """Return by reason those of the counted letters that nobody has resent or dropped.

    Where it is unknown which are open, all that were counted are.
    """
    open_ = known.open_letters.get(stage.key, counted)
    left = {reason: min(number, open_.get(reason, 0)) for reason, number in counted.items()}
    return {reason: number for reason, number in left.items() if number}


def _top_reason(known: Known, stage: StageState, reasons: Collection[str]) -> str:
    """Return the most frequent cause of these reasons in words, as a sentence to append."""
    wanted = stage.key if stage.is_vendor else None
    numbers: Counter[str] = Counter()
    for worker in known.workers:
        for one in worker.snapshot.causes:
            is_meant = one.vendor == wanted and one.reason in reasons
            if wanted is None:
                is_meant &= worker.snapshot.stage == stage.key
            if is_meant and one.example and not worker.is_stale:
                numbers[one.example] += one.count
    return f" Most often: {numbers.most_common(1)[0][0].rstrip('.')}." if numbers else ""


def _malformed_rows(snapshots: Sequence[WorkerSnapshot]) -> Iterator[Finding]:
    rows: Counter[str] = Counter()
    for one in snapshots:
        for note, number in one.notes.items():
            if note.startswith(MALFORMED_NOTE):
                rows[note.removeprefix(MALFORMED_NOTE)] += number
    for table, number in sorted(rows.items()):
        have = "has" if number == 1 else "have"
        text = f"{count(number, 'key')} of shop.{table} {have} a malformed row."
        effect = (
            "Events of these visitors are skipped with no_consent."
            if table == "users"
            else "Events of these products are handled as if the row did not exist."
        )
        remedy = "The worker's log names key, partition and offset. Write a valid row for each key."
        yield warning(ENRICH, text, remedy, FindingKind.MALFORMED_ROWS, cause=effect)


_DRIFT_TEXTS = {
    "field_gone": "Records of {topic} have lost the field {what}.",
    "type_changed": "The type of {what} has changed in records of {topic}.",
    "new_event_name": "Events of {topic} have a new name: {what}.",
}


def _drift(snapshots: Sequence[WorkerSnapshot]) -> Iterator[Finding]:
    """Yield a finding for each change, once where several workers have found it."""
    found: dict[tuple[str, str, str], DriftNote] = {}
    for one in (one for snapshot in snapshots for one in snapshot.drift):
        place = (one.change, one.section, one.what)
        if place not in found or one.since < found[place].since:
            found[place] = one
    for one in found.values():
        text = _DRIFT_TEXTS[one.change].format(topic=one.topic, what=one.what)
        remedy = f"Check [ingest.{one.section}] in streams.toml."
        if one.change == "new_event_name":
            remedy = (
                f"If these events matter, let the `when` of a section take them: look at "
                f"[ingest.{one.section}] and its neighbours in streams.toml."
            )
        why = f"{one.words[:1].upper()}{one.words[1:]}. For example: {one.example}."
        yield warning(INGEST, text, remedy, FindingKind.DRIFT, one.since, why)


def _expired(stage: StageState, lost: int) -> Finding:
    for_whom = stage.name if stage.is_vendor else stage.name.lower()
    was, them = ("was", "it") if lost == 1 else ("were", "them")
    text = f"Kafka deleted {count(lost, 'record')} within the hour before {for_whom} read {them}."
    why = f"{count(lost)} {was} lost: the retention of the topic is shorter than the delay."
    remedy = "Raise retention.ms of the topic now: docs/operations.md, Retention."
    return problem(stage.key, text, remedy, FindingKind.EXPIRED, cause=why)


# -- all is well


def _well(known: Known, vendors: Sequence[StageState]) -> Finding:
    snapshots = [w.snapshot for stage in known.stages for w in known.alive(stage.key)]
    incoming = sum(one.rate for one in snapshots if one.stage == ENRICH)
    waiting = sum(records for one in snapshots for records in one.lag.values())
    names = listing([stage.name for stage in vendors])
    verb = "is" if len(vendors) == 1 else "are"
    if incoming <= 0 and not waiting:
        text = f"All is well. {names} {verb} all caught up, no new events."
    elif incoming <= 0:
        text = f"All is well. {names} {verb} working through {count(waiting, 'event')}."
    else:
        verb = "keeps" if len(vendors) == 1 else "keep"
        text = f"All is well. {names} {verb} up with {rate(incoming)} events a second."
    if waiting > BEHIND_SECONDS * max(incoming, 1.0) and incoming > 0:
        text = f"All is well so far. {count(waiting, 'event')} wait for {names}."
    return Finding(Level.OK, "pipeline", text, kind=FindingKind.WELL)


# -- sums


def _waits(records: int) -> str:
    if not records:
        return "No events wait."
    return f"{count(records, 'event')} {'waits' if records == 1 else 'wait'}."


def _effect(known: Known, stage: StageState, records: int | None) -> str:
    """Return what waits, and that nothing is lost where that is known to be true."""
    if records is None:
        return ""
    if known.expired_lately.get(stage.key):
        return _waits(records)
    return f"{_waits(records)} Nothing is lost."


def _each(counts: dict[str, int], between: str) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return listing([f"{count(number)}{between}{reason}" for reason, number in ordered])


def _trend(snapshots: Sequence[WorkerSnapshot]) -> Trend | None:
    """Return the sum of the workers' trends; None unless each has looked for minutes."""
    trends = [one.trend for one in snapshots if one.trend is not None]
    if not trends or len(trends) < len(snapshots):
        return None
    seconds = min(one.seconds for one in trends)
    if seconds < TREND_SECONDS:
        return None
    return Trend(seconds, sum(t.arrived for t in trends), sum(t.settled for t in trends))


def lately(known: Known, stage: str) -> Outcomes:
    """Return what became of a stage's events in the last ten minutes, enrichment's share included.

    For ``enrich`` these are its own dead letters, which concern no single vendor; for ``ingest``
    what was written counts as accepted.
    """
    shares = [w.snapshot.lately.get(stage) for w in known.workers if not w.is_stale]
    return sum(filter(None, shares), Outcomes())


def stages_with_letters(known: Known) -> list[str]:
    """Return the stages whose workers counted dead letters in the last ten minutes."""
    return [stage.key for stage in known.stages if lately(known, stage.key).dead_lettered]


def before(known: Known, stage: str) -> Outcomes:
    """Return the same over the 50 minutes before these."""
    shares = [w.snapshot.before.get(stage) for w in known.workers if not w.is_stale]
    return sum(filter(None, shares), Outcomes())
