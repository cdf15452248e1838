"""Deleting at the vendors: how often each is asked, and what is said of the outcome."""

from collections.abc import Callable

import pytest
from pydantic import SecretStr

from streams.operations.forget.plan import AtVendor
from streams.operations.forget.report import Done, VendorWord
from streams.operations.forget.vendors import erase
from streams.vendors import VENDORS
from streams.vendors.base import HttpRequest, HttpResponse, Trail, VendorSettings
from streams.vendors.eightselect import EightSelectSettings
from streams.vendors.miso import MisoSettings
from streams.vendors.voyado import VoyadoSettings

SETTINGS: dict[str, VendorSettings] = {
    "miso": MisoSettings(api_key=SecretStr("the-key")),
    "voyado": VoyadoSettings(
        base_url="https://shop.voyado.com", api_key=SecretStr("the-key"), user_agent="Shop/1.0"
    ),
    "eightselect": EightSelectSettings(api_id=SecretStr("the-id")),
}
TRAIL = Trail("anna", references=("i-1", "i-2", "i-3"))


class Client:
    """Answers by a function of the request's number; remembers what it was sent."""

    def __init__(self, answer: Callable[[int], HttpResponse]) -> None:
        self.requests: list[HttpRequest] = []
        self.closed = False
        self._answer = answer

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Return the answer to this request."""
        self.requests.append(request)
        return self._answer(len(self.requests))

    async def close(self) -> None:
        """Note it."""
        self.closed = True


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept.append(round(seconds, 3))
        self.now += seconds


def answers(*statuses: int | None, **headers: str) -> Callable[[int], HttpResponse]:
    """These statuses in turn, the last one for ever."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    bodies = {200: b'{"message":"success"}', 204: b""}

    def answer(n: int) -> HttpResponse:
        status = statuses[min(n, len(statuses)) - 1]
        body = bodies.get(status or 0, b'{"message":"the-key"}')
        return HttpResponse(status, sent, body, "cut off" if status is None else "")

    return answer


async def carry_out(
    vendor: str,
    answer: Callable[[int], HttpResponse],
    trail: Trail = TRAIL,
    there: AtVendor | None = None,
    *,
    has_credentials: bool = True,
) -> tuple[VendorWord, Client, Time]:
    """Delete in time that only sleeping moves."""
    client, time = Client(answer), Time()
    word = await erase(
        VENDORS[vendor],
        SETTINGS[vendor],
        trail,
        there or AtVendor(accepted={"s/0/1"}),
        has_credentials=has_credentials,
        new_client=lambda _: client,
        secrets=("the-key",),
        sleep=time.sleep,
        clock=lambda: time.now,
    )
    return word, client, time


async def test_each_interaction_is_deleted_within_what_the_workers_leave_of_the_quota() -> None:
    """5 % of 40 a second, spaced evenly: with the workers' share no more than the limit."""
    word, client, time = await carry_out("voyado", answers(204))
    assert [r.path.rpartition("/")[2] for r in client.requests] == ["i-1", "i-2", "i-3"]
    assert time.slept == [0.526, 0.526]
    assert client.closed
    assert (word.done, word.deleted, word.requests) == (Done.DELETED, "3 interactions", 3)
    assert (word.accepted, word.problem) == (1, "")


async def test_what_is_gone_already_counts_as_deleted() -> None:
    """So a second run ends well."""
    word, client, _ = await carry_out("voyado", answers(404))
    assert (word.done, len(client.requests)) == (Done.DELETED, 3)


async def test_what_fails_for_a_while_is_asked_again() -> None:
    """After growing waits; Retry-After is obeyed."""
    word, client, time = await carry_out("miso", answers(503, None, 200))
    assert (word.done, len(client.requests), time.slept) == (Done.DELETED, 3, [1.0, 2.0])
    _, _, time = await carry_out("miso", answers(429, retry_after="30"))
    assert time.slept == [30.0] * 4


@pytest.mark.parametrize(
    ("vendor", "answer", "asked", "problem"),
    [
        (
            "miso",
            answers(503),
            5,
            (
                "Miso did not delete: 503 ***. Run this command again later. Repeating a deletion "
                "does no harm."
            ),
        ),
        (
            "miso",
            answers(429, retry_after="3000"),
            1,
            (
                "Miso did not delete: 429 ***. The vendor limits requests. Run this command again "
                "later."
            ),
        ),
        (
            "miso",
            answers(401),
            1,
            ("Miso did not delete: 401 ***. Correct key or address, then run this command again."),
        ),
        (
            "voyado",
            answers(204, 400),
            2,
            (
                "1 of 3 requests were confirmed, then Voyado Engage did not delete: 400 ***. "
                "Read the answer and run this command again, or ask the vendor."
            ),
        ),
    ],
)
async def test_a_failure_says_why_and_what_to_do_and_shows_no_key(
    vendor: str, answer: Callable[[int], HttpResponse], asked: int, problem: str
) -> None:
    """Nothing is asked twice that was refused, and no connection stays open."""
    word, client, _ = await carry_out(vendor, answer)
    assert (word.done, len(client.requests), client.closed) == (Done.FAILED, asked, True)
    assert (word.problem, word.deleted) == (problem, "")


async def test_without_a_key_it_fails_where_something_was_sent() -> None:
    """Else there is nothing to delete, and nothing to say."""
    word, client, _ = await carry_out("miso", answers(200), has_credentials=False)
    assert (word.done, client.requests) == (Done.FAILED, [])
    assert word.problem == "Set STREAMS_MISO_API_KEY, then run this command again."
    word, _, _ = await carry_out("miso", answers(200), there=AtVendor(), has_credentials=False)
    assert (word.done, word.by_hand) == (Done.NOTHING, "")


async def test_where_no_request_deletes_anything_it_is_said_what_is_left_to_people() -> None:
    """8SELECT documents none; at Voyado nothing may be known by its id."""
    word, client, _ = await carry_out("eightselect", answers(200))
    assert (word.done, client.requests) == (Done.NOTHING, [])
    assert word.by_hand.startswith("8SELECT documents no way to delete: ask it in writing")
    word, client, _ = await carry_out("voyado", answers(204), Trail("anna"))
    assert (word.done, client.requests) == (Done.NOTHING, [])
    assert "and the contact itself, in Voyado Engage" in word.by_hand


@pytest.mark.parametrize("shared", ["null", "undefined", "NaN", "None", "[object Object]"])
async def test_a_vendor_is_never_asked_to_delete_what_many_people_share(shared: str) -> None:
    """Everybody without an id would be deleted with the one who asked for it."""
    trail = Trail("anna", user_ids=(shared, "u-1"), subjects=("u-2", shared))
    word, client, _ = await carry_out("miso", answers(200), trail)
    assert [request.body for request in client.requests] == [b'{"user_ids":["u-1","u-2","anna"]}']
    assert word.done is Done.DELETED
    assert word.by_hand.startswith(
        f'Data sent under the user id "{shared}" was not deleted: many people share this id.'
    )


async def test_a_visitor_that_is_many_people_is_left_at_the_vendor() -> None:
    """Only the users that it was seen as are deleted; without one nothing is asked for."""
    word, client, _ = await carry_out("miso", answers(200), Trail("undefined"))
    assert client.requests == []
    assert word.done is Done.NOTHING
    assert word.by_hand.startswith('"undefined" is not the id of one person')
    _, client, _ = await carry_out("miso", answers(200), Trail("undefined", user_ids=("u-1",)))
    assert [request.body for request in client.requests] == [b'{"user_ids":["u-1"]}']
