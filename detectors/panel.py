"""Every detector over every column of a window, with thresholds, p-values and effect sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mlhealth.baseline.record import Baseline
from mlhealth.detectors import quality as qualities
from mlhealth.detectors.cells import CellLayout, Cells, Floats
from mlhealth.detectors.registry import detectors
from mlhealth.detectors.thresholds import (
    FEWEST_ROWS,
    MEDIAN,
    NullTable,
    Threshold,
    critical_values,
    false_discovery_cutoff,
    p_values,
)
from mlhealth.profile.window_profile import WindowProfile
from mlhealth.records import DetectorResult, FeatureQuality

MAIN = "jensen_shannon"
"""The detector whose answer stands for a column's drift in a report."""
FALSE_DISCOVERIES = 0.01
"""Of the columns one detector calls drifted, at most this share is so by chance."""


class Panel:
    """All detectors, made ready for one baseline; build it once, it is never changed.

    `thresholds` pins some by (detector, column), or (detector, "") for all columns of a detector. `reference`: what to
    compare with, where it is a part of the baseline's own.
    """

    def __init__(
        self,
        baseline: Baseline,
        thresholds: Mapping[tuple[str, str], Threshold] | None = None,
        false_discoveries: float = FALSE_DISCOVERIES,
        reference: WindowProfile | None = None,
    ) -> None:
        compared = baseline.reference if reference is None else reference
        self._detectors = detectors()
        self._layout = CellLayout.of(baseline.reference)
        self._reference = Cells.of(compared, self._layout)
        self._reference_rows = compared.rows
        self._nulls = _table(baseline, self._layout)
        self._pinned = dict(thresholds or {})
        self._rate = false_discoveries
        self._features = baseline.schema.feature_names
        self._judges = np.stack([d.judges(self._layout) for d in self._detectors])
        self._missing = np.array([[d.missing] for d in self._detectors])
        self._floors = np.array([[d.floor] for d in self._detectors])
        self._usual = self._reference.present / np.maximum(self._reference.rows, 1.0)

    def statistics(self, window: WindowProfile) -> Floats:
        """Return every statistic, (detectors, d); NaN where a detector does not judge a column or could not."""
        cells = Cells.of(window, self._layout)
        return self._statistics(cells)

    def run(self, window: WindowProfile) -> tuple[DetectorResult, ...]:
        """Return the answer of every detector on every column it judges."""
        cells = Cells.of(window, self._layout)
        return self._results(cells, self._verdicts(cells))

    def quality(self, window: WindowProfile) -> dict[str, FeatureQuality]:
        """Return the quality of every feature of a window that has rows."""
        cells = Cells.of(window, self._layout)
        results = self._results(cells, self._verdicts(cells))
        return dict(qualities.judge(self._reference, cells, results, self._features))

    def judge(self, window: WindowProfile) -> tuple[tuple[DetectorResult, ...], dict[str, FeatureQuality]]:
        """Return `run` and `quality` of a window for the price of one."""
        cells = Cells.of(window, self._layout)
        results = self._results(cells, self._verdicts(cells))
        return results, dict(qualities.judge(self._reference, cells, results, self._features))

    def _statistics(self, cells: Cells) -> Floats:
        found = np.stack([d.statistic(self._reference, cells) for d in self._detectors])
        return np.where(self._judges, found, np.nan)

    def _verdicts(self, cells: Cells) -> _Verdicts:
        statistics = self._statistics(cells)
        rows = np.where(self._missing, cells.rows, cells.present)
        # The nulls' windows lost as many values as the reference does: ask of the rows it takes to have so many.
        window_rows = np.where(self._missing, rows, rows / np.where(self._usual > 0.0, self._usual, 1.0))
        quantiles = self._nulls.at(window_rows, self._reference_rows)
        p = np.where(np.isnan(statistics), np.nan, p_values(statistics, quantiles, self._nulls.levels))
        cutoff = false_discovery_cutoff(np.where(rows >= FEWEST_ROWS, p, np.nan), self._rate)
        fitted = np.maximum(critical_values(cutoff, quantiles, self._nulls.levels), self._floors)
        thresholds = np.where(rows >= FEWEST_ROWS, self._pin(fitted, quantiles), np.nan)
        excess = np.maximum(statistics - quantiles[..., MEDIAN], 0.0)
        effects = [d.effect(self._reference, cells, e) for d, e in zip(self._detectors, excess, strict=True)]
        return _Verdicts(statistics, thresholds, p, np.stack(effects), rows)

    def _pin(self, fitted: Floats, quantiles: Floats) -> Floats:
        for k, detector in enumerate(self._detectors):
            for j, name in enumerate(self._layout.names):
                pinned = self._pinned.get((detector.name, name)) or self._pinned.get((detector.name, ""))
                if pinned is not None:
                    fitted[k, j] = pinned.value(quantiles[k, j], self._nulls.levels)
            if not self._pinned:
                break
        return fitted

    def _results(self, cells: Cells, verdicts: _Verdicts) -> tuple[DetectorResult, ...]:
        statistics, thresholds = _optional(verdicts.statistics), _optional(verdicts.thresholds)
        p, effects = _optional(verdicts.p), _optional(verdicts.effects)
        drifted = (verdicts.statistics > verdicts.thresholds).tolist()
        rows = verdicts.rows.astype(np.int64).tolist()
        reference = self._reference.rows.astype(np.int64).tolist()
        smallest = int(self._nulls.rows[0])
        return tuple(
            DetectorResult(
                detector.name,
                name,
                statistics[k][j],
                thresholds[k][j],
                drifted[k][j],
                p[k][j],
                effects[k][j],
                rows[k][j],
                reference[j],
                _note(statistics[k][j], thresholds[k][j], rows[k][j], smallest),
            )
            for k, detector in enumerate(self._detectors)
            for j, name in enumerate(self._layout.names)
            if self._judges[k, j]
        )


@dataclass(frozen=True, eq=False)
class _Verdicts:
    """Arrays over (detectors, d)."""

    statistics: Floats
    thresholds: Floats
    p: Floats
    effects: Floats
    rows: Floats


def run(window: WindowProfile, baseline: Baseline) -> tuple[DetectorResult, ...]:
    """Return the answer of every detector on every column; for many windows keep a `Panel`."""
    return Panel(baseline).run(window)


def quality(window: WindowProfile, baseline: Baseline) -> dict[str, FeatureQuality]:
    """Return the quality of every feature of a window; for many windows keep a `Panel`."""
    return Panel(baseline).quality(window)


def main_drift(results: tuple[DetectorResult, ...]) -> dict[str, DetectorResult]:
    """Return the one answer per column that a report shows."""
    return {r.feature: r for r in results if r.detector == MAIN and r.feature is not None}


def _table(baseline: Baseline, layout: CellLayout) -> NullTable:
    names = [d.name for d in detectors()]
    fitted = [null for (detector, _), null in baseline.nulls.items() if detector in names]
    if not fitted:
        nothing = np.full((len(names), len(layout.names), 2, 5), np.nan)
        return NullTable(
            np.array([1, 2]), np.array([0.05, 0.16, 0.5, 0.84, 0.9]), nothing, baseline.reference.rows
        )
    rows, levels = fitted[0].rows, fitted[0].levels
    none = np.full((len(rows), len(levels)), np.nan)
    nulls = [[baseline.nulls.get((d, name)) for name in layout.names] for d in names]
    quantiles = np.array([[none if n is None else n.quantiles for n in row] for row in nulls])
    return NullTable(rows, levels, quantiles, baseline.reference.rows)


def _optional(values: Floats) -> list[list[float | None]]:
    cells: list[list[float | None]] = values.tolist()
    finite = np.isfinite(values)
    if finite.all():
        return cells
    return [
        [v if ok else None for v, ok in zip(row, oks, strict=True)]
        for row, oks in zip(cells, finite, strict=True)
    ]


def _note(statistic: float | None, threshold: float | None, rows: int, smallest: int) -> str | None:
    if statistic is None:
        return "no present value to compare"
    if rows < FEWEST_ROWS:
        return f"{rows} values are too few to judge; {FEWEST_ROWS} are needed"
    if threshold is None:
        return "the baseline has no null for this detector: fit it again"
    if rows < smallest:
        return f"{rows} values, fewer than any calibrated window ({smallest} rows): the threshold is widened"
    return None
