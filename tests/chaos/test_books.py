"""The books of a chaos run find what is wrong: they are shown one fault of each kind."""

from collections import defaultdict

from streams.lab.sandbox import Ledger
from tests.chaos.blame import back_after, back_everywhere, blame, last_fault, next_fault
from tests.chaos.books import check, in_flight, overtaken, repeats, waiting
from tests.chaos.expected_outcomes import ExpectedOutcomes, Revocation
from tests.chaos.ledgers import Door
from tests.chaos.logs import Logs
from tests.chaos.result import Result, broken_bounds
from tests.chaos.schedule import FROZEN, KILL, ONE_500, START_KILL, TERM, Plan
from tests.chaos.shop import REVOKING, Event
from tests.chaos.site import Cut, Happened

# Of the shop's first events Miso gets all; 8SELECT the even ones, so all of these are for both.
NUMBERS = (0, 2, 4, 6)


def door(*stored: tuple[int, int, float]) -> Door:
    """Miso's door: event number, request and time of each stored record; a request takes 0.1 s."""
    made = Door("miso", Ledger())
    for number, request, at in stored:
        while len(made.opened_at) < request:
            made.opened_at.append(at - 0.1)
            made.endings["200"] += 1
        made.stored.append(number)
        made.stored_at.append(at)
        made.requests.append(request)
        made.first_at.setdefault(number, at)
    return made


def logs(*numbers: int, accepted: tuple[int, ...] = ()) -> Logs:
    """Topics with these clicks of one visitor each way, and receipts of what was accepted."""
    made = Logs("nowhere:9092", 2, ["miso"])
    for offset, number in enumerate(numbers):
        made.partition_of[number] = number % 2
        made.raw["shop.clicks"].append(("anna", number))
        if number in accepted:
            made.receipts["miso"][number].append(("accepted", (0, offset)))
    return made


def test_books_without_a_fault_find_nothing() -> None:
    """Every event stored once, in order, with its receipt."""
    found = check(
        logs(*NUMBERS, accepted=NUMBERS),
        {"miso": door((0, 1, 1.0), (2, 1, 1.0), (4, 2, 2.0), (6, 3, 3.0))},
        ExpectedOutcomes(),
        NUMBERS,
        is_final=True,
    )
    assert found.sentences() == []
    assert (found.count_missing, found.count_overtaken) == (0, 0)


def test_an_event_without_an_outcome_is_missing_in_the_end_and_waits_before() -> None:
    """Event 6 has neither a receipt nor a place at the vendor."""
    topics = logs(*NUMBERS, accepted=(0, 2, 4))
    doors = {"miso": door((0, 1, 1.0), (2, 2, 2.0), (4, 3, 3.0))}
    assert waiting(topics, "miso") == 1
    assert check(topics, doors, ExpectedOutcomes(), is_final=False).missing == {"miso": []}
    assert check(topics, doors, ExpectedOutcomes(), is_final=True).missing == {"miso": [6]}


def test_a_receipt_for_what_the_vendor_lacks_is_a_missing_event_at_once() -> None:
    """A receipt must be true at any moment."""
    topics = logs(*NUMBERS, accepted=NUMBERS)
    doors = {"miso": door((0, 1, 1.0), (2, 2, 2.0), (4, 3, 3.0))}
    assert check(topics, doors, ExpectedOutcomes(), is_final=False).missing == {"miso": [6]}


def test_an_event_with_two_outcomes_contradicts_itself() -> None:
    """Accepted and skipped at once."""
    topics = logs(0, accepted=(0,))
    topics.receipts["miso"][0].append(("skipped no_consent", (0, 7)))
    found = check(topics, {"miso": door((0, 1, 1.0))}, ExpectedOutcomes(), is_final=True)
    assert found.sentences() == ["miso: 1 events have a wrong outcome, or two: 0"]


def test_an_event_that_the_broker_confirmed_and_does_not_have_is_found() -> None:
    """The raw topics lack event 2."""
    topics, doors = logs(0, accepted=(0,)), {"miso": door((0, 1, 1.0))}
    found = check(topics, doors, ExpectedOutcomes(), [0, 2], is_final=True)
    assert found.sentences() == ["the broker lost 1 confirmed events"]


def test_order_counts_first_arrivals_of_one_visitor_and_topic() -> None:
    """Event 4 comes before 2; that 0 comes once more later is no matter of order."""
    topic = [("anna", 0), ("anna", 2), ("bert", 3), ("anna", 4)]
    assert overtaken([topic], [0, 4, 3, 2, 0]) == [(2, 4)]
    assert overtaken([topic], [3, 0, 2, 4, 0]) == []
    assert overtaken([topic], [0, 4]) == []


def test_a_request_is_in_flight_until_its_receipt_is_written() -> None:
    """Of three requests before the kill the first has its receipt; the third was being sent."""
    at_door = door((0, 1, 5.0), (2, 2, 9.9), (4, 3, 10.05), (6, 4, 12.0))
    receipts = {0: [("accepted", (0, 3))], 2: [("accepted", (0, 4))]}
    assert in_flight(at_door, receipts, 10.0, {0: 4}) == {2, 3}


def test_a_repeat_is_laid_to_the_fault_that_came_between_and_held_against_what_was_in_flight() -> (
    None
):
    """Request 2 was in flight at the kill and may be repeated; request 1 had its receipt."""
    at_door = door((0, 1, 5.0), (2, 2, 10.05), (2, 3, 12.0), (0, 4, 13.0))
    assert [(one.number, one.first_request) for one in repeats(at_door)] == [(2, 2), (0, 1)]
    topics = logs(0, 2, accepted=(0, 2))
    kill = Happened(1, Plan(KILL, "miso"), 10.0, 10.0, [Cut(10.0, {"miso": {0: 1}})])
    by_fault, unexplained = blame([kill], {"miso": at_door}, topics)
    assert by_fault[0]["miso"].allowed_requests == 1
    assert by_fault[0]["miso"].repeated_requests == {1, 2}
    assert unexplained == []


def test_a_repeat_after_sigterm_is_not_allowed_and_one_without_a_fault_is_unexplained() -> None:
    """A worker that ends in order leaves nothing open."""
    at_door = door((0, 1, 5.0), (0, 2, 12.0))
    topics = logs(0, accepted=(0,))
    term = Happened(1, Plan(TERM, "miso"), 4.95, 6.0)
    (entry,), _ = blame([term], {"miso": at_door}, topics)
    assert (entry["miso"].allowed_requests, entry["miso"].repeated_requests) == (0, {1})
    late = Happened(1, Plan(TERM, "miso"), 20.0, 21.0)
    assert len(blame([late], {"miso": at_door}, topics)[1]) == 1


def test_work_is_back_with_the_first_event_that_was_sent_after_the_mending() -> None:
    """Event 1 waited meanwhile; event 2 is the first new one; partition 1 follows with event 3."""
    at_door = door((1, 1, 10.5), (2, 2, 12.0), (3, 3, 14.0))
    kill = Happened(1, Plan(KILL, "miso"), 10.0, 10.0)
    sent_at = [1.0, 9.0, 10.5, 10.6]
    assert back_after(kill, at_door, sent_at, 2) == 2.0
    assert back_everywhere(kill, at_door, {1: 1, 2: 0, 3: 1}, range(2, 4), 2) == 4.0
    assert back_everywhere(kill, at_door, {1: 1, 2: 0}, range(2, 3), 2) is None


def test_the_shop_gives_each_vendor_a_outcome_for_each_event() -> None:
    """Of 300 events each vendor accepts some, and each kind of outcome occurs."""
    outcomes = defaultdict(set)
    for number in range(300):
        for vendor in ("eightselect", "voyado", "miso"):
            outcomes[vendor].add(Event(number).outcome(vendor))
    assert outcomes == {
        "eightselect": {"accepted", "skipped outside_content", "dead letter of enrichment"},
        "voyado": {"accepted", "skipped no_consent", "dead letter of enrichment"},
        "miso": {"accepted", "dead letter of enrichment"},
    }


def test_losses_are_laid_to_the_next_fault_and_disorder_to_the_last_one() -> None:
    """Of faults at the vendor that is meant."""
    happened = [
        Happened(1, Plan(KILL, "miso"), 10.0, 10.0),
        Happened(2, Plan(KILL, "voyado"), 20.0, 20.0),
        Happened(3, Plan(KILL, "enrich"), 30.0, 30.0),
    ]
    assert next_fault(9.0, "miso", happened) == 0
    assert next_fault(15.0, "miso", happened) == 2
    assert next_fault(31.0, "miso", happened) is None
    assert last_fault(25.0, "miso", happened) == 0
    assert last_fault(5.0, "miso", happened) is None


def test_each_kill_of_a_start_may_repeat_what_was_in_flight_then() -> None:
    """Request 1 was in flight at the first kill and request 2 at the second; 3 was not at all."""
    at_door = door(
        (0, 1, 9.9), (2, 2, 11.9), (4, 3, 11.0), (0, 4, 14.0), (2, 4, 14.0), (4, 5, 15.0)
    )
    topics = logs(0, 2, 4, accepted=(4,))
    cuts = [Cut(10.0, {"miso": {0: 0}}), Cut(12.0, {"miso": {0: 3}})]
    kills = Happened(1, Plan(START_KILL, "miso"), 10.0, 12.0, cuts)
    (entry,), unexplained = blame([kills], {"miso": at_door}, topics)
    assert entry["miso"].allowed_requests == 2
    assert entry["miso"].repeated_requests == {1, 2, 3}
    assert unexplained == []


def test_a_frozen_worker_may_repeat_what_was_in_flight_when_it_froze_and_nothing_later() -> None:
    """The request it sends on waking, of what another one has sent, is one too many."""
    at_door = door((0, 1, 9.95), (2, 2, 20.0), (0, 3, 21.0), (2, 4, 30.1))
    frozen = Happened(1, Plan(FROZEN, "miso"), 10.0, 30.0, [Cut(10.0, {"miso": {0: 0}})])
    result = Result(happened=[frozen], back=[{"miso": 1.0}])
    result.by_fault, _ = blame([frozen], {"miso": at_door}, logs(0, 2, accepted=(0, 2)))
    (broken,) = broken_bounds(result)
    assert broken.endswith("miso got 2 requests again, 1 at most were in flight")


def test_a_silence_is_too_long_sooner_where_one_event_alone_is_refused() -> None:
    """Twenty seconds: after a kill they may pass, for one event of many they may not."""
    refused = Happened(1, Plan(ONE_500, "miso"), 10.0, 11.0)
    killed = Happened(2, Plan(KILL, "miso"), 40.0, 40.0)
    result = Result(happened=[refused, killed], back=[{"miso": 20.0}, {"miso": 20.0}])
    result.by_fault = [{}, {}]
    assert broken_bounds(result) == [
        "round 1, one event answered 500 for ever: miso: miso was silent for 20 s"
    ]


def test_an_event_that_its_vendor_never_takes_is_given_up_with_a_letter_or_waits() -> None:
    """Given up without a letter it is lost; another event may not be given up at all."""
    topics = logs(0, 2, accepted=(0,))
    topics.receipts["miso"][2].append(("dead_lettered undeliverable", (0, 7)))
    doors = {"miso": door((0, 1, 1.0))}
    outcomes = ExpectedOutcomes(refused={"miso": {2}})
    assert check(topics, doors, outcomes, is_final=False).sentences() == []
    assert check(topics, doors, outcomes, is_final=True).missing == {"miso": [2]}
    topics.vendor_letters["miso"].add(2)
    assert check(topics, doors, outcomes, is_final=True).sentences() == []
    assert check(topics, doors, ExpectedOutcomes(), is_final=True).contradicting == {"miso": [2]}


def test_what_comes_five_seconds_after_a_no_must_be_skipped_and_before_it_may_be_either() -> None:
    """Events 0 and 1 are of visitor 0, who says no at 10."""
    visitor = Event(0).visitor
    assert visitor in REVOKING
    outcomes = ExpectedOutcomes([9.0, 15.1], {visitor: Revocation(10.0)})
    assert outcomes.of(0, "miso") == {"accepted", "skipped no_consent"}
    assert outcomes.of(1, "miso") == {"skipped no_consent"}
    revoked = ExpectedOutcomes([9.0, 15.1], {visitor: Revocation()})
    assert revoked.of(1, "miso") == outcomes.of(0, "miso")
    topics = logs(0, 1, accepted=(0, 1))
    found = check(topics, {"miso": door((0, 1, 9.5), (1, 2, 15.5))}, outcomes, is_final=True)
    assert found.contradicting == {"miso": [1, 1]}


def test_an_event_that_waited_is_not_sent_once_its_visitors_no_is_known() -> None:
    """It was sent to the shop before the no, and its request began seven seconds after it."""
    outcomes = ExpectedOutcomes([9.0], {Event(0).visitor: Revocation(10.0)})
    topics = logs(0, accepted=(0,))
    on_time = check(topics, {"miso": door((0, 1, 12.0))}, outcomes, is_final=True)
    assert on_time.sentences() == []
    late = check(topics, {"miso": door((0, 1, 17.1))}, outcomes, is_final=True)
    assert late.sentences() == ["miso: 1 events of a visitor's no were sent: 0"]
