"""The command: ``python -m tests.chaos --rounds N --seed S``."""

import argparse
import asyncio
import json
import logging
import os
import random
import shutil
import signal
import sys
import tempfile
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import median

from tests.chaos.compare import HEAD, compare
from tests.chaos.disk import Disk
from tests.chaos.report import as_json, markdown, restarts, table, told
from tests.chaos.result import Result
from tests.chaos.run import Run
from tests.chaos.schedule import DISK_FULL, Lengths, Round, only, schedule, short_schedule, without
from tests.chaos.soak import DRIFT_HEAD, LEAST_HOURS, SOAK_RATE, Soak, drift_rows

RATE = 40.0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description="Break the pipeline again and again and check its books; exit 1 if a bound "
        "does not hold. The same seed makes the same faults.",
    )
    parser.add_argument("--rounds", type=int, default=40, help="of faults (40)")
    parser.add_argument("--seed", type=int, help="of the schedule (default: any)")
    parser.add_argument("--short", action="store_true", help="what CI runs: below 3 minutes")
    parser.add_argument(
        "--rate", type=float, help=f"events a second ({RATE:g}; soak: {SOAK_RATE:g})"
    )
    parser.add_argument(
        "--hours", type=float, help="of a soak instead: no faults, exit 1 if anything drifts"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every figure there")
    parser.add_argument(
        "--compare", action="store_true", help="kills of a stock Faust app and a plain loop instead"
    )
    parser.add_argument("--kills", type=int, default=10, help="of each, for --compare (10)")
    parser.add_argument(
        "--only", action="append", metavar="WORDS", help="rounds with such a fault; repeatable"
    )
    parser.add_argument("--plan", action="store_true", help="show the schedule and do nothing")
    options = parser.parse_args()
    if options.hours is not None and options.hours < LEAST_HOURS:
        parser.error(f"--hours: at least {LEAST_HOURS:g}, since less says nothing of drift")
    if options.rate is None:
        options.rate = RATE if options.hours is None else SOAK_RATE
    return options


def main() -> int:
    """Run, print the table, return the exit code."""
    options = _arguments()
    seed = random.randrange(10_000) if options.seed is None else options.seed
    rounds = short_schedule(seed) if options.short else schedule(options.rounds, seed, Lengths())
    if options.only:
        rounds = only(rounds, options.only)
    if options.plan:
        for number, plans in enumerate(rounds, start=1):
            print(f"{number:3} {' | '.join(plan.words for plan in plans)}")
        return 0
    # What clients say of a broker that is killed again and again says nothing here.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    if options.compare:
        return _compare(options, seed)
    if options.hours is not None:
        return _soak(options)
    return _break(options, seed, rounds)


def _break(options: argparse.Namespace, seed: int, rounds: list[Round]) -> int:
    """Do what the schedule says and tell what came of it."""
    if not Disk.may_be_had() and len(without(rounds, DISK_FULL)) < len(rounds):
        print("Rounds with a full disk are left out: only root may mount the small disk they need.")
        rounds = without(rounds, DISK_FULL)
    print(f"chaos: {len(rounds)} rounds, seed {seed}, {options.rate:g} events/s", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="streams-chaos-"))
    run = Run(rounds, rate=options.rate, folder=folder, say=partial(print, flush=True))
    result = asyncio.run(_go(run))
    _keep(folder, result)
    about = {"seed": seed, "rate": options.rate, "load_average": _load(), "cores": os.cpu_count()}
    figures = as_json(result, **about)
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    print()
    print(markdown(table(result)))
    print()
    print(
        f"{figures['events']:,} events in {figures['seconds']:.0f} s, {figures['kills']} kills, "
        f"{len(result.endings)} workers ended by themselves; load average {_load()} on "
        f"{os.cpu_count()} cores; seed {seed}"
    )
    if back := restarts(result):
        print(
            f"back at work after {len(back)} restarts: median {median(back):.1f} s (wanted: <= 5), "
            f"worst {max(back):.1f} s"
        )
    for line in told(result):
        print(line)
    return _judge(result)


def _soak(options: argparse.Namespace) -> int:
    """Let it run for hours and tell what has drifted."""
    print(f"soak: {options.hours:g} h, {options.rate:g} events/s", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="streams-chaos-"))
    say = partial(print, flush=True)
    soak = Soak(options.hours, rate=options.rate, folder=folder, say=say)
    result = asyncio.run(_go(soak))
    _keep(folder, result)
    drifts = soak.drifts()
    if options.json is not None:
        figures = {
            **as_json(result, rate=options.rate, load_average=_load(), cores=os.cpu_count()),
            "drifts": [asdict(one) for one in drifts],
            "samples": [asdict(one) for one in soak.samples],
            "starts": soak.starts,
        }
        options.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    print()
    print(markdown(drift_rows(drifts), DRIFT_HEAD))
    print(
        f"\n{result.events:,} events in {result.seconds:.0f} s, samples every {soak.pause:.0f} s, "
        f"warm-up {soak.warm_up:.0f} s, {len(result.endings)} workers ended by themselves; "
        f"load average {_load()} on {os.cpu_count()} cores"
    )
    return _judge(result)


def _keep(folder: Path, result: Result) -> None:
    if result.broken:
        print(f"\nWhat the workers wrote is kept in {folder}")
    else:
        shutil.rmtree(folder)


def _judge(result: Result) -> int:
    for line in result.broken:
        print(f"BROKEN: {line}")
    print("a bound is broken" if result.broken else "all bounds hold")
    return 1 if result.broken else 0


def _load() -> str:
    return ", ".join(f"{value:.1f}" for value in os.getloadavg())


async def _go(run: Run) -> Result:
    """Run; Ctrl-C and SIGTERM end it after the round that is under way, with the books closed."""
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, run.enough)
    return await run.run()


def _compare(options: argparse.Namespace, seed: int) -> int:
    """Measure the rivals and print their table; nothing is asserted."""
    with tempfile.TemporaryDirectory(prefix="streams-chaos-") as folder:
        measured = asyncio.run(
            compare(options.kills, seed, options.rate, Path(folder), partial(print, flush=True))
        )
    print()
    print(markdown([one.row() for one in measured], HEAD))
    print(
        f"\n{options.rate:g} events/s; load average {_load()} on {os.cpu_count()} cores; "
        f"seed {seed}"
    )
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(one) for one in measured], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
