"""What the files for containers must say, checked without Docker."""

from pathlib import Path

import pytest
import yaml

from streams.settings import INGEST, load_settings
from streams.vendors import VENDORS
from tests.docker.compose import ROOT, STAGES

FOLDER = ROOT / "deploy" / "compose"
FILES = [ROOT / "docker-compose.yml", FOLDER / "own-cluster.yml"]
YOURS = FOLDER / "vendors" / "streams.toml"


def test_the_simulators_settings_switch_every_vendor_on() -> None:
    """Each registered vendor has a section with a key and the door's address."""
    settings = load_settings({"STREAMS_CONFIG": str(FOLDER / "sandbox" / "streams.toml")})
    assert settings.enabled_vendors() == tuple(VENDORS)
    addresses = {settings.vendors[key].base_url for key in VENDORS}
    assert addresses == {"http://127.0.0.1:8090"}


def test_your_settings_begin_empty() -> None:
    """The file for an operator's own settings changes nothing as it is delivered."""
    settings = load_settings({"STREAMS_CONFIG": str(YOURS)})
    assert settings == load_settings({"STREAMS_CONFIG": str(ROOT / "streams.example.toml")})


def test_every_stage_is_a_service_that_the_sample_waits_for() -> None:
    """A new vendor cannot be forgotten in docker-compose.yml."""
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    for stage in STAGES:
        assert f"\n  {stage}:\n    <<: *stage\n    command: [{stage}]\n" in text
        assert f"\n    profiles: [{stage}]\n" not in text
        assert f"\n      {stage}: {{condition: service_healthy}}\n" in text


@pytest.mark.parametrize("file", FILES)
def test_a_shop_s_own_topics_are_read_by_a_service_of_their_own(file: Path) -> None:
    """Only where it is asked for: without a section it has nothing to read."""
    services = yaml.safe_load(file.read_text("utf-8"))["services"]
    own, beside = services[INGEST], services["miso"]
    same = own.keys() - {"profiles", "command", "scale"}
    assert own["profiles"] == [INGEST]
    assert {name: own[name] for name in same} == {name: beside[name] for name in same}
    assert own["command"][-1] == INGEST


@pytest.mark.parametrize("file", FILES)
def test_every_container_is_bounded(file: Path) -> None:
    """A service added later cannot forget it: read-only, and limits of memory and log."""
    for name, service in yaml.safe_load(file.read_text("utf-8"))["services"].items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["mem_limit"], name
        assert service["logging"]["options"] == {"max-size": "20m", "max-file": "5"}, name


def test_beside_your_own_cluster_each_stage_has_the_hosts_name_and_your_settings() -> None:
    """Its host's name tells it from workers of other hosts; what it is told to read is there."""
    services = yaml.safe_load((FOLDER / "own-cluster.yml").read_text("utf-8"))["services"]
    assert list(services) == [*STAGES, INGEST]
    for stage, service in services.items():
        assert service["command"] == ["worker", stage]
        assert service["uts"] == "host", stage
        assert "hostname" not in service, stage
        settings = load_settings(service["environment"] | {"STREAMS_CONFIG": str(YOURS)})
        assert f"state:{settings.state.dir}" in service["volumes"]
        assert f"./{YOURS.parent.name}:/etc/streams:ro" in service["volumes"]
