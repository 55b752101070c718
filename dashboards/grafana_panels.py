"""Panels of the Grafana boards: Prometheus for the live state, PostgreSQL for history by event time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
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
from grafana_foundation_sdk.models.dashboard import DataSourceRef, Threshold, ThresholdsMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from mlhealth.dashboards.theme import LIGHT

LIVE = DataSourceRef(type_val="prometheus", uid="${datasource}")
HISTORY = DataSourceRef(type_val="grafana-postgresql-datasource", uid="${history}")
WINDOW_SQL = (
    "FROM reports WHERE model = ${model:sqlstring} AND version = ${version:sqlstring} AND segment = '' AND latest "
    "AND start >= $__unixEpochFrom()::bigint * 1000000 AND start < $__unixEpochTo()::bigint * 1000000 ORDER BY start"
)
"""The rest of a query over the windows of the chosen model version and time range."""
TIME_SQL = "SELECT to_timestamp(start / 1000000.0) AS time"


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
    limits: tuple[tuple[float | None, str], ...] = ((None, "text"),)
    show_limits: bool = False
    width: int = 12
    height: int = 8


HEALTH = Look("short", 0, 100, ((None, LIGHT.critical), (20, LIGHT.degraded), (80, LIGHT.healthy)))
SHARE = Look("percentunit")


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


def number(words: Words, query: prometheus.Dataquery | Sql, look: Look) -> stat.Panel:
    """Return the last value, large."""
    return _dressed(stat.Panel(), words, [query], look)


def rows(words: Words, query: prometheus.Dataquery | Sql, look: Look) -> table.Panel:
    """Return a table."""
    return _dressed(table.Panel(), words, [query], look)


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
    if look.lowest is not None:
        panel.min(look.lowest)
    if look.highest is not None:
        panel.max(look.highest)
    for query in queries:
        panel.with_target(cast("Builder[variants.Dataquery]", query))  # the kit's own queries do not say so
    return panel
