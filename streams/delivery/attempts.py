"""Attempts: one request over a strand's micro-batch, and what its verdict makes of each event."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Protocol

from streams.core.batching import MicroBatch
from streams.core.outcome import DeadLetterReason, Fate, SkipReason, Verdict
from streams.delivery.contrast import LONGEST_WAIT_SECONDS
from streams.delivery.line import Guard, Line, Talk
from streams.delivery.retry import obeyed, wait_seconds
from streams.delivery.runs import Runs
from streams.delivery.strand import Item, Strand
from streams.delivery.strands import Strands
from streams.vendors.base import Vendor

DOUBT_SECONDS = 0.5
"""How soon it is tried again whether a refused key is the vendor's word on everything."""
LOOK_AGAIN_SECONDS = 0.1
"""How soon events are looked at again whose visitors' rows are not recent enough."""


class Desk(Protocol):
    """Who keeps the outcomes: writes receipts and dead letters, then settles."""

    def accepted(self, items: tuple[Item, ...], verdict: Verdict) -> Awaitable[None] | None:
        """Keep that the vendor took these events.

        Return what to wait for before their strand goes on: a request that begins before the last
        one's receipts are kept is one more that a crash could repeat.
        """

    def rejected(self, item: Item, words: str, verdict: Verdict) -> None:
        """Keep that the vendor refused this event, in its own words."""

    def skipped(self, items: tuple[Item, ...], verdict: Verdict) -> None:
        """Keep that these events are not sent, for the verdict's named reason."""


def ignore(run: str, why: str) -> None:
    """Let a run go on whatever the vendor says of it."""


class Attempts:
    """Makes one vendor's attempts; the courier says when."""

    def __init__(
        self,
        vendor: Vendor,
        line: Line,
        desk: Desk,
        guard: Guard,
        strands: Strands,
        *,
        clock: Callable[[], float],
        random: Callable[[], float],
        on_bad_run: Callable[[str, str], None],
    ) -> None:
        self._vendor = vendor
        self._line = line
        self._desk = desk
        self._guard = guard
        self._strands = strands
        self._clock = clock
        self._random = random
        self._on_bad_run = on_bad_run
        self._runs = Runs()

    async def make(self, strand: Strand, batch: MicroBatch[Item]) -> Sequence[Strand]:
        """Make one attempt, and leave in the strand what is still without an outcome.

        Return the strands that were isolated of this one.
        """
        talk = await self._talk(strand, batch)
        verdict, sent, stopped = talk.verdict, talk.requests, talk.stopped
        for item in batch.positions:
            item.attempts += sent
        if verdict is None:
            for item in batch.positions:
                item.unclear = item.unclear or bool(sent)
            self._stop(batch, stopped)
            strand.cut(batch, set(stopped))
            return ()
        match verdict.fate:
            case Fate.ACCEPTED:
                self._strands.note_accepted()
                self._note_outcomes(batch.positions, ())
                kept = self._desk.accepted(batch.positions, verdict)
                if kept is not None:
                    await kept
                if (found := strand.accepted()) is not None:
                    self._give_up(*found)
            case Fate.REJECTED:
                strand.answered()
                self._sort_out(strand, batch, verdict)
            case Fate.SKIPPED:
                strand.answered()
                self._desk.skipped(batch.positions, verdict)
                strand.rest(batch, set(range(len(batch))))
            case _:
                for item in batch.positions:
                    item.unclear = item.unclear or verdict.fate is Fate.UNCLEAR
                return self._failed(strand, batch, verdict, contrasted=talk.contrasted)
        return ()

    def _failed(
        self, strand: Strand, batch: MicroBatch[Item], verdict: Verdict, *, contrasted: bool
    ) -> Sequence[Strand]:
        """See to it that a request goes again that failed: as it is, in halves or not at all."""
        now, (first, *_) = self._clock(), batch.positions
        if contrasted and len(batch) == 1 and self._line.contrast.is_hopeless(first, now):
            strand.answered()
            last_word = replace(verdict, fate=Fate.REJECTED, letter=DeadLetterReason.UNDELIVERABLE)
            self._desk.rejected(first, verdict.detail, last_word)
            strand.rest(batch, {0})
            return ()
        failures = strand.failures + 1
        again_at = now + self._wait(failures, verdict, contrasted=contrasted)
        isolated: Sequence[Strand] = ()
        if contrasted or failures > 1:
            isolated = self._strands.isolate(strand, batch, proven=contrasted)
        for own in isolated:
            # A half may be innocent, so it goes at once; who is alone is known to fail.
            is_half = len(isolated) > 1
            own.failures, own.not_before = (1, 0.0) if is_half else (failures, again_at)
        if not isolated:
            strand.again(batch, again_at)
        return isolated

    async def _talk(self, strand: Strand, batch: MicroBatch[Item]) -> Talk:
        """Lead the conversation, as soon as the guard knows what it judges by."""
        while not self._guard.is_current(strand.partition):
            if strand.closed or self._line.is_quiet:
                return Talk(None, 0)
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        return await self._line.converse(batch, strand.lane, lambda: strand.closed)

    def _sort_out(self, strand: Strand, batch: MicroBatch[Item], verdict: Verdict) -> None:
        """Give up exactly the refused events; the rest goes again at once."""
        refused: Mapping[int, str] = verdict.refused
        if not refused:
            if len(batch) > 1:
                if verdict.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                    strand.split(batch)  # no single event is to blame
                else:
                    strand.narrow(batch, verdict)
                return
            refused = {0: verdict.detail}
        self._note_outcomes((), [batch.positions[index] for index in refused])
        for index, words in refused.items():
            self._desk.rejected(batch.positions[index], words, verdict)
        strand.rest(batch, set(refused))

    def _give_up(self, item: Item, verdict: Verdict) -> None:
        """Give up an event that is left over of a refused request."""
        self._note_outcomes((), (item,))
        self._desk.rejected(item, verdict.detail, verdict)

    def _stop(self, batch: MicroBatch[Item], stopped: Mapping[int, SkipReason | None]) -> None:
        """Give those their outcome that must not be sent any more."""
        for reason in dict.fromkeys(stopped.values()):
            of_reason = tuple(batch.positions[n] for n, each in stopped.items() if each is reason)
            if reason is None:
                self._guard.pass_over(of_reason)
            else:
                self._desk.skipped(of_reason, Verdict(Fate.SKIPPED, skip=reason))

    def _note_outcomes(self, accepted: Sequence[Item], refused: Sequence[Item]) -> None:
        """Count the vendor's last word on events; the gate looks at live ones only."""
        if (accepted or refused)[0].run_id is None:
            self._line.note_outcomes(accepted=len(accepted), refused=len(refused))
            return
        took = Counter(item.run_id for item in accepted)
        refusals = Counter(item.run_id for item in refused)
        for run in dict.fromkeys((*took, *refusals)):
            if run and (why := self._runs.note(run, accepted=took[run], refused=refusals[run])):
                self._on_bad_run(run, why)

    def _wait(self, failures: int, verdict: Verdict, *, contrasted: bool) -> float:
        steps = self._vendor.retry_waits
        if verdict.fate is Fate.MISCONFIGURED and not contrasted:
            return DOUBT_SECONDS  # if it is the vendor's, the gate is closed by then
        wait = wait_seconds(failures, steps, self._random)
        if verdict.retry_after_seconds is not None:
            # "Retry-After: 0", or a date that has passed, must not become a hot loop.
            shortest = wait_seconds(1, steps, self._random)
            wait = max(shortest, obeyed(verdict.retry_after_seconds))
        return min(wait, LONGEST_WAIT_SECONDS) if contrasted else wait
