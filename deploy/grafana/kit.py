"""What both dashboards are made of: variables, queries and panels of one look.

In a query `@` stands for the job and instance that the reader has picked. A panel that may lawfully
show nothing says when, in its description, after the words "May be empty:"; `make observability`
lets no other panel be empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeVar

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    timeseries,
)
from grafana_foundation_sdk.builders import text as text_panel
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import heatmap as heatmap_models
from grafana_foundation_sdk.models import prometheus as prometheus_models

from deploy.grafana.words import BLUE, GREEN, ORANGE, RED, WORDS

SELECTION: Final = 'job=~"$job", instance=~"$instance"'
#: Scrape jobs of workers are called so, perhaps with something behind it; alerts rely on it too.
WORKERS: Final = 'job=~"orderhalt.*"'
DATASOURCE: Final = common_models.DataSourceRef(type_val="prometheus", uid="${datasource}")

_NOW: Final = ["lastNotNull"]

Visual = bargauge.Panel | heatmap.Panel | stat.Panel | statetimeline.Panel | timeseries.Panel
Shown = Visual | text_panel.Panel
AnyPanel = TypeVar("AnyPanel", bound=Visual)
ByName = TypeVar("ByName", bargauge.Panel, timeseries.Panel)


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression and what its series are called."""

    expr: str
    """With `@` for the selection of job and instance."""
    legend: str = ""


def increase_by(label: str, counter: str, over: str = "$__rate_interval") -> Query:
    """Ask how much `counter` grew, one series for each value of `label`."""
    return Query(f"sum by ({label}) (increase({counter}{{@}}[{over}]))", f"{{{{{label}}}}}")


def rate_by(label: str, counter: str) -> Query:
    """Ask how fast `counter` grows, a second, one series for each value of `label`."""
    return Query(f"sum by ({label}) (rate({counter}{{@}}[$__rate_interval]))", f"{{{{{label}}}}}")


def sum_by(label: str, gauge: str) -> Query:
    """Ask what `gauge` is, one series for each value of `label`."""
    return Query(f"sum by ({label}) ({gauge}{{@}})", f"{{{{{label}}}}}")


@dataclass(frozen=True, slots=True)
class Frame:
    """What every panel has."""

    title: str
    description: str
    unit: str
    """A unit of Grafana, such as `s`, `short`, `percentunit`."""
    width: int
    """In columns, of 24."""
    height: int = 7
    """In rows of 30 pixels."""
    decimals: int | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """From which value on a number is worth a look, and from which it is bad."""

    warn: float | None = None
    bad: float | None = None
    falling: bool = False
    """Small values are the bad ones."""

    def steps(self) -> list[models.Threshold]:
        """Give them as Grafana's steps, each the lower bound of its colour."""
        colours = (RED, ORANGE, GREEN) if self.falling else (GREEN, ORANGE, RED)
        bounds = (self.bad, self.warn) if self.falling else (self.warn, self.bad)
        low, middle, high = colours
        steps = [models.Threshold(value=None, color=low)]
        if bounds[0] is not None:
            steps.append(models.Threshold(value=bounds[0], color=middle))
        if bounds[1] is not None:
            steps.append(models.Threshold(value=bounds[1], color=high))
        return steps


def number(frame: Frame, *queries: Query, limits: Limits | None = None) -> stat.Panel:
    """Show one number per series, large, over its own small curve."""
    steps = limits.steps() if limits else [models.Threshold(value=None, color=BLUE)]
    panel = (
        stat.Panel()
        .graph_mode(common_models.BigValueGraphMode.AREA)
        .color_mode(common_models.BigValueColorMode.VALUE)
        .text_mode(common_models.BigValueTextMode.AUTO)
        .reduce_options(common.ReduceDataOptions().calcs(_NOW).values(False).fields(""))
        .thresholds(_thresholds(steps))
        .no_value("none")
    )
    return _asked(panel, frame, queries)


def label(frame: Frame, query: Query) -> stat.Panel:
    """Show the name of each series instead of its value."""
    panel = number(frame, query).text_mode(common_models.BigValueTextMode.NAME)
    return panel.graph_mode(common_models.BigValueGraphMode.NONE)


def curves(frame: Frame, *queries: Query, limits: Limits | None = None) -> timeseries.Panel:
    """Show lines over time."""
    panel = timeseries.Panel().line_width(2).fill_opacity(8)
    if limits is not None:
        dashed = common_models.GraphThresholdsStyleMode.DASHED
        panel.thresholds(_thresholds(limits.steps()))
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(dashed))
    return _named(_over_time(panel, frame, queries), queries)


def areas(frame: Frame, *queries: Query) -> timeseries.Panel:
    """Show parts of a whole over time, one upon the other."""
    panel = timeseries.Panel().line_width(1).fill_opacity(55).stacking(_stacked())
    return _named(_over_time(panel, frame, queries), queries)


def bars(frame: Frame, *queries: Query) -> timeseries.Panel:
    """Show how many there were in each interval, one kind upon the other."""
    panel = (
        timeseries.Panel()
        .draw_style(common_models.GraphDrawStyle.BARS)
        .line_width(0)
        .fill_opacity(85)
        .stacking(_stacked())
    )
    return _named(_over_time(panel, frame, queries), queries).min(0)


def ranking(frame: Frame, *queries: Query) -> bargauge.Panel:
    """Show one horizontal bar a series."""
    panel = (
        bargauge.Panel()
        .orientation(common_models.VizOrientation.HORIZONTAL)
        .display_mode(common_models.BarGaugeDisplayMode.BASIC)
        .value_mode(common_models.BarGaugeValueMode.TEXT)
        .show_unfilled(True)
        .reduce_options(common.ReduceDataOptions().calcs(_NOW).values(False).fields(""))
        .color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC))
        .min(0)
        .no_value("none")
    )
    return _named(_asked(panel, frame, queries), queries)


def distribution(frame: Frame, query: Query) -> heatmap.Panel:
    """Show a histogram's buckets over time, the fuller the darker."""
    panel = (
        heatmap.Panel()
        .calculate(False)
        .color(
            heatmap.HeatmapColorOptions()
            .mode(heatmap_models.HeatmapColorMode.SCHEME)
            .scheme("Oranges")
            .steps(32)
        )
        .y_axis(heatmap.YAxisConfig().unit(frame.unit))
        .rows_frame(heatmap.RowsHeatmapOptions().layout(common_models.HeatmapCellLayout.LE))
    )
    target = _target(query, "A").format(prometheus_models.PromQueryFormat.HEATMAP)
    return _framed(panel, frame).with_target(target)


def states(frame: Frame, *queries: Query, words: dict[str, tuple[str, str]]) -> statetimeline.Panel:
    """Show in which state each series was when; `words`: value → what is shown, colour."""
    options = {
        value: models.ValueMappingResult(text=text, color=colour, index=index)
        for index, (value, (text, colour)) in enumerate(words.items())
    }
    panel = (
        statetimeline.Panel()
        .row_height(0.8)
        .show_value(common_models.VisibilityMode.NEVER)
        .mappings([models.ValueMap(options=options)])
        .legend(_legend())
    )
    return _asked(panel, frame, queries)


def prose(frame: Frame, content: str) -> text_panel.Panel:
    """Show a few words."""
    return (
        text_panel.Panel()
        .title(frame.title)
        .description(frame.description)
        .content(content)
        .span(frame.width)
        .height(frame.height)
    )


def _over_time(
    panel: timeseries.Panel, frame: Frame, queries: tuple[Query, ...]
) -> timeseries.Panel:
    tooltip = common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI)
    panel.tooltip(tooltip.sort(common_models.SortOrder.DESCENDING)).legend(_legend())
    return _asked(panel, frame, queries)


def _asked(panel: AnyPanel, frame: Frame, queries: tuple[Query, ...]) -> AnyPanel:
    for index, query in enumerate(queries):
        panel.with_target(_target(query, chr(ord("A") + index)))
    return _framed(panel, frame)


def _framed(panel: AnyPanel, frame: Frame) -> AnyPanel:
    panel.title(frame.title).description(frame.description).datasource(DATASOURCE)
    panel.unit(frame.unit).span(frame.width).height(frame.height)
    if frame.decimals is not None:
        panel.decimals(frame.decimals)
    return panel


def _named(panel: ByName, queries: tuple[Query, ...]) -> ByName:
    """Let the known values of a label that names the series show as words, in their colours."""
    for query in queries:
        for value, (shown, colour) in WORDS.get(query.legend.strip("{}"), {}).items():
            fixed = {"mode": "fixed", "fixedColor": colour}
            panel.override_by_name(
                value,
                [
                    models.DynamicConfigValue(id_val="displayName", value=shown),
                    models.DynamicConfigValue(id_val="color", value=fixed),
                ],
            )
    return panel


def _target(query: Query, ref_id: str) -> prometheus.Dataquery:
    return (
        prometheus.Dataquery()
        .ref_id(ref_id)
        .datasource(DATASOURCE)
        .expr(query.expr.replace("@", SELECTION))
        .legend_format(query.legend or "__auto")
        .editor_mode(prometheus_models.QueryEditorMode.CODE)
        .range()
    )


def _thresholds(steps: list[models.Threshold]) -> dashboard.ThresholdsConfig:
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def _legend() -> common.VizLegendOptions:
    return (
        common.VizLegendOptions()
        .show_legend(True)
        .display_mode(common_models.LegendDisplayMode.LIST)
        .placement(common_models.LegendPlacement.BOTTOM)
    )


def _stacked() -> common.StackingConfig:
    return common.StackingConfig().mode(common_models.StackingMode.NORMAL).group("A")
