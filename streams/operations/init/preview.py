"""What the proposed sections make of the sample: refusals, and one event as each vendor gets it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from streams.core.ingest.outcomes import IngestRecord, IngestRefusal
from streams.core.kinds import KINDS
from streams.core.outcome import SkipReason
from streams.core.proposal.model import Proposal
from streams.operations.check.mapping_preview import (
    SENT,
    MappingPreview,
    MappingRow,
    previewed_vendors,
)
from streams.operations.ingest.mappings import json_mappings_of
from streams.operations.init.samples import RawSample
from streams.settings import ConsentSettings, IngestSettings, Settings

_LOOKED_AT = 300
"""Events of one kind among which the one is chosen that most vendors get."""


@dataclass(slots=True)
class VendorsView:
    """One event, as each vendor gets it."""

    to: str
    rows: list[MappingRow]
    """One for each vendor; for all of them where it is a dead letter."""
    with_a_yes: Mapping[str, MappingRow] = field(default_factory=dict)
    """By vendor that gets nothing for want of consent: what it would get with it."""


@dataclass(slots=True)
class Outlook:
    """What comes of the sample."""

    written: Counter[str] = field(default_factory=Counter)
    """Events and rows by section."""
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By section and cause: events and rows that would be dead letters."""
    views: list[VendorsView] = field(default_factory=list)
    remarks: tuple[str, ...] = ()
    """Which vendors are not shown, or shown although something is missing."""


def with_sections(settings: Settings, proposal: Proposal) -> Settings:
    """Return the settings with the proposed sections beside their own."""
    sections = {
        section.name: IngestSettings.model_validate(section.settings())
        for section in proposal.sections
    }
    consent = settings.consent
    if proposal.consent_mode == "assumed":
        consent = ConsentSettings(mode="assumed")
    sources = dict(settings.sources)
    for name in proposal.sources():
        sources[name] = sources[name].model_copy(update={"enabled": True})
    return replace(settings, ingest=sections, consent=consent, sources=sources)


def outlook(
    settings: Settings, proposal: Proposal, samples: Sequence[RawSample], now_ms: int
) -> Outlook:
    """Map the sample by the proposal, and show one event of each kind at each vendor."""
    proposed = with_sections(settings, proposal)
    found = Outlook()
    lines: dict[str, list[bytes]] = {}
    for record in _mapped(proposed, samples, now_ms):
        if isinstance(record, IngestRefusal):
            cause = f"{record.error.field or record.error.reason}: {record.error.detail}"
            found.refused[record.section, cause] += 1
        else:
            found.written[record.section] += 1
            lines.setdefault(record.to, []).append(_line(record))
    vendors = previewed_vendors(proposed)
    found.remarks = vendors.remarks
    by_mode: dict[str, MappingPreview] = {
        mode: MappingPreview(
            replace(proposed, consent=ConsentSettings(mode=mode)), vendors.plans, now_ms
        )
        for mode in {proposed.consent.mode, "assumed"}
    }
    for to in ("users", "products"):
        for number, line in enumerate(lines.get(to, ()), start=1):
            for preview in by_mode.values():
                list(preview.preview_line(number, line))
    for to in KINDS:
        view = _view(to, lines.get(to, ())[:_LOOKED_AT], by_mode, proposed.consent.mode)
        if view is not None:
            found.views.append(view)
    return found


def _mapped(
    settings: Settings, samples: Sequence[RawSample], now_ms: int
) -> Iterator[IngestRecord | IngestRefusal]:
    # Framing is taken off here, so that no registry is asked.
    mappings = json_mappings_of(settings)
    for sample in samples:
        mapping = mappings.get(sample.topic)
        if mapping is None:
            continue
        for offset, (key, value) in enumerate(sample.bodies()):
            for outcome in mapping.read(key, value, 0, offset, now_ms):
                if isinstance(outcome, IngestRecord | IngestRefusal):
                    yield outcome


def _line(record: IngestRecord) -> bytes:
    """Return the record as a line of ``streams produce``."""
    line: dict[str, Any] = {
        "topic": record.to,
        "key": record.key.decode("utf-8", "replace"),
        "value": None if record.value is None else msgspec.Raw(record.value),
    }
    return msgspec.json.encode(line)


def _view(
    to: str, lines: Sequence[bytes], by_mode: Mapping[str, MappingPreview], mode: str
) -> VendorsView | None:
    best: tuple[int, VendorsView] | None = None
    for number, line in enumerate(lines, start=1):
        rows = list(by_mode[mode].preview_line(number, line))
        yes = rows if mode == "assumed" else list(by_mode["assumed"].preview_line(number, line))
        sent = sum(row.outcome == SENT for row in yes)
        if best is None or sent > best[0]:
            refused = {row.vendor for row in rows if row.reason == SkipReason.NO_CONSENT}
            with_a_yes = {row.vendor: row for row in yes if row.vendor in refused and row.vendor}
            best = sent, VendorsView(to, rows, with_a_yes)
        if sent == len(rows):
            break
    return None if best is None else best[1]
