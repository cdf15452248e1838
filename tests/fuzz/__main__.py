"""Read a million mutated records in every reader; exit 1 where one takes too long or escapes.

``python -m tests.fuzz [--records N] [--seed S]``
"""

import argparse
import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from tests.fuzz.mutations import mutated
from tests.fuzz.readers import MAX_CPU_SECONDS, READERS, read_in

_BATCH = 10_000


def _read_batch(seed: int, count: int) -> tuple[Counter[str], float, list[str]]:
    became: Counter[str] = Counter()
    longest, problems = 0.0, []
    readers = list(READERS.items())
    for number, value in enumerate(mutated(seed, count)):
        # Each record in one reader, and each reader gets its share.
        name, read = readers[number % len(readers)]
        try:
            outcome, seconds = read_in(read, value)
        except Exception as escaped:  # that is what is looked for
            problems.append(f"{name}: {escaped!r} over {value[:200]!r}")
            continue
        became[f"{name}: {outcome}"] += 1
        longest = max(longest, seconds)
        if seconds > MAX_CPU_SECONDS:
            shown = f"{value[:60]!r} … {value[-40:]!r}"
            problems.append(f"{name}: {seconds * 1000:.1f} ms over {len(value)} bytes: {shown}")
    return became, longest, problems


def main() -> int:
    """Print what became of the records, and every problem."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    became: Counter[str] = Counter()
    longest, problems = 0.0, []
    with ProcessPoolExecutor(asked.processes) as pool:
        counts = [min(_BATCH, asked.records - at) for at in range(0, asked.records, _BATCH)]
        seeds = [asked.seed * 1_000_003 + number for number in range(len(counts))]
        for found, seconds, bad in pool.map(_read_batch, seeds, counts):
            became += found
            longest = max(longest, seconds)
            problems += bad
    for name, count in sorted(became.items()):
        print(f"{count:>9,}  {name}")
    print(f"{became.total():>9,}  records; the longest took {longest * 1000:.1f} ms of CPU")
    for problem in problems[:50]:
        print(problem)
    print(f"{len(problems):,} problems")
    return int(bool(problems))


if __name__ == "__main__":
    raise SystemExit(main())
