"""The circuit breaker of a vendor: whether requests may be sent, why not, and what to do.

An operator's pause takes precedence over the state that the vendor's responses lead to. While
paused nothing is sent; on resume the state from before is back.

Pure: time comes in as an argument, in seconds of a clock that only grows.
"""

from collections import deque
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field, replace

from streams.core.control import VendorControl
from streams.core.outcome import JUDGED, RequestOutcome, Verdict
from streams.core.times import to_ms
from streams.delivery.retry import obeyed

NOTHING = "No action is needed"
"""The start of an advice if only time is needed."""
PROBE_SECONDS = 10.0
PARK_AFTER_SECONDS = 60.0
"""After this time without a response, single probes replace the retries of all queues."""
LAST_ANSWERS = 200
"""If more than half of this many newest events were refused, the mapping is broken."""
LEAST_ANSWERS = 20
PUZZLES_IN_A_ROW = 2
"""After this many responses in a row that cannot be understood, one event is sent after each good
probe. These events may be stored already, so at most 60 / PROBE_SECONDS = 6 are repeated a minute.
Two in a row, because a single one may be a broken connection."""
_FAILURES = frozenset(RequestOutcome) - JUDGED - {RequestOutcome.THROTTLED}
THROTTLE_SECONDS = 5.0
"""The wait if a vendor asks to slow down without saying for how long."""


def mostly_refused(answers: Collection[bool]) -> bool:
    """Return whether more than half of the newest answers (true: refused) are refusals."""
    return len(answers) >= LEAST_ANSWERS and 2 * sum(answers) > len(answers)


@dataclass(frozen=True, slots=True)
class Condition:
    """The state of a circuit breaker as it is shown."""

    state: str
    since: float
    """Seconds of the circuit breaker's clock."""
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
    """The state that the vendor's responses led to."""
    _pause: Condition | None = None
    """An operator's pause; None: not paused."""
    _is_unreadable: bool = False
    """The newest operator command cannot be read."""
    _resumed_at: str | None = None
    _failing_since: float | None = None
    _puzzles: int = 0
    """Responses in a row that cannot be understood."""
    _went_well: bool = False
    """The last request was judged: the next failure may be caused by its events."""
    _blocked_until: float = 0.0
    _probe_at: float = 0.0
    _trial: bool = False
    """One real event is sent first."""
    _trial_in_flight: int | None = None
    """The number of the trial request, until it has ended or the vendor is parked."""
    _requests: int = 0
    _refused: deque[bool] = field(default_factory=lambda: deque(maxlen=LAST_ANSWERS))
    _for_good: bool = False
    """Parked until an operator acts: no probe can show that the mapping is right again."""

    def __post_init__(self) -> None:
        self._own = Condition("running", self.now)

    @property
    def condition(self) -> Condition:
        """The state to show: a pause takes precedence."""
        return self._pause or self._own

    @property
    def state(self) -> str:
        """One of ``core.snapshot.VendorState``."""
        return self.condition.state

    @property
    def since(self) -> float:
        """When this state began, in seconds of the circuit breaker's clock."""
        return self.condition.since

    @property
    def reason(self) -> str:
        """Why, in one sentence; empty while running."""
        return self.condition.reason

    @property
    def needs_somebody(self) -> bool:
        """Whether it is parked for a reason that somebody has to fix."""
        return self.state == "parked" and not self.advice.startswith(NOTHING)

    @property
    def advice(self) -> str:
        """What to do about it; empty if nothing needs to be done."""
        return self.condition.advice

    @property
    def is_trying(self) -> bool:
        """Whether one real event is sent first, and its response decides for all others."""
        return self._own.state == "parked" and self._trial

    def apply(self, control: VendorControl, now: float, wall_ms: int) -> None:
        """Apply the operator commands; applying the same ones twice changes nothing.

        A new resume also releases a vendor that is parked until somebody acts, and sends a probe to
        a parked vendor at once. One real request is then sent first.
        """
        if control.paused and (self._pause is None or control.is_unreadable != self._is_unreadable):
            self._pause = self._paused(control, now, wall_ms)
        elif not control.paused and self._pause is not None:
            self._pause = None
            # Nothing was sent meanwhile, so earlier failures no longer count.
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
        return now >= self._blocked_until

    def is_blocked(self, now: float) -> bool:
        """Return whether a request that is about to be sent must wait after all."""
        if self._pause is not None:
            return True
        if self._own.state == "parked":
            return not self._trial
        return now < self._blocked_until

    def on_request_started(self) -> int:
        """Record that a request starts; return the number to end it with."""
        self._requests += 1
        if self._trial and self._trial_in_flight is None:
            self._trial_in_flight = self._requests
        return self._requests

    def on_request_ended(self, request: int) -> None:
        """Record that a request has ended, with or without a verdict, cancelled or not.

        If a trial ends without a verdict, the next request is the trial.
        """
        if request == self._trial_in_flight:
            self._trial_in_flight = None

    def sends_again_at(self) -> float | None:
        """Return when requests may be sent again; None: after a good probe or a resume."""
        return None if self.state in ("parked", "paused") else self._blocked_until

    def probe_due(self, now: float) -> bool:
        """Return whether it is time to probe a parked vendor."""
        if self._for_good or self._pause is not None:
            return False
        return self._own.state == "parked" and not self._trial and now >= self._probe_at

    def on_outcomes(self, *, accepted: int, refused: int, now: float) -> None:
        """Count accepted and refused events; park the vendor if it refuses most of them."""
        self._refused.extend([False] * accepted + [True] * refused)
        if refused and not self._for_good and mostly_refused(self._refused):
            self._for_good, self._trial, self._trial_in_flight = True, False, None
            bad, answers = sum(self._refused), len(self._refused)
            reason = f"{self.name} refused {bad} of the last {answers} events."
            advice = (
                "Check `streams dead-letters list`: so many refusals usually have one cause in the "
                f"mapping, the product ids or a schema. Fix it, then `streams resume {self.key}`."
            )
            self._become("parked", reason, advice, now)

    def on_verdict(self, verdict: Verdict, now: float, *, is_shared: bool = False) -> None:
        """Apply the verdict on a real request. Failures caused by its events are not passed here.

        A single failure after a good response does not park the vendor; a second one in a row
        does. A request to slow down counts at once.

        ``is_shared``: the request had events of several partitions. After a failure each part is
        retried by itself, and the parts' own verdicts count.
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
                if now >= self._blocked_until or self._own.state == "parked":
                    self._become("running", "", "", now)
            case RequestOutcome.THROTTLED:
                seconds = verdict.retry_after_seconds
                seconds = THROTTLE_SECONDS if seconds is None else obeyed(seconds)
                self._blocked_until = max(self._blocked_until, now + seconds)
                self._trial = False
                self._become("throttled", verdict.detail, "", now)
            case RequestOutcome.MISCONFIGURED if not went_well:
                self._park(verdict.detail, now)
            case _:
                self._record_failure(verdict, now, may_pause=not went_well)

    def on_probe(self, verdict: Verdict, now: float) -> None:
        """Apply a probe's verdict; after a good one a real request is sent first."""
        self._probe_at = now + PROBE_SECONDS
        if verdict.outcome is RequestOutcome.THROTTLED and verdict.retry_after_seconds:
            self._probe_at = now + max(PROBE_SECONDS, obeyed(verdict.retry_after_seconds))
        if verdict.outcome in (RequestOutcome.ACCEPTED, RequestOutcome.REJECTED):
            self._trial = True
        elif self._own.state == "parked":
            reason = verdict.detail or self._own.reason
            self._own = replace(self._own, reason=reason, advice=self._advice(verdict.outcome))

    def _record_failure(self, verdict: Verdict, now: float, *, may_pause: bool) -> None:
        if verdict.retry_after_seconds is not None and may_pause:
            self._blocked_until = max(
                self._blocked_until, now + obeyed(verdict.retry_after_seconds)
            )
        if self._failing_since is None:
            self._failing_since = now
        self._puzzles += verdict.is_puzzling
        if self._puzzles >= PUZZLES_IN_A_ROW:
            self._park(verdict.detail, now, RequestOutcome.UNCLEAR)
        elif self._own.state == "parked" or now - self._failing_since >= PARK_AFTER_SECONDS:
            self._park(verdict.detail, now, RequestOutcome.UNAVAILABLE)
        elif self._own.state != "throttled" or now >= self._blocked_until:
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
