"""What people are told of the findings, in virtual time: once when it begins, once when it ends."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streams.alerts.book import HIDING, OVER, QUIET_MS, Alert, AlertBook
from streams.status.findings import Finding, FindingKind, Level

NAMES = {"miso": "Miso", "voyado": "Voyado Engage", "ingest": "Ingest"}
START = 1_777_000_000_000
MINUTE = 60_000


def finding(subject: str, kind: str, **more: Any) -> Finding:
    """Return a finding of this kind, by default without a cause."""
    fields: dict[str, Any] = {"text": f"{NAMES.get(subject, subject)} is {kind}.", "remedy": "Act."}
    return Finding(level=Level.PROBLEM, subject=subject, kind=kind, **(fields | more))


PARKED = finding("miso", "parked", since=START - 3 * MINUTE, cause="Miso refuses the key (401).")
WELL_ = finding("pipeline", FindingKind.WELL)


def messages(book: AlertBook, *steps: tuple[float, list[Finding]]) -> list[str]:
    """Return the titles of all messages; each step is a minute and what is found then."""
    return [
        message.title
        for minute, findings in steps
        for message in book.read(findings, START + round(minute * MINUTE))
    ]


def test_a_vendor_that_is_parked_is_told_with_its_cause_and_what_to_do() -> None:
    """In whole sentences, the shop first where there are several."""
    (message,) = AlertBook(NAMES, shop="acme.").read([PARKED], START)
    assert message.title == "streams acme: Miso is parked."
    assert message.text == "Miso is parked since 03:03 UTC: Miso refuses the key (401). Act."
    assert not message.is_over


def test_when_it_is_over_people_are_told_how_long_it_lasted() -> None:
    """Counted up to when it ended, not to when that was sure."""
    book = AlertBook(NAMES)
    messages(book, (0, [PARKED]), (7, [WELL_]))
    (message,) = book.read([WELL_], START + 12 * MINUTE)
    assert (message.title, message.text) == (
        "streams: Miso is no longer parked.",
        "It lasted 10 min.",
    )
    assert message.is_over
    assert book.sent == ()


def test_between_the_two_people_are_told_nothing() -> None:
    """However often it comes and goes, whatever the numbers in it are."""
    book = AlertBook(NAMES)
    steps = [(minute, [PARKED] if minute % 5 == 0 else [WELL_]) for minute in range(60)]
    assert messages(book, *steps) == ["streams: Miso is parked."]
    assert messages(book, (60, [WELL_]), (61, [WELL_])) == ["streams: Miso is no longer parked."]


def test_what_cannot_be_seen_is_not_over() -> None:
    """No worker, one that starts, a pause, a vendor that answers half."""
    for kind in sorted(HIDING):
        book = AlertBook(NAMES, sent=[Alert("miso", "falling_behind", START)])
        assert messages(book, *((m, [finding("miso", kind)]) for m in range(1, 30))) == (
            [f"streams: Miso is {kind}."] if kind in OVER else []
        )
        other = [finding("voyado", kind)]
        assert "streams: Miso is no longer falling behind." in messages(
            book, (40, other), (46, other)
        )


def test_while_kafka_does_not_answer_nothing_is_told() -> None:
    """Neither that something began nor that it is over."""
    book = AlertBook(NAMES, sent=[Alert("miso", "parked", START)])
    away = finding("broker", FindingKind.KAFKA_AWAY)
    assert messages(book, *((minute, [away]) for minute in range(60))) == []


def test_a_changed_record_is_not_shown_to_everybody() -> None:
    """Its example is for those who may see the shop's records; several changes are one message."""
    findings = [
        finding("ingest", "drift", text=f"Records of web have lost {what}.", cause="E.g. {mail}")
        for what in ("price", "sku")
    ]
    (message,) = AlertBook(NAMES).read(findings, START)
    assert message.text == "Records of web have lost price. Act. Records of web have lost sku."


def test_a_book_continues_where_another_worker_stopped() -> None:
    """What was told stays told; what ends is told by whoever looks then."""
    first = AlertBook(NAMES)
    first.read([PARKED], START)
    second = AlertBook(NAMES, sent=first.sent)
    assert messages(second, (1, [PARKED]), (2, [WELL_]), (7, [WELL_])) == [
        "streams: Miso is no longer parked."
    ]


FOUND = st.lists(
    st.tuples(st.sampled_from(sorted(NAMES)), st.sampled_from(FindingKind)), max_size=4, unique=True
)
STEPS = st.lists(st.tuples(st.integers(1, 400), FOUND), max_size=40)


@given(STEPS)
def test_beginning_and_end_take_turns_and_the_end_is_sure(
    steps: list[tuple[int, list[tuple[str, str]]]],
) -> None:
    """For each subject and kind, whatever is found when; a restart between two looks is no news."""
    book, now = AlertBook(NAMES), START
    open_: set[tuple[str, str]] = set()
    last_seen: dict[tuple[str, str], int] = {}
    for seconds, pairs in steps:
        now += seconds * 1000
        messages = book.read([finding(*pair) for pair in pairs], now)
        worth = {pair for pair in pairs if pair[1] in OVER}
        if any(kind == FindingKind.KAFKA_AWAY for _, kind in pairs):
            assert messages == []
            assert {(one.subject, one.kind) for one in book.sent} == open_
            continue
        last_seen |= dict.fromkeys(worth, now)
        after = {(one.subject, one.kind) for one in book.sent}
        begun, ended = after - open_, open_ - after
        assert begun == worth - open_
        assert len(messages) == len(begun) + len(ended)
        assert sum(one.is_over for one in messages) == len(ended)
        for pair in ended:
            assert now - last_seen[pair] >= QUIET_MS
            assert not {kind for subject, kind in pairs if subject == pair[0]} & HIDING
        open_ = after
