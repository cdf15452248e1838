"""``python -m streams.lab.demo.play``: the sample goes to simulators and to nobody else."""

import pytest

from streams.core.errors import SettingsError
from streams.lab.demo.play import main, require_simulators
from streams.settings import load_settings


@pytest.mark.parametrize("address", ["http://127.0.0.1:8090", "http://localhost:8090"])
def test_simulators_on_loopback_get_the_sample(address: str) -> None:
    """What runs on this machine is no vendor."""
    environ = {"STREAMS_MISO_API_KEY": "sandbox-secret", "STREAMS_MISO_BASE_URL": address}
    require_simulators(load_settings(environ))


def test_a_vendor_itself_never_gets_the_sample() -> None:
    """A key with the vendor's own address refuses the sample, by the vendor's name."""
    with pytest.raises(SettingsError) as refused:
        require_simulators(load_settings({"STREAMS_MISO_API_KEY": "key"}))
    assert refused.value.problems[0] == (
        "The sample's events are made up, but Miso is at https://api.askmiso.com: "
        "play it to the simulators only."
    )


def test_settings_that_do_not_fit_are_told_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and the problem in words."""
    monkeypatch.setenv("STREAMS_MISO_API_KEY", "key")
    assert main(["events"]) == 2
    assert "The sample's events are made up" in capsys.readouterr().err


def test_anything_but_rows_or_events_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    """The module has two words and no options."""
    assert main([]) == 2
    assert main(["rows", "events"]) == 2
    assert (
        capsys.readouterr().err.splitlines()
        == ["usage: python -m streams.lab.demo.play rows|events"] * 2
    )
