"""Image, Compose and Kubernetes files: valid by schema and linter, and fitting together."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import jsonschema_rs
import kubernetes_validate
import pytest
import yaml

from processor.config import ENV_PREFIX, Settings
from processor.console.settings import ENV_PREFIX as WEB_PREFIX
from processor.console.settings import ConsoleSettings, load
from tests.observability.queries import DASHBOARDS, DEPLOY

ROOT = DEPLOY.parent
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
MANIFESTS = [
    manifest
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    for manifest in yaml.safe_load_all(path.read_text())
]
PORT = Settings.model_fields["admin_port"].default
WEB_PORT = ConsoleSettings.model_fields["port"].default


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


def test_the_image_has_what_the_pages_need() -> None:
    """Its lock file names every dependency of the project and of its extra `web`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["web"]]
    locked = (ROOT / "requirements" / "run.txt").read_text()
    names = set(re.findall(r"^([\w.-]+)==", locked, re.MULTILINE))
    assert {re.match(r"[\w.-]+", x)[0].lower() for x in wanted} <= names  # type: ignore[index]
    assert f"EXPOSE {PORT} {WEB_PORT}" in (DEPLOY / "Dockerfile").read_text()


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


def container_of(kind: str) -> Any:
    [pods] = [x["spec"]["template"]["spec"] for x in MANIFESTS if x["kind"] == kind]
    [container] = pods["containers"]
    return container


def environment_of(service: Any) -> dict[str, Any]:
    return {k: v for k, v in (service.get("environment") or {}).items() if k.startswith(ENV_PREFIX)}


def test_every_variable_is_a_setting() -> None:
    """A misspelt variable would be ignored in silence."""
    names = {name for service in COMPOSE["services"].values() for name in environment_of(service)}
    for kind in ("StatefulSet", "Deployment"):
        names |= {variable["name"] for variable in container_of(kind)["env"]}
    names |= set(re.findall(r"\b(ORDERHALT_\w+)=", (DEPLOY / "Dockerfile").read_text()))
    assert names
    web = {x for x in names if x.startswith(WEB_PREFIX)}
    assert web
    assert {x.removeprefix(WEB_PREFIX).lower() for x in web} <= set(ConsoleSettings.model_fields)
    others = {x.removeprefix(ENV_PREFIX).lower() for x in names - web}
    assert others <= set(Settings.model_fields)


@pytest.mark.parametrize(
    "manifest", MANIFESTS, ids=lambda x: f"{x['kind']}-{x['metadata']['name']}"
)
def test_the_manifests_are_valid(manifest: Any) -> None:
    kubernetes_validate.validate(manifest, "1.33", strict=True)


def test_probes_ask_what_the_admin_port_answers() -> None:
    container = container_of("StatefulSet")
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert [x["containerPort"] for x in container["ports"]] == [PORT]


def test_the_pages_are_served_with_tokens_that_are_secrets() -> None:
    """Both files start a service that the settings let start, which nothing but a secret lets in."""
    service, container = COMPOSE["services"]["web"], container_of("Deployment")
    assert service["command"] == container["args"] == ["web"]
    tokens = []
    of_container = {x["name"]: x["value"] for x in container["env"]}
    for environment in (environment_of(service), of_container):
        fields = {
            name.removeprefix(WEB_PREFIX).lower(): value
            for name, value in environment.items()
            if name.startswith(WEB_PREFIX)
        }
        settings = load(**fields)
        assert not settings.is_loopback
        tokens.append(str(settings.tokens))
    [secret] = service["secrets"]
    assert tokens[0] == f"/run/secrets/{secret}"
    assert COMPOSE["secrets"][secret]["file"] == "./tokens.toml"
    assert "/deploy/tokens.toml" in (ROOT / ".gitignore").read_text().splitlines()
    [pods] = [x["spec"]["template"]["spec"] for x in MANIFESTS if x["kind"] == "Deployment"]
    [volume] = [x for x in pods["volumes"] if "secret" in x]
    [mount] = [x for x in container["volumeMounts"] if x["name"] == volume["name"]]
    assert str(Path(tokens[1]).parent) == mount["mountPath"]
    assert service["ports"] == [f"127.0.0.1:{WEB_PORT}:{WEB_PORT}"]
    assert [x["containerPort"] for x in container["ports"]] == [WEB_PORT]
    for probe in ("livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] == "http"
