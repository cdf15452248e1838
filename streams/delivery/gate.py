"""The vendor's gate: whether requests may go out, why not, and what somebody should do.

Pure: time comes in as an argument, in seconds of a clock that only grows.
"""

from collections import deque
from dataclasses import dataclass, field

from streams.core.outcome import Fate, Verdict
from streams.delivery.retry import obeyed

PROBE_SECONDS = 10.0
PARK_AFTER_SECONDS = 60.0
"""So long without any answer, and one probe at a time replaces the retries of all strands."""
LAST_ANSWERS = 200
"""Of so many events with an answer, newest last, more than half refused is a broken mapping."""
LEAST_ANSWERS = 20
THROTTLE_SECONDS = 5.0
"""Where a vendor says "slow down" without saying how long."""


@dataclass
class Gate:
    """One vendor's state as this worker sees it."""

    name: str
    """The vendor's display name."""
    now: float
    state: str = "running"
    since: float = field(init=False)
    reason: str = ""
    advice: str = ""
    _failing_since: float | None = None
    _closed_until: float = 0.0
    _probe_at: float = 0.0
    _trial: bool = False
    _trial_under_way: bool = False
    _refused: deque[bool] = field(default_factory=lambda: deque(maxlen=LAST_ANSWERS))
    _for_good: bool = False
    """Parked until somebody acts: no probe can tell that the mapping is right again."""

    def __post_init__(self) -> None:
        self.since = self.now

    def may_send(self, now: float) -> bool:
        """Return whether a request may go out now."""
        if self.state == "parked":
            return self._trial and not self._trial_under_way
        return now >= self._closed_until

    def is_shut(self, now: float) -> bool:
        """Return whether a request that was about to go must stay after all."""
        if self.state == "parked":
            return not self._trial
        return now < self._closed_until

    def nothing_sent(self) -> None:
        """Note that what was started made no request: it has tried nothing."""
        self._trial_under_way = False

    def started(self) -> None:
        """Note that a request goes out."""
        if self._trial:
            self._trial_under_way = True

    def opens_at(self) -> float | None:
        """Return when the gate opens by itself; None where only an answer opens it."""
        return None if self.state == "parked" else self._closed_until

    def probe_due(self, now: float) -> bool:
        """Return whether a parked vendor should be asked whether it answers again."""
        if self._for_good:
            return False
        return self.state == "parked" and not self._trial and now >= self._probe_at

    def on_outcomes(self, *, accepted: int, refused: int, now: float) -> None:
        """Count events by the vendor's last word on them; park where it refuses most of them."""
        self._refused.extend([False] * accepted + [True] * refused)
        answers, bad = len(self._refused), sum(self._refused)
        if refused and answers >= LEAST_ANSWERS and 2 * bad > answers and not self._for_good:
            self._for_good, self._trial = True, False
            reason = f"{self.name} refused {bad} of the last {answers} events."
            advice = (
                "Look at `streams dead-letters list`: that many point to the mapping, the product "
                "ids or a schema; put it right and restart the worker. Events wait."
            )
            self._become("parked", reason, advice, now)

    def on_verdict(self, verdict: Verdict, now: float) -> None:
        """Take a real request's verdict."""
        self._trial_under_way = False
        if self._for_good:
            return
        match verdict.fate:
            case Fate.ACCEPTED | Fate.REJECTED | Fate.SKIPPED:
                self._failing_since = None
                self._trial = False
                if now >= self._closed_until or self.state == "parked":
                    self._become("running", "", "", now)
            case Fate.THROTTLED:
                seconds = verdict.retry_after_seconds
                seconds = THROTTLE_SECONDS if seconds is None else obeyed(seconds)
                self._closed_until = max(self._closed_until, now + seconds)
                self._trial = False
                self._become("throttled", verdict.detail, "", now)
            case Fate.MISCONFIGURED:
                self._park(verdict.detail, now)
            case _:
                self._note_silence(verdict, now)

    def on_probe(self, verdict: Verdict, now: float) -> None:
        """Take a probe's verdict; a good one lets one real request go first."""
        self._probe_at = now + PROBE_SECONDS
        if verdict.fate is Fate.THROTTLED and verdict.retry_after_seconds:
            self._probe_at = now + max(PROBE_SECONDS, obeyed(verdict.retry_after_seconds))
        if verdict.fate in (Fate.ACCEPTED, Fate.REJECTED):
            self._trial = True
        elif self.state == "parked":
            self.reason = verdict.detail or self.reason
            self.advice = self._advice(verdict.fate)

    def _note_silence(self, verdict: Verdict, now: float) -> None:
        if verdict.retry_after_seconds is not None:
            self._closed_until = max(self._closed_until, now + obeyed(verdict.retry_after_seconds))
        if self._failing_since is None:
            self._failing_since = now
        if self.state == "parked" or now - self._failing_since >= PARK_AFTER_SECONDS:
            self._park(verdict.detail, now, Fate.UNAVAILABLE)
        elif self.state != "throttled" or now >= self._closed_until:
            self._become("degraded", verdict.detail, "Nothing: it is tried again by itself.", now)

    def _park(self, reason: str, now: float, fate: Fate = Fate.MISCONFIGURED) -> None:
        self._trial = False
        self._probe_at = now + PROBE_SECONDS
        self._become("parked", reason, self._advice(fate), now)

    def _advice(self, fate: Fate) -> str:
        if fate is Fate.MISCONFIGURED:
            return (
                f"Check the key and the address of {self.name} in the settings. A key in a file is "
                f"read again at each probe, anything else at a restart; events wait."
            )
        return f"Nothing: {self.name} is asked every {PROBE_SECONDS:g} s, events wait."

    def _become(self, state: str, reason: str, advice: str, now: float) -> None:
        if state != self.state:
            self.state, self.since = state, now
        self.reason, self.advice = reason, advice
