"""A worker of a chaos run has a clock of its own that can be stepped."""

import subprocess
import sys
from pathlib import Path

from tests.chaos.worker import set_offset

PROGRAM = """
import sys
from pathlib import Path
from tests.chaos.worker import follow_offset, set_offset, shift_records
import time
true_ns, path = time.time_ns, Path(sys.argv[1])
follow_offset(path)
def off():
    readings = time.time(), time.time_ns() / 1e9, time.clock_gettime(time.CLOCK_REALTIME)
    return {round(one - true_ns() / 1e9) for one in readings}
monotonic = time.monotonic()
print(off())
set_offset(path, 7200)
print(off())
set_offset(path, -259200)
print(off(), time.monotonic() - monotonic < 60)
from streams.engine import wall_clock
print(round(wall_clock.now_ms() / 1e3 - true_ns() / 1e9))
shift_records()
from aiokafka.producer.message_accumulator import BatchBuilder
builder = BatchBuilder(1000, 0, is_transactional=False)
written = builder.append(timestamp=None, key=None, value=b"x")
print(round(written.timestamp / 1e3 - true_ns() / 1e9))
"""


def test_a_step_shifts_the_time_of_day_at_once_and_no_other_clock(tmp_path: Path) -> None:
    """Records that are written bear it, too. In a process of its own: this one's clocks stay."""
    path = tmp_path / "miso.clock"
    set_offset(path, 0.0)
    command = [sys.executable, "-c", PROGRAM, str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.stderr == ""
    assert ran.stdout.split("\n") == ["{0}", "{7200}", "{-259200} True", "-259200", "-259200", ""]
