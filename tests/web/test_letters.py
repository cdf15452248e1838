"""Dead letters as the page shows them."""

from types import SimpleNamespace

import pytest

from streams.core.errors import SettingsError
from streams.web.letters import NO_JSON, _body, _masked

KEY = "key-4711-secret"


def test_a_letters_own_words_stay_and_people_in_them_go() -> None:
    """Reason, place and fix are what one looks for; the record's names are masked everywhere."""
    letter = {
        "stage": "deliver",
        "vendor": "miso",
        "reason": "rejected",
        "fingerprint": "h7k2mnpq",
        "detail": f"customer-77 with {KEY} is unknown",
        "answer": "422: customer-77, anna@mail.example",
        "attempts": 2,
        "source": {"topic": "shop.clicks", "partition": 0, "offset": 7, "timestamp": 1},
        "record": '{"user_id": "customer-77", "product_id": "p1", "ip": "203.0.113.77"}',
        "record_bytes": 69,
    }
    assert _masked(letter, (KEY,)) == letter | {
        "source": "shop.clicks/0/7",
        "detail": "*** with *** is unknown",
        "answer": "422: ***, ***",
        "record": {"user_id": "#lu4i", "product_id": "p1", "ip": "203.0.113.0"},
    }


def test_what_is_no_json_is_not_shown() -> None:
    """Nobody can tell what in it is whose; the terminal shows it to who may read the topic."""
    for record in ('{"ip": "203.0.113.77", broken', {"base64": "AAAA"}):
        assert _masked({"reason": "invalid_json", "record": record}, ()) == {
            "reason": "invalid_json",
            "source": None,
            "record": NO_JSON,
        }


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"vendor": "\xff"}', b'{"x": ' + b"[" * 5_000])
async def test_a_body_that_is_no_object_is_refused_in_one_sentence(body: bytes) -> None:
    """Whoever sends it has the token, but gets no traceback."""

    async def read() -> bytes:
        return body

    with pytest.raises(SettingsError, match="The body must be a JSON object"):
        await _body(SimpleNamespace(read=read))  # type: ignore[arg-type]
