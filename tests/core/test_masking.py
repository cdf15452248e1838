"""What is shown of requests and records holds nobody's data."""

import json

import pytest

from streams.core.masking import (
    masked_body,
    masked_id,
    masked_json,
    masked_text,
    masked_url,
    names_in,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("anna-4711-abcdef-0815", "#ib2r"),
        ("anna", "#5hfl"),
        ("abc", "#oq7y"),
        ("\ud800", "#wy45"),
    ],
)
def test_an_id_has_a_tag_that_holds_nothing_of_it(text: str, shown: str) -> None:
    """Written out: tags are the same in every process and version, so people can compare them."""
    assert masked_id(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("write to anna@example.com please", "write to *** please"),
        ("anna%40example.com", "***"),
        ("from 192.168.17.42", "from 192.168.17.0"),
        ("from 2001:db8::17", "from ::"),
        ("at 10:02:17 it failed", "at 10:02:17 it failed"),
        ("version 1.2.3", "version 1.2.3"),
        ("key sk-123456 is wrong", "key *** is wrong"),
    ],
)
def test_text_loses_addresses_and_keys(text: str, shown: str) -> None:
    """E-mail and IP addresses and known secrets go, what only looks a little like them stays."""
    assert masked_text(text, ["sk-123456"]) == shown


def test_an_address_loses_its_query() -> None:
    """What shops put behind the question mark is not shown."""
    assert masked_url("https://shop.example/p/1?mail=a@b.de#x") == "https://shop.example/p/1?…"
    assert masked_url("https://anna:secret@shop.example/p") == "https://shop.example/p"
    assert masked_url("http://[broken") == "***"


def test_a_payload_shows_products_and_no_people() -> None:
    """Ids of people become tags; of fields that nobody listed nothing is shown."""
    payload = {
        "type": "add_to_cart",
        "anonymous_id": "visitor-0123456789",
        "user_id": "customer-77",
        "product_ids": ["SKU-1"],
        "quantities": [2],
        "phone": 491701234567,
        "something_new": "Anna Example, Main Street",
        "context": {
            "truncated_ip": "192.168.17.42",
            "page": {"url": "https://s.example/p?e=a@b.de", "title": "Mail anna@example.com"},
            "user_agent": "Mozilla/5.0 (X11)",
        },
    }
    assert masked_json(payload) == {
        "type": "add_to_cart",
        "anonymous_id": "#gjx4",
        "user_id": "#lu4i",
        "product_ids": ["SKU-1"],
        "quantities": [2],
        "phone": "***",
        "something_new": "***",
        "context": {
            "truncated_ip": "192.168.17.0",
            "page": {"url": "https://s.example/p?…", "title": "Mail ***"},
            "user_agent": "***",
        },
    }


def test_of_a_batch_the_first_event_is_shown_and_how_many_there_are() -> None:
    """A request of five hundred events stays readable."""
    body = json.dumps({"data": [{"sku": f"S-{n}"} for n in range(500)]}).encode()
    assert masked_body(body, (), 200) == '{"data":[{"sku":"S-0"},"… 499 more"]}'


def test_what_is_no_json_is_shown_as_masked_text() -> None:
    """An HTML page from a proxy is cut and masked, too."""
    assert masked_body(b"<h1>anna@example.com</h1>\xff", (), 50) == "<h1>***</h1>\ufffd"
    assert masked_body(b"", (), 50) == ""
    assert len(masked_body(b"x" * 5000, (), 50)) == 50


def test_an_answer_does_not_repeat_whom_the_request_named() -> None:
    """Vendors quote what they refuse."""
    request = {"data": [{"anonymous_id": "visitor-77", "sku": "SKU-1"}, {"user_id": "anna-4711"}]}
    names = names_in(request)
    assert names == ["visitor-77", "anna-4711"]
    answer = b'{"detail": "visitor-77 and anna-4711 are unknown to SKU-1"}'
    assert masked_body(answer, names, 100) == '{"detail":"*** and *** are unknown to SKU-1"}'


@pytest.mark.parametrize("levels", [129, 600, 5_000])
@pytest.mark.parametrize("kind", ['{"error":%s}', "[%s]"])
def test_an_answer_that_is_nested_deeper_than_any_record_is_cut(levels: int, kind: str) -> None:
    """A vendor's answer can be anything; what the interpreter cannot decode is shown as text."""
    left, right = kind.split("%s")
    answer = left * levels + '"anna@example.com"' + right * levels
    shown = masked_body(answer.encode(), (), 10_000)
    assert shown.startswith(left * 50)
    assert "…" in shown
    assert "anna" not in shown


def test_whom_a_request_names_is_found_as_deep_as_records_go() -> None:
    """Deeper nothing of an answer is shown."""
    deep: object = "visitor-77"
    for _ in range(900):
        deep = [deep]
    assert names_in(deep) == []
    assert names_in(["visitor-77"]) == ["visitor-77"]
