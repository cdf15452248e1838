"""How much memory a worker uses and may use."""

from pathlib import Path

from streams.engine.memory import container_limit, memory_bytes

MIB = 2**20


def test_it_knows_what_this_process_uses() -> None:
    """Some MiB, as any Python does."""
    assert memory_bytes() > 5 * 2**20


def test_of_a_containers_limit_nine_tenths_may_be_used(tmp_path: Path) -> None:
    """The first file that tells one counts; no limit is no number or a huge one."""
    absent, unlimited, huge, limited = (tmp_path / name for name in "abcd")
    unlimited.write_text("max\n")
    huge.write_text("9223372036854771712\n")
    limited.write_text("1000\n")
    assert container_limit((absent, unlimited, huge)) is None
    for limit, may in ((10_000 * MIB, 9_000), (1_024 * MIB, 896), (200 * MIB, 100)):
        limited.write_text(f"{limit}\n")
        assert container_limit((absent, unlimited, limited)) == may * MIB
