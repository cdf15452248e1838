"""What is kept of runs that nobody works at."""

from streams.core.runs import DONE, Asked, Run, VendorPart
from streams.replay.replay import refresh_part
from streams.settings import load_settings
from tests.operations.log_reader_in_memory import LogsInMemory

SETTINGS = load_settings({"STREAMS_MISO_API_KEY": "secret"})


async def test_partitions_that_do_not_exist_any_more_keep_no_run_open() -> None:
    """Topics were recreated with fewer; asking for the others would keep every new run away."""
    part = VendorPart(
        "miso", written_to={"0": 0, "9": 5}, receipts_from={"0": 0, "9": 4}, all_written=True
    )
    run = Run("r-1", Asked("replay", 1, 2), "", "", parts=[part])
    await refresh_part(SETTINGS, LogsInMemory(), run, part)  # type: ignore[arg-type]
    assert (part.written_to, part.receipts_from) == ({"0": 0}, {"0": 0})
    assert part.state == DONE
    assert part.receipt is not None
