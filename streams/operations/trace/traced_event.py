"""From the records about a raw event to the trace that is shown. Pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from streams.core.errors import InvalidEvent
from streams.core.event_types import Event
from streams.core.masking import masked_text
from streams.core.outcome import Outcome, SkipReason
from streams.core.quantities import count, listing
from streams.core.records import Receipt, Source
from streams.core.times import utc_text
from streams.dead_letters.book import Position
from streams.operations.ingest.trail import IngestTrail
from streams.operations.trace.facts import (
    EventFacts,
    RawRecord,
    TraceLane,
    VendorFacts,
)
from streams.operations.trace.steps import (
    Masker,
    Timed,
    letter_step,
    letter_words,
    outcome_of,
    receipt_steps,
    receipt_words,
    resolved_step,
    sent_step,
)
from streams.operations.trace.timeline import Step, TracedEvent, VendorOutcome, VendorTrace

Parse = Callable[[Source, RawRecord], Event]
"""Reads a raw record as enrichment does; raises InvalidEvent."""

_RANK = (Outcome.ACCEPTED, Outcome.DEAD_LETTERED, Outcome.SKIPPED)
_SAID: Mapping[VendorOutcome, str] = {
    "accepted": "accepted by",
    "waiting": "waiting for",
    "dead_lettered": "dead-lettered for",
    "skipped": "skipped for",
    "off": "not sent to (switched off)",
    "unknown": "outcome unknown for",
}


def traced_event(
    facts: EventFacts, parse: Parse, names: Mapping[str, str], asked: str
) -> TracedEvent:
    """Return what is shown of one raw record; ``names`` gives the vendors' display names.

    Text that equals ``asked`` was typed by the reader and is not masked.
    """
    masker = Masker(asked)
    raw, source = facts.raw, facts.source
    event, problem = _event_of(facts, parse)
    steps = _before_vendors(facts, problem)
    vendors = [
        _vendor(vendor, names.get(vendor, vendor), found, facts, masker)
        for vendor, found in ({} if _is_no_event(facts) else facts.vendors).items()
    ]
    event_id, event_type, happened = _known_of(facts, event)
    return TracedEvent(
        event_id=event_id,
        source=str(source),
        written_at=None if raw is None else utc_text(raw.at_ms),
        event_type=event_type,
        happened_at=happened,
        visitor=masker.id(_visitor_of(facts, event)),
        user=masker.id(None if event is None else event.user_id),
        product_id=_named(event, "product_id"),
        sku=_named(event, "sku"),
        text=_in_one_sentence(facts, vendors),
        raw=None if raw is None else masker.document(raw.value),
        steps=steps,
        vendors=vendors,
    )


def _named(event: Event | None, name: Literal["product_id", "sku"]) -> str | None:
    """Return the products that an event is about, as they are named."""
    named = () if event is None else event.named()
    return ", ".join(text for one in named if (text := getattr(one, name))) or None


def _event_of(facts: EventFacts, parse: Parse) -> tuple[Event | None, str]:
    if facts.raw is None:
        return None, ""
    try:
        return parse(facts.source, facts.raw), ""
    except InvalidEvent as error:
        return None, f"{letter_words(error.reason)}: {masked_text(error.detail)}"


def _known_of(facts: EventFacts, event: Event | None) -> tuple[str | None, str | None, str | None]:
    """Return the event's id, type and time, by the raw record or by what was made of it."""
    if event is not None:
        return event.event_id, event.event_type, utc_text(event.timestamp_ms)
    for found in facts.vendors.values():
        for sent in found.sent:
            return sent.record.event_id, sent.record.event_type, sent.record.timestamp
        for received in found.receipts:
            return received.receipt.event_id, None, None
    for lettered in facts.letters:
        if lettered.letter.event_id:
            return lettered.letter.event_id, None, None
    return None, None, None


def _visitor_of(facts: EventFacts, event: Event | None) -> str | None:
    if event is not None:
        return event.anonymous_id
    for found in facts.vendors.values():
        for sent in found.sent:
            return sent.record.anonymous_id
    key = None if facts.raw is None else facts.raw.key
    return None if key is None else key.decode("utf-8", "replace")


def _is_no_event(facts: EventFacts) -> bool:
    return bool(facts.letters) and not any(
        found.sent or found.receipts for found in facts.vendors.values()
    )


def _before_vendors(facts: EventFacts, problem: str) -> list[Step]:
    steps: list[Timed] = []
    if facts.raw is not None:
        text = f"Written by the shop to {facts.source.topic}."
        if facts.raw.trail is not None:
            steps.append(_beginning(facts, facts.raw.trail))
            section = f"[ingest.{facts.raw.trail.section}]"
            text = f"Mapped by {section} and written by ingest to {facts.source.topic}."
        if problem:
            text += f" It is not a valid event: {problem}."
        step = Step(kind="raw", text=text, at=utc_text(facts.raw.at_ms), place=str(facts.source))
        steps.append((facts.raw.at_ms, 0, step))
    steps += [
        (lettered.at_ms, 1, letter_step(lettered, None, is_repeat=number > 0))
        for number, lettered in enumerate(facts.letters)
    ]
    steps += [resolved_step(resolved) for resolved in facts.resolved]
    in_order = _in_order(steps)
    if facts.raw is None:
        gone = "The raw record was deleted by retention."
        in_order.insert(0, Step(kind="unknown", text=gone, place=str(facts.source)))
    if not facts.is_enriched and facts.raw is not None:
        in_order.append(_unread(facts))
    return in_order


def _beginning(facts: EventFacts, trail: IngestTrail) -> Timed:
    """Return the step of the shop's own record."""
    text, place = f"Written by the shop to {trail.source.topic}.", str(trail.source)
    if facts.shop is None:
        text += " That record is not there: retention deleted it, or no section of these settings "
        text += "reads its topic."
        return 0, -1, Step(kind="raw", text=text, place=place)
    step = Step(kind="raw", text=text, at=utc_text(facts.shop.at_ms), place=place)
    return facts.shop.at_ms, -1, step


def _unread(facts: EventFacts) -> Step:
    """Return why enrichment has not read the record."""
    topic = facts.source.topic
    if facts.is_source_off:
        text = f"Not read: the source of {topic} is switched off, so the event goes to no vendor."
        return Step(kind="off", text=text)
    before = facts.source.offset - (facts.enrich.committed or 0)
    if facts.enrich.committed is None:
        text = "Waiting for enrichment, which has not read anything yet."
    else:
        text = f"Waiting for enrichment, behind {count(before, 'record')} of its partition."
    return Step(kind="waiting", text=f"{text} {facts.enrich.says}".strip())


def _vendor(
    vendor: str, name: str, found: VendorFacts, facts: EventFacts, masker: Masker
) -> VendorTrace:
    steps: list[Timed] = []
    lanes_seen = set()
    for sent in sorted(found.sent, key=lambda sent: sent.place):
        lane = (sent.is_redelivery, sent.run_id)
        steps.append((sent.at_ms, 0, sent_step(sent, masker, is_repeat=lane in lanes_seen)))
        lanes_seen.add(lane)
    letters = {lettered.place: lettered for lettered in found.letters}
    steps += receipt_steps(found.receipts, letters, name, facts)
    steps += [
        (left.at_ms, 1, letter_step(left, name, is_repeat=False)) for left in letters.values()
    ]
    steps += [resolved_step(resolved) for resolved in found.resolved]
    open_steps = _open_steps(name, found, facts)
    outcome, reason, text = _outcome(name, found, facts, open_steps)
    return VendorTrace(
        vendor=vendor,
        name=name,
        outcome=outcome,
        reason=reason,
        text=text,
        steps=[*_in_order(steps), *open_steps],
    )


def _open_steps(name: str, found: VendorFacts, facts: EventFacts) -> list[Step]:
    """Return what still waits on either lane, or why nothing does."""
    answered = {(received.receipt.lane, received.receipt.position) for received in found.receipts}
    steps = []
    live = [sent for sent in found.sent if not sent.is_redelivery]
    settled_live = any(received.receipt.lane != "redelivery" for received in found.receipts)
    if live and not settled_live and _is_ahead(found.live, live[0].place.offset):
        steps.append(_waits(name, live[0].place, found.live, "live"))
    for sent in found.sent:
        place = sent.place
        if (
            sent.is_redelivery
            and ("redelivery", place.offset) not in answered
            and _is_ahead(found.redelivery, place.offset)
        ):
            steps.append(_waits(name, place, found.redelivery, "redelivery", sent.run_id))
    if steps or found.receipts or found.letters:
        return steps
    if not found.was_on:
        text = f"{name} was switched off when the event was read. No record or receipt is written."
        return [Step(kind="off", text=text)]
    if not facts.is_enriched:
        return [_unread(facts)]
    text = (
        "Enrichment and the sink have processed it, but there is no receipt. Retention may have "
        "deleted the receipt. `streams audit` shows whether any event is missing."
    )
    return [Step(kind="unknown", text=text)]


def _is_ahead(lane: TraceLane, position: int) -> bool:
    return lane.committed is None or position >= lane.committed


def _waits(name: str, place: Source, lane: TraceLane, word: str, run_id: str | None = None) -> Step:
    before = place.offset - (lane.committed or 0)
    if lane.committed is None:
        text = f"Waiting for {name}, which has not read anything yet. {lane.says}".strip()
    else:
        text = (
            f"Waiting for {name}, behind at most {count(before, 'event')} of its partition. "
            f"Nothing is lost. {lane.says}"
        ).strip()
    if word == "redelivery":
        text = f"Redelivery: {text[0].lower()}{text[1:]}"
    return Step(
        kind="waiting",
        text=text,
        place=str(place),
        lane=word,  # type: ignore[arg-type]
        run_id=run_id,
    )


def _outcome(
    name: str, found: VendorFacts, facts: EventFacts, open_steps: Sequence[Step]
) -> tuple[VendorOutcome, str | None, str]:
    """Return the outcome, its reason and the sentence; accepted outranks all others."""
    waits = [step.text for step in open_steps if step.kind == "waiting"]
    if found.receipts:
        best = min(found.receipts, key=lambda received: _rank(received.receipt))
        outcome = outcome_of(best.receipt)
        words = [receipt_words(best, name, facts), *waits]
        if best.receipt.reason == SkipReason.NO_CONSENT:
            words.append(found.row_says)
        if outcome == "dead_lettered" and not waits:
            words.append(_what_to_do(found))
        return outcome, best.receipt.reason, " ".join(filter(None, words))
    if found.letters:
        step = letter_step(found.letters[0], name, is_repeat=False)
        return "dead_lettered", step.reason, step.text
    kind: VendorOutcome = open_steps[0].kind  # type: ignore[assignment]
    return kind, None, " ".join(step.text for step in open_steps)


def _what_to_do(found: VendorFacts) -> str:
    closed = {resolved.resolves: resolved for resolved in found.resolved}
    open_letters = [one for one in found.letters if str(Position(*one.place)) not in closed]
    if not found.letters:
        return ""
    if not open_letters:
        last = max(closed.values(), key=lambda resolved: resolved.at_ms)
        return resolved_step(last)[2].text
    fingerprint = open_letters[0].letter.fingerprint
    return f"See `streams dead-letters show --fingerprint {masked_text(fingerprint)}`."


def _rank(receipt: Receipt) -> int:
    return next((n for n, outcome in enumerate(_RANK) if receipt.outcome == outcome), len(_RANK))


def _in_one_sentence(facts: EventFacts, vendors: Sequence[VendorTrace]) -> str:
    if _is_no_event(facts):
        letter = facts.letters[0].letter
        return (
            f"Invalid event, sent to no vendor: {letter_words(letter.reason)}. "
            f"See `streams dead-letters show --fingerprint {masked_text(letter.fingerprint)}`."
        )
    if not facts.is_enriched and facts.raw is not None:
        return _unread(facts).text
    parts = []
    for outcome, words in _SAID.items():
        members = [one.name for one in vendors if one.outcome == outcome]
        if members:
            parts.append(f"{words} {listing(members)}")
    sentence = "; ".join(parts) or "no vendor is enabled"
    return f"{sentence[0].upper()}{sentence[1:]}."


def _in_order(steps: Sequence[Timed]) -> list[Step]:
    return [step for *_, step in sorted(steps, key=lambda timed: timed[:2])]
