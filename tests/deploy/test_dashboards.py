"""The dashboards' JSON is what the code makes, and keeps the rules of grafana/dashboard-linter."""

from __future__ import annotations

from typing import Any

import promql_parser
import pytest

from deploy.grafana.__main__ import DIRECTORY, dashboards
from deploy.grafana.board import text
from deploy.grafana.words import WORDS
from processor.metrics import names
from tests.observability import queries

# Those of Grafana that we use; a typing error shows as a number without a unit.
UNITS = {
    *("none", "short", "percentunit", "s", "bytes"),
    *("locale", "cps", "rps", "wps"),
}
DOCUMENTS = queries.documents()
PANELS = [
    pytest.param(document, panel, id=f"{name}: {panel['title']}")
    for name, document in DOCUMENTS.items()
    for panel in document["panels"]
    if panel["type"] != "row"
]
TARGETS = [
    pytest.param(panel, target, id=f"{name}: {panel['title']} [{target['refId']}]")
    for name, document in DOCUMENTS.items()
    for panel in queries.panels(document)
    for target in panel["targets"]
]


@pytest.fixture(params=list(DOCUMENTS.values()), ids=list(DOCUMENTS))
def document(request: pytest.FixtureRequest) -> Any:
    return request.param


def variable(document: Any, name: str) -> Any:
    [found] = [x for x in document["templating"]["list"] if x["name"] == name]
    return found


def test_the_files_are_what_the_code_makes() -> None:
    """`python -m deploy.grafana` was run after the last change, and no file is left over."""
    made = dashboards()
    assert {path.name for path in DIRECTORY.iterdir()} == set(made)
    for name, built in made.items():
        assert (DIRECTORY / name).read_text() == text(built), "run: python -m deploy.grafana"


def test_template_datasource_rule(document: Any) -> None:
    [source] = [x for x in document["templating"]["list"] if x["type"] == "datasource"]
    assert (source["name"], source["label"]) == ("datasource", "Data source")
    assert source["query"] == "prometheus"


@pytest.mark.parametrize("name", ["job", "instance"])
def test_template_job_and_instance_rules(document: Any, name: str) -> None:
    found = variable(document, name)
    assert found["type"] == "query"
    assert found["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert found["label"] == name.title()
    assert found["multi"]
    assert found["allValue"] == ".+"


def test_template_on_time_change_reload_rule(document: Any) -> None:
    asked = [x for x in document["templating"]["list"] if x["type"] == "query"]
    assert {x["refresh"] for x in asked} == {2}


def test_template_label_promql_rule(document: Any) -> None:
    for found in (x for x in document["templating"]["list"] if x["type"] == "query"):
        assert found["query"].startswith("label_values(")
        selector, label = found["query"][len("label_values(") : -1].rsplit(",", 1)
        queries.parsed(selector)
        assert label.strip() == found["name"]


def test_uneditable_rule(document: Any) -> None:
    assert document["editable"] is False


@pytest.mark.parametrize(("document", "panel"), PANELS)
def test_panel_rules(document: Any, panel: Any) -> None:
    """panel-datasource, panel-title-description, panel-units, panel-no-targets."""
    assert panel["title"]
    assert len(panel["description"]) > 15
    if panel["type"] == "text":
        return
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert panel["targets"]


@pytest.mark.parametrize(("panel", "target"), TARGETS)
def test_target_job_and_instance_rules(panel: Any, target: Any) -> None:
    for selector in queries.selectors(target["expr"]):
        matchers = {(m.name, str(m.op), m.value) for m in selector.matchers.matchers}
        assert {("job", "MatchOp.Re", ".+"), ("instance", "MatchOp.Re", ".+")} <= matchers


@pytest.mark.parametrize(("panel", "target"), TARGETS)
def test_target_promql_and_rate_interval_rules(panel: Any, target: Any) -> None:
    """It parses; rates are over `$__rate_interval`, and increases over it or the time shown."""
    lengths = set()
    for node in queries.nodes(queries.parsed(target["expr"])):
        if isinstance(node, promql_parser.Call) and node.func.name in {"rate", "increase"}:
            [ranged] = node.args
            lengths.add((node.func.name, ranged.range.total_seconds()))
    assert lengths <= {("rate", 60.0), ("increase", 60.0), ("increase", 3_600.0)}
    literal = target["expr"].replace("[$__rate_interval]", "").replace("[$__range]", "")
    assert "[" not in literal


@pytest.mark.parametrize(("panel", "target"), TARGETS)
def test_target_counter_agg_rule(panel: Any, target: Any) -> None:
    """Every counter, and every part of a histogram, is inside a rate or an increase."""
    ranged = {
        node.vector_selector.name
        for node in queries.nodes(queries.parsed(target["expr"]))
        if isinstance(node, promql_parser.Call) and node.func.name in {"rate", "increase"}
        for node in node.args
    }
    counting = (names.Kind.COUNTER, names.Kind.HISTOGRAM)
    for selector in queries.selectors(target["expr"]):
        metric = queries.metric_of(selector.name)
        if metric is not None and metric.kind in counting:
            assert selector.name in ranged


@pytest.mark.parametrize(("panel", "target"), TARGETS)
def test_only_metrics_and_labels_that_exist(panel: Any, target: Any) -> None:
    assert not queries.unknown_series(target["expr"])
    assert not queries.unknown_labels(target["expr"])


def test_every_metric_is_used() -> None:
    """What nobody looks at need not be exported."""
    assert queries.used_metrics() == set(names.BY_NAME)


def test_panels_fill_the_grid_and_do_not_overlap(document: Any) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in document["panels"]:
        grid = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert grid["x"] + grid["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    height = max(y for _, y in taken) + 1
    assert len(taken) == 24 * height, "a row of panels leaves a hole"


def test_known_values_have_words() -> None:
    """Every reason, ending and outcome of the contract shows as words, in its own colour."""
    closed = {
        "reason": names.REASONS,
        "status": names.ENDED_STATUSES,
        "outcome": names.OUTCOMES,
        "change": names.CHANGES,
    }
    for label, values in closed.items():
        assert set(WORDS[label]) == set(values)
        assert len({colour for _, colour in WORDS[label].values()}) == len(values)
