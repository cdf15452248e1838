"""Runs from beginning to end: replay, resume, stop, show."""

import asyncio
import os
import time
from collections.abc import Sequence

from aiokafka import TopicPartition

from streams.core.errors import SettingsError, SetupError
from streams.core.runs import DONE, RUNNING, STOPPED, Asked, Run, RunReceipt, VendorPart, new_run_id
from streams.core.times import utc_text
from streams.engine import wall_clock
from streams.kafka.reader import LogReader, connect
from streams.replay.planner import ReplayPlanner
from streams.replay.preview import window_of
from streams.replay.resend import ResendJob, reopen_letters
from streams.replay.run import LOOK_SECONDS, Job, Watch, execute, passed
from streams.replay.run_outcomes import outcomes_of
from streams.replay.run_pages import RunPages, WindowPages
from streams.replay.run_store import RunStore, has_process, refuse_taken, run_store
from streams.settings import Settings
from streams.worker.control import stop_run, stopped_runs

STOP_SECONDS = 20.0
"""How long a stop waits for the run's own process to obey."""


class ReplayJob(Job):
    """The records of a window."""

    async def begin(self, settings: Settings, run: Run, reader: LogReader) -> None:
        """Read tables and receipts; fix the window of a run that is new."""
        self._settings = settings
        self._asked = run.asked
        window = await window_of(reader, settings, run.asked)
        if not run.stops:
            run.stops = {_place(tp): stop for tp, stop in window.stops.items()}
            for part in run.parts:
                part.positions = {_place(tp): start for tp, start in window.starts.items()}
        window.stops = {tp: run.stops.get(_place(tp), 0) for tp in window.stops}
        ends = await reader.ends(list(window.stops))
        if below := [_place(tp) for tp, stop in window.stops.items() if stop > ends[tp]]:
            raise SetupError(
                f"Run {run.run_id} cannot continue: {', '.join(below)} ends before the run's "
                f"end, so the topic was recreated. Stop it with `streams replay stop "
                f"{run.run_id}` and start another one."
            )
        open_ = [part for part in run.parts if part.state == RUNNING]
        window.starts = {
            tp: min([part.positions.get(_place(tp), window.stops[tp]) for part in open_])
            for tp in window.stops
        }
        self._window = window
        vendors = [part.vendor for part in open_]
        await self.load(settings, run.asked, vendors, window, reader, run.run_id)

    async def pages(self, part: VendorPart, reader: LogReader) -> RunPages:
        """Return one vendor's share of the window."""
        settings, window = self._settings, self._window
        planner = ReplayPlanner(settings, [part.vendor], self.rows, self.history, self._asked)
        positions = {tp: part.positions.get(_place(tp), stop) for tp, stop in window.stops.items()}
        return WindowPages(reader, window, positions, planner)


async def start_run(
    settings: Settings,
    vendors: Sequence[str],
    asked: Asked,
    *,
    watch: Watch,
) -> Run:
    """Begin a run and go on until it has ended; return it as it is kept.

    Raises:
        SettingsError: another run has one of these vendors; the sentence names it.
        SetupError: the brokers do not answer, or a topic is missing.
    """
    now = wall_clock.now_text()
    run = Run(
        new_run_id(now, os.urandom(4)),
        asked,
        now,
        now,
        parts=[VendorPart(vendor) for vendor in vendors],
    )
    async with run_store(settings) as store:
        await _refresh(settings, store, list(store.runs.values()))
        await store.claim(run, is_new=True)
        watch(run)
        return await _execute(settings, store, run, watch)


async def resume_run(settings: Settings, run_id: str, *, watch: Watch) -> Run:
    """Go on with a run whose process ended before it did; return it as it is kept.

    Raises SettingsError where there is nothing to go on with or some process is at it.
    """
    async with run_store(settings) as store:
        run = store.find(run_id)
        await _refresh(settings, store, [run])
        refuse_taken(run)
        on = settings.enabled_vendors()
        open_ = [part.vendor for part in run.parts if part.state == RUNNING]
        if off := [vendor for vendor in open_ if vendor not in on]:
            words = f"Run {run_id} sends to {', '.join(off)}, which is off"
            raise SettingsError([f"{words}. Enable it, or stop the run."])
        settings.require_mappings(run.vendors)
        run = await store.claim(run, is_new=False)
        return await _execute(settings, store, run, watch)


async def _execute(settings: Settings, store: RunStore, run: Run, watch: Watch) -> Run:
    job: Job = ResendJob() if run.asked.command == "resend" else ReplayJob()
    await execute(settings, store, run, job, watch=watch)
    if run.state == STOPPED and run.asked.command == "resend":
        await reopen_letters(settings, run)
    return run


async def stop_runs(settings: Settings, run_id: str) -> Run:
    """Stop a run: nothing more is written, and what waits is passed over; return it as it is kept.

    Raises SettingsError where there is none of this id, or it has ended.
    """
    async with run_store(settings) as store:
        run = store.find(run_id)
        await _refresh(settings, store, [run])
        if run.state != RUNNING:
            raise SettingsError([f"Run {run_id} is {run.state}: there is nothing to stop."])
        for part in run.parts:
            if part.state == RUNNING:
                await stop_run(settings, part.vendor, run_id)
        limit = time.monotonic() + STOP_SECONDS
        while has_process(run, wall_clock.now_ms()) and time.monotonic() < limit:
            await asyncio.sleep(LOOK_SECONDS)
            await store.read_on()
            run = store.find(run_id)
            if run.state != RUNNING:
                return run
        run.pid = run.host = None
        run.at = wall_clock.now_text()
        run.end(run.at)
        for part in run.parts:
            if part.state == RUNNING:
                part.state = STOPPED
        await store.write(run)
        await store.read_on()
        run = store.find(run_id)
        await _refresh(settings, store, [run])
    if run.asked.command == "resend":
        await reopen_letters(settings, run)
    return run


async def show_run(settings: Settings, run_id: str) -> Run:
    """Return a run with its receipt as of now; raises SettingsError where there is none."""
    async with run_store(settings) as store:
        run = store.find(run_id)
        await _refresh(settings, store, [run])
        return run


async def refreshed_runs(settings: Settings) -> list[Run]:
    """Return all runs, the newest first, those that nobody works at with receipts as of now."""
    async with run_store(settings) as store:
        runs = sorted(store.runs.values(), key=lambda run: run.run_id, reverse=True)
        await _refresh(settings, store, runs)
        return runs


async def _refresh(settings: Settings, store: RunStore, runs: Sequence[Run]) -> None:
    """Bring the receipts of runs without a process up to date, and keep what has ended."""
    now_ms = wall_clock.now_ms()
    old = [run for run in runs if not has_process(run, now_ms) and _is_open(run)]
    if not old:
        return
    stopped = await stopped_runs(settings)
    async with connect(settings.kafka) as reader:
        for run in old:
            for part in run.parts:
                if part.state == RUNNING and (part.vendor, run.run_id) in stopped:
                    part.state = STOPPED
                await refresh_part(settings, reader, run, part)
            if run.state != RUNNING and run.ended_at is None:
                run.end(utc_text(now_ms))
            await store.read_on()
            # What somebody else wrote meanwhile is newer: a process may have gone on with it.
            if store.runs.get(run.run_id) is run:
                await store.write(run)


def _is_open(run: Run) -> bool:
    return any(
        part.state == RUNNING or part.receipt is None or part.receipt.waiting for part in run.parts
    )


async def refresh_part(settings: Settings, reader: LogReader, run: Run, part: VendorPart) -> None:
    """Bring a part's receipt up to date; the part is done where nothing of it waits any more."""
    if not part.receipts_from:
        part.receipt = RunReceipt()  # nothing was begun
        return
    await _leave_out_lost(settings, reader, part)
    settled_to = await passed(reader, settings, part)
    is_over = all(settled_to.get(int(n), 0) >= at for n, at in part.written_to.items())
    settled = outcomes_of(settings.topics, run.run_id, part)
    await settled.follow(reader)
    if part.state == RUNNING and part.all_written and is_over:
        part.state = DONE
    unread = sum(max(0, stop - part.positions.get(tp, stop)) for tp, stop in run.stops.items())
    part.receipt = settled.receipt(part, is_over=is_over, unread=unread)


async def _leave_out_lost(settings: Settings, reader: LogReader, part: VendorPart) -> None:
    """Forget partitions that do not exist: a topic was recreated with fewer, and nothing waits."""
    topics = settings.topics
    names = topics.redelivery(part.vendor), topics.receipts(part.vendor)
    found = await reader.partitions(names)
    for name, offsets in zip(names, (part.written_to, part.receipts_from), strict=True):
        for number in offsets.keys() - {str(tp.partition) for tp in found[name]}:
            del offsets[number]


def _place(tp: TopicPartition) -> str:
    return f"{tp.topic}/{tp.partition}"
