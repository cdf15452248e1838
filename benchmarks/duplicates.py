"""Telling duplicates apart: false skips over ten million ids, memory, and time an event.

Wanted: no false skip.
"""

import time
import tracemalloc
from collections.abc import Iterator
from statistics import median
from uuid import UUID

from table import arguments, conditions, load_average, render

from streams.core.duplicates import MAX_IDS, PassedOn, identity, trim

VENDORS = ("eightselect", "voyado", "miso")
WINDOW_MS = 10 * 60 * 1000
CHUNK = 500
START_MS = 1_795_168_800_000
EVENTS_PER_MS = 2
VISITORS = 300_000
TO_ALL = 0b111
KINDS = {
    "two UUIDs, kept whole": "",
    "longer ones, as digests": "shop-of-a-long-name/2026/",
}


def events(count: int, prefix: str) -> Iterator[tuple[int, bytes, str]]:
    """Yield offset, visitor and event id: UUIDs, as browsers make them; no id comes twice."""
    for offset in range(count):
        visitor = UUID(int=(offset % VISITORS) * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128)
        # An odd factor makes no two of them equal.
        event_id = UUID(int=(offset + 1) * 0xD1B54A32D192ED03A0761D6478BD642F % 2**128)
        yield offset, str(visitor).encode(), f"{prefix}{event_id}"


def false_skips(count: int, prefix: str) -> tuple[int, int, int]:
    """Pass on so many different events.

    Return how many were taken for others, the most remembered at once, and how many were
    forgotten before their time.
    """
    passed_on = PassedOn(WINDOW_MS, VENDORS)
    found = most = dropped = 0
    for offset, visitor, event_id in events(count, prefix):
        now = START_MS + offset // EVENTS_PER_MS
        if offset % CHUNK == 0:
            passed_on.advance(now, now)
            dropped += trim([passed_on])
            most = max(most, len(passed_on))
        who = identity(visitor, event_id)
        found += bool(passed_on.vendors_of(who, offset, now, None))
        passed_on.add(who, offset, now, TO_ALL)
    return found, most, dropped


def bytes_an_id(count: int, prefix: str) -> float:
    """Return the memory that each of so many remembered ids takes."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    passed_on = PassedOn(WINDOW_MS, VENDORS)
    for offset, visitor, event_id in events(count, prefix):
        passed_on.add(identity(visitor, event_id), offset, START_MS + offset, TO_ALL)
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    if len(passed_on) != count:
        raise SystemExit(f"{len(passed_on)} of {count} ids are remembered")
    return taken / count


def nanoseconds(count: int, prefix: str) -> float:
    """Return the CPU time of telling that an event is new and of remembering it."""
    given = list(events(count, prefix))
    passed_on = PassedOn(WINDOW_MS, VENDORS)
    began = time.process_time_ns()
    for offset, visitor, event_id in given:
        now = START_MS + offset * WINDOW_MS // count
        if offset % CHUNK == 0:
            passed_on.advance(now, now)
        who = identity(visitor, event_id)
        if not passed_on.vendors_of(who, offset, now, None):
            passed_on.add(who, offset, now, TO_ALL)
    return (time.process_time_ns() - began) / count


def main() -> int:
    """Measure, print the table."""
    options = arguments(__doc__ or "", events=10_000_000).parse_args()
    if options.quick:
        options.rounds, options.events = 1, 500_000
    some = min(options.events, 1_000_000)
    cells = [("identities", "false skips", "remembered", "too early", "bytes an id", "ns an event")]
    under = conditions(
        "none",
        events=f"{options.events:,} of different ids, {EVENTS_PER_MS * 1000:,} a second",
        memory=f"of {some:,} ids; at most {MAX_IDS:,} are remembered",
    )
    wrong = 0
    for name, prefix in KINDS.items():
        found, most, dropped = false_skips(options.events, prefix)
        wrong += found
        spent = median(nanoseconds(some, prefix) for _ in range(options.rounds))
        size = bytes_an_id(some, prefix)
        cells.append(
            (name, f"{found:,}", f"{most:,}", f"{dropped:,}", f"{size:.0f}", f"{spent:.0f}")
        )
    under["load average at the end"] = load_average()
    print(render("Duplicates: what was passed on in ten minutes", cells, under))
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
