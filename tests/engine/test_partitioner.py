"""Where keys belong, and rows that lie elsewhere."""

from aiokafka.partitioner import murmur2 as reference
from hypothesis import given
from hypothesis import strategies as st

from streams.engine.partitioner import ALWAYS_LOOKED_AT, ONE_IN, Strays, home_of, murmur2


def test_a_key_belongs_where_kafkas_default_partitioner_puts_it() -> None:
    """The Java client's own examples of murmur2, -973932308 and -790332482, without their sign."""
    assert home_of(b"21", 2**31) == 1_173_551_340
    assert home_of(b"foobar", 2**31) == 1_357_151_166
    assert home_of(b"foobar", 6) == 0


@given(st.binary(max_size=70))
def test_hash_is_aiokafkas_own(key: bytes) -> None:
    """Whatever the length of the key."""
    assert murmur2(key) == reference(key) & 0xFFFFFFFF


def keys(partition: int, count: int, of: int) -> list[bytes]:
    """So many keys that belong on this one of so many partitions."""
    found: list[bytes] = []
    number = 0
    while len(found) < count:
        key = b"v-%d" % number
        number += 1
        if home_of(key, of) == partition:
            found.append(key)
    return found


def test_a_row_away_from_home_is_a_stray_until_it_is_taken_away() -> None:
    """The first of all is told apart, for the log."""
    strays = Strays(3)
    (home,), (first, second) = keys(0, 1, 3), keys(1, 2, 3)
    assert not strays.record(0, home, is_row=True)
    assert strays.record(0, first, is_row=True)
    assert not strays.record(0, second, is_row=True)
    assert not strays.record(0, second, is_row=True)
    assert len(strays) == 2
    assert not strays.record(0, second, is_row=False)
    assert len(strays) == 1
    strays.forget(0)
    assert len(strays) == 0


def test_of_many_rows_of_a_partition_a_part_is_looked_at() -> None:
    """A hash costs more than taking the row."""
    strays = Strays(2)
    for key in keys(1, ALWAYS_LOOKED_AT + 10 * ONE_IN, 2):
        strays.record(0, key, is_row=True)
    assert ALWAYS_LOOKED_AT + 8 <= len(strays) <= ALWAYS_LOOKED_AT + 12
