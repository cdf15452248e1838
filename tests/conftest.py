"""What all tests share: an environment without settings, and a broker for those that ask."""

import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from streams.telemetry import Masked

pytest_plugins = ["tests.broker_fixtures"]

ON_DEMAND = ("browser", "docker", "registry", "slow")
"""Marks of tests that run only where ``-m`` names them.

They need more than this project brings, or more time than one waits for between two changes.
"""

# How long an example takes says how busy the machine is.
settings.register_profile(
    "streams", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("streams")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests on demand that the expression of marks does not name."""
    marks = [mark for mark in ON_DEMAND if mark not in config.option.markexpr]
    left_out = [item for item in items if any(map(item.get_closest_marker, marks))]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


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
