"""What happened, as marks on the Grafana boards: alerts, deployments and retraining, by event time from the store."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models.dashboard import DataSourceRef

from mlhealth.dashboards.grafana_panels import (
    HISTORY,
    MODEL_SQL,
    VERSION_SQL,
    Sql,
    as_target,
    time_sql,
    within_sql,
)
from mlhealth.dashboards.theme import LIGHT

_RESOLVED = (
    "SELECT min(later.at) FROM alert_transitions later "
    "WHERE later.fingerprint = fired.fingerprint AND later.state = 'resolved' AND later.at >= fired.at"
)
_ALERTS = (
    f"SELECT {time_sql('fired.at')} AS time, {time_sql(f'({_RESOLVED})')} AS timeend, "
    "fired.rule || ': ' || coalesce(fired.annotations ->> 'summary', 'fires') AS text, fired.severity AS tags "
    f"FROM alert_transitions fired WHERE {VERSION_SQL} AND state = 'firing' AND {within_sql('fired.at')} "
    "ORDER BY fired.at"
)
_MARKERS = (
    f"SELECT {time_sql('at')} AS time, kind || ' ' || version || ': ' || note AS text, kind AS tags "
    f"FROM markers WHERE {MODEL_SQL} AND {within_sql('at')} ORDER BY at"
)
_RETRAINING = (
    f"SELECT {time_sql('created')} AS time, 'retraining ' || status || ': ' || reason AS text, service AS tags "
    f"FROM retraining_requests WHERE {MODEL_SQL} AND {within_sql('created')} ORDER BY created"
)


def events() -> tuple[dashboard.AnnotationQuery, ...]:
    """Return the marks of a model's history."""
    return (
        _marks("Alerts", _ALERTS, LIGHT.critical),
        _marks("Deployments", _MARKERS, LIGHT.estimate),
        _marks("Retraining", _RETRAINING, LIGHT.realised),
    )


def _marks(name: str, sql: str, colour: str) -> dashboard.AnnotationQuery:
    source = DataSourceRef(type_val=HISTORY.type_val, uid=HISTORY.uid)
    query = dashboard.AnnotationQuery().name(name).datasource(source).enable(enable=True).icon_color(colour)
    return query.target(as_target(Sql(sql, table_format=True)))
