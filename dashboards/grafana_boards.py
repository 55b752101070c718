"""Four linked Grafana boards: the fleet, a model version, a feature, and the monitor itself."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models.dashboard import DashboardLinkType, DataSourceRef, VariableRefresh

from mlhealth.dashboards.grafana_panels import (
    HEALTH,
    HISTORY,
    LIVE,
    SHARE,
    TIME_SQL,
    WINDOW_SQL,
    Look,
    Sql,
    Words,
    lines,
    number,
    prom,
    rows,
    states,
)
from mlhealth.dashboards.theme import LIGHT

TAG = "mlhealth"
OF = 'model="$model",version="$version"'
CALM = ((None, LIGHT.healthy), (1.0, LIGHT.critical))


def boards() -> tuple[dashboard.Dashboard, ...]:
    """Return the boards, each with a uid that never changes."""
    return fleet(), model(), feature(), pipeline()


def fleet() -> dashboard.Dashboard:
    """Return the board of every model version."""
    score = 'mlhealth_health_score{segment=""}'
    lag = "time() - max by (model, version) (mlhealth_window_end_timestamp_seconds)"
    firing = Words("Alerts firing", "Alerts that fire now, over all models.")
    worst = Words("Worst health score", "The lowest health score of any model version.")
    count = Words("Model versions", "Model versions that have had a window.")
    return (
        _board("mlhealth-fleet", "mlhealth / Fleet", "Which models need a person?")
        .with_variable(_source())
        .with_panel(number(worst, prom(f"min({score})", "worst"), _wide(HEALTH, 8, 5)))
        .with_panel(
            number(
                firing,
                prom("sum(mlhealth_alert_active) or vector(0)", "firing"),
                Look(limits=CALM, width=8, height=5),
            )
        )
        .with_panel(number(count, prom(f"count({score})", "versions"), Look(width=8, height=5)))
        .with_panel(
            states(
                Words(
                    "Health by model version", "Health score over time; red is critical, green is healthy."
                ),
                prom(score, "{{model}} {{version}}"),
                _wide(HEALTH, 24, 10),
            )
        )
        .with_panel(
            rows(
                Words(
                    "Model versions by score", "The latest health score of each model version, lowest first."
                ),
                prom(f"sort({score})", "", instant=True),
                _wide(HEALTH, 14, 9),
            )
        )
        .with_panel(
            lines(
                Words("Age of the newest window", "Wall clock minus the end of the newest window."),
                [prom(lag, "{{model}} {{version}}")],
                Look("s", width=10, height=9),
            )
        )
    )


def model() -> dashboard.Dashboard:
    """Return the board of one model version."""
    estimate = f"{TIME_SQL}, value AS estimate, lower, upper, reference {WINDOW_SQL}"
    firing = f"mlhealth_alert_active{{{OF}}}"
    words = Words(
        "Estimated performance (history)",
        "The primary metric by event time: estimate, 90 % interval, reference.",
    )
    return (
        _with_model(_board("mlhealth-model", "mlhealth / Model", "How does this version do, and since when?"))
        .annotation(_annotation())
        .with_panel(
            number(_SCORE, prom(f'mlhealth_health_score{{{OF},segment=""}}', "score"), _wide(HEALTH, 6, 5))
        )
        .with_panel(
            number(
                Words("Rows in the newest window", "How many rows the newest window was judged on."),
                prom(f'mlhealth_window_rows{{{OF},segment=""}}', "rows"),
                Look(width=6, height=5),
            )
        )
        .with_panel(
            number(
                Words("Features drifted", "Features beyond their threshold in the newest window."),
                prom(f'mlhealth_drifted_features{{{OF},segment=""}}', "features"),
                Look(limits=CALM, width=6, height=5),
            )
        )
        .with_panel(
            number(
                Words("Alerts firing", "Alerts of this version that fire now."),
                prom(f"sum({firing}) or vector(0)", "firing"),
                Look(limits=CALM, width=6, height=5),
            )
        )
        .with_panel(lines(words, [Sql(estimate)], _wide(SHARE, 24, 10)))
        .with_panel(lines(_HISTORY, [Sql(f"{TIME_SQL}, score {WINDOW_SQL}")], _wide(HEALTH, 12, 8)))
        .with_panel(lines(_LIVE, _live_estimates(), _wide(SHARE, 12, 8)))
        .with_panel(
            states(_ALERTS, prom(firing, "{{rule}} {{segment}}"), Look(limits=CALM, width=24, height=6))
        )
    )


_SCORE = Words("Health score", "100 × (1 − P(the primary metric fell by more than its tolerance)).")
_HISTORY = Words("Health score (history)", "The health score by event time.")
_LIVE = Words(
    "Estimated performance (live)",
    "Each metric's estimate and, where labels came, its true value, by scrape time.",
)
_ALERTS = Words("Alerts", "1 while an alert of this version fires.")


def feature() -> dashboard.Dashboard:
    """Return the board of one feature of a model version."""
    chosen = "report #>> ARRAY['drift', ${feature:sqlstring}, '%s']"
    drift = ", ".join(f"({chosen % part})::float AS {part}" for part in ("statistic", "threshold"))
    quality = "report #>> ARRAY['quality', ${feature:sqlstring}, '%s']"
    faults = ", ".join(
        f"({quality % part})::float AS {part}" for part in ("missing", "unseen", "out_of_range")
    )
    values = f"label_values(mlhealth_drift_statistic{{{OF}}}, feature)"
    ratio = f"topk(10, mlhealth_drift_statistic{{{OF}}} / mlhealth_drift_threshold{{{OF}}})"
    return (
        _with_model(_board("mlhealth-feature", "mlhealth / Feature", "Which input moved, and when?"))
        .with_variable(_values("feature", "Feature", values))
        .with_panel(
            lines(
                Words(
                    "Features that moved most",
                    "Drift statistic divided by its threshold: above 1 the feature has drifted.",
                ),
                [prom(ratio, "{{feature}}")],
                Look(limits=CALM, show_limits=True, width=24, height=8),
            )
        )
        .with_panel(
            lines(
                Words(
                    "Drift of the feature (history)",
                    "The detector's statistic and its threshold, by event time.",
                ),
                [Sql(f"{TIME_SQL}, {drift} {WINDOW_SQL}")],
                Look(width=12, height=9),
            )
        )
        .with_panel(
            lines(
                Words(
                    "Quality of the feature (history)",
                    "Share of rows missing, unseen or out of range, by event time.",
                ),
                [Sql(f"{TIME_SQL}, {faults} {WINDOW_SQL}")],
                _wide(SHARE, 12, 9),
            )
        )
    )


def pipeline() -> dashboard.Dashboard:
    """Return the board of the monitor itself."""
    board = _board("mlhealth-pipeline", "mlhealth / Pipeline", "Is the monitor itself well?").with_variable(
        _source()
    )
    for title, description, expression, legend, unit in _PIPELINE:
        board = board.with_panel(lines(Words(title, description), [prom(expression, legend)], Look(unit)))
    return board


def _rate(counter: str, *by: str) -> tuple[str, str, str]:
    """Return the expression, legend and unit of a counter's rate by labels."""
    legend = " ".join(f"{{{{{label}}}}}" for label in by)
    return f"sum by ({', '.join(by)}) (rate({counter}[$__rate_interval]))", legend, "reqps"


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
    ("Time to close windows", "95th percentile of a round of closing windows.", _CLOSING, "p95", "s"),
    ("Late events", "Events a second that came too late.", *_rate("mlhealth_late_records_total", "model")),
    ("Failures waited out", "Failures a second by kind.", *_rate("mlhealth_failures_total", "kind")),
    ("Notifications", "Deliveries a second.", *_rate("mlhealth_notifications_total", "channel", "outcome")),
    ("Buffered", "Message bytes polled and not decoded.", "mlhealth_buffered_bytes", "buffered", "bytes"),
)


def _live_estimates() -> list[Dataquery]:
    kinds = ("estimated", "realized")
    return [
        prom(f'mlhealth_{kind}_performance{{{OF},segment=""}}', f"{kind} {{{{metric}}}}") for kind in kinds
    ]


def _wide(look: Look, width: int, height: int) -> Look:
    return Look(look.unit, look.lowest, look.highest, look.limits, look.show_limits, width, height)


def _board(uid: str, title: str, description: str) -> dashboard.Dashboard:
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


def _with_model(board: dashboard.Dashboard) -> dashboard.Dashboard:
    return (
        board.with_variable(_source())
        .with_variable(dashboard.DatasourceVariable("history").label("History").type(str(HISTORY.type_val)))
        .with_variable(_values("model", "Model", "label_values(mlhealth_health_score, model)"))
        .with_variable(
            _values("version", "Version", 'label_values(mlhealth_health_score{model="$model"}, version)')
        )
    )


def _source() -> dashboard.DatasourceVariable:
    return dashboard.DatasourceVariable("datasource").label("Live").type("prometheus")


def _values(name: str, label: str, query: str) -> dashboard.QueryVariable:
    variable = dashboard.QueryVariable(name).label(label).query(query).datasource(LIVE)
    return variable.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)


def _annotation() -> dashboard.AnnotationQuery:
    source = DataSourceRef(type_val=LIVE.type_val, uid=LIVE.uid)
    query = dashboard.AnnotationQuery().name("Alerts").datasource(source).enable(enable=True)
    return query.expr(f"mlhealth_alert_active{{{OF}}} == 1").icon_color(LIGHT.critical)
