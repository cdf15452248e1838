"""Table rows: contract §3."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.rows import InvalidRow, Product, User, decode_product, decode_user, strip_email

GUID = "3f0b6c1e-8f0a-4d6e-9b60-2f4f9d6f1a11"


def test_whole_user_row_is_read() -> None:
    """Every field arrives; unknown ones are ignored."""
    row = {
        "user_id": "u-77",
        "contact_id": GUID,
        "custom_key": "k-1",
        "email": "a@example.org",
        "consent": {"miso": True, "voyado": False},
        "updated_at": "2026-11-20T10:00:00Z",
        "segment": {"a": [1]},
    }
    assert decode_user(json.dumps(row).encode()) == User(
        "u-77", GUID, "k-1", "a@example.org", {"miso": True, "voyado": False},
        "2026-11-20T10:00:00Z",
    )  # fmt: skip


def test_empty_and_null_fields_of_a_user_are_in_shape() -> None:
    """Nothing is required; an empty string counts as absent."""
    assert decode_user(b"{}") == User()
    row = b'{"user_id":"","contact_id":"","email":null,"consent":{"miso":null}}'
    assert decode_user(row) == User(user_id="", contact_id="", consent={"miso": None})


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"user_id":77}',
        b'{"contact_id":"17"}',
        b'{"consent":true}',
        b'{"consent":{"miso":"yes"}}',
        b'{"user_id":"\xff"}',
        b'{"other":"\xff"}',
        b'{"a":' + b"[" * 100_000,
        json.dumps({"user_id": "u" * 513}).encode(),
    ],
)
def test_user_row_out_of_shape_is_invalid(value: bytes) -> None:
    """Whatever is wrong with it, the error is InvalidRow."""
    with pytest.raises(InvalidRow, match="the user row is out of shape"):
        decode_user(value)


def test_whole_product_row_is_read() -> None:
    """A catalogue row with everything in it."""
    row = {
        "sku": "8S-1042",
        "product_group_id": "8S-10",
        "name": "Shirt",
        "brand": "Acme",
        "category": ["Men", "Shirts"],
        "price": 19.9,
        "currency": "EUR",
        "stock": 5,
    }
    assert decode_product(json.dumps(row).encode()) == Product(
        "8S-1042", "8S-10", "Shirt", "Acme", ["Men", "Shirts"], 19.9, "EUR"
    )
    assert decode_product(b'{"sku":"8S-1","name":""}') == Product("8S-1", name="")


@pytest.mark.parametrize(
    "value",
    [b"{}", b'{"sku":""}', b'{"sku":5}', b'{"sku":"a","category":"Men"}', b"\xff", b"",
     b'{"sku":"a","price":-1}', b'{"sku":"a","x":"\xff"}'],
)  # fmt: skip
def test_product_row_out_of_shape_is_invalid(value: bytes) -> None:
    """Without a sku there is no product."""
    with pytest.raises(InvalidRow, match="the product row is out of shape"):
        decode_product(value)


def test_email_is_stripped_with_all_that_is_not_ours() -> None:
    """What remains is the row without addresses, however they were written."""
    row = b'{"user_id":"u-77","\\u0065mail":"a@example.org","backup_mail":"b@example.org",'
    row += b'"consent":{"miso":false}}'
    assert strip_email(row) == b'{"user_id":"u-77","consent":{"miso":false}}'


def test_stripped_row_out_of_shape_stays_out_of_shape() -> None:
    """It still says no to every vendor, and holds no address."""
    stripped = strip_email(b'{"email":"a@example.org","consent":true}')
    assert stripped == b"null"
    with pytest.raises(InvalidRow):
        decode_user(stripped)


rows: Any = st.dictionaries(
    st.sampled_from(["user_id", "email", "consent", "updated_at", "x"]),
    st.none() | st.text(max_size=5) | st.integers() | st.dictionaries(
        st.sampled_from(["miso", "voyado"]), st.booleans()
    ),
)  # fmt: skip


@given(st.binary(max_size=60) | rows.map(lambda row: json.dumps(row).encode()))
def test_stripping_changes_nothing_but_the_email(value: bytes) -> None:
    """Any bytes decode to the same row as before, without its e-mail, or stay invalid."""
    try:
        before = decode_user(value)
    except InvalidRow:
        with pytest.raises(InvalidRow):
            decode_user(strip_email(value))
        return
    after = decode_user(strip_email(value))
    assert after == User(
        before.user_id, before.contact_id, before.custom_key, None, before.consent,
        before.updated_at,
    )  # fmt: skip
