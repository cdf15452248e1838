"""What all tests share: an environment without settings, and a broker for those that ask."""

import os

import pytest

pytest_plugins = ["tests.broker_fixtures"]


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every STREAMS_* variable of the person who runs the tests out of the environment."""
    for name in list(os.environ):
        if name.startswith("STREAMS_"):
            monkeypatch.delenv(name)
