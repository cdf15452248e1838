"""The circuit breaker: which state a vendor is in, and when something may be sent."""

from streams.core.control import UnreadableControl, VendorControl
from streams.core.outcome import RequestOutcome, Verdict
from streams.delivery.circuit_breaker import CircuitBreaker

ACCEPTED = Verdict(RequestOutcome.ACCEPTED, "200", 200)
UNAVAILABLE = Verdict(RequestOutcome.UNAVAILABLE, "503 down", 503)
MISCONFIGURED = Verdict(RequestOutcome.MISCONFIGURED, "401 bad key", 401)


def throttled(seconds: float | None = None) -> Verdict:
    """A 429."""
    return Verdict(RequestOutcome.THROTTLED, "429 slow down", 429, retry_after_seconds=seconds)


PAUSED = VendorControl(paused=True, at="2026-11-21T10:02:30.000Z")
RESUMED = VendorControl(at="2026-11-21T10:30:00.000Z", resumed_at="2026-11-21T10:30:00.000Z")
AT_10_02_40 = 1_795_255_360_000
"""2026-11-21T10:02:40Z in ms since the epoch."""


def breaker() -> CircuitBreaker:
    """A circuit breaker at second 100."""
    return CircuitBreaker("Test", 100.0, "test")


def test_a_new_breaker_is_open() -> None:
    """Nothing is known against the vendor."""
    new = breaker()
    assert (new.state, new.since, new.reason) == ("running", 100.0, "")
    assert new.may_send(100.0)


def test_a_failure_degrades_without_closing_and_a_success_repairs() -> None:
    """Each queue waits by itself."""
    seen = breaker()
    seen.on_verdict(UNAVAILABLE, 101.0)
    assert (seen.state, seen.since, seen.reason) == ("degraded", 101.0, "503 down")
    assert seen.may_send(101.0)
    seen.on_verdict(ACCEPTED, 102.0)
    assert (seen.state, seen.reason, seen.advice) == ("running", "", "")


def test_a_minute_of_failures_parks() -> None:
    """From then on one probe at a time replaces the retries."""
    seen = breaker()
    seen.on_verdict(UNAVAILABLE, 101.0)
    seen.on_verdict(UNAVAILABLE, 160.9)
    assert seen.state == "degraded"
    seen.on_verdict(UNAVAILABLE, 161.0)
    assert seen.state == "parked"
    assert not seen.may_send(10_000.0)


PUZZLING = Verdict(RequestOutcome.UNCLEAR, "200, but no success: {}", 200, is_puzzling=True)


def test_two_unintelligible_responses_in_a_row_park() -> None:
    """What goes again may be stored already: one event each 10 s, after a good probe."""
    seen = breaker()
    seen.on_verdict(PUZZLING, 101.0)
    assert (seen.state, seen.may_send(101.0)) == ("degraded", True)
    seen.on_verdict(PUZZLING, 102.0)
    assert (seen.state, seen.may_send(102.0)) == ("parked", False)
    assert "at most 6 a minute" in seen.advice
    seen.on_probe(ACCEPTED, 112.0)
    assert seen.is_trying
    seen.on_request_started()
    seen.on_verdict(PUZZLING, 112.5)
    assert (seen.state, seen.may_send(112.5), seen.probe_due(122.4)) == ("parked", False, False)
    seen.on_probe(ACCEPTED, 122.5)
    seen.on_verdict(ACCEPTED, 123.0)
    assert (seen.state, seen.may_send(123.0)) == ("running", True)


def test_a_response_that_is_understood_ends_the_row() -> None:
    """Even one that says that the vendor is down; silence says nothing either way."""
    for between, state in (
        (ACCEPTED, "degraded"),
        (UNAVAILABLE, "degraded"),
        (Verdict(RequestOutcome.UNCLEAR, "no response came"), "parked"),
    ):
        seen = breaker()
        for number, verdict in enumerate((PUZZLING, between, PUZZLING)):
            seen.on_verdict(verdict, 101.0 + number)
        assert seen.state == state


def test_a_parking_that_time_does_not_mend_needs_somebody() -> None:
    """A refused key does, and most events refused; an outage ends by itself."""
    outage, key, events = breaker(), breaker(), breaker()
    outage.on_verdict(UNAVAILABLE, 101.0)
    assert not outage.needs_somebody
    outage.on_verdict(UNAVAILABLE, 161.0)
    key.on_verdict(MISCONFIGURED, 101.0)
    events.on_outcomes(accepted=5, refused=25, now=101.0)
    assert [one.state for one in (outage, key, events)] == ["parked"] * 3
    assert [one.needs_somebody for one in (outage, key, events)] == [False, True, True]
    outage.on_probe(MISCONFIGURED, 171.0)
    assert outage.needs_somebody


def test_any_judgement_ends_the_minute() -> None:
    """A refusal of an event shows that the vendor is there."""
    seen = breaker()
    seen.on_verdict(UNAVAILABLE, 101.0)
    seen.on_verdict(Verdict(RequestOutcome.REJECTED, "422", 422), 150.0)
    seen.on_verdict(UNAVAILABLE, 165.0)
    assert seen.state == "degraded"


def test_throttling_closes_for_as_long_as_asked() -> None:
    """By default 5 s; the longest of several counts."""
    seen = breaker()
    seen.on_verdict(throttled(30.0), 100.0)
    seen.on_verdict(throttled(), 101.0)
    assert seen.state == "throttled"
    assert not seen.may_send(129.9)
    assert seen.sends_again_at() == 130.0
    assert seen.may_send(130.0)


def test_responses_to_requests_in_flight_do_not_end_throttling() -> None:
    """It is over when its time is."""
    seen = breaker()
    seen.on_verdict(throttled(30.0), 100.0)
    seen.on_verdict(ACCEPTED, 101.0)
    assert seen.state == "throttled"
    assert not seen.may_send(110.0)
    seen.on_verdict(ACCEPTED, 131.0)
    assert seen.state == "running"


def test_a_refused_key_parks_at_once_with_advice() -> None:
    """Nothing opens it but a good response."""
    seen = breaker()
    seen.on_verdict(MISCONFIGURED, 101.0)
    assert (seen.state, seen.reason) == ("parked", "401 bad key")
    assert "Check the key" in seen.advice
    assert seen.sends_again_at() is None


def test_a_parked_vendor_is_probed_every_10_seconds() -> None:
    """The first probe comes after 10 s, too."""
    seen = breaker()
    seen.on_verdict(MISCONFIGURED, 101.0)
    assert not seen.probe_due(110.9)
    assert seen.probe_due(111.0)
    seen.on_probe(MISCONFIGURED, 112.0)
    assert not seen.probe_due(121.9)
    assert seen.probe_due(122.0)


def test_after_a_good_probe_one_request_goes_first() -> None:
    """Its response decides for all others."""
    seen = breaker()
    seen.on_verdict(MISCONFIGURED, 101.0)
    seen.on_probe(ACCEPTED, 111.0)
    assert seen.state == "parked"
    assert seen.may_send(111.0)
    seen.on_request_started()
    assert not seen.may_send(111.0)
    assert not seen.probe_due(500.0)
    seen.on_verdict(ACCEPTED, 112.0)
    assert seen.state == "running"
    assert seen.may_send(112.0)


def test_a_bad_trial_parks_again() -> None:
    """And the next probe is due 10 s later."""
    seen = breaker()
    seen.on_verdict(MISCONFIGURED, 101.0)
    seen.on_probe(ACCEPTED, 111.0)
    seen.on_request_started()
    seen.on_verdict(UNAVAILABLE, 112.0)
    assert seen.state == "parked"
    assert not seen.may_send(113.0)
    assert seen.probe_due(122.0)


def test_a_probe_that_is_throttled_waits_as_long_as_asked() -> None:
    """Also a probe is a request."""
    seen = breaker()
    seen.on_verdict(MISCONFIGURED, 101.0)
    seen.on_probe(throttled(60.0), 111.0)
    assert not seen.probe_due(170.9)
    assert seen.probe_due(171.0)


def test_most_of_the_events_refused_parks_until_somebody_acts() -> None:
    """A broken mapping must not turn a day's events into dead letters; no probe can tell it."""
    breaker = CircuitBreaker("Miso", 0.0)
    breaker.on_outcomes(accepted=9, refused=10, now=1.0)
    assert breaker.state == "running"
    breaker.on_outcomes(accepted=0, refused=1, now=2.0)
    assert (breaker.state, breaker.since) == ("parked", 2.0)
    assert breaker.reason == "Miso refused 11 of the last 20 events."
    breaker.on_verdict(Verdict(RequestOutcome.ACCEPTED, "200", 200), 3.0)
    assert not breaker.may_send(1e9)
    assert breaker.is_blocked(1e9)
    assert not breaker.probe_due(1e9)
    assert breaker.state == "parked"


def test_half_of_the_events_refused_is_not_most() -> None:
    """Nor are refusals that lie further back than the last 200."""
    breaker = CircuitBreaker("Miso", 0.0)
    breaker.on_outcomes(accepted=10, refused=10, now=1.0)
    breaker.on_outcomes(accepted=200, refused=0, now=2.0)
    breaker.on_outcomes(accepted=0, refused=100, now=3.0)
    assert breaker.state == "running"
    breaker.on_outcomes(accepted=0, refused=1, now=4.0)
    assert breaker.state == "parked"
    assert breaker.reason == "Miso refused 101 of the last 200 events."


def test_a_paused_breaker_sends_nothing_and_says_since_when_and_what_to_do() -> None:
    """Neither requests nor probes; no clock opens it."""
    seen = breaker()
    seen.apply(PAUSED, 105.0, AT_10_02_40)
    assert (seen.state, seen.since) == ("paused", 95.0)
    assert seen.reason == (
        "Paused by an operator since 2026-11-21 10:02 UTC. Events wait; nothing is lost."
    )
    assert seen.advice == "Resume with `streams resume test`."
    assert not seen.may_send(1e9)
    assert seen.is_blocked(1e9)
    assert not seen.probe_due(1e9)
    assert seen.sends_again_at() is None


def test_on_resume_the_state_underneath_comes_back() -> None:
    """Answers to what was in flight still count while paused; paused wins until the resume."""
    seen = breaker()
    seen.apply(PAUSED, 105.0, AT_10_02_40)
    seen.on_verdict(throttled(60.0), 110.0)
    seen.on_verdict(UNAVAILABLE, 111.0)
    assert seen.state == "paused"
    seen.apply(RESUMED, 120.0, AT_10_02_40 + 15_000)
    assert (seen.state, seen.since, seen.reason) == ("throttled", 110.0, "429 slow down")
    assert not seen.may_send(169.9)
    assert seen.may_send(170.0)


def test_a_vendor_that_was_parked_before_the_pause_is_asked_at_once_after_it() -> None:
    """Whoever resumes wants to know now; a single real request still goes first."""
    seen = breaker()
    seen.on_verdict(MISCONFIGURED, 101.0)
    seen.apply(PAUSED, 105.0, AT_10_02_40)
    assert not seen.probe_due(112.0)
    seen.apply(RESUMED, 106.0, AT_10_02_40)
    assert (seen.state, seen.since, seen.reason) == ("parked", 101.0, "401 bad key")
    assert seen.probe_due(106.0)
    assert not seen.may_send(106.0)
    seen.on_probe(ACCEPTED, 107.0)
    assert seen.may_send(107.0)
    seen.on_request_started()
    assert not seen.may_send(107.0)


def test_silence_before_a_pause_does_not_count_after_it() -> None:
    """An hour in which nobody asked is not an hour without a response."""
    seen = breaker()
    seen.on_verdict(UNAVAILABLE, 101.0)
    seen.apply(PAUSED, 105.0, AT_10_02_40)
    seen.apply(RESUMED, 3705.0, AT_10_02_40)
    seen.on_verdict(UNAVAILABLE, 3706.0)
    assert seen.state == "degraded"


def parked_for_good() -> CircuitBreaker:
    """A circuit breaker that was parked since 11 of 20 events were refused."""
    seen = breaker()
    seen.on_outcomes(accepted=9, refused=11, now=101.0)
    assert (seen.state, seen.probe_due(1e9)) == ("parked", False)
    assert "then `streams resume test`" in seen.advice
    return seen


def test_a_resume_ends_parking_for_good_and_one_event_goes_first() -> None:
    """With an empty window: what was refused before says nothing about what was put right."""
    seen = parked_for_good()
    seen.apply(RESUMED, 110.0, AT_10_02_40)
    assert seen.state == "parked"
    assert seen.reason == "Resumed by an operator: one event is sent first, the response decides."
    assert seen.may_send(110.0)
    seen.on_request_started()
    assert not seen.may_send(110.0)
    seen.on_verdict(ACCEPTED, 111.0)
    seen.on_outcomes(accepted=1, refused=0, now=111.0)
    assert (seen.state, seen.since) == ("running", 111.0)
    seen.on_outcomes(accepted=0, refused=18, now=112.0)
    assert seen.state == "running"
    seen.on_outcomes(accepted=0, refused=1, now=113.0)
    assert (seen.state, seen.reason) == ("parked", "Test refused 19 of the last 20 events.")


def test_the_same_resume_counts_once() -> None:
    """Control that is read again, or that only stops a run, does not let requests pass again."""
    seen = breaker()
    seen.apply(RESUMED, 100.5, AT_10_02_40)
    seen.on_outcomes(accepted=0, refused=20, now=101.0)
    seen.apply(
        VendorControl(resumed_at=RESUMED.resumed_at, stopped_runs=("r-1",)), 110.0, AT_10_02_40
    )
    assert not seen.may_send(1e9)
    assert not seen.probe_due(1e9)


def test_a_pause_after_a_resume_keeps_what_the_resume_has_not_opened() -> None:
    """Where both were read at once, as by a worker that was away, nothing is opened."""
    seen = parked_for_good()
    seen.apply(VendorControl(paused=True, at="", resumed_at=RESUMED.resumed_at), 110.0, AT_10_02_40)
    assert (seen.state, seen.since) == ("paused", 110.0)
    assert "since an unknown time" in seen.reason
    assert not seen.may_send(1e9)


def test_a_trial_that_was_cut_off_by_a_pause_may_begin_again() -> None:
    """It has come to no verdict, so it has tried nothing."""
    seen = breaker()
    seen.on_verdict(MISCONFIGURED, 101.0)
    seen.on_probe(ACCEPTED, 111.0)
    trial = seen.on_request_started()
    seen.apply(PAUSED, 112.0, AT_10_02_40)
    assert seen.is_blocked(112.0)
    seen.on_request_ended(trial)
    seen.apply(VendorControl(), 113.0, AT_10_02_40)
    assert seen.may_send(113.0)


def test_a_will_that_cannot_be_read_shuts_the_breaker_and_says_what_to_do() -> None:
    """Also where it was paused before: the reason is another one, until somebody says anew."""
    unreadable = UnreadableControl.after(PAUSED)
    for before in (VendorControl(), PAUSED):
        seen = breaker()
        seen.apply(before, 110.0, AT_10_02_40)
        seen.apply(unreadable, 120.0, AT_10_02_40)
        assert (seen.state, seen.may_send(1e9), seen.is_blocked(1e9)) == ("paused", False, True)
        assert seen.reason == (
            "The newest control record of Test is unreadable, so it counts as a pause. "
            "Events wait; nothing is lost."
        )
        assert seen.advice == "Write a new one with `streams pause test` or `streams resume test`."
        seen.apply(PAUSED, 130.0, AT_10_02_40)
        assert seen.reason.startswith("Paused by an operator since 2026-11-21 10:02 UTC")
        seen.apply(RESUMED, 140.0, AT_10_02_40)
        assert seen.may_send(140.0)


def test_only_the_end_of_the_trial_itself_lets_another_one_begin() -> None:
    """Requests from before the parking end whenever they do; a stale trial means nothing."""
    seen = breaker()
    early = seen.on_request_started()
    seen.on_verdict(MISCONFIGURED, 101.0)
    seen.on_probe(ACCEPTED, 111.0)
    stale = seen.on_request_started()
    seen.on_request_ended(early)
    assert not seen.may_send(111.0)
    seen.on_verdict(MISCONFIGURED, 112.0)
    seen.on_probe(ACCEPTED, 122.0)
    seen.on_request_started()
    seen.on_request_ended(stale)
    assert not seen.may_send(122.0)
