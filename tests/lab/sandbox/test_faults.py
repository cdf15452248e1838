"""How faults are written, and which requests they meet."""

import pytest

from streams.core.errors import SettingsError
from streams.lab.sandbox.faults import Fault, FaultKind, Faults, parse_fault, read_faults


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("down", Fault(kind=FaultKind.DOWN)),
        ("miso:down", Fault(kind=FaultKind.DOWN, vendor="miso")),
        (
            "miso:429,retry_after=2,times=5",
            Fault(kind=FaultKind.STATUS, vendor="miso", status=429, retry_after=2, times=5),
        ),
        (
            "503, rate=0.25, after=3, stored=true",
            Fault(kind=FaultKind.STATUS, status=503, rate=0.25, after=3, stored=True),
        ),
        (
            "miso:429,retry_after=1,retry_after_form=date",
            Fault(
                kind=FaultKind.STATUS,
                vendor="miso",
                status=429,
                retry_after=1,
                retry_after_form="date",
            ),
        ),
        ("miso:slow,seconds=0.5", Fault(kind=FaultKind.SLOW, vendor="miso", seconds=0.5)),
        (
            "store-then-drop,method=POST,path=/v1",
            Fault(kind=FaultKind.STORE_THEN_DROP, method="POST", path="/v1"),
        ),
        (
            "miso:500,body=evt-17",
            Fault(kind=FaultKind.STATUS, vendor="miso", status=500, body="evt-17"),
        ),
        ("refuse,skus=8S-1|8S-2", Fault(kind=FaultKind.REFUSE, skus=("8S-1", "8S-2"))),
    ],
)
def test_the_short_form_is_read(text: str, fault: Fault) -> None:
    """Vendor, kind and fields; a status alone is a kind, several SKUs are parted by a bar."""
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("miso:sleepy", "Invalid enum value 'sleepy'"),
        ("", "Invalid enum value ''"),
        ("slow", "slow needs seconds"),
        ("down,seconds=1", "only slow takes seconds"),
        ("status", "status needs a status"),
        ("down,times", "'times' is not of the form field=value"),
        ("down,times=0", ">= 1"),
        ("down,rate=2", "<= 1"),
        ("down,often=2", "unknown field `often`"),
        ("99", ">= 200"),
        ("down,skus=a", "down does not take skus; refuse, refuse_unreadable, errors_true do"),
        ("down,body=evt-17", "down does not take body"),
        ("redirect,retry_after=2", "redirect does not take retry_after; status, html do"),
    ],
)
def test_a_slip_in_a_fault_is_one_sentence(text: str, words: str) -> None:
    """What would have no effect is refused too, and the kinds are named."""
    with pytest.raises(SettingsError) as caught:
        parse_fault(text)
    [problem] = caught.value.problems
    assert problem.startswith(f"fault '{text}': ")
    assert words in problem


def test_json_faults_are_objects_or_short_forms() -> None:
    """One or a list; an object is read strictly."""
    assert read_faults({"kind": "down", "times": 1}) == [Fault(kind=FaultKind.DOWN, times=1)]
    assert read_faults(["miso:down", {"kind": "hang"}]) == [
        Fault(kind=FaultKind.DOWN, vendor="miso"),
        Fault(kind=FaultKind.HANG),
    ]
    with pytest.raises(SettingsError, match="Expected `int \\| null`, got `str`"):
        read_faults({"kind": "down", "times": "1"})


def endings(faults: Faults, requests: int, method: str = "POST", path: str = "/v1/x") -> str:
    """One letter a request: the first of its ending's kind, or a dot."""
    plans = [faults.plan("miso", method, path) for _ in range(requests)]
    return "".join("." if plan.ending is None else plan.ending.kind[0] for plan in plans)


def test_after_and_times_bound_a_fault() -> None:
    """Two requests pass, three are met, the rest passes; the count is shown."""
    faults = Faults(["miso"])
    faults.set("miso:down,after=2,times=3")
    assert endings(faults, 8) == "..ddd..."
    assert faults.show() == [
        {
            "number": 1,
            "kind": "down",
            "vendor": "miso",
            "times": 3,
            "after": 2,
            "rate": 1.0,
            "method": None,
            "path": None,
            "body": None,
            "seconds": None,
            "status": None,
            "retry_after": None,
            "retry_after_form": "seconds",
            "skus": (),
            "stored": False,
            "fired": 3,
            "left": 0,
        }
    ]


def test_a_rate_is_random_and_repeatable() -> None:
    """The same seed meets the same requests; another seed meets others; the share is right."""

    def drawn(seed: int) -> str:
        faults = Faults(["miso"], seed)
        faults.set("503,rate=0.3")
        return endings(faults, 1000)

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert 250 <= drawn(1).count("s") <= 350


def test_a_fault_meets_only_its_vendor_method_and_path() -> None:
    """What it is not for passes, and does not use it up."""
    faults = Faults(["miso", "voyado"])
    faults.set("voyado:down", "miso:down,method=POST,path=/v1,times=1")
    assert endings(faults, 2, method="DELETE") == ".."
    assert endings(faults, 2, path="/v2") == ".."
    assert endings(faults, 2) == "d."


def test_the_first_fault_set_wins_and_delays_add_up() -> None:
    """A slow vendor may fail as well; of two failures the older one comes, then the other."""
    faults = Faults(["miso"])
    faults.set("slow,seconds=1", "slow,seconds=0.5", "down,times=1", "503")
    first, second = faults.plan("miso", "POST", "/"), faults.plan("miso", "POST", "/")
    assert (first.delay_seconds, second.delay_seconds) == (1.5, 1.5)
    assert first.ending is not None
    assert second.ending is not None
    assert (first.ending.kind, second.ending.kind) == (FaultKind.DOWN, FaultKind.STATUS)


def test_refusals_count_only_requests_that_hold_the_sku() -> None:
    """A request without the SKU passes and leaves the count as it is."""
    faults = Faults(["miso"])
    faults.set("refuse,skus=bad,times=1")
    found = []
    for skus in (["good"], ["good", "bad"], ["bad"]):
        refusals = faults.plan("miso", "POST", "/").refusals
        assert refusals is not None
        found.append(refusals.among([[sku] for sku in skus]))
    assert [None if refusal is None else refusal.skus for refusal in found] == [
        None,
        {1: "bad"},
        None,
    ]


def test_faults_are_cleared_at_once_or_by_vendor() -> None:
    """Clearing one vendor leaves the others' faults and those for all."""
    faults = Faults(["miso", "voyado"])
    faults.set("miso:down", "voyado:hang", "503")
    faults.clear("miso")
    assert [shown["kind"] for shown in faults.show()] == ["hang", "status"]
    faults.clear()
    assert faults.show() == []


def test_an_unknown_vendor_is_refused_and_nothing_is_set() -> None:
    """The sentence names the simulators that there are."""
    faults = Faults(["miso"])
    with pytest.raises(SettingsError, match="no simulator for 'adobe'; there is miso"):
        faults.set("miso:down", "adobe:down")
    assert len(faults) == 0


def test_a_fault_may_be_meant_for_one_event() -> None:
    """Requests whose body does not contain the text are not even counted."""
    faults = Faults(["miso"])
    assert not faults.look_into_bodies
    faults.set("miso:500,body=evt-17")
    assert faults.look_into_bodies
    endings = [faults.plan("miso", "POST", "/", body).ending for body in (b"evt-1", b'"evt-17"')]
    assert [ending and ending.status for ending in endings] == [None, 500]
    assert faults.show()[0]["fired"] == 1
