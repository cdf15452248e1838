"""Dead letters: fingerprints, masks and the size of what is written."""

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.dead_letter import (
    build_dead_letter,
    encode_dead_letter,
    fingerprint,
    mask_secrets,
    masked_ip,
    shorten_letter,
    without_values,
)
from streams.core.fields import FieldMap
from streams.core.records import DeadLetter, Origin

SOURCE = Origin("shop.clicks", 3, 17, 1_795_168_800_000)


def build(record: bytes | None, **more: Any) -> DeadLetter:
    """Return an enrichment letter over the record."""
    given: dict[str, Any] = {
        "stage": "enrich",
        "reason": "invalid_field",
        "detail": "quantity: Expected `int`, got `str`",
        "source": SOURCE,
        "at": "2026-11-20T10:00:00.000Z",
    }
    return build_dead_letter(record=record, **(given | more))


def test_letter_has_the_contracts_fields() -> None:
    """Absent parts are not written."""
    letter = build(b'{"event_id":"e-1", "quantity": "x"}', field="quantity")
    assert msgspec.json.decode(encode_dead_letter(letter)) == {
        "stage": "enrich",
        "reason": "invalid_field",
        "detail": "quantity: Expected `int`, got `str`",
        "fingerprint": fingerprint("invalid_field", "quantity"),
        "attempts": 0,
        "at": "2026-11-20T10:00:00.000Z",
        "source": {
            "topic": "shop.clicks",
            "partition": 3,
            "offset": 17,
            "timestamp": 1_795_168_800_000,
        },
        "record": '{"event_id":"e-1", "quantity": "x"}',
        "record_bytes": 35,
        "event_id": "e-1",
    }


def test_letter_of_a_delivery_holds_the_vendors_answer() -> None:
    """Vendor, status, attempts and the answer with its secrets masked."""
    letter = build(
        b"{}",
        stage="deliver",
        reason="rejected",
        vendor="miso",
        event_id="e-2",
        status=422,
        attempts=3,
        answer="key sk-live-123 refused " + "x" * 3000,
        detail="422 for sk-live-123",
        secrets=["sk-live-123", ""],
    )
    assert letter.vendor == "miso"
    assert letter.event_id == "e-2"
    assert letter.status == 422
    assert letter.attempts == 3
    assert letter.detail == "422 for ***"
    assert letter.answer is not None
    assert letter.answer.startswith("key *** refused xxx")
    assert len(letter.answer) == 2000


def test_secret_across_the_cut_is_masked_before_it() -> None:
    """No beginning of a key remains at the end of an answer."""
    letter = build(b"", answer="x" * 1995 + "sk-live-123", secrets=["sk-live-123"])
    assert letter.answer == "x" * 1995 + "***"


def test_longer_secret_is_masked_before_one_it_contains() -> None:
    """Masking one key does not leave the rest of another."""
    assert mask_secrets("abcd-ef abcd", ["abcd", "abcd-ef"]) == "*** ***"


def test_what_is_shorter_than_a_key_is_not_masked() -> None:
    """A key of one letter in a trial would make every sentence unreadable."""
    assert mask_secrets("an answer", ["a", "an"]) == "an answer"


def test_fingerprint_is_short_and_typeable() -> None:
    """Eight characters without those that look alike; equal for equal causes."""
    seen = fingerprint("rejected", None, "product_ids is invalid.")
    assert len(seen) == 8
    assert set(seen) <= set("abcdefghjkmnpqrstuvwxyz23456789")
    assert seen == fingerprint("rejected", None, "product_ids is invalid.")


def test_fingerprint_differs_by_reason_field_and_message() -> None:
    """Each part of a cause counts."""
    causes = {
        fingerprint("rejected"),
        fingerprint("invalid_field"),
        fingerprint("invalid_field", "quantity"),
        fingerprint("invalid_field", "timestamp"),
        fingerprint("rejected", None, "product_ids is invalid."),
        fingerprint("rejected", None, "timestamp is invalid."),
    }
    assert len(causes) == 6


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("data.0.sku ('8S-1') is invalid.", "data.17.sku ('8S-2') is invalid."),
        ('Unknown contact "a b"', 'Unknown contact "c"'),
        ("id 3f0b6c1e-8f0a-4d6e-9b60-2f4f9d6f1a11 gone", "id 77 gone"),
        ("Took  2.5s", "took 99ms"),
    ],
)
def test_values_do_not_change_the_fingerprint(one: str, other: str) -> None:
    """Quoted text, parentheses and words with digits are values."""
    assert without_values(one).lower() == without_values(other).lower()
    assert fingerprint("rejected", None, one) == fingerprint("rejected", None, other)


def test_long_message_without_values_is_read_quickly() -> None:
    """Only what a letter would show of a message is looked at."""
    assert without_values('"' * 1_000_000).startswith("#")


@pytest.mark.parametrize(
    ("ip", "masked"),
    [
        ("203.0.113.77", "203.0.113.0"),
        ("2001:db8::1", "::"),
        ("::ffff:203.0.113.7", "::"),
        ("203.0.113.7, 10.0.0.1", "***"),
        (3405803783, "***"),
        (["203.0.113.7"], "***"),
    ],
)
def test_ip_is_masked_in_any_form(ip: Any, masked: str) -> None:
    """IPv4 keeps what vendors may see; everything else keeps nothing."""
    assert masked_ip(ip) == masked
    record = json.dumps({"ip": ip, "deep": [{"ip": ip}], "sku": "Grüße"}).encode()
    letter = build(record)
    assert isinstance(letter.record, str)
    assert json.loads(letter.record) == {
        "ip": masked,
        "deep": [{"ip": masked}],
        "sku": "Grüße",
    }
    assert letter.record_bytes == len(record)


def test_ip_behind_escapes_and_beside_big_integers_is_masked() -> None:
    """Strange spelling does not get an address past the mask."""
    record = b'{"\\u0069p":"203.0.113.\\u0037","n":123456789012345678901234567890}'
    assert build(record).record == '{"ip":"203.0.113.0","n":123456789012345678901234567890}'


def test_ip_of_a_field_map_is_masked_wherever_it_stands() -> None:
    """The shop's own place of the address counts like ours."""
    record = b'{"client":{"addr":"203.0.113.7"},"log":["203.0.113.7","203.0.113.8"]}'
    assert build(record, fields=FieldMap({"ip": "client.addr"})).record == (
        '{"client":{"addr":"203.0.113.0"},"log":["203.0.113.0","203.0.113.8"]}'
    )


def test_record_without_an_ip_is_kept_to_the_letter() -> None:
    """Spaces and number forms of the shop remain."""
    assert build(b'{ "price": 19.90,\n"ip": null }').record == '{ "price": 19.90,\n"ip": null }'


@pytest.mark.parametrize("levels", [900, 5000])
def test_deeply_nested_record_with_an_ip_is_no_way_around(levels: int) -> None:
    """A record that is nested too deep to be read is masked as it stands."""
    record = b'{"ip":"203.0.113.7","a":' + b"[" * levels + b"]" * levels + b"}"
    kept = build(record).record
    assert isinstance(kept, str)
    assert kept.startswith('{"ip":"')
    assert "203.0.113.7" not in kept


def test_damaged_json_is_masked_where_it_still_looks_like_our_field() -> None:
    """A record that was cut off keeps no address either."""
    assert build(b'{"sku":"8S-1","ip" : "203.0.113.7').record == '{"sku":"8S-1","ip":"***"'


def test_record_without_value_is_empty_text() -> None:
    """A tombstone has no bytes."""
    letter = build(None, reason="empty")
    assert (letter.record, letter.record_bytes, letter.event_id) == ("", 0, None)


def test_bytes_that_are_no_text_are_kept_as_base64() -> None:
    """Nothing is replaced or guessed."""
    letter = build(b"\xff\x00abc")
    assert letter.record == {"base64": "/wBhYmM="}


@pytest.mark.parametrize("event_id", ["", "e" * 129, 5.5, None])
def test_event_id_out_of_shape_is_not_taken_from_the_record(event_id: Any) -> None:
    """A letter names an id only where it could be an event's."""
    assert build(json.dumps({"event_id": event_id}).encode()).event_id is None
    assert build(b'{"event_id": 4711}').event_id == "4711"


@pytest.mark.parametrize(
    "record",
    [
        b"\x00" * 262_144,
        b"\x00" * 2_000_000,
        b"x" * 262_144,
        b'"\\' * 300_000,
        "ä".encode() * 200_000,
        "😀".encode() * 100_000,
        b"\xff" * 2_000_000,
        b'{"ip":"203.0.113.7","a":"' + b"\\u0000" * 200_000 + b'"}',
        b"[" * 2_000_000,
    ],
)
def test_encoded_letter_keeps_to_256_kib_and_fills_it(record: bytes) -> None:
    """The limit counts the letter as it is written, escapes included."""
    letter = build(record, answer="\x00" * 5000, vendor="miso")
    size = len(encode_dead_letter(letter))
    assert 262_144 - 16 <= size <= 262_144
    assert letter.record_bytes == len(record)


def test_cut_record_is_a_beginning_of_the_whole() -> None:
    """Text is cut between characters, base64 between groups."""
    text = "ä\x00😀" * 60_000
    kept = build(text.encode()).record
    assert isinstance(kept, str)
    assert text.startswith(kept)
    raw = b"\xff\xfe\xfd\xfc" * 100_000
    coded = build(raw).record
    assert isinstance(coded, dict)
    assert raw.startswith(base64.b64decode(coded["base64"], validate=True))


@given(st.binary(max_size=300), st.text(max_size=50), st.text(max_size=3000))
def test_any_record_makes_a_letter_that_can_be_read_back(
    record: bytes, detail: str, answer: str
) -> None:
    """Whatever the bytes and words, the letter encodes, is small enough and decodes."""
    letter = build(record, detail=detail, answer=answer)
    encoded = encode_dead_letter(letter)
    assert len(encoded) <= 262_144
    assert msgspec.json.decode(encoded, type=DeadLetter) == letter


@pytest.mark.parametrize("record", ['ä"\\' * 20_000, "x" * 60_000])
def test_a_letter_is_shortened_to_what_its_topic_takes(record: str) -> None:
    """Its record is cut; how long that was is kept, and so is everything else."""
    letter = build(record.encode())
    whole = encode_dead_letter(letter)
    short = shorten_letter(whole, 10_000)
    assert short is not None
    assert 9_980 < len(short) <= 10_000
    found = msgspec.json.decode(short, type=DeadLetter)
    assert record.startswith(str(found.record))
    assert found == msgspec.structs.replace(letter, record=found.record)
    assert found.record_bytes == len(record.encode())


def test_bytes_that_are_no_text_are_shortened_as_base64() -> None:
    """To a whole number of its groups."""
    short = shorten_letter(encode_dead_letter(build(b"\xff" * 60_000)), 5_000)
    assert short is not None
    assert 4_980 < len(short) <= 5_000
    kept = msgspec.json.decode(short)["record"]["base64"]
    assert set(base64.b64decode(kept)) == {0xFF}


def test_a_letter_that_is_too_long_without_its_record_is_not_shortened() -> None:
    """It waits, and says so."""
    assert shorten_letter(encode_dead_letter(build(b"", detail="d" * 900)), 800) is None


def test_a_letter_has_the_id_that_the_record_names() -> None:
    """Under the shop's own name where a field map says so, and in JSON that is damaged."""
    mapped = FieldMap({"event_id": "meta.uuid"})
    for record, fields in (
        (b'{"event_id": "e-7"}', None),
        (b'{"meta": {"uuid": "e-7"}, "event_id": "other"}', mapped),
        (b'{"event_id": "e-7", "timestamp": }', None),
    ):
        letter = build_dead_letter(
            stage="enrich",
            reason="invalid_json",
            detail="d",
            source=Origin("shop.clicks", 0, 0, 0),
            record=record,
            at="2026-01-01T00:00:00.000Z",
            fields=fields,
        )
        assert letter.event_id == "e-7"


def test_causes_of_the_same_field_have_fingerprints_of_their_own() -> None:
    """Or the advice for one is given for all."""
    letters = {
        build_dead_letter(
            stage="enrich",
            reason="invalid_field",
            detail="d",
            field="timestamp",
            cause=cause,
            source=Origin("shop.clicks", 0, 0, 0),
            record=b"{}",
            at="2026-01-01T00:00:00.000Z",
        ).fingerprint
        for cause in ("", "missing", "out of range", "expression")
    }
    assert len(letters) == 4


MANY = b'"bulk":[%b1]' % (b"[]," * 6_000)
"""More values than are looked at one by one in a record."""


@pytest.mark.parametrize("ip", ['"203.0.113.7"', '["203.0.113.7"]', '{"v4":"203.0.113.7"}'])
@pytest.mark.parametrize("name", ["ip", r"\u0069p", r"i\u0070"])
def test_ip_beside_many_values_is_masked(name: str, ip: str) -> None:
    """However it is spelt; the rest of the record is kept, and its id is found."""
    record = f'{{"deep":[{{"{name}" : {ip}}}],"event_id":"e-1",{MANY.decode()}}}'
    letter = build(record.encode())
    assert letter.record == f'{{"deep":[{{"ip":"***"}}],"event_id":"e-1",{MANY.decode()}}}'
    assert letter.event_id == "e-1"


def test_ip_of_a_field_map_beside_many_values_is_masked() -> None:
    """Where only all values together would say which it is, nothing of the record is kept."""
    record = b'{"client":{"addr":"203.0.113.7"},"n":17,"log":["203.0.113.7"],%b}' % MANY
    kept = build(record, fields=FieldMap({"ip": "client.addr", "event_id": "n"}))
    assert kept.event_id == "17"
    assert kept.record == record.decode().replace("203.0.113.7", "***")
    for expression in ("bulk[0].addr || client.addr", "*.addr | [0]"):
        assert build(record, fields=FieldMap({"ip": expression})).record == ""


def test_of_many_addresses_the_first_are_shown_in_part() -> None:
    """All are masked."""
    record = b'{"a":[%b{"ip":"203.0.113.7"}]}' % (b'{"ip":"203.0.113.7"},' * 3_000)
    kept = str(build(record).record)
    assert "203.0.113.0" in kept
    assert "***" in kept
    assert "203.0.113.7" not in kept
