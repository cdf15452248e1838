"""What the demo writes: the sample, or the events of a file in the sample's shop."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from streams.core.errors import SettingsError
from streams.core.topics import Topics
from streams.engine import wall_clock
from streams.lab.demo.records import event_records, events_on, table_records
from streams.lab.demo.sample import load_sample
from streams.operations.produce import Outgoing, parse_line

_NAMED_LINES = 10


@dataclass(frozen=True, slots=True)
class Feed:
    """Rows and events, in the order in which to write them."""

    name: str
    """For people: where the events come from."""
    rows: Callable[[], Iterator[Outgoing]]
    """Of the tables; to be written before any event."""
    events: Callable[[], Iterator[Outgoing]]
    row_count: int
    event_count: int


def sample_feed(topics: Topics) -> Feed:
    """The sample with its users, its products and a few broken records, moved to now."""
    sample = load_sample(wall_clock.now_ms())
    return Feed(
        name="real sessions of the OTTO sample",
        rows=lambda: table_records(sample, topics),
        # Events are made when they are written, so that none is older than it says.
        events=lambda: event_records(load_sample(wall_clock.now_ms()), topics),
        row_count=len(sample.users) + len(sample.products),
        event_count=len(events_on(sample, topics)) + len(sample.broken),
    )


def file_feed(path: Path, topics: Topics) -> Feed:
    """The lines of a file as ``streams produce`` takes them, in the shop of the sample.

    The file is read twice, its rows first. Raises SettingsError that names the lines which cannot
    be written.
    """
    row_count, event_count, bad = 0, 0, []
    for number, line in _lines(path):
        try:
            is_event = parse_line(line, topics).topic in topics.raw
        except ValueError as error:
            bad.append(f"{path}, line {number} {error}.")
        else:
            event_count += is_event
            row_count += not is_event
    if bad:
        more = [f"and {len(bad) - _NAMED_LINES:,} more lines."] if len(bad) > _NAMED_LINES else []
        raise SettingsError([*bad[:_NAMED_LINES], *more])
    if not event_count:
        raise SettingsError([f"{path} contains no events: give one JSON object per line."])
    sample = sample_feed(topics)

    def chosen(*, events: bool) -> Iterator[Outgoing]:
        parsed = (parse_line(line, topics) for _, line in _lines(path))
        return (record for record in parsed if (record.topic in topics.raw) == events)

    def rows() -> Iterator[Outgoing]:
        yield from sample.rows()
        yield from chosen(events=False)

    return Feed(
        name=str(path),
        rows=rows,
        events=lambda: chosen(events=True),
        row_count=sample.row_count + row_count,
        event_count=event_count,
    )


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as opened:
        for number, line in enumerate(opened, start=1):
            if line.strip():
                yield number, line
