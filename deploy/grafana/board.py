"""A dashboard's frame: who it is for, its variables and links; rows of panels go into it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from deploy.grafana.kit import DATASOURCE, WORKERS, Shown

#: Where the runbook is served: the Compose file puts it there. Elsewhere, set the variable.
RUNBOOK: Final = "/public/orderhalt/runbook.md"

Row = tuple[str, Sequence[Shown]]


def board(
    uid: str, title: str, description: str, since: str, rows: Iterable[Row]
) -> dict[str, Any]:
    """Build a dashboard that shows the time from `since` to now; a row is its title and panels."""
    built = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["orderhalt"])
        .readonly()
        .timezone("browser")
        .time(since, "now")
        .refresh("30s")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .variables(_variables())
        .links(_links())
    )
    for name, panels in rows:
        built.with_row(dashboard.Row(name))
        for panel in panels:
            built.with_panel(panel)
    document: dict[str, Any] = json.loads(json.dumps(built.build(), cls=JSONEncoder))
    for number, panel in enumerate(document["panels"], 1):
        panel["id"] = number
    for link in document["links"]:
        # The builder's default hides links in a menu that only the newest Grafana has.
        del link["placement"]
    return document


def text(document: dict[str, Any]) -> str:
    """Give the dashboard's JSON as it stands in its file."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _variables() -> list[Any]:
    return [
        dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"),
        _picked("job", "Job", f"label_values(up{{{WORKERS}}}, job)"),
        _picked(
            "instance", "Instance", 'label_values(orderhalt_build_info{job=~"$job"}, instance)'
        ),
        dashboard.ConstantVariable("runbook").label("Runbook").value(RUNBOOK),
    ]


def _picked(name: str, label: str, query: str) -> dashboard.QueryVariable:
    everything = models.VariableOption(text="All", value="$__all")
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        .query(query)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(everything)
    )


def _links() -> list[Builder[models.DashboardLink]]:
    others = (
        dashboard.DashboardLink("orderhalt")
        .type(models.DashboardLinkType.DASHBOARDS)
        .tags(["orderhalt"])
        .include_vars(True)
        .keep_time(True)
    )
    runbook = (
        dashboard.DashboardLink("Runbook")
        .type(models.DashboardLinkType.LINK)
        .url("${runbook}")
        .icon("doc")
        .tooltip("What each alert means, what to look at, what to do")
        .target_blank(True)
    )
    return [others, runbook]
