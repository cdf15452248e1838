"""Rows as the enrichment's tables take them: what was put right is counted."""

from collections import Counter

import pytest

from streams.core.rows import InvalidRow
from streams.stages.enrich.joined_rows import admit_product, admit_user


def test_fields_left_out_of_rows_are_counted_by_table_and_field() -> None:
    """Apart from those of events, which have fields of the same names."""
    notes: Counter[str] = Counter()
    users, products = admit_user(notes, keep_email=True), admit_product(notes)
    users(b'{"user_id":"u-1","contact_id":"17"}')
    products(b'{"sku":"S-1","price":"1.299,00","category":"Men"}')
    products(b'{"sku":"S-2","price":-1}')
    products(b'{"sku":"null"}')
    assert notes == {
        "left_out:users.contact_id": 1,
        "left_out:products.price": 2,
        "left_out:products.category": 1,
        "suspicious_id": 1,
    }


def test_a_row_is_kept_as_it_is_but_for_the_email() -> None:
    """Where no vendor looks contacts up by it."""
    row = b'{"email":"a@example.org","consent":{"miso":true},"consent_since":1795168800000}'
    assert admit_user(Counter(), keep_email=True)(row) == row
    assert admit_user(Counter(), keep_email=False)(row) == (
        b'{"consent":{"miso":true},"consent_since":1795168800000}'
    )


def test_a_malformed_row_is_admitted_by_neither() -> None:
    """The table then keeps the word for it."""
    for admit in (admit_user(Counter(), keep_email=True), admit_product(Counter())):
        with pytest.raises(InvalidRow):
            admit(b'{"Consent":{}}')
