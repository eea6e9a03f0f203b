"""The forms of panels that the dashboards use, and the frame around them."""

from collections.abc import Sequence
from itertools import count
from typing import Final

from grafana_foundation_sdk.builders import common as look
from grafana_foundation_sdk.builders import dashboard, heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import heatmap as heat
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    Threshold,
    ThresholdsMode,
    VariableOption,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from grafana.expressions import PREFIX, rate

SOURCE: Final = common.DataSourceRef(type_val="prometheus", uid="${source}")
"""The one chosen at the top of a dashboard: every Grafana names its own."""
Query = tuple[str, str]
"""An expression, and the legend of its series."""
Panel = stat.Panel | timeseries.Panel | heatmap.Panel
Row = tuple[str, Sequence[Panel]]
"""A heading, and the panels below it; their spans fill lines of 24."""


def number(
    title: str, expr: str, *, unit: str, says: str, bad: float | None = None, span: int = 4
) -> stat.Panel:
    """One number now; red from ``bad`` on."""
    steps = [Threshold(value=None, color="green")]
    if bad is not None:
        steps.append(Threshold(value=bad, color="red"))
    return (
        stat.Panel()
        .title(title)
        .description(says)
        .datasource(SOURCE)
        .unit(unit)
        .thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
        .color_mode(common.BigValueColorMode.VALUE)
        .graph_mode(common.BigValueGraphMode.AREA)
        .reduce_options(look.ReduceDataOptions().calcs(["lastNotNull"]))
        .with_target(_query(0, (expr, title)))
        .height(4)
        .span(span)
    )


def lines(
    title: str, *queries: Query, unit: str, says: str, stacked: bool = False, span: int = 12
) -> timeseries.Panel:
    """Series over time."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(says)
        .datasource(SOURCE)
        .unit(unit)
        .min(0)
        .line_width(1)
        .fill_opacity(30 if stacked else 8)
        .show_points(common.VisibilityMode.NEVER)
        .tooltip(
            look.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
        )
        .legend(
            look.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .height(8)
        .span(span)
    )
    if stacked:
        panel.stacking(look.StackingConfig().mode(common.StackingMode.NORMAL))
    for place, query in enumerate(queries):
        panel.with_target(_query(place, query))
    return panel


def rates(title: str, counter: str, by: str, *, unit: str, says: str) -> timeseries.Panel:
    """How fast a counter grows, one part for each value of a label."""
    return lines(title, (rate(counter, by=by), f"{{{{{by}}}}}"), unit=unit, says=says, stacked=True)


def spread(title: str, buckets: str, *, unit: str, says: str, span: int = 12) -> heatmap.Panel:
    """A histogram over time; ``buckets`` is an expression that keeps ``le``."""
    return (
        heatmap.Panel()
        .title(title)
        .description(says)
        .datasource(SOURCE)
        .calculate(False)
        .y_axis(heatmap.YAxisConfig().unit(unit))
        .color(heatmap.HeatmapColorOptions().mode(heat.HeatmapColorMode.SCHEME).scheme("Turbo").steps(64))
        .with_target(_query(0, (buckets, "{{le}}")).format(PromQueryFormat.HEATMAP))
        .height(8)
        .span(span)
    )


def board(name: str, title: str, says: str, *rows: Row) -> dashboard.Dashboard:
    """A dashboard of ``rows`` of panels, which choose data source, job and bridges at the top."""
    made = (
        dashboard.Dashboard(f"Crew Bridge: {title}")
        .uid(f"crew-bridge-{name}")
        .description(says)
        .tags(["crew-bridge"])
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .refresh("5s")
        .time("now-15m", "now")
        .timezone("browser")
        .link(_others())
        .with_variable(dashboard.DatasourceVariable("source").label("Data source").type("prometheus"))
        .with_variable(_choice("job", "Job", f"label_values({PREFIX}info, job)"))
        .with_variable(_choice("instance", "Bridge", f'label_values({PREFIX}info{{job=~"$job"}}, instance)'))
    )
    ids = count(1)
    for heading, panels in rows:
        made.with_row(dashboard.Row(heading).id(next(ids)))
        for panel in panels:
            made.with_panel(panel.id(next(ids)))
    return made


def _query(place: int, query: Query) -> prometheus.Dataquery:
    expr, legend = query
    return prometheus.Dataquery().ref_id("ABCDEFGH"[place]).expr(expr).legend_format(legend).range()


def _others() -> dashboard.DashboardLink:
    """A menu of the other dashboards, which keeps time and bridges."""
    return (
        dashboard.DashboardLink("Crew Bridge")
        .type(DashboardLinkType.DASHBOARDS)
        .tags(["crew-bridge"])
        .as_dropdown(True)
        .include_vars(True)
        .keep_time(True)
    )


def _choice(name: str, label: str, query: str) -> dashboard.QueryVariable:
    """Any number of a label's values; all at first, also those that are still to come."""
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(VariableOption(selected=True, text="All", value="$__all"))
    )
