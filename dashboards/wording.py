"""How numbers, times and verdicts are written for people: the same in pages, figures and reports."""

from __future__ import annotations

from functools import lru_cache

from mlhealth.clock import DAY, HOUR, MINUTE, SECOND, to_datetime
from mlhealth.records import Cost, HealthScore, PerformanceEstimate, WindowReport
from mlhealth.versions.comparison import Difference

_PERCENT = frozenset({"accuracy", "balanced_accuracy", "precision", "recall", "mape"})
LOSSES = frozenset({"mae", "rmse", "mape", "log_loss", "brier"})
_NAMES = {
    "roc_auc": "ROC AUC",
    "f1": "F1",
    "mae": "MAE",
    "rmse": "RMSE",
    "mape": "MAPE",
    "r2": "R²",
    "average_precision": "average precision",
    "balanced_accuracy": "balanced accuracy",
    "log_loss": "log loss",
    "brier": "Brier score",
}
UNKNOWN = "unknown"


def higher_is_better(metric: str) -> bool:
    """Whether a larger value of `metric` is good news."""
    return metric not in LOSSES and not metric.startswith("cost:")


def metric_name(metric: str) -> str:
    """Return a metric's name as people write it.

    >>> metric_name("roc_auc"), metric_name("accuracy")
    ('ROC AUC', 'accuracy')
    """
    return _NAMES.get(metric, metric)


def column_name(name: str) -> str:
    """Return a profiled column's name for people: prediction and score have names of our own.

    >>> column_name("__score"), column_name("age")
    ('score', 'age')
    """
    return name.removeprefix("__") if name in {"__prediction", "__score"} else name


def capital(text: str) -> str:
    """Return `text` with its first letter large, the rest untouched."""
    return text[:1].upper() + text[1:]


def is_percent(metric: str) -> bool:
    """Whether people read `metric` in percent."""
    return metric in _PERCENT or metric.startswith("confusion:")


def metric_value(metric: str, value: float | None) -> str:
    """Return a metric's value as people read it, `unknown` where there is none.

    >>> metric_value("accuracy", 0.8123), metric_value("mae", 12.3456), metric_value("f1", None)
    ('81.2 %', '12.35', 'unknown')
    """
    if value is None:
        return UNKNOWN
    return f"{100 * value:.1f} %" if is_percent(metric) else number(value)


def number(value: float | None) -> str:
    """Return a number in four significant digits, without needless zeros.

    >>> number(0.000123456), number(1234567.0), number(0.25)
    ('0.0001235', '1,234,567', '0.25')
    """
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def cost_text(cost: Cost) -> str:
    """Return what something costs of a metric; negative where it gains."""
    return difference_text(cost.metric, cost.cost)


def difference_text(metric: str, difference: float | None) -> str:
    """Return the difference of two values of a metric: in percentage points, or in the metric's unit.

    >>> difference_text("accuracy", -0.0312), difference_text("mae", 0.25), difference_text("f1", None)
    ('-3.1 pp', '+0.25', 'unknown')
    """
    if difference is None:
        return UNKNOWN
    if is_percent(metric):
        return f"{100 * difference:+.1f} pp"
    return f"{'+' if difference > 0 else ''}{number(difference)}"


def difference_of(found: Difference) -> str:
    """Return what one version has of a metric over another, with its interval: `+3.1 pp (+1.0 pp to +5.2 pp)`."""
    text = difference_text(found.metric, found.value)
    if found.lower is None or found.upper is None:
        return text
    ends = (difference_text(found.metric, end) for end in (found.lower, found.upper))
    return f"{text} ({' to '.join(ends)})"


def estimate_text(estimate: PerformanceEstimate | None) -> str:
    """Return an estimate with its interval: `81.2 % (79.0 – 83.1)`."""
    if estimate is None or estimate.value is None:
        return UNKNOWN
    text = metric_value(estimate.metric, estimate.value)
    if estimate.lower is None or estimate.upper is None:
        return text
    return f"{text} ({interval_text(estimate)})"


def interval_text(estimate: PerformanceEstimate) -> str:
    """Return an estimate's interval in the unit of its value, without the unit: `79.0 – 83.1`."""
    low, high = (
        metric_value(estimate.metric, bound).removesuffix(" %") for bound in (estimate.lower, estimate.upper)
    )
    return f"{low} – {high}"


def score_text(health: HealthScore | None) -> str:
    """Return the health score as a whole number, or an en dash where it is not known."""
    return "–" if health is None or health.score is None else f"{health.score:.0f}"


def moment(micros: int | None) -> str:
    """Return a time in UTC to the minute.

    >>> moment(0)
    '1970-01-01 00:00'
    """
    return "never" if micros is None else f"{to_datetime(micros):%Y-%m-%d %H:%M}"


@lru_cache(maxsize=4096)
def span(start: int, end: int) -> str:
    """Return a period in UTC, the day said once where both ends share it.

    >>> span(0, HOUR)
    '1970-01-01 00:00 – 01:00'
    """
    a, b = to_datetime(start), to_datetime(end)
    if end % DAY == 0 and end - start <= DAY and a.date() == to_datetime(end - 1).date():
        return f"{a:%Y-%m-%d %H:%M} – 24:00"
    return (
        f"{a:%Y-%m-%d %H:%M} – {b:%H:%M}"
        if a.date() == b.date()
        else f"{a:%Y-%m-%d %H:%M} – {b:%Y-%m-%d %H:%M}"
    )


def ago(then: int | None, now: int) -> str:
    """Return how long ago a moment was, in its largest unit.

    >>> ago(0, 3 * HOUR)
    '3 h ago'
    """
    if then is None:
        return "never"
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s")):
        if abs(now - then) >= unit:
            return (
                f"{(now - then) // unit} {name} ago" if now >= then else f"in {(then - now) // unit} {name}"
            )
    return "just now"


def brief_duration(length: int) -> str:
    """Return a length of time in its largest unit.

    >>> brief_duration(50 * HOUR), brief_duration(90 * MINUTE)
    ('2 d', '1 h')
    """
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if length >= unit:
            return f"{length // unit} {name}"
    return f"{length // SECOND} s"


def p_value(value: float) -> str:
    """Return a p-value; the small ones alike.

    >>> p_value(3e-38), p_value(0.0512)
    ('< 0.0001', '0.051')
    """
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"


def headline(report: WindowReport | None) -> str:
    """Return one sentence that says how a model version is doing, by its newest report."""
    if report is None:
        return "No window has been judged yet."
    metric = report.health.metric
    estimate = report.estimates.get(metric)
    if estimate is None or estimate.value is None:
        why = f": {estimate.note}" if estimate is not None and estimate.note else ""
        return f"The {metric_name(metric)} of the latest window cannot be told{why}."
    text = f"Estimated {metric_name(metric)} is {metric_value(metric, estimate.value)}"
    if estimate.lower is not None and estimate.upper is not None:
        text += f" ({100 * estimate.level:.0f} % interval {interval_text(estimate)})"
    if estimate.reference is not None:
        text += f", against {metric_value(metric, estimate.reference)} on the reference"
    return text + "."


def plain(text: str) -> str:
    """Return `text` so that a figure shows it as it is: Plotly reads a few HTML tags in labels.

    >>> plain("a<b>")
    'a&lt;b&gt;'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def shortened(text: str, length: int = 28) -> str:
    """Return `text` in at most `length` characters, an ellipsis in its middle, so that both ends can be read.

    >>> shortened("a_very_long_feature_name", 11)
    'a_ver…_name'
    """
    if len(text) <= length:
        return text
    head = length // 2
    return f"{text[:head]}…{text[len(text) - (length - head - 1) :]}"
