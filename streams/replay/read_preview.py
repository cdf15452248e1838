"""The preview of a replay or resend as terminal and page show it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from streams.core.runs import Asked
from streams.kafka.reader import Tell, silent
from streams.replay.counts import Counts, counts_json, warnings_for
from streams.replay.preview import preview
from streams.replay.preview_text import (
    PreviewRow,
    counts_rows,
    preview_lines,
    question,
    resend_lines,
)
from streams.replay.resend import preview_resend
from streams.replay.sinks import sink_remarks
from streams.settings import Settings


@dataclass(frozen=True, slots=True)
class ShownPreview:
    """What is shown before anything is sent."""

    lines: list[str]
    """What stands above the figures."""
    counts: list[Counts]
    rows: list[PreviewRow]
    warnings: list[str]
    question: str
    to_run: Sequence[str]
    """The vendors of the run; none where a run would do nothing."""
    json_rows: list[dict[str, Any]]


async def read_preview(
    settings: Settings,
    asked: Asked,
    vendors: Sequence[str],
    zone: tzinfo,
    *,
    now_ms: int,
    tell: Tell = silent,
) -> ShownPreview:
    """Return what would be sent; ``vendors`` are those of a replay.

    Raises SettingsError and SetupError as ``preview`` and ``preview_resend`` do.
    """
    if asked.command == "replay":
        seen = await preview(settings, vendors, asked, tell=tell, now_ms=now_ms)
        counts, lines, asks = seen.vendors, preview_lines(seen, zone), question(seen)
        to_run, json_rows = vendors if seen.would_send else (), seen.to_json(settings)
    else:
        resend = await preview_resend(settings, asked, tell=tell, now_ms=now_ms)
        counts, lines, asks = resend.vendors, resend_lines(resend, zone), question(resend)
        # It closes letters of which nothing is sent, too: those that were accepted since.
        to_run = [one.vendor for one in counts if one.selected]
        json_rows = [counts_json(settings, one, asked.rate) for one in counts]
    warnings = [words for one in counts for words in warnings_for(one)]
    if sending := [one.vendor for one in counts if one.sent]:
        warnings += await sink_remarks(settings, sending)
    rows = counts_rows(settings, counts, asked.rate) if counts else []
    return ShownPreview(lines, counts, rows, warnings, asks, to_run, json_rows)
