"""The rules: known metrics and labels, and for every alert words, severity and a runbook section."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.observability import queries

RULES = [pytest.param(rule, id=rule.get("record") or rule["alert"]) for rule in queries.rules()]
ALERTS = [rule for rule in queries.rules() if "alert" in rule]
RUNBOOK = queries.DEPLOY.parent / "docs" / "runbook.md"


@pytest.mark.parametrize("rule", RULES)
def test_only_metrics_and_labels_that_exist(rule: Any) -> None:
    """promql-parser takes it, and every selector selects something that is exported or recorded."""
    assert not queries.unknown_series(rule["expr"])
    assert not queries.unknown_labels(rule["expr"])


@pytest.mark.parametrize("rule", [x for x in RULES if "record" in x.values[0]])  # type: ignore[operator]
def test_records_are_named_by_level_metric_and_operation(rule: Any) -> None:
    assert re.fullmatch(r"[a-z_]+:orderhalt_[a-z_]+:[a-z_]+[0-9a-z]*", rule["record"])


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_alert_has_what_whoever_is_woken_up_needs(alert: Any) -> None:
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
    assert alert["annotations"]["runbook_url"] == f"docs/runbook.md#{alert['alert'].lower()}"


def sections() -> dict[str, str]:
    """Give the runbook's sections: heading → text."""
    parts = re.split(r"^### (.+)\n", RUNBOOK.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_runbook_has_a_section_for_each_alert_and_no_other() -> None:
    assert list(sections()) == [alert["alert"] for alert in ALERTS]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_a_section_says_what_it_means_what_to_look_at_and_what_to_do(alert: Any) -> None:
    text = sections()[alert["alert"]]
    for heading in ("**Means.**", "**Look at.**", "**Do.**"):
        assert text.count(heading) == 1, heading
    assert f"({alert['labels']['severity']})" in text.split("\n")[0]


def test_panels_that_the_runbook_names_exist() -> None:
    """*Worker / Lag, in time* is the panel of that title on that dashboard."""
    titles = {
        f"{document['title'].removeprefix('orderhalt / ')} / {panel['title']}"
        for document in queries.documents().values()
        for panel in document["panels"]
    }
    named = set(re.findall(r"\*((?:Halts|Worker) / [^*]+)\*", RUNBOOK.read_text()))
    assert len(named) > 10
    assert named <= titles, named - titles
