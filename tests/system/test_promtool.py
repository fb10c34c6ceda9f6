"""Prometheus's own tools find nothing wrong, and every rule does what its unit tests say."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.observability.queries import DEPLOY, RULES, rules
from tests.observability.server import tool

UNIT_TESTS = Path(__file__).parent / "rules"
ALERTMANAGER = DEPLOY / "prometheus" / "alertmanager.yml"


@pytest.fixture(scope="session", autouse=True)
def tools() -> None:
    """Prometheus's own, and none of those that the other tests of this lane need."""
    tool("promtool")
    tool("amtool")


def run(name: str, *arguments: object) -> str:
    """Run a tool, which must succeed; give what it said."""
    command = [str(tool(name)), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_configuration_is_valid() -> None:
    said = run("promtool", "check", "config", DEPLOY / "prometheus" / "prometheus.yml")
    assert "2 rule files found" in said


@pytest.mark.parametrize("path", sorted(RULES.glob("*.yml")), ids=lambda path: path.name)
def test_the_rules_are_valid(path: Path) -> None:
    """No duplicate, nothing that promtool's lint objects to."""
    run("promtool", "check", "rules", "--lint=all", "--lint-fatal", path)


@pytest.mark.parametrize("path", sorted(UNIT_TESTS.glob("*.yml")), ids=lambda path: path.name)
def test_the_rules_do_what_they_should(path: Path) -> None:
    assert "SUCCESS" in run("promtool", "test", "rules", path)


def test_every_rule_has_a_unit_test() -> None:
    """Every recording rule is computed; every alert is seen to fire and seen not to."""
    computed = ""
    fires: set[str] = set()
    silent: set[str] = set()
    for path in UNIT_TESTS.glob("*.yml"):
        for case in yaml.safe_load(path.read_text())["tests"]:
            computed += "".join(x["expr"] + " " for x in case.get("promql_expr_test", ()))
            for alert in case.get("alert_rule_test", ()):
                (fires if alert["exp_alerts"] else silent).add(alert["alertname"])
    alerts = {rule["alert"] for rule in rules() if "alert" in rule}
    assert fires == alerts
    # Two alerts have cases that must not fire beside those that must, in one test.
    assert silent | {"OrderhaltRejectedRate", "OrderhaltBalancesStale"} == alerts
    assert not [x["record"] for x in rules() if "record" in x and x["record"] not in computed]


@pytest.mark.parametrize("severity", ["page", "ticket"])
def test_alerts_reach_the_receiver_of_their_severity(severity: str) -> None:
    run("amtool", "check-config", ALERTMANAGER)
    said = run(
        *("amtool", "config", "routes", "test", f"--config.file={ALERTMANAGER}"),
        f"severity={severity}",
    )
    assert severity in said.split()
