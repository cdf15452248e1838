"""Section ``[alerts]``: addresses in every form, and what is said of a bad one."""

from pathlib import Path

import pytest

from streams.cli import main
from streams.core.errors import SettingsError
from streams.settings import load_settings

URLS = "STREAMS_ALERTS_URLS"
GOOD, OTHER = "jsons://hooks.example.com/k3yOfOurs", "mailtos://ops:passw0rd@example.com"


def problems(environ: dict[str, str]) -> list[str]:
    """Return what is wrong with these."""
    with pytest.raises(SettingsError) as caught:
        load_settings(environ)
    return list(caught.value.problems)


def test_addresses_are_words_lines_or_a_list(tmp_path: Path) -> None:
    """In a variable, a secret file or the settings file."""
    file, config = tmp_path / "urls", tmp_path / "streams.toml"
    file.write_text(f"{GOOD}\n{OTHER}\n", "utf-8")
    config.write_text(f'[alerts]\nurls = ["{GOOD}", "{OTHER}"]\n', "utf-8")
    for environ in (
        {URLS: f"{GOOD} {OTHER}"},
        {f"{URLS}_FILE": str(file)},
        {"STREAMS_CONFIG": str(config)},
    ):
        settings = load_settings(environ)
        assert settings.alerts.addresses() == [GOOD, OTHER]
        assert GOOD not in repr(settings)
    assert load_settings({}).alerts.addresses() == []


@pytest.mark.parametrize("bad", ["https://hooks.example.com/s3cretKey", "s3cretKey", "slack://x"])
def test_an_address_that_apprise_cannot_use_is_told_by_its_number(bad: str) -> None:
    """It holds a key, so it is not shown."""
    assert problems({URLS: f"{GOOD} {bad}"}) == [
        f"{URLS}: address 2 of 2 is none that Apprise can use, like slack://, mailtos:// or jsons://."
    ]


def test_a_list_of_something_else_is_refused(tmp_path: Path) -> None:
    """Without being shown."""
    config = tmp_path / "streams.toml"
    config.write_text("[alerts]\nurls = [17]\n", "utf-8")
    assert problems({"STREAMS_CONFIG": str(config)}) == [
        f"{URLS} ([alerts] urls in {config}): must be text."
    ]


def test_without_apprise_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra."""
    monkeypatch.setattr("streams.settings.rules.find_spec", lambda _name: None)
    assert problems({URLS: GOOD}) == [f"{URLS}: needs: pip install 'clickstream-relay[alerts]'."]


def test_a_worker_with_a_bad_address_ends_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before it asks any broker."""
    monkeypatch.setenv(URLS, "nowhere://s3cretKey")
    monkeypatch.setenv("STREAMS_MISO_API_KEY", "k")
    assert main(["worker", "miso"]) == 2
    assert "STREAMS_ALERTS_URLS: address 1 of 1 is none" in (said := capsys.readouterr().err)
    assert "s3cretKey" not in said
