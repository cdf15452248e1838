"""Tests on Docker run where they are asked for by ``-m docker``, and fail where Docker is not."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark; ``make test-docker`` asks for it."""
    config.addinivalue_line("markers", "docker: needs Docker with compose v2, and some minutes")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs Docker, unless an expression of marks says otherwise."""
    if "docker" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("docker")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
