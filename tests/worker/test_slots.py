"""Slots: one worker each, held for the life of its process."""

import errno
import fcntl
import os
import stat
import subprocess
import sys
from io import FileIO
from pathlib import Path

import pytest

from streams.core.errors import SetupError
from streams.worker.slots import MAX_SLOTS, take_slot


def test_the_lowest_free_slot_is_taken(tmp_path: Path) -> None:
    """Of each stage for itself; a slot that is given up is free again."""
    state = tmp_path / "a" / "state"
    first, second = take_slot(state, "enrich", None), take_slot(state, "enrich", None)
    other = take_slot(state, "miso", None)
    assert [first.number, second.number, other.number] == [0, 1, 0]
    first.release()
    again = take_slot(state, "enrich", None)
    assert again.number == 0
    for slot in (again, second, other):
        slot.release()


def test_a_wanted_slot_that_is_taken_is_refused(tmp_path: Path) -> None:
    """With the remedy."""
    held = take_slot(tmp_path, "enrich", 3)
    with pytest.raises(SetupError, match="holds slot 3 here: stop it, or leave --slot out"):
        take_slot(tmp_path, "enrich", 3)
    held.release()


def test_an_eleventh_worker_is_refused(tmp_path: Path) -> None:
    """Its web port would be another stage's."""
    held = [take_slot(tmp_path, "enrich", None) for _ in range(MAX_SLOTS)]
    with pytest.raises(SetupError, match="10 workers of stage enrich run here already"):
        take_slot(tmp_path, "enrich", None)
    for slot in held:
        slot.release()


def test_the_state_folder_is_its_owners_alone(tmp_path: Path) -> None:
    """It may hold what visitors did."""
    take_slot(tmp_path / "state", "enrich", None).release()
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_a_state_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    """By the setting's name."""
    (tmp_path / "state").write_text("")
    with pytest.raises(SetupError, match="set STREAMS_STATE_DIR to a folder"):
        take_slot(tmp_path / "state", "enrich", None)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_state_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """By the setting's name."""
    (tmp_path / "state").mkdir(mode=0o500)
    with pytest.raises(SetupError, match="set STREAMS_STATE_DIR to a folder"):
        take_slot(tmp_path / "state", "enrich", None)


def test_a_full_disk_keeps_no_worker_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock needs no room; only the process id in it, which is for people, is left out."""
    take_slot(tmp_path, "enrich", 0).release()
    monkeypatch.setattr(Path, "open", lambda path, *_, **__: Full(path, "ab"))
    slot = take_slot(tmp_path, "enrich", 0)
    with pytest.raises(SetupError, match="holds slot 0 here"):
        take_slot(tmp_path, "enrich", 0)
    slot.release()


class Full(FileIO):
    """A file of a disk without room."""

    def write(self, _: object) -> int:
        """Refuse as the system does."""
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_folder_without_locks_is_not_taken_for_one_with_ten_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some network file systems have none."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(SetupError, match=r"cannot be used \(No locks available\): set STREAMS_S"):
        take_slot(tmp_path, "enrich", None)


def test_a_slot_ends_with_its_process_however_that_ends(tmp_path: Path) -> None:
    """A killed worker leaves no lock behind."""
    code = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from streams.worker.slots import take_slot\n"
        "slot = take_slot(Path(sys.argv[1]), 'enrich', 0)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert ended.returncode == -9
    take_slot(tmp_path, "enrich", 0).release()
