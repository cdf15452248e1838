"""Records of a shop, mutated: bytes, tokens and whole values, from a seed."""

import json
import random
from collections.abc import Iterator
from typing import Any

MAX_BYTES = 256 * 1024
LONG_EVERY = 101
"""One record in so many is long. A prime number: each reader gets its share of them."""

_CLICK: dict[str, Any] = {
    "event_id": "0199e2b0-7d1c-7c3e-9f33-3f2d0a5b7e11",
    "timestamp": "2026-11-20T09:59:58.120Z",
    "anonymous_id": "v",
    "user_id": "u-77",
    "product_id": "p-1042",
    "sku": "8S-1042",
    "price": 19.95,
    "currency": "EUR",
    "page": {"url": "https://shop.example/p/1042", "referrer": "https://r", "title": "Shirt"},
    "user_agent": "Mozilla/5.0",
    "locale": "de-DE",
    "ip": "203.0.113.77",
    "campaign": {"name": "autumn", "source": "mail"},
    "content": {"type": "customSet", "id": "set-9"},
    "consent": {"miso": True, "voyado": False},
}
_CART = {**_CLICK, "quantity": 2}
_GA4: dict[str, Any] = {
    "event_name": "add_to_cart",
    "who": {"id": "v", "groups": ["C0001", "C0004"]},
    "at": 1_795_168_798_120_334,
    "items": [
        {"item_id": "A", "amount": 1.0, "price": "19.95"},
        {"item_id": "B", "amount": 2, "price": "1"},
    ],
}
_LOCAL = {**_CLICK, "timestamp": "2026-10-25 02:30:00 CET", "items": [{"item_id": "A"}]}
SHAPES = (_CLICK, _CART, _GA4, _LOCAL)

_NUMBERS = (
    *("0", "-0", "-1", "1.0", "2e0", "1e999990", "1e-999990", "-1e400", "1E308", "0e999999999"),
    *("9223372036854775807", "9223372036854775808", "18446744073709551615.0", "1e17", "1e19"),
    *("12345678901234567.0", "1795168798.12", "1795168798120", "1695262025123334999", "01", "+1"),
    *("9" * 400, "9" * 5_000, "1." + "9" * 5_000, "0." + "0" * 5_000 + "1", "NaN", "Infinity"),
)
_TEXTS = (
    *('""', '" "', r'"\ud83d"', r'"\ude00\ud83d"', r'"\ud83d\ude00"', r'"\\ud83d"', r'"\u0000"'),
    *('"null"', '"undefined"', '"[object Object]"', '"1e999990"', '"1e99999999999"', '"NaN"'),
    *('"2026-11-20T10:00:00.' + "9" * 3_000 + 'Z"', '"2026-11-20 10:00:00 PST"', '"0001-01-01"'),
    *('"9999-12-31T23:59:59-23:59"', '"2026-03-29 02:30:00 CET"', '"' + "::" * 2_000 + '"'),
    *('"' + "9" * 5_000 + '"', '"' + "1." * 2_000 + '"', '"' + "a@" * 2_000 + '"', '"\xa0"'),
)
_OTHERS = (
    *("null", "true", "[]", "{}", "[null]", '{"a":1}', "[" * 130 + "]" * 130, "[" * 3_000),
    *('{"a":' * 200 + "1" + "}" * 200, "[1,2,3]", '{"url":[]}', '[{"item_id":null}]', "\ufeff"),
)
VALUES = (*_NUMBERS, *_TEXTS, *_OTHERS)
_FRAGMENTS = tuple(
    fragment.encode("utf-8", "surrogatepass")
    for fragment in (*VALUES, "\\u", "\\ud8", '"', "{", "}", "[", "]", ",", ":", "\\", "e", "1")
)
_ELEMENTS = (
    *(b"1.5", b"1e0", b"1e2", b"1e19", b"1", b"[]", b"{}", b"[[]]", b"[1e9]", b'"a"', b"null"),
    *(b"11111111111111111.5", b"111111111111111111", b"-1234567890123456789", b"123456789e10"),
    *(b"12345678901234567e0", b"10000000#.0", b"10000000#e9", b"1.0000000000#", b'"10000000#"'),
    *(b'{"item_id":"#"}', b'{"item_id":"A","amount":1e19}', b'{"item_id":1,"price":"19.95"}'),
    *(b'{"ip":"x#"}', b'{"ip":"203.0.113.#"}', b'{"a":1e9}', b'"\\ud83d"', b'"\\ud83d\\ude00"'),
)
"""Of long arrays; ``#`` is the element's number."""
_MEMBERS = (b'"k#":1e19', b'"k#":1', b'"miso":true', b'"m#":true', b'"ip":"203.0.113.7"')
_REPEATED = (
    *(b"\\ud800", b"\\ud83d\\ude00", b"\\\\", b"\\n", b'\\"', b"\\u0000", b"\\u0041", b"9", b" "),
    *(b"a@", b"::", b"\xff", b"\xc3\xa4", b",", b"[{", b"1.", b"203.0.113.7 ", b'"'),
)
_OPENED = (b"[", b'{"a":', b'[{"a":')
_NEAR_A_BOUND = (2_500, 5_000, 8_000)
"""Elements of which the relay handles no more; none of its bounds is more than twice another."""


def mutated(seed: int, count: int) -> Iterator[bytes]:
    """Yield ``count`` records, the same for the same seed."""
    rng = random.Random(seed)
    for number in range(count):
        text = _with_odd_values(rng, rng.choice(SHAPES))
        value = text.encode("utf-8", "surrogatepass")
        for _ in range(rng.choice((0, 0, 0, 1, 1, 2, 4))):
            value = _damaged(rng, value)
        if number % LONG_EVERY == LONG_EVERY - 1:
            value = _long(rng, value)
        yield value[:MAX_BYTES]


def _with_odd_values(rng: random.Random, shape: dict[str, Any]) -> str:
    """Return the record as JSON in which some values, of any depth, are others."""
    marks: dict[str, str] = {}

    def changed(value: Any) -> Any:
        if rng.random() < 0.08:
            mark = f"@@{len(marks)}@@"
            marks[mark] = rng.choice(VALUES)
            return mark
        if isinstance(value, dict):
            return {name: changed(item) for name, item in value.items()}
        return [changed(item) for item in value] if isinstance(value, list) else value

    text = json.dumps({name: changed(item) for name, item in shape.items()})
    for mark, odd in marks.items():
        text = text.replace(f'"{mark}"', odd)
    return text


def _damaged(rng: random.Random, value: bytes) -> bytes:
    at = rng.randrange(len(value) + 1)
    kind = rng.randrange(4)
    if kind == 0:
        return value[:at] + bytes((rng.randrange(256),)) + value[at + 1 :]
    if kind == 1:
        return value[:at] + value[at + rng.randrange(1, 9) :]
    if kind == 2:
        return value[:at] + rng.choice(_FRAGMENTS) + value[at:]
    return value[:at] + value[max(0, at - rng.randrange(1, 40)) :]


def _long(rng: random.Random, value: bytes) -> bytes:
    """Return a long record: a known, mapped or unknown field that repeats one thing."""
    kind = rng.choice(("array", "array", "array", "object", "text", "opened"))
    again = rng.choice(
        {"array": _ELEMENTS, "object": _MEMBERS, "text": _REPEATED, "opened": _OPENED}[kind]
    )
    room = MAX_BYTES - len(value) - 40
    each = len(again) + 4 * again.count(b"#") + (kind in {"array", "object"})
    times = max(0, room // each)
    if rng.random() < 0.5:  # more is often refused at once
        times = min(times, int(rng.choice(_NEAR_A_BOUND) * rng.uniform(0.4, 1.0)))
    if kind == "opened":
        inside = again * times
    elif kind == "text":
        inside = b'"' + again * times + b'"'
    else:
        listed = (again.replace(b"#", b"%d" % number) for number in range(times))
        filled = b",".join(listed if b"#" in again else (again,) * times)
        inside = b"[" + filled + b"]" if kind == "array" else b"{" + filled + b"}"
    name = rng.choice(
        ("items", "items", "page", "consent", "timestamp", "user_id", "who", "attributes", "x")
    ).encode()
    long = b'"' + name + b'":' + inside
    if kind == "object" and rng.random() < 0.3:
        long = inside[1:-1] or b'"x":1'
    return b"{" + long + b"," + value.lstrip()[1:]
