"""Image, Compose and Kubernetes files: valid by schema and linter, and fitting together."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import jsonschema_rs
import kubernetes_validate
import pytest
import yaml

from processor.config import ENV_PREFIX, Settings
from tests.observability.queries import DASHBOARDS, DEPLOY

ROOT = DEPLOY.parent
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
MANIFESTS = list(yaml.safe_load_all((DEPLOY / "kubernetes" / "orderhalt.yaml").read_text()))
PORT = Settings.model_fields["admin_port"].default


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert hadolint, "hadolint is not in the environment: make .venv/.test"
    command = [hadolint, "--failure-threshold", "style", str(DEPLOY / "Dockerfile")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_image_is_built_in_stages_and_runs_as_nobody_in_particular() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    stages = re.split(r"^FROM ", dockerfile, flags=re.MULTILINE)[1:]
    assert len(stages) == 2
    assert all(re.match(r"python:\d+\.\d+\.\d+-slim", stage) for stage in stages)
    assert "USER 10001:10001" in stages[1]
    assert "--require-hashes" in stages[0]


def test_what_the_image_copies_exists_and_is_not_ignored() -> None:
    copied = re.findall(
        r"^COPY (?!--from)(.+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE
    )
    kept = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert kept[0] == "*"
    for name in " ".join(copied).split():
        assert (ROOT / name).exists()
        assert f"!{name.split('/')[0]}" in kept


def test_the_compose_file_is_valid() -> None:
    """By the schema of the Compose specification, as check-jsonschema carries it."""
    # Not imported: its command line wants another click than ours.
    package = distribution("check-jsonschema")
    schema = package.locate_file("check_jsonschema/builtin_schemas/vendor/compose-spec.json")
    jsonschema_rs.validate(json.loads(Path(str(schema)).read_text()), COMPOSE)


def test_what_compose_mounts_exists() -> None:
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            known = source in COMPOSE["volumes"] or (DEPLOY / source).exists()
            assert known, f"{source} is mounted and not there"


def test_images_of_others_are_pinned() -> None:
    images = {service["image"] for service in COMPOSE["services"].values()} - {"orderhalt"}
    assert all(re.search(r":v?\d+\.\d+\.\d+$", image) for image in images), images


def test_prometheus_scrapes_the_workers_of_the_compose_file() -> None:
    prometheus = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    [job] = prometheus["scrape_configs"]
    [static] = job["static_configs"]
    workers = [name for name in COMPOSE["services"] if name.startswith("worker-")]
    assert static["targets"] == [f"{name}:{PORT}" for name in workers]
    assert job["job_name"] == "orderhalt"


def test_grafana_finds_datasource_dashboards_and_runbook() -> None:
    grafana = COMPOSE["services"]["grafana"]
    mounts = dict(volume.split(":")[:2] for volume in grafana["volumes"])
    provisioning = DEPLOY / "grafana" / "provisioning"
    [provider] = yaml.safe_load((provisioning / "dashboards" / "orderhalt.yml").read_text())[
        "providers"
    ]
    assert mounts["./grafana/dashboards"] == provider["options"]["path"]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (DASHBOARDS / Path(home).name).exists()
    [source] = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())[
        "datasources"
    ]
    assert source["url"] == "http://prometheus:9090"
    [runbook] = [target for target in mounts.values() if target.endswith("runbook.md")]
    for path in DASHBOARDS.glob("*.json"):
        variables = {x["name"]: x for x in json.loads(path.read_text())["templating"]["list"]}
        assert runbook == "/usr/share/grafana" + variables["runbook"]["query"]


def environment_of(service: Any) -> dict[str, Any]:
    return {k: v for k, v in (service.get("environment") or {}).items() if k.startswith(ENV_PREFIX)}


def test_every_variable_is_a_setting() -> None:
    """A misspelt variable would be ignored in silence."""
    names = {name for service in COMPOSE["services"].values() for name in environment_of(service)}
    for manifest in MANIFESTS:
        if manifest["kind"] == "StatefulSet":
            [container] = manifest["spec"]["template"]["spec"]["containers"]
            names |= {variable["name"] for variable in container["env"]}
    names |= set(re.findall(r"\b(ORDERHALT_\w+)=", (DEPLOY / "Dockerfile").read_text()))
    assert names
    assert {x.removeprefix(ENV_PREFIX).lower() for x in names} <= set(Settings.model_fields)


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda manifest: manifest["kind"])
def test_the_manifests_are_valid(manifest: Any) -> None:
    kubernetes_validate.validate(manifest, "1.33", strict=True)


def test_probes_ask_what_the_admin_port_answers() -> None:
    [workers] = [x for x in MANIFESTS if x["kind"] == "StatefulSet"]
    [container] = workers["spec"]["template"]["spec"]["containers"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert [x["containerPort"] for x in container["ports"]] == [PORT]
