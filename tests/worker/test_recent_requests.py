"""The last requests as people see them."""

import json

from streams.delivery.exchanges import Exchanges
from streams.vendors.base import HttpRequest, HttpResponse
from streams.worker.recent_requests import KEPT_OF_EACH, RecentRequests

KEY = "key-4711-secret"


def request(number: int) -> HttpRequest:
    """A request to Miso with one event and the key in a header."""
    body = {"data": [{"anonymous_id": f"visitor-number-{number}", "product_ids": ["SKU-1"]}]}
    headers = {"X-API-KEY": KEY}
    return HttpRequest("POST", f"/v1/interactions?key={KEY}", headers, json.dumps(body).encode())


def test_of_what_went_well_and_what_did_not_the_newest_is_taken() -> None:
    """However many requests there are, a look at them costs two."""
    exchanges = Exchanges()
    for number in range(100):
        status = 503 if number % 10 == 3 else 200
        exchanges.record(
            request(number), HttpResponse(status, {}, b"{}"), float(number), number + 0.5
        )
    good, bad = exchanges.drain()
    assert (good.began, good.response.status) == (99.0, 200)
    assert (bad.began, bad.response.status, bad.seconds) == (93.0, 503, 0.5)
    assert exchanges.drain() == []


def test_a_request_is_shown_without_key_and_people() -> None:
    """No headers, the address without its query, ids as tags, also where the answer quotes."""
    exchanges, shown = Exchanges(), RecentRequests()
    said = f'{{"message": "visitor-number-7 with {KEY} is unknown"}}'.encode()
    exchanges.record(request(7), HttpResponse(422, {}, said), 10.0, 10.25)
    shown.add(exchanges.drain(), [KEY], now=12.0, now_ms=1_000_000)
    (one,) = shown.newest_first()
    assert (one.at, one.method, one.path) == (998_000, "POST", "/v1/interactions?…")
    assert (one.status, one.seconds) == (422, 0.25)
    assert one.sent == '{"data":[{"anonymous_id":"#pxuz","product_ids":["SKU-1"]}]}'
    assert one.answer == '{"message":"*** with *** is unknown"}'


def test_failures_are_not_pushed_out_by_what_goes_well() -> None:
    """Three of each are kept, the newest first; no answer is said in words."""
    shown = RecentRequests()
    for number in range(10):
        exchanges = Exchanges()
        if number < 2:
            answer = HttpResponse(None, {}, b"", failure="cannot connect to 192.0.2.17:443")
        else:
            answer = HttpResponse(200, {}, b'{"message":"success"}')
        exchanges.record(request(number), answer, float(number), float(number))
        shown.add(exchanges.drain(), (), now=float(number), now_ms=number * 1000)
    kept = shown.newest_first()
    assert [one.status for one in kept] == [200] * KEPT_OF_EACH + [None] * 2
    assert kept[-1].answer == "cannot connect to 192.0.2.0:443"
