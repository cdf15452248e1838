"""What all tests share: an environment without settings, and a broker for those that ask."""

import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from streams.telemetry import Masked

pytest_plugins = ["tests.broker_fixtures"]

# How long an example takes says how busy the machine is.
settings.register_profile(
    "streams", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("streams")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every STREAMS_* variable of the person who runs the tests out of the environment."""
    for name in list(os.environ):
        if name.startswith("STREAMS_"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Undo what a command or a worker run in this process did to loggers: others listen, too."""
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)
    # A command's handler writes to the stream of its own test, which is closed by now.
    for handler in [one for one in root.handlers if isinstance(one.formatter, Masked)]:
        root.removeHandler(handler)
    for logger in root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.disabled = False
            logger.propagate = True
            logger.setLevel(logging.NOTSET)
