"""The unit in deploy/systemd: systemd takes it, it is locked up, and workers take its settings."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from streams.settings import ENRICH, load_settings
from streams.vendors import VENDORS

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "systemd"
STAGES = (ENRICH, *VENDORS)
MOST_EXPOSURE = 15
"""In tenths, of 100; a unit without any protection has 96."""
WITHOUT_KEYS = "".join(f"[{key}]\nenabled = true\n" for key in VENDORS).replace(
    "[voyado]\n", '[voyado]\nbase_url = "https://tenant.voyado.com"\nuser_agent = "Shop/1"\n'
)

with_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here"
)


def entries(text: str) -> list[tuple[str, str]]:
    """Return the settings of a unit file, in their order."""
    lines = [line for line in text.splitlines() if line and line[0] not in "#["]
    return [(name, value) for name, _, value in (line.partition("=") for line in lines)]


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The unit, its drop-ins and an instance for each stage, with a program that is there."""
    folder = tmp_path / "units"
    shutil.copytree(FOLDER, folder)
    text = (folder / "streams@.service").read_text("utf-8")
    assert "ExecStart=/usr/local/lib/streams/bin/streams worker %i\n" in text
    for name in ("streams@.service", *(f"streams@{stage}.service" for stage in STAGES)):
        (folder / name).write_text(
            text.replace("/usr/local/lib/streams/bin/streams", sys.executable)
        )
    return folder


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """What systemd-analyze says."""
    command = ["systemd-analyze", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@with_systemd
def test_systemd_takes_the_unit_of_each_stage(units: Path) -> None:
    """Without a word."""
    done = analyze("verify", *(units / f"streams@{stage}.service" for stage in STAGES))
    assert (done.returncode, done.stderr) == (0, "")


@with_systemd
def test_a_wrong_line_would_be_named(units: Path) -> None:
    """What the test above relies on: also a drop-in is looked at."""
    drop_in = units / "streams@miso.service.d" / "secrets.conf"
    drop_in.write_text(drop_in.read_text("utf-8") + "LoadCredentials=misspelt\n", "utf-8")
    assert "LoadCredentials" in analyze("verify", units / "streams@miso.service").stderr


@with_systemd
def test_the_unit_is_locked_up(units: Path) -> None:
    """By systemd's own measure."""
    done = analyze(
        *("security", "--offline=true", "--no-pager", f"--threshold={MOST_EXPOSURE}"),
        units / "streams@miso.service",
    )
    assert done.returncode == 0, done.stdout[-300:] + done.stderr


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_starts_with_its_settings(stage: str, tmp_path: Path) -> None:
    """Its variables are settings; its credentials are files, and no other vendor's among them."""
    unit = entries((FOLDER / "streams@.service").read_text("utf-8"))
    unit += entries((FOLDER / f"streams@{stage}.service.d" / "secrets.conf").read_text("utf-8"))
    for name, value in unit:
        if name == "LoadCredential":
            (tmp_path / value.partition(":")[0]).write_text("a-secret-of-some-length", "utf-8")
    environ = dict(
        pair.partition("=")[::2]
        for name, value in unit
        if name == "Environment"
        for pair in value.replace("%d", str(tmp_path)).replace("%S", "/var/lib").split()
    )
    (tmp_path / "streams.toml").write_text(WITHOUT_KEYS, "utf-8")
    environ["STREAMS_CONFIG"] = str(tmp_path / "streams.toml")
    settings = load_settings(environ)
    settings.require_stage(stage)
    known = [
        key
        for key, vendor in VENDORS.items()
        if any(getattr(settings.vendors[key], one) is not None for one in vendor.credentials)
    ]
    assert known == ([stage] if stage in VENDORS else [])
    assert settings.web.token is not None


def test_systemd_never_gives_up_and_leaves_time_to_end() -> None:
    """As the exit codes ask for: 2 needs a person, everything else another start."""
    unit = dict(entries((FOLDER / "streams@.service").read_text("utf-8")))
    assert unit["StartLimitIntervalSec"] == "0"
    assert (unit["Restart"], unit["RestartPreventExitStatus"]) == ("on-failure", "2")
    assert unit["KillMode"] == "mixed"
    assert int(unit["TimeoutStopSec"]) >= 12
