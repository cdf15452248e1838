"""What the proposed sections make of the sample: refusals, and one event as each vendor gets it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from streams.core.ingest.outcomes import (
    IngestOutcome,
    IngestRecord,
    IngestRefusal,
    written_record,
)
from streams.core.kinds import KINDS
from streams.core.outcome import SkipReason
from streams.core.proposal.model import Proposal
from streams.core.records import TopicRecord
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
    written: dict[str, list[TopicRecord]] = {}
    for source, made in _mapped(proposed, samples, now_ms):
        if isinstance(made, IngestRefusal):
            cause = (
                made.error.detail
                if made.error.field
                else f"{made.error.reason}: {made.error.detail}"
            )
            found.refused[made.section, cause] += 1
        elif isinstance(made, IngestRecord):
            found.written[made.section] += 1
            record = written_record(proposed.topics, source, made)
            written.setdefault(made.to, []).append(record)
    vendors = previewed_vendors(proposed)
    found.remarks = vendors.remarks
    as_it_is, with_a_yes = (
        MappingPreview(replace(proposed, consent=consent), vendors.plans, now_ms)
        for consent in (proposed.consent, ConsentSettings(mode="assumed"))
    )
    for row in (*written.get("users", ()), *written.get("products", ())):
        for preview in (as_it_is, with_a_yes):
            list(preview.preview_record(0, row))
    for to in KINDS:
        records = written.get(to, [])[:_LOOKED_AT]
        best = max(records, key=lambda one: _receivers(with_a_yes, one), default=None)
        if best is not None:
            found.views.append(_view(to, best, as_it_is, with_a_yes))
    return found


def _mapped(
    settings: Settings, samples: Sequence[RawSample], now_ms: int
) -> Iterator[tuple[TopicRecord, IngestOutcome]]:
    # Framing is taken off here, so that no registry is asked.
    mappings = json_mappings_of(settings)
    for sample in samples:
        mapping = mappings.get(sample.topic)
        if mapping is None:
            continue
        for offset, (key, value) in enumerate(sample.bodies()):
            record = TopicRecord(sample.topic, 0, offset, now_ms, key, value)
            for outcome in mapping.read(key, value, 0, offset, now_ms):
                yield record, outcome


def _receivers(preview: MappingPreview, record: TopicRecord) -> int:
    return sum(row.outcome == SENT for row in preview.preview_record(0, record))


def _view(
    to: str, record: TopicRecord, as_it_is: MappingPreview, with_a_yes: MappingPreview
) -> VendorsView:
    rows = list(as_it_is.preview_record(0, record))
    refused = {row.vendor for row in rows if row.reason == SkipReason.NO_CONSENT}
    yes = {
        row.vendor: row
        for row in with_a_yes.preview_record(0, record)
        if row.vendor in refused and row.vendor
    }
    return VendorsView(to, rows, yes)
