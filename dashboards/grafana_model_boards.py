"""The Grafana boards of one model version and of one of its features."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models.dashboard import VariableOption

from mlhealth.dashboards.grafana_events import events
from mlhealth.dashboards.grafana_frame import CALM, board, source, values
from mlhealth.dashboards.grafana_panels import (
    HEALTH,
    HISTORY,
    METRIC,
    SHARE,
    TIME_SQL,
    WINDOW_SQL,
    Look,
    Sql,
    Words,
    coloured,
    lines,
    number,
    prom,
    rows,
    states,
)
from mlhealth.dashboards.wording import LOSSES

OF = 'model="$model",version="$version"'
CHOSEN = f'{OF},segment=~"$segment"'
_SINGLE = Look(width=6, height=5)
_LOSS_SQL = f"metric IN ({', '.join(repr(name) for name in sorted(LOSSES))}) OR starts_with(metric, 'cost:')"
_TOLERANCE = "(report #>> '{health,tolerance}')::float"
_LIMIT_SQL = f"reference + {_TOLERANCE} * CASE WHEN {_LOSS_SQL} THEN abs(reference) ELSE -1 END AS tolerance"
_TRUE_SQL = "(report #>> ARRAY['realized', metric])::float AS \"true\""


def model() -> dashboard.Dashboard:
    """Return the board of one model version."""
    estimate = (
        f"{TIME_SQL}, value AS estimate, lower, upper, reference, {_LIMIT_SQL}, {_TRUE_SQL} {WINDOW_SQL}"
    )
    found = _with_model(
        board("mlhealth-model", "mlhealth / Model", "How does this version do, and since when?")
    )
    for event in events():
        found = found.annotation(event)
    firing = f"mlhealth_alert_active{{{CHOSEN}}}"
    for panel in (
        number(_SCORE, prom(f"mlhealth_health_score{{{CHOSEN}}}", "score"), HEALTH.sized(6, 5)),
        number(_ROWS, prom(f"mlhealth_window_rows{{{CHOSEN}}}", "rows"), _SINGLE),
        number(_DRIFTED, prom(f"mlhealth_drifted_features{{{CHOSEN}}}", "features"), CALM.sized(6, 5)),
        number(_FIRING, prom(f"sum({firing}) or vector(0)", "firing"), CALM.sized(6, 5)),
    ):
        found = found.with_panel(panel)
    return (
        found.with_panel(coloured(lines(_ESTIMATE, [Sql(estimate)], METRIC.sized(24, 10))))
        .with_panel(lines(_HISTORY, [Sql(f"{TIME_SQL}, score {WINDOW_SQL}")], HEALTH.sized(12, 8)))
        .with_panel(lines(_LIVE, _live_estimates(), METRIC.sized(12, 8)))
        .with_panel(states(_ALERTS, prom(firing, "{{rule}} {{segment}}"), CALM.sized(12, 8)))
        .with_panel(rows(_SEGMENTS, _by("segment", f'{OF},segment!=""'), HEALTH.sized(12, 8)))
        .with_panel(rows(_VERSIONS, _by("version", 'model="$model",segment=""'), HEALTH.sized(12, 7)))
        .with_panel(lines(_BESIDE, [_beside()], METRIC.sized(12, 7)))
    )


_SCORE = Words("Health score", "100 × (1 − P(the primary metric fell by more than its tolerance)).")
_ROWS = Words("Rows in the newest window", "How many rows the newest window was judged on.")
_DRIFTED = Words("Features drifted", "Features beyond their threshold in the newest window.")
_FIRING = Words("Alerts firing", "Alerts of this version that fire now.")
_ESTIMATE = Words(
    "Estimated performance (history)",
    "The primary metric by event time: estimate, 90 % interval, reference, tolerance, and the truth where labels came.",
)
_HISTORY = Words("Health score (history)", "The health score by event time.")
_LIVE = Words(
    "Estimated performance (live)",
    "Each metric's estimate and, where labels came, its true value, by scrape time.",
)
_ALERTS = Words("Alerts", "1 while an alert of this version fires.")
_SEGMENTS = Words("Segments by score", "The latest health score of each segment of rows, lowest first.")
_VERSIONS = Words("Versions by score", "The latest health score of each version of this model, lowest first.")
_BESIDE = Words("Versions side by side (live)", "Each version's estimates, by scrape time.")


def feature() -> dashboard.Dashboard:
    """Return the board of one feature of a model version."""
    chosen = "report #>> ARRAY['drift', ${feature:sqlstring}, '%s']"
    drift = ", ".join(f"({chosen % part})::float AS {part}" for part in ("statistic", "threshold"))
    quality = "report #>> ARRAY['quality', ${feature:sqlstring}, '%s']"
    faults = ", ".join(
        f"({quality % part})::float AS {part}" for part in ("missing", "unseen", "out_of_range")
    )
    named = f"label_values(mlhealth_drift_statistic{{{OF}}}, feature)"
    ratio = f"topk(10, mlhealth_drift_statistic{{{OF}}} / mlhealth_drift_threshold{{{OF}}})"
    found = _with_model(board("mlhealth-feature", "mlhealth / Feature", "Which input moved, and when?"))
    for event in events():
        found = found.annotation(event)
    moved = Look(limits=CALM.limits, show_limits=True, width=24, height=8)
    return (
        found.with_variable(values("feature", "Feature", named))
        .with_panel(lines(_MOVED, [prom(ratio, "{{feature}}")], moved))
        .with_panel(lines(_DRIFT, [Sql(f"{TIME_SQL}, {drift} {WINDOW_SQL}")], Look(width=12, height=9)))
        .with_panel(lines(_QUALITY, [Sql(f"{TIME_SQL}, {faults} {WINDOW_SQL}")], SHARE.sized(12, 9)))
    )


_MOVED = Words(
    "Features that moved most", "Drift statistic divided by its threshold: above 1 the feature has drifted."
)
_DRIFT = Words("Drift of the feature (history)", "The detector's statistic and its threshold, by event time.")
_QUALITY = Words(
    "Quality of the feature (history)", "Share of rows missing, unseen or out of range, by event time."
)


def _by(label: str, of: str) -> Dataquery:
    """Return the latest scores by a label, lowest first."""
    return prom(f"sort(min by ({label}) (mlhealth_health_score{{{of}}}))", "", instant=True)


def _live_estimates() -> list[Dataquery]:
    kinds = ("estimated", "realized")
    return [prom(f"mlhealth_{kind}_performance{{{CHOSEN}}}", f"{kind} {{{{metric}}}}") for kind in kinds]


def _beside() -> Dataquery:
    return prom(
        'mlhealth_estimated_performance{model="$model",segment=""}', "version {{version}}: {{metric}}"
    )


def _with_model(found: dashboard.Dashboard) -> dashboard.Dashboard:
    """Give a board the variables that choose what it shows."""
    versions = 'label_values(mlhealth_health_score{model="$model"}, version)'
    # "All" is the window as a whole, whose series carry no segment: a pattern that fits nothing else.
    segments = values("segment", "Segment", f"label_values(mlhealth_health_score{{{OF}}}, segment)")
    whole = VariableOption(selected=True, text="All", value="$__all")
    return (
        found.with_variable(source())
        .with_variable(dashboard.DatasourceVariable("history").label("History").type(str(HISTORY.type_val)))
        .with_variable(values("model", "Model", "label_values(mlhealth_health_score, model)"))
        .with_variable(values("version", "Version", versions))
        .with_variable(segments.include_all(include_all=True).all_value("^$").current(whole))
    )
