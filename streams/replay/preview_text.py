"""Previews of replays and resends in words: the same for terminal and page. Pure.

Texts may hold what somebody typed or a vendor said; who shows them escapes them.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import tzinfo
from typing import NamedTuple

from streams.core.moments import shown_moment, shown_span
from streams.core.quantities import count
from streams.core.runs import ONE_VISITOR, Asked
from streams.replay.counts import Counts, effort
from streams.replay.preview import ReplayPreview
from streams.replay.resend import ResendPreview
from streams.settings import Settings

LEFT_WORDS = {
    "already_accepted": "already accepted",
    "waiting": "still waiting",
    "duplicate": "duplicates",
    "gone": "no longer stored",
}
SKIP_WORDS = {
    "no_consent": "no consent now",
    "too_old": "too old now",
    "unknown_product": "product unknown now",
}
NOT_SAID = "-"
_LEFT_OUT = ("left", "skipped", "refused")


class PreviewRow(NamedTuple):
    """One line of a preview's figures."""

    name: str
    values: tuple[str, ...]
    """One for each vendor."""
    weight: str = ""
    """``bold``, ``dim`` or empty."""


def preview_lines(preview: ReplayPreview, zone: tzinfo) -> list[str]:
    """Return what stands above a preview's table: the window, what is kept of it, the sample."""
    asked = preview.asked
    lines = [f"{asked_words(asked, zone)}: {preview.records:,} records"]
    if preview.sampled:
        lines = [
            f"{asked_words(asked, zone)}: about {preview.records:,} records.",
            f"SAMPLE: {preview.looked_at:,} of them were read; the figures below are extrapolated.",
        ]
    if preview.kept_from_ms is not None:
        kept = shown_moment(preview.kept_from_ms, zone)
        lines.append(f"Raw records are kept since {kept}.")
    if preview.is_cut:
        lines.append("Retention has deleted records at the start of this window.")
    lines += [
        f"About {number:,} records of {topic} are not replayed: the source is switched off."
        for topic, number in preview.off.items()
    ]
    if preview.late_ms is not None:
        hours = preview.late_ms // 3_600_000
        lines.append(f"Records that were written more than {hours} h late are not included.")
    return lines


def resend_lines(preview: ResendPreview, zone: tzinfo) -> list[str]:
    """Return what stands above a resend's table: what was asked, and what is left out."""
    open_ = f"{preview.letters:,} open" if preview.letters else "none is open"
    lines = [f"{asked_words(preview.asked, zone)}: {open_}"]
    if preview.foreign:
        lines.append(
            f"{preview.foreign:,} are about records that another producer wrote to the relay's own "
            "topics, or about partitions that do not exist any more; they are never resent."
        )
    if preview.of_ingest:
        lines.append(
            f"{preview.of_ingest:,} are of ingest; send them with `streams dead-letters resend "
            "--vendor ingest`."
        )
    lines += [
        f"{number:,} are of {topic}, whose source is switched off; they stay open."
        for topic, number in sorted(preview.of_sources.items())
    ]
    lines += [
        f"{number:,} belong to {vendor}, which is off; they stay open."
        for vendor, number in sorted(preview.off.items())
    ]
    return lines


def counts_rows(
    settings: Settings, vendors: Sequence[Counts], rate: float | None
) -> list[PreviewRow]:
    """Return the figures of a preview, one value a vendor."""
    left, skipped, refused = ([getattr(c, name) for c in vendors] for name in _LEFT_OUT)
    rows = [
        _numbers("events", [c.selected for c in vendors]),
        *(_each(f"- {LEFT_WORDS.get(word, word)}", word, left) for word in _words(left)),
        *(
            _each(f"- {SKIP_WORDS.get(word, f'skipped: {word}')}", word, skipped)
            for word in _words(skipped)
        ),
        *(_each(f"- invalid: {word}", word, refused) for word in _words(refused)),
        _numbers("= would be sent", [c.sent for c in vendors], "bold"),
    ]
    if any(c.dead_letters for c in vendors):
        letters = [c.dead_letters for c in vendors]
        rows.append(_numbers("  dead letters before", letters, "dim"))
    efforts = [effort(settings, counts, rate) for counts in vendors]
    quotas = [one.requests_per_second for one in efforts]
    lengths = [one.seconds for one in efforts]
    return [
        *rows,
        _numbers("requests (about)", [one.requests for one in efforts]),
        PreviewRow("quota", tuple(NOT_SAID if q is None else f"{q:g}/s" for q in quotas)),
        PreviewRow(
            "takes at least", tuple(NOT_SAID if s is None else shown_span(s) for s in lengths)
        ),
    ]


def question(preview: ReplayPreview | ResendPreview) -> str:
    """Return what is asked before anything is sent."""
    about = "about " if isinstance(preview, ReplayPreview) and preview.sampled else ""
    return f"Send {about}{count(preview.would_send, 'event')}?"


def asked_words(asked: Asked, zone: tzinfo) -> str:
    """Return in words what was asked, times as clocks of the zone show them."""
    words = []
    if asked.from_ms is not None and asked.to_ms is not None:
        window = f"{shown_moment(asked.from_ms, zone)} to {shown_moment(asked.to_ms, zone)}"
        words.append(f"from {window}")
    else:
        words.append("dead letters" + (f" of {asked.owner}" if asked.owner else ""))
    if asked.only:
        words.append(f"only {', '.join(asked.only)}")
    named = (
        ("visitor", asked.visitor),
        ("SKU", asked.sku),
        ("fingerprint", asked.fingerprint),
        ("event", asked.event_id),
    )
    words += [f"{name} {value}" for name, value in named if value is not None]
    words = ["one visitor" if word == f"visitor {ONE_VISITOR}" else word for word in words]
    if asked.since_ms is not None:
        words.append(f"since {shown_moment(asked.since_ms, zone)}")
    if asked.rate is not None:
        words.append(f"at most {asked.rate:g} events per second")
    if asked.again:
        words.append("including accepted events")
    return ", ".join(words)


def _numbers(name: str, values: Sequence[int], weight: str = "") -> PreviewRow:
    return PreviewRow(name, tuple(f"{value:,}" for value in values), weight)


def _each(name: str, word: str, counters: Sequence[Mapping[str, int]]) -> PreviewRow:
    return _numbers(name, [counts.get(word, 0) for counts in counters])


def _words(counters: Iterable[Mapping[str, int]]) -> list[str]:
    return sorted({word for counts in counters for word, number in counts.items() if number})
