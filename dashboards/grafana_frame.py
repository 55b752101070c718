"""What every Grafana board has: its name, links to the others, and variables."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models.dashboard import DashboardLinkType, VariableRefresh

from mlhealth.dashboards.grafana_panels import LIVE, Look
from mlhealth.dashboards.theme import LIGHT

TAG = "mlhealth"
CALM = Look(limits=((None, LIGHT.healthy), (1.0, LIGHT.critical)))
"""Of counts that are 0 when all is well."""


def board(uid: str, title: str, description: str) -> dashboard.Dashboard:
    """Return an empty board that leads to the others, taking the time range and the variables along."""
    link = (
        dashboard.DashboardLink("mlhealth")
        .type(DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(as_dropdown=False)
    )
    link = link.keep_time(keep_time=True).include_vars(include_vars=True)
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .time("now-7d", "now")
        .timezone("utc")
        .refresh("1m")
        .editable()
        .link(link)
    )


def source() -> dashboard.DatasourceVariable:
    """Return the variable that chooses a Prometheus."""
    return dashboard.DatasourceVariable("datasource").label("Live").type("prometheus")


def values(name: str, label: str, query: str) -> dashboard.QueryVariable:
    """Return a variable whose choices Prometheus knows."""
    variable = dashboard.QueryVariable(name).label(label).query(query).datasource(LIVE)
    return variable.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
