"""Avro values as field maps see them, and bytes that their schema does not describe."""

import json
import subprocess
import sys
import uuid
from base64 import b64encode
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.errors import InvalidEvent
from streams.core.ingest.avro import AvroSchema, SchemaError
from streams.core.strict_json import check_bounds

MOMENT = datetime(2026, 3, 1, 12, 0, 0, 123000, tzinfo=UTC)
PRICE = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}


def written(schema: Any, value: Any) -> bytes:
    """What fastavro, which knows nothing of us, writes for a value."""
    out = BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return out.getvalue()


def read(schema: Any, value: Any) -> Any:
    """What we read of what fastavro wrote."""
    return AvroSchema(json.dumps(schema)).decode(written(schema, value))


def record(**fields: Any) -> dict[str, Any]:
    """A record schema with these fields."""
    parts = [{"name": name, "type": kind} for name, kind in fields.items()]
    return {"type": "record", "name": "Click", "namespace": "shop", "fields": parts}


@pytest.mark.parametrize(
    ("schema", "given_value", "seen"),
    [
        ({"type": "long", "logicalType": "timestamp-millis"}, MOMENT, 1772366400123),
        ({"type": "long", "logicalType": "timestamp-micros"}, MOMENT, 1772366400123000),
        (
            {"type": "long", "logicalType": "timestamp-nanos"},
            1772366400123000001,
            1772366400123000001,
        ),
        ({"type": "int", "logicalType": "date"}, date(2026, 3, 1), 20513),
        (PRICE, Decimal("19.90"), 19.9),
        (PRICE, Decimal("-20.00"), -20),
        ({**PRICE, "precision": 30, "scale": 0}, Decimal(2**63), 2**63),
        ({**PRICE, "precision": 40, "scale": 0}, Decimal(10**30), 1e30),
        (
            {"type": "fixed", "name": "Price", "size": 8} | {**PRICE, "type": "fixed"},
            Decimal("0.05"),
            0.05,
        ),
        (
            {"type": "string", "logicalType": "uuid"},
            uuid.UUID("0b7e1a52-26f1-4d2a-9c1e-0a7f6d1f2a10"),
            "0b7e1a52-26f1-4d2a-9c1e-0a7f6d1f2a10",
        ),
        (
            {"type": "fixed", "name": "Id", "size": 16, "logicalType": "uuid"},
            uuid.UUID("0b7e1a52-26f1-4d2a-9c1e-0a7f6d1f2a10").bytes,
            "0b7e1a52-26f1-4d2a-9c1e-0a7f6d1f2a10",
        ),
        ("bytes", b"\x00\xff", "AP8="),
        ({"type": "fixed", "name": "Hash", "size": 3}, b"abc", "YWJj"),
        ({"type": "array", "items": "bytes"}, [b"a"], ["YQ=="]),
        (
            {"type": "map", "values": ["null", "bytes"]},
            {"a": b"a", "b": None},
            {"a": "YQ==", "b": None},
        ),
        (["null", "string"], "x", "x"),
        (["null", "string"], None, None),
        ("string", "Schuhe ☃", "Schuhe ☃"),
        ({"type": "enum", "name": "Kind", "symbols": ["click", "cart"]}, "cart", "cart"),
    ],
)
def test_values_read_as_json_values(schema: Any, given_value: Any, seen: Any) -> None:
    """Alone and as a field of a record."""
    assert read(schema, given_value) == seen
    assert type(read(schema, given_value)) is type(seen)
    assert read(record(field=schema), {"field": given_value}) == {"field": seen}


def test_named_types_are_read_wherever_they_are_named_again() -> None:
    """The second time a schema gives only the name."""
    money = {"type": "record", "name": "Money", "fields": [{"name": "amount", "type": PRICE}]}
    schema = record(
        price=money, before=["null", "Money"], hash={"type": "fixed", "name": "H", "size": 2}
    )
    schema["fields"].append({"name": "other", "type": "shop.H"})
    value = {
        "price": {"amount": Decimal("9.99")},
        "before": {"amount": Decimal("12.00")},
        "hash": b"ab",
        "other": b"cd",
    }
    assert read(schema, value) == {
        "price": {"amount": 9.99},
        "before": {"amount": 12},
        "hash": "YWI=",
        "other": "Y2Q=",
    }


def test_a_schema_may_refer_to_others() -> None:
    """As references in the registry do."""
    money = json.dumps(
        {
            "type": "record",
            "namespace": "shop",
            "name": "Money",
            "fields": [{"name": "amount", "type": PRICE}],
        }
    )
    click = record(price="shop.Money")
    whole = record(price=json.loads(money))
    data = written(whole, {"price": {"amount": Decimal("1.50")}})
    assert AvroSchema(json.dumps(click), [money]).decode(data) == {"price": {"amount": 1.5}}
    with pytest.raises(SchemaError, match=r"refers to shop\.Money, which is not defined"):
        AvroSchema(json.dumps(click))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("<html>", "not valid JSON"),
        ('{"type": "record"}', "no name"),
        ('"nothing"', "refers to nothing"),
        ('{"type": "array", "items": "null"}', "items take no bytes"),
        (json.dumps(record(a={"type": "array", "items": record()})), "items take no bytes"),
        ("7", "7 is no type"),
        ("[" * 500 + "]" * 500, "nested"),
    ],
)
def test_what_is_no_schema_says_why(text: str, why: str) -> None:
    """The words become the detail of a dead letter."""
    with pytest.raises(SchemaError, match=why):
        AvroSchema(text)


EVENT = record(
    id="string",
    at="long",
    price=["null", PRICE],
    tags={"type": "array", "items": "string"},
    n="double",
)
EVENT_BYTES = written(
    EVENT, {"id": "e-1", "at": 5, "price": Decimal("1.00"), "tags": ["a", "b"], "n": 0.5}
)


@pytest.mark.parametrize("size", range(len(EVENT_BYTES)))
def test_a_value_that_ends_early_does_not_fit(size: int) -> None:
    """Wherever it ends."""
    with pytest.raises(InvalidEvent, match="is not what its Avro schema says") as caught:
        AvroSchema(json.dumps(EVENT)).decode(EVENT_BYTES[:size])
    assert caught.value.reason == "invalid_avro"


def test_bytes_after_the_value_do_not_fit() -> None:
    """The record was written with another schema."""
    with pytest.raises(InvalidEvent, match="3 bytes follow the value"):
        AvroSchema(json.dumps(EVENT)).decode(EVENT_BYTES + b"abc")


def test_a_number_that_is_none_does_not_fit() -> None:
    """JSON has no NaN."""
    with pytest.raises(InvalidEvent, match="not finite"):
        read("double", float("nan"))


CHAIN = {
    "type": "record",
    "name": "Category",
    "fields": [{"name": "name", "type": "string"}, {"name": "above", "type": ["null", "Category"]}],
}


def test_a_recursive_schema_is_read_to_a_bounded_depth() -> None:
    """The compiled reader ends the process over such a record: a crash at every restart."""
    one = {"name": "Shoes", "above": {"name": "Clothes", "above": None}}
    assert read(CHAIN, one) == one
    # fastavro's compiled reader would end the process here.
    program = (
        "import sys, json; from streams.core.ingest.avro import AvroSchema\n"
        "from streams.core.errors import InvalidEvent\n"
        "try: AvroSchema(sys.argv[1]).decode(b'\\x00\\x02' * 1_000_000 + b'\\x00\\x00')\n"
        "except InvalidEvent as e: print(e)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, json.dumps(CHAIN)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "nested too deeply" in run.stdout


def test_a_record_of_5_mb_is_read() -> None:
    """Its size is judged elsewhere."""
    big = "x" * 5_000_000
    assert read(record(a="string"), {"a": big}) == {"a": big}


SCHEMAS = st.recursive(
    st.sampled_from(
        [
            *("null", "boolean", "int", "long", "float", "double", "bytes", "string"),
            PRICE,
            {"type": "long", "logicalType": "timestamp-micros"},
            {"type": "string", "logicalType": "uuid"},
        ]
    ),
    lambda inner: st.one_of(
        inner.filter(lambda s: s != "null").map(lambda s: {"type": "array", "items": s}),
        inner.map(lambda s: {"type": "map", "values": s}),
        inner.filter(lambda s: type(s) is not list and s != "null").map(lambda s: ["null", s]),
    ),
    max_leaves=5,
)


@given(st.lists(SCHEMAS, min_size=1, max_size=4), st.binary(max_size=60))
def test_any_bytes_are_json_values_or_do_not_fit(schemas: list[Any], data: bytes) -> None:
    """Nothing else is raised."""
    schema = AvroSchema(json.dumps(record(**{f"f{n}": one for n, one in enumerate(schemas)})))
    with suppress(InvalidEvent):
        value = schema.decode(data)
        check_bounds(value)
        json.dumps(value)


@given(st.binary(max_size=40))
def test_any_bytes_are_base64(data: bytes) -> None:
    """With padding, as RFC 4648 has it."""
    assert read("bytes", data) == b64encode(data).decode()


@given(st.integers(-(10**17), 10**17), st.integers(0, 12))
def test_decimals_are_the_numbers_that_json_has(unscaled: int, scale: int) -> None:
    """A producer of JSON would have written the same number."""
    number = Decimal(unscaled).scaleb(-scale)
    schema = {**PRICE, "precision": 18, "scale": scale}
    assert read(schema, number) == json.loads(str(number), parse_float=float)
