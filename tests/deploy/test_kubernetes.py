"""The manifests in deploy/kubernetes: built by kustomize, valid, and settings that workers take."""

import functools
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import msgspec
import pytest
import trustme
import yaml

from streams.engine.memory import BESIDE_BYTES
from streams.settings import ENRICH, INGEST, Settings, load_settings
from streams.vendors import VENDORS
from tests.deploy import operators

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("strimzi", "msk", "confluent")
STAGES = (ENRICH, *VENDORS)
SECRETS = "streams-secrets"


def build_command() -> list[str] | None:
    """Return the command that builds a kustomization; None: there is none here."""
    if shutil.which("kustomize"):
        return ["kustomize", "build"]
    return ["kubectl", "kustomize"] if shutil.which("kubectl") else None


pytestmark = pytest.mark.skipif(
    build_command() is None, reason="neither kustomize nor kubectl is installed"
)


@functools.cache
def built(folder: str) -> tuple[dict[str, Any], ...]:
    """Return the resources of a folder of deploy/kubernetes."""
    command = [*(build_command() or ()), str(FOLDER / folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def of_kind(folder: str, kind: str) -> list[dict[str, Any]]:
    """Return the resources of one kind."""
    return [one for one in built(folder) if one["kind"] == kind]


def pods(folder: str) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yield each stage with its pod and its container."""
    for one in of_kind(folder, "StatefulSet"):
        pod = one["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        yield (
            one["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"],
            pod,
            (container),
        )


def mounted(pod: dict[str, Any], container: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield the path in the container, the Secret and the key of each secret file."""
    at = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    for volume in pod["volumes"]:
        sources = volume.get("projected", {}).get("sources", [volume])
        for secret in (source["secret"] for source in sources if "secret" in source):
            for item in secret["items"]:
                name = secret.get("secretName") or secret["name"]
                yield f"{at[volume['name']]}/{item['path']}", name, item["key"]


def settings_in_pod(
    folder: str, pod: dict[str, Any], container: dict[str, Any], tmp_path: Path
) -> Settings:
    """Return the settings as a worker in this pod reads them; its files are below ``tmp_path``."""
    (config,) = of_kind(folder, "ConfigMap")
    certificate = trustme.CA().cert_pem.bytes().decode()
    files = {
        path: certificate if key == "ca.crt" else f"the-{key}-of-this-shop"
        for path, _, key in mounted(pod, container)
    }
    for volume in pod["volumes"]:
        if volume.get("configMap", {}).get("name") == config["metadata"]["name"]:
            (mount,) = (m for m in container["volumeMounts"] if m["name"] == volume["name"])
            files |= {f"{mount['mountPath']}/{name}": t for name, t in config["data"].items()}
    for path, text in files.items():
        file = tmp_path / path.removeprefix("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(re.sub('"/run/', f'"{tmp_path}/run/', text), "utf-8")
    environ = {entry["name"]: entry["value"] for entry in container["env"]}
    return load_settings(
        {
            name: f"{tmp_path}{value}" if name.endswith(("_FILE", "CONFIG")) else value
            for name, value in environ.items()
        }
    )


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_resource_is_valid(name: str) -> None:
    """By Kubernetes' own schemas and those of operators, unknown fields refused."""
    for resource in built(f"overlays/{name}"):
        if resource["kind"] in operators.KINDS:
            operators.require_valid(resource)
        else:
            kubernetes_validate.validate(
                resource, kubernetes_validate.latest_version(), strict=True
            )


def test_a_misspelt_field_would_be_refused() -> None:
    """What the test above relies on for the operators' resources."""
    (monitor,) = of_kind("overlays/msk", "PodMonitor")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    spec = {**monitor["spec"], "podMetricsEndpoints": [{**endpoint, "honourLabels": True}]}
    with pytest.raises(msgspec.ValidationError, match="honourLabels"):
        operators.require_valid({**monitor, "spec": spec})


def test_every_stage_has_a_folder() -> None:
    """A new vendor cannot be forgotten, neither as a folder nor in an overlay."""
    assert {path.name for path in (FOLDER / "stages").iterdir()} == {INGEST, *STAGES}
    ((stage, _, container),) = pods(f"stages/{INGEST}")
    assert stage == INGEST
    assert container["ports"][0]["containerPort"] == load_settings({}).web_port(INGEST)
    for name in OVERLAYS:
        assert sorted(stage for stage, _, _ in pods(f"overlays/{name}")) == sorted(STAGES)


@pytest.mark.parametrize("name", OVERLAYS)
def test_each_stage_starts_with_its_settings(name: str, tmp_path: Path) -> None:
    """They load, the stage can run with them, and it listens where the pod says."""
    folder = f"overlays/{name}"
    for stage, pod, container in pods(folder):
        settings = settings_in_pod(folder, pod, container, tmp_path / stage)
        assert container["args"] == ["worker", stage]
        settings.require_stage(stage)
        assert settings.enabled_vendors() == tuple(VENDORS)
        assert container["ports"] == [{"name": "http", "containerPort": settings.web_port(stage)}]
        assert settings.web.metrics_token is not None
        writable = [m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")]
        assert str(settings.state.dir) in writable


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_sink_has_no_other_vendors_key(name: str, tmp_path: Path) -> None:
    """Each key is mounted where it is needed and nowhere else; enrichment has none."""
    folder = f"overlays/{name}"
    for stage, pod, container in pods(folder):
        settings = settings_in_pod(folder, pod, container, tmp_path / stage)
        known = [
            key
            for key, vendor in VENDORS.items()
            if any(getattr(settings.vendors[key], one) is not None for one in vendor.credentials)
        ]
        assert known == ([stage] if stage in VENDORS else [])


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_instructions_make_each_key_of_the_secret(name: str) -> None:
    """What pods mount from the Secret is what docs/deploy.md tells people to put into it."""
    page = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    (files,) = re.findall(r"folder `secrets` (.*?)Then create", page, re.DOTALL)
    told = set(re.findall(r"`([a-z]+-[a-z-]+)`", files))
    asked = {
        key
        for _, pod, container in pods(f"overlays/{name}")
        for _, secret, key in mounted(pod, container)
        if secret == SECRETS
    }
    assert asked <= told
    assert told - asked <= {"kafka-password"}


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_pod_may_do_no_more_than_it_must(name: str) -> None:
    """No root, no token, nothing to write to but its own folders, and time to end."""
    for stage, pod, container in pods(f"overlays/{name}"):
        assert pod["automountServiceAccountToken"] is False, stage
        assert pod["enableServiceLinks"] is False, stage
        assert pod["terminationGracePeriodSeconds"] == 20, stage
        assert pod["securityContext"]["runAsNonRoot"], stage
        assert pod["securityContext"]["runAsUser"] == 10001, stage
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, stage
        writable = {m["name"] for m in container["volumeMounts"] if not m.get("readOnly")}
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert all("emptyDir" in volumes[one] for one in writable), stage


def test_the_user_of_the_pods_is_the_one_of_the_image() -> None:
    """It owns nothing but what it is given."""
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text("utf-8")
    (user,) = {p["securityContext"]["runAsUser"] for _, p, _ in pods("overlays/strimzi")}
    assert f"useradd --uid {user} " in dockerfile


@pytest.mark.parametrize("name", OVERLAYS)
def test_what_selects_pods_finds_them(name: str) -> None:
    """Budget, policy and service of a stage select its pods; the monitor selects all of them."""
    folder = f"overlays/{name}"
    labels = {
        stage: one["spec"]["template"]["metadata"]["labels"]
        for (stage, _, _), one in zip(pods(folder), of_kind(folder, "StatefulSet"), strict=True)
    }
    for kind, where in (("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")):
        selected = [one["spec"][where]["matchLabels"] for one in of_kind(folder, kind)]
        assert sorted(selected, key=str) == sorted(labels.values(), key=str)
    services = {one["metadata"]["name"]: one["spec"] for one in of_kind(folder, "Service")}
    for one in of_kind(folder, "StatefulSet"):
        service = services[one["spec"]["serviceName"]]
        assert service["selector"] == one["spec"]["template"]["metadata"]["labels"]
    (monitor,) = of_kind(folder, "PodMonitor")
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    assert all(wanted <= each.items() for each in labels.values())
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] == "http"
    assert endpoint["authorization"]["credentials"] == {"name": SECRETS, "key": "metrics-token"}


def test_the_watchdog_acts_before_the_limit_of_memory() -> None:
    """The limit leaves it what it keeps free, and the rest is more than what is requested."""
    units = {"Mi": 2**20, "Gi": 2**30}
    for stage, _, container in pods("overlays/strimzi"):
        asked, limit = (
            int(text[:-2]) * units[text[-2:]]
            for text in (
                container["resources"]["requests"]["memory"],
                container["resources"]["limits"]["memory"],
            )
        )
        assert asked < limit - BESIDE_BYTES, stage
        assert "cpu" not in container["resources"]["limits"], stage
