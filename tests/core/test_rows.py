"""Table rows, as docs/reference.md has them."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.rows import (
    InvalidRow,
    Product,
    User,
    decode_product,
    decode_user,
    person_in,
    strip_email,
)

VENDORS = ("eightselect", "voyado", "miso")
GUID = "3f0b6c1e-8f0a-4d6e-9b60-2f4f9d6f1a11"
COOKIE = "5b2e7c7e-6a0f-4b7e-9f3a-0b1c2d3e4f50"
NIL = "00000000-0000-0000-0000-000000000000"
YES = {"consent": {"miso": True}}
FULL_WIDTH = "\uff25\uff35\uff32"
"""EUR, in letters that only look like it."""


READERS: Mapping[str, Callable[[bytes], Any]] = {
    "user": lambda value: decode_user(value, VENDORS),
    "product": decode_product,
}


def user(row: Any) -> User:
    """Read a user row."""
    return decode_user(json.dumps(row).encode(), VENDORS)


def product(row: Any) -> Product:
    """Read a product row."""
    return decode_product(json.dumps(row).encode())


# -- users


def test_whole_user_row_is_read() -> None:
    """Every field arrives; unknown ones are ignored."""
    row = {
        "user_id": "u-77",
        "contact_id": GUID,
        "custom_key": "k-1",
        "email": "a@example.org",
        "eightselect_user_id": COOKIE,
        "consent": {"miso": True, "voyado": False},
        "consent_since": {"miso": "2026-11-20T11:00:00+01:00", "voyado": 1_795_168_800_001},
        "updated_at": "2026-11-20T10:00:00Z",
        "segment": {"a": [1]},
    }
    assert user(row) == User(
        "u-77",
        GUID,
        "k-1",
        "a@example.org",
        {"miso": True, "voyado": False},
        "2026-11-20T10:00:00Z",
        COOKIE,
        {"miso": "2026-11-20T11:00:00+01:00", "voyado": 1_795_168_800_001},
        {"miso": 1_795_168_800_000, "voyado": 1_795_168_800_001},
    )


@pytest.mark.parametrize("blank", [None, "", " ", "\t\n", "\u00a0", "\u3000"])
def test_what_is_blank_is_absent(blank: str | None) -> None:
    """In every field, without a note; a decision that is blank is none."""
    row = dict.fromkeys(
        ["user_id", "contact_id", "custom_key", "email", "eightselect_user_id", "updated_at"], blank
    )
    assert user(row | YES | {"consent_since": blank}) == User(consent={"miso": True})
    assert user({"consent": {"miso": True, "voyado": blank}}).consent in (
        {"miso": True},
        {"miso": True, "voyado": None},
    )
    assert user({"user_id": "u-1", "consent": blank}) == User("u-1")
    assert user(YES | {"consent_since": {"miso": blank}}).yes_from_ms == {}


def test_the_nil_uuid_is_absent() -> None:
    """Programs write it where they have no id."""
    assert user({"contact_id": NIL, "eightselect_user_id": NIL, "user_id": "u-1"}) == User("u-1")


def test_a_list_without_items_is_an_object_without_any() -> None:
    """Some languages know no difference; a list with items is none."""
    assert user({"user_id": "u-1", "consent": [], "consent_since": []}) == User("u-1")
    with pytest.raises(InvalidRow):
        user({"user_id": "u-1", "consent": [True]})


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"schema": None, "payload": None},
        {"schema": {"type": "struct"}, "payload": {"consent": {"miso": False}}},
        {"before": None, "after": {"consent": {"miso": False}}, "op": "u", "ts_ms": 1},
        {"Consent": {"miso": True}},
        {"userId": "u-1"},
        {"user_id": " ", "email": None},
        {"contact_id": NIL},
        {"contact_id": "17"},
        {"consent": []},
    ],
    ids=str,
)
def test_a_user_row_left_without_any_field_is_malformed(row: dict[str, Any]) -> None:
    """It was never meant for this table, or is wrapped in something: its no would go unheard."""
    with pytest.raises(InvalidRow, match="it has none of the fields user_id, contact_id, "):
        user(row)


def test_what_a_row_holds_instead_is_named() -> None:
    """By the names of its fields, of which a stranger's may be an address."""
    with pytest.raises(InvalidRow) as problem:
        user({"before": None, "after": {"consent": 1}, "ada@example.org": 2})
    assert str(problem.value) == (
        "the user row is out of shape: it has none of the fields user_id, contact_id, custom_key, "
        "email, consent, updated_at, eightselect_user_id, consent_since, but before, after, "
        "***"
    )


@pytest.mark.parametrize("name", ["Miso", "MISO", "8select", "eightSelect", " miso", ""])
@pytest.mark.parametrize("field", ["consent", "consent_since"])
def test_a_consent_for_an_unknown_vendor_is_malformed(name: str, field: str) -> None:
    """A misspelt no would be none."""
    said = {name: False if field == "consent" else "2026-11-20T10:00:00Z"}
    with pytest.raises(InvalidRow, match="vendors are eightselect, voyado, miso"):
        user({"user_id": "u-1"} | {field: said})


@pytest.mark.parametrize("said", [None, "", " "])
@pytest.mark.parametrize("other", [{}, {"user_id": 77}, {"email": 5}])
@pytest.mark.parametrize("field", ["consent", "consent_since"])
def test_an_unknown_vendor_is_malformed_also_where_nothing_is_said_about_it(
    field: str, other: dict[str, Any], said: str | None
) -> None:
    """However the rest of the row is read."""
    with pytest.raises(InvalidRow, match="vendors are eightselect, voyado, miso"):
        user({field: {"Miso": said}} | other)


@pytest.mark.parametrize(
    "consent", [True, "yes", 1, [1], {"miso": "yes"}, {"miso": 1}, {"miso": {}}]
)
def test_a_consent_out_of_shape_is_malformed(consent: Any) -> None:
    """Whatever else the row says."""
    with pytest.raises(InvalidRow, match="the user row is out of shape: consent: "):
        user({"user_id": "u-1", "consent": consent})


@pytest.mark.parametrize(
    "since",
    [
        "yesterday",
        "2026-11-20T10:00:00",
        "2026-11-20",
        "1795168800000",
        1_795_168_800,
        1_795_168_800_000_000,
        0,
        "1970-01-01T00:00:00Z",
        1_795_168_800_000.5,
        True,
        [1],
        {"miso": "yesterday"},
        {"miso": True},
        {"miso": 1_795_168_800},
    ],
)
def test_a_consent_since_out_of_shape_is_malformed(since: Any) -> None:
    """Seconds for milliseconds would let a yes count for everything."""
    with pytest.raises(InvalidRow, match="the user row is out of shape: consent_since: "):
        user(YES | {"consent_since": since})


@pytest.mark.parametrize("since", ["2026-11-20T10:00:00Z", 1_795_168_800_000, 1_795_168_800_000.0])
def test_one_consent_since_is_that_of_all_vendors(since: Any) -> None:
    """RFC 3339 or integer ms, however the integer is written."""
    at = 1_795_168_800_000
    assert user(YES | {"consent_since": since}).yes_from_ms == dict.fromkeys(VENDORS, at)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("user_id", {}),
        ("user_id", True),
        ("user_id", 7.5),
        ("user_id", "u" * 513),
        ("contact_id", "17"),
        ("contact_id", 17),
        ("custom_key", ["k"]),
        ("email", 5),
        ("eightselect_user_id", "abc"),
        ("updated_at", "yesterday"),
        ("updated_at", False),
    ],
)
def test_any_other_field_out_of_shape_is_left_out_and_noted(field: str, value: Any) -> None:
    """The row's consent holds all the same."""
    read = user({"user_id": "u-1"} | YES | {field: value})
    assert read.notes == (f"left_out:{field}",)
    assert getattr(read, field) is None
    assert read.consent == {"miso": True}


@pytest.mark.parametrize("given", [77, 77.0])
def test_an_id_may_be_an_integer(given: Any) -> None:
    """Its decimal text counts, however the number is written."""
    read = user({"user_id": given, "custom_key": given})
    assert (read.user_id, read.custom_key, read.notes) == ("77", "77", ())
    made = product({"sku": given, "product_group_id": given})
    assert (made.sku, made.product_group_id, made.notes) == ("77", "77", ())


def test_an_id_that_reads_like_none_is_noted() -> None:
    """Whoever has it is many people at once."""
    assert user({"user_id": "null"}) == User("null", notes=("suspicious_id",))
    assert product({"sku": "undefined"}).notes == ("suspicious_id",)


def test_half_a_surrogate_pair_becomes_a_replacement_character_and_is_noted() -> None:
    """As in events; a user's no must not be lost over it."""
    read = decode_user(b'{"custom_key":"k\\ud800","consent":{"miso":false}}', VENDORS)
    assert read == User(custom_key="k\ufffd", consent={"miso": False}, notes=("lone_surrogate",))
    made = decode_product(b'{"sku":"S","name":"\\udc00"}')
    assert made == Product("S", name="\ufffd", notes=("lone_surrogate",))


def test_fields_that_the_decoder_sets_cannot_be_brought_along() -> None:
    """They are none of the shop's."""
    row = {"user_id": "u-1", "notes": ["x"], "yes_from_ms": {"miso": 5}}
    assert user(row) == User("u-1")
    assert product({"sku": "s", "notes": ["x"]}) == Product("s")


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"user_id":"\xff"}',
        b'{"other":"\xff","user_id":"u"}',
        b'{"a":' + b"[" * 100_000,
    ],
)
def test_what_is_no_json_object_is_malformed(value: bytes) -> None:
    """Whatever is wrong with it, the error is InvalidRow."""
    for what, read in READERS.items():
        with pytest.raises(InvalidRow, match=f"the {what} row is out of shape"):
            read(value)
    with pytest.raises(InvalidRow, match="the user row is out of shape"):
        person_in(value)


def test_a_malformed_row_names_the_person_all_the_same() -> None:
    """For those who look for somebody's events or delete them."""
    row = {"user_id": 7, "eightselect_user_id": COOKIE, "email": "a@b.c", "consent": {"Miso": 1}}
    assert person_in(json.dumps(row).encode()) == User("7", eightselect_user_id=COOKIE)


# -- products


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
        "attributes": {"colour": "red", "weight": 1.5, "stock": 3, "new": True},
        "stock": 5,
    }
    assert product(row) == Product(
        "8S-1042",
        "8S-10",
        "Shirt",
        "Acme",
        ["Men", "Shirts"],
        19.9,
        "EUR",
        {"colour": "red", "weight": 1.5, "stock": 3, "new": True},
    )


@pytest.mark.parametrize("row", [{}, {"sku": ""}, {"sku": " "}, {"sku": None}, {"sku": []}])
def test_a_product_without_a_sku_is_malformed(row: dict[str, Any]) -> None:
    """There is nothing to be sent of it."""
    with pytest.raises(InvalidRow, match="the product row is out of shape: it has no sku"):
        product(row | {"name": "Shirt"})


@pytest.mark.parametrize("sku", [True, {}, ["S"], 7.5, "s" * 513])
def test_a_sku_out_of_shape_is_malformed(sku: Any) -> None:
    """It cannot be left out."""
    with pytest.raises(InvalidRow, match="the product row is out of shape: "):
        product({"sku": sku or {"a": 1}})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("product_group_id", ["G"]),
        ("name", 5),
        ("brand", {}),
        ("category", "Men/Shirts"),
        ("category", ["Men", None]),
        ("category", ["Men", 5]),
        ("price", "1.299,00 \u20ac"),
        ("price", -1),
        ("price", True),
        ("price", 1e14),
        *(("currency", odd) for odd in (978, "eur", "EURO", "€", "EUR ", "EUR\n", FULL_WIDTH)),
        ("currency", ["EUR"]),
        ("attributes", "red"),
        ("attributes", {"sizes": ["S", "M"]}),
    ],
)
def test_a_products_field_out_of_shape_is_left_out_and_noted(field: str, value: Any) -> None:
    """The SKU is good, so the event goes out without this one field."""
    made = product({"sku": "S-1", "name": "Shirt"} | {field: value})
    assert made == Product("S-1", name=None if field == "name" else "Shirt", notes=made.notes)
    assert made.notes == (f"left_out:{field}",)


REFUSED = ["1e400", "-1e400", '{"a":1e400}', "[[1e400]]", '{"a":1e400,"b":"\\ud800"}']
"""JSON that holds a number out of range."""


@pytest.mark.parametrize("value", [*REFUSED, "[" * 200 + "]" * 200])
@pytest.mark.parametrize("field", ["name", "category", "price", "attributes"])
def test_a_products_field_with_what_strict_json_refuses_is_left_out(field: str, value: str) -> None:
    """The rest of the row stands; nothing is said of a field that is none of ours."""
    read = decode_product(f'{{"{field}":{value},"sku":"S"}}'.encode())
    assert read.sku == "S"
    assert getattr(read, field) is None
    assert f"left_out:{field}" in read.notes
    unknown = decode_product(f'{{"zz":{value},"sku":"S","name":7}}'.encode())
    assert (unknown.sku, "left_out:name" in unknown.notes) == ("S", True)


@pytest.mark.parametrize("value", REFUSED)
@pytest.mark.parametrize("field", ["user_id", "contact_id", "email", "updated_at"])
def test_a_users_field_with_a_number_out_of_range_is_left_out(field: str, value: str) -> None:
    """The no stands."""
    read = decode_user(f'{{"consent":{{"miso":false}},"{field}":{value}}}'.encode(), VENDORS)
    assert read.consent == {"miso": False}
    assert getattr(read, field) is None
    assert f"left_out:{field}" in read.notes


@pytest.mark.parametrize("value", [*REFUSED, '{"miso":1e400}'])
@pytest.mark.parametrize("field", ["consent", "consent_since", "sku"])
def test_a_number_out_of_range_where_the_row_depends_on_it_is_malformed(
    field: str, value: str
) -> None:
    """The field is named; what is no yes stays none."""
    read = READERS["product" if field == "sku" else "user"]
    with pytest.raises(InvalidRow, match=f"out of shape: {field}"):
        read(f'{{"{field}":{value},"user_id":"u"}}'.encode())


@pytest.mark.parametrize(
    "value", [b'{"sku":"S","price":1e400', b'{"sku":"S","zz":"\xff","price":1e400}', b"[1e400]"]
)
def test_what_is_no_json_object_is_malformed_whatever_numbers_it_holds(value: bytes) -> None:
    """Field by field is no way round the rules for the whole."""
    with pytest.raises(InvalidRow, match="out of shape"):
        decode_product(value)


def test_what_is_blank_in_a_product_is_absent() -> None:
    """In lists and objects, too."""
    blank = {"name": " ", "brand": "", "currency": None, "price": "", "attributes": {"a": " "}}
    assert product({"sku": "S", "category": ["Men", " "]} | blank) == Product(
        "S", category=["Men"], attributes={}
    )
    for nothing in ([], "", [" "]):
        assert product({"sku": "S", "category": nothing}) == Product("S")


# -- without e-mail


def test_email_is_stripped_with_all_that_is_not_ours() -> None:
    """What remains is the row without addresses, however they were written."""
    row = b'{"user_id":"u-77","\\u0065mail":"a@example.org","backup_mail":"b@example.org",'
    row += b'"consent":{"miso":false}}'
    assert strip_email(row, VENDORS) == b'{"user_id":"u-77","consent":{"miso":false}}'


def test_stripped_row_out_of_shape_stays_out_of_shape() -> None:
    """It still says no to every vendor, and holds no address."""
    stripped = strip_email(b'{"email":"a@example.org","consent":true}', VENDORS)
    assert stripped == b"null"
    with pytest.raises(InvalidRow):
        decode_user(stripped, VENDORS)


rows: Any = st.dictionaries(
    st.sampled_from(["user_id", "email", "consent", "consent_since", "updated_at", "x"]),
    st.none() | st.text(max_size=5) | st.integers() | st.just("2026-11-20T10:00:00Z")
    | st.just("null") | st.dictionaries(
        st.sampled_from(["miso", "voyado"]), st.booleans()
    ),
)  # fmt: skip


@given(st.binary(max_size=60) | rows.map(lambda row: json.dumps(row).encode()))
def test_stripping_changes_nothing_but_the_email(value: bytes) -> None:
    """Any bytes decode to the same row as before, without its e-mail, or stay invalid."""
    try:
        before = decode_user(value, VENDORS)
    except InvalidRow:
        with pytest.raises(InvalidRow):
            decode_user(strip_email(value, VENDORS), VENDORS)
        return
    after = decode_user(strip_email(value, VENDORS), VENDORS)
    assert after.email is None
    assert after.notes == tuple(note for note in before.notes if note.startswith("suspicious"))
    for name in ("user_id", "consent", "updated_at", "consent_since", "yes_from_ms"):
        assert (getattr(after, name) or None) == (getattr(before, name) or None)


def test_a_row_that_says_nothing_but_its_email_stays_a_good_one() -> None:
    """In mode ``assumed`` its visitor's events are sent."""
    assert strip_email(b'{"email":"a@example.org"}', VENDORS) == b'{"consent":{}}'


wide = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
fields = st.dictionaries(
    st.sampled_from([f.name for kind in (User, Product) for f in msgspec.structs.fields(kind)]),
    wide,
)


@given(fields)
def test_whatever_a_field_holds_a_row_is_read_or_malformed(row: dict[str, Any]) -> None:
    """No other error, and what is read never breaks its own type."""
    value = json.dumps(row).encode()
    for read_row in READERS.values():
        try:
            read = read_row(value)
        except InvalidRow:
            continue
        kept = msgspec.structs.replace(read, notes=())
        if type(kept) is User:
            kept = msgspec.structs.replace(kept, yes_from_ms={})
        assert msgspec.convert(msgspec.to_builtins(kept), type(kept)) == kept


@pytest.mark.parametrize("value", [b"null", b"[]", b"17", b'"text"'])
def test_a_row_that_is_no_object_is_named(value: bytes) -> None:
    """In the same words for both tables."""
    with pytest.raises(InvalidRow, match="user row is out of shape: it is not a JSON object"):
        decode_user(value, VENDORS)
    with pytest.raises(InvalidRow, match="product row is out of shape: it is not a JSON object"):
        decode_product(value)


def test_bulk_in_a_row_takes_nothing_but_its_own_field() -> None:
    """What is none of our fields is passed over."""
    bulk = ",".join(["1e19"] * 10_001)
    read = decode_product(f'{{"zz":[{bulk}],"sku":17.0,"category":[{bulk}]}}'.encode())
    assert read == Product("17", notes=("left_out:category",))
    read_user = decode_user(f'{{"zz":[{bulk}],"custom_key":17.0}}'.encode(), VENDORS)
    assert read_user.custom_key == "17"
    with pytest.raises(InvalidRow, match="consent: more than 8,000 values"):
        decode_user(f'{{"consent":[{bulk}]}}'.encode(), VENDORS)
