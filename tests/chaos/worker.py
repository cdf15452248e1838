"""A worker as a chaos run starts it: ``python -m tests.chaos.worker worker STAGE``.

Two things differ from ``python -m streams``. The time of day is shifted by what stands in the file
that CHAOS_CLOCK names: the machine's own clock is left alone, and so is every other process. And an
event over which its vendor alone always fails is given up after seconds, not after ten minutes.
"""

import mmap
import os
import struct
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

GIVE_UP_SECONDS = 20.0
OFFSET = struct.Struct("q")
"""Nanoseconds that are added to the time of day, as they stand in the file."""


def set_offset(path: Path, seconds: float) -> None:
    """Step the clock of the worker that reads this file; it takes effect at once."""
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.write(OFFSET.pack(int(seconds * 1e9)))


def follow_offset(path: Path) -> None:
    """Shift what this process takes for the time of day; only clocks that people set are shifted.

    To be called before anything else is imported: what has ``time.time`` by name keeps it.
    """
    with path.open("rb") as file:
        offset = mmap.mmap(file.fileno(), OFFSET.size, prot=mmap.PROT_READ)
    time_ns, clock_gettime = time.time_ns, time.clock_gettime

    def shifted_ns() -> int:
        (nanoseconds,) = OFFSET.unpack_from(offset)
        return time_ns() + int(nanoseconds)

    def shifted() -> float:
        return shifted_ns() / 1e9

    def shifted_clock(clock: int) -> float:
        return shifted() if clock == time.CLOCK_REALTIME else clock_gettime(clock)

    time.time, time.time_ns, time.clock_gettime = shifted, shifted_ns, shifted_clock


def shift_records() -> None:
    """Let records bear the shifted time: aiokafka's C code asks the machine for it by itself."""
    from aiokafka.producer.message_accumulator import BatchBuilder

    append = BatchBuilder.append

    def append_now(builder: Any, *, timestamp: int | None, **record: Any) -> Any:
        now = time.time_ns() // 1_000_000 if timestamp is None else timestamp
        return append(builder, timestamp=now, **record)

    BatchBuilder.append = append_now


def main() -> int:
    """Run the command line with a clock that can be set."""
    follow_offset(Path(os.environ["CHAOS_CLOCK"]))
    shift_records()
    from streams.cli import main as run
    from streams.delivery import vendor_client
    from streams.delivery.poison_detection import GiveUpRule

    vendor_client.GiveUpRule = partial(GiveUpRule, seconds=GIVE_UP_SECONDS)  # type: ignore[assignment,attr-defined]
    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
