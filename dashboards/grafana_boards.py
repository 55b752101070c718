"""Four linked Grafana boards: the fleet, a model version, a feature, and the monitor itself."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard

from mlhealth.dashboards.grafana_frame import CALM, board, source
from mlhealth.dashboards.grafana_model_boards import feature, model
from mlhealth.dashboards.grafana_panels import HEALTH, LIVE, Look, Words, lines, number, prom, rows, states
from mlhealth.dashboards.theme import LIGHT

_MODEL_LINK = (
    "/d/mlhealth-model?var-model=${__data.fields.model}&var-version=${__data.fields.version}"
    "&${__url_time_range}"
)


def boards() -> tuple[dashboard.Dashboard, ...]:
    """Return the boards, each with a uid that never changes."""
    return fleet(), model(), feature(), pipeline()


def fleet() -> dashboard.Dashboard:
    """Return the board of every model version."""
    score = 'mlhealth_health_score{segment=""}'
    by_version = f"sort(min by (model, version) ({score}))"
    age = "time() - max by (model, version) (mlhealth_window_end_timestamp_seconds)"
    firing = prom("sum(mlhealth_alert_active) or vector(0)", "firing")
    return (
        board("mlhealth-fleet", "mlhealth / Fleet", "Which models need a person?")
        .with_variable(source())
        .annotation(_firing())
        .with_panel(number(_WORST, prom(f"min({score})", "worst"), HEALTH.sized(8, 5)))
        .with_panel(number(_FIRING, firing, CALM.sized(8, 5)))
        .with_panel(number(_COUNT, prom(f"count({score})", "versions"), Look(width=8, height=5)))
        .with_panel(states(_STATES, prom(score, "{{model}} {{version}}"), HEALTH.sized(24, 10)))
        .with_panel(rows(_LATEST, prom(by_version, "", instant=True), HEALTH.sized(14, 9), link=_MODEL_LINK))
        .with_panel(lines(_AGE, [prom(age, "{{model}} {{version}}")], Look("s", width=10, height=9)))
    )


_WORST = Words("Worst health score", "The lowest health score of any model version.")
_FIRING = Words("Alerts firing", "Alerts that fire now, over all models.")
_COUNT = Words("Model versions", "Model versions that have had a window.")
_STATES = Words("Health by model version", "Health score over time; red is critical, green is healthy.")
_LATEST = Words("Model versions by score", "The latest health score of each model version, lowest first.")
_AGE = Words("Age of the newest window", "Wall clock minus the end of the newest window.")


def pipeline() -> dashboard.Dashboard:
    """Return the board of the monitor itself."""
    found = board("mlhealth-pipeline", "mlhealth / Pipeline", "Is the monitor itself well?").with_variable(
        source()
    )
    for title, description, expression, legend, unit in _PIPELINE:
        found = found.with_panel(lines(Words(title, description), [prom(expression, legend)], Look(unit)))
    return found


def _rate(counter: str, *by: str) -> tuple[str, str, str]:
    """Return the expression, legend and unit of a counter's rate by labels."""
    legend = " ".join(f"{{{{{label}}}}}" for label in by)
    return f"sum by ({', '.join(by)}) (rate({counter}[$__rate_interval]))", legend, "cps"


_CLOSING = (
    "histogram_quantile(0.95, sum by (le) (rate(mlhealth_window_close_seconds_bucket[$__rate_interval])))"
)
_LAG = "sum by (topic) (mlhealth_consumer_lag_records)"
_PIPELINE = (
    ("Events", "Events a second by what became of them.", *_rate("mlhealth_records_total", "outcome")),
    ("Consumer lag", "Messages not yet checkpointed.", _LAG, "{{topic}}", "short"),
    (
        "Watermark lag",
        "Wall clock minus event time.",
        "mlhealth_watermark_lag_seconds",
        "{{model}} {{version}}",
        "s",
    ),
    ("Time to close windows", "95th percentile of closing a window.", _CLOSING, "p95", "s"),
    ("Late events", "Events a second that came too late.", *_rate("mlhealth_late_records_total", "model")),
    ("Failures waited out", "Failures a second by kind.", *_rate("mlhealth_failures_total", "kind")),
    ("Notifications", "Deliveries a second.", *_rate("mlhealth_notifications_total", "channel", "outcome")),
    ("Buffered", "Message bytes polled and not decoded.", "mlhealth_buffered_bytes", "buffered", "bytes"),
)


def _firing() -> dashboard.AnnotationQuery:
    """Return marks while an alert fires, by scrape time."""
    query = dashboard.AnnotationQuery().name("Alerts").datasource(LIVE).enable(enable=True)
    return query.expr("mlhealth_alert_active == 1").icon_color(LIGHT.critical)
