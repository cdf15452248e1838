"""A worker of a chaos run has a clock of its own that can be stepped."""

import subprocess
import sys
from pathlib import Path

from tests.chaos.worker import set_offset

PROGRAM = """
import sys
from pathlib import Path
from tests.chaos.worker import follow_offset, set_offset
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
from streams import wall_clock
print(round(wall_clock.now_ms() / 1e3 - true_ns() / 1e9))
"""


def test_a_step_shifts_the_time_of_day_at_once_and_no_other_clock(tmp_path: Path) -> None:
    """In a process of its own, since the clocks of this one must stay as they are."""
    path = tmp_path / "miso.clock"
    set_offset(path, 0.0)
    command = [sys.executable, "-c", PROGRAM, str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.stderr == ""
    assert ran.stdout.split("\n") == ["{0}", "{7200}", "{-259200} True", "-259200", ""]
