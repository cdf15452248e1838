"""The vendor's gate: whether requests may go out, why not, and what somebody should do.

What the vendor's responses make of the state lies below what an operator wants: while paused the
gate is shut whatever the vendor says, and on resume the state underneath comes back.

Pure: time comes in as an argument, in seconds of a clock that only grows.
"""

from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field, replace

from streams.core.control import VendorControl
from streams.core.outcome import JUDGED, RequestOutcome, Verdict
from streams.core.times import to_ms
from streams.delivery.retry import obeyed

NOTHING = "No action is needed"
"""How an advice begins where only time is needed."""
PROBE_SECONDS = 10.0
PARK_AFTER_SECONDS = 60.0
"""So long without any response, and one probe at a time replaces the retries of all strands."""
LAST_ANSWERS = 200
"""Of so many events with a response, newest last, more than half refused is a broken mapping."""
LEAST_ANSWERS = 20
PUZZLES_IN_A_ROW = 2
"""After so many responses that nobody can understand, one event at a time is tried, each after a
good probe: what goes again then may be stored already, and so no more than 60 / PROBE_SECONDS = 6
such repeats are made in a minute. Two, since one may be an accident of a connection; six, since
that is how often anybody can find out that the vendor is well again."""
_FAILURES = frozenset(RequestOutcome) - JUDGED - {RequestOutcome.THROTTLED}
THROTTLE_SECONDS = 5.0
"""Where a vendor says "slow down" without saying how long."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What is shown of a gate."""

    state: str
    since: float
    """Seconds of the gate's clock."""
    reason: str = ""
    advice: str = ""


@dataclass
class CircuitBreaker:
    """One vendor's state as this worker sees it."""

    name: str
    """The vendor's display name."""
    now: float
    key: str = ""
    """The vendor key, for the commands that the advice names."""
    _own: Condition = field(init=False)
    """What the vendor's responses have made of it."""
    _pause: Condition | None = None
    """What an operator wants of it; None: nothing."""
    _is_unreadable: bool = False
    """What an operator wants cannot be read."""
    _resumed_at: str | None = None
    _failing_since: float | None = None
    _puzzles: int = 0
    """Answers in a row that nobody can understand."""
    _went_well: bool = False
    """The vendor's last response was a good one: the next failure may be its event's own."""
    _closed_until: float = 0.0
    _probe_at: float = 0.0
    _trial: bool = False
    """One real event goes first."""
    _trial_in_flight: int | None = None
    """The number of the request that is the trial, until it has ended or the gate is parked."""
    _requests: int = 0
    _refused: deque[bool] = field(default_factory=lambda: deque(maxlen=LAST_ANSWERS))
    _for_good: bool = False
    """Parked until somebody acts: no probe can tell that the mapping is right again."""

    def __post_init__(self) -> None:
        self._own = Condition("running", self.now)

    @property
    def condition(self) -> Condition:
        """What is to be shown: paused wins over whatever the vendor's responses say."""
        return self._pause or self._own

    @property
    def state(self) -> str:
        """One of ``core.snapshot.VendorState``."""
        return self.condition.state

    @property
    def since(self) -> float:
        """When this state began, in seconds of the gate's clock."""
        return self.condition.since

    @property
    def reason(self) -> str:
        """Why, in one sentence; empty while running."""
        return self.condition.reason

    @property
    def needs_somebody(self) -> bool:
        """Whether it is parked for something that time alone does not mend."""
        return self.state == "parked" and not self.advice.startswith(NOTHING)

    @property
    def advice(self) -> str:
        """What to do about it; empty where nothing is to be done."""
        return self.condition.advice

    @property
    def is_trying(self) -> bool:
        """Whether one real event goes first, and its response decides for all others."""
        return self._own.state == "parked" and self._trial

    def apply(self, control: VendorControl, now: float, wall_ms: int) -> None:
        """Do what the operator wants; the same will twice changes nothing.

        A resume that is newer than the last one also ends a parking that no probe can end, and
        has a parked vendor asked at once; one real request then goes first.
        """
        if control.paused and (self._pause is None or control.is_unreadable != self._is_unreadable):
            self._pause = self._paused(control, now, wall_ms)
        elif not control.paused and self._pause is not None:
            self._pause = None
            # Nobody asked the vendor meanwhile: the silence of before says nothing any more.
            self._failing_since = None
        self._is_unreadable = control.is_unreadable
        if control.resumed_at != self._resumed_at:
            self._resumed_at = control.resumed_at
            if not control.paused and self._own.state == "parked":
                self._reopen(now)

    def may_send(self, now: float) -> bool:
        """Return whether a request may go out now."""
        if self._pause is not None:
            return False
        if self._own.state == "parked":
            return self._trial and self._trial_in_flight is None
        return now >= self._closed_until

    def is_shut(self, now: float) -> bool:
        """Return whether a request that was about to go must stay after all."""
        if self._pause is not None:
            return True
        if self._own.state == "parked":
            return not self._trial
        return now < self._closed_until

    def on_request_started(self) -> int:
        """Note that a request begins; return the number under which it is to be ``ended``."""
        self._requests += 1
        if self._trial and self._trial_in_flight is None:
            self._trial_in_flight = self._requests
        return self._requests

    def on_request_ended(self, request: int) -> None:
        """Note that a request has ended, with or without a verdict, cancelled or not.

        A trial that ends without one has tried nothing: the next request is the trial.
        """
        if request == self._trial_in_flight:
            self._trial_in_flight = None

    def opens_at(self) -> float | None:
        """Return when the gate opens by itself; None where only a response or an operator does."""
        return None if self.state in ("parked", "paused") else self._closed_until

    def probe_due(self, now: float) -> bool:
        """Return whether a parked vendor should be asked whether it answers again."""
        if self._for_good or self._pause is not None:
            return False
        return self._own.state == "parked" and not self._trial and now >= self._probe_at

    def on_outcomes(self, *, accepted: int, refused: int, now: float) -> None:
        """Count events by the vendor's last word on them; park where it refuses most of them."""
        self._refused.extend([False] * accepted + [True] * refused)
        answers, bad = len(self._refused), sum(self._refused)
        if refused and answers >= LEAST_ANSWERS and 2 * bad > answers and not self._for_good:
            self._for_good, self._trial, self._trial_in_flight = True, False, None
            reason = f"{self.name} refused {bad} of the last {answers} events."
            advice = (
                "Check `streams dead-letters list`: so many refusals usually have one cause in the "
                f"mapping, the product ids or a schema. Fix it, then `streams resume {self.key}`."
            )
            self._become("parked", reason, advice, now)

    def on_verdict(self, verdict: Verdict, now: float, *, is_shared: bool = False) -> None:
        """Take a real request's verdict, unless the failure is known to be its events' own.

        A single failure after a good response neither parks nor pauses: it takes a second one in a
        row to show that the vendor means everybody. What asks for a slower pace counts at once.

        ``is_shared``: the request was several partitions'. Each part goes again by itself, and it
        is their responses that count: the part with the cause would be the second in a row.
        """
        if (
            is_shared
            and self._went_well
            and verdict.outcome in _FAILURES
            and not verdict.is_puzzling
        ):
            return
        if not verdict.is_puzzling and verdict.status is not None:
            self._puzzles = 0
        went_well, self._went_well = self._went_well, verdict.outcome in JUDGED
        if self._for_good:
            return
        match verdict.outcome:
            case outcome if outcome in JUDGED:
                self._failing_since = None
                self._trial = False
                if now >= self._closed_until or self._own.state == "parked":
                    self._become("running", "", "", now)
            case RequestOutcome.THROTTLED:
                seconds = verdict.retry_after_seconds
                seconds = THROTTLE_SECONDS if seconds is None else obeyed(seconds)
                self._closed_until = max(self._closed_until, now + seconds)
                self._trial = False
                self._become("throttled", verdict.detail, "", now)
            case RequestOutcome.MISCONFIGURED if not went_well:
                self._park(verdict.detail, now)
            case _:
                self._note_silence(verdict, now, may_pause=not went_well)

    def on_probe(self, verdict: Verdict, now: float) -> None:
        """Take a probe's verdict; a good one lets one real request go first."""
        self._probe_at = now + PROBE_SECONDS
        if verdict.outcome is RequestOutcome.THROTTLED and verdict.retry_after_seconds:
            self._probe_at = now + max(PROBE_SECONDS, obeyed(verdict.retry_after_seconds))
        if verdict.outcome in (RequestOutcome.ACCEPTED, RequestOutcome.REJECTED):
            self._trial = True
        elif self._own.state == "parked":
            reason = verdict.detail or self._own.reason
            self._own = replace(self._own, reason=reason, advice=self._advice(verdict.outcome))

    def _note_silence(self, verdict: Verdict, now: float, *, may_pause: bool) -> None:
        if verdict.retry_after_seconds is not None and may_pause:
            self._closed_until = max(self._closed_until, now + obeyed(verdict.retry_after_seconds))
        if self._failing_since is None:
            self._failing_since = now
        self._puzzles += verdict.is_puzzling
        if self._puzzles >= PUZZLES_IN_A_ROW:
            self._park(verdict.detail, now, RequestOutcome.UNCLEAR)
        elif self._own.state == "parked" or now - self._failing_since >= PARK_AFTER_SECONDS:
            self._park(verdict.detail, now, RequestOutcome.UNAVAILABLE)
        elif self._own.state != "throttled" or now >= self._closed_until:
            self._become(
                "degraded", verdict.detail, f"{NOTHING}: requests are retried automatically.", now
            )

    def _park(
        self, reason: str, now: float, outcome: RequestOutcome = RequestOutcome.MISCONFIGURED
    ) -> None:
        self._trial, self._trial_in_flight = False, None
        self._probe_at = now + PROBE_SECONDS
        self._become("parked", reason, self._advice(outcome), now)

    def _advice(self, outcome: RequestOutcome) -> str:
        if outcome is RequestOutcome.MISCONFIGURED:
            return (
                f"Check the key and the address of {self.name} in the settings. A key file is read "
                "again at each probe, other settings at a restart."
            )
        if outcome is RequestOutcome.UNCLEAR:
            return (
                f"Ask {self.name} what its response means. After each good probe one event is "
                f"sent, at most {60 / PROBE_SECONDS:g} a minute, because it may be stored twice."
            )
        return f"{NOTHING}: {self.name} is probed every {PROBE_SECONDS:g} s."

    def _become(self, state: str, reason: str, advice: str, now: float) -> None:
        since = self._own.since if state == self._own.state else now
        self._own = Condition(state, since, reason, advice)

    def _reopen(self, now: float) -> None:
        if self._for_good:
            self._for_good, self._trial = False, True
            self._refused.clear()
            reason = "Resumed by an operator: one event is sent first, the response decides."
            self._own = replace(self._own, reason=reason, advice="")
        self._probe_at = now

    def _paused(self, control: VendorControl, now: float, wall_ms: int) -> Condition:
        if control.is_unreadable:
            return Condition(
                "paused",
                now,
                f"The newest control record of {self.name} is unreadable, so it counts as a pause. "
                "Events wait; nothing is lost.",
                f"Write a new one with `streams pause {self.key}` or `streams resume {self.key}`.",
            )
        at_ms, when = wall_ms, "an unknown time"
        with suppress(ValueError):
            at_ms = to_ms(control.at)
            when = f"{control.at[:10]} {control.at[11:16]} UTC"
        return Condition(
            "paused",
            now - max(0, wall_ms - at_ms) / 1000,
            f"Paused by an operator since {when}. Events wait; nothing is lost.",
            f"Resume with `streams resume {self.key}`.",
        )
