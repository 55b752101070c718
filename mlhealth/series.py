"""What shows only from window to window: statistics that creep, means that jump, traffic that dries up or floods.

Every column's drift (as a normal score of its p-value, 0 on average without drift whatever the window's size) goes
through a Page-Hinkley test; the estimate of the primary metric, and the drift of the model's outputs, through ADWIN;
the number of rows is compared with that of the windows before. The state is small and goes with the budget's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from scipy.special import ndtri

from mlhealth.detectors.adwin import Adwin
from mlhealth.detectors.page_hinkley import PageHinkley
from mlhealth.detectors.window_faults import ADWIN, HINKLEY, VOLUME
from mlhealth.objective import Objective
from mlhealth.records import DetectorResult, WindowReport

SLACK = 0.5
"""Rise per window, in standard deviations, that a column is forgiven."""
QUIET = 20_000.0
"""Windows between two false drifts of a single column."""
BOUNDS = (-2.0, 3.0)
"""Normal scores are kept within, so that one window alone drifts nothing."""
KEPT_VALUES = 120
"""Values that ADWIN keeps."""
REACH = 4.0
"""Losses from minus half to half of so many tolerances are what ADWIN tells apart."""
KEPT_COUNTS = 168
"""Windows whose numbers of rows are kept: a week of hourly ones."""
FEWEST_COUNTS = 8
"""Windows needed before the number of rows is judged."""
FACTOR = 3.0
"""Traffic this many times less or more than usual is a fault, where windows never differed as much."""


@dataclass(frozen=True)
class SeriesState:
    """The tests' states. `columns`: (values, mean, total, least) of each; `kept`: ADWIN's; `rows`: windows' volumes."""

    columns: Mapping[str, tuple[float, float, float, float]] = field(default_factory=dict)
    kept: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    rows: tuple[int, ...] = ()

    def to_data(self) -> dict[str, Any]:
        """Return the state as JSON-able data."""
        return {
            "columns": {name: list(state) for name, state in sorted(self.columns.items())},
            "kept": {name: list(values) for name, values in sorted(self.kept.items())},
            "rows": list(self.rows),
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any] | None) -> Self:
        """Return the state that `to_data` gave; None is the first one."""
        found = data or {}
        columns = {name: tuple(float(v) for v in s) for name, s in (found.get("columns") or {}).items()}
        kept = {name: tuple(float(v) for v in s) for name, s in (found.get("kept") or {}).items()}
        return cls(columns, kept, tuple(int(n) for n in found.get("rows") or ()))  # type: ignore[arg-type]


def watch(
    report: WindowReport, state: SeriesState, objective: Objective
) -> tuple[tuple[DetectorResult, ...], SeriesState]:
    """Return what the series say at a window, and their state after it."""
    hinkley, columns = _creeping(report, state)
    adwin, kept = _jumping(report, state, objective)
    volume = _volume(report, state.rows)
    rows = (*state.rows, report.volume)[-KEPT_COUNTS:]
    return (*hinkley, *adwin, *volume), SeriesState(columns, kept, rows)


def hinkley_limit(quiet: float = QUIET) -> float:
    """Return the limit at which a standard normal series drifts once in `quiet` values (Siegmund 1985).

    >>> round(hinkley_limit(), 1)
    8.0
    """
    return math.log(2.0 * SLACK**2 * quiet) / (2.0 * SLACK) - 1.166


def _creeping(
    report: WindowReport, state: SeriesState
) -> tuple[list[DetectorResult], dict[str, tuple[float, float, float, float]]]:
    limit = hinkley_limit()
    found, columns = [], dict(state.columns)
    for name, result in report.drift.items():
        if result.p_value is None:
            continue
        values, mean, total, least = columns.get(name, (0.0, 0.0, 0.0, 0.0))
        score = float(np.clip(-ndtri(min(max(result.p_value, 1e-12), 1.0 - 1e-12)), *BOUNDS))
        # The mean without drift is known to be 0: it is not learnt from the series, or a slow drift would teach it.
        test = PageHinkley(limit, SLACK, int(values), 0.0, total, least)
        after = _known_mean(test, score)
        columns[name] = (float(after.values), mean, after.total, after.least)
        found.append(
            DetectorResult(HINKLEY, name, after.total - after.least, limit, after.drifted, rows=report.rows)
        )
    return found, columns


def _known_mean(test: PageHinkley, score: float) -> PageHinkley:
    total = test.total + score - test.slack
    least = min(test.least, total)
    # What has been shown need not be summed further: a recovery is then seen in as many windows as the drift was.
    total = min(total, least + 1.5 * test.limit)
    return PageHinkley(
        test.limit, test.slack, test.values + 1, 0.0, total, least, drifted=total - least > test.limit
    )


def _jumping(
    report: WindowReport, state: SeriesState, objective: Objective
) -> tuple[list[DetectorResult], dict[str, tuple[float, ...]]]:
    found, kept = [], dict(state.kept)
    for name, value in _watched(report, objective).items():
        before = state.kept.get(name, ())
        after = Adwin(kept=before).update(value)
        kept[name] = tuple(round(v, 6) for v in after.kept[-KEPT_VALUES:])
        known = sum(before) / len(before) if before else value
        column = name if name.startswith("__") else None
        note = f"over the last {len(after.kept)} windows"
        found.append(
            DetectorResult(
                ADWIN,
                column,
                abs(after.mean - known),
                None,
                after.drifted,
                rows=report.rows,
                note=note
                if column
                else f"the estimated {name} {'fell' if after.mean < known else 'rose'} {note}",
            )
        )
    return found, kept


def _watched(report: WindowReport, objective: Objective) -> dict[str, float]:
    """Return the series within [0, 1] that ADWIN looks at: the loss of the primary metric, drift of the outputs."""
    found = {}
    estimate = report.estimates.get(objective.metric)
    if estimate is not None and estimate.value is not None and estimate.reference is not None:
        loss = objective.loss(estimate.value, estimate.reference)
        found[objective.metric] = float(np.clip(0.5 - loss / (REACH * objective.tolerance), 0.0, 1.0))
    for name, result in report.drift.items():
        if name.startswith("__") and result.statistic is not None:
            found[name] = float(np.clip(result.statistic, 0.0, 1.0))
    return found


def _volume(report: WindowReport, before: tuple[int, ...]) -> list[DetectorResult]:
    """Compare a window's volume with that of windows before: of a sampled log the estimated one."""
    known = np.array([n for n in before if n > 0], dtype=np.float64)
    if len(known) < FEWEST_COUNTS:
        return []
    usual = float(np.median(known))
    # Counts that go up and down by the day are usual too: the factor is measured against the least and the most seen.
    least, most = min(float(known.min()), usual / FACTOR), max(float(known.max()), usual * FACTOR)
    volume, rows = report.volume, max(report.telling_rows, 1)
    noise = 3.0 * math.sqrt(usual) * math.sqrt(max(volume, 1) / rows)  # each row stands for so many events
    drifted = volume < least - noise * least / usual or volume > most + noise
    ratio = abs(math.log2(max(volume, 0.5) / usual))
    what = "rows" if report.events is None else "events (estimated)"
    note = f"{volume:,} {what} came, usually about {usual:,.0f}"
    return [
        DetectorResult(VOLUME, None, ratio, math.log2(FACTOR), drifted, rows=report.rows, note=note),
    ]
