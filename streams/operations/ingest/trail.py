"""The way back from our records to the shop's: what the headers of written records say."""

from collections.abc import Iterable
from typing import NamedTuple

from streams.core.records import Source


class IngestTrail(NamedTuple):
    """Of which record of the shop one of ours was made."""

    source: Source
    section: str
    element: int | None


def read_trail(headers: Iterable[tuple[str, bytes | None]]) -> IngestTrail | None:
    """Return what a record's headers say; None: it was not written by ``ingest``."""
    found = dict(headers)
    source, section = found.get("source"), found.get("section")
    if source is None or section is None:
        return None
    name, _, element = section.decode("utf-8", "replace").partition("/")
    try:
        place = Source.parse(source.decode("utf-8", "replace"))
        return IngestTrail(place, name, int(element) if element else None)
    except ValueError:
        return None
