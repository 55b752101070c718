"""What `Baseline.estimate` returns: the windows' reports as a data frame, a figure and a table in a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from mlhealth.dashboards.wording import higher_is_better
from mlhealth.errors import ConfigError
from mlhealth.files.production import FileReport
from mlhealth.records import HealthStatus, PerformanceEstimate, WindowReport

if TYPE_CHECKING:
    import plotly.graph_objects as go

What = Literal["performance", "health", "drift"]
SHOWN_ROWS = 60
"""Windows shown at most where a notebook draws the report as a table."""


@dataclass(frozen=True)
class Report:
    """Estimates, health and drift of consecutive windows.

    `windows`: one report each, in order. `primary`: the metric of the health score. `timed`: whether rows have event
    times; `by_rows`: whether windows were cut by rows. `notes`: what was wrong with the rows, one sentence each.
    """

    windows: tuple[FileReport, ...]
    primary: str
    timed: bool = True
    by_rows: bool = False
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.windows)

    def __iter__(self) -> Iterator[WindowReport]:
        return (item.report for item in self.windows)

    def __getitem__(self, index: int) -> WindowReport:
        return self.windows[index].report

    def to_df(self, *metrics: str) -> pd.DataFrame:
        """Return one row per window of the primary metric, or one per window and metric of those named.

        `value` is the estimate, `lower_` and `upper_confidence_boundary` its 90 % interval, which already holds the
        error of sampling. `lower_` or `upper_threshold` is where the loss exceeds the tolerance (of the primary metric
        only), `realized` the true value where labels came. `alert`: the window's health is critical.
        """
        names = metrics or (self.primary,)
        for name in names:
            self._check(name)
        return pd.DataFrame([self._row(item, name) for item in self.windows for name in names])

    def drift_to_df(self) -> pd.DataFrame:
        """Return one row per window and feature: distance from the reference, its threshold, quality counts."""
        return pd.DataFrame([row for item in self.windows for row in self._drift_rows(item)])

    def plot(self, what: What = "performance", *, metric: str | None = None) -> go.Figure:
        """Return a Plotly figure of the estimates of `metric`, of the health score, or of drift by feature."""
        return plot(self, what, metric=metric)

    def metric_names(self) -> tuple[str, ...]:
        """Return the metrics that were estimated, the primary one first."""
        names = dict.fromkeys([self.primary, *(name for report in self for name in report.estimates)])
        return tuple(names)

    def __repr__(self) -> str:
        counts = pd.Series([str(report.health.status) for report in self], dtype=object).value_counts()
        told = ", ".join(f"{count} {status}" for status, count in counts.items()) or "none"
        return f"<Report of {len(self)} windows: {told}>"

    def _repr_html_(self) -> str:
        columns = ["value", "lower_confidence_boundary", "upper_confidence_boundary", "status"]
        wanted = [*self._place_columns(), "rows", *columns, "health_score", "health_status", "reason"]
        frame = self.to_df()
        shown = frame[[name for name in wanted if name in frame]].head(SHOWN_ROWS)
        more = len(frame) - len(shown)
        notes = (*self.notes, *([f"{more} more windows: see to_df()"] if more else []))
        return grid(f"Estimated {self.primary}: {repr(self)[1:-1]}", shown, notes)

    def _check(self, metric: str) -> None:
        if metric not in self.metric_names():
            raise ConfigError(
                f"metric {metric!r} was not estimated; there are {', '.join(self.metric_names())}"
            )

    def _place_columns(self) -> list[str]:
        return ["start_date", "end_date"] if self.timed else ["start_index", "end_index"]

    def _place(self, item: FileReport) -> dict[str, Any]:
        """Return where a window lies, under the names that chunked monitoring tools have made usual."""
        key = item.report.key
        times = [pd.Timestamp(t) if isinstance(t, str) else pd.NaT for t in (item.start, item.end)]
        indexes = [key.start, key.end] if self.by_rows else [None, None]
        return {
            "chunk_index": item.window,
            "start_index": indexes[0],
            "end_index": indexes[1],
            "start_date": times[0],
            "end_date": times[1],
            "rows": item.report.rows,
        }

    def _row(self, item: FileReport, metric: str) -> dict[str, Any]:
        report, health = item.report, item.report.health
        estimate = report.estimates.get(metric)
        return {
            **self._place(item),
            "metric": metric,
            **_estimate_columns(estimate),
            "realized": report.realized.get(metric),
            **_thresholds(report, metric, estimate),
            "alert": health.status is HealthStatus.CRITICAL,
            "health_score": health.score,
            "health_status": str(health.status),
            "cause": None if health.cause is None else str(health.cause),
            "reason": health.reasons[0].text if health.reasons else None,
        }

    def _drift_rows(self, item: FileReport) -> Iterator[dict[str, Any]]:
        for feature, result in item.report.drift.items():
            quality = item.report.quality.get(feature)
            yield {
                **self._place(item),
                "feature": feature,
                "method": result.detector,
                "value": result.statistic,
                "upper_threshold": result.threshold,
                "alert": result.drifted,
                "missing": None if quality is None else quality.missing,
                "unseen": None if quality is None else quality.unseen,
                "out_of_range": None if quality is None else quality.out_of_range,
            }


def plot(report: Report, what: What = "performance", *, metric: str | None = None) -> go.Figure:
    """Return a Plotly figure of a report; raises ConfigError where Plotly is not installed."""
    try:
        from mlhealth.dashboards import figures
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("plotly"):
            raise
        raise ConfigError("plotting needs the package plotly; install mlhealth[plot]") from None
    windows = list(report)
    if what == "health":
        return figures.health_figure(windows, rows=not report.timed)
    if what == "drift":
        return figures.drift_figure(windows, rows=not report.timed)
    if what != "performance":
        raise ConfigError(f"plot cannot show {what!r}; it shows performance, health and drift")
    name = metric or report.primary
    if name not in report.metric_names():
        raise ConfigError(f"metric {name!r} was not estimated; there are {', '.join(report.metric_names())}")
    return figures.estimate_figure(windows, name, rows=not report.timed)


def grid(title: str, frame: pd.DataFrame, notes: Sequence[str] = ()) -> str:
    """Return a data frame as HTML for a notebook, under a title and above its notes; all text is escaped."""
    table = frame.to_html(index=False, border=0, na_rep="–", float_format=lambda x: f"{x:.4g}", escape=True)
    listed = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f"<p><b>{escape(title)}</b></p>{table}" + (f"<ul>{listed}</ul>" if listed else "")


def _estimate_columns(estimate: PerformanceEstimate | None) -> dict[str, Any]:
    return {
        "value": None if estimate is None else estimate.value,
        "lower_confidence_boundary": None if estimate is None else estimate.lower,
        "upper_confidence_boundary": None if estimate is None else estimate.upper,
        "reference": None if estimate is None else estimate.reference,
        "status": None if estimate is None else str(estimate.status),
        "method": None if estimate is None else estimate.method,
        "explanation": None if estimate is None else estimate.explanation,
    }


def _thresholds(report: WindowReport, metric: str, estimate: PerformanceEstimate | None) -> dict[str, Any]:
    """Return the value beyond which the primary metric's loss exceeds the tolerance, on the side that is worse."""
    found: dict[str, float | None] = {"lower_threshold": None, "upper_threshold": None}
    reference = None if estimate is None else estimate.reference
    if reference is None or metric != report.health.metric:
        return found
    if higher_is_better(metric):
        return found | {"lower_threshold": reference - report.health.tolerance}
    return found | {"upper_threshold": reference + report.health.tolerance * abs(reference)}
