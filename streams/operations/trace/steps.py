"""The steps of an event's way, each in a sentence, masked. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from streams.core.consent import NO_CONSENT_MEANING
from streams.core.masking import masked_id, masked_json, masked_text
from streams.core.outcome import DEAD_LETTER_MEANING, SKIP_MEANING, Outcome
from streams.core.quantities import count
from streams.core.records import Receipt, Source
from streams.core.times import utc_text
from streams.operations.trace.facts import (
    EventFacts,
    Lettered,
    Received,
    Resolved,
    SentRecord,
)
from streams.operations.trace.timeline import Step
from streams.settings import INGEST

CONSENT_WORDS = {
    "event": "the event itself says yes",
    "row": "the visitor's row says yes",
    "assumed": "nothing says no",
}
Timed = tuple[int, int, Step]
"""Kafka time, rank among equal ones, step."""


class Masker:
    """Masks, but for what was typed."""

    def __init__(self, asked: str) -> None:
        self._asked = asked

    def id(self, text: str | None) -> str | None:
        """Return an id masked."""
        return text if text is None or text == self._asked else masked_id(text)

    def document(self, value: bytes | None) -> Any:
        """Return a record's value as masked JSON, or as text where it is none."""
        if not value:
            return None
        try:
            return self.json(msgspec.json.decode(value))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return masked_text(value[:4096].decode("utf-8", "replace"))

    def json(self, value: Any, field: str = "") -> Any:
        """Return a JSON value masked, the way ``masked_json`` does it."""
        if type(value) is str and value == self._asked:
            return value
        if type(value) is dict:
            return {
                masked_text(str(name)): self.json(item, str(name)) for name, item in value.items()
            }
        if type(value) is list:
            return [self.json(item, field) for item in value[:20]]
        return masked_json(value, (), field)


def sent_step(sent: SentRecord, masker: Masker, *, is_repeat: bool) -> Step:
    """Return the step of a vendor record, with its payload."""
    ground = CONSENT_WORDS.get(sent.consent)
    if sent.is_redelivery:
        run = f" by run {sent.run_id}" if sent.run_id else ""
        kind, text = "redelivered", f"Queued for redelivery{run}"
    elif is_repeat:
        kind, text = "enriched", "Enriched again after a crash; it is still sent only once"
    else:
        kind, text = "enriched", "Enriched and queued for the vendor"
    payload = sent.record.payload
    if sent.record.contact is not None:
        payload = {"payload": payload, "contact": sent.record.contact}
    return Step(
        kind=kind,  # type: ignore[arg-type]
        text=f"{text}; consent: {ground}." if ground else f"{text}.",
        at=utc_text(sent.at_ms),
        place=str(sent.place),
        lane="redelivery" if sent.is_redelivery else "live",
        run_id=sent.run_id,
        payload=None if is_repeat else masker.json(payload),
        is_repeat=is_repeat,
    )


def receipt_steps(
    receipts: Sequence[Received], letters: dict[Source, Lettered], name: str, facts: EventFacts
) -> list[Timed]:
    """Return a step for each receipt, and take its letter out of ``letters``."""
    steps: list[Timed] = []
    seen = set()
    for received in sorted(receipts, key=lambda received: received.place):
        receipt = received.receipt
        letter = None
        if receipt.outcome == Outcome.DEAD_LETTERED:
            # Letters are written before their receipts, so the newest before it is its own.
            before = [one for one in letters.values() if one.at_ms <= received.at_ms + 1_000]
            letter = max(before, key=lambda one: one.at_ms, default=None)
        if letter is not None:
            del letters[letter.place]
        again = (receipt.source, receipt.run_id) in seen
        seen.add((receipt.source, receipt.run_id))
        text = receipt_words(received, name, facts)
        if again:
            text += " This receipt was written again after a crash and counts once."
        step = Step(
            kind=outcome_of(receipt),
            text=text,
            at=utc_text(received.at_ms),
            place=str(received.place),
            lane="redelivery" if receipt.lane == "redelivery" else "live",
            run_id=receipt.run_id,
            attempts=receipt.attempts,
            status=receipt.status,
            reason=receipt.reason,
            vendor_ref=None if receipt.vendor_ref is None else masked_text(receipt.vendor_ref),
            answer=None if letter is None else _answer(letter),
            fingerprint=None if letter is None else letter.letter.fingerprint,
            is_repeat=again,
        )
        steps.append((received.at_ms, 2, step))
    return steps


def receipt_words(received: Received, name: str, facts: EventFacts) -> str:
    """Return what a receipt says, in a sentence."""
    receipt = received.receipt
    requests = count(receipt.attempts, "request")
    if receipt.outcome == Outcome.ACCEPTED:
        answer = f"HTTP {receipt.status}" if receipt.status else "no status"
        after = ""
        if facts.raw is not None and receipt.lane != "redelivery":
            first = facts.shop or facts.raw
            seconds = max(0, received.at_ms - first.at_ms) / 1000
            who = INGEST if first is facts.raw and facts.raw.trail else "the shop"
            after = f", {_seconds(seconds)} after {who} wrote it"
        return f"Accepted by {name} ({answer}, {requests}){after}."
    if receipt.outcome == Outcome.SKIPPED:
        return f"Skipped for {name}: {_skip_words(receipt)}."
    return f"Dead-lettered for {name} ({requests}): {letter_words(receipt.reason)}."


def letter_step(lettered: Lettered, name: str | None, *, is_repeat: bool) -> Step:
    """Return the step of a dead letter; without a name it is enrichment's own, for no vendor."""
    letter = lettered.letter
    words = f"{letter_words(letter.reason)}: {masked_text(letter.detail).rstrip('.')}."
    return Step(
        kind="dead_lettered",
        text=f"Dead letter{'' if name is None else f' for {name}'}: {words}",
        at=utc_text(lettered.at_ms),
        place=str(lettered.place),
        attempts=letter.attempts or None,
        status=letter.status,
        reason=letter.reason,
        answer=_answer(lettered) if letter.answer not in (None, letter.detail) else None,
        fingerprint=letter.fingerprint,
        is_repeat=is_repeat,
    )


def _answer(lettered: Lettered) -> str | None:
    words = lettered.letter.answer or lettered.letter.detail
    return masked_text(words) if words else None


def resolved_step(resolved: Resolved) -> Timed:
    """Return the step of a dead letter's resolution."""
    run = f" by run {resolved.run_id}" if resolved.run_id else ""
    text = {
        "dropped": "An operator dropped the dead letter.",
        "resent": f"The dead letter was resent{run}.",
    }.get(resolved.action, f"The dead letter was closed: {masked_text(resolved.action)}.")
    step = Step(
        kind="resolved",
        text=text,
        at=utc_text(resolved.at_ms),
        place=str(resolved.place),
        run_id=resolved.run_id,
    )
    return resolved.at_ms, 3, step


def outcome_of(receipt: Receipt) -> Any:
    """Return a receipt's outcome; ``unknown`` for a word that is none."""
    return receipt.outcome if receipt.outcome in set(Outcome) else "unknown"


_NO_CONSENTS = {str(kind): meaning for kind, meaning in NO_CONSENT_MEANING.items()}
_SKIPS = {str(reason): meaning for reason, meaning in SKIP_MEANING.items()}
_LETTERS = {str(reason): meaning for reason, meaning in DEAD_LETTER_MEANING.items()}


def _skip_words(receipt: Receipt) -> str:
    if receipt.detail in _NO_CONSENTS:
        return f"{receipt.reason}, {_NO_CONSENTS[receipt.detail]}"
    return _with_meaning(receipt.reason, _SKIPS)


def letter_words(reason: str | None) -> str:
    """Return a dead letter's reason with its meaning."""
    return _with_meaning(reason, _LETTERS)


def _with_meaning(reason: str | None, meanings: Mapping[str, str]) -> str:
    if reason is not None and reason in meanings:
        return f"{reason}, {meanings[reason]}"
    return masked_text(reason or "no reason is given")


def _seconds(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"
