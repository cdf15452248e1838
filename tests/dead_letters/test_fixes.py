"""Each letter gets the sentence that most likely helps."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.errors import InvalidEvent
from streams.core.events import EventParser
from streams.core.fields import FieldMap
from streams.core.outcome import DeadLetterReason
from streams.dead_letters.fixes import UNKNOWN, likely_fix

OWNERS = ("ingest", "enrich", "eightselect", "voyado", "miso")


@pytest.mark.parametrize("owner", OWNERS)
@pytest.mark.parametrize("reason", DeadLetterReason)
def test_every_reason_has_a_sentence_for_everyone(owner: str, reason: str) -> None:
    """Even without a detail that says more."""
    fix = likely_fix(owner, reason, "")
    assert fix != UNKNOWN
    assert fix.endswith(".")


@given(st.sampled_from(OWNERS), st.sampled_from([*DeadLetterReason, "x"]), st.text())
def test_no_sentence_repeats_a_stranger(owner: str, reason: str, detail: str) -> None:
    """Whatever a letter says, the sentence is one of ours, on one line."""
    fix = likely_fix(owner, reason, detail, 422)
    assert fix.isprintable()
    assert fix == likely_fix(owner, reason, detail[:1_000], 422)
    assert "\n" not in fix


def test_an_unknown_reason_is_said_to_be_one() -> None:
    """A later version's letter, read by this one."""
    assert likely_fix("miso", "cosmic_rays", "") == (
        "There is no advice for this reason: look at the letter with `streams dead-letters show`."
    )


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        (b"v", b"", "without a value"),
        (b"v", b'{"a": "\xff"}', "UTF-8"),
        (b"v", b"[]", "one JSON object a record"),
        (b"v", b'{"a": 1e999}', "finite numbers"),
        (b"v", b'{"a": 123456789012345678901234567890}', "64 bits"),
        (b"v", b"[" * 200 + b"]" * 200, "less deeply nested"),
        (b"v", b"{'a': 1}", "strict JSON (RFC 8259)"),
        (b"v", b'{"anonymous_id": "v", "product_id": "p"}', "`timestamp` as RFC 3339"),
        (
            b"v",
            b'{"anonymous_id": "v", "product_id": "p", "timestamp": "2026-05-01 08:00"}',
            "`timestamp` as RFC 3339 with an offset, such as 2026-05-01T08:00:00Z",
        ),
        (
            b"v",
            b'{"anonymous_id": "v", "product_id": "p", "timestamp": 1777622400}',
            'if it sends seconds, set timestamp_format = "s"',
        ),
        (
            b"v",
            b'{"anonymous_id": "v", "timestamp": 1777622400000}',
            "send `product_id`; if the records have another name for it, map it",
        ),
        (
            b"v",
            b'{"anonymous_id": "v", "product_id": 7.5, "timestamp": 1777622400000}',
            "`product_id` as a string of 1 to 512 characters or an integer",
        ),
        (
            b"v",
            b'{"anonymous_id": "v", "product_id": "p", "timestamp": 1777622400000, "consent": 1}',
            "`consent` as an object",
        ),
        (
            b"v",
            b'{"anonymous_id": "v", "product_id": "p", "timestamp": 1777622400000, "event_id": []}',
            "`event_id` as a string of at most 128 characters or an integer",
        ),
        (
            b"v",
            b'{"anonymous_id": "v", "product_id": "p", "timestamp": 1777622400000000}',
            'microseconds are "us"',
        ),
        (
            b"v\xef\xbf\xbd",
            rb'{"anonymous_id": "v\ud800", "product_id": "p", "timestamp": 1777622400000}',
            "whole characters in `anonymous_id`",
        ),
        (
            b"other",
            b'{"anonymous_id": "v", "product_id": "p", "timestamp": 1777622400000}',
            "must use `anonymous_id` as the record's key",
        ),
        (b"v", b" " * 300_000, "at most 256 KiB"),
    ],
)
def test_what_enrichment_refuses_is_explained(key: bytes, value: bytes, words: str) -> None:
    """By the words of the parser itself, so that neither changes alone."""
    with pytest.raises(InvalidEvent) as caught:
        EventParser("click", "shop.clicks").parse(key, value, 0, 0, 1777622400000)
    assert words in likely_fix("enrich", caught.value.reason, caught.value.detail)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (FieldMap({"consent": "{miso: contains(groups, 'C4')}"}), "expression of the field map"),
        (FieldMap({"timestamp": "abs(at)"}, "s"), "expression of the field map"),
        (FieldMap({"timestamp": "day"}, "%Y%j"), "Correct timestamp_format"),
        (FieldMap({"timestamp": "day"}, ["s", "%Y%j"]), "Correct timestamp_format"),
        (FieldMap({"timestamp": "day"}, "us"), "Correct timestamp_format"),
    ],
)
def test_what_a_field_map_makes_of_a_record_is_explained(fields: FieldMap, words: str) -> None:
    """The person who can act is the one who wrote the map."""
    value = b'{"anonymous_id":"v","product_id":"p","timestamp":1777622400000,"day":"Monday"}'
    with pytest.raises(InvalidEvent) as caught:
        EventParser("click", "shop.clicks", fields).parse(b"v", value, 0, 0, 1777622400000)
    assert words in likely_fix("enrich", caught.value.reason, caught.value.detail)


@pytest.mark.parametrize(
    ("owner", "reason", "detail", "status", "words"),
    [
        ("miso", "rejected", "product_ids is invalid. The product is unknown.", 422, "catalogue"),
        ("miso", "rejected", "timestamp is invalid.", 422, "max_age_hours"),
        ("miso", "rejected", "anonymous_id is invalid.", 422, "an id of the visitor"),
        ("miso", "rejected", "miso_id is invalid.", 422, "UUID"),
        ("miso", "rejected", "quantities.0 is invalid.", 422, "`quantity`"),
        ("miso", "rejected", "context.page.url is invalid.", 422, "`page`"),
        ("miso", "rejected", "type is invalid.", 422, "click_type"),
        ("miso", "rejected", "record: extra fields", 422, "interaction schema"),
        ("miso", "rejected", "413", 413, "batch_bytes"),
        ("miso", "invalid_payload", "user_id: Miso takes at most 512 characters", None, "Shorten"),
        (
            "eightselect",
            "rejected",
            "/interact/product/sku must NOT have fewer than 1 characters",
            400,
            "refuses the sku",
        ),
        (
            "eightselect",
            "rejected",
            '/context/*/user/id must match format "uuid"',
            400,
            "_8s_cid",
        ),
        (
            "eightselect",
            "rejected",
            "/context/*/content/customSet/id must be string",
            400,
            "refuses the content",
        ),
        ("eightselect", "rejected", "/interact must be object", 400, "refuses this event"),
        ("eightselect", "rejected", "413", 413, "too large"),
        ("voyado", "rejected", "400 InvalidContactId contactId must be a GUID.", 400, "GUID"),
        ("voyado", "rejected", "400 InvalidCreatedDate", 400, "`timestamp`"),
        ("voyado", "rejected", "400 InvalidInteraction", 400, "voyado-schemas plan"),
        (
            "voyado",
            "rejected",
            "201 without an id, and the interaction was not stored",
            201,
            "stored nothing",
        ),
        (
            "voyado",
            "invalid_payload",
            "schema productClick: price is no number, as the schema wants it",
            None,
            "click_schema_id",
        ),
        ("voyado", "invalid_payload", "this is no interaction: no UTF-8", None, "Another program"),
        ("voyado", "unknown_contact", "404 ContactNotFound", 404, "deleted or merged"),
        ("ingest", "invalid_json", "more than 8,000 values in the fields", None, "split long"),
        ("ingest", "too_large", "the record has 5000079 bytes, more than", None, "at most 1 MiB"),
        ("ingest", "too_large", "the event has 262145 bytes", None, "the section's fields"),
        ("voyado", "too_large", "the record for voyado would have 1 bytes", None, "shorter texts"),
        ("miso", "invalid_json", "no vendor record: no UTF-8", None, "Only streams may write"),
        ("eightselect", "undeliverable", "403 Request blocked", 403, "firewall"),
        ("miso", "undeliverable", "no answer came", None, "resend"),
        ("miso", "defect", "KeyError: 'x'", None, "please report it"),
    ],
)
def test_what_a_vendor_refuses_is_explained(
    owner: str, reason: str, detail: str, status: int | None, words: str
) -> None:
    """By the field or the status that its words name."""
    assert words in likely_fix(owner, reason, detail, status)


def test_the_letters_of_one_group_are_explained_by_words_that_all_share() -> None:
    """The value in quotes differs from letter to letter; the sentence does not follow it."""
    sentences = {
        likely_fix("miso", "rejected", f"product_ids is invalid. The product '{sku}' is refused.")
        for sku in ("timestamp", "user_id", "type is invalid.", "\x1b[31m")
    }
    assert len(sentences) == 1
    assert re.match(r"The id is not in Miso's catalogue", sentences.pop())
