"""Panels of the Grafana boards: Prometheus for the live state, PostgreSQL for history by event time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar, cast

from grafana_foundation_sdk.builders import (
    common,
    dashboard,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog import variants
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.common import GraphDrawStyle, GraphThresholdsStyleMode, LegendDisplayMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    MatcherConfig,
    Threshold,
    ThresholdsMode,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from mlhealth.dashboards.theme import LIGHT

LIVE = DataSourceRef(type_val="prometheus", uid="${datasource}")
HISTORY = DataSourceRef(type_val="grafana-postgresql-datasource", uid="${history}")
MODEL_SQL = "model = ${model:sqlstring}"
VERSION_SQL = f"{MODEL_SQL} AND version = ${{version:sqlstring}}"
# Of "All" Grafana inserts whatever stands for it unquoted, unless it is asked for as text; $$ quotes any text.
_SEGMENT_SQL = "segment = CASE WHEN $$${segment:text}$$ = 'All' THEN '' ELSE $$${segment:text}$$ END"


def within_sql(column: str) -> str:
    """Return the condition that a column of microseconds lies in the chosen time range."""
    return (
        f"{column} >= $__unixEpochFrom()::bigint * 1000000 AND {column} < $__unixEpochTo()::bigint * 1000000"
    )


def time_sql(column: str) -> str:
    """Return a column of microseconds as a time."""
    return f"to_timestamp({column} / 1000000.0)"


WINDOW_SQL = (
    f"FROM reports WHERE {VERSION_SQL} AND {_SEGMENT_SQL} AND latest AND {within_sql('start')} ORDER BY start"
)
"""The rest of a query over the windows of the chosen model version, segment and time range."""
TIME_SQL = f"SELECT {time_sql('start')} AS time"


class SqlQuery(variants.Dataquery):
    """A query of Grafana's PostgreSQL data source, which the SDK has no type for."""

    def __init__(self, sql: str, *, ref_id: str = "A", table_format: bool = False) -> None:
        self.sql = sql
        self.ref_id = ref_id
        self.format = "table" if table_format else "time_series"

    def dataquery_variant(self) -> str:
        """Return the plugin's name (the SDK asks for it)."""
        return "grafana-postgresql-datasource"

    def to_json(self) -> dict[str, object]:
        """Return the query as Grafana stores it."""
        source = {"type": HISTORY.type_val, "uid": HISTORY.uid}
        told = {"refId": self.ref_id, "rawSql": self.sql, "format": self.format}
        return told | {"rawQuery": True, "editorMode": "code", "datasource": source}


class Sql:
    """Builder of a `SqlQuery`."""

    def __init__(self, sql: str, *, table_format: bool = False) -> None:
        self._query = SqlQuery(sql, table_format=table_format)

    def build(self) -> SqlQuery:
        """Return the query."""
        return self._query


@dataclass(frozen=True)
class Look:
    """Unit, range and limits of a panel. `limits`: (from this value on, colour), the first from -infinity."""

    unit: str = "short"
    lowest: float | None = None
    highest: float | None = None
    decimals: int | None = None
    limits: tuple[tuple[float | None, str], ...] = ((None, "text"),)
    show_limits: bool = False
    width: int = 12
    height: int = 8

    def sized(self, width: int, height: int) -> Look:
        """Return this look in another size."""
        return replace(self, width=width, height=height)


HEALTH = Look("short", 0, 100, 0, ((None, LIGHT.critical), (20, LIGHT.degraded), (80, LIGHT.healthy)))
SHARE = Look("percentunit", 0)
METRIC = Look("short", decimals=3)
"""Of estimates: a share of some models is right, others err by an amount."""


@dataclass(frozen=True)
class Words:
    """A panel's title, and what it tells in a sentence."""

    title: str
    description: str
    legends: tuple[str, ...] = field(default=())


Panel = timeseries.Panel | stat.Panel | table.Panel | statetimeline.Panel
P = TypeVar("P", timeseries.Panel, stat.Panel, table.Panel, statetimeline.Panel)


def prom(expression: str, legend: str, *, instant: bool = False) -> prometheus.Dataquery:
    """Return a Prometheus query."""
    query = prometheus.Dataquery().expr(expression).legend_format(legend).datasource(LIVE)
    return query.instant().format(PromQueryFormat.TABLE) if instant else query.range()


def lines(words: Words, queries: Sequence[prometheus.Dataquery | Sql], look: Look) -> timeseries.Panel:
    """Return lines over time, one or more per query."""
    panel = timeseries.Panel().draw_style(GraphDrawStyle.LINE).line_width(2).fill_opacity(0)
    legend = common.VizLegendOptions().show_legend(show_legend=True).display_mode(LegendDisplayMode.LIST)
    panel = panel.legend(legend)
    if look.show_limits:
        area = common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED)
        panel = panel.thresholds_style(area)
    return _dressed(panel, words, queries, look)


def coloured(panel: timeseries.Panel) -> timeseries.Panel:
    """Return a panel of an estimate whose lines have the colours of our own figures, dashed where not estimated.

    The published schema takes objects alone where Grafana takes any value, hence fields matched by a list of names.
    """
    for names, colour, dashed in (
        (("estimate", "lower", "upper"), LIGHT.estimate, False),
        (("reference",), LIGHT.reference, True),
        (("tolerance",), LIGHT.limit, True),
        (("true",), LIGHT.realised, False),
    ):
        matcher = MatcherConfig(id_val="byNames", options={"mode": "include", "names": list(names)})
        style = [DynamicConfigValue("color", {"mode": "fixed", "fixedColor": colour})]
        if dashed:
            style.append(DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}))
        panel.with_override(matcher, style)
    return panel


def number(words: Words, query: prometheus.Dataquery | Sql, look: Look) -> stat.Panel:
    """Return the last value, large."""
    return _dressed(stat.Panel(), words, [query], look)


def rows(
    words: Words,
    query: prometheus.Dataquery | Sql,
    look: Look,
    link: str = "",
) -> table.Panel:
    """Return a table; `link`: where the cells of a row lead. Columns are named by the query's labels."""
    panel = _dressed(table.Panel(), words, [query], look)
    panel.with_transformation(
        DataTransformerConfig(
            id_val="organize", options={"excludeByName": {"Time": True}, "renameByName": {"Value": "value"}}
        )
    )
    if link:
        panel.data_links([dashboard.DashboardLink("Open").type(DashboardLinkType.LINK).url(link)])
    return panel


def states(words: Words, query: prometheus.Dataquery | Sql, look: Look) -> statetimeline.Panel:
    """Return a band per series, coloured by its value."""
    return _dressed(statetimeline.Panel(), words, [query], look)


def _dressed(panel: P, words: Words, queries: Sequence[prometheus.Dataquery | Sql], look: Look) -> P:
    """Give a panel what every panel has."""
    source = HISTORY if isinstance(queries[0], Sql) else LIVE
    steps = [Threshold(value=value, color=colour) for value, colour in look.limits]
    panel.title(words.title).description(words.description).datasource(source).unit(look.unit)
    panel.thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
    panel.height(look.height).span(look.width).no_value("unknown")
    if look.decimals is not None:
        panel.decimals(look.decimals)
    if look.lowest is not None:
        panel.min(look.lowest)
    if look.highest is not None:
        panel.max(look.highest)
    for query in queries:
        panel.with_target(as_target(query))
    return panel


def as_target(query: prometheus.Dataquery | Sql) -> Builder[variants.Dataquery]:
    """Return a query as the kit wants it; its own queries do not say that they fit."""
    return cast("Builder[variants.Dataquery]", query)
