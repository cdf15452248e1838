"""Exact sums from the topics themselves: what became of every raw event, at every vendor.

For each vendor: raw - enrichment's dead letters = accepted + dead-lettered + skipped + waiting.
Nothing here shares code with the counters, the engine or the vendors' mappings, and every number
is counted by itself, so that the two sides can differ. What the shop's own records are to give is
asked of the sections of ``[ingest.NAME]``.
"""

from dataclasses import replace

from streams.core.errors import SettingsError
from streams.kafka.reader import LogReader, Tell, connect, silent
from streams.operations.audit.report import AuditReport
from streams.operations.audit.scan import scan
from streams.operations.audit.sections import audit_sections
from streams.settings import Settings


async def run_audit(
    settings: Settings,
    since_ms: int | None = None,
    *,
    keep_ids: bool = False,
    tell: Tell = silent,
) -> AuditReport:
    """Audit the vendors that are on and those that have records.

    ``since_ms`` counts only raw records of this Kafka time or later. ``keep_ids`` keeps the event
    ids that ``compare_with_ledger`` needs. Raises SetupError for a broker that does not answer or
    topics that are missing, SettingsError where there is no vendor to audit.
    """
    async with connect(settings.kafka) as reader:
        vendors = await _vendors_in_use(settings, reader)
        if not vendors:
            raise SettingsError(
                ["No vendor is on and none has records: give one its credentials to switch it on."]
            )
        report = await scan(
            reader,
            settings.topics,
            vendors,
            since_ms=since_ms,
            keep_ids=keep_ids,
            tell=tell,
        )
        sections = await audit_sections(settings, reader, since_ms, tell)
    return replace(report, sections=tuple(sections))


async def _vendors_in_use(settings: Settings, reader: LogReader) -> list[str]:
    """Return the vendors that are on or of which there has ever been a record."""
    topics, enabled = settings.topics, settings.enabled_vendors()
    used = []
    for vendor in settings.vendors:
        names = [topics.events(vendor), topics.receipts(vendor), topics.dead_letters(vendor)]
        found = await reader.partitions(names)
        ends = await reader.ends([tp for tps in found.values() for tp in tps])
        if vendor in enabled or any(ends.values()):
            used.append(vendor)
    return used
